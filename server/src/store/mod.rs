//! What outlives a lab: the log of its site's changes, the registered clients, and documents of everything else.
//!
//! | file | what |
//! |---|---|
//! | `change` | a change of the site, as the log keeps it |
//! | `batch` | what is written in one step |
//! | `founding` | what a lab was founded with |
//! | `error` | why a store cannot be read or written |
//! | `sqlite` | the store in a folder, an SQLite database |
//! | `schema` | tables and views of that database, and their versions |
//! | `checksum` | checksums of its rows |
//! | `steps` | the number of steps that were written, beside it |
//! | `shared` | a log that several processes share |
//! | `postgres` | the shared log, in a PostgreSQL database; with the feature `postgres` |
//!
//! A [`Store`] is told facts and gives them back; it decides nothing. `docs/data.md` describes the folder for people, and
//! `docs/many-machines.md` the database.

mod batch;
mod change;
mod checksum;
mod error;
mod founding;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod schema;
mod shared;
mod sqlite;
mod steps;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use epm_protocol::time::Timestamp;

pub(crate) use batch::{Batch, Kind};
pub(crate) use change::{Change, Given, GivenBy, NamedUpdate, Replaced, is_logged, is_of_an_operator};
pub use error::StoreError;
#[cfg(test)]
pub(crate) use founding::test_site;
pub(crate) use founding::{FoundedManager, FoundedWith};
pub(crate) use shared::{
    ClientNews, DocumentKey, Founded, LastEntry, LinkState, ReportKey, Rows, SharedDocument, SharedLog, Step,
    StoredReport, tell_new,
};
pub(crate) use sqlite::{FILES, SqliteStore, hold, is_held};

use crate::runtime::clients::ClientStatus;

/// An entry of the log.
#[derive(Debug)]
pub(crate) struct LogEntry {
    /// Number of the entry; the first one is 1, and none is missing.
    pub(crate) sequence: i64,
    /// Lab time of the change.
    pub(crate) at: Timestamp,
    /// When it was written, by the clock of a store that several processes share.
    pub(crate) written: Option<Timestamp>,
    pub(crate) change: Change,
}

/// Reads the log of a site.
pub(crate) trait Log: fmt::Debug + Send + Sync {
    /// Reads the log from its beginning.
    fn read_log(&self, each: &mut dyn FnMut(LogEntry) -> Result<(), StoreError>) -> Result<(), StoreError>;

    /// The error of content that cannot be understood; `what` names it.
    fn invalid(&self, what: String, why: &dyn fmt::Display) -> StoreError;
}

/// Keeps what outlives a lab.
pub(crate) trait Store: Log {
    /// Appends a change to the log, and writes what belongs to it; both or neither, and on disk when this returns.
    fn append(&self, change: &Change, by: GivenBy, at: Timestamp, with: &Batch) -> Result<(), StoreError>;

    /// Writes a batch, all of it or nothing.
    fn write(&self, batch: &Batch) -> Result<(), StoreError>;

    /// The registered clients.
    fn clients(&self) -> Result<Vec<ClientStatus>, StoreError>;

    /// The documents of a kind, by name.
    fn documents(&self, kind: Kind) -> Result<Vec<(String, String)>, StoreError>;

    /// Removes entries of the log, and puts others in the place of some, all in one step.
    fn compact(&self, removed: &[RangeInclusive<i64>], replaced: &[(i64, Change)]) -> Result<(), StoreError>;

    /// The folder.
    fn folder(&self) -> &Path;

    /// Number of bytes that its files take on disk.
    fn bytes(&self) -> u64;

    /// Removes everything that the store has of its lab.
    fn clear(&self) -> Result<(), StoreError>;
}
