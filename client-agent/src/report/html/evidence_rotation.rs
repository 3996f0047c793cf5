//! The part of evidence about a rotation: its judgement, finding by finding, and old certificates that clients still hold.

use maud::{Markup, html};

use super::prose;
use super::table::table;
use crate::report::words;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;

/// The judgement of a rotation.
#[derive(Clone, Debug)]
pub struct EvidenceRotation {
    /// The lab time of the judgement.
    pub at: Timestamp,
    /// The name of the baseline that the lab was compared with.
    pub since: String,
    /// Whether the judgement was asked for; otherwise it was made for the evidence.
    pub asked: bool,
    /// The result, such as `pass`.
    pub result: String,
    /// The number of clients that were judged.
    pub clients: usize,
    /// The findings, in the order of the judgement.
    pub findings: Vec<EvidenceFinding>,
    /// Facts that fail nothing.
    pub notes: Vec<String>,
}

/// A finding about a rotation.
#[derive(Clone, Debug)]
pub struct EvidenceFinding {
    /// The sentence that is true if the finding passes.
    pub title: String,
    /// The result, such as `fail`.
    pub result: String,
    /// The numbers of the failures in the catalogue.
    pub failures: Vec<String>,
    /// What to do, if the catalogue says it.
    pub remedy: Option<String>,
    /// Managers, groups or clients that contradict the sentence, each with the reason.
    pub examples: Vec<String>,
}

/// A certificate that is not in force and that clients hold.
#[derive(Clone, Debug)]
pub struct EvidenceOldCertificate {
    /// The fingerprint of the certificate.
    pub fingerprint: Fingerprint,
    /// The managers that had it.
    pub managers: Vec<String>,
    /// The number of clients that hold it.
    pub clients: usize,
    /// The number of these clients that hold no certificate in force.
    pub without_new: usize,
    /// Some of these clients.
    pub examples: Vec<String>,
}

/// The section about the judgement; nothing where there is none.
pub(super) fn judgement(rotation: Option<&EvidenceRotation>) -> Markup {
    html! {
        @if let Some(one) = rotation {
            section {
                h2 { "Judgement of the rotation" }
                p {
                    strong { (one.result) } ": compared with the baseline " (one.since) ", judged at " (words::instant(one.at)) " UTC, "
                    (words::clients(one.clients)) " judged."
                    @if !one.asked { " Nothing asked for it: it was made for this file, as " code { "epm-lab check --since " (one.since) } " makes it." }
                }
                (table("Judgement of the rotation", &["Finding", "Result", "Failure", "Against it", "To do"], &html! {
                    @for finding in &one.findings {
                        tr class=[(finding.result != "pass").then_some("changed")] {
                            th scope="row" { (finding.title) }
                            td { strong { (finding.result) } }
                            td { (finding.failures.join(" and ")) }
                            td.because { @for example in &finding.examples { div { (example) } } }
                            td.remedy { (finding.remedy.as_deref().unwrap_or_default()) }
                        }
                    }
                }))
                @for note in &one.notes { p.note { (prose(note)) } }
            }
        }
    }
}

/// The section about old certificates; nothing where no client holds one.
pub(super) fn old_certificates(all: &[EvidenceOldCertificate]) -> Markup {
    let columns =
        ["Certificate", "Was of", "Clients that hold it", "Of these without one in force", "Clients"];
    html! {
        @if !all.is_empty() {
            section {
                h2 { "Old certificates that clients hold" }
                (table("Old certificates that clients hold", &columns, &html! {
                    @for one in all {
                        tr class=[(one.without_new > 0).then_some("changed")] {
                            th scope="row" { code title=(one.fingerprint) { (one.fingerprint.short()) } }
                            td { @if one.managers.is_empty() { "not known" } @else { (one.managers.join(", ")) } }
                            td { (words::grouped(one.clients)) }
                            td { (words::grouped(one.without_new)) }
                            td { (words::first(&one.examples, one.clients, 20)) }
                        }
                    }
                }))
            }
        }
    }
}
