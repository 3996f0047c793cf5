//! Finds the failures that may be the cause of a client's log: its clues are compared with the signature of each
//! failure.
//!
//! | module | what |
//! |---|---|
//! | `read` | a log of the lab or of the real client, or a line of one |
//! | `clue` | the clues in it |
//! | `signature` | the clues that each failure leaves, as described and as played |
//! | `candidate` | a failure that may be the cause |
//! | `differences` | what distinguishes the candidates |
//!
//! No clue identifies a failure alone. Its weight is counted: the fewer failures show it, the greater.

mod candidate;
mod clue;
mod differences;
mod read;
mod signature;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Serialize;

pub use candidate::{Candidate, Difference};
pub use clue::{Clue, Contact, Failed};
pub use read::{Form, Line, Log, LogError};

use signature::Signature;

/// The weight of clues that a failure shows and the log does not: a log may begin late, and end early.
const LACKING: f64 = 0.5;
/// The weight of clues that the entry's description shares with the log, compared with those of the reproduction.
const DESCRIBED: f64 = 0.2;
/// The smallest fit with which a failure is named.
const LEAST: f64 = 0.02;

/// The signatures of all failures. Playing them takes about a second, once.
static SIGNATURES: LazyLock<Vec<Signature>> =
    LazyLock::new(|| super::entries().iter().map(Signature::of).collect());

/// The failures that may be the cause of a log.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// The form of the log.
    pub form: Form,
    /// The number of lines that were read.
    pub lines: usize,
    /// The clues in the log.
    pub clues: Vec<Clue>,
    /// Whether the log shows any problem.
    pub shows_trouble: bool,
    /// The servers that failed according to the log.
    pub servers: Vec<String>,
    /// The failures that fit, best first.
    pub candidates: Vec<Candidate>,
}

/// The number of failures that show each clue: the fewer, the more it says.
struct Weights(BTreeMap<Clue, usize>);

impl Weights {
    fn of(signatures: &[Signature]) -> Self {
        let mut counts = BTreeMap::new();
        for signature in signatures {
            let all: BTreeSet<&Clue> = signature.variants().flatten().chain(&signature.described).collect();
            for clue in all {
                *counts.entry(clue.clone()).or_insert(0) += 1;
            }
        }
        Self(counts)
    }

    /// The weight of a clue; 0 if no failure shows it.
    fn of_clue(&self, clue: &Clue) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "there are few entries")]
        let (all, showing) = (SIGNATURES.len() as f64, self.0.get(clue).copied().unwrap_or(0) as f64);
        if showing == 0.0 { 0.3 } else { ((all + 1.0) / (showing + 0.5)).ln() }
    }

    fn sum<'a>(&self, clues: impl Iterator<Item = &'a Clue>) -> f64 {
        clues.map(|clue| self.of_clue(clue)).sum()
    }
}

/// Ranks the failures that may be the cause of a log.
pub fn diagnose(log: &Log) -> Diagnosis {
    let known: BTreeSet<&str> = super::entries().iter().flat_map(signature::words).collect();
    let mut clues = clue::clues(log, known.into_iter());
    let is_worded = clue::is_worded(&clues);
    if !is_worded {
        clues.retain(|clue| !clue.needs_words());
    }
    let weights = Weights::of(&SIGNATURES);
    let is_visible =
        |clue: &Clue| (is_worded || !clue.needs_words()) && (log.form != Form::Line || !clue.needs_a_log());
    let mut candidates: Vec<Candidate> = SIGNATURES
        .iter()
        .filter_map(|signature| candidate(signature, &clues, &weights, &is_visible))
        .filter(|one| one.fit >= LEAST && !one.because.is_empty())
        .collect();
    candidates.sort_by(|one, other| other.fit.total_cmp(&one.fit).then_with(|| one.id.cmp(&other.id)));
    let servers = servers(log);
    differences::add_differences(&mut candidates, servers.first().map(String::as_str));
    Diagnosis {
        form: log.form,
        lines: log.lines.len(),
        shows_trouble: clues.iter().any(is_trouble),
        clues: clues.into_iter().collect(),
        servers,
        candidates,
    }
}

/// The variant of a failure that fits best.
fn candidate(
    signature: &Signature,
    clues: &BTreeSet<Clue>,
    weights: &Weights,
    is_visible: &impl Fn(&Clue) -> bool,
) -> Option<Candidate> {
    let all = weights.sum(clues.iter());
    let described = weights.sum(clues.intersection(&signature.described)) / all.max(f64::MIN_POSITIVE);
    let mut best: Option<(f64, Vec<&Clue>, Vec<&Clue>)> = None;
    for variant in signature.variants() {
        let both: Vec<&Clue> = variant.intersection(clues).collect();
        let lacks: Vec<&Clue> = variant.difference(clues).filter(|clue| is_visible(clue)).collect();
        let missing = weights.sum(lacks.iter().copied());
        let share = weights.sum(both.iter().copied()) / (all + LACKING * missing).max(f64::MIN_POSITIVE);
        if best.as_ref().is_none_or(|(before, ..)| share > *before) {
            best = Some((share, both, lacks));
        }
    }
    let (share, mut because, mut lacks) = best?;
    because.extend(
        clues.intersection(&signature.described).filter(|clue| !because.contains(clue)).collect::<Vec<_>>(),
    );
    let fit = (share + DESCRIBED * described) / (1.0 + DESCRIBED);
    let rarest = |one: &&Clue, other: &&Clue| weights.of_clue(other).total_cmp(&weights.of_clue(one));
    because.sort_by(rarest);
    lacks.sort_by(rarest);
    let own = |clues: Vec<&Clue>| clues.into_iter().cloned().collect();
    let entry = signature.entry;
    Some(Candidate {
        id: entry.id.clone(),
        title: entry.title.clone(),
        fit,
        because: own(because),
        lacks: own(lacks),
        differences: Vec::new(),
        commands: Vec::new(),
        entry,
    })
}

/// The servers that failed, in the order of the log.
fn servers(log: &Log) -> Vec<String> {
    let mut servers: Vec<String> = Vec::new();
    for line in log.lines.iter().filter(|line| clue::finding(&line.text).is_some()) {
        if let Some((_, server)) = clue::server(&line.text)
            && !servers.iter().any(|known| known == server)
        {
            servers.push(server.to_owned());
        }
    }
    servers
}

fn is_trouble(clue: &Clue) -> bool {
    use crate::agent::Event;
    match clue {
        Clue::Event(id) => Event::ALL.iter().any(|event| event.id() == *id && event.severity() > 0),
        Clue::Finding(_) | Clue::Words(_) => true,
        _ => false,
    }
}
