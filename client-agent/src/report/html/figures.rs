//! The charts of the course, each with its heading, its legend and its widths.

use maud::{Markup, html};

use crate::rehearsal::Outcome;
use crate::report::chart::{self, DASHES, Load, Size, TRUST};
use crate::report::words;

/// The section with the charts of a rehearsal: trust, orphaned clients, machines that are on, and load, hour by hour.
pub(super) fn all(outcome: &Outcome) -> Markup {
    if chart::hours(outcome) == 0 {
        return html! {
            section {
                h2 { "How it went" }
                p { "Nothing was counted over time: the rehearsal did not last an hour." }
                (legend_of_steps(outcome))
            }
        };
    }
    let last = |row: &[u32]| words::grouped(row.last().copied().unwrap_or(0));
    let course = &outcome.course;
    let peak = words::grouped(course.orphaned.iter().max().copied().unwrap_or(0));
    let loads = Load::all(course);
    html! {
        section {
            h2 { "How it went" }
            p.note { "The numbers above each chart mark the beginnings of the steps. Times are lab time, in UTC." }
            (chart::patterns())
            div.figures {
            (figure("What the clients trust", "Clients, by the certificates that they trust.", |size| {
                chart::trust(outcome, size)
            }, &html! {
                ul.legend {
                    @for band in TRUST {
                        li {
                            svg.swatch viewBox="0 0 30 16" aria-hidden="true" {
                                rect width="30" height="16" fill={ "url(#" (band.id) ")" } {}
                            }
                            span {
                                strong { (band.title) } ": " (band.about) ", at the end " (last((band.row)(course)))
                            }
                        }
                    }
                }
            }))
            (legend_of_steps(outcome))
            (figure("Orphans", &format!(
                "Clients that trust none of their managers: at most {peak}, {} at the end.",
                last(&course.orphaned)
            ), |size| chart::orphans(outcome, size), &html! {}))
            (figure("Machines online", "Clients whose machine is switched on.", |size| {
                chart::online(outcome, size)
            }, &html! {}))
            @if !loads.is_empty() {
                (figure("Heartbeats per minute", about_load(outcome), |size| {
                    chart::load(outcome, size)
                }, &legend_of_load(&loads)))
            }
            }
        }
    }
}

fn figure(title: &str, about: &str, draw: impl Fn(Size) -> Markup, legend: &Markup) -> Markup {
    html! {
        figure {
            figcaption { h3 { (title) } p { (about) } }
            @for (size, class) in Size::ALL { div class={ "drawing " (class) } { (draw(size)) } }
            (legend)
        }
    }
}

fn about_load(outcome: &Outcome) -> &'static str {
    if Load::is_by_day(chart::hours(outcome)) {
        "Clients that connect to each manager, served or not: the busiest hour of each day."
    } else {
        "Clients that connect to each manager, served or not, hour by hour."
    }
}

fn legend_of_load(loads: &[Load]) -> Markup {
    html! {
        ul.legend {
            @for (index, load) in loads.iter().enumerate() {
                li {
                    svg.swatch viewBox="0 0 30 16" aria-hidden="true" {
                        path class={ "line of-" (index % 4) } stroke-dasharray=(DASHES[index % DASHES.len()]) d="M0 8H30" {}
                    }
                    span { (load.name) }
                }
            }
        }
    }
}

fn legend_of_steps(outcome: &Outcome) -> Markup {
    html! {
        @if !outcome.steps.is_empty() {
            table.steps {
                caption { "The steps" }
                thead { tr { th scope="col" { "Step" } th scope="col" { "What was done" } th scope="col" { "Began (UTC)" } } }
                tbody {
                    @for step in &outcome.steps {
                        tr {
                            th scope="row" { span.number { (step.report.number) } }
                            td { a href={ "#step-" (step.report.number) } { (step.report.title) } }
                            td.when { (words::moment(step.report.began)) }
                        }
                    }
                }
            }
        }
    }
}
