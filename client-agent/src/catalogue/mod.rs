//! The failure catalogue: every known way in which manager and client part, each brought about by name.
//!
//! | room | what |
//! |---|---|
//! | `entry` | what the catalogue says of a failure |
//! | `read` | an entry's file, and what makes it unsound |
//! | `files` | the files themselves, compiled in |
//! | `check` | what must be seen, held against what was seen |
//! | `observed` | what was seen: both sides of every client, and how it stands |
//! | `rehearse` | an entry in virtual time |
//! | `diagnose` | from a client's log to the failures that fit it |
//! | `refusal` | an entry that a manager refuses to let happen |
//! | `rest_case` | an entry of an administrator's tool at the REST API |
//!
//! Sockets are not known here: whoever carries an entry over them hands in an [`Account`] of the same form.

mod check;
mod diagnose;
mod entry;
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

pub use check::{Expected, Finding, ManagersDo, Sight, State};
pub use diagnose::{Apart, Candidate, Clue, Contact, Diagnosis, Failed, Form, Line, Log, LogError, diagnose};
pub use entry::{Entry, Lookalike, Mark, Means, Play, ProductLine, Standing};
pub use observed::{Account, Act, ManagerNote, Reproduction, Seen};
pub use read::EntryError;
pub use refusal::{Refused, RefusedCommand, Verdict, refused};
pub use rehearse::rehearsed;
pub use rest_case::{Call, Errand, Met, Visit, code, errand, given};

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
