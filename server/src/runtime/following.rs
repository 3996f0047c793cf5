//! A site whose log this process shares with others: changes are made on the newest state, and those of others are followed.

use std::sync::Arc;

use epm_protocol::fault::{FaultError, FaultRule};
use epm_protocol::site::{Command, CommandError, Site};
use epm_protocol::time::{Clock, Timestamp};
use parking_lot::MutexGuard;

use crate::runtime::action_log::LoggedAction;
use crate::runtime::faults::Faults;
use crate::runtime::keeper::Recording;
use crate::runtime::service::Service;
use crate::runtime::state::SiteState;
use crate::store::{Batch, Change, ClientNews, Given, GivenBy, Kind, LogEntry, StoreError};

/// Why a fault cannot be set or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FaultNotSet {
    /// The rule is invalid.
    #[error(transparent)]
    Rule(#[from] FaultError),
    /// The other processes cannot be told.
    #[error(transparent)]
    Shared(#[from] CommandError),
}

impl SiteState {
    /// Locks the site for a change. Where other processes change it too, none does until the recording is dropped, and what they
    /// have changed is followed first.
    pub(super) fn begin_change(&self) -> Result<(MutexGuard<'_, Site>, Recording<'_>), CommandError> {
        let Some((recording, news)) = self.keeper.begin()? else {
            let site = self.site();
            return Ok((site, self.keeper.record()));
        };
        let mut site = self.site();
        for entry in news {
            self.follow(&mut site, entry).map_err(|why| CommandError::NoDatabase { why })?;
        }
        Ok((site, recording))
    }

    /// The lab time of a change that is made now, never before that of the last one.
    pub(super) fn time_of_change(&self) -> Timestamp {
        let now = self.clock.now();
        self.keeper.shared_site().map_or(now, |shared| shared.last_change().max(now))
    }

    /// The time of the named update of this request, if another process has applied it.
    pub(super) fn is_done(
        &self,
        command: &Command,
        given: &Given,
    ) -> Result<Option<Timestamp>, CommandError> {
        let (Some(shared), Some(named)) = (self.keeper.shared_site(), &given.update) else { return Ok(None) };
        let Command::UpdateCertificate { manager, .. } = command else { return Ok(None) };
        match shared.updates(manager).into_iter().find(|one| one.update == named.name) {
            Some(done) if done.request == named.request => Ok(Some(done.at)),
            Some(_) => Err(CommandError::NameTaken { kind: "certificate update", name: named.name.clone() }),
            None => Ok(None),
        }
    }

    /// Notes a named update that this process has applied, for the others' repetitions.
    pub(super) fn note_named(&self, site: &Site, commands: &[Command], given: &Given, at: Timestamp) {
        if let (Some(shared), Some(named)) = (self.keeper.shared_site(), &given.update) {
            shared.note_update(site, commands, named, at);
        }
    }

    /// Follows what other processes have changed since the last call; with `clients`, exchanges records of clients as well, and tells in
    /// which pauses the tool waited.
    /// Nothing to do for a site of one process.
    pub(crate) fn catch_up(&self, clients: bool) -> Result<(), StoreError> {
        let Some(shared) = self.keeper.shared_site() else { return Ok(()) };
        loop {
            let news = shared.log.read_after(shared.last())?;
            if news.is_empty() {
                break;
            }
            let mut site = self.site();
            for entry in news {
                let sequence = entry.sequence;
                self.follow(&mut site, entry)
                    .map_err(|why| shared.log.invalid(format!("entry {sequence} of the log"), &why))?;
            }
        }
        if !clients {
            return Ok(());
        }
        let mut untold = self.pauses.take_untold();
        while let Some(pause) = untold.first() {
            if let Err(error) = shared.log.put_document(Kind::Pause, &pause.to_string(), "true") {
                self.pauses.still_untold(untold);
                return Err(error);
            }
            untold.pop_first();
        }
        let own = self.clients.take_changed();
        match shared.log.exchange(&own, shared.revision()) {
            Ok(news) => {
                self.adopt(news);
                Ok(())
            }
            Err(error) => {
                self.clients.still_changed(&own);
                Err(error)
            }
        }
    }

    fn adopt(&self, news: ClientNews) {
        let ClientNews { clients, removed, revision } = news;
        let mut site = self.site();
        let is_empty = clients.is_empty() && removed.is_empty();
        for theirs in clients {
            site.adopt_client(self.clients.adopt(theirs));
        }
        for agent in removed {
            site.forget_client(agent);
            self.clients.forget(Some(agent));
        }
        if let Some(shared) = self.keeper.shared_site() {
            shared.has_read(revision);
        }
        drop(site);
        if !is_empty {
            self.clients.adopted();
        }
    }

    /// Follows an entry that another process has appended, unless that is done already. On an error the process is of no more use.
    fn follow(&self, site: &mut Site, entry: LogEntry) -> Result<(), String> {
        let LogEntry { sequence, at, change, .. } = entry;
        let Some(shared) = self.keeper.shared_site().filter(|shared| shared.followed() < sequence) else {
            return Ok(());
        };
        let followed = match change {
            Change::Commands { commands, clocks, update } => {
                site.follow(&commands, &clocks, at).map_err(|error| error.to_string()).map(|effects| {
                    if let Some(update) = update {
                        shared.note_update(site, &commands, &update, at);
                    }
                    self.changed_by(&commands, || self.show_without_files(site, &effects, at));
                })
            }
            Change::Assume(assumptions) => {
                site.assume(assumptions);
                Ok(())
            }
            Change::Restart { manager, service } => {
                self.show_restart_of(site, &manager, service);
                Ok(())
            }
            Change::SetFault(rule) => {
                // A rule that the other process has accepted. It lasts from then on, however late this process hears of it.
                Faults::of(Arc::clone(&self.faults)).go_on_with(vec![(FaultRule::clone(&rule), at)]);
                Ok(())
            }
            Change::RemoveFault(name) => {
                self.remove_own_faults(name.as_deref());
                Ok(())
            }
            Change::DrawOnFrom(_)
            | Change::TakeSnapshot(_)
            | Change::RemoveSnapshot(_)
            | Change::RestoreSnapshot { .. } => Err("a shared log has no such entry".to_owned()),
        };
        followed.map_err(|why| {
            let why = format!("this process cannot follow entry {sequence} of the log: {why}");
            shared.breaks(why.clone());
            why
        })?;
        shared.has_followed(sequence, at);
        Ok(())
    }

    /// Restarts a service of a manager, or both, in whichever process it is. False if there is no such manager.
    pub(crate) fn restart_anywhere(
        &self,
        manager: &str,
        service: Option<Service>,
    ) -> Result<bool, CommandError> {
        if self.keeper.shared_site().is_none() {
            let is_known = self.restart_manager(manager, service);
            if is_known {
                let what =
                    service.map_or_else(|| "both services".to_owned(), |one| format!("the service {one}"));
                let action =
                    LoggedAction::Other(format!("{what} of {manager} restarted, and connections ended"));
                self.action_log.note(self.now(), action);
            }
            return Ok(is_known);
        }
        if self.manager(manager).is_none() {
            return Ok(false);
        }
        let (site, recording) = self.begin_change()?;
        let change = Change::Restart { manager: manager.to_owned(), service };
        recording.append(&change, GivenBy::ControlApi, self.time_of_change(), &Batch::default())?;
        self.show_restart_of(&site, manager, service);
        drop(recording);
        Ok(true)
    }

    fn show_restart_of(&self, site: &Site, manager: &str, service: Option<Service>) {
        let Some(manager) = self.manager(manager) else { return };
        let services = service.map_or_else(|| vec![Service::Semsrv, Service::Semwebsrv], |one| vec![one]);
        self.show_restart(site, manager, &services);
    }

    /// Sets a fault, in every process of the site.
    pub(crate) fn set_fault(&self, rule: FaultRule) -> Result<(), FaultNotSet> {
        let faults = Faults::of(Arc::clone(&self.faults));
        if self.keeper.shared_site().is_none() {
            let guard = faults.add(rule)?;
            self.action_log.note(self.now(), LoggedAction::SetFault(Arc::clone(guard.rule())));
            guard.keep();
            return Ok(());
        }
        // Refused before the others hear of it.
        (*faults.set()).clone().add(rule.clone(), self.clock.now())?;
        let (_site, recording) = self.begin_change()?;
        let change = Change::SetFault(Arc::new(rule.clone()));
        let at = self.time_of_change();
        recording.append(&change, GivenBy::ControlApi, at, &Batch::default())?;
        faults.go_on_with(vec![(rule, at)]);
        drop(recording);
        Ok(())
    }

    /// Removes the fault of this name, or every fault, in every process of the site. Returns whether there was any.
    pub(crate) fn remove_faults(&self, name: Option<&str>) -> Result<bool, CommandError> {
        if self.keeper.shared_site().is_none() {
            self.action_log.note(self.now(), LoggedAction::RemoveFault(name.map(str::to_owned)));
            return Ok(self.remove_own_faults(name));
        }
        let (_site, recording) = self.begin_change()?;
        let change = Change::RemoveFault(name.map(str::to_owned));
        recording.append(&change, GivenBy::ControlApi, self.time_of_change(), &Batch::default())?;
        let were_any = self.remove_own_faults(name);
        drop(recording);
        Ok(were_any)
    }

    fn remove_own_faults(&self, name: Option<&str>) -> bool {
        let faults = Faults::of(Arc::clone(&self.faults));
        match name {
            Some(name) => faults.remove(name).is_ok(),
            None => !faults.clear().is_empty(),
        }
    }
}
