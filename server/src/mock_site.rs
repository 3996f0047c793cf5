//! A running site in this process: used by tests, and by the programs.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use epm_client_agent::scenario::{ManagerPlan, Scenario};
use epm_client_agent::wire::LabClock;
use epm_protocol::assumption::Assumptions;
use epm_protocol::heartbeat::CommandKind;
use epm_protocol::id::{AgentId, CommandId};
use epm_protocol::policy::PolicySerial;
use epm_protocol::site::{Command, CommandError, Effect, Founding, GivenCommand, ManagerPorts, Site};
use epm_protocol::sylink::Sylink;
use epm_protocol::time::Clock;
use epm_protocol::trust::{Fingerprint, Kcs, ServerCertificate};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::addresses::{Addresses, addresses, port_of};
use crate::rest_api::{Administrator, DEFAULT_PASSWORD, DEFAULT_USER, Database, RestApi, rest_api};
use crate::runtime::changes::Changes;
use crate::runtime::clients::ClientStatus;
use crate::runtime::context::ManagerContext;
use crate::runtime::faults::Faults;
use crate::runtime::held_requests::HeldRequests;
use crate::runtime::install_dir::{InstallationError, RecoveryFile};
use crate::runtime::journal::Journal;
use crate::runtime::manager::ManagerRuntime;
use crate::runtime::pauses::Pauses;
use crate::runtime::service::Service;
use crate::runtime::state::SiteState;
use crate::wire::{BindError, Speaks, bind, presented, serve, serve_rest};

/// A running site. Its ports are closed when it is dropped; [`MockSite::stop`] returns when they are.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use epm_server::MockSite;
///
/// let site = MockSite::start().await?;
/// println!("{}", site.addresses()[0].hello);
/// site.stop().await;
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "a site that is dropped closes its ports at once"]
pub struct MockSite {
    state: Arc<SiteState>,
    places: Vec<Addresses>,
    stopping: CancellationToken,
    tasks: TaskTracker,
    /// The REST API of each manager that has one, with its router.
    rest_apis: Vec<(Arc<RestApi>, Router)>,
}

/// Builds a [`MockSite`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MockSiteBuilder {
    name: String,
    seed: u64,
    managers: Vec<ManagerPlan>,
    bind: Option<IpAddr>,
    assumptions: Arc<Assumptions>,
    clock: Option<Arc<LabClock>>,
    rest: Option<u16>,
    /// Ports of the REST API by manager, before that of all, and whether any free port will do instead.
    rest_ports: BTreeMap<String, (u16, bool)>,
    administrator: Administrator,
}

/// The certificate that a service of a manager presents, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Presented {
    pub(crate) manager: String,
    pub(crate) service: Service,
    /// SHA-256 of the certificate, or why none was seen.
    pub(crate) certificate: Result<Fingerprint, String>,
}

/// Why a site cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The site refuses its founding or its setup.
    #[error("the site cannot be set up: {0}")]
    Setup(#[from] CommandError),
    /// TLS cannot be configured.
    #[error("TLS cannot be configured: {0}")]
    Tls(#[from] rustls::Error),
}

impl MockSite {
    /// Starts a site with one manager on a free loopback port that takes HTTP and HTTPS.
    ///
    /// # Errors
    ///
    /// When the site cannot start.
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// A builder with one manager, no REST API and the machine's clock.
    pub fn builder() -> MockSiteBuilder {
        MockSiteBuilder {
            name: "My Site".to_owned(),
            seed: 1,
            managers: Vec::new(),
            bind: None,
            assumptions: Arc::default(),
            clock: None,
            rest: None,
            rest_ports: BTreeMap::new(),
            administrator: Administrator::first(DEFAULT_USER, DEFAULT_PASSWORD),
        }
    }

    /// Addresses of the managers at the start, in the order in which they were given.
    pub fn addresses(&self) -> &[Addresses] {
        &self.places
    }

    /// Addresses of the managers now: a `server.xml` can have moved the REST API to another port.
    pub fn addresses_now(&self) -> Vec<Addresses> {
        let mut places = self.places.clone();
        for place in &mut places {
            let rest = self.state.manager(&place.manager).and_then(|manager| manager.rest.place());
            place.rest_listening = place.rest_listening.and(rest);
            if let (Some(url), Some(now)) = (&mut place.rest, rest)
                && let Some((host, _)) = url.rsplit_once(':')
            {
                *url = format!("{host}:{}", now.port());
            }
        }
        places
    }

    /// The clock of the site.
    pub fn clock(&self) -> &Arc<LabClock> {
        &self.state.clock
    }

    /// Applies a command. Its effects are published when this returns.
    ///
    /// # Errors
    ///
    /// When the site refuses the command; nothing has changed then.
    pub fn apply(&self, command: &Command) -> Result<Vec<Effect>, CommandError> {
        self.state.apply(command)
    }

    /// Applies several commands at once: no request sees one without the others.
    ///
    /// # Errors
    ///
    /// When the site refuses one of the commands; nothing has changed then.
    pub fn apply_all(&self, commands: &[Command]) -> Result<Vec<Effect>, CommandError> {
        self.state.apply_all(commands)
    }

    /// Reads the site and applies the commands decided on, all or none, under one lock.
    pub(crate) fn decide<R>(
        &self,
        decide: impl FnOnce(&Site) -> Result<(Vec<Command>, R), CommandError>,
    ) -> Result<R, CommandError> {
        self.state.decide(decide)
    }

    /// Whether a held request would be held: the client's group has nothing newer than this policy.
    pub fn would_hold(&self, agent: AgentId, serial: Option<PolicySerial>) -> bool {
        let published = self.state.managers.first().map(|one| one.published());
        published.is_some_and(|one| self.state.clients.would_hold(&one.publication, agent, serial))
    }

    /// Number of requests that the managers hold at this moment.
    pub fn held(&self) -> usize {
        self.state.clients.held.count()
    }

    /// The requests that the managers hold at this moment.
    pub(crate) fn held_requests(&self) -> &HeldRequests {
        &self.state.clients.held
    }

    /// Addresses of the peers with open connections to the managers.
    pub(crate) fn connected_peers(&self) -> HashSet<SocketAddr> {
        self.state.managers.iter().flat_map(|manager| manager.connections.peers()).collect()
    }

    /// Reads the site under its lock.
    pub fn look<R>(&self, at: impl FnOnce(&Site) -> R) -> R {
        at(&self.state.site())
    }

    /// The certificate that a manager presents on its clients' port.
    pub fn certificate(&self, manager: &str) -> Option<ServerCertificate> {
        self.state.served(manager).map(|(client, _)| client)
    }

    /// The certificate that a manager presents on the port of its REST API; that of the console's store if it has none.
    pub fn console_certificate(&self, manager: &str) -> Option<ServerCertificate> {
        self.state.served(manager).and_then(|(_, console)| console).or_else(|| {
            self.look(|site| {
                site.managers().find(|one| one.name == manager).map(|one| one.console.certificate().clone())
            })
        })
    }

    /// The shared secret of the site.
    pub fn kcs(&self) -> Kcs {
        self.look(|site| site.kcs().clone())
    }

    /// The communications file that the console exports for a group, or for one of its locations.
    ///
    /// # Errors
    ///
    /// When there is no such group or location.
    pub fn export_sylink(&self, group: &str, location: Option<&str>) -> Result<Sylink, CommandError> {
        self.look(|site| site.export_sylink(group, location))
    }

    /// What the site knows of a client.
    pub fn client_status(&self, agent: AgentId) -> Option<ClientStatus> {
        self.state.clients.status(agent)
    }

    /// The name of the manager with this number in the journal.
    pub(crate) fn manager_name(&self, manager: usize) -> Option<String> {
        self.state.managers.get(manager).map(|manager| manager.name.clone())
    }

    /// What the site knows of every registered client.
    pub fn client_statuses(&self) -> Vec<ClientStatus> {
        self.state.clients.statuses()
    }

    /// Restarts one service of a manager, or both: open connections end, TLS session tickets become invalid, and so do
    /// REST API tokens if the console service restarts. False if there is no such manager.
    pub fn restart(&self, manager: &str, service: Option<Service>) -> bool {
        self.state.restart_manager(manager, service)
    }

    /// The services of a manager that did not start because their files are invalid.
    pub fn stopped_services(&self, manager: &str) -> Vec<Service> {
        self.state.stopped_services(manager)
    }

    /// The services that did not start, by manager, each with the reason.
    pub fn service_errors(&self) -> BTreeMap<String, BTreeMap<Service, String>> {
        let errors = |manager: &Arc<ManagerRuntime>| (manager.name.clone(), manager.errors.lock().clone());
        self.state.managers.iter().map(errors).filter(|(_, errors)| !errors.is_empty()).collect()
    }

    /// Whether a manager has an installation folder.
    pub fn is_installed(&self, manager: &str) -> bool {
        self.state.manager(manager).is_some_and(|manager| manager.installation.get().is_some())
    }

    /// The files of a manager that were replaced and that no service has read since.
    pub fn unread_files(&self, manager: &str) -> Vec<String> {
        self.state.unread_files(manager)
    }

    /// Dials both ports of every manager whose services are up, and returns the certificates that they present.
    pub(crate) async fn presented(&self) -> Vec<Presented> {
        let mut seen = Vec::new();
        for place in self.addresses_now() {
            let stopped = self.stopped_services(&place.manager);
            let ports = [
                (Service::Semwebsrv, place.listening.last()),
                (Service::Semsrv, place.rest_listening.as_ref()),
            ];
            for (service, port) in ports {
                let Some(port) = port.filter(|_| !stopped.contains(&service)) else { continue };
                let certificate = presented(*port).await;
                seen.push(Presented { manager: place.manager.clone(), service, certificate });
            }
        }
        seen
    }

    /// Gives a manager an installation folder laid out like the product's, and keeps both in step from here on (see the
    /// README). A folder from an earlier run is loaded, unless `anew` is set: then it is overwritten.
    ///
    /// # Errors
    ///
    /// When there is no such manager, or the folder cannot be read or written.
    pub fn install(
        &self,
        manager: &str,
        root: &std::path::Path,
        anew: bool,
    ) -> Result<(), InstallationError> {
        self.state.install(manager, root, anew)
    }

    /// Reinstalls the managers from a recovery file of one of them. Without the database, no client is registered.
    ///
    /// # Errors
    ///
    /// When the site refuses; nothing has changed then.
    pub fn restore(&self, manager: &str, file: &RecoveryFile, database: bool) -> Result<(), CommandError> {
        self.state.restore(manager, file, database)
    }

    /// A recovery file of the manager's current state: the bytes of `recovery_TIMESTAMP.zip`.
    ///
    /// # Errors
    ///
    /// When there is no such manager.
    pub fn recovery_file(&self, manager: &str) -> Result<Vec<u8>, InstallationError> {
        self.state.back_up(manager)
    }

    pub(crate) fn assume(&self, assumptions: Arc<Assumptions>) {
        self.state.assume(assumptions);
    }

    pub(crate) fn restore_snapshot(&self, site: Site, client_statuses: Vec<ClientStatus>) {
        self.state.restore_snapshot(site, client_statuses);
    }

    /// Queues a command for clients, as the console does: each receives it at its next heartbeat. Clients that are not
    /// registered are left out.
    pub fn command(&self, kind: CommandKind, agents: &[AgentId]) -> CommandId {
        let client = |agent: &AgentId| self.client_status(*agent).map(|client_status| client_status.client);
        let clients: Vec<_> = agents.iter().filter_map(client).collect();
        self.state.clients.command(kind, "", &clients, self.state.now())
    }

    /// A command, and its state for each client.
    pub fn commanded(&self, id: CommandId) -> Option<GivenCommand> {
        self.state.clients.commands.get(id)
    }

    /// Cancels a command for the clients that it has not reached, and returns their number; none if there is no such
    /// command.
    pub fn cancel(&self, id: CommandId) -> Option<usize> {
        self.state.clients.commands.cancel(id, self.state.now())
    }

    /// The changes of certificates, lists and switches.
    pub fn changes(&self) -> &Arc<Changes> {
        &self.state.changes
    }

    /// The pauses between changes of the site.
    pub fn pauses(&self) -> &Arc<Pauses> {
        &self.state.pauses
    }

    /// What the managers recorded.
    pub fn journal(&self) -> &Journal {
        &self.state.journal
    }

    /// The active faults.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use epm_protocol::fault::{FaultKind, FaultRule};
    /// use epm_server::MockSite;
    ///
    /// let site = MockSite::start().await?;
    /// let guard = site.faults().add(FaultRule::new("busy", FaultKind::named("status")?))?;
    /// assert_eq!(site.faults().list().len(), 1); // from here on, clients get 503
    /// drop(guard);
    /// assert!(site.faults().list().is_empty());
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
    /// ```
    pub fn faults(&self) -> Faults {
        Faults::of(Arc::clone(&self.state.faults))
    }

    /// The active faults that have no effect at some managers yet, with the managers and what is missing there: nothing
    /// was replaced that they could show again.
    pub fn faults_without_effect(&self) -> BTreeMap<String, Vec<(String, &'static str)>> {
        let (set, now) = (self.faults().set(), self.state.now());
        let mut found = BTreeMap::<String, Vec<_>>::new();
        for manager in &self.state.managers {
            for (fault, lacks) in set.without_effect(&manager.name, manager.past(), now) {
                found.entry(fault.rule.name.clone()).or_default().push((manager.name.clone(), lacks));
            }
        }
        found
    }

    /// Limits the calls of the REST API to this number in this much lab time, on each manager. `None` lifts the limit,
    /// which is the default; the product allows 50 a minute.
    pub fn throttle_rest(&self, limit: Option<(usize, Duration)>) {
        self.rest_apis.iter().for_each(|(rest, _)| rest.throttle.set(limit));
    }

    /// Revokes every token of the REST API.
    pub fn end_rest_tokens(&self) {
        self.rest_apis.iter().for_each(|(rest, _)| rest.tokens.end_all());
    }

    /// The REST API of a manager as a service in this process: without a socket, TLS and faults. None if the manager has no
    /// REST API.
    pub fn rest_router(&self, manager: &str) -> Option<Router> {
        let mut routers = self.rest_apis.iter().filter(|(rest, _)| rest.manager.name == manager);
        routers.next().map(|(_, router)| router.clone())
    }

    /// Stops the site, and returns when every port is closed and every connection has ended. Another site may then use the
    /// installation folders.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.state.release_folders();
    }
}

impl Drop for MockSite {
    /// Tells the tasks to end, without waiting for them.
    fn drop(&mut self) {
        self.stopping.cancel();
        self.state.release_folders();
    }
}

impl MockSiteBuilder {
    /// Sets the name of the site.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Sets the seed of the site's identifiers, shared secret and keys; defaults to 1. Clients cannot tell two sites of one
    /// seed apart.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Adds a manager. Without any, the site gets one on a free loopback port.
    pub fn manager(mut self, plan: ManagerPlan) -> Self {
        self.managers.push(plan);
        self
    }

    /// Listens on this address instead of the addresses that the managers publish to clients.
    pub fn bind(mut self, address: IpAddr) -> Self {
        self.bind = Some(address);
        self
    }

    /// Sets the assumptions about undocumented behaviour.
    pub fn assumptions(mut self, assumptions: Assumptions) -> Self {
        self.assumptions = Arc::new(assumptions);
        self
    }

    /// Sets the clock; defaults to the machine's.
    pub fn clock(mut self, clock: Arc<LabClock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Serves the product's REST API too. Managers at the same address get this port and every tenth after it; 0 takes
    /// any free port.
    pub fn rest_api(mut self, port: u16) -> Self {
        self.rest = Some(port);
        self
    }

    /// Serves the REST API of one manager at this port; with `or_any`, at a free one if it is taken.
    pub fn rest_port_of(mut self, manager: &str, port: u16, or_any: bool) -> Self {
        self.rest_ports.insert(manager.to_owned(), (port, or_any));
        self
    }

    /// Sets the administrator of the REST API; defaults to `admin` with the password `epm-lab`.
    pub fn administrator(mut self, user: &str, password: &str) -> Self {
        self.administrator = Administrator::first(user, password);
        self
    }

    /// Takes name, seed, managers and assumptions from a scenario, but not its setup.
    pub fn scenario(mut self, scenario: &Scenario) -> Self {
        self.name.clone_from(&scenario.site.name);
        self.seed = scenario.seed;
        self.managers.clone_from(&scenario.site.managers);
        self.assumptions = Arc::new(scenario.assumptions.clone());
        self
    }

    /// Opens the ports, founds the site and serves it.
    ///
    /// # Errors
    ///
    /// When a port cannot be opened or the site cannot be founded.
    pub async fn start(mut self) -> Result<MockSite, StartError> {
        // Nothing below waits: without this, a task that starts and drops sites in a loop would never let their ports
        // close.
        tokio::task::yield_now().await;
        if self.managers.is_empty() {
            self.managers.push(ManagerPlan {
                name: "sepm-1".to_owned(),
                address: "127.0.0.1".to_owned(),
                http_port: 0,
                https_port: None,
            });
        }
        let mut places = Vec::new();
        let mut opened = Vec::new();
        for plan in &self.managers {
            let (listeners, ports) = self.take_ports(plan).await?;
            let rest = self.take_rest_port(plan, &places).await?;
            places.push(addresses(&plan.name, &ports, &listeners, rest.as_ref()));
            opened.push((plan.name.clone(), ports, listeners, rest));
        }
        let clock = self.clock.unwrap_or_else(|| Arc::new(LabClock::wall()));
        let founding = Founding {
            name: self.name,
            seed: self.seed,
            managers: opened.iter().map(|(name, ports, ..)| (name.clone(), ports.clone())).collect(),
            assumptions: self.assumptions,
        };
        let site = Site::found(founding, clock.now())?;
        let state = Arc::new(SiteState::new(site, clock, self.seed)?);
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        let database = Database::new(self.administrator);
        let mut rest_apis = Vec::new();
        for ((name, _, listeners, rest), place) in opened.into_iter().zip(&places) {
            let Some(manager) = state.manager(&name) else { continue };
            let context = Arc::new(ManagerContext::new(manager, &state));
            for (listener, speaks) in listeners {
                let context = Arc::clone(&context);
                tasks.spawn(serve(listener, speaks, context, stopping.clone(), tasks.clone()));
            }
            let (Some(listener), Some(base)) = (rest, &place.rest) else { continue };
            state.open_rest(manager)?;
            if let Ok(place) = listener.local_addr() {
                manager.rest.is_at(place);
            }
            let (api, router) = rest_api(&context, &database, base);
            tasks.spawn(serve_rest(listener, router.clone(), context, stopping.clone(), tasks.clone()));
            rest_apis.push((api, router));
        }
        Ok(MockSite { state, places, stopping, tasks, rest_apis })
    }

    /// The listener of a manager's REST API, if it has one: ten ports up for each earlier manager at the same address.
    async fn take_rest_port(
        &self,
        plan: &ManagerPlan,
        before: &[Addresses],
    ) -> Result<Option<TcpListener>, BindError> {
        let Some(first) = self.rest else { return Ok(None) };
        let place =
            |plan: &ManagerPlan| self.bind.map_or_else(|| plan.address.clone(), |one| one.to_string());
        let address = place(plan);
        if let Some((port, or_any)) = self.rest_ports.get(&plan.name) {
            match bind(&plan.name, &address, *port).await {
                Err(_) if *or_any => return bind(&plan.name, &address, 0).await.map(Some),
                bound => return bound.map(Some),
            }
        }
        let neighbours = self.managers.iter().take(before.len()).filter(|one| place(one) == address).count();
        let further = u16::try_from(neighbours * 10).unwrap_or(u16::MAX);
        let port = if first == 0 { 0 } else { first.saturating_add(further) };
        bind(&plan.name, &address, port).await.map(Some)
    }

    async fn take_ports(
        &self,
        plan: &ManagerPlan,
    ) -> Result<(Vec<(TcpListener, Speaks)>, ManagerPorts), BindError> {
        let address = self.bind.map_or_else(|| plan.address.clone(), |address| address.to_string());
        let first = bind(&plan.name, &address, plan.http_port).await?;
        let http = port_of(&first);
        let (listeners, https) = match plan.https_port {
            None => (vec![(first, Speaks::Both)], http),
            Some(port) if port != 0 && port == plan.http_port => (vec![(first, Speaks::Both)], http),
            Some(port) => {
                let second = bind(&plan.name, &address, port).await?;
                let https = port_of(&second);
                (vec![(first, Speaks::Http), (second, Speaks::Https)], https)
            }
        };
        Ok((listeners, ManagerPorts { address: plan.address.clone(), http: Some(http), https: Some(https) }))
    }
}

#[cfg(test)]
mod tests;
