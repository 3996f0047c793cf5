//! A failure that may be the cause of a log, and what distinguishes it from the others.

use schemars::JsonSchema;
use serde::Serialize;

use super::clue::Clue;
use crate::catalogue::entry::Entry;

/// A failure that may be the cause of a log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Candidate {
    /// The identifier of the failure, like `F07`.
    pub id: String,
    /// The title of the failure.
    pub title: String,
    /// How well the failure fits, from 0 to 1.
    pub fit: f64,
    /// The clues that speak for the failure, the rarest first.
    #[schemars(with = "Vec<String>")]
    pub because: Vec<Clue>,
    /// The clues of the failure that the log does not show.
    #[schemars(with = "Vec<String>")]
    pub lacks: Vec<Clue>,
    /// What distinguishes the failure from other candidates.
    pub differences: Vec<Difference>,
    /// The commands that show the failure.
    pub commands: Vec<String>,
    /// The entry of the catalogue.
    #[serde(skip)]
    pub entry: &'static Entry,
}

/// What distinguishes a failure from another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Difference {
    /// The identifier of the other failure.
    pub from: String,
    /// What to look for, in the words of the entry that says it.
    pub by: String,
}
