//! The course of a rehearsal as charts: SVG without script, each in several widths for the page to choose from.
//!
//! All share a time axis and the markers of the steps. The page defines the colours: here are only classes, and the
//! patterns that distinguish areas without colour. A long course is thinned to what a pixel column can show.

mod axis;
mod frame;
mod hours;
mod place;
mod series;
mod size;
mod sweep;
#[cfg(test)]
mod tests;

use maud::{Markup, html};

use super::words;
use crate::rehearsal::Outcome;

use frame::{Axis, Frame, Margins};
use hours::Keep;

pub(super) use hours::counted as hours;
pub(super) use series::{DASHES, Load, TRUST};
pub(super) use size::Size;
pub(super) use sweep::sweep;

/// The largest number of clients that were counted by their trust.
fn fleet(outcome: &Outcome) -> f64 {
    let rows = TRUST.map(|band| (band.row)(&outcome.course));
    let sum = |hour| rows.iter().filter_map(|row| row.get(hour)).map(|number| f64::from(*number)).sum();
    (0..hours(outcome)).map(sum).fold(0.0, f64::max)
}

/// The margins for every chart of this outcome; a narrow one has no names.
fn margins(outcome: &Outcome, size: Size, with_names: bool) -> Margins {
    let course = &outcome.course;
    let most = |row: &[u32]| f64::from(row.iter().copied().max().unwrap_or(0));
    let loads = Load::all(course);
    let axes = [
        Axis::full(fleet(outcome)),
        Axis::counts(most(&course.orphaned)),
        Axis::counts(most(&course.online)),
        Axis::rates(Load::highest(&loads)),
    ];
    let ticks = axes.into_iter().map(Axis::longest).max().unwrap_or(0);
    let names = loads.iter().map(|load| load.label(size).chars().count()).max().unwrap_or(0);
    let names = if size == Size::Narrow && !with_names { 0 } else { names };
    Margins { left: 16.0 + 7.0 * ticks as f64, right: 16.0 + 7.0 * names as f64 }
}

/// What the clients trust, as stacked areas that add up to the fleet.
pub(super) fn trust(outcome: &Outcome, size: Size) -> Markup {
    let rows = TRUST.map(|band| (band.row)(&outcome.course));
    let at = |row: &[u32], hour: usize| f64::from(row.get(hour).copied().unwrap_or(0));
    let (hours, fleet) = (hours(outcome), fleet(outcome));
    let frame = Frame::new(outcome, size, 280.0, Axis::full(fleet), margins(outcome, size, false));
    let shown = hours::shown::<u32>(&[], hours, frame.columns(), Keep::Last);

    let mut floor = vec![0.0; shown.len()];
    let mut bands = Vec::new();
    for (band, row) in TRUST.iter().zip(rows).rev() {
        let ceiling: Vec<f64> =
            shown.iter().zip(&floor).map(|(hour, floor)| floor + at(row, *hour)).collect();
        let label = frame.label_within(&shown, &floor, &ceiling, band.title);
        bands.push((band, frame.area(&shown, &floor, &ceiling), label));
        floor = ceiling;
    }
    let last = |row: &[u32]| words::grouped(row.last().copied().unwrap_or(0));
    let ends: Vec<String> =
        TRUST.iter().zip(rows).map(|(band, row)| format!("{} {}", band.title, last(row))).collect();
    let spoken =
        format!("What the clients trust over time, as stacked areas. At the end: {}.", ends.join(", "));
    frame.draw(
        &spoken,
        &html! {
            @for (band, path, _) in &bands {
                path class={ "area " (band.id) } d=(path) fill={ "url(#" (band.id) ")" } {}
            }
        },
        &html! {
            @for (band, _, label) in &bands {
                @if let Some((x, y)) = label {
                    text class="halo" x=(frame::number(*x)) y=(frame::number(*y)) text-anchor="middle" { (band.title) }
                }
            }
        },
        |hours| {
            let at_end = |row: &[u32]| words::grouped(row.get(hours.end - 1).copied().unwrap_or(0));
            let bands = TRUST.iter().zip(rows).map(|(band, row)| format!("{} {}", band.title, at_end(row)));
            format!("{} at its end", bands.collect::<Vec<_>>().join(", "))
        },
    )
}

/// The number of orphaned clients: the maximum in each pixel column.
pub(super) fn orphans(outcome: &Outcome, size: Size) -> Markup {
    let spoken =
        |most: &str, last: &str| format!("Orphaned clients over time: at most {most}, at the end {last}.");
    single(outcome, size, &outcome.course.orphaned, Keep::Highest, "orphans", spoken)
}

/// The number of machines that are on: minimum and maximum in each pixel column.
pub(super) fn online(outcome: &Outcome, size: Size) -> Markup {
    let spoken = |most: &str, last: &str| {
        format!("Machines switched on over time: at most {most}, at the end {last}.")
    };
    single(outcome, size, &outcome.course.online, Keep::Extremes, "online", spoken)
}

fn single(
    outcome: &Outcome,
    size: Size,
    row: &[u32],
    keep: Keep,
    class: &str,
    spoken: impl Fn(&str, &str) -> String,
) -> Markup {
    let most = row.iter().copied().max().unwrap_or(0);
    let frame =
        Frame::new(outcome, size, 150.0, Axis::counts(f64::from(most)), margins(outcome, size, false));
    let shown = hours::shown(row, hours(outcome), frame.columns(), keep);
    let values: Vec<f64> = shown.iter().map(|hour| f64::from(row.get(*hour).copied().unwrap_or(0))).collect();
    let spoken = spoken(&words::grouped(most), &words::grouped(row.last().copied().unwrap_or(0)));
    frame.draw(
        &spoken,
        &html! {
            path class={ "area " (class) } d=(frame.area(&shown, &vec![0.0; shown.len()], &values)) {}
            path class={ "edge " (class) } d=(frame.line(&shown, &values)) {}
        },
        &html! {},
        |hours| {
            let row = row.get(hours.start..hours.end.min(row.len())).unwrap_or_default();
            let least = row.iter().min().copied().unwrap_or(0);
            let most = row.iter().max().copied().unwrap_or(0);
            match least == most {
                true => words::grouped(most),
                false => format!("{} to {}", words::grouped(least), words::grouped(most)),
            }
        },
    )
}

/// Heartbeats per minute at each manager: a line for each, the highest hour of each pixel column or day.
pub(super) fn load(outcome: &Outcome, size: Size) -> Markup {
    let loads = Load::all(&outcome.course);
    let axis = Axis::rates(Load::highest(&loads));
    let frame = Frame::new(outcome, size, 190.0, axis, margins(outcome, size, true));
    let hours = hours(outcome);
    let buckets = if Load::is_by_day(hours) { hours.div_ceil(24) } else { frame.columns() };
    let lines: Vec<(Vec<usize>, Vec<f64>)> = loads
        .iter()
        .map(|load| {
            let shown = hours::shown(&load.row, hours, buckets, Keep::Highest);
            let values = shown.iter().map(|hour| load.row.get(*hour).copied().unwrap_or(0.0)).collect();
            (shown, values)
        })
        .collect();
    let ends: Vec<f64> =
        lines.iter().map(|(_, values)| frame.y(values.last().copied().unwrap_or(0.0))).collect();
    let labels = frame.labels_beside(&ends);
    let peaks: Vec<String> = loads
        .iter()
        .map(|load| {
            let peak = Load::highest(std::slice::from_ref(load));
            format!("{} at most {}", load.name, axis::written(peak, if peak < 10.0 { 0.01 } else { 1.0 }))
        })
        .collect();
    let spoken = format!("Heartbeats per minute at each manager over time: {}.", peaks.join(", "));
    frame.draw(
        &spoken,
        &html! {
            @for (index, (shown, values)) in lines.iter().enumerate() {
                path class={ "line of-" (index % 4) } stroke-dasharray=(DASHES[index % DASHES.len()])
                    d=(frame.line(shown, values)) {}
            }
        },
        &html! {
            @for (load, (y, (from, to))) in loads.iter().zip(labels.iter().zip(ends.iter().zip(&labels))) {
                path class="leader" d=(frame.leader(*from, *to)) {}
                text x=(frame::number(frame.right() + 12.0)) y=(frame::number(y + 4.0)) {
                    title { (load.name) } (load.label(size))
                }
            }
        },
        |hours| {
            let most = |load: &Load| {
                let row = load.row.get(hours.start..hours.end.min(load.row.len())).unwrap_or_default();
                let most = row.iter().copied().fold(0.0, f64::max);
                format!("{} at most {}", load.name, axis::written(most, if most < 10.0 { 0.01 } else { 1.0 }))
            };
            loads.iter().map(most).collect::<Vec<_>>().join(", ")
        },
    )
}

/// The fill patterns of the areas, once in a page.
pub(super) fn patterns() -> Markup {
    html! {
        svg class="defs" width="0" height="0" aria-hidden="true" focusable="false" {
            defs {
                @for band in TRUST {
                    pattern id=(band.id) width="8" height="8" patternUnits="userSpaceOnUse" {
                        rect class={ (band.id) "-ground" } width="8" height="8" {}
                        @if !band.pattern.is_empty() { path class={ (band.id) "-mark" } d=(band.pattern) {} }
                    }
                }
            }
        }
    }
}
