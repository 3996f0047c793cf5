//! What reports and the page of a lab tell alike of causes and notes.

use maud::{Markup, html};

use super::prose;
use crate::scenario::{Note, Reason};

/// The cause, what one of the clients saw, the failure or what looks alike, and what to do. `failure` writes the number of a failure.
pub fn reason_told(one: &Reason, failure: impl Fn(&str) -> Markup) -> Markup {
    // What is known of a cause may be only what was seen.
    let observed = one.observed.as_ref().filter(|observed| !one.sentence.contains(observed.as_str()));
    html! {
        p.cause { (prose(&one.sentence)) }
        @if let Some(observed) = observed { p.note { "Seen by one of them: " (prose(observed)) "." } }
        @if one.failure_title.is_some() {
            (titled(one.failure.as_ref(), one.failure_title.as_ref()))
        } @else if one.alike.is_empty() {
            p.note { "No failure of the catalogue fits." }
        } @else {
            p.note { "Which failure it is, is not decided." }
        }
        @if !one.alike.is_empty() {
            ul.alike { @for other in &one.alike { li { "It is " (failure(&other.failure)) " if " (other.by) "." } } }
        }
        (to_do(&one.remedy))
    }
}

/// The fact, the failure that it is, and what to do.
pub fn note_told(one: &Note) -> Markup {
    html! {
        p.cause { (prose(&one.sentence)) }
        (titled(one.failure.as_ref(), one.failure_title.as_ref()))
        (to_do(&one.remedy))
    }
}

fn titled(failure: Option<&String>, title: Option<&String>) -> Markup {
    html! { @if let (Some(failure), Some(title)) = (failure, title) { p.note { (failure) ": " (title) "." } } }
}

fn to_do(remedy: &str) -> Markup {
    html! { p.remedy { strong { "To do: " } (prose(remedy)) } }
}
