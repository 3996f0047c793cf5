//! The parts of every chart: axes with ticks, the markers of the steps, and the mapping from hours and numbers to
//! positions.

use std::ops::Range;
use std::time::Duration;

use epm_protocol::time::Timestamp;
use maud::{Markup, html};

use super::size::Size;
use super::{axis, hours, place};
use crate::rehearsal::Outcome;
use crate::report::words;

/// The vertical axis: its end, and the distance of its ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    top: f64,
    step: f64,
}

/// The space for ticks at the left and for names at the right; all charts of a page share it, so that a moment has the
/// same position in all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Margins {
    pub(super) left: f64,
    pub(super) right: f64,
}

/// A chart without its data.
#[derive(Debug)]
pub(super) struct Frame {
    width: f64,
    left: f64,
    plot_width: f64,
    /// The top of the plot, below the markers.
    top: f64,
    plot_height: f64,
    hours: usize,
    origin: Timestamp,
    axis: Axis,
    markers: Vec<Marker>,
}

/// A step on the axis of time.
#[derive(Debug)]
struct Marker {
    /// The position at which the step begins.
    at: f64,
    /// The position of its number.
    x: f64,
    y: f64,
    width: f64,
    number: usize,
    title: String,
}

impl Axis {
    /// An axis that ends at `top`.
    pub(super) fn full(top: f64) -> Self {
        let top = top.max(1.0);
        Self { top, step: axis::step(top, 4.0).max(1.0) }
    }

    /// An axis of whole numbers that ends at a tick.
    pub(super) fn counts(most: f64) -> Self {
        let step = axis::step(most.max(1.0), 3.0).max(1.0);
        Self { top: (most.max(1.0) / step).ceil() * step, step }
    }

    /// An axis of any numbers that ends at a tick.
    pub(super) fn rates(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let step = axis::step(most, 4.0);
        Self { top: (most / step - 0.001).ceil().max(1.0) * step, step }
    }

    /// The number of characters in the longest tick label.
    pub(super) fn longest(self) -> usize {
        self.ticks().map(|tick| axis::written(tick, self.step).chars().count()).max().unwrap_or(0)
    }

    /// The number at the end of the axis.
    pub(super) fn top(self) -> f64 {
        self.top
    }

    /// The numbers at the ticks.
    pub(super) fn ticks(self) -> impl Iterator<Item = f64> {
        let count = (self.top / self.step + 0.001).floor() as usize;
        (0..=count).map(move |tick| tick as f64 * self.step)
    }
}

impl Frame {
    /// Makes a frame with a plot of this height between these margins.
    pub(super) fn new(outcome: &Outcome, size: Size, plot_height: f64, axis: Axis, margins: Margins) -> Self {
        let width = size.width();
        let mut frame = Self {
            width,
            left: margins.left,
            plot_width: width - margins.left - margins.right,
            top: 0.0,
            plot_height: if size == Size::Narrow { plot_height * 0.85 } else { plot_height },
            hours: hours::counted(outcome),
            origin: outcome.course.origin,
            axis,
            markers: Vec::new(),
        };
        let rows = frame.place_markers(outcome);
        frame.top = MARKER * rows as f64 + 10.0;
        frame
    }

    /// Finds positions for the numbers of the steps, and returns the number of rows that they take.
    fn place_markers(&mut self, outcome: &Outcome) -> usize {
        let (from, to) = (self.left, self.right());
        let at = |began: Timestamp| {
            let hours = began.since(self.origin).as_secs_f64() / 3600.0;
            self.x(hours.min(self.hours as f64))
        };
        let mut steps: Vec<_> =
            outcome.steps.iter().map(|step| (at(step.report.began), &step.report)).collect();
        steps.sort_by(|one, other| one.0.total_cmp(&other.0));
        let digits = steps.iter().map(|(_, step)| step.number.to_string().len()).max().unwrap_or(1);
        let width = MARKER.max(8.0 * digits as f64 + 6.0);
        let rows = place::rows(steps.len(), width, from, to);
        let mut markers = Vec::new();
        for row in 0..rows {
            let mine: Vec<_> = steps.iter().skip(row).step_by(rows).collect();
            let wanted: Vec<f64> = mine.iter().map(|(at, _)| *at).collect();
            let y = MARKER * row as f64 + MARKER / 2.0;
            for ((at, step), x) in mine.into_iter().zip(place::apart(&wanted, width, from, to)) {
                let title = format!("Step {}: {}, {}", step.number, step.title, words::moment(step.began));
                markers.push(Marker { at: *at, x, y, width: width - 2.0, number: step.number, title });
            }
        }
        self.markers = markers;
        rows
    }

    /// The number of pixel columns.
    pub(super) fn columns(&self) -> usize {
        self.plot_width.max(1.0) as usize
    }

    /// The plot's right edge.
    pub(super) fn right(&self) -> f64 {
        self.left + self.plot_width
    }

    /// The position of a number.
    pub(super) fn y(&self, value: f64) -> f64 {
        self.top + self.plot_height * (1.0 - value / self.axis.top)
    }

    fn x(&self, hours: f64) -> f64 {
        self.left + self.plot_width * hours / self.hours.max(1) as f64
    }

    /// The points of a series: a number is placed at the end of its hour, the first from the beginning, the last to the
    /// end.
    fn points(&self, shown: &[usize], values: &[f64]) -> Vec<String> {
        let at = |(hour, value): (&usize, &f64)| (self.x((hour + 1) as f64), self.y(*value));
        let mut points: Vec<(f64, f64)> = shown.iter().zip(values).map(at).collect();
        let ends = |point: Option<&(f64, f64)>| point.map_or(self.y(0.0), |(_, y)| *y);
        points.insert(0, (self.left, ends(points.first())));
        points.push((self.right(), ends(points.last())));
        points.dedup();
        points.into_iter().map(|(x, y)| format!("{} {}", number(x), number(y))).collect()
    }

    /// A line through these numbers.
    pub(super) fn line(&self, shown: &[usize], values: &[f64]) -> String {
        format!("M{}", self.points(shown, values).join("L"))
    }

    /// The area between two lines.
    pub(super) fn area(&self, shown: &[usize], floor: &[f64], ceiling: &[f64]) -> String {
        let mut points = self.points(shown, ceiling);
        points.extend(self.points(shown, floor).into_iter().rev());
        format!("M{}Z", points.join("L"))
    }

    /// The position between two lines with most room for a label, if there is enough.
    pub(super) fn label_within(
        &self,
        shown: &[usize],
        floor: &[f64],
        ceiling: &[f64],
        label: &str,
    ) -> Option<(f64, f64)> {
        if shown.is_empty() {
            return None;
        }
        let half = 4.0 * label.chars().count() as f64 + 6.0;
        let xs: Vec<f64> = shown.iter().map(|hour| self.x((hour + 1) as f64)).collect();
        let room = |x: f64| {
            // The band must be free for the label's whole width: its lowest ceiling and its highest floor there.
            let from = xs.partition_point(|at| *at < x - half).saturating_sub(1);
            let to = (xs.partition_point(|at| *at <= x + half) + 1).min(xs.len());
            let lowest = ceiling[from..to].iter().copied().fold(f64::MAX, f64::min);
            let highest = floor[from..to].iter().copied().fold(0.0, f64::max);
            (self.y(highest) - self.y(lowest), f64::midpoint(self.y(highest), self.y(lowest)))
        };
        let is_crossed = |x: f64| self.markers.iter().any(|marker| (marker.at - x).abs() < half);
        let mut best: Option<((bool, f64), f64, f64)> = None;
        let mut x = self.left + half;
        while x <= self.right() - half {
            let (height, y) = room(x);
            let rank = (!is_crossed(x), height);
            if height >= LINE + 4.0 && best.is_none_or(|(most, ..)| rank > most) {
                best = Some((rank, x, y));
            }
            x += 6.0;
        }
        best.map(|(_, x, y)| (x, y + 4.0))
    }

    /// The positions of labels at the right of lines that end there.
    pub(super) fn labels_beside(&self, ends: &[f64]) -> Vec<f64> {
        let mut order: Vec<usize> = (0..ends.len()).collect();
        order.sort_by(|one, other| ends[*one].total_cmp(&ends[*other]));
        let wanted: Vec<f64> = order.iter().map(|index| ends[*index]).collect();
        let placed = place::apart(&wanted, LINE, self.top + 4.0, self.top + self.plot_height);
        let mut labels = vec![0.0; ends.len()];
        for (index, place) in order.into_iter().zip(placed) {
            labels[index] = place;
        }
        labels
    }

    /// The line from the end of a series to its label.
    pub(super) fn leader(&self, from: f64, to: f64) -> String {
        let right = self.right();
        format!("M{} {}L{} {}", number(right), number(from), number(right + 9.0), number(to))
    }

    /// Draws the whole chart, with `data` under the markers' lines and `labels` over them.
    pub(super) fn draw(
        &self,
        spoken: &str,
        data: &Markup,
        labels: &Markup,
        said: impl Fn(Range<usize>) -> String,
    ) -> Markup {
        let height = self.top + self.plot_height + 26.0;
        let bottom = self.top + self.plot_height;
        let ticks = axis::moments(self.origin, self.hours, self.plot_width);
        html! {
            svg role="img" aria-label=(spoken) viewBox={ "0 0 " (number(self.width)) " " (number(height)) } {
                @for tick in self.axis.ticks() {
                    path class="grid" d={ "M" (number(self.left)) " " (number(self.y(tick))) "H" (number(self.right())) } {}
                    text class="tick" x=(number(self.left - 8.0)) y=(number(self.y(tick) + 4.0)) text-anchor="end" {
                        (axis::written(tick, self.axis.step))
                    }
                }
                (data)
                path class="axis" d={ "M" (number(self.left)) " " (number(bottom)) "H" (number(self.right())) } {}
                @for (hours, label) in &ticks {
                    path class="axis" d={ "M" (number(self.x(*hours))) " " (number(bottom)) "v5" } {}
                    text class="tick" x=(number(self.tick_label(*hours, label))) y=(number(bottom + 19.0)) text-anchor="middle" {
                        (label)
                    }
                }
                @for marker in &self.markers {
                    path class="step" d=(self.pole(marker, bottom)) {}
                }
                @for marker in &self.markers { (marker.badge()) }
                (labels)
                (self.tooltips(said))
            }
        }
    }

    /// Columns that show what is said of their hours while the pointer is over them; none in a narrow chart, which is for a
    /// screen without a pointer.
    fn tooltips(&self, said: impl Fn(Range<usize>) -> String) -> Markup {
        let columns = if self.width < WITH_POINTER { 0 } else { self.hours.min(TOOLTIPS) };
        let hour = |number: usize| words::moment(self.origin + Duration::from_secs(3600 * number as u64));
        html! {
            @for column in 0..columns {
                @let (from, to) = (column * self.hours / columns, (column + 1) * self.hours / columns);
                rect class="hover" x=(number(self.x(from as f64))) y=(number(self.top))
                    width=(number(self.x(to as f64) - self.x(from as f64))) height=(number(self.plot_height)) {
                    title { (hour(from)) " to " (hour(to)) ": " (said(from..to)) }
                }
            }
        }
    }

    /// The centre of a tick's label: below the tick, unless it would be cut off there.
    fn tick_label(&self, hours: f64, label: &str) -> f64 {
        let half = 3.5 * label.len() as f64 + 2.0;
        self.x(hours).clamp(half, self.width - half)
    }

    fn pole(&self, marker: &Marker, bottom: f64) -> String {
        let at = number(marker.at);
        format!("M{} {}L{at} {}V{}", number(marker.x), number(marker.y), number(self.top), number(bottom))
    }
}

impl Marker {
    fn badge(&self) -> Markup {
        html! {
            g class="marker" {
                title { (self.title) }
                rect x=(number(self.x - self.width / 2.0)) y=(number(self.y - 9.0)) width=(number(self.width))
                    height="18" rx="9" {}
                text x=(number(self.x)) y=(number(self.y + 4.0)) text-anchor="middle" { (self.number) }
            }
        }
    }
}

/// Formats a coordinate to a tenth.
pub(super) fn number(place: f64) -> String {
    let written = format!("{place:.1}");
    written.strip_suffix(".0").map_or_else(|| written.clone(), str::to_owned)
}

/// The number of columns with a tooltip.
const TOOLTIPS: usize = 60;
/// The least width of a chart with tooltips.
const WITH_POINTER: f64 = 500.0;
/// The height of a row of markers, and the least width of one.
const MARKER: f64 = 20.0;
/// The height of a line of text.
const LINE: f64 = 15.0;
