//! Keeps a site: each change is recorded before its effects show, and the client table is written in batches.
//!
//! Without a store nothing is kept, and everything here does nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use epm_protocol::site::{Command, CommandError, Effect, Site};
use epm_protocol::time::Timestamp;
use parking_lot::{Mutex, MutexGuard};

use crate::runtime::clients::{ChangedClients, Clients};
use crate::store::{Batch, Change, Given, GivenBy, Store, StoreError};

/// Records the changes of a site.
#[derive(Debug)]
pub(crate) struct Keeper {
    store: Option<Arc<dyn Store>>,
    /// Held from before a change is recorded until it shows, and while the client table is written: otherwise a batch that was
    /// taken before the change could be written after it.
    order: Mutex<()>,
    /// Number of writes, and of those that failed.
    writes: [AtomicU64; 2],
}

/// Held until a recorded change shows.
#[must_use]
pub(crate) struct Recording<'a> {
    keeper: &'a Keeper,
    _order: Option<MutexGuard<'a, ()>>,
}

impl Keeper {
    pub(crate) fn new(store: Option<Arc<dyn Store>>) -> Self {
        Self { store, order: Mutex::default(), writes: Default::default() }
    }

    /// The store, if there is one.
    pub(crate) const fn store(&self) -> Option<&Arc<dyn Store>> {
        self.store.as_ref()
    }

    /// Begins to record changes. Where the site is locked as well, it is locked first.
    pub(crate) fn record(&self) -> Recording<'_> {
        Recording { keeper: self, _order: self.store.as_ref().map(|_| self.order.lock()) }
    }

    /// Writes what has changed in the client table, and this batch with it. On an error everything is tried again the next time,
    /// except the batch.
    pub(crate) fn write_clients(&self, clients: &Clients, mut batch: Batch) -> Result<(), StoreError> {
        let Some(store) = &self.store else { return Ok(()) };
        let _order = self.order.lock();
        let ChangedClients { changed, seen } = clients.take_changed();
        (batch.clients, batch.seen) = (changed, seen);
        if batch.is_empty() {
            return Ok(());
        }
        let written = self.counted(store.write(&batch));
        if written.is_err() {
            clients.still_changed(&ChangedClients { changed: batch.clients, seen: batch.seen });
        }
        written
    }
}

impl Keeper {
    /// Number of writes since the process started, and of those that failed.
    pub(crate) fn writes(&self) -> [u64; 2] {
        self.writes.each_ref().map(|one| one.load(Ordering::Relaxed))
    }

    fn counted<T, E>(&self, written: Result<T, E>) -> Result<T, E> {
        self.writes[0].fetch_add(1, Ordering::Relaxed);
        self.writes[1].fetch_add(u64::from(written.is_err()), Ordering::Relaxed);
        written
    }
}

impl Recording<'_> {
    /// Whether changes are recorded.
    pub(crate) const fn is_kept(&self) -> bool {
        self.keeper.store.is_some()
    }

    /// Records a change, and writes a batch with it.
    ///
    /// # Errors
    ///
    /// When the store cannot be written; then nothing is recorded.
    pub(crate) fn append(
        &self,
        change: &Change,
        by: GivenBy,
        now: Timestamp,
        with: &Batch,
    ) -> Result<(), CommandError> {
        let Some(store) = &self.keeper.store else { return Ok(()) };
        self.keeper.counted(store.append(change, by, now, with)).map_err(|error| {
            tracing::error!(%error, "a change was refused, because it cannot be recorded");
            CommandError::NotStored { why: error.to_string() }
        })
    }

    /// Records commands and what they do to records of clients; `site` has applied them already.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub(crate) fn append_commands(
        &self,
        commands: &[Command],
        effects: &[Effect],
        (site, clients): (&Site, &Clients),
        given: &Given,
        now: Timestamp,
    ) -> Result<(), CommandError> {
        if !self.is_kept() {
            return Ok(());
        }
        let mut batch = Batch::default();
        for effect in effects {
            match effect {
                Effect::ClientsForgotten => batch.forgets_clients = true,
                Effect::ClientRemoved { agent } => batch.removed.push(*agent),
                Effect::ClientPlaced { agent, .. } => {
                    let known = clients.status(*agent).zip(site.client(*agent));
                    batch.clients.extend(known.map(|(mut status, client)| {
                        status.client = client.clone();
                        status
                    }));
                }
                _ => {}
            }
        }
        let change = Change::Commands {
            commands: commands.to_vec(),
            clocks: site.clocks().clone(),
            update: given.update.clone(),
        };
        self.append(&change, given.by, now, &batch)
    }
}
