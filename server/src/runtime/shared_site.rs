//! What a process knows of a site whose log it shares with others: how far it has followed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use epm_client_agent::wire::Stopwatch;
use epm_protocol::site::{Command, Site, Stores};
use epm_protocol::time::Timestamp;
use parking_lot::Mutex;

use crate::runtime::updates::{MOST_UPDATES, Update, Updates};
use crate::store::{LastEntry, NamedUpdate, SharedLog};

/// A site whose log several processes share, in one of them. The numbers change only while the site is locked.
#[derive(Debug)]
pub(crate) struct SharedSite {
    pub(crate) log: Arc<dyn SharedLog>,
    /// The manager that this process is.
    pub(crate) manager: String,
    sequence: AtomicI64,
    at: AtomicI64,
    revision: AtomicI64,
    updates: Mutex<Updates>,
    /// Why this process can no longer follow; none as long as it can.
    broken: Mutex<Option<String>>,
    /// When clients were exchanged with the database last, and why not since then, if that is known.
    exchanged: Mutex<(Stopwatch, Option<String>)>,
}

/// The longest time without an exchange of clients that is no trouble.
const LONGEST_SILENCE: Duration = Duration::from_secs(5);

/// How far a process has followed a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Followed {
    /// Number of the last entry.
    pub(crate) sequence: i64,
    /// Lab time of the last entry.
    pub(crate) at: Timestamp,
    /// Number of the last change of clients.
    pub(crate) revision: i64,
}

impl SharedSite {
    pub(crate) fn new(
        log: Arc<dyn SharedLog>,
        manager: String,
        followed: Followed,
        updates: Updates,
    ) -> Self {
        Self {
            log,
            manager,
            sequence: AtomicI64::new(followed.sequence),
            at: AtomicI64::new(followed.at.as_millis()),
            revision: AtomicI64::new(followed.revision),
            updates: Mutex::new(updates),
            broken: Mutex::default(),
            exchanged: Mutex::new((Stopwatch::start(), None)),
        }
    }

    /// Number of the last entry that this process has followed.
    pub(crate) fn followed(&self) -> i64 {
        self.sequence.load(Ordering::SeqCst)
    }

    /// Lab time of the last entry: later ones are never before it, whatever the machines' clocks say.
    pub(crate) fn last_change(&self) -> Timestamp {
        Timestamp::from_millis(self.at.load(Ordering::SeqCst))
    }

    /// The last entry that this process has followed.
    pub(crate) fn last(&self) -> LastEntry {
        LastEntry { sequence: self.followed(), at: self.last_change() }
    }

    /// Number of the last change of clients that this process has read or written.
    pub(crate) fn revision(&self) -> i64 {
        self.revision.load(Ordering::SeqCst)
    }

    /// Notes that the process has followed this entry, or made it.
    pub(crate) fn has_followed(&self, sequence: i64, at: Timestamp) {
        let before = self.sequence.swap(sequence, Ordering::SeqCst);
        if sequence != before + 1 {
            self.breaks(format!("it went from entry {before} of the log to entry {sequence}"));
        }
        self.at.fetch_max(at.as_millis(), Ordering::SeqCst);
    }

    /// Notes that the process has read or written the clients up to this change.
    pub(crate) fn has_read(&self, revision: i64) {
        self.revision.fetch_max(revision, Ordering::SeqCst);
    }

    /// Notes that clients were exchanged with the database, or why they were not.
    pub(crate) fn exchanged(&self, trouble: Option<&str>) {
        let mut exchanged = self.exchanged.lock();
        match trouble {
            None => *exchanged = (Stopwatch::start(), None),
            Some(why) => exchanged.1 = Some(why.to_owned()),
        }
    }

    /// Why this process may not know what the others do: the exchange with the database has failed, or takes long.
    pub(crate) fn trouble(&self) -> Option<String> {
        let (last, why) = &*self.exchanged.lock();
        let silent = last.elapsed();
        let is_late = silent > LONGEST_SILENCE;
        why.clone()
            .or_else(|| is_late.then(|| format!("nothing was exchanged with it for {} s", silent.as_secs())))
    }

    /// Why this process can no longer follow; none as long as it can.
    pub(crate) fn broken(&self) -> Option<String> {
        self.broken.lock().clone()
    }

    /// Notes that this process can no longer follow.
    pub(crate) fn breaks(&self, why: String) {
        self.broken.lock().get_or_insert(why);
    }

    /// The named updates of a manager's certificate, oldest first.
    pub(crate) fn updates(&self, manager: &str) -> Vec<Update> {
        self.updates.lock().get(manager).cloned().unwrap_or_default()
    }

    /// Notes a named update that the site has applied.
    pub(crate) fn note_update(&self, site: &Site, commands: &[Command], named: &NamedUpdate, at: Timestamp) {
        for command in commands {
            let Command::UpdateCertificate { manager, stores, .. } = command else { continue };
            let Some(one) = site.managers().find(|one| one.name == *manager) else { continue };
            let identity = if *stores == Stores::Console { &one.console } else { &one.client };
            let fingerprint = identity.certificate().fingerprint();
            let NamedUpdate { name, request } = named.clone();
            let mut updates = self.updates.lock();
            let known = updates.entry(manager.clone()).or_default();
            if known.len() == MOST_UPDATES {
                known.remove(0);
            }
            known.push(Update { update: name, at, stores: *stores, fingerprint, request });
        }
    }
}
