//! What was done to a running lab, in order and complete, so that a scenario can be made of it.

use std::sync::Arc;

use epm_client_agent::scenario::{FleetAction, PartPlan};
use epm_protocol::fault::FaultRule;
use epm_protocol::site::Command;
use epm_protocol::time::Timestamp;
use parking_lot::Mutex;

use crate::store::is_logged;

/// Largest number of actions that are kept.
const MOST_ACTIONS: usize = 10_000;
/// Most bytes of commands, with the files that they bring, that are kept.
const MOST_BYTES: usize = 64 << 20;

/// One thing that was done to a lab.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LoggedAction {
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
pub(crate) struct ActionLog(Mutex<LoggedActions>);

/// What was done, with the lab time of each action.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoggedActions {
    pub(crate) actions: Vec<(Timestamp, LoggedAction)>,
    bytes: usize,
    /// Why something is missing, if it is.
    pub(crate) gap: Option<String>,
    /// Milliseconds that are not counted: the clock was set, or snapshots were restored while it ran on.
    skipped: i64,
}

/// A position in the log, and its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogPosition {
    actions: usize,
    at: Timestamp,
}

impl ActionLog {
    /// Records an action.
    pub(crate) fn note(&self, at: Timestamp, action: LoggedAction) {
        let mut logged = self.0.lock();
        if logged.gap.is_some() {
            return;
        }
        logged.bytes = logged.bytes.saturating_add(size(&action));
        if logged.actions.len() == MOST_ACTIONS || logged.bytes > MOST_BYTES {
            let why = format!(
                "more than {MOST_ACTIONS} things were done, or more than {} MiB of it",
                MOST_BYTES >> 20
            );
            *logged = LoggedActions { gap: Some(why), ..LoggedActions::default() };
            return;
        }
        let at = logged.counted(at);
        logged.actions.push((at, action));
    }

    /// Records commands of an operator.
    pub(crate) fn note_commands(&self, at: Timestamp, commands: &[Command]) {
        let commands: Vec<Command> = commands.iter().filter(|one| is_logged(one)).cloned().collect();
        if !commands.is_empty() {
            self.note(at, LoggedAction::Commands(commands));
        }
    }

    /// Notes that something was done that is not logged; nothing that follows is of use.
    pub(crate) fn lose(&self, why: &str) {
        *self.0.lock() = LoggedActions { gap: Some(why.to_owned()), ..LoggedActions::default() };
    }

    /// The present moment, for [`Self::go_back`].
    pub(crate) fn position(&self, now: Timestamp) -> LogPosition {
        let logged = self.0.lock();
        LogPosition { actions: logged.actions.len(), at: logged.counted(now) }
    }

    /// Forgets the actions since a moment, since the lab is again as it was then.
    pub(crate) fn go_back(&self, to: LogPosition, now: Timestamp) {
        let mut logged = self.0.lock();
        logged.actions.truncate(to.actions);
        logged.skipped = now.as_millis().saturating_sub(to.at.as_millis());
    }

    /// Notes that the clock was set.
    pub(crate) fn clock_set(&self, from: Timestamp, to: Timestamp) {
        self.note(from, LoggedAction::Other(format!("the clock was set to {to}; no time passes here")));
        let by = to.as_millis().saturating_sub(from.as_millis());
        let mut logged = self.0.lock();
        logged.skipped = logged.skipped.saturating_add(by);
    }

    /// What was done, and the time of it by which the lab is at `now`.
    pub(crate) fn read(&self, now: Timestamp) -> (LoggedActions, Timestamp) {
        let logged = self.0.lock().clone();
        let now = logged.counted(now);
        (logged, now)
    }
}

impl LoggedActions {
    /// The time without what is not counted, and not before the last action.
    fn counted(&self, at: Timestamp) -> Timestamp {
        let last = self.actions.last().map_or(Timestamp::EPOCH, |(at, _)| *at);
        Timestamp::from_millis(at.as_millis().saturating_sub(self.skipped)).max(last)
    }
}

/// Number of bytes that an action keeps, about.
fn size(action: &LoggedAction) -> usize {
    let of = |command: &Command| {
        let mut command = command.clone();
        let files: usize = command.materials_mut().iter().map(|file| file.content.len()).sum();
        files + serde_json::to_vec(&command).map_or(0, |json| json.len())
    };
    match action {
        LoggedAction::Commands(commands) => commands.iter().map(of).sum(),
        _ => 0,
    }
}
