//! Reproduces the failures of the catalogue, for the clues that each leaves, and holds the file of signatures equal to them.

use std::collections::BTreeMap;

use crate::agent::LogLine;
use crate::catalogue::diagnose::clue::{self, Clue};
use crate::catalogue::diagnose::line::Line;
use crate::catalogue::diagnose::read::{Form, Log};
use crate::catalogue::diagnose::signature::{Played, Signature};
use crate::catalogue::entry::Play;
use crate::catalogue::observed::State;
use crate::catalogue::{entries, plays, rehearse_play};

/// How many times a failure is played where a client meets several managers, since their order is random.
const TIMES: u64 = 4;

/// The clues in the log of each client of the affected parts.
fn played(play: &Play, title: &str) -> Played {
    let times = if play.site.managers.len() > 1 { TIMES } else { 1 };
    let mut variants = Played::new();
    for seed in (0..times).map(|more| play.seed.wrapping_add(more)) {
        let observed = rehearse_play(&Play { seed, ..Play::clone(play) }, title).unwrap();
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
        severity: Some(line.event.severity().into()),
        host: None,
        text: line.text.clone(),
    };
    Log { form: Form::Printed, encoding: "UTF-8", lines: lines.iter().enumerate().map(line).collect() }
}

#[test]
fn the_kept_signatures_are_those_of_the_reproductions() {
    let all: BTreeMap<String, Played> =
        plays().map(|(entry, play)| (entry.id.clone(), played(play, &entry.title))).collect();
    let keys = |variant: &std::collections::BTreeSet<Clue>| variant.iter().map(Clue::to_key).collect();
    let written: BTreeMap<&String, Vec<Vec<String>>> =
        all.iter().map(|(id, variants)| (id, variants.iter().map(keys).collect())).collect();
    let mut text = serde_json::to_string_pretty(&written).unwrap();
    text.push('\n');
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/catalogue/diagnose/signatures.json");
    if std::env::var_os("EPM_TESTS_WRITE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
        return;
    }
    let again =
        "write it anew with EPM_TESTS_WRITE_GOLDEN=1 cargo test -p epm-client-agent --lib -- kept_signatures";
    assert!(std::fs::read_to_string(path).unwrap() == text, "{path} is behind the catalogue; {again}");
    for signature in Signature::all(entries()) {
        let kept = all.get(&signature.entry.id).cloned().unwrap_or_default();
        assert_eq!(signature.played, kept, "{}", signature.entry.id);
    }
}
