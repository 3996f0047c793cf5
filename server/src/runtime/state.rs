//! What the tasks of one running site share: the site, what each manager answers from, and the client table.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use dashmap::{DashMap, Entry};
use epm_client_agent::wire::LabClock;
use epm_protocol::heartbeat::{
    AgentRequest, ClientCommand, CommandKind, ManagerResponse, OperationalState, Registration,
};
use epm_protocol::id::{AgentId, CommandId};
use epm_protocol::manager::previous::Previous;
use epm_protocol::manager::{self, ClientRegistry};
use epm_protocol::policy::PolicySerial;
use epm_protocol::site::{Answer, Client, Command, CommandError, Effect, Publication, Site, Visit, agent_id};
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::KeyPool;
use rustls::ServerConfig;
use tokio::sync::watch;

use crate::runtime::client_commands::CommandQueue;
use crate::runtime::connections::Connections;
use crate::runtime::faults::FaultState;
use crate::runtime::install_dir::{Installation, Starting};
use crate::runtime::journal::Journal;
use crate::runtime::tls::server_config;
use crate::wire::FaultCertCache;

/// What the tasks of one running site share.
#[derive(Debug)]
pub(crate) struct SiteState {
    pub(crate) clock: Arc<LabClock>,
    pub(crate) journal: Journal,
    pub(crate) managers: Vec<Arc<ManagerRuntime>>,
    pub(crate) faults: FaultState,
    pub(crate) commands: CommandQueue,
    /// Keys for what faults mint.
    pub(crate) spare_keys: KeyPool,
    site: Mutex<Site>,
    board: DashMap<AgentId, ClientStatus>,
    registry_version: AtomicU64,
    published: watch::Sender<u64>,
    /// How many requests are held.
    held: AtomicUsize,
    /// Of whom.
    held_of: DashMap<AgentId, usize>,
}

/// OrdinalCounter one, as long as it lives.
struct Counted<'a> {
    shared: &'a SiteState,
    agent: Option<AgentId>,
}

impl<'a> Counted<'a> {
    fn one(shared: &'a SiteState, agent: Option<AgentId>) -> Self {
        shared.held.fetch_add(1, Ordering::SeqCst);
        if let Some(agent) = agent {
            *shared.held_of.entry(agent).or_default() += 1;
        }
        Self { shared, agent }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.shared.held.fetch_sub(1, Ordering::SeqCst);
        if let Some(agent) = self.agent
            && let Entry::Occupied(mut count) = self.shared.held_of.entry(agent)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What one manager answers from, and the certificate that it shows: each replaced whole, and read without a lock.
#[derive(Debug)]
pub(crate) struct ManagerRuntime {
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) publication: ArcSwap<Publication>,
    pub(crate) tls: ArcSwap<ServerConfig>,
    /// What it was before its last change; only faults ask for it.
    pub(crate) previous: ArcSwapOption<Previous>,
    /// The certificates that it shows under faults.
    pub(crate) fault_certs: FaultCertCache,
    /// The connections that are open; when the services of the manager restart, they end.
    pub(crate) connections: Arc<Connections>,
    pub(crate) rest: RestListener,
    /// Whether the web server has not started: then nobody gets through to the clients' port.
    pub(crate) stopped: AtomicBool,
    /// Its folder, if it has one.
    pub(crate) installation: OnceLock<Installation>,
}

/// Where a manager serves its console: what it shows there, who is there, and how many times it has begun.
#[derive(Debug, Default)]
pub(crate) struct RestListener {
    /// None while there is no console.
    pub(crate) tls: ArcSwapOption<ServerConfig>,
    pub(crate) connections: Arc<Connections>,
    /// Whether it has not started.
    pub(crate) stopped: AtomicBool,
    restarts: AtomicU64,
}

impl RestListener {
    /// How many times it has been restarted.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::SeqCst)
    }
}

/// A service of a manager, by the names that the product has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// The manager itself: the console and the REST API.
    Semsrv,
    /// The web server: the clients' port.
    Semwebsrv,
}

/// A client, as the site knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientStatus {
    /// Its registration.
    pub client: Client,
    /// When it was registered.
    pub since: Timestamp,
    /// When it was here last.
    pub last_seen: Timestamp,
    /// Which manager it was with, if it has asked for anything since it was registered.
    pub manager: Option<String>,
    /// The policy that it said it holds.
    pub serial: Option<PolicySerial>,
    /// What it told of itself last.
    pub state: Option<OperationalState>,
}

impl SiteState {
    /// # Errors
    ///
    /// When rustls cannot use a manager's key.
    pub(crate) fn new(site: Site, clock: Arc<LabClock>, seed: u64) -> Result<Self, rustls::Error> {
        let mut managers = Vec::new();
        for (number, manager) in site.managers().enumerate() {
            let Some(publication) = site.publication(&manager.name) else { continue };
            let tls = server_config(&publication.identity, clock.clone())?;
            managers.push(Arc::new(ManagerRuntime {
                number,
                name: manager.name.clone(),
                publication: ArcSwap::from(Arc::clone(publication)),
                tls: ArcSwap::from(tls),
                previous: ArcSwapOption::empty(),
                fault_certs: FaultCertCache::default(),
                connections: Arc::default(),
                rest: RestListener::default(),
                stopped: AtomicBool::new(false),
                installation: OnceLock::new(),
            }));
        }
        Ok(Self {
            journal: Journal::new(Arc::clone(&clock)),
            clock,
            managers,
            faults: FaultState::new(seed),
            commands: CommandQueue::new(seed, site.assumptions().cancel_reaches_running_commands),
            spare_keys: KeyPool::public(),
            site: Mutex::new(site),
            board: DashMap::new(),
            registry_version: AtomicU64::new(0),
            published: watch::Sender::new(0),
            held: AtomicUsize::new(0),
            held_of: DashMap::new(),
        })
    }

    /// The manager of this name.
    pub(crate) fn manager(&self, name: &str) -> Option<&Arc<ManagerRuntime>> {
        self.managers.iter().find(|one| one.name == name)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The site, to be looked at. Never held over an await.
    pub(crate) fn site(&self) -> MutexGuard<'_, Site> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client, as the site knows it.
    pub(crate) fn client_status(&self, agent: AgentId) -> Option<ClientStatus> {
        self.board.get(&agent).map(|client_status| client_status.clone())
    }

    /// Applies a command, and lets its effects show.
    pub(crate) fn apply(&self, command: &Command) -> Result<Vec<Effect>, CommandError> {
        let now = self.now();
        let mut site = self.site();
        let effects = site.apply(command, now)?;
        self.show(&site, &effects, now);
        Ok(effects)
    }

    /// The services of a manager that did not start.
    pub(crate) fn stopped_services(&self, manager: &str) -> Vec<Service> {
        let Some(manager) = self.manager(manager) else {
            return Vec::new();
        };
        let services = [(Service::Semsrv, &manager.rest.stopped), (Service::Semwebsrv, &manager.stopped)];
        services
            .into_iter()
            .filter(|(_, stopped)| stopped.load(Ordering::SeqCst))
            .map(|(one, _)| one)
            .collect()
    }

    /// Applies commands, and lets the effects of all of them show at once; or refuses, and changes nothing.
    pub(crate) fn apply_all(&self, commands: &[Command]) -> Result<Vec<Effect>, CommandError> {
        let now = self.now();
        let mut site = self.site();
        let effects = give(&mut site, commands, now)?;
        self.show(&site, &effects, now);
        Ok(effects)
    }

    /// Looks at the site, decides what is to be done, and does it, before anybody else can change the site. An empty
    /// decision changes nothing.
    pub(crate) fn decide<R, E: From<CommandError>>(
        &self,
        decide: impl FnOnce(&Site) -> Result<(Vec<Command>, R), E>,
    ) -> Result<R, E> {
        let now = self.now();
        let mut site = self.site();
        let (commands, decided) = decide(&site)?;
        if commands.is_empty() {
            return Ok(decided);
        }
        let effects = give(&mut site, &commands, now)?;
        self.show(&site, &effects, now);
        Ok(decided)
    }

    /// Rises whenever a client is registered, moved or forgotten.
    pub(crate) fn registry_version(&self) -> u64 {
        self.registry_version.load(Ordering::SeqCst)
    }

    fn registry_changed(&self) {
        self.registry_version.fetch_add(1, Ordering::SeqCst);
    }

    /// Looks at every client in the client table.
    pub(crate) fn each_client(&self, mut look: impl FnMut(&ClientStatus)) {
        self.board.iter().for_each(|client_status| look(&client_status));
    }

    /// Lets effects show.
    fn show(&self, site: &Site, effects: &[Effect], now: Timestamp) {
        self.keep_files(site, effects, now);
        self.show_without_files(site, effects, now);
    }

    /// The same, for what the folders hold already.
    pub(crate) fn show_without_files(&self, site: &Site, effects: &[Effect], now: Timestamp) {
        // Restarts come first: over a connection of before, nobody gets what is published after.
        for effect in effects {
            match effect {
                Effect::CertificateServed { manager, .. } => self.show_certificate(site, manager),
                Effect::ConsoleCertificate { manager, .. } => self.show_rest_certificate(site, manager),
                Effect::ServicesRestarted => self.restart(site),
                Effect::Published { .. }
                | Effect::ClientsForgotten
                | Effect::ClientRemoved { .. }
                | Effect::ClientPlaced { .. } => {}
            }
        }
        for effect in effects {
            match effect {
                Effect::Published { .. } => self.show_publications(site),
                Effect::ClientsForgotten => {
                    self.board.clear();
                    self.commands.leave(None);
                    self.registry_changed();
                }
                Effect::ClientRemoved { agent } => {
                    self.board.remove(agent);
                    self.commands.leave(Some(*agent));
                    self.registry_changed();
                }
                Effect::ClientPlaced { agent, .. } => self.place(site, *agent, now),
                Effect::CertificateServed { .. }
                | Effect::ConsoleCertificate { .. }
                | Effect::ServicesRestarted => {}
            }
        }
        if effects.iter().any(|effect| !matches!(effect, Effect::ClientPlaced { .. })) {
            self.published.send_modify(|count| *count += 1);
        }
    }

    /// A service of one manager begins again, with the certificate that its store holds; both when none is named.
    pub(crate) fn restart_manager(&self, manager: &str, service: Option<Service>) -> bool {
        let Some(manager) = self.manager(manager) else {
            return false;
        };
        let service = match self.read_again(manager, service) {
            Starting::All => service,
            Starting::Only(one) => Some(one),
            Starting::None => return true,
        };
        let site = self.site();
        if service != Some(Service::Semsrv) {
            self.configure_tls(&site, manager);
            manager.connections.end_all();
        }
        if service != Some(Service::Semwebsrv) {
            self.restart_rest(&site, manager, true);
        }
        true
    }

    /// Every client that is registered, as the site knows it.
    pub(crate) fn client_statuses(&self) -> Vec<ClientStatus> {
        self.board.iter().map(|client_status| client_status.clone()).collect()
    }

    /// The site becomes this one, with these clients; every connection ends.
    pub(crate) fn restore_snapshot(&self, site: Site, client_statuses: Vec<ClientStatus>) {
        let mut current = self.site();
        *current = site;
        self.board.clear();
        for client_status in client_statuses {
            self.board.insert(client_status.client.agent, client_status);
        }
        self.lay_out_again(&current, self.now());
        self.restart(&current);
        self.show_publications(&current);
        self.published.send_modify(|count| *count += 1);
    }

    /// How many requests the managers hold at this moment.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// How many requests they hold that are not this client's.
    pub(crate) fn held_by_others(&self, agent: Option<AgentId>) -> usize {
        let own = agent.and_then(|agent| self.held_of.get(&agent).map(|count| *count));
        self.held().saturating_sub(own.unwrap_or_default())
    }

    /// Gives a command to clients; who keeps a request open learns of it at once.
    pub(crate) fn command(&self, kind: CommandKind, particulars: &str, clients: &[Client]) -> CommandId {
        let id = self.commands.give(kind, particulars, clients, self.now());
        self.published.send_modify(|count| *count += 1);
        id
    }

    pub(crate) fn would_hold(&self, agent: AgentId, serial: Option<PolicySerial>) -> bool {
        let asked = AgentRequest::Hold { agent, serial };
        let client = self.board.get(&agent).map(|client_status| client_status.client.clone());
        let publication = self.managers.first().map(|manager| manager.publication.load_full());
        !self.commands.has_news_for(agent)
            && publication.is_some_and(|one| one.answer(&asked, client.as_ref()).0 == Answer::WhenChanged)
    }

    /// Answers a request that is not held.
    pub(crate) fn served(
        &self,
        publication: &Publication,
        asked: &AgentRequest,
        now: Timestamp,
    ) -> ManagerResponse {
        match self.answer(publication, asked, now) {
            Answer::Now(response) => response,
            Answer::WhenChanged => ManagerResponse::empty(500),
        }
    }

    fn answer(&self, publication: &Publication, asked: &AgentRequest, now: Timestamp) -> Answer {
        manager::answer(
            publication,
            asked,
            &mut ClientTable { state: self, manager: &publication.manager, now },
        )
    }

    /// Keeps a request until there is an answer to it.
    pub(crate) async fn hold(&self, manager: &ManagerRuntime, asked: &AgentRequest) -> ManagerResponse {
        let mut published = self.published.subscribe();
        let mut counted = None;
        loop {
            published.mark_unchanged();
            match self.answer(&manager.publication.load_full(), asked, self.now()) {
                Answer::Now(response) => return response,
                Answer::WhenChanged => {
                    counted.get_or_insert_with(|| Counted::one(self, asked.agent()));
                    if published.changed().await.is_err() {
                        return ManagerResponse::empty(503);
                    }
                }
            }
        }
    }

    fn show_publications(&self, site: &Site) {
        for manager in &self.managers {
            if let Some(publication) = site.publication(&manager.name) {
                manager.remember(publication);
                manager.publication.store(Arc::clone(publication));
            }
        }
    }

    /// From now on the manager shows this certificate, with tickets of its own.
    fn show_certificate(&self, site: &Site, manager: &str) {
        let Some(manager) = self.manager(manager) else { return };
        self.configure_tls(site, manager);
        if site.assumptions().update_ends_connections {
            manager.connections.end_all();
        }
    }

    /// The services of every manager begin again: no ticket of before is good, and no connection is left.
    fn restart(&self, site: &Site) {
        for manager in &self.managers {
            self.configure_tls(site, manager);
            manager.connections.end_all();
            self.restart_rest(site, manager, true);
        }
    }

    /// Opens the console of a manager, with the certificate of that store.
    pub(crate) fn open_rest(&self, manager: &ManagerRuntime) -> Result<(), rustls::Error> {
        let identity =
            self.site().managers().find(|one| one.name == manager.name).map(|one| one.console.clone());
        let Some(identity) = identity else { return Ok(()) };
        manager.rest.tls.store(Some(server_config(&identity, self.clock.clone())?));
        Ok(())
    }

    /// From now on the console of the manager shows this certificate; it begins again.
    fn show_rest_certificate(&self, site: &Site, manager: &str) {
        let Some(manager) = self.manager(manager) else { return };
        self.restart_rest(site, manager, site.assumptions().update_ends_connections);
    }

    /// The console shows the certificate of its store; if it begins again, then with no connection and no token of before.
    fn restart_rest(&self, site: &Site, manager: &ManagerRuntime, begins_again: bool) {
        if manager.rest.tls.load().is_none() {
            return;
        }
        let Some(known) = site.managers().find(|one| one.name == manager.name) else { return };
        match server_config(&known.console, self.clock.clone()) {
            Ok(config) => manager.rest.tls.store(Some(config)),
            Err(error) => {
                tracing::error!(%error, manager = manager.name, "the console's certificate cannot be served");
            }
        }
        if begins_again {
            manager.rest.restarts.fetch_add(1, Ordering::SeqCst);
            manager.rest.connections.end_all();
        }
    }

    fn configure_tls(&self, site: &Site, manager: &ManagerRuntime) {
        let Some(publication) = site.publication(&manager.name) else { return };
        match server_config(&publication.identity, self.clock.clone()) {
            Ok(config) => manager.tls.store(config),
            Err(error) => tracing::error!(%error, manager = manager.name, "the certificate cannot be served"),
        }
    }

    fn place(&self, site: &Site, agent: AgentId, now: Timestamp) {
        let Some(client) = site.client(agent).cloned() else { return };
        let mut client_status = self.board.entry(agent).or_insert_with(|| ClientStatus {
            client: client.clone(),
            since: now,
            last_seen: now,
            manager: None,
            serial: None,
            state: None,
        });
        client_status.client = client;
        drop(client_status);
        self.registry_changed();
        self.published.send_modify(|count| *count += 1);
    }
}

/// Gives the site commands. One that is refused changes nothing, so one alone needs no copy to try it on.
fn give(site: &mut Site, commands: &[Command], now: Timestamp) -> Result<Vec<Effect>, CommandError> {
    match commands {
        [one] => site.apply(one, now),
        all => site.apply_all(all, now),
    }
}

impl ManagerRuntime {
    /// Remembers what it has been until now, if it becomes something else.
    fn remember(&self, next: &Publication) {
        let before = self.publication.load_full();
        if let Some(previous) = Previous::after(&before, next, self.previous.load().as_deref()) {
            self.previous.store(Some(Arc::new(previous)));
        }
    }
}

/// The client table, while a manager answers a request at this moment.
struct ClientTable<'a> {
    state: &'a SiteState,
    manager: &'a str,
    now: Timestamp,
}

impl ClientRegistry for ClientTable<'_> {
    fn visit(
        &self,
        agent: AgentId,
        answer: impl FnOnce(Option<&Client>) -> (Answer, Visit),
    ) -> (Answer, Visit) {
        let Some(mut client_status) = self.state.board.get_mut(&agent) else { return answer(None) };
        let (answer, visit) = answer(Some(&client_status.client));
        client_status.last_seen = self.now;
        if client_status.manager.as_deref() != Some(self.manager) {
            client_status.manager = Some(self.manager.to_owned());
        }
        match &visit {
            Visit::Client { serial: Some(serial), .. } => client_status.serial = Some(*serial),
            Visit::Reported { state: Some(state), agent } => {
                self.state.commands.hear(*agent, state, self.now);
                client_status.serial = state.serial;
                client_status.state = Some(state.clone());
            }
            _ => {}
        }
        (answer, visit)
    }

    fn register(&mut self, registration: &Registration) -> Option<Client> {
        if let Err(error) = self.state.apply(&Command::Register(registration.clone())) {
            tracing::error!(%error, "a registration was refused");
        }
        let client_status = self.state.board.get(&agent_id(registration.hardware_key))?;
        Some(client_status.client.clone())
    }

    fn note_conflict(&mut self, agent: AgentId) {
        if let Err(error) = self.state.apply(&Command::NoteConflict { agent }) {
            tracing::error!(%error, "a conflict was refused");
        }
    }

    fn has_commands_for(&self, agent: AgentId) -> bool {
        self.state.commands.has_news_for(agent)
    }

    fn tell_commands(&self, agent: AgentId) -> Vec<ClientCommand> {
        self.state.commands.tell(agent)
    }
}
