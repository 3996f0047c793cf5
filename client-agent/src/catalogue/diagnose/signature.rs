//! The signature of a failure: the clues in the logs of affected clients, as described and as the lab reproduces it.
//!
//! The reproductions take seconds, so their clues are kept in `signatures.json`; a test reproduces every failure and compares.

use std::collections::{BTreeMap, BTreeSet};

use super::clue::{self, Clue};
use crate::catalogue::entry::Entry;

/// The clues in the log of each affected client, by failure, as [`Clue::to_key`] writes them.
const KEPT: &str = include_str!("signatures.json");

/// The clues in the logs of the affected clients of a failure.
pub(super) type Played = Vec<BTreeSet<Clue>>;

/// The signature of a failure.
#[derive(Clone, Debug)]
pub(super) struct Signature {
    /// The entry of the catalogue.
    pub(super) entry: &'static Entry,
    /// The clues in what the real product writes, according to the entry.
    pub(super) described: BTreeSet<Clue>,
    /// The clues in the log of each affected client in the lab.
    pub(super) played: Played,
}

impl Signature {
    /// The signatures of these failures.
    pub(super) fn all(entries: &'static [Entry]) -> Vec<Self> {
        let mut kept = parse(KEPT);
        let of = |entry: &'static Entry| Self {
            entry,
            described: described(entry),
            played: kept.remove(&entry.id).unwrap_or_default(),
        };
        entries.iter().map(of).collect()
    }

    /// The clues in the log of each affected client, or else those of the description.
    pub(super) fn variants(&self) -> impl Iterator<Item = &BTreeSet<Clue>> {
        let described = self.played.is_empty().then_some(&self.described);
        self.played.iter().chain(described)
    }
}

/// Reads the file of signatures; a test checks that all of it can be read.
fn parse(text: &str) -> BTreeMap<String, Played> {
    let read: BTreeMap<String, Vec<Vec<String>>> = serde_json::from_str(text).unwrap_or_default();
    let clues = |keys: Vec<String>| keys.iter().filter_map(|key| Clue::from_key(key)).collect();
    read.into_iter().map(|(id, variants)| (id, variants.into_iter().map(clues).collect())).collect()
}

/// Words of the product that are worth looking for in a log.
pub(super) fn words(entry: &Entry) -> impl Iterator<Item = &str> {
    let is_said = |text: &&str| !text.contains('<') && text.len() > 5;
    entry.log.iter().map(|line| line.text.as_str()).filter(is_said)
}

fn described(entry: &Entry) -> BTreeSet<Clue> {
    let mut clues: BTreeSet<Clue> = words(entry).map(|words| Clue::Words(words.to_owned())).collect();
    for line in &entry.log {
        let event = line.event.as_deref().and_then(|digits| u32::from_str_radix(digits, 16).ok());
        clues.extend(event.map(Clue::Event));
        clues.extend(clue::finding(&line.text).map(Clue::Finding));
    }
    clues
}
