//! The commands of the console, as the tasks of one running site share them.
//!
//! What becomes of a command is [`CommandTable`]'s to say. While no client has anything to be told, a heartbeat costs one
//! relaxed load here.

use std::sync::atomic::{AtomicBool, Ordering};

use epm_protocol::heartbeat::{ClientCommand, CommandKind, OperationalState};
use epm_protocol::id::{AgentId, CommandId};
use epm_protocol::site::{CommandTable, GivenCommand, RegisteredClient};
use epm_protocol::time::Timestamp;
use parking_lot::{Mutex, MutexGuard};

/// How many rows of commands a site remembers, a row for each command and client.
const MOST_ROWS: usize = 500_000;

/// The commands of a running site.
#[derive(Debug)]
pub(crate) struct CommandQueue {
    /// Whether any client has something to be told, or to tell.
    any: AtomicBool,
    table: Mutex<CommandTable>,
}

impl CommandQueue {
    pub(crate) fn new(seed: u64, cancels_running: bool) -> Self {
        Self {
            any: AtomicBool::new(false),
            table: Mutex::new(CommandTable::new(seed, MOST_ROWS, cancels_running)),
        }
    }

    /// Gives a command to these clients.
    pub(crate) fn give<'a>(
        &self,
        kind: CommandKind,
        particulars: &str,
        clients: impl IntoIterator<Item = &'a RegisteredClient>,
        now: Timestamp,
    ) -> CommandId {
        self.change(|table| table.give(kind, particulars, clients, now))
    }

    /// Cancels a command for whom it has not reached; none if there is none.
    pub(crate) fn cancel(&self, id: CommandId, now: Timestamp) -> Option<usize> {
        self.change(|table| table.cancel(id, now))
    }

    /// A command, and what has come of it.
    pub(crate) fn get(&self, id: CommandId) -> Option<GivenCommand> {
        self.table().get(id).cloned()
    }

    /// What `wanted` finds first among the commands, the newest first.
    pub(crate) fn find<R>(&self, wanted: impl FnMut(&GivenCommand) -> Option<R>) -> Option<R> {
        self.table().commands().find_map(wanted)
    }

    /// Whether a held request of this client would be answered now.
    pub(crate) fn has_undelivered(&self, agent: AgentId) -> bool {
        self.any.load(Ordering::Relaxed) && self.table().has_undelivered(agent)
    }

    /// The commands that this client is told with its next index; they count as told from now on.
    pub(crate) fn deliver(&self, agent: AgentId) -> Vec<ClientCommand> {
        if self.any.load(Ordering::Relaxed) { self.table().deliver(agent) } else { Vec::new() }
    }

    /// A client tells how it is, and what has come of its commands.
    pub(crate) fn record_reports(&self, agent: AgentId, state: &OperationalState, now: Timestamp) {
        if !state.commands.is_empty() {
            self.change(|table| {
                state.commands.iter().for_each(|report| table.record_report(agent, report, now));
            });
        }
    }

    /// The site does not know this client any more; no client at all when none is named.
    pub(crate) fn forget(&self, agent: Option<AgentId>) {
        self.change(|table| match agent {
            Some(agent) => table.forget_client(agent),
            None => table.forget_all_clients(),
        });
    }

    fn change<R>(&self, with: impl FnOnce(&mut CommandTable) -> R) -> R {
        let mut table = self.table();
        let result = with(&mut table);
        self.any.store(table.has_pending(), Ordering::Relaxed);
        result
    }

    fn table(&self) -> MutexGuard<'_, CommandTable> {
        self.table.lock()
    }
}
