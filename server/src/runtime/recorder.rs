//! What was done to a running lab, in order and complete, so that a scenario can be made of it.

use std::sync::Arc;

use epm_client_agent::scenario::{FleetAction, PartPlan};
use epm_protocol::fault::FaultRule;
use epm_protocol::site::Command;
use epm_protocol::time::Timestamp;
use parking_lot::Mutex;

use crate::store::is_logged;

/// Largest number of acts that are kept.
const MOST_ACTS: usize = 10_000;
/// Most bytes of commands, with the files that they bring, that are kept.
const MOST_BYTES: usize = 64 << 20;

/// One thing that was done to a lab.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    /// Commands that took effect together.
    Commands(Vec<Command>),
    SetFault(Arc<FaultRule>),
    /// The fault of this name was removed, or every fault.
    RemoveFault(Option<String>),
    /// A part of the fleet was added, or got another size.
    Part(PartPlan),
    Fleet(FleetAction),
    /// Something that no scenario can do, in words.
    Other(String),
}

/// Records what is done to a lab.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Recorded>);

/// What was done, with the lab time of each act.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) acts: Vec<(Timestamp, Act)>,
    bytes: usize,
    /// Why something is missing, if it is.
    pub(crate) gap: Option<String>,
    /// Milliseconds that are not counted: the clock was set, or snapshots were restored while it ran on.
    skipped: i64,
}

/// A moment of a recording.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    acts: usize,
    at: Timestamp,
}

impl Recorder {
    /// Records an act.
    pub(crate) fn note(&self, at: Timestamp, act: Act) {
        let mut recorded = self.0.lock();
        if recorded.gap.is_some() {
            return;
        }
        recorded.bytes = recorded.bytes.saturating_add(size(&act));
        if recorded.acts.len() == MOST_ACTS || recorded.bytes > MOST_BYTES {
            let why = format!(
                "more than {MOST_ACTS} things were done, or more than {} MiB of it",
                MOST_BYTES >> 20
            );
            *recorded = Recorded { gap: Some(why), ..Recorded::default() };
            return;
        }
        let at = recorded.counted(at);
        recorded.acts.push((at, act));
    }

    /// Records commands of an operator.
    pub(crate) fn note_commands(&self, at: Timestamp, commands: &[Command]) {
        let commands: Vec<Command> = commands.iter().filter(|one| is_logged(one)).cloned().collect();
        if !commands.is_empty() {
            self.note(at, Act::Commands(commands));
        }
    }

    /// Notes that something was done that is not recorded; nothing that follows is of use.
    pub(crate) fn lose(&self, why: &str) {
        *self.0.lock() = Recorded { gap: Some(why.to_owned()), ..Recorded::default() };
    }

    /// The present moment, for [`Self::go_back`].
    pub(crate) fn mark(&self, now: Timestamp) -> Mark {
        let recorded = self.0.lock();
        Mark { acts: recorded.acts.len(), at: recorded.counted(now) }
    }

    /// Forgets the acts since a moment, since the lab is again as it was then.
    pub(crate) fn go_back(&self, to: Mark, now: Timestamp) {
        let mut recorded = self.0.lock();
        recorded.acts.truncate(to.acts);
        recorded.skipped = now.as_millis().saturating_sub(to.at.as_millis());
    }

    /// Notes that the clock was set.
    pub(crate) fn clock_set(&self, from: Timestamp, to: Timestamp) {
        self.note(from, Act::Other(format!("the clock was set to {to}; no time passes here")));
        let by = to.as_millis().saturating_sub(from.as_millis());
        let mut recorded = self.0.lock();
        recorded.skipped = recorded.skipped.saturating_add(by);
    }

    /// What was done, and the time of it by which the lab is at `now`.
    pub(crate) fn read(&self, now: Timestamp) -> (Recorded, Timestamp) {
        let recorded = self.0.lock().clone();
        let now = recorded.counted(now);
        (recorded, now)
    }
}

impl Recorded {
    /// The time without what is not counted, and not before the last act.
    fn counted(&self, at: Timestamp) -> Timestamp {
        let last = self.acts.last().map_or(Timestamp::EPOCH, |(at, _)| *at);
        Timestamp::from_millis(at.as_millis().saturating_sub(self.skipped)).max(last)
    }
}

/// Number of bytes that an act keeps, about.
fn size(act: &Act) -> usize {
    let of = |command: &Command| {
        let mut command = command.clone();
        let files: usize = command.materials_mut().iter().map(|file| file.content.len()).sum();
        files + serde_json::to_vec(&command).map_or(0, |json| json.len())
    };
    match act {
        Act::Commands(commands) => commands.iter().map(of).sum(),
        _ => 0,
    }
}
