//! Keeps a site: each change is recorded before its effects show, and the client table is written in batches.
//!
//! Without a store nothing is kept, and everything here does nothing.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use epm_client_agent::wire::Stopwatch;
use epm_protocol::site::{Command, CommandError, Effect, Site};
use epm_protocol::time::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::runtime::clients::{ChangedClients, Clients};
use crate::runtime::repeated::Repeated;
use crate::runtime::shared_site::SharedSite;
use crate::store::{Batch, Change, Given, GivenBy, LogEntry, Step, Store, StoreError};

/// Records the changes of a site.
#[derive(Debug)]
pub(crate) struct Keeper {
    kept: Kept,
    /// Held from before a change is recorded until it shows, and while the client table is written: otherwise a batch that was
    /// taken before the change could be written after it.
    order: Mutex<()>,
    writes: Writes,
    /// Number of the last entry of the log when the process started, and now.
    first_entry: i64,
    last_entry: Arc<AtomicI64>,
}

/// Number of writes into a store of this process, and of those that failed.
#[derive(Debug, Default)]
struct Writes([AtomicU64; 2]);

impl Writes {
    fn counted<T, E>(&self, written: Result<T, E>) -> Result<T, E> {
        self.0[0].fetch_add(1, Ordering::Relaxed);
        self.0[1].fetch_add(u64::from(written.is_err()), Ordering::Relaxed);
        written
    }
}

/// Where a site is kept.
#[derive(Debug)]
enum Kept {
    Nowhere,
    /// In a store of this process.
    Alone(Arc<dyn Store>),
    /// In a log that other processes follow as well.
    Shared(SharedSite),
}

/// Held until a recorded change shows.
#[must_use]
pub(crate) struct Recording<'a> {
    to: RecordedTo<'a>,
    _order: Option<MutexGuard<'a, ()>>,
}

enum RecordedTo<'a> {
    Nothing,
    Alone(&'a Arc<dyn Store>, &'a Keeper),
    Shared(&'a SharedSite, Box<dyn Step + 'a>),
    /// A shared log without a step: for changes that need a process of its own.
    Refused,
}

impl Keeper {
    /// Keeps a site in this store, whose log has this many entries, or nowhere.
    pub(crate) fn new(store: Option<Arc<dyn Store>>, last_entry: i64) -> Self {
        Self::of(store.map_or(Kept::Nowhere, Kept::Alone), last_entry)
    }

    /// Keeps a site in a log that other processes follow as well.
    pub(crate) fn shared(site: SharedSite) -> Self {
        Self::of(Kept::Shared(site), 0)
    }

    fn of(kept: Kept, last_entry: i64) -> Self {
        Self {
            kept,
            order: Mutex::default(),
            writes: Writes::default(),
            first_entry: last_entry,
            last_entry: Arc::new(AtomicI64::new(last_entry)),
        }
    }

    /// Number of the last entry in the log of this process's store: when the process started, and now. It changes only while the
    /// site is locked.
    pub(crate) fn entries(&self) -> [i64; 2] {
        [self.first_entry, self.last_entry.load(Ordering::SeqCst)]
    }

    /// Number of the last entry, for what is noted beside the log.
    pub(crate) fn last_entry(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.last_entry)
    }

    /// Number of writes into a store of this process since its start, and of those that failed.
    pub(crate) fn writes(&self) -> [u64; 2] {
        self.writes.0.each_ref().map(|one| one.load(Ordering::Relaxed))
    }

    /// The store of this process, if there is one.
    pub(crate) const fn store(&self) -> Option<&Arc<dyn Store>> {
        match &self.kept {
            Kept::Alone(store) => Some(store),
            Kept::Nowhere | Kept::Shared(_) => None,
        }
    }

    /// The log that other processes follow as well, if there is one.
    pub(crate) const fn shared_site(&self) -> Option<&SharedSite> {
        match &self.kept {
            Kept::Shared(site) => Some(site),
            Kept::Nowhere | Kept::Alone(_) => None,
        }
    }

    /// Begins to record changes that need a process of their own. Where the site is locked as well, it is locked first.
    pub(crate) fn record(&self) -> Recording<'_> {
        match &self.kept {
            Kept::Nowhere => Recording::of_nothing(),
            Kept::Alone(store) => {
                Recording { to: RecordedTo::Alone(store, self), _order: Some(self.order.lock()) }
            }
            Kept::Shared(_) => Recording { to: RecordedTo::Refused, _order: None },
        }
    }

    /// Begins to record a change in a shared log: no other process changes the site until the recording is dropped, and what others
    /// have changed is returned. None without a shared log. The site is locked after it, since this waits for the others.
    ///
    /// # Errors
    ///
    /// When the shared log is not available.
    pub(crate) fn begin(&self) -> Result<Option<(Recording<'_>, Vec<LogEntry>)>, CommandError> {
        let Kept::Shared(site) = &self.kept else { return Ok(None) };
        let begin = || {
            let order = self.order.lock();
            let (news, step) = site.log.begin(site.last())?;
            Ok((Recording { to: RecordedTo::Shared(site, step), _order: Some(order) }, news))
        };
        // What else this thread has to do goes on elsewhere.
        let is_worker =
            Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
        let begun = if is_worker { tokio::task::block_in_place(begin) } else { begin() };
        begun.map(Some).map_err(|error| not_available(&error))
    }

    /// Writes what has changed in the client table, and this batch with it; `add` adds what must fit the last entry of the log. On an
    /// error everything is tried again the next time, except the batch.
    pub(crate) fn write_clients(
        &self,
        clients: &Clients,
        mut batch: Batch,
        add: impl FnOnce(&mut Batch),
    ) -> Result<(), StoreError> {
        let Some(store) = self.store() else { return Ok(()) };
        let _order = self.order.lock();
        add(&mut batch);
        let ChangedClients { mut changed, visited, seen } = clients.take_changed();
        changed.extend(visited);
        (batch.clients, batch.seen) = (changed, seen);
        if batch.is_empty() {
            return Ok(());
        }
        let written = self.writes.counted(store.write(&batch));
        if written.is_err() {
            let (changed, seen) = (batch.clients, batch.seen);
            clients.still_changed(&ChangedClients { changed, seen, ..ChangedClients::default() });
        }
        written
    }
}

impl Recording<'_> {
    /// The recording of a site that is kept nowhere.
    pub(crate) const fn of_nothing() -> Self {
        Self { to: RecordedTo::Nothing, _order: None }
    }

    /// Whether changes are recorded.
    pub(crate) const fn is_kept(&self) -> bool {
        !matches!(self.to, RecordedTo::Nothing)
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
        match &self.to {
            RecordedTo::Nothing => Ok(()),
            RecordedTo::Alone(store, keeper) => {
                keeper.writes.counted(store.append(change, by, now, with)).map_err(|error| {
                    log_refused(&error);
                    CommandError::NotStored { why: error.to_string() }
                })?;
                keeper.last_entry.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            RecordedTo::Shared(site, step) => {
                let sequence = step.append(change, by, now, with).map_err(|error| not_available(&error))?;
                site.has_followed(sequence, now);
                Ok(())
            }
            RecordedTo::Refused => Err(CommandError::SeveralProcesses {
                what: "this change",
                why: "it is of one process's fleet, clock or files",
            }),
        }
    }

    /// Records commands and what they do to records of clients, and writes a batch with it; `site` has applied them already.
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
        mut batch: Batch,
    ) -> Result<(), CommandError> {
        if !self.is_kept() {
            return Ok(());
        }
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

fn not_available(error: &StoreError) -> CommandError {
    log_refused(error);
    CommandError::NoDatabase { why: error.to_string() }
}

/// Each registration of a client is a change too, and clients try again.
fn log_refused(error: &StoreError) {
    static REFUSED: Mutex<Repeated> = Mutex::new(Repeated::new());
    static RUNNING: LazyLock<Stopwatch> = LazyLock::new(Stopwatch::start);
    let due = {
        let mut refused = REFUSED.lock();
        refused.add();
        refused.due(RUNNING.elapsed())
    };
    if let Some(changes) = due {
        tracing::error!(%error, changes, "changes were refused, because they cannot be recorded");
    }
}
