//! Why clients are not well, at the top of the page: so many by layer and step, the cause, its number, what to do.

use maud::{Markup, html};

use crate::rehearsal::Outcome;
use crate::report::html::{note_told, reason_told};
use crate::report::words;
use crate::scenario::{Note, Reason};

/// The number of reasons on paper.
const PRINTED: usize = 8;

/// The section with the reasons; nothing where there are none. `file` has all of them.
pub(super) fn all(outcome: &Outcome, file: &str) -> Markup {
    let reasons = &outcome.verdict.reasons;
    html! {
        @if !reasons.is_empty() {
            section.why {
                h2 { "Why" }
                ol.reasons { @for one in reasons { (reason(outcome, one)) } }
                @if reasons.len() > PRINTED {
                    p.note.print-only { (reasons.len() - PRINTED) " more are in " (file) "." }
                }
            }
        }
    }
}

/// The section with the notes; nothing where there are none.
pub(super) fn notes(outcome: &Outcome) -> Markup {
    let notes = &outcome.verdict.notes;
    html! {
        @if !notes.is_empty() {
            section.why {
                h2 { "Notes" }
                ol.reasons { @for one in notes { (note(one)) } }
            }
        }
    }
}

fn note(one: &Note) -> Markup {
    html! {
        li {
            p.place {
                strong { (words::clients(one.clients)) }
                @if let Some(failure) = &one.failure { " " span.failure title=[&one.failure_title] { (failure) } }
            }
            (note_told(one))
            p.note { "Clients: " (one.names()) "." }
        }
    }
}

fn since(one: &Reason) -> String {
    one.since_steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

fn reason(outcome: &Outcome, one: &Reason) -> Markup {
    let is_step = |number: &usize| outcome.steps.iter().any(|step| step.report.number == *number);
    html! {
        li id={ "reason-" (one.number) } class=[(one.number > PRINTED).then_some("screen-only")] {
            p.place {
                strong { (words::clients(one.clients)) }
                @if let Some(layer) = &one.layer_title { ", layer " (layer) } @else { ", " (one.finding) }
                @if let Some(step) = one.step.filter(is_step) {
                    ", "
                    a href={ "#step-" (step) } title=[&one.step_title] { "step " span.number { (step) } }
                }
                @if !one.since_steps.is_empty() { ", found out in step " (since(one)) }
                @if let Some(failure) = &one.failure { " " span.failure title=[&one.failure_title] { (failure) } }
            }
            (reason_told(one, |failure| html! { strong { (failure) } }))
        }
    }
}
