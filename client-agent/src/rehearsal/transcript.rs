//! What is written of a client if anybody wants it: its own log, and what its managers did for it.

use epm_protocol::time::Timestamp;
use serde::Serialize;

use crate::agent::{Event, LogLine};

/// What a manager did for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ManagerEvent {
    /// When.
    pub at: Timestamp,
    /// The manager, by its place among the managers' names.
    pub manager: usize,
    /// What.
    pub action: ManagerAction,
}

/// What a manager does, as its own records show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ManagerAction {
    /// It answered.
    Answered {
        /// What had been asked; `refused` where the manager could not tell.
        action: &'static str,
        /// The status.
        status: u16,
    },
    /// It showed its certificate, or tried to, and the client broke off.
    ShownInVain,
}

/// Both sides of what a client went through.
#[derive(Clone, Debug, Default)]
pub(super) struct Transcript {
    pub(super) lines: Vec<LogLine>,
    pub(super) manager_events: Vec<ManagerEvent>,
}

impl Transcript {
    /// Adds what happened at this moment.
    pub(super) fn note(
        &mut self,
        lines: &[(Event, String)],
        manager_events: &[(usize, ManagerAction)],
        at: Timestamp,
    ) {
        self.lines.extend(lines.iter().map(|(event, text)| LogLine {
            at,
            event: *event,
            text: text.clone(),
        }));
        self.manager_events.extend(manager_events.iter().map(|(manager, action)| ManagerEvent {
            at,
            manager: *manager,
            action: *action,
        }));
    }
}
