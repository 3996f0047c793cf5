//! The result of each step: what the clients hold, and which of them the next step would orphan if it were taken at
//! once.

use std::collections::BTreeMap;
use std::fmt::Display;

use epm_protocol::trust::Fingerprint;
use maud::{Markup, html};

use crate::rehearsal::{AtRisk, Outcome, StepOutcome};
use crate::report::words;
use crate::scenario::PartHolding;

/// The section with the steps of a rehearsal, each with what the clients held at its end.
pub(super) fn all(outcome: &Outcome) -> Markup {
    html! {
        section {
            h2 { "Step by step" }
            @if outcome.steps.is_empty() { p { "No step was taken." } }
            @for step in &outcome.steps { (one(outcome, step)) }
        }
    }
}

fn one(outcome: &Outcome, step: &StepOutcome) -> Markup {
    let report = &step.report;
    html! {
        article id={ "step-" (report.number) } {
            h3 { span.number { (report.number) } " " (report.title) }
            p.note {
                "Began " (words::moment(report.began)) " UTC, lasted " (words::stretch(step.ended.since(report.began)))
                "; then " (words::grouped(step.online)) " machines were on."
            }
            @for statement in &report.statements { p.note { (statement) } }
            @if !step.actions.is_empty() { ul.actions { @for action in &step.actions { li { (action) } } } }
            div class=[(!is_printed(outcome, report.number)).then_some("screen-only")] { (holdings(outcome, &report.holdings)) }
            @if let Some(risk) = &step.if_next_now { (next(risk)) }
        }
    }
}

/// Whether the table of a step is on paper: of a long plan only those of the last step, and of the steps that are a cause.
fn is_printed(outcome: &Outcome, number: usize) -> bool {
    let is_cause = outcome.verdict.reasons.iter().any(|one| one.step == Some(number));
    let is_last = outcome.steps.last().is_some_and(|last| last.report.number == number);
    outcome.steps.len() <= SHORT || is_cause || is_last
}

/// The clients that the next step would orphan.
fn next(risk: &AtRisk) -> Markup {
    if risk.clients == 0 {
        return html! {
            p.next { "If the next step (" i { (risk.step) } ") were taken at its end: " strong { "no client would be orphaned." } }
        };
    }
    html! {
        p.next.risk {
            "If the next step (" i { (risk.step) } ") were taken at its end: "
            strong { (words::clients(risk.clients)) " would be orphaned." }
            " By layer: " (counts(&risk.by_layer)) ". By part: " (counts(&risk.by_part)) "."
            @if !risk.examples.is_empty() { " For example " (words::first(&risk.examples, risk.clients, 5)) "." }
        }
    }
}

/// Each key with its number: "TLS certificate 1,284, signature 12".
fn counts<K: Display>(counts: &BTreeMap<K, usize>) -> String {
    let counts = counts.iter().map(|(key, number)| format!("{key} {}", words::grouped(number)));
    counts.collect::<Vec<_>>().join(", ")
}

fn holdings(outcome: &Outcome, parts: &[PartHolding]) -> Markup {
    let columns = [
        "Part",
        "Clients",
        "Served",
        "Out of touch",
        "Orphaned",
        "Secure",
        "HTTPS",
        "Certificates held",
        "Lists held",
    ];
    html! {
        @if !parts.is_empty() {
            div.scroll tabindex="0" role="region" aria-label="What clients hold after this step" {
                table {
                    thead {
                        tr { @for (at, column) in columns.into_iter().enumerate() {
                            th scope="col" class=[(1..=6).contains(&at).then_some("count")] { (column) }
                        } }
                    }
                    tbody {
                        @for part in parts { (row(outcome, part)) }
                        @if parts.len() > 1 { (row(outcome, &sum(parts))) }
                    }
                }
            }
        }
    }
}

fn row(outcome: &Outcome, part: &PartHolding) -> Markup {
    let numbers = [part.clients, part.connected, part.disconnected];
    html! {
        tr class=[(part.part == SUM).then_some("sum")] {
            th scope="row" { (part.part) }
            @for number in numbers { td.count { (words::grouped(number)) } }
            td.count {
                (words::grouped(part.orphaned))
                @for (layer, number) in &part.layers { small { (layer) ": " (words::grouped(number)) } }
                @if part.brought_back > 0 { small { "brought back: " (words::grouped(part.brought_back)) } }
            }
            @for number in [part.secure, part.https] { td.count { (words::grouped(number)) } }
            td {
                @for (certificate, number) in in_order(outcome, part) {
                    div.held { code { (certificate.short()) } " " (words::grouped(number)) }
                }
            }
            td.list { @for (list, number) in &part.lists { div { (list) ": " (words::grouped(number)) } } }
        }
    }
}

/// The certificates that clients hold, those of managers first, in the order in which they came into force.
fn in_order(outcome: &Outcome, part: &PartHolding) -> Vec<(Fingerprint, usize)> {
    let place = |one: &Fingerprint| outcome.certificates.iter().position(|known| known.fingerprint == *one);
    let mut held: Vec<_> = part.certificates.iter().map(|(one, number)| (*one, *number)).collect();
    held.sort_by_key(|(one, _)| place(one).unwrap_or(usize::MAX));
    held
}

fn sum(parts: &[PartHolding]) -> PartHolding {
    let mut sum = PartHolding::of(SUM);
    for part in parts {
        sum.merge(part);
    }
    sum
}

/// The number of steps of a plan whose tables are all on paper.
const SHORT: usize = 5;
const SUM: &str = "All";
