//! The notes of a verdict: facts about clients that are served and trust their manager, of which an operator should know.
//!
//! The rules that find them are in `cause`; here are only their results.

use serde::{Deserialize, Serialize};

/// The code of a note.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum NoteCode {
    /// The clients hold an older policy than their group has, and by their settings download neither policies nor lists.
    DownloadsOff,
    /// The clients hold an older policy than their group has, although a manager has served them since the policy changed.
    OldPolicy,
    /// The clients share a hardware id with another machine, and take turns as one record of the site.
    SharedRecord,
    /// The clients stay with a server of a lower priority, while one of a higher priority serves clients.
    LowerPriority,
    /// The communications file of the clients prefers a group that the site does not have.
    PreferredGroupMissing,
    /// The clients are registered in the default group, and their communications file prefers another one that exists.
    NotInPreferredGroup,
}

impl NoteCode {
    /// Every code of a note, in the order of declaration.
    pub const ALL: &[Self] = &[
        Self::DownloadsOff,
        Self::OldPolicy,
        Self::SharedRecord,
        Self::LowerPriority,
        Self::PreferredGroupMissing,
        Self::NotInPreferredGroup,
    ];
}

/// A fact about clients that does not decide whether they are well: they may be served and trust their manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Note {
    /// The code of the fact.
    pub code: NoteCode,
    /// The fact in one sentence.
    pub sentence: String,
    /// The number of the failure in the catalogue; absent where none fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The title of that failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_title: Option<String>,
    /// What to do.
    pub remedy: String,
    /// The number of clients.
    pub clients: usize,
    /// The names of the first of these clients, at most 20.
    pub examples: Vec<String>,
}

impl Note {
    /// The note in lines for people: the fact, the failure if there is one, and what to do.
    pub fn lines(&self) -> Vec<String> {
        let failure = self.failure.iter().map(|id| match &self.failure_title {
            Some(title) => format!("Failure: {id} ({title})"),
            None => format!("Failure: {id}"),
        });
        let mut lines = vec![self.sentence.clone()];
        lines.extend(failure);
        lines.push(format!("To do: {}", self.remedy));
        lines
    }

    /// The first of the clients, and how many more there are: `desk-1, desk-2 and 3 more`.
    pub fn names(&self) -> String {
        match self.clients.saturating_sub(self.examples.len()) {
            0 => self.examples.join(", "),
            more => format!("{} and {more} more", self.examples.join(", ")),
        }
    }
}
