//! The clients of a running site: the client table, and commands to clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use epm_protocol::heartbeat::{AgentRequest, ClientCommand, CommandKind, ManagerResponse, OperationalState};
use epm_protocol::id::{AgentId, CommandId};
use epm_protocol::manager::{self, ClientTable};
use epm_protocol::policy::PolicySerial;
use epm_protocol::site::{Answer, Publication, RegisteredClient, Visit};
use epm_protocol::time::Timestamp;
use tokio::sync::watch;

use crate::runtime::client_commands::CommandQueue;
use crate::runtime::held_requests::HeldRequests;
use crate::runtime::manager::Published;

/// The clients of a running site.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) commands: CommandQueue,
    pub(crate) held: HeldRequests,
    table: DashMap<AgentId, ClientStatus>,
    version: AtomicU64,
    /// Number of heartbeats that were answered.
    heartbeats: AtomicU64,
    /// Counts the changes that a held request may be answered for.
    changes: watch::Sender<u64>,
}

/// A client as its managers know it.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        self.table.get(&agent).map(|status| status.clone())
    }

    /// Status of every registered client.
    pub(crate) fn statuses(&self) -> Vec<ClientStatus> {
        self.table.iter().map(|status| status.clone()).collect()
    }

    /// Visits every registered client.
    pub(crate) fn each(&self, mut look: impl FnMut(&ClientStatus)) {
        self.table.iter().for_each(|status| look(&status));
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
        let mut status = self.table.entry(client.agent).or_insert_with(|| ClientStatus {
            client: client.clone(),
            since: now,
            last_seen: now,
            manager: None,
            serial: None,
            state: None,
        });
        status.client = client.clone();
        drop(status);
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

    /// Replaces the whole table.
    pub(crate) fn restore(&self, statuses: Vec<ClientStatus>) {
        self.table.clear();
        for status in statuses {
            self.table.insert(status.client.agent, status);
        }
    }

    /// Makes every held request check again for an answer.
    pub(crate) fn wake_held(&self) {
        self.changes.send_modify(|count| *count += 1);
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

    /// Holds a request on the connection from `peer` until there is an answer to it in the publication of that moment.
    pub(crate) async fn hold(
        &self,
        published: impl Fn() -> Arc<Published>,
        (asked, peer): (&AgentRequest, SocketAddr),
        now: impl Fn() -> Timestamp,
    ) -> ManagerResponse {
        let mut changes = self.changes.subscribe();
        let mut counted = None;
        loop {
            changes.mark_unchanged();
            let (answer, _) = self.answer(&published().publication, asked, now());
            match answer {
                Answer::Now(response) => return response,
                Answer::WhenChanged => {
                    counted.get_or_insert_with(|| self.held.begin(asked.agent(), peer));
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
        let client = self.table.get(&agent).map(|status| status.client.clone());
        !self.commands.has_undelivered(agent)
            && publication.answer(&asked, client.as_ref()).0 == Answer::WhenChanged
    }

    fn table_changed(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
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
        let Some(mut status) = self.clients.table.get_mut(&agent) else { return answer(None) };
        let (answer, visit) = answer(Some(&status.client));
        if visit == Visit::Anonymous {
            return (answer, visit); // a probe is no contact
        }
        status.last_seen = self.now;
        if status.manager.as_deref() != Some(self.manager) {
            status.manager = Some(self.manager.to_owned());
        }
        match &visit {
            Visit::Client { serial: Some(serial), .. } => status.serial = Some(*serial),
            Visit::Reported { state: Some(state), agent } => {
                self.clients.commands.record_reports(*agent, state, self.now);
                status.serial = state.serial;
                status.state = Some(state.clone());
            }
            _ => {}
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
