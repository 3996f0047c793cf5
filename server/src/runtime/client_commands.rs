//! The console's commands to clients, shared by the tasks of a running site.
//!
//! [`CommandTable`] holds the rules. While no command is pending, a heartbeat costs one relaxed load here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use epm_protocol::heartbeat::{ClientCommand, CommandKind, OperationalState};
use epm_protocol::id::{AgentId, CommandId};
use epm_protocol::site::{CommandTable, GivenCommand, RegisteredClient};
use epm_protocol::time::Timestamp;
use parking_lot::{Mutex, MutexGuard};

/// Maximum number of rows that a site keeps, one per command and client.
const MOST_ROWS: usize = 500_000;

/// Commands of a running site, pending and completed.
#[derive(Debug)]
pub(crate) struct CommandQueue {
    /// Whether any command is pending or in progress.
    any: AtomicBool,
    /// Grows with every change of the table.
    revision: AtomicU64,
    table: Mutex<CommandTable>,
}

impl CommandQueue {
    pub(crate) fn new(seed: u64, cancels_running: bool) -> Self {
        Self {
            any: AtomicBool::new(false),
            revision: AtomicU64::new(0),
            table: Mutex::new(CommandTable::new(seed, MOST_ROWS, cancels_running)),
        }
    }

    /// Sets whether cancelling also reaches commands in progress.
    pub(crate) fn set_cancels_running(&self, cancels_running: bool) {
        self.table().set_cancels_running(cancels_running);
    }

    /// Queues a command for these clients.
    pub(crate) fn give<'a>(
        &self,
        kind: CommandKind,
        particulars: &str,
        clients: impl IntoIterator<Item = &'a RegisteredClient>,
        now: Timestamp,
    ) -> CommandId {
        self.change(|table| table.give(kind, particulars, clients, now))
    }

    /// Cancels a command for the clients that it has not reached; none if there is no such command.
    pub(crate) fn cancel(&self, id: CommandId, now: Timestamp) -> Option<usize> {
        self.change(|table| table.cancel(id, now))
    }

    /// A command, and its state for each client.
    pub(crate) fn get(&self, id: CommandId) -> Option<GivenCommand> {
        self.table().get(id).cloned()
    }

    /// The first match of `wanted` among the commands, newest first.
    pub(crate) fn find<R>(&self, wanted: impl FnMut(&GivenCommand) -> Option<R>) -> Option<R> {
        self.table().commands().find_map(wanted)
    }

    /// Whether a held request of this client would be answered now.
    pub(crate) fn has_undelivered(&self, agent: AgentId) -> bool {
        self.any.load(Ordering::Relaxed) && self.table().has_undelivered(agent)
    }

    /// Commands for this client's next index; they count as delivered from now on.
    pub(crate) fn deliver(&self, agent: AgentId) -> Vec<ClientCommand> {
        if self.any.load(Ordering::Relaxed) { self.change(|table| table.deliver(agent)) } else { Vec::new() }
    }

    /// Records a client's reported state and its results of commands.
    pub(crate) fn record_reports(&self, agent: AgentId, state: &OperationalState, now: Timestamp) {
        if !state.commands.is_empty() {
            self.change(|table| {
                state.commands.iter().for_each(|report| table.record_report(agent, report, now));
            });
        }
    }

    /// Forgets a client that the site no longer knows, or every client.
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
        self.revision.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// A number that grows with every change.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    /// A copy of all commands.
    pub(crate) fn all(&self) -> CommandTable {
        self.table().clone()
    }

    /// Continues with the commands of an earlier run.
    pub(crate) fn go_on_from(&self, earlier: CommandTable) {
        self.change(|table| *table = earlier);
    }

    fn table(&self) -> MutexGuard<'_, CommandTable> {
        self.table.lock()
    }
}
