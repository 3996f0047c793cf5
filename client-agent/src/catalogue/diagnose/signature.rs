//! The signature of a failure: the clues in the logs of affected clients, as described and as the lab reproduces it.

use std::collections::BTreeSet;

use super::clue::{self, Clue};
use super::read::{Form, Line, Log};
use crate::agent::LogLine;
use crate::catalogue::entry::{Entry, Means, Play};
use crate::catalogue::observed::State;
use crate::catalogue::rehearse_play;

/// The signature of a failure.
#[derive(Clone, Debug)]
pub(super) struct Signature {
    /// The entry of the catalogue.
    pub(super) entry: &'static Entry,
    /// The clues in what the real product writes, according to the entry.
    pub(super) described: BTreeSet<Clue>,
    /// The clues in the log of each affected client in the lab.
    pub(super) played: Vec<BTreeSet<Clue>>,
}

impl Signature {
    pub(super) fn of(entry: &'static Entry) -> Self {
        Self {
            entry,
            described: described(entry),
            played: match &entry.means {
                Means::Play(play) => played(play, &entry.title),
                _ => Vec::new(),
            },
        }
    }

    /// The clues in the log of each affected client, or else those of the description.
    pub(super) fn variants(&self) -> impl Iterator<Item = &BTreeSet<Clue>> {
        let described = self.played.is_empty().then_some(&self.described);
        self.played.iter().chain(described)
    }
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

/// How many times a failure is played where a client meets several managers, since their order is random.
const TIMES: u64 = 4;

/// The clues in the log of each client of the affected parts.
fn played(play: &Play, title: &str) -> Vec<BTreeSet<Clue>> {
    let times = if play.site.managers.len() > 1 { TIMES } else { 1 };
    let mut variants: Vec<BTreeSet<Clue>> = Vec::new();
    for seed in (0..times).map(|more| play.seed.wrapping_add(more)) {
        let Ok(observed) = rehearse_play(&Play { seed, ..Play::clone(play) }, title) else { continue };
        let clients = observed.failure.clients.iter().filter(|one| is_hit(play, &one.part));
        variants.extend(clients.map(|one| clue::clues(&log_of(&one.log), std::iter::empty())));
    }
    variants.sort();
    variants.dedup();
    variants
}

/// Whether a failure affects this part of its fleet: it does not end connected, or no part is worse off.
pub(super) fn is_hit(play: &Play, part: &str) -> bool {
    let fares = |part: &str| {
        let seen = play.seen.iter().find(|one| one.part == part);
        seen.is_some_and(|one| one.failure.state != State::Connected)
    };
    fares(part) || !play.seen.iter().any(|one| fares(&one.part))
}

/// Converts a client's log to the form of a log that was read.
pub(super) fn log_of(lines: &[LogLine]) -> Log {
    let line = |(place, line): (usize, &LogLine)| Line {
        number: place + 1,
        at: Some(line.at),
        event: Some(line.event.id()),
        text: line.text.clone(),
    };
    Log { form: Form::Printed, lines: lines.iter().enumerate().map(line).collect() }
}
