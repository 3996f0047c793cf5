//! The page of a sweep.

use maud::{Markup, html};

use crate::rehearsal::Sweep;
use crate::report::chart::{self, Size};
use crate::report::words;

/// All but the page's frame.
pub(super) fn body(sweep: &Sweep) -> Markup {
    let spreads = sweep.spreads();
    let (badge, class, said) = match (sweep.shortest_without_orphans(), spreads.last()) {
        (_, None) => ("Nothing", "unwell", "No wait was rehearsed.".to_owned()),
        (Some(wait), _) => {
            let wait = words::stretch(wait.0);
            (
                "Found",
                "well",
                format!("Of the waits that were tried, {wait} and longer lost nobody with any seed."),
            )
        }
        (None, Some(longest)) => (
            "Not found",
            "lost",
            format!(
                "No wait was long enough: {} still loses up to {}.",
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
                div { dt { "Step that waits" } dd { (sweep.step) } }
                div { dt { "Waits" } dd { (spreads.len()) } }
                div { dt { "Seeds" } dd { (words::first(&seeds, seeds.len(), 10)) } }
            }
        }
        @if !spreads.is_empty() {
            section {
                h2 { "Lost clients, by the wait" }
                figure {
                    figcaption {
                        p { "The line is the median of the seeds, the band reaches from the least to the most. \
                             The waits stand at equal distances." }
                    }
                    @for (size, class) in Size::ALL { div class={ "drawing " (class) } { (chart::sweep(sweep, size)) } }
                }
                div.scroll tabindex="0" role="region" aria-label="Lost clients, by the wait" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Wait" }
                                @for column in ["Least lost", "Median", "Most lost", "Median, a day later"] { th.count scope="col" { (column) } }
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
