//! A page for people: the verdict in a sentence, the course in charts, and everything behind it in tables.
//!
//! The page is self-contained. Its style is `style.css`; `sort.js` sorts the table of orphaned clients, and is not needed to read it.

mod evidence;
mod evidence_rotation;
mod figures;
mod findings;
mod prose;
mod repeat;
mod sentence;
mod steps;
mod sweep;
mod table;
#[cfg(test)]
mod tests;
mod told;
mod why;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::words;
use crate::rehearsal::{Outcome, Sweep};

pub use evidence::{Evidence, EvidenceEvent, EvidenceExpectation, evidence_html};
pub use evidence_rotation::{EvidenceFinding, EvidenceOldCertificate, EvidenceRotation};
pub use prose::prose;
use sentence::Sentence;
pub use told::{note_told, reason_told};

/// Writes the outcome as a page.
pub fn html(outcome: &Outcome) -> String {
    let sentence = Sentence::of(outcome);
    page(
        &format!("{}: {}", sentence.badge, title(outcome)),
        &html! {
            (heading(outcome, &sentence))
            (why::all(outcome, "outcome.json"))
            (why::notes(outcome))
            (figures::all(outcome))
            (steps::all(outcome))
            (findings::lost(outcome))
            (findings::not_well(outcome))
            (findings::certificates(outcome))
            (findings::assumptions(outcome, "outcome.json"))
        },
        Some(SORT),
    )
}

/// Writes a sweep as a page: the orphaned clients against the wait.
pub fn sweep_html(sweep: &Sweep) -> String {
    page(&format!("How long to wait: {}", sweep.scenario), &sweep::body(sweep), None)
}

fn page(title: &str, main: &Markup, script: Option<&str>) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (main) }
                (footer())
                @if let Some(script) = script { script { (PreEscaped(script)) } }
            }
        }
    };
    let printable =
        |c: char| if c.is_control() && !c.is_whitespace() { char::REPLACEMENT_CHARACTER } else { c };
    page.into_string().chars().map(printable).collect()
}

fn heading(outcome: &Outcome, sentence: &Sentence) -> Markup {
    let verdict = &outcome.verdict;
    let began = words::moment(outcome.began);
    let facts = [
        ("Clients", words::grouped(verdict.clients)),
        ("Played", format!("{began} to {} UTC", words::moment(outcome.ended))),
        ("Lasted", words::stretch(outcome.ended.since(outcome.began))),
        ("Heartbeats", words::grouped(outcome.heartbeats)),
        ("Heartbeats served", words::grouped(outcome.heartbeats_served)),
        ("Seed", verdict.seed.to_string()),
    ];
    html! {
        header {
            p.kind { "epm-lab: rehearsal in virtual time" }
            h1 { (title(outcome)) }
            @if !outcome.about.is_empty() { p { (outcome.about) } }
            div class={ "verdict " (sentence.class) } {
                p { strong.badge { (sentence.badge) } " " (sentence.text) }
            }
            dl.facts {
                @for (name, value) in facts { div { dt { (name) } dd { (value) } } }
            }
            (repeat::repeat(outcome.run.as_ref(), || html! {
                "To repeat it, rehearse the same scenario with " code { "--seed " (verdict.seed) }
                ": the same build of epm-lab finds the same, to the byte."
            }))
        }
    }
}

fn title(outcome: &Outcome) -> &str {
    let title = outcome.verdict.scenario.trim();
    if title.is_empty() { "A rehearsal without a title" } else { title }
}

fn footer() -> Markup {
    html! {
        footer {
            p {
                strong { "This is a mock." }
                " epm-lab is not affiliated with or endorsed by the vendor, and contains no vendor code. It protects nothing: \
                 its results follow from its rules and assumptions, and promise nothing about a real site."
            }
        }
    }
}

const SORT: &str = include_str!("sort.js");
/// The style of reports; the page of a lab begins with it.
pub const STYLE: &str = include_str!("style.css");
