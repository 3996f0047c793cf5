//! A log that the processes of several managers share, and the registered clients beside it.
//!
//! The store orders changes: a [`Step`] holds the log from the moment at which it has been read to its end until something has
//! been appended, or not.

use std::collections::BTreeMap;
use std::time::Duration;

use epm_client_agent::agent::ClientReport;
use epm_protocol::id::AgentId;
use epm_protocol::time::Timestamp;
use tokio::sync::watch;

use crate::runtime::clients::{ChangedClients, ClientStatus};
use crate::store::{Batch, Change, FoundedWith, GivenBy, Kind, Log, LogEntry, StoreError};

/// A site in a store that several processes share.
#[derive(Clone, Debug)]
pub(crate) struct Founded {
    /// The founding of the site.
    pub(crate) with: FoundedWith,
    /// Lab time passes this many times as fast as that of the machines, since the founding.
    pub(crate) speed: u32,
    /// The time of the machine at which the site was founded.
    pub(crate) machine: Timestamp,
}

impl Founded {
    /// Lab time at this time of a machine.
    pub(crate) fn lab_time(&self, machine: Timestamp) -> Timestamp {
        let passed = machine.as_millis().saturating_sub(self.machine.as_millis());
        let passed = passed.saturating_mul(i64::from(self.speed));
        Timestamp::from_millis(self.with.at.as_millis().saturating_add(passed))
    }
}

/// Clients that other processes have registered, moved, seen or removed.
#[derive(Debug, Default)]
pub(crate) struct ClientNews {
    pub(crate) clients: Vec<ClientStatus>,
    pub(crate) removed: Vec<AgentId>,
    /// Number of the latest change of a client's record that was read or written.
    pub(crate) revision: i64,
}

/// A report of clients as a store has it.
#[derive(Clone, Debug)]
pub(crate) struct StoredReport {
    pub(crate) source: String,
    /// Number that no other report has.
    pub(crate) number: i64,
    /// Real time since it came.
    pub(crate) age: Duration,
    /// Lab time at which it came.
    pub(crate) heard: Timestamp,
    /// Time by the source's clock, and lab time, of the first report of the same run of the source.
    pub(crate) origin: (Timestamp, Timestamp),
    /// Number of the part.
    pub(crate) part: u32,
    /// Length of the report, in bytes of JSON; 0 if it is one of those that are known.
    pub(crate) bytes: usize,
    /// The report; none if it is one of those that are known.
    pub(crate) report: Option<ClientReport>,
}

/// A document that the processes of a site share.
#[derive(Clone, Debug)]
pub(crate) struct SharedDocument {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// Number that no other document has, and none had.
    pub(crate) number: i64,
    /// The document; none if it is one of those that are known.
    pub(crate) content: Option<String>,
}

/// Rows that are of no use to each other: one that is damaged hides no other.
#[derive(Debug)]
pub(crate) struct Rows<K, T> {
    pub(crate) read: Vec<T>,
    /// What tells each damaged row apart, and what is wrong with it.
    pub(crate) damaged: Vec<(K, StoreError)>,
}

/// Logs what is damaged and was not before; keeps what is.
pub(crate) fn tell_new<K: Ord>(before: &mut BTreeMap<K, String>, now: BTreeMap<K, String>, what: &str) {
    for (_, why) in now.iter().filter(|(key, why)| before.get(key) != Some(*why)) {
        tracing::error!("{what}: {why}");
    }
    *before = now;
}

/// What tells a report apart: the name of its source, and the number of the part.
pub(crate) type ReportKey = (String, u32);

/// What tells a document apart: the name of its kind, and its own.
pub(crate) type DocumentKey = (String, String);

/// The last entry of a log that a process has followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastEntry {
    /// Number of the entry; 0 if there is none.
    pub(crate) sequence: i64,
    /// Lab time of the entry.
    pub(crate) at: Timestamp,
}

/// How a process stands to its store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkState {
    /// Grows when there may be news.
    pub(crate) news: u64,
    /// Why the store is not available, without its place; none while it is.
    pub(crate) down: Option<String>,
    /// The process that has taken this one's name while the store was not available.
    pub(crate) name_taken_by: Option<String>,
}

/// A change that is being made. Nothing else is appended until it is dropped.
pub(crate) trait Step {
    /// Appends a change and writes what belongs to it, both or neither; returns the number of the entry. At most once.
    fn append(&self, change: &Change, by: GivenBy, at: Timestamp, with: &Batch) -> Result<i64, StoreError>;
}

/// A log that several processes share.
pub(crate) trait SharedLog: Log {
    /// Begins a change, and returns all entries after the last one that the process has followed.
    fn begin(&self, last: LastEntry) -> Result<(Vec<LogEntry>, Box<dyn Step + '_>), StoreError>;

    /// Some of the entries after the last one that the process has followed, oldest first; none if there are none.
    fn read_after(&self, last: LastEntry) -> Result<Vec<LogEntry>, StoreError>;

    /// Writes what this process knows of clients, and returns what others have written since this revision.
    fn exchange(&self, own: &ChangedClients, after: i64) -> Result<ClientNews, StoreError>;

    /// Puts a report in the place of the same source's earlier ones: of the same part, and all of another run.
    fn put_report(&self, stored: &StoredReport) -> Result<(), StoreError>;

    /// Every report; those with these numbers without their content.
    fn reports(&self, known: &[i64]) -> Result<Rows<ReportKey, StoredReport>, StoreError>;

    /// Forgets the reports of a source. Returns whether there were any.
    fn forget_reports(&self, source: &str) -> Result<bool, StoreError>;

    /// Puts a document in the place of one of that kind and name. Returns its number.
    fn put_document(&self, kind: Kind, name: &str, content: &str) -> Result<i64, StoreError>;

    /// Every document; those with these numbers without their content.
    fn documents(&self, known: &[i64]) -> Result<Rows<DocumentKey, SharedDocument>, StoreError>;

    /// Removes a document, if there is one of that kind and name.
    fn remove_document(&self, kind: Kind, name: &str) -> Result<(), StoreError>;

    /// The clients that any manager has seen after this lab time, each with when.
    fn seen_after(&self, at: Timestamp) -> Result<Vec<(AgentId, Timestamp)>, StoreError>;

    /// The managers whose processes run.
    fn running(&self) -> Result<Vec<String>, StoreError>;

    /// How the process stands to its store, from moment to moment.
    fn link(&self) -> watch::Receiver<LinkState>;
}
