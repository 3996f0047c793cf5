//! The state of a running site, with one owner: the site's rules, managers, clients and folders, changed together.
//!
//! Reading the site and applying commands happen under one lock. The effects of a command (a new certificate, a
//! publication, a registered client) are visible before the lock is released. Ports and APIs get a [`SiteHandle`],
//! which can only read and apply.

use std::net::TcpListener;
use std::sync::{Arc, OnceLock};

use epm_client_agent::wire::{ClockReading, LabClock};
use epm_protocol::assumption::Assumptions;
use epm_protocol::heartbeat::{AgentRequest, ManagerResponse, Registration};
use epm_protocol::id::AgentId;
use epm_protocol::manager::{self, Registrar};
use epm_protocol::site::{
    Answer, Command, CommandError, Effect, Publication, RegisteredClient, Site, agent_id,
};
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::ServerCertificate;
use parking_lot::{Mutex, MutexGuard};

use crate::runtime::action_log::ActionLog;
use crate::runtime::changes::Changes;
use crate::runtime::client_commands::CommandQueue;
use crate::runtime::clients::{ClientStatus, Clients};
use crate::runtime::faults::FaultState;
use crate::runtime::install_dir::{StoreTrouble, sync};
use crate::runtime::journal::Journal;
use crate::runtime::keeper::{Keeper, Recording};
use crate::runtime::manager::{ManagerRuntime, OpenConnections};
use crate::runtime::pauses::Pauses;
use crate::runtime::service::Service;
use crate::runtime::tls::Served;
use crate::store::{Batch, Change, Given, GivenBy, is_logged, is_of_an_operator};

/// Maximum number of registered clients: twice as many as a lab runs itself.
const MOST_CLIENTS: usize = 200_000;

/// The whole state of a running site.
#[derive(Debug)]
pub(crate) struct SiteState {
    pub(crate) clock: Arc<LabClock>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) pauses: Arc<Pauses>,
    pub(crate) action_log: ActionLog,
    /// What a site must pass after a command that can put clients into push mode.
    pub(crate) push_check: PushCheck,
    pub(crate) managers: Vec<Arc<ManagerRuntime>>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) faults: Arc<FaultState>,
    pub(crate) keeper: Keeper,
    site: Mutex<Site>,
}

/// Reads a running site and applies commands to it; all that ports and APIs get of its state.
#[derive(Clone, Debug)]
pub(crate) struct SiteHandle(Arc<SiteState>);

impl SiteHandle {
    pub(crate) const fn new(state: Arc<SiteState>) -> Self {
        Self(state)
    }

    /// Locks the site for reading. Never hold it over an await.
    pub(crate) fn read(&self) -> MutexGuard<'_, Site> {
        self.0.site()
    }

    /// Applies a command. Its effects are visible when this returns.
    pub(crate) fn apply(&self, command: &Command) -> Result<Vec<Effect>, CommandError> {
        self.0.apply(command, GivenBy::RestApi)
    }

    /// Reads the site, decides on commands and applies them under one lock. An empty decision changes nothing.
    pub(crate) fn decide<R, E: From<CommandError>>(
        &self,
        decide: impl FnOnce(&Site) -> Result<(Vec<Command>, R), E>,
    ) -> Result<R, E> {
        self.0.decide(decide, GivenBy::RestApi)
    }

    /// Records a request for the state of clients, by which a tool that waits is told from one that is slow.
    pub(crate) fn clients_read(&self, request: &str) {
        self.0.pauses.read(request, self.0.now());
    }

    /// Answers a request that is not held, and applies its consequences.
    pub(crate) fn serve(
        &self,
        publication: &Publication,
        asked: &AgentRequest,
        now: Timestamp,
    ) -> ManagerResponse {
        let (answer, visit) = self.0.clients.answer(publication, asked, now);
        match manager::follow(publication, answer, &visit, &mut &*self) {
            Answer::Now(response) => response,
            Answer::WhenChanged => ManagerResponse::empty(500),
        }
    }
}

impl Registrar for &SiteHandle {
    fn admitted(&self, registration: &Registration) -> RegisteredClient {
        let site = self.read();
        site.admit(registration, site.client(agent_id(registration.hardware_key)))
    }

    fn register(&mut self, registration: &Registration) -> Option<RegisteredClient> {
        // A peer with the site's secret can register any number, and each record takes memory for as long as the lab runs.
        if !self.read().has_room_for(agent_id(registration.hardware_key), MOST_CLIENTS) {
            return None;
        }
        if let Err(error) = self.apply(&Command::Register(registration.clone())) {
            log_refusal("registration refused", &error);
        }
        self.0.clients.status(agent_id(registration.hardware_key)).map(|status| status.client)
    }

    fn note_conflict(&mut self, agent: AgentId) {
        if let Err(error) = self.apply(&Command::NoteConflict { agent }) {
            log_refusal("recording a conflict was refused", &error);
        }
    }
}

/// Logs why a client's request changed nothing. Changes that cannot be recorded are logged where they are refused.
fn log_refusal(what: &'static str, error: &CommandError) {
    if !matches!(error, CommandError::NotStored { .. } | CommandError::NoDatabase { .. }) {
        tracing::error!(%error, "{what}");
    }
}

type CheckSite = dyn Fn(&Site) -> Result<(), CommandError> + Send + Sync;

/// A check of a site that a lab with a fleet makes.
#[derive(Default)]
pub(crate) struct PushCheck(pub(crate) OnceLock<Box<CheckSite>>);

impl std::fmt::Debug for PushCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushCheck").finish_non_exhaustive()
    }
}

impl SiteState {
    /// # Errors
    ///
    /// When rustls cannot use a manager's key.
    pub(crate) fn new(
        site: Site,
        clock: Arc<LabClock>,
        seed: u64,
        keeper: Keeper,
    ) -> Result<Self, rustls::Error> {
        let mut managers = Vec::new();
        for (number, manager) in site.managers().enumerate() {
            let Some(publication) = site.publication(&manager.name) else { continue };
            let tls = Served::of(&publication.identity, clock.clone())?;
            managers.push(Arc::new(ManagerRuntime::new(number, publication, tls)));
        }
        let journal = Arc::new(Journal::new(Arc::clone(&clock)));
        let commands = CommandQueue::new(seed, site.assumptions().cancel_reaches_running_commands);
        Ok(Self {
            faults: Arc::new(FaultState::new(seed, Arc::clone(&clock), Arc::clone(&journal))),
            journal,
            changes: Arc::new(Changes::new(&site)),
            pauses: Arc::new(Pauses::new(clock.read())),
            action_log: ActionLog::beside(keeper.last_entry()),
            push_check: PushCheck::default(),
            clock,
            managers,
            clients: Arc::new(Clients::new(commands)),
            keeper,
            site: Mutex::new(site),
        })
    }

    /// The manager of this name.
    pub(crate) fn manager(&self, name: &str) -> Option<&Arc<ManagerRuntime>> {
        self.managers.iter().find(|one| one.name == name)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The certificates that a manager presents to clients, and to the console if it serves the REST API.
    pub(crate) fn served(&self, manager: &str) -> Option<(ServerCertificate, Option<ServerCertificate>)> {
        let manager = self.manager(manager)?;
        let console = manager.rest.tls.load().as_ref().map(|served| served.certificate.clone());
        Some((manager.generation().tls.certificate.clone(), console))
    }

    /// Locks the site for reading. Never hold it over an await.
    pub(crate) fn site(&self) -> MutexGuard<'_, Site> {
        self.site.lock()
    }

    /// Applies a command, and publishes its effects.
    pub(crate) fn apply(
        &self,
        command: &Command,
        given: impl Into<Given>,
    ) -> Result<Vec<Effect>, CommandError> {
        self.apply_all(std::slice::from_ref(command), given)
    }

    /// Applies a named update of a certificate, and returns the time of the change. One that another process has applied already
    /// changes nothing.
    pub(crate) fn apply_at(&self, command: &Command, given: &Given) -> Result<Timestamp, CommandError> {
        let (mut site, recording) = self.begin_change()?;
        if let Some(done) = self.is_done(command, given)? {
            return Ok(done);
        }
        let now = self.time_of_change();
        self.change(&mut site, std::slice::from_ref(command), given, now, recording)?;
        Ok(now)
    }

    /// Applies commands, and publishes the effects of all of them at once; on an error nothing changes.
    pub(crate) fn apply_all(
        &self,
        commands: &[Command],
        given: impl Into<Given>,
    ) -> Result<Vec<Effect>, CommandError> {
        let (mut site, recording) = match commands.iter().any(is_logged) {
            true => self.begin_change()?,
            false => (self.site(), Recording::of_nothing()),
        };
        self.change(&mut site, commands, &given.into(), self.time_of_change(), recording)
    }

    /// Reads the site, decides on commands, and applies them under one lock. An empty decision changes nothing.
    pub(crate) fn decide<R, E: From<CommandError>>(
        &self,
        decide: impl FnOnce(&Site) -> Result<(Vec<Command>, R), E>,
        by: GivenBy,
    ) -> Result<R, E> {
        let (mut site, recording) = self.begin_change()?;
        let (commands, decided) = decide(&site)?;
        if commands.is_empty() {
            return Ok(decided);
        }
        self.change(&mut site, &commands, &by.into(), self.time_of_change(), recording)?;
        Ok(decided)
    }

    /// Applies commands, writes the managers' folders, records the commands, and publishes; on an error nothing changes.
    fn change(
        &self,
        site: &mut Site,
        commands: &[Command],
        given: &Given,
        now: Timestamp,
        recording: Recording<'_>,
    ) -> Result<Vec<Effect>, CommandError> {
        self.set_clocks(site, now);
        if let Some(check) = self.push_check.0.get()
            && commands.iter().any(Command::may_hold_requests)
        {
            check(&site.applied(commands, now)?.0)?;
        }
        // What clients do is never refused for a file, and needs no copy of the site.
        let is_written = commands.iter().any(is_of_an_operator)
            && self.managers.iter().any(|one| one.installation.get().is_some());
        let is_recorded = recording.is_kept() && commands.iter().any(is_logged);
        let effects = if is_written || is_recorded {
            let (next, effects) = site.applied(commands, now)?;
            let mut written = sync::write_effects(&self.managers, &next, &effects, now);
            if written.is_ok() && is_recorded {
                let changed = commands.iter().any(is_of_an_operator).then_some(&next);
                written = self.append_with_pauses(changed, |batch| {
                    recording.append_commands(commands, &effects, (&next, &self.clients), given, now, batch)
                });
            }
            if let Err(error) = written {
                // Puts back what was written before the error.
                let _ = sync::write_effects(&self.managers, site, &effects, now);
                return Err(error);
            }
            *site = next;
            self.note_named(site, commands, given, now);
            effects
        } else {
            let effects = apply(site, commands, now)?;
            let _ = sync::write_effects(&self.managers, site, &effects, now);
            effects
        };
        self.action_log.note_commands(now, commands);
        self.changed_by(commands, || self.show_without_files(site, &effects, now));
        drop(recording);
        Ok(effects)
    }

    /// Gives the site the deviation of its managers' clocks under the faults that are set.
    fn set_clocks(&self, site: &mut Site, now: Timestamp) {
        if self.faults.any() || !site.clocks().is_empty() {
            let managers = self.managers.iter().map(|manager| manager.name.as_str());
            site.set_clocks(self.faults.set().clock_deviations(managers, now));
        }
    }

    /// Shows the effects of commands, as a change of the site if an operator gave one of them.
    pub(super) fn changed_by(&self, commands: &[Command], show: impl FnOnce()) {
        if commands.iter().any(is_of_an_operator) { self.changed(show) } else { show() }
    }

    /// Shows a change of the site: holds the clock first, and records the pause before the change. The site must be locked.
    fn changed<R>(&self, show: impl FnOnce() -> R) -> R {
        let clock: ClockReading = self.clock.site_changed();
        let shown = show();
        // The other processes answer heartbeats as well.
        let heartbeats = self.keeper.shared_site().is_none().then(|| self.clients.heartbeats());
        self.pauses.site_changed(clock, self.changes.count(), heartbeats);
        shown
    }

    /// Lets another lab take the managers' folders.
    pub(crate) fn release_folders(&self) {
        for manager in &self.managers {
            if let Some(installation) = manager.installation.get() {
                installation.release();
            }
        }
    }

    /// Files of a manager that were replaced and that no service has read since.
    pub(crate) fn unread_files(&self, manager: &str) -> Vec<String> {
        let installation = self.manager(manager).and_then(|manager| manager.installation.get());
        installation.map(|installation| installation.unread()).unwrap_or_default()
    }

    /// Services of a manager that did not start.
    pub(crate) fn stopped_services(&self, manager: &str) -> Vec<Service> {
        let Some(manager) = self.manager(manager) else { return Vec::new() };
        let stopped = |one: &Service| manager.service(*one).0.borrow().to_owned();
        [Service::Semsrv, Service::Semwebsrv].into_iter().filter(stopped).collect()
    }

    /// Publishes effects that the folders already contain.
    pub(super) fn show_without_files(&self, site: &Site, effects: &[Effect], now: Timestamp) {
        // A list that no group has is a change without an effect.
        if effects.is_empty() || !effects.iter().all(|effect| matches!(effect, Effect::ClientPlaced { .. })) {
            self.changes.note(site, now);
        }
        self.show_publications(site, effects);
        for effect in effects {
            match effect {
                Effect::ConsoleCertificate { manager, .. } => {
                    self.show_rest_certificate(site, manager);
                    if let Some(manager) = self.manager(manager) {
                        sync::warn_of_console_trouble(site, manager, &self.journal, now);
                    }
                }
                Effect::ServicesRestarted => {
                    for manager in &self.managers {
                        self.restart_rest(site, manager, true);
                        sync::warn_of_console_trouble(site, manager, &self.journal, now);
                    }
                }
                Effect::ClientsForgotten => self.clients.forget(None),
                Effect::ClientRemoved { agent } => self.clients.forget(Some(*agent)),
                Effect::ClientPlaced { agent, .. } => {
                    if let Some(client) = site.client(*agent) {
                        self.clients.place(client, now);
                    }
                }
                Effect::Published { .. } | Effect::CertificateServed { .. } => {}
            }
        }
        if effects.iter().any(|effect| !matches!(effect, Effect::ClientPlaced { .. })) {
            self.clients.wake_held();
        }
    }

    /// Restarts a service of a manager, or both if none is given, with the certificate in its store. A service with
    /// unusable files does not start. False if there is no such manager.
    pub(crate) fn restart_manager(&self, manager: &str, service: Option<Service>) -> bool {
        let Some(manager) = self.manager(manager) else { return false };
        let started = self.read_files(manager, service);
        self.show_restart(&self.site(), manager, &started);
        true
    }

    /// Shows that services of a manager have started.
    pub(super) fn show_restart(&self, site: &Site, manager: &ManagerRuntime, started: &[Service]) {
        self.changed(|| ());
        if started.contains(&Service::Semwebsrv) {
            self.renew(site, manager, OpenConnections::End);
        }
        if started.contains(&Service::Semsrv) {
            self.restart_rest(site, manager, true);
        }
    }

    /// Reads the stores of services that are about to start, and returns the services that start. The site adopts a
    /// store's contents if they have changed.
    fn read_files(&self, manager: &ManagerRuntime, service: Option<Service>) -> Vec<Service> {
        let mut services = vec![Service::Semsrv, Service::Semwebsrv];
        services.retain(|one| service.is_none_or(|only| only == *one));
        let Some(installation) = manager.installation.get() else { return services };
        services.retain(|one| {
            let found = installation.read_for_start(*one).and_then(|(identity, port)| {
                let command = sync::taken_over(&self.site(), manager, *one, &identity);
                match command {
                    Some(command) => self.take_over(manager, *one, &command)?,
                    None if *one == Service::Semsrv => {
                        sync::warn_of_console_trouble(&self.site(), manager, &self.journal, self.now());
                    }
                    None => {}
                }
                // Another program may have taken a port while the service was down.
                for address in self.faults.closed_ports(&manager.name, *one) {
                    TcpListener::bind(address)
                        .map_err(|error| StoreTrouble::port_of(*one, address, &error))?;
                }
                let Some(port) = port else { return Ok(()) };
                manager.rest.move_to(port).map_err(|error| StoreTrouble::port(port, &error))?;
                installation.serves_rest_at(port);
                Ok(())
            });
            installation.note(*one, self.now(), found.as_ref().err());
            manager.started(*one, found.as_ref().err().map(ToString::to_string));
            found.is_ok()
        });
        services
    }

    /// Applies an update that a manager's files already contain.
    fn take_over(
        &self,
        manager: &ManagerRuntime,
        service: Service,
        command: &Command,
    ) -> Result<(), CommandError> {
        let now = self.now();
        let mut site = self.site();
        let recording = self.keeper.record();
        let commands = std::slice::from_ref(command);
        let (next, effects) = site.applied(commands, now)?;
        let given = GivenBy::Files.into();
        self.append_with_pauses(Some(&next), |batch| {
            recording.append_commands(commands, &effects, (&next, &self.clients), &given, now, batch)
        })?;
        *site = next;
        self.action_log.note_commands(now, commands);
        self.changed(|| self.show_without_files(&site, &effects, now));
        drop(recording);
        sync::write_taken_over(&site, manager, service, now);
        Ok(())
    }

    /// Replaces the site and its clients by those of a snapshot; every connection ends. The change is recorded with the lab time that
    /// the clock has after it, together with the clients and the batch; then `recorded` is called, and then it shows.
    ///
    /// # Errors
    ///
    /// When the change cannot be recorded; nothing has changed then.
    pub(crate) fn restore_snapshot(
        &self,
        (mut site, clients): (Site, Vec<ClientStatus>),
        (change, at): (&Change, Timestamp),
        mut batch: Batch,
        recorded: impl FnOnce(),
    ) -> Result<(), CommandError> {
        let mut current = self.site();
        let recording = self.keeper.record();
        if recording.is_kept() {
            (batch.forgets_clients, batch.clients) = (true, clients.clone());
            self.append_with_pauses(Some(&site), |pauses| {
                batch.documents.extend(pauses.documents);
                recording.append(change, GivenBy::ControlApi, at, &batch)
            })?;
        }
        recorded();
        site.draw_after(&current);
        self.clients.commands.set_cancels_running(site.assumptions().cancel_reaches_running_commands);
        *current = site;
        self.changed(|| self.changes.note(&current, self.now()));
        self.clients.restore(clients);
        sync::write_all(&self.managers, &current, self.now());
        for manager in &self.managers {
            self.renew(&current, manager, OpenConnections::End);
            self.restart_rest(&current, manager, true);
        }
        self.clients.wake_held();
        drop(recording);
        Ok(())
    }

    /// Replaces the assumptions. The clients' ports and the fleet follow completely at a restored snapshot only.
    ///
    /// # Errors
    ///
    /// When the change cannot be recorded; nothing has changed then.
    pub(crate) fn assume(&self, assumptions: Arc<Assumptions>) -> Result<(), CommandError> {
        let (mut site, recording) = self.begin_change()?;
        let change = Change::Assume(Arc::clone(&assumptions));
        self.append_with_pauses(None, |batch| {
            recording.append(&change, GivenBy::ControlApi, self.time_of_change(), &batch)
        })?;
        site.assume(assumptions);
        drop(recording);
        Ok(())
    }

    /// Makes these effects visible on the clients' ports: certificate and publication in one step.
    fn show_publications(&self, site: &Site, effects: &[Effect]) {
        let has = |is: &dyn Fn(&Effect) -> bool| effects.iter().any(is);
        let restarts = has(&|effect| matches!(effect, Effect::ServicesRestarted));
        let publishes = has(&|effect| matches!(effect, Effect::Published { .. }));
        let ends = restarts || site.assumptions().update_ends_connections;
        for manager in &self.managers {
            let is_updated = has(
                &|effect| matches!(effect, Effect::CertificateServed { manager: one, .. } if *one == manager.name),
            );
            if restarts || is_updated {
                let open = if ends { OpenConnections::End } else { OpenConnections::Stay };
                self.renew(site, manager, open);
            } else if publishes {
                manager.publish(site);
            }
        }
    }

    /// Opens the REST API of a manager, with the certificate of the console's store.
    pub(crate) fn open_rest(&self, manager: &ManagerRuntime) -> Result<(), rustls::Error> {
        let identity =
            self.site().managers().find(|one| one.name == manager.name).map(|one| one.console.clone());
        let Some(identity) = identity else { return Ok(()) };
        manager.rest.tls.store(Some(Arc::new(Served::of(&identity, self.clock.clone())?)));
        Ok(())
    }

    /// Serves the new certificate of the console's store from now on.
    fn show_rest_certificate(&self, site: &Site, manager: &str) {
        let Some(manager) = self.manager(manager) else { return };
        self.restart_rest(site, manager, site.assumptions().update_ends_connections);
    }

    /// Serves the certificate of the console's store; a restart ends connections and tokens.
    fn restart_rest(&self, site: &Site, manager: &ManagerRuntime, restarts: bool) {
        if manager.rest.tls.load().is_none() {
            return;
        }
        let Some(known) = site.managers().find(|one| one.name == manager.name) else { return };
        match Served::of(&known.console, self.clock.clone()) {
            Ok(served) => manager.rest.tls.store(Some(Arc::new(served))),
            Err(error) => {
                tracing::error!(%error, manager = manager.name, "cannot serve the console's certificate");
            }
        }
        if restarts {
            manager.rest.restart();
        }
    }

    /// Begins a generation of a manager with the site's present certificate and publication, and new session tickets.
    fn renew(&self, site: &Site, manager: &ManagerRuntime, open: OpenConnections) {
        let Some(publication) = site.publication(&manager.name) else { return };
        let tls = Served::of(&publication.identity, self.clock.clone()).unwrap_or_else(|error| {
            tracing::error!(%error, manager = manager.name, "cannot serve the certificate");
            manager.generation().tls.clone()
        });
        manager.renew(site, tls, open);
    }
}

/// Applies commands to the site. A single one that only changes records of clients needs no copy of the site.
fn apply(site: &mut Site, commands: &[Command], now: Timestamp) -> Result<Vec<Effect>, CommandError> {
    match commands {
        [one] => site.apply(one, now),
        all => site.apply_all(all, now),
    }
}

#[cfg(test)]
mod tests;
