//! The site that a lab begins with: a new one, or one that is made again from the log of its changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use epm_client_agent::wire::LabClock;
use epm_protocol::site::{Command, CommandError, Founding, Replay, Site};
use epm_protocol::time::{Clock, Timestamp};

use crate::runtime::clients::ClientStatus;
use crate::runtime::updates::{MOST_UPDATES, Update, Updates};
use crate::store::{
    Batch, Change, FoundedManager, FoundedWith, Kind, LogEntry, NamedUpdate, Store, StoreError,
};

/// A store for a lab, and what the lab that it has was founded with.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(crate) store: Arc<dyn Store>,
    /// None if the lab is new.
    pub(crate) founded: Option<FoundedWith>,
    /// Options of `epm-lab up` to be kept with a new lab.
    pub(crate) options: BTreeMap<String, String>,
}

/// What a site begins with.
pub(crate) struct Beginning {
    pub(crate) site: Site,
    pub(crate) clients: Vec<ClientStatus>,
    /// The site at each snapshot, with its named updates.
    pub(crate) snapshots: BTreeMap<String, (Replay, Updates)>,
    /// Named updates of certificates.
    pub(crate) updates: Updates,
}

/// Why a site cannot begin.
#[derive(Debug)]
pub(crate) enum CannotBegin {
    Site(CommandError),
    Store(StoreError),
}

impl From<CommandError> for CannotBegin {
    fn from(error: CommandError) -> Self {
        Self::Site(error)
    }
}

impl From<StoreError> for CannotBegin {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Data {
    /// Reads what the lab in a store was founded with. A lab whose first start was not completed counts as none.
    pub(crate) fn read(store: Arc<dyn Store>, options: BTreeMap<String, String>) -> Result<Self, StoreError> {
        let founded = founded_in(store.as_ref())?;
        Ok(Self { store, founded, options })
    }

    /// Notes that the store has a whole lab.
    pub(crate) fn complete(store: &dyn Store) -> Result<(), StoreError> {
        match founded(store)? {
            Some(mut founded) if !founded.is_complete => {
                founded.is_complete = true;
                store.write(&Batch::of(Kind::Founding, Kind::Founding.name(), &founded))
            }
            _ => Ok(()),
        }
    }
}

/// What the lab of a store was founded with; none if no start of it was completed.
pub(crate) fn founded_in(store: &dyn Store) -> Result<Option<FoundedWith>, StoreError> {
    Ok(founded(store)?.filter(|founded| founded.is_complete))
}

/// The site that a store has, without its clients.
///
/// # Errors
///
/// When the log cannot be read or repeated.
pub(crate) fn replayed(founded: &FoundedWith, store: &dyn Store) -> Result<Replay, StoreError> {
    Ok(Replayed::from_log(founded, store)?.site)
}

fn founded(store: &dyn Store) -> Result<Option<FoundedWith>, StoreError> {
    let documents = store.documents(Kind::Founding)?;
    let read = |(_, content): &(String, String)| {
        serde_json::from_str(content)
            .map_err(|error| store.invalid("the founding of the lab".to_owned(), &error))
    };
    documents.first().map(read).transpose()
}

impl Beginning {
    /// Founds a new site, and keeps with what; or makes the site again that the store has. `rest` has the port of each manager's
    /// REST API.
    pub(crate) fn of(
        data: Option<&Data>,
        founding: Founding,
        rest: &[Option<u16>],
        clock: &LabClock,
    ) -> Result<Self, CannotBegin> {
        if let Some(Data { store, founded: Some(founded), .. }) = data {
            return Ok(Self::again(founded, store.as_ref(), clock)?);
        }
        let at = clock.now();
        if let Some(Data { store, options, .. }) = data {
            let manager = |((name, ports), rest): (&(String, _), &Option<u16>)| {
                let ports: &epm_protocol::site::ManagerPorts = ports;
                FoundedManager {
                    name: name.clone(),
                    address: ports.address.clone(),
                    http: ports.http,
                    https: ports.https,
                    rest: *rest,
                }
            };
            let founded = FoundedWith {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                at,
                name: founding.name.clone(),
                seed: founding.seed,
                managers: founding.managers.iter().zip(rest).map(manager).collect(),
                assumptions: (*founding.assumptions).clone(),
                options: options.clone(),
                is_complete: false,
            };
            store.clear()?;
            store.write(&Batch::of(Kind::Founding, Kind::Founding.name(), &founded))?;
        }
        Ok(Self {
            site: Site::found(founding, at)?,
            clients: Vec::new(),
            snapshots: BTreeMap::new(),
            updates: Updates::new(),
        })
    }

    fn again(founded: &FoundedWith, store: &dyn Store, clock: &LabClock) -> Result<Self, StoreError> {
        let Replayed { site, snapshots, updates, at } = Replayed::from_log(founded, store)?;
        let clients = store.clients()?;
        // The time that was kept last can be a little older than the last change.
        if clock.speed() != 1 && clock.now() < at {
            clock.set(at);
        }
        let site = site.finish(clients.iter().map(|one| one.client.clone()));
        Ok(Self { site, clients, snapshots, updates })
    }
}

/// A site that was made again from its log.
struct Replayed {
    /// The site, without its clients.
    site: Replay,
    /// The site at each snapshot that was not removed.
    snapshots: BTreeMap<String, (Replay, Updates)>,
    updates: Updates,
    /// Lab time of the last entry, or of the founding.
    at: Timestamp,
}

impl Replayed {
    /// Repeats every entry of the log.
    ///
    /// # Errors
    ///
    /// When the log cannot be read, or an entry is refused.
    fn from_log(founded: &FoundedWith, store: &dyn Store) -> Result<Self, StoreError> {
        let begun = Replay::begin(founded.founding(), founded.at)
            .map_err(|error| store.invalid("the founding".to_owned(), &error))?;
        let mut this =
            Self { site: begun, snapshots: BTreeMap::new(), updates: Updates::new(), at: founded.at };
        store.read_log(&mut |LogEntry { sequence, at, change }| {
            this.at = this.at.max(at);
            this.repeat(change, at).map_err(|why| store.invalid(format!("entry {sequence} of the log"), &why))
        })?;
        Ok(this)
    }

    fn repeat(&mut self, change: Change, at: Timestamp) -> Result<(), String> {
        let refused = |error: CommandError| format!("this version refuses it: {error}");
        match change {
            Change::Commands { commands, clocks, update } => {
                self.site.repeat(&commands, &clocks, at).map_err(refused)?;
                if let Some(update) = update {
                    self.note(&commands, &update, at);
                }
            }
            Change::Assume(assumptions) => self.site.assume(assumptions),
            Change::DrawOnFrom(certificate) => self.site.draw_on_from(certificate),
            Change::TakeSnapshot(name) => {
                self.snapshots.insert(name, (self.site.clone(), self.updates.clone()));
            }
            Change::RemoveSnapshot(name) => {
                self.snapshots.remove(&name);
            }
            Change::RestoreSnapshot { name, assumptions } => {
                let earlier = self.snapshots.get(&name).cloned();
                let earlier = earlier.ok_or_else(|| format!("there is no snapshot {name:?}"))?;
                self.site.restore(earlier.0, assumptions);
                self.updates = earlier.1;
            }
        }
        Ok(())
    }

    /// Notes a named update, which the site has repeated.
    fn note(&mut self, commands: &[Command], update: &NamedUpdate, at: Timestamp) {
        for command in commands {
            let Command::UpdateCertificate { manager, stores, .. } = command else { continue };
            let Some(fingerprint) = self.site.certificate(manager, *stores) else { continue };
            let NamedUpdate { name, request } = update.clone();
            let update = Update { update: name, at, stores: *stores, fingerprint, request };
            let known = self.updates.entry(manager.clone()).or_default();
            if known.len() == MOST_UPDATES {
                known.remove(0);
            }
            known.push(update);
        }
    }
}
