//! A running site in this process: used by tests, and by the programs.

mod kept;
mod plan;
mod ports;
mod shared;
mod start;
mod watched;

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use epm_client_agent::wire::LabClock;
use epm_protocol::assumption::Assumptions;
use epm_protocol::heartbeat::CommandKind;
use epm_protocol::id::{AgentId, CommandId};
use epm_protocol::policy::PolicySerial;
use epm_protocol::site::{Command, CommandError, Effect, GivenCommand, Replay, Site};
use epm_protocol::sylink::Sylink;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Fingerprint, Kcs, ServerCertificate};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::addresses::Addresses;
use crate::rest_api::{self, RestApi};
use crate::runtime::action_log::ActionLog;
use crate::runtime::changes::Changes;
use crate::runtime::clients::ClientStatus;
use crate::runtime::faults::Faults;
use crate::runtime::held_requests::HeldRequests;
use crate::runtime::install_dir::{InstallationError, RecoveryFile};
use crate::runtime::journal::Journal;
use crate::runtime::keeper::Keeper;
use crate::runtime::manager::ManagerRuntime;
use crate::runtime::pauses::Pauses;
use crate::runtime::replayed::{CannotBegin, Data};
use crate::runtime::service::Service;
use crate::runtime::state::SiteState;
use crate::runtime::updates::Updates;
use crate::store::{Batch, Change, Given, GivenBy, NamedUpdate, StoreError};
use crate::wire::{BindError, presented};
pub use plan::MockSiteBuilder;
pub(crate) use plan::SharedStart;

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
    /// Cancelled once the ports are served; before that, peers wait.
    serving: CancellationToken,
    /// The REST API of each manager that has one, with its router.
    rest_apis: Vec<(Arc<RestApi>, Router)>,
    /// Whether commands come from an operator, and no longer from the options of `epm-lab up`.
    is_set_up: AtomicBool,
    /// The site at the snapshots that its store has, until the lab takes them.
    snapshots: Mutex<BTreeMap<String, (Replay, Updates)>>,
    /// Named updates that its store has, until the lab takes them.
    updates: Mutex<Updates>,
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
    /// The data folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// TLS cannot be configured.
    #[error("TLS cannot be configured: {0}")]
    Tls(#[from] rustls::Error),
}

impl From<CannotBegin> for StartError {
    fn from(error: CannotBegin) -> Self {
        match error {
            CannotBegin::Site(error) => error.into(),
            CannotBegin::Store(error) => error.into(),
        }
    }
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
        MockSiteBuilder::default()
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

    /// The way through which commands come now.
    fn operator(&self) -> GivenBy {
        if self.is_set_up.load(Ordering::Relaxed) { GivenBy::ControlApi } else { GivenBy::Up }
    }

    /// Notes that the lab is set up: commands come from an operator from now on, and its store has a whole lab.
    pub(crate) fn set_up(&self) -> Result<(), StoreError> {
        self.is_set_up.store(true, Ordering::Relaxed);
        self.keeper().store().map_or(Ok(()), |store| Data::complete(store.as_ref()))
    }

    /// Refuses commands that can put clients into push mode if the site after them does not pass this check.
    pub(crate) fn check_push(
        &self,
        check: impl Fn(&Site) -> Result<(), CommandError> + Send + Sync + 'static,
    ) {
        let _ = self.state.push_check.0.set(Box::new(check));
    }

    /// Records what is done to the lab.
    pub(crate) fn action_log(&self) -> &ActionLog {
        &self.state.action_log
    }

    /// Records the changes of the site.
    pub(crate) fn keeper(&self) -> &Keeper {
        &self.state.keeper
    }

    /// The site at the snapshots that its store had at the start; empty from the second call on.
    pub(crate) fn take_snapshots(&self) -> BTreeMap<String, (Replay, Updates)> {
        std::mem::take(&mut self.snapshots.lock())
    }

    /// The named updates that its store had at the start; empty from the second call on.
    pub(crate) fn take_updates(&self) -> Updates {
        std::mem::take(&mut self.updates.lock())
    }

    /// Applies a command that has a name, by which its repetition is recognised, and returns the time of the change.
    pub(crate) fn apply_named(
        &self,
        command: &Command,
        update: NamedUpdate,
    ) -> Result<Timestamp, CommandError> {
        self.state.apply_at(command, &Given { by: self.operator(), update: Some(update) })
    }

    /// Writes what has changed in the client table, and this batch with it.
    pub(crate) fn write_clients(&self, batch: Batch) -> Result<(), StoreError> {
        let mut ended = 0;
        let written = self.state.keeper.write_clients(&self.state.clients, batch, |batch| {
            let [_, entries] = self.state.keeper.entries();
            ended = self.state.add_pauses(entries, None, batch);
        });
        self.state.pauses.written(written.is_ok().then_some(ended));
        written
    }

    /// Applies a command. Its effects are published when this returns.
    ///
    /// # Errors
    ///
    /// When the site refuses the command; nothing has changed then.
    pub fn apply(&self, command: &Command) -> Result<Vec<Effect>, CommandError> {
        self.state.apply(command, self.operator())
    }

    /// Applies several commands at once: no request sees one without the others.
    ///
    /// # Errors
    ///
    /// When the site refuses one of the commands; nothing has changed then.
    pub fn apply_all(&self, commands: &[Command]) -> Result<Vec<Effect>, CommandError> {
        self.state.apply_all(commands, self.operator())
    }

    /// Reads the site and applies the commands decided on, all or none, under one lock.
    pub(crate) fn decide<R>(
        &self,
        decide: impl FnOnce(&Site) -> Result<(Vec<Command>, R), CommandError>,
    ) -> Result<R, CommandError> {
        self.state.decide(decide, self.operator())
    }

    /// Whether a held request would be held: the client's group has nothing newer than this policy.
    pub fn would_hold(&self, agent: AgentId, serial: Option<PolicySerial>) -> bool {
        let published = self.state.managers.first().map(|one| one.published());
        published.is_some_and(|one| self.state.clients.would_hold(&one.publication, agent, serial))
    }

    /// The OpenAPI document of the managers' REST API, as JSON.
    pub(crate) fn rest_openapi() -> Bytes {
        rest_api::document()
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

    /// Whether a manager has an open connection from this peer.
    pub(crate) fn is_connected(&self, peer: SocketAddr) -> bool {
        self.state.managers.iter().any(|manager| manager.connections.has(peer))
    }

    /// Numbers that change with everything that ends held requests, except their own ends.
    pub(crate) fn holding_state(&self) -> (u64, u64) {
        let ended = self.state.managers.iter().map(|manager| manager.connections.ended()).sum();
        (self.state.clients.changes(), ended)
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

    /// Calls `look` with the status of every registered client, in no order. It must not ask the site for clients.
    pub(crate) fn each_client(&self, look: impl FnMut(&ClientStatus)) {
        self.state.clients.each(look);
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

    pub(crate) fn assume(&self, assumptions: Arc<Assumptions>) -> Result<(), CommandError> {
        self.state.assume(assumptions)
    }

    /// Records that a snapshot is taken of the site, or removed; `with` makes what is written with it.
    pub(crate) fn record_snapshot<R>(
        &self,
        change: &Change,
        with: impl FnOnce(&Site) -> (Batch, R),
    ) -> Result<R, CommandError> {
        let site = self.state.site();
        let (batch, made) = with(&site);
        self.state.record(change, self.operator(), batch)?;
        Ok(made)
    }

    /// Puts the site back, to be as of this lab time; `recorded` is called once that is recorded, before anything shows.
    pub(crate) fn restore_snapshot(
        &self,
        to: (Site, Vec<ClientStatus>),
        change: (&Change, Timestamp),
        batch: Batch,
        recorded: impl FnOnce(),
    ) -> Result<(), CommandError> {
        self.state.restore_snapshot(to, change, batch, recorded)
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

#[cfg(test)]
mod tests;
