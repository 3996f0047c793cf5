//! A failure that a log may come from, and what tells it from the others.

use serde::Serialize;

use super::clue::Clue;
use crate::catalogue::entry::Entry;

/// A failure that fits.
#[derive(Clone, Debug, Serialize)]
pub struct Candidate {
    /// Its name.
    pub id: String,
    /// Its title.
    pub title: String,
    /// How well it fits, from 0 to 1.
    pub fit: f64,
    /// What speaks for it, the rarest first.
    pub because: Vec<Clue>,
    /// What it would show besides, and the log does not.
    pub lacks: Vec<Clue>,
    /// What tells it from the others.
    pub differences: Vec<Difference>,
    /// What to run to see it.
    pub commands: Vec<String>,
    /// The entry.
    #[serde(skip)]
    pub entry: &'static Entry,
}

/// What tells a failure from another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The other failure.
    pub from: String,
    /// What to look for, in the words of the entry that says it.
    pub by: String,
}
