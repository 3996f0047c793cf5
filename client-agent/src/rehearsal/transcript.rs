//! The transcript of a client, kept on demand: its log, and its managers' actions.

use epm_protocol::time::Timestamp;
use serde::Serialize;

use crate::agent::{Event, LogLine};

/// An action of a manager for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ManagerEvent {
    /// The time of the action.
    pub at: Timestamp,
    /// The index of the manager among the managers' names.
    pub manager: usize,
    /// The kind of action.
    pub action: ManagerAction,
}

/// The kind of a manager's action, as in its own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ManagerAction {
    /// The manager answered.
    Answered {
        /// The request; `refused` if the manager could not decode it.
        action: &'static str,
        /// The status of the answer.
        status: u16,
    },
    /// The manager showed its certificate, and the client ended the connection.
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
