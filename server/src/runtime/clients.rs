//! The clients of a running site: the client table, and commands to clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use epm_protocol::heartbeat::{AgentRequest, ClientCommand, CommandKind, ManagerResponse, OperationalState};
use epm_protocol::id::{AgentId, CommandId};
use epm_protocol::manager::{self, ClientTable};
use epm_protocol::policy::PolicySerial;
use epm_protocol::site::{Answer, Publication, RegisteredClient, Visit};
use epm_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::runtime::client_commands::CommandQueue;
use crate::runtime::connections::Connection;
use crate::runtime::held_requests::HeldRequests;
use crate::runtime::manager::Published;

/// The clients of a running site.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) commands: CommandQueue,
    pub(crate) held: HeldRequests,
    table: DashMap<AgentId, Row>,
    version: AtomicU64,
    /// Number of heartbeats that were answered.
    heartbeats: AtomicU64,
    /// Counts the changes that a held request may be answered for.
    changes: watch::Sender<u64>,
}

/// A client of the table, and what of it the store does not have yet.
#[derive(Clone, Debug)]
struct Row {
    status: ClientStatus,
    unkept: Unkept,
}

/// What of a client the store does not have yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unkept {
    Nothing,
    LastSeen,
    /// What visits change.
    Visit,
    /// The registration as well.
    Everything,
}

/// The clients that have changed since they were last taken for the store.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangedClients {
    /// Clients that were registered or moved.
    pub(crate) changed: Vec<ClientStatus>,
    /// Other clients of which something has changed that is not in `seen`.
    pub(crate) visited: Vec<ClientStatus>,
    /// Clients that were seen, and have not changed otherwise.
    pub(crate) seen: Vec<(AgentId, Timestamp)>,
}

/// A client as its managers know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientStatus {
    /// The client's registration.
    pub client: RegisteredClient,
    /// When the client was registered.
    pub since: Timestamp,
    /// When the client was last seen.
    pub last_seen: Timestamp,
    /// The manager that the client asked last, if it has asked for anything since it was registered.
    pub manager: Option<String>,
    /// The policy that the client said it holds.
    pub serial: Option<PolicySerial>,
    /// The operational state that the client reported last.
    pub state: Option<OperationalState>,
}

impl Clients {
    /// An empty client table.
    pub(crate) fn new(commands: CommandQueue) -> Self {
        Self {
            commands,
            held: HeldRequests::default(),
            table: DashMap::new(),
            version: AtomicU64::new(0),
            heartbeats: AtomicU64::new(0),
            changes: watch::Sender::new(0),
        }
    }

    /// Status of a client.
    pub(crate) fn status(&self, agent: AgentId) -> Option<ClientStatus> {
        self.table.get(&agent).map(|row| row.status.clone())
    }

    /// Status of every registered client.
    pub(crate) fn statuses(&self) -> Vec<ClientStatus> {
        self.table.iter().map(|row| row.status.clone()).collect()
    }

    /// Visits every registered client.
    pub(crate) fn each(&self, mut look: impl FnMut(&ClientStatus)) {
        self.table.iter().for_each(|row| look(&row.status));
    }

    /// Increases whenever a client is registered, moved or forgotten.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Number of heartbeats that the managers have answered.
    pub(crate) fn heartbeats(&self) -> u64 {
        self.heartbeats.load(Ordering::Relaxed)
    }

    /// Adds or updates a client as the site has it now.
    pub(crate) fn place(&self, client: &RegisteredClient, now: Timestamp) {
        let mut row = self.table.entry(client.agent).or_insert_with(|| {
            let client = client.clone();
            Row::new(ClientStatus {
                client,
                since: now,
                last_seen: now,
                manager: None,
                serial: None,
                state: None,
            })
        });
        row.status.client = client.clone();
        row.unkept = Unkept::Everything;
        drop(row);
        self.table_changed();
        self.wake_held();
    }

    /// Forgets a client that the site has removed, or every client.
    pub(crate) fn forget(&self, agent: Option<AgentId>) {
        match agent {
            Some(agent) => {
                self.table.remove(&agent);
            }
            None => self.table.clear(),
        }
        self.commands.forget(agent);
        self.table_changed();
    }

    /// Replaces the whole table by clients that the store has.
    pub(crate) fn restore(&self, statuses: Vec<ClientStatus>) {
        self.table.clear();
        for status in statuses {
            self.table.insert(status.client.agent, Row { status, unkept: Unkept::Nothing });
        }
    }

    /// The clients that have changed since the last call, for the store.
    pub(crate) fn take_changed(&self) -> ChangedClients {
        let mut taken = ChangedClients::default();
        for mut row in self.table.iter_mut() {
            match std::mem::replace(&mut row.unkept, Unkept::Nothing) {
                Unkept::Nothing => {}
                Unkept::LastSeen => taken.seen.push((row.status.client.agent, row.status.last_seen)),
                Unkept::Visit => taken.visited.push(row.status.clone()),
                Unkept::Everything => taken.changed.push(row.status.clone()),
            }
        }
        // Close to each other in the store, too.
        taken.seen.sort_unstable();
        taken
    }

    /// Takes back that these clients were taken: the store could not be written.
    pub(crate) fn still_changed(&self, taken: &ChangedClients) {
        let ChangedClients { changed, visited, seen } = taken;
        let agents = changed.iter().chain(visited).map(|status| status.client.agent);
        for agent in agents.chain(seen.iter().map(|(agent, _)| *agent)) {
            if let Some(mut row) = self.table.get_mut(&agent) {
                row.unkept = Unkept::Everything;
            }
        }
    }

    /// Takes over a client that another process of the site has registered, moved or seen: its registration, and its last visit
    /// if that was later than the one that is known here. A registration that is not written yet keeps all but its group.
    /// Returns the client as it is then.
    pub(crate) fn adopt(&self, theirs: ClientStatus) -> RegisteredClient {
        let mut row = self
            .table
            .entry(theirs.client.agent)
            .or_insert_with(|| Row { status: theirs.clone(), unkept: Unkept::Nothing });
        let Row { status, unkept } = &mut *row;
        if *unkept == Unkept::Everything {
            status.client.group = theirs.client.group;
        } else {
            status.client = theirs.client;
        }
        status.since = status.since.min(theirs.since);
        if theirs.last_seen > status.last_seen {
            (status.last_seen, status.manager) = (theirs.last_seen, theirs.manager);
            (status.serial, status.state) = (theirs.serial, theirs.state);
            if *unkept != Unkept::Everything {
                *unkept = Unkept::Nothing;
            }
        }
        status.client.clone()
    }

    /// Notes that clients were adopted or forgotten: held requests are checked again.
    pub(crate) fn adopted(&self) {
        self.table_changed();
        self.wake_held();
    }

    /// Makes every held request check again for an answer.
    pub(crate) fn wake_held(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Increases whenever held requests check again for an answer.
    pub(crate) fn changes(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Queues a command for clients; their held requests are answered at once.
    pub(crate) fn command(
        &self,
        kind: CommandKind,
        particulars: &str,
        clients: &[RegisteredClient],
        now: Timestamp,
    ) -> CommandId {
        let id = self.commands.give(kind, particulars, clients, now);
        self.wake_held();
        id
    }

    /// Answers from a publication, and records the visit.
    pub(crate) fn answer(
        &self,
        publication: &Publication,
        asked: &AgentRequest,
        now: Timestamp,
    ) -> (Answer, Visit) {
        if matches!(asked, AgentRequest::Index { .. }) {
            self.heartbeats.fetch_add(1, Ordering::Relaxed);
        }
        manager::answer(publication, asked, &VisitTo { clients: self, manager: &publication.manager, now })
    }

    /// Holds a request on a connection until there is an answer to it in the publication of that moment. Never completes on a
    /// connection that was ended: what ends connections may also be what is answered, and a task that is ended goes on until it waits.
    pub(crate) async fn hold(
        &self,
        published: impl Fn() -> Arc<Published>,
        (asked, connection): (&AgentRequest, &Connection),
        now: impl Fn() -> Timestamp,
    ) -> ManagerResponse {
        let mut changes = self.changes.subscribe();
        let mut counted = None;
        loop {
            changes.mark_unchanged();
            if connection.is_ended() {
                std::future::pending::<()>().await;
            }
            let (answer, _) = self.answer(&published().publication, asked, now());
            match answer {
                Answer::Now(response) => return response,
                Answer::WhenChanged => {
                    counted.get_or_insert_with(|| self.held.begin(asked.agent(), connection.peer));
                    if changes.changed().await.is_err() {
                        return ManagerResponse::empty(503);
                    }
                }
            }
        }
    }

    /// Whether a request of this client to hold would be held: its group has no news and no command is pending.
    pub(crate) fn would_hold(
        &self,
        publication: &Publication,
        agent: AgentId,
        serial: Option<PolicySerial>,
    ) -> bool {
        let asked = AgentRequest::Hold { agent, serial };
        let client = self.table.get(&agent).map(|row| row.status.client.clone());
        !self.commands.has_undelivered(agent)
            && publication.answer(&asked, client.as_ref()).0 == Answer::WhenChanged
    }

    fn table_changed(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
    }
}

impl Row {
    /// A client that the store does not have.
    const fn new(status: ClientStatus) -> Self {
        Self { status, unkept: Unkept::Everything }
    }
}

/// The client table during one visit.
struct VisitTo<'a> {
    clients: &'a Clients,
    manager: &'a str,
    now: Timestamp,
}

impl ClientTable for VisitTo<'_> {
    fn visit(
        &self,
        agent: AgentId,
        answer: impl FnOnce(Option<&RegisteredClient>) -> (Answer, Visit),
    ) -> (Answer, Visit) {
        let Some(mut row) = self.clients.table.get_mut(&agent) else { return answer(None) };
        let (answer, visit) = answer(Some(&row.status.client));
        if visit == Visit::Anonymous {
            return (answer, visit); // a probe is no contact
        }
        let Row { status, unkept } = &mut *row;
        status.last_seen = self.now;
        let mut changed = false;
        if status.manager.as_deref() != Some(self.manager) {
            status.manager = Some(self.manager.to_owned());
            changed = true;
        }
        match &visit {
            Visit::Client { serial: Some(serial), .. } => {
                changed |= status.serial != Some(*serial);
                status.serial = Some(*serial);
            }
            Visit::Reported { state: Some(state), agent } => {
                self.clients.commands.record_reports(*agent, state, self.now);
                status.serial = state.serial;
                status.state = Some(state.clone());
                changed = true;
            }
            _ => {}
        }
        match (changed, *unkept) {
            (true, Unkept::Nothing | Unkept::LastSeen) => *unkept = Unkept::Visit,
            (false, Unkept::Nothing) => *unkept = Unkept::LastSeen,
            (true, Unkept::Visit) | (_, Unkept::Everything) | (false, Unkept::LastSeen | Unkept::Visit) => {}
        }
        (answer, visit)
    }

    fn has_commands_for(&self, agent: AgentId) -> bool {
        self.clients.commands.has_undelivered(agent)
    }

    fn tell_commands(&self, agent: AgentId) -> Vec<ClientCommand> {
        self.clients.commands.deliver(agent)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::net::SocketAddr;
    use std::pin::{Pin, pin};
    use std::task::{Context, Waker};

    use arc_swap::Guard;
    use epm_client_agent::wire::LabClock;
    use epm_protocol::heartbeat::Registration;
    use epm_protocol::id::{Guid, HardwareKey};
    use epm_protocol::site::{Command, NewCertificate, Stores};

    use super::*;
    use crate::runtime::connections::Connections;
    use crate::runtime::keeper::Keeper;
    use crate::runtime::state::SiteState;
    use crate::store::{GivenBy, test_site};

    /// A site with one manager and one client, and the request of that client to be told of changes.
    fn site_with_a_client() -> (SiteState, AgentRequest) {
        let (site, now) = test_site(1);
        let clock = Arc::new(LabClock::starting_at(now, 0));
        let registration = Registration {
            domain: site.domain(),
            hardware_key: HardwareKey(Guid::from_bytes([7; 16])),
            computer_name: "laptop".to_owned(),
            version: "14.3.8289".parse().unwrap(),
            preferred_group: None,
        };
        let state = SiteState::new(site, clock, 1, Keeper::new(None, 0)).unwrap();
        state.apply(&Command::Register(registration), GivenBy::Up).unwrap();
        let client = state.clients.statuses().remove(0).client;
        let publication = Arc::clone(&state.managers[0].published().publication);
        let serial = publication.group(client.group).map(|group| group.serial);
        let agent = client.agent;
        (state, AgentRequest::Hold { agent, serial })
    }

    #[tokio::test]
    async fn what_ends_a_connection_is_not_answered_on_it_by_a_task_that_still_runs() {
        let (state, asked) = site_with_a_client();
        // Neither task is stopped when its connection is ended: it has not come to its next wait.
        let (ending, staying) = (Arc::<Connections>::default(), Arc::<Connections>::default());
        let (sender, mut opened) = tokio::sync::mpsc::unbounded_channel();
        for connections in [&ending, &staying] {
            connections.receive(SocketAddr::from(([127, 0, 0, 1], 1)), |connection| {
                let _ = sender.send(connection);
                tokio::spawn(std::future::pending())
            });
        }
        let (ended, open) = (opened.recv().await.unwrap(), opened.recv().await.unwrap());
        let published = || Guard::into_inner(state.managers[0].published());
        let now = || Timestamp::from_seconds(1_767_600_000);
        let mut on_ended = pin!(state.clients.hold(published, (&asked, &ended), now));
        let mut on_open = pin!(state.clients.hold(published, (&asked, &open), now));
        let look = |hold: Pin<&mut dyn Future<Output = ManagerResponse>>| {
            hold.poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        assert!(!look(on_ended.as_mut()) && !look(on_open.as_mut()), "there is nothing new");
        ending.end_all();
        let update = Command::UpdateCertificate {
            manager: "sepm-1".to_owned(),
            certificate: NewCertificate::Generate { common_name: None, valid_days: None },
            stores: Stores::Both,
        };
        state.apply(&update, GivenBy::Up).unwrap();
        assert!(look(on_open.as_mut()), "the new certificate is something new");
        assert!(!look(on_ended.as_mut()), "the answer would come from after the end of the connection");
    }
}
