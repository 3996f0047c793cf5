//! The commands that managers have for clients, and what came of each. The table is bounded; the oldest are forgotten
//! first.
//!
//! The driver decides when a client is told; this table knows which commands a client still has to be told of, and
//! which of a client's reports are accepted.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;

use super::client::RegisteredClient;
use serde::{Deserialize, Serialize};

use crate::heartbeat::{ClientCommand, CommandKind, CommandReport, CommandState};
use crate::id::{AgentId, CommandId, Guid, HardwareKey};
use crate::time::Timestamp;

/// The commands of a site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CommandTable {
    seed: u64,
    /// The number of commands since the site was founded.
    given: u64,
    most_rows: usize,
    rows: usize,
    order: VecDeque<CommandId>,
    commands: HashMap<CommandId, GivenCommand>,
    /// The commands that each client has not reported on yet, the oldest first.
    pending: HashMap<AgentId, Vec<CommandId>>,
    cancels_running: bool,
}

/// A command and its progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenCommand {
    /// The identifier and kind of the command.
    pub command: ClientCommand,
    /// The details that came with the command: a path, a scan's description.
    pub particulars: String,
    /// The time at which the command was given.
    pub given: Timestamp,
    /// A row for each addressed client, in the order of their identifiers.
    pub rows: Vec<CommandRow>,
}

/// The progress of a command at one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRow {
    /// The identifier of the client.
    pub agent: AgentId,
    /// The computer's name when the command was given.
    pub computer_name: String,
    /// The hardware key of the client's machine.
    pub hardware_key: HardwareKey,
    /// The state that the client reported last.
    pub state: CommandState,
    /// The time of the client's first report.
    pub begun: Option<Timestamp>,
    /// The time of the client's last report.
    pub updated: Option<Timestamp>,
    /// Whether the command has been in an index for the client.
    is_delivered: bool,
}

impl CommandTable {
    /// Makes an empty table that keeps about `most_rows` rows.
    pub fn new(seed: u64, most_rows: usize, cancels_running: bool) -> Self {
        Self {
            seed,
            given: 0,
            most_rows,
            rows: 0,
            order: VecDeque::new(),
            commands: HashMap::new(),
            pending: HashMap::new(),
            cancels_running,
        }
    }

    /// Gives a command to these clients, each once.
    pub fn give<'a>(
        &mut self,
        kind: CommandKind,
        particulars: &str,
        clients: impl IntoIterator<Item = &'a RegisteredClient>,
        now: Timestamp,
    ) -> CommandId {
        let row = |client: &RegisteredClient| CommandRow {
            agent: client.agent,
            computer_name: client.computer_name.clone(),
            hardware_key: client.hardware_key,
            state: CommandState::Initial,
            begun: None,
            updated: None,
            is_delivered: false,
        };
        let mut rows: Vec<CommandRow> = clients.into_iter().map(row).collect();
        rows.sort_by_key(|row| row.agent);
        rows.dedup_by_key(|row| row.agent);
        self.given += 1;
        let id = command_id(self.seed, self.given);
        for row in &rows {
            self.pending.entry(row.agent).or_default().push(id);
        }
        self.rows += rows.len();
        let command = ClientCommand { id, kind };
        let given = GivenCommand { command, particulars: particulars.to_owned(), given: now, rows };
        self.commands.insert(id, given);
        self.order.push_back(id);
        self.forget();
        id
    }

    /// Whether any client has yet to report on a command.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether a command has not been in an index for this client yet.
    pub fn has_undelivered(&self, agent: AgentId) -> bool {
        let pending = self.pending.get(&agent).into_iter().flatten();
        pending.filter_map(|id| self.row(*id, agent)).any(|row| !row.is_delivered)
    }

    /// Returns the commands for a client's next index, until the client reports on them, and marks them as delivered.
    pub fn deliver(&mut self, agent: AgentId) -> Vec<ClientCommand> {
        let mut told = Vec::new();
        for id in self.pending.get(&agent).into_iter().flatten() {
            if let Some(given) = self.commands.get_mut(id)
                && let Some(row) = given.row_mut(agent)
            {
                row.is_delivered = true;
                told.push(given.command);
            }
        }
        told
    }

    /// Records a client's report on a command. A cancelled command stays cancelled, and no state goes back.
    pub fn record_report(&mut self, agent: AgentId, report: &CommandReport, now: Timestamp) {
        let Some(row) = self.commands.get_mut(&report.id).and_then(|given| given.row_mut(agent)) else {
            return;
        };
        if row.state.is_final() || report.state <= row.state {
            return;
        }
        row.state = report.state;
        row.begun.get_or_insert(now);
        row.updated = Some(now);
        self.settle(agent, report.id);
    }

    /// Sets whether cancelling also reaches commands in progress.
    pub fn set_cancels_running(&mut self, cancels_running: bool) {
        self.cancels_running = cancels_running;
    }

    /// Cancels a command for every client that has not reported on it; returns their number, or none for an unknown
    /// command.
    pub fn cancel(&mut self, id: CommandId, now: Timestamp) -> Option<usize> {
        let given = self.commands.get_mut(&id)?;
        let cancels_running = self.cancels_running;
        let can = |row: &&mut CommandRow| match row.state {
            CommandState::Initial => true,
            state => cancels_running && !state.is_final(),
        };
        let mut cancelled = Vec::new();
        for row in given.rows.iter_mut().filter(can) {
            row.state = CommandState::Cancelled;
            row.updated = Some(now);
            cancelled.push(row.agent);
        }
        for agent in &cancelled {
            self.settle(*agent, id);
        }
        Some(cancelled.len())
    }

    /// Drops what is pending for a client that was removed.
    pub fn forget_client(&mut self, agent: AgentId) {
        self.pending.remove(&agent);
    }

    /// Drops what is pending for all clients.
    pub fn forget_all_clients(&mut self) {
        self.pending.clear();
    }

    /// The command of this identifier; none if there never was one, or it has been forgotten.
    pub fn get(&self, id: CommandId) -> Option<&GivenCommand> {
        self.commands.get(&id)
    }

    /// The commands of the table, the oldest first.
    pub fn commands(&self) -> impl Iterator<Item = &GivenCommand> {
        self.order.iter().filter_map(|id| self.commands.get(id))
    }

    fn row(&self, id: CommandId, agent: AgentId) -> Option<&CommandRow> {
        let rows = &self.commands.get(&id)?.rows;
        rows.binary_search_by_key(&agent, |row| row.agent).ok().and_then(|place| rows.get(place))
    }

    /// Removes a command from what is pending for the client.
    fn settle(&mut self, agent: AgentId, id: CommandId) {
        let Some(pending) = self.pending.get_mut(&agent) else { return };
        pending.retain(|one| *one != id);
        if pending.is_empty() {
            self.pending.remove(&agent);
        }
    }

    fn forget(&mut self) {
        while self.order.len() > 1 && (self.rows > self.most_rows || self.order.len() > self.most_rows) {
            let Some(given) = self.order.pop_front().and_then(|id| self.commands.remove(&id)) else { return };
            self.rows -= given.rows.len();
            for row in &given.rows {
                self.settle(row.agent, given.command.id);
            }
        }
    }
}

impl GivenCommand {
    fn row_mut(&mut self, agent: AgentId) -> Option<&mut CommandRow> {
        let place = self.rows.binary_search_by_key(&agent, |row| row.agent).ok()?;
        self.rows.get_mut(place)
    }
}

/// The identifier of the command of this number. It looks like a random UUID without dashes, as recorded ones do.
fn command_id(seed: u64, number: u64) -> CommandId {
    let made = |kind| Guid::derive(seed, kind, &number.to_string(), Ipv4Addr::UNSPECIFIED);
    let mut bytes = *made("command").as_bytes();
    let more = *made("more of a command").as_bytes();
    bytes[4..8].copy_from_slice(&more[..4]);
    bytes[6] = 0x40 | (bytes[6] & 0x0F);
    bytes[8] = 0x80 | (bytes[8] & 0x3F);
    CommandId(Guid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::GroupId;

    const NOW: Timestamp = Timestamp::from_seconds(1_767_600_000);
    const LATER: Timestamp = Timestamp::from_seconds(1_767_600_300);

    fn client(byte: u8) -> RegisteredClient {
        let id = Guid::from_bytes([byte; 16]);
        RegisteredClient {
            agent: AgentId(id),
            hardware_key: HardwareKey(id),
            computer_name: format!("PC-{byte}"),
            version: "14.3".parse().unwrap(),
            group: GroupId(id),
            turn: 0,
            conflicts: Vec::new(),
            is_duplicate: false,
        }
    }

    fn states(table: &CommandTable, id: CommandId) -> Vec<i64> {
        table.get(id).unwrap().rows.iter().map(|row| row.state.number()).collect()
    }

    #[test]
    fn a_command_is_sent_to_a_client_until_the_client_reports_it() {
        let mut table = CommandTable::new(1, 100, false);
        let (one, two) = (client(1), client(2));
        let id = table.give(CommandKind::Quarantine, "", [&two, &one, &two], NOW);
        assert!(
            table.has_pending()
                && table.has_undelivered(one.agent)
                && !table.has_undelivered(client(3).agent)
        );
        let told = vec![ClientCommand { id, kind: CommandKind::Quarantine }];
        assert_eq!((table.deliver(one.agent), table.deliver(one.agent)), (told.clone(), told));
        assert!(!table.has_undelivered(one.agent) && table.has_undelivered(two.agent));
        assert_eq!(states(&table, id), [0, 0]);
        let report = |state| CommandReport { id, state };
        table.record_report(one.agent, &report(CommandState::InProgress), LATER);
        assert_eq!((states(&table, id), table.deliver(one.agent)), (vec![2, 0], vec![]));
        table.record_report(one.agent, &report(CommandState::Completed), LATER);
        table.record_report(one.agent, &report(CommandState::Received), LATER);
        table.record_report(client(3).agent, &report(CommandState::Completed), LATER);
        assert_eq!(states(&table, id), [3, 0]);
        let row = &table.get(id).unwrap().rows[0];
        assert_eq!((row.begun, row.updated), (Some(LATER), Some(LATER)));
        table.record_report(two.agent, &report(CommandState::Rejected), LATER);
        assert!(!table.has_pending());
        for leaves in [
            |table: &mut CommandTable| table.forget_client(client(1).agent),
            CommandTable::forget_all_clients,
        ] {
            table.give(CommandKind::Restart, "", [&one], NOW);
            assert!(table.has_pending());
            leaves(&mut table);
            assert!(!table.has_pending());
        }
    }

    #[test]
    fn cancelling_a_command_does_not_reach_clients_that_reported_it_unless_that_is_assumed() {
        for (cancels_running, expected) in [(false, vec![2, 5, 3]), (true, vec![5, 5, 3])] {
            let mut table = CommandTable::new(1, 100, cancels_running);
            let clients = [client(1), client(2), client(3)];
            let id = table.give(CommandKind::FullScan, "", &clients, NOW);
            let report = |state| CommandReport { id, state };
            table.record_report(clients[0].agent, &report(CommandState::InProgress), NOW);
            table.record_report(clients[2].agent, &report(CommandState::Completed), NOW);
            table.cancel(id, LATER).unwrap();
            table.record_report(clients[1].agent, &report(CommandState::Completed), LATER);
            assert_eq!(states(&table, id), expected);
            assert!(!table.has_pending());
        }
        let nothing = CommandId(Guid::from_bytes([9; 16]));
        assert_eq!(CommandTable::new(1, 1, false).cancel(nothing, NOW), None);
    }

    #[test]
    fn the_oldest_commands_are_forgotten_first_and_are_no_longer_pending() {
        let mut table = CommandTable::new(1, 3, false);
        let clients = [client(1), client(2)];
        let ids: Vec<_> = (0..3).map(|_| table.give(CommandKind::Restart, "", &clients, NOW)).collect();
        assert_eq!(table.commands().map(|one| one.command.id).collect::<Vec<_>>(), ids[2..]);
        assert_eq!(table.deliver(clients[0].agent).len(), 1);
        let mut table = CommandTable::new(1, 3, false);
        (0..9).for_each(|_| _ = table.give(CommandKind::Restart, "", [], NOW));
        assert_eq!(table.commands().count(), 3);
    }

    #[test]
    fn identifiers_differ_and_look_like_random_ones() {
        let id = command_id(1, 1).to_string();
        assert_eq!((&id[12..13], "89AB".contains(&id[16..17])), ("4", true), "{id}");
        assert_ne!(command_id(1, 1), command_id(1, 2));
        assert_ne!(command_id(1, 1), command_id(2, 1));
    }
}
