//! The orphaned clients of a sweep against the wait: the median of the seeds as a line, minimum and maximum as a band.

use maud::{Markup, html};

use super::axis;
use super::frame::{Axis, number};
use super::size::Size;
use crate::rehearsal::{Spread, Sweep};
use crate::report::words;

/// Draws the curve. The waits are at equal distances, whatever is between them.
pub(in super::super) fn sweep(sweep: &Sweep, size: Size) -> Markup {
    let spreads = sweep.spreads();
    let most = spreads.iter().map(|spread| spread.most).max().unwrap_or(0);
    let scale = Axis::counts(most as f64);
    let left = 16.0 + 7.0 * scale.longest() as f64;
    let (width, right) = (size.width(), size.width() - 20.0);
    let y = |lost: usize| TOP + HEIGHT * (1.0 - lost as f64 / scale.top());
    let distance = (right - left) / spreads.len().max(1) as f64;
    let x = |at: usize| left + distance * (at as f64 + 0.5);
    let line = |value: fn(&Spread) -> usize| -> Vec<String> {
        let point = |(at, spread)| format!("{} {}", number(x(at)), number(y(value(spread))));
        spreads.iter().enumerate().map(point).collect()
    };
    let band: Vec<String> =
        line(|spread| spread.most).into_iter().chain(line(|spread| spread.least).into_iter().rev()).collect();
    let enough = sweep.shortest_without_orphans();
    let mark = spreads.iter().position(|spread| Some(spread.wait) == enough).map(x);
    // Every tick has a label if there is room, or else every second, third and so on.
    let longest = spreads.iter().map(|spread| words::stretch(spread.wait.0).len()).max().unwrap_or(0);
    let every = ((7.5 * longest as f64 + 10.0) / distance).ceil().max(1.0) as usize;
    let spoken = match enough {
        Some(wait) => {
            let wait = words::stretch(wait.0);
            format!(
                "Orphaned clients against the wait: none from {wait} on, at most {}.",
                words::grouped(most)
            )
        }

        None => format!(
            "Orphaned clients against the wait: even the longest orphans some, at most {}.",
            words::grouped(most)
        ),
    };
    html! {
        svg role="img" aria-label=(spoken) viewBox={ "0 0 " (number(width)) " " (number(TOP + HEIGHT + 26.0)) } {
            @for tick in scale.ticks() {
                path class="grid" d={ "M" (number(left)) " " (number(TOP + HEIGHT * (1.0 - tick / scale.top()))) "H" (number(right)) } {}
                text class="tick" x=(number(left - 8.0)) y=(number(TOP + HEIGHT * (1.0 - tick / scale.top()) + 4.0)) text-anchor="end" {
                    (axis::written(tick, 1.0))
                }
            }
            @if !spreads.is_empty() {
                path class="area sweep" d={ "M" (band.join("L")) "Z" } {}
                path class="edge sweep" d={ "M" (line(|spread| spread.median).join("L")) } {}
            }
            path class="axis" d={ "M" (number(left)) " " (number(TOP + HEIGHT)) "H" (number(right)) } {}
            @for (at, spread) in spreads.iter().enumerate() {
                circle class="sweep" cx=(number(x(at))) cy=(number(y(spread.median))) r="3.5" {
                    title { (words::stretch(spread.wait.0)) ": " (spread.least) " to " (spread.most) ", median " (spread.median) }
                }
                @if at.is_multiple_of(every) {
                    path class="axis" d={ "M" (number(x(at))) " " (number(TOP + HEIGHT)) "v5" } {}
                    text class="tick" x=(number(x(at))) y=(number(TOP + HEIGHT + 19.0)) text-anchor="middle" { (words::stretch(spread.wait.0)) }
                }
            }
            @if let (Some(x), Some(wait)) = (mark, enough) {
                path class="step" d={ "M" (number(x)) " " (number(TOP - 6.0)) "V" (number(TOP + HEIGHT)) } {}
                text class="enough" x=(number(x.clamp(left + 70.0, right - 70.0))) y=(number(TOP - 12.0)) text-anchor="middle" {
                    "none orphaned from " (words::stretch(wait.0))
                }
            }
        }
    }
}

/// The top of the plot, below the mark's label.
const TOP: f64 = 34.0;
const HEIGHT: f64 = 260.0;
