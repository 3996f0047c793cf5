//! The failure catalogue: every known way in which trust or contact between manager and client fails. Each
//! entry can be reproduced by its identifier, like `F01`.
//!
//! | module | what |
//! |---|---|
//! | `failures/` | the files of the entries, and the certificates and keys that their commands name |
//! | `files` | these files, compiled in |
//! | `entry` | an entry: what is known of the real product, and how the lab reproduces the failure |
//! | `expected` | what an entry expects of the failure and of its repair |
//! | `read` | reads an entry's file and checks it |
//! | `observed` | what was observed: both sides of every client, and its state |
//! | `check` | compares what was observed with what is expected |
//! | `rehearse` | plays an entry in virtual time |
//! | `diagnose` | finds the failures that fit a client's log |
//! | `refusal` | a failure that cannot happen because a manager refuses its cause |
//! | `rest_case` | a failure of an administrator's tool at the REST API |
//!
//! Sockets are not known here: a driver that plays an entry over sockets hands in an [`Observed`] of the same form.

mod check;
mod diagnose;
mod entry;
mod expected;
mod files;
mod observed;
mod read;
mod refusal;
mod rehearse;
mod rest_case;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use epm_protocol::suggest::hint;

pub use check::{Finding, Reproduction};
pub use diagnose::{
    Candidate, Clue, Condition, Contact, Diagnosis, Difference, Failed, Form, KnownLine, Line, Log, LogError,
    UnknownLine, diagnose,
};
pub use entry::{Entry, Lookalike, Means, Play, ProductLine, RestsOn};
pub use expected::{Area, Expected, ExpectedClient, ManagersDo};
pub use observed::{Act, ManagerNote, Observed, ObservedClient, State};
pub use read::EntryError;
pub use refusal::{RefusalCheck, Refused, RefusedCommand, rehearse_refused};
pub use rehearse::rehearse_play;
pub use rest_case::{
    Call, CallResult, CallStep, RestCase, given_beliefs, rehearse_rest_case, rejection_code,
};

/// All valid entries, in order. A test checks that all are valid.
static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| read().into_iter().filter_map(Result::ok).collect());

/// The error for an identifier that no entry has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no failure {name:?} in the catalogue{hint}")]
pub struct UnknownFailure {
    /// The identifier that was not found.
    pub name: String,
    /// The nearest known identifier, as the end of a sentence; empty if none is near.
    pub hint: String,
}

/// All entries of the catalogue, in order.
pub fn entries() -> &'static [Entry] {
    &ENTRIES
}

/// The entries that the lab plays, each with its play.
pub fn plays() -> impl Iterator<Item = (&'static Entry, &'static Play)> {
    entries().iter().filter_map(|entry| match &entry.means {
        Means::Play(play) => Some((entry, play.as_ref())),
        _ => None,
    })
}

/// Returns the entry with this identifier, in upper or lower case.
///
/// # Errors
///
/// When there is no such entry.
pub fn find(id: &str) -> Result<&'static Entry, UnknownFailure> {
    entries().iter().find(|entry| entry.id.eq_ignore_ascii_case(id.trim())).ok_or_else(|| {
        let ids = entries().iter().map(|entry| entry.id.as_str());
        UnknownFailure { name: id.to_owned(), hint: hint(&id.to_uppercase(), ids) }
    })
}

/// The JSON Schema of [`Entry::to_json`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(read::Written).to_value()
}

/// Reads every file of the catalogue.
fn read() -> Vec<Result<Entry, EntryError>> {
    files::ENTRIES.iter().map(|(name, text)| Entry::parse(text, name)).collect()
}
