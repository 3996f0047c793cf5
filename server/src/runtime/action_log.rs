//! What was done to a running lab, in order and complete, so that a scenario can be made of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

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

/// An action with its time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Logged {
    /// Lab time of the action, without what is not counted.
    pub(crate) at: Timestamp,
    /// Number of the last entry in the log of the site at that moment: of commands their own.
    pub(crate) entry: i64,
    /// Milliseconds after the action that are not counted.
    pub(crate) skips: i64,
    pub(crate) action: LoggedAction,
}

/// Records what is done to a lab.
#[derive(Debug, Default)]
pub(crate) struct ActionLog {
    logged: Mutex<LoggedActions>,
    /// Number of the last entry in the log of the site.
    last_entry: Arc<AtomicI64>,
}

/// What was done, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoggedActions {
    pub(crate) actions: Vec<Logged>,
    bytes: usize,
    /// Why something is missing, if it is.
    pub(crate) gap: Option<String>,
    /// Milliseconds that are not counted: the clock was set, the lab was down, or snapshots were restored while the clock ran on.
    skipped: i64,
}

/// A position in the log, and its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogPosition {
    actions: usize,
    at: Timestamp,
}

impl ActionLog {
    /// An empty log of actions, beside a log of a site whose last entry has this number.
    pub(crate) fn beside(last_entry: Arc<AtomicI64>) -> Self {
        Self { logged: Mutex::default(), last_entry }
    }

    /// Records an action.
    pub(crate) fn note(&self, at: Timestamp, action: LoggedAction) {
        self.note_skip(at, 0, action);
    }

    fn note_skip(&self, at: Timestamp, skips: i64, action: LoggedAction) {
        let entry = self.last_entry.load(Ordering::SeqCst);
        self.logged.lock().note(at, entry, skips, action);
    }

    /// Records commands of an operator.
    pub(crate) fn note_commands(&self, at: Timestamp, commands: &[Command]) {
        let entry = self.last_entry.load(Ordering::SeqCst);
        self.logged.lock().note_commands(at, entry, commands);
    }

    /// Notes that something was done that is not logged; nothing that follows is of use.
    pub(crate) fn lose(&self, why: &str) {
        self.go_on_with(LoggedActions::lost(why));
    }

    /// The present moment, for [`Self::go_back`].
    pub(crate) fn position(&self, now: Timestamp) -> LogPosition {
        self.logged.lock().position(now)
    }

    /// Forgets the actions since a moment, since the lab is again as it was then.
    pub(crate) fn go_back(&self, to: LogPosition, now: Timestamp) {
        self.logged.lock().go_back(to, now);
    }

    /// Notes that the clock was set.
    pub(crate) fn clock_set(&self, from: Timestamp, to: Timestamp) {
        let what = format!("the clock was set to {to}; no time passes here");
        self.note_skip(from, millis_between(from, to), LoggedAction::Other(what));
    }

    /// What was done, and the time of it by which the lab is at `now`.
    pub(crate) fn read(&self, now: Timestamp) -> (LoggedActions, Timestamp) {
        let logged = self.logged.lock().clone();
        let now = logged.counted(now);
        (logged, now)
    }

    /// Continues with the actions of an earlier run.
    pub(crate) fn go_on_with(&self, logged: LoggedActions) {
        *self.logged.lock() = logged;
    }

    /// What has to be kept for a later run beside the log of the site: why something is missing, the number of actions, and those
    /// after the first `known` ones that are no commands, each with its number.
    pub(crate) fn to_keep(&self, known: usize) -> (Option<String>, usize, Vec<(usize, Logged)>) {
        let logged = self.logged.lock();
        let is_kept = |one: &&Logged| !matches!(one.action, LoggedAction::Commands(_));
        let new = logged.actions.iter().enumerate().skip(known).filter(|(_, one)| is_kept(one));
        let new = new.map(|(place, one)| (place + 1, one.clone())).collect();
        (logged.gap.clone(), logged.actions.len(), new)
    }
}

impl LoggedActions {
    /// No actions, since something is missing.
    pub(crate) fn lost(why: &str) -> Self {
        Self { gap: Some(why.to_owned()), ..Self::default() }
    }

    /// Records an action, after which so many milliseconds are not counted.
    pub(crate) fn note(&mut self, at: Timestamp, entry: i64, skips: i64, action: LoggedAction) {
        self.add(Logged { at: self.counted(at), entry, skips, action });
    }

    /// Adds an action with the time that it counts for.
    pub(crate) fn add(&mut self, logged: Logged) {
        if self.gap.is_some() {
            return;
        }
        self.bytes = self.bytes.saturating_add(size(&logged.action));
        if self.actions.len() == MOST_ACTIONS || self.bytes > MOST_BYTES {
            let why = format!(
                "more than {MOST_ACTIONS} things were done, or more than {} MiB of it",
                MOST_BYTES >> 20
            );
            *self = Self::lost(&why);
            return;
        }
        self.skipped = self.skipped.saturating_add(logged.skips);
        self.actions.push(logged);
    }

    /// Records commands of an operator.
    pub(crate) fn note_commands(&mut self, at: Timestamp, entry: i64, commands: &[Command]) {
        let commands: Vec<Command> = commands.iter().filter(|one| is_logged(one)).cloned().collect();
        if !commands.is_empty() {
            self.note(at, entry, 0, LoggedAction::Commands(commands));
        }
    }

    /// The present moment, for [`Self::go_back`].
    pub(crate) fn position(&self, now: Timestamp) -> LogPosition {
        LogPosition { actions: self.actions.len(), at: self.counted(now) }
    }

    /// Forgets the actions since a moment.
    pub(crate) fn go_back(&mut self, to: LogPosition, now: Timestamp) {
        self.actions.truncate(to.actions);
        self.skipped = millis_between(to.at, now);
    }

    /// The time without what is not counted, and not before the last action.
    fn counted(&self, at: Timestamp) -> Timestamp {
        let last = self.actions.last().map_or(Timestamp::EPOCH, |one| one.at);
        Timestamp::from_millis(at.as_millis().saturating_sub(self.skipped)).max(last)
    }
}

pub(crate) const fn millis_between(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millis().saturating_sub(from.as_millis())
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
