//! The page of a sweep.

use maud::{Markup, html};

use super::repeat::repeat;
use crate::rehearsal::Sweep;
use crate::report::chart::{self, Size};
use crate::report::words;

/// The page without its frame.
pub(super) fn body(sweep: &Sweep) -> Markup {
    let spreads = sweep.spreads();
    let (badge, class, said) = match (sweep.shortest_without_orphans(), spreads.last()) {
        (_, None) => ("No result", "unwell", "No wait was rehearsed.".to_owned()),
        (Some(wait), _) => {
            let wait = words::stretch(wait.0);
            let said =
                format!("Of the waits that were tried, {wait} and longer orphaned no client with any seed.");
            match sweep.on_return() {
                0 => ("Found", "well", said),
                left => {
                    let left = words::clients(left);
                    let left = format!(
                        "{said} Up to {left} would be orphaned on being switched on after the end with the shortest of them."
                    );
                    ("Found in part", "unwell", left)
                }
            }
        }
        (None, Some(longest)) => (
            "Not found",
            "lost",
            format!(
                "No wait was long enough: {} still orphans up to {}.",
                words::stretch(longest.wait.0),
                words::clients(longest.most)
            ),
        ),
    };
    let seeds: Vec<String> = sweep.seeds.iter().map(ToString::to_string).collect();
    html! {
        header {
            p.kind { "epm-lab: how long to wait, rehearsed in virtual time" }
            h1 { (sweep.scenario) }
            div class={ "verdict " (class) } { p { strong.badge { (badge) } " " (said) } }
            dl.facts {
                div { dt { "Clients" } dd { (words::grouped(sweep.clients)) } }
                div { dt { "Step with the wait" } dd { (sweep.step) } }
                div { dt { "Waits" } dd { (spreads.len()) } }
                div { dt { "Seeds" } dd { (words::first(&seeds, seeds.len(), 10)) } }
            }
            @if sweep.run.is_some() { (repeat(sweep.run.as_ref(), || html! {})) }
        }
        @if !spreads.is_empty() {
            section {
                h2 { "Orphaned clients, by the wait" }
                figure {
                    figcaption {
                        p { "The line is the median of the seeds, the band reaches from the minimum to the maximum. \
                             The waits are drawn at equal distances." }
                    }
                    @for (size, class) in Size::ALL { div class={ "drawing " (class) } { (chart::sweep(sweep, size)) } }
                }
                div.scroll tabindex="0" role="region" aria-label="Orphaned clients, by the wait" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Wait" }
                                @for column in ["Fewest orphaned", "Median", "Most orphaned", "Median, a day later"] { th.count scope="col" { (column) } }
                            }
                        }
                        tbody {
                            @for spread in &spreads {
                                tr {
                                    th scope="row" { (words::stretch(spread.wait.0)) }
                                    @for lost in [spread.least, spread.median, spread.most, spread.a_day_more] { td.count { (words::grouped(lost)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
