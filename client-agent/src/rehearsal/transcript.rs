//! The transcript of a client, kept on demand: its own log, and what its managers did for it.

use epm_protocol::time::Timestamp;
use serde::Serialize;

use crate::agent::{Event, LogLine};

/// What a manager did for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ManagerEvent {
    /// When it happened.
    pub at: Timestamp,
    /// The manager, by its place among the managers' names.
    pub manager: usize,
    /// What the manager did.
    pub action: ManagerAction,
}

/// What a manager did, as its own records show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ManagerAction {
    /// The manager answered.
    Answered {
        /// The action that was asked for; `refused` if the manager did not understand the request.
        action: &'static str,
        /// The status of the answer.
        status: u16,
    },
    /// The manager showed its certificate, and the client broke the connection off.
    ShownInVain,
}

/// Both sides of a client's history.
#[derive(Clone, Debug, Default)]
pub(super) struct Transcript {
    pub(super) lines: Vec<LogLine>,
    pub(super) manager_events: Vec<ManagerEvent>,
}

impl Transcript {
    /// Adds what happened at one moment.
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
