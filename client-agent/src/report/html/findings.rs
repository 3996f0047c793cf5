//! The tables at the end: orphaned clients, other clients with problems, certificates in force, assumptions.

use maud::{Markup, html};

use crate::rehearsal::Outcome;
use crate::report::html::prose;
use crate::report::words;
use crate::scenario::{OrphanedClient, Reason};

/// The orphaned clients, each with the failure and the remedy.
pub(super) fn lost(outcome: &Outcome) -> Markup {
    let lost = &outcome.verdict.orphaned;
    let columns = ["Client", "Part", "Since (UTC)", "Step", "Layer", "Failure", "Remedy", "Because"];
    html! {
        section {
            h2 { "Orphaned clients" }
            @if lost.is_empty() { p { "None." } } @else {
                details open[lost.len() <= 50] {
                    summary {
                        (words::clients(lost.len()))
                        @if lost.len() > MOST { ", of which the first " (MOST) " are listed" }
                    }
                    div.scroll tabindex="0" role="region" aria-label="Orphaned clients" {
                        table.sortable.lost-clients {
                            thead { tr { @for column in columns { th scope="col" { (column) } } } }
                            tbody { @for (place, one) in lost.iter().take(MOST).enumerate() { (client(outcome, place, one)) } }
                        }
                    }
                    @if lost.len() > MOST {
                        p.note.screen-only { (words::grouped(lost.len() - MOST)) " more are in orphaned.csv." }
                    }
                    @if lost.len() > PRINTED {
                        p.note.print-only { (words::grouped(lost.len() - PRINTED)) " more are in orphaned.csv." }
                    }
                }
            }
        }
    }
}

fn client(outcome: &Outcome, place: usize, one: &OrphanedClient) -> Markup {
    let reason = outcome.verdict.reason_of(one);
    let also = reason.filter(|reason| reason.failure.is_none()).map(|reason| {
        reason.alike.iter().map(|other| other.failure.as_str()).collect::<Vec<_>>().join(" or ")
    });
    let further: Vec<&Reason> =
        one.also.iter().filter_map(|number| outcome.verdict.reasons.get(number.checked_sub(1)?)).collect();
    html! {
        tr class=[(place >= PRINTED).then_some("screen-only")] {
            th scope="row" { (one.client) }
            td { (one.part) }
            td.when data-key=(one.since) { (words::instant(one.since)) }
            td { @if let Some(step) = one.step { span.number title=[&one.step_title] { (step) } } }
            td { (one.layer) }
            td.when {
                @if let Some(failure) = &one.failure {
                    a href={ "#reason-" (one.reason.unwrap_or_default()) } title=[reason.map(|one| &one.sentence)] { (failure) }
                } @else { (also.unwrap_or_default()) }
                @for other in &further {
                    br;
                    "and " a href={ "#reason-" (other.number) } title=(other.sentence) { (other.failure.as_deref().unwrap_or("another cause")) }
                }
            }
            td.remedy { @if let Some(reason) = reason { (prose(&reason.remedy)) } }
            td.because { (one.why) @for other in &further { div { "Also: " (other.sentence) } } }
        }
    }
}

/// The other clients with problems.
pub(super) fn not_well(outcome: &Outcome) -> Markup {
    let verdict = &outcome.verdict;
    let lists = [
        ("Out of touch, for reasons other than trust", &verdict.out_of_touch),
        ("Served, but without authenticating the manager", &verdict.not_secure),
        ("Served, but without a certificate that is in force", &verdict.behind),
        ("On, but without a heartbeat for three intervals", &verdict.silent),
    ];
    let any = lists.iter().any(|(_, clients)| !clients.is_empty());
    html! {
        @if any {
            section {
                h2 { "Not orphaned, but with problems" }
                dl {
                    @for (what, clients) in lists {
                        @if !clients.is_empty() {
                            dt { (what) ": " (words::grouped(clients.len())) }
                            dd { (words::first(clients, clients.len(), 20)) }
                        }
                    }
                }
            }
        }
    }
}

/// The certificates that managers showed.
pub(super) fn certificates(outcome: &Outcome) -> Markup {
    html! {
        section {
            h2 { "Certificates in force" }
            @if outcome.certificates.is_empty() { p { "None." } } @else {
                div.scroll tabindex="0" role="region" aria-label="Certificates in force" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Certificate" } th scope="col" { "Manager" } th scope="col" { "Since (UTC)" }
                                th scope="col" { "SHA-256" }
                            }
                        }
                        tbody {
                            @for one in &outcome.certificates {
                                tr {
                                    th scope="row" { code { (one.fingerprint.short()) } }
                                    td.name { (one.manager) }
                                    td.when { (words::instant(one.since)) }
                                    td { code.long { (one.fingerprint) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The assumptions about the real product; `file` has all of them.
pub(super) fn assumptions(outcome: &Outcome, file: &str) -> Markup {
    let changed = outcome.assumptions.iter().filter(|one| one.value != one.default).count();
    html! {
        section {
            h2 { "Assumptions" }
            p.note.print-only { "Only those that are set otherwise than by default are printed; `" (file) "` has all." }
            p.note {
                "Undocumented. I: inferred from a source; R: recalled; U: unknown. Set otherwise than by default: "
                (changed) "."
            }
            @if !outcome.assumptions.is_empty() {
                details open[changed > 0] {
                    summary { (outcome.assumptions.len()) " assumptions" }
                    div.scroll tabindex="0" role="region" aria-label="Assumptions" {
                        table.assumptions {
                            thead {
                                tr { @for column in ["Name", "Value", "Default", "Mark", "About"] { th scope="col" { (column) } } }
                            }
                            tbody {
                                @for one in &outcome.assumptions {
                                    tr class=[(one.value != one.default).then_some("changed")] {
                                        th scope="row" { code { (one.name) } }
                                        td { (one.value) }
                                        td { (one.default) }
                                        td { (one.mark.letter()) }
                                        td.about { (one.about) @for statement in one.statements { div { (statement) } } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The number of orphaned clients that are listed on paper.
const PRINTED: usize = 25;
/// The number of orphaned clients that are listed.
const MOST: usize = 200;
