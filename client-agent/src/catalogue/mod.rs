//! The failure catalogue: every known way in which the trust or the contact between manager and client breaks. Each
//! entry can be brought about by its name, `F01`.
//!
//! | room | what |
//! |---|---|
//! | `failures/` | the entries' files, and the certificates and keys that their commands name |
//! | `files` | these files, compiled in |
//! | `entry` | one entry: what is known of the real product, and how the lab brings the failure about |
//! | `expected` | what an entry expects to be seen of the failure and of its repair |
//! | `read` | an entry's file, and what makes it unsound |
//! | `observed` | what was seen: both sides of every client, and its state |
//! | `check` | what was seen, held against what is expected |
//! | `rehearse` | plays an entry in virtual time |
//! | `diagnose` | from a client's log to the failures that fit it |
//! | `refusal` | a failure that cannot come about because a manager refuses its cause |
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
    Candidate, Clue, Contact, Diagnosis, Difference, Failed, Form, Line, Log, LogError, diagnose,
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

/// Every entry that is sound, in order; all of them are, or a test is red.
static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| read().into_iter().filter_map(Result::ok).collect());

/// A name that no entry has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no failure {name:?} in the catalogue{hint}")]
pub struct UnknownFailure {
    /// The name.
    pub name: String,
    /// The nearest that there is, as the end of a sentence; empty when none is near.
    pub hint: String,
}

/// Every entry of the catalogue, in order.
pub fn entries() -> &'static [Entry] {
    &ENTRIES
}

/// The entry with this id, in whatever case it is written.
///
/// # Errors
///
/// When there is none.
pub fn find(id: &str) -> Result<&'static Entry, UnknownFailure> {
    entries().iter().find(|entry| entry.id.eq_ignore_ascii_case(id.trim())).ok_or_else(|| {
        let ids = entries().iter().map(|entry| entry.id.as_str());
        UnknownFailure { name: id.to_owned(), hint: hint(&id.to_uppercase(), ids) }
    })
}

/// Reads every file of the catalogue.
fn read() -> Vec<Result<Entry, EntryError>> {
    files::ENTRIES.iter().map(|(name, text)| Entry::parse(text, name)).collect()
}
