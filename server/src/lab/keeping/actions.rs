//! What was done to a lab, as a store keeps it: commands are in the log of the site, anything else is a document that names the
//! entry of the log which it follows.

use std::collections::BTreeMap;

use epm_client_agent::scenario::FleetAction;
use epm_protocol::fault::FaultRule;
use epm_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::documents::KeptPart;
use crate::runtime::action_log::{LogPosition, Logged, LoggedAction, LoggedActions, millis_between};
use crate::store::{Change, Log, LogEntry, StoreError};

/// An action that is no command.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptAction {
    at: Timestamp,
    /// Number of the entry of the log that the action follows.
    entry: i64,
    /// Milliseconds after the action that are not counted.
    #[serde(default)]
    skips: i64,
    what: KeptWhat,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeptWhat {
    SetFault(FaultRule),
    RemoveFault(Option<String>),
    Part(KeptPart),
    Fleet(FleetAction),
    Other(String),
}

/// The time for which no process ran the lab.
#[derive(Debug)]
pub(super) struct Downtime {
    /// Lab time at its beginning, as far as it is known, and at its end.
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// Whether the lab was stopped; otherwise its process ended without writing what happened last.
    pub(super) was_stopped: bool,
    /// Number of the last entry of the log before it.
    pub(super) entry: i64,
}

impl KeptAction {
    /// An action; none of commands, which are in the log.
    pub(super) fn of(logged: &Logged) -> Option<Self> {
        let what = match &logged.action {
            LoggedAction::Commands(_) => return None,
            LoggedAction::SetFault(rule) => KeptWhat::SetFault(FaultRule::clone(rule)),
            LoggedAction::RemoveFault(name) => KeptWhat::RemoveFault(name.clone()),
            LoggedAction::Part(plan) => KeptWhat::Part(KeptPart::of(plan, None)),
            LoggedAction::Fleet(action) => KeptWhat::Fleet(action.clone()),
            LoggedAction::Other(what) => KeptWhat::Other(what.clone()),
        };
        Some(Self { at: logged.at, entry: logged.entry, skips: logged.skips, what })
    }

    fn logged(self) -> Logged {
        let action = match self.what {
            KeptWhat::SetFault(rule) => LoggedAction::SetFault(rule.into()),
            KeptWhat::RemoveFault(name) => LoggedAction::RemoveFault(name),
            KeptWhat::Part(part) => LoggedAction::Part(part.plan()),
            KeptWhat::Fleet(action) => LoggedAction::Fleet(action),
            KeptWhat::Other(what) => LoggedAction::Other(what),
        };
        Logged { at: self.at, entry: self.entry, skips: self.skips, action }
    }
}

impl Downtime {
    /// Notes that the lab was down, as what no scenario can do. `last` is the lab time of the last entry before it.
    fn note(&self, logged: &mut LoggedActions, last: Timestamp) {
        let from = self.from.max(last);
        let how = if self.was_stopped {
            "the lab was stopped and started again"
        } else {
            "the lab was started again after its process was ended; what its clients did in the last seconds is not known"
        };
        let what = LoggedAction::Other(format!("{how}; no time passes here"));
        logged.note(from, self.entry, millis_between(from, self.to), what);
    }
}

/// What was done until now, and the position of each snapshot in it: the commands of the log, with the other actions between them.
///
/// # Errors
///
/// When the log cannot be read.
pub(super) fn done_until_now(
    log: &dyn Log,
    others: impl IntoIterator<Item = KeptAction>,
    downtime: Downtime,
) -> Result<(LoggedActions, BTreeMap<String, LogPosition>), StoreError> {
    let (mut logged, mut positions) = (LoggedActions::default(), BTreeMap::<String, LogPosition>::new());
    let mut others = others.into_iter().peekable();
    let mut downtime = Some(downtime);
    let mut last = Timestamp::EPOCH;
    log.read_log(&mut |LogEntry { sequence, at, change, .. }| {
        while let Some(other) = others.next_if(|other| other.entry < sequence) {
            logged.add(other.logged());
        }
        // What a file has changed was noted at the start, before the rest of the lab went on.
        if let Some(downtime) = downtime.take_if(|downtime| downtime.entry < sequence) {
            downtime.note(&mut logged, last);
        }
        last = last.max(at);
        match change {
            Change::Commands { commands, .. } => logged.note_commands(at, sequence, &commands),
            Change::TakeSnapshot(name) => {
                positions.insert(name, logged.position(at));
            }
            Change::RestoreSnapshot { name, .. } => {
                if let Some(position) = positions.get(&name) {
                    logged.go_back(*position, at);
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    others.for_each(|other| logged.add(other.logged()));
    if let Some(downtime) = downtime {
        downtime.note(&mut logged, last);
    }
    Ok((logged, positions))
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use epm_protocol::site::Command;

    use super::*;

    /// A log of a site, each entry with the second of its change.
    #[derive(Debug)]
    struct Entries(Vec<(i64, Change)>);

    impl Log for Entries {
        fn read_log(
            &self,
            each: &mut dyn FnMut(LogEntry) -> Result<(), StoreError>,
        ) -> Result<(), StoreError> {
            let entries = (1..).zip(&self.0);
            entries
                .map(|(sequence, (at, change))| (sequence, Timestamp::from_seconds(*at), change.clone()))
                .try_for_each(|(sequence, at, change)| each(LogEntry { sequence, at, written: None, change }))
        }

        fn invalid(&self, what: String, why: &dyn fmt::Display) -> StoreError {
            StoreError::Invalid { file: "lab.db".into(), what, why: why.to_string() }
        }
    }

    #[test]
    fn actions_stand_between_the_commands_of_the_log_and_no_time_passes_while_the_lab_is_down() {
        let group = |name: &str| {
            let commands = vec![Command::AddGroup { group: name.to_owned(), inherits: true }];
            Change::Commands { commands, clocks: BTreeMap::new(), update: None }
        };
        let snapshot = "before".to_owned();
        let log = Entries(vec![
            (10, group("first")),
            (20, Change::TakeSnapshot(snapshot.clone())),
            (30, group("undone")),
            (40, Change::RestoreSnapshot { name: snapshot.clone(), assumptions: None, replaces: None }),
            (50, group("second")),
            // By a file that was changed while the lab was down.
            (1000, group("of a file")),
        ]);
        let other = |at, entry, what: &str| KeptAction {
            at: Timestamp::from_seconds(at),
            entry,
            skips: 0,
            what: KeptWhat::Other(what.to_owned()),
        };
        let others = [other(15, 1, "a"), other(35, 3, "undone"), other(25, 4, "b"), other(31, 5, "c")];
        let [from, to] = [60, 1000].map(Timestamp::from_seconds);
        let downtime = Downtime { from, to, was_stopped: false, entry: 5 };
        let (done, positions) = done_until_now(&log, others, downtime).unwrap();
        let shown = done.actions.iter().map(|one| {
            let what = match &one.action {
                LoggedAction::Commands(commands) => format!("{commands:?}"),
                LoggedAction::Other(what) => what.clone(),
                other => panic!("{other:?}"),
            };
            (one.at.as_millis() / 1000, what)
        });
        let shown: Vec<(i64, String)> = shown.collect();
        let expected = [
            (10, "first"),
            (15, "a"),
            (25, "b"),
            (30, "second"),
            (31, "c"),
            (40, "was ended"),
            (40, "of a file"),
        ];
        assert_eq!(shown.len(), expected.len(), "{shown:?}");
        for ((at, what), (expected_at, expected)) in shown.iter().zip(expected) {
            assert!(*at == expected_at && what.contains(expected), "{shown:?}");
        }
        let mut back = done;
        back.go_back(positions[&snapshot], to);
        assert_eq!(back.actions.len(), 2, "the first group, and a");
    }
}
