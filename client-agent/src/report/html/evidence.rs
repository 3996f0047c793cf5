//! What a running lab shows at one moment, as a page that says what happened without the lab at hand.

use maud::{Markup, html};

use super::evidence_rotation::{EvidenceOldCertificate, EvidenceRotation, judgement, old_certificates};
use super::table::table;
use super::{findings, page, prose, why};
use crate::rehearsal::Outcome;
use crate::report::html::sentence::Sentence;
use crate::report::words;
use epm_protocol::time::Timestamp;

/// Everything on the page beside the outcome.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The name of the site.
    pub site: String,
    /// The version of the program.
    pub version: String,
    /// The expectations that were registered with the lab.
    pub expectations: Vec<EvidenceExpectation>,
    /// The judgement of a rotation, if there is one.
    pub rotation: Option<EvidenceRotation>,
    /// Certificates that are not in force and that clients hold.
    pub old_certificates: Vec<EvidenceOldCertificate>,
    /// What happened, oldest first.
    pub events: Vec<EvidenceEvent>,
    /// The number of events that came before these and are not listed.
    pub earlier: u64,
    /// The files beside the page, each with what it has.
    pub files: Vec<(String, String)>,
    /// What the reader must know of the limits of the evidence.
    pub notes: Vec<String>,
}

/// An expectation with its limit and what was found.
#[derive(Clone, Debug, Default)]
pub struct EvidenceExpectation {
    /// The name that it was registered with.
    pub name: String,
    /// The sentence that is true if it is met.
    pub title: String,
    /// What was expected, with its limits.
    pub limit: String,
    /// What was found.
    pub value: String,
    /// The result, such as `pass`.
    pub result: String,
    /// Clients that do not meet it, each with the reason.
    pub examples: Vec<String>,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct EvidenceEvent {
    /// The lab time.
    pub at: Timestamp,
    /// The kind, as in the journal.
    pub kind: String,
    /// The manager, client or user that it is about.
    pub who: String,
    /// The event of the journal in words.
    pub what: String,
    /// How often it happened, and when for the last time.
    pub times: (u64, Timestamp),
    /// Whether it was refused, failed, or was done by a fault.
    pub is_bad: bool,
}

/// Writes the state of a lab as a page.
pub fn evidence_html(outcome: &Outcome, evidence: &Evidence) -> String {
    let sentence = Sentence::of(outcome);
    page(
        &format!("{}: {}", sentence.badge, evidence.site),
        &html! {
            (heading(outcome, evidence, &sentence))
            (why::all(outcome, "verdict.json"))
            (why::notes(outcome))
            (expectations(&evidence.expectations))
            (judgement(evidence.rotation.as_ref()))
            (findings::lost(outcome))
            (findings::not_well(outcome))
            (certificates(outcome))
            (old_certificates(&evidence.old_certificates))
            (events(evidence))
            (findings::assumptions(outcome, "assumptions.json"))
            (files(&evidence.files))
        },
        Some(super::SORT),
    )
}

fn heading(outcome: &Outcome, evidence: &Evidence, sentence: &Sentence) -> Markup {
    let verdict = &outcome.verdict;
    let facts = [
        ("Clients", words::grouped(verdict.clients)),
        ("Lab time", format!("{} UTC", words::instant(verdict.now))),
        ("Seed", verdict.seed.to_string()),
        ("Version", evidence.version.clone()),
    ];
    html! {
        header {
            p.kind { "epm-lab: evidence from a running lab" }
            h1 { (evidence.site) }
            div class={ "verdict " (sentence.class) } {
                p { strong.badge { (sentence.badge) } " " (sentence.text) }
            }
            dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
            @if let Some(command) = &verdict.repeat {
                p.note { "The same lab again, from its start, before anything was done to it: " code { (command) } "." }
            }
            @for note in &evidence.notes { p.note { (prose(note)) } }
        }
    }
}

fn expectations(all: &[EvidenceExpectation]) -> Markup {
    html! {
        section {
            h2 { "Expectations" }
            @if all.is_empty() { p { "None was registered with the lab." } } @else {
                (table("Expectations", &["Name", "Expected", "Limit", "Found", "Result", "Against it"], &html! {
                    @for one in all {
                        tr {
                            th scope="row" { (one.name) }
                            td { (one.title) }
                            td { code { (one.limit) } }
                            td { (one.value) }
                            td { strong { (one.result) } }
                            td.because { @for example in &one.examples { div { (example) } } }
                        }
                    }
                }))
            }
        }
    }
}

fn certificates(outcome: &Outcome) -> Markup {
    html! {
        section {
            h2 { "Certificates in force" }
            (table("Certificates in force", &["Manager", "SHA-256"], &html! {
                @for (manager, fingerprint) in &outcome.verdict.certificates {
                    tr { th scope="row" { (manager) } td { code.long { (fingerprint) } } }
                }
            }))
        }
    }
}

fn events(evidence: &Evidence) -> Markup {
    html! {
        section {
            h2 { "What happened" }
            p.note {
                "Actions of operators, calls, faults, connections that ended early, and exchanges that were refused. `journal.ndjson` has all that \
                 the journal keeps."
                @if evidence.earlier > 0 { " " (words::grouped(evidence.earlier)) " earlier ones are not listed." }
            }
            @if evidence.events.is_empty() { p { "Nothing of these." } } @else {
                (table("What happened", &["Lab time (UTC)", "Kind", "Who", "What"], &html! {
                    @for one in &evidence.events {
                        tr class=[one.is_bad.then_some("changed")] {
                            td.when data-key=(one.at) { (words::instant(one.at)) }
                            td { (one.kind) }
                            th scope="row" { (one.who) }
                            td.because {
                                (one.what)
                                @if one.times.0 > 1 { "; " (words::grouped(one.times.0)) " times, the last at " (words::instant(one.times.1)) }
                            }
                        }
                    }
                }))
            }
        }
    }
}

fn files(files: &[(String, String)]) -> Markup {
    html! {
        section {
            h2 { "Files beside this page" }
            dl { @for (name, what) in files { dt { code { (name) } } dd { (what) } } }
        }
    }
}
