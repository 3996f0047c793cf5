//! Finds the failures that may be the cause of a client's log: its clues are compared with the signature of each
//! failure.
//!
//! | module | what |
//! |---|---|
//! | `decode` | the text in the bytes of a log |
//! | `read` | a log of the lab or of the real client, or lines of other programs |
//! | `system_log` | the records of the real client's log, and their export by a manager |
//! | `known_text` | texts of Apache, Java, curl, OpenSSL and Windows |
//! | `clue` | the clues in a log |
//! | `reading` | which lines are known, and which report a problem |
//! | `signature` | the clues that each failure leaves, as described and as played |
//! | `candidate` | a failure that may be the cause |
//! | `differences` | what distinguishes the candidates |
//!
//! No clue identifies a failure alone. Its weight is counted: the fewer failures show it, the greater.

mod candidate;
mod clue;
mod decode;
mod differences;
mod error;
mod known_text;
mod line;
mod read;
mod reading;
mod signature;
mod system_log;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Serialize;

pub use candidate::{Candidate, Difference};
pub use clue::{Clue, Contact, Failed};
pub use error::LogError;
pub use line::Line;
pub use read::{Form, Log};
pub use reading::{KnownLine, UnknownLine};

use reading::Reading;
use signature::Signature;

/// The weight of clues that a failure shows and the log does not: a log may begin late, and end early.
const LACKING: f64 = 0.5;
/// The weight of clues that the entry's description shares with the log, compared with those of the reproduction.
const DESCRIBED: f64 = 0.2;
/// The smallest fit with which a failure is named.
const LEAST: f64 = 0.02;

/// The signatures of all failures.
static SIGNATURES: LazyLock<Vec<Signature>> = LazyLock::new(|| Signature::all(super::entries()));
/// The weights of their clues.
static WEIGHTS: LazyLock<Weights> = LazyLock::new(|| Weights::of(&SIGNATURES));

/// The result of a diagnosis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Every line that may report a problem is known, and none does.
    Healthy,
    /// There were problems, and a manager serves the client at the end.
    Recovered,
    /// There are problems, and failures that fit.
    Failing,
    /// There are problems, and no failure of the catalogue fits.
    Unexplained,
    /// No known line reports a problem, and some line is not known.
    Unknown,
}

/// The failures that may be the cause of a log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Diagnosis {
    /// The result of the diagnosis.
    pub condition: Condition,
    /// The form of the log.
    pub form: Form,
    /// The name of the encoding of the log.
    pub encoding: &'static str,
    /// The number of lines or records that were read.
    pub lines: usize,
    /// The clues in the log.
    #[schemars(with = "Vec<String>")]
    pub clues: Vec<Clue>,
    /// Whether the log shows any problem.
    pub shows_trouble: bool,
    /// Lines of other programs that are known.
    pub known_lines: Vec<KnownLine>,
    /// Lines that are not known; those that may report a problem come first.
    pub unknown_lines: Vec<UnknownLine>,
    /// The clients of the log, where it names several.
    pub hosts: Vec<String>,
    /// The servers that failed according to the log.
    pub servers: Vec<String>,
    /// The failures that fit, best first; none if the log is healthy.
    pub candidates: Vec<Candidate>,
    /// For a healthy log: the failures that leave no more trace in a client's log than this, best first.
    pub without_trace: Vec<Candidate>,
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
    let reading = Reading::of(log, &known);
    let mut clues = clue::clues(log, known.into_iter());
    let is_worded = clue::is_worded(&clues);
    if !is_worded {
        clues.retain(|clue| !clue.needs_words());
    }
    let has_events = log.form != Form::Line && log.lines.iter().filter(|one| one.event.is_some()).count() > 1;
    let is_visible = |clue: &Clue| (is_worded || !clue.needs_words()) && (has_events || !clue.needs_a_log());
    let mut candidates: Vec<Candidate> = SIGNATURES
        .iter()
        .filter_map(|signature| candidate(signature, &clues, &WEIGHTS, &is_visible))
        .filter(|one| one.fit >= LEAST && !one.because.is_empty())
        .collect();
    candidates.sort_by(|one, other| other.fit.total_cmp(&one.fit).then_with(|| one.id.cmp(&other.id)));
    let servers = servers(log);
    differences::add_differences(&mut candidates, servers.first().map(String::as_str));
    let condition = match (reading.shows_trouble, candidates.is_empty()) {
        (true, true) => Condition::Unexplained,
        (true, false) if clues.contains(&Clue::Contact(Contact::Kept)) => Condition::Recovered,
        (true, false) => Condition::Failing,
        (false, _) if reading.is_known() => Condition::Healthy,
        (false, _) => Condition::Unknown,
    };
    let (candidates, without_trace) = match condition {
        Condition::Healthy => {
            candidates.retain(|one| !one.lacks.iter().any(Clue::is_trouble));
            (Vec::new(), candidates)
        }
        Condition::Unknown => (Vec::new(), Vec::new()),
        _ => (candidates, Vec::new()),
    };
    let hosts: BTreeSet<&String> = log.lines.iter().filter_map(|line| line.host.as_ref()).collect();
    Diagnosis {
        condition,
        form: log.form,
        encoding: log.encoding,
        lines: log.lines.len(),
        shows_trouble: reading.shows_trouble,
        clues: clues.into_iter().collect(),
        known_lines: reading.known_lines,
        unknown_lines: reading.unknown_lines,
        hosts: if hosts.len() > 1 { hosts.into_iter().cloned().collect() } else { Vec::new() },
        servers,
        candidates,
        without_trace,
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
        // The lines of a description are alternatives: none is missing.
        let is_played = !signature.played.is_empty();
        let lacks: Vec<&Clue> =
            variant.difference(clues).filter(|clue| is_played && is_visible(clue)).collect();
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
    // Two events, and two lines, that follow each other read the same where the lines have no particulars.
    because.dedup_by_key(|clue| clue.to_string());
    lacks.dedup_by_key(|clue| clue.to_string());
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
