//! The series of the charts: the four states of trust, and the load of each manager.

use super::size::Size;
use crate::rehearsal::Course;

/// An area of the chart of the fleet's trust.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Band {
    /// The CSS class, and the identifier of the pattern.
    pub(in super::super) id: &'static str,
    /// The title in the legend.
    pub(in super::super) title: &'static str,
    /// The meaning in the legend.
    pub(in super::super) about: &'static str,
    /// The series in the course.
    pub(in super::super) row: fn(&Course) -> &[u32],
    /// The pattern that distinguishes it without colour: a path on a tile of 8 by 8.
    pub(super) pattern: &'static str,
}

/// The areas in their order from the top.
pub(in super::super) const TRUST: [Band; 4] = [
    Band {
        id: "trust-none",
        title: "none",
        about: "trust no certificate that was ever in force",
        row: |course| &course.none,
        pattern: "M0 0L8 8M8 0L0 8",
    },
    Band {
        id: "trust-old",
        title: "old only",
        about: "trust only certificates that were in force at the beginning",
        row: |course| &course.old_only,
        pattern: "M-2 2L2 -2M0 8L8 0M6 10L10 6",
    },
    Band {
        id: "trust-both",
        title: "both",
        about: "trust both certificates of the beginning and newer ones",
        row: |course| &course.both,
        pattern: "M1 2H3M5 6H7",
    },
    Band {
        id: "trust-new",
        title: "new only",
        about: "trust only newer certificates",
        row: |course| &course.new_only,
        pattern: "",
    },
];

/// The dash patterns of managers' lines, which distinguish them without colour.
pub(in super::super) const DASHES: [&str; 8] =
    ["none", "8 4", "2 3", "12 3 2 3", "16 6", "5 2", "2 6", "12 3 2 3 2 3"];

/// The heartbeats per minute of a manager, or of several together.
#[derive(Clone, Debug)]
pub(in super::super) struct Load {
    /// The name of the manager.
    pub(in super::super) name: String,
    /// The heartbeats per minute, hour by hour.
    pub(super) row: Vec<f64>,
}

impl Load {
    /// A series for each manager; if there are too many to distinguish, the least busy are one series.
    pub(in super::super) fn all(course: &Course) -> Vec<Self> {
        let a_minute = |row: &Vec<u32>| row.iter().map(|beats| f64::from(*beats) / 60.0).collect();
        let mut loads: Vec<(u64, Self)> = course
            .load
            .iter()
            .map(|(name, row)| {
                let sum = row.iter().map(|beats| u64::from(*beats)).sum();
                (sum, Self { name: name.clone(), row: a_minute(row) })
            })
            .collect();
        if loads.len() > DASHES.len() {
            loads.sort_by_key(|(sum, _)| std::cmp::Reverse(*sum));
            let rest = loads.split_off(DASHES.len() - 1);
            let hours = rest.iter().map(|(_, load)| load.row.len()).max().unwrap_or(0);
            let sum = |hour| rest.iter().filter_map(|(_, load)| load.row.get(hour)).sum();
            let name = format!("{} others together", rest.len());
            loads.push((0, Self { name, row: (0..hours).map(sum).collect() }));
        }
        loads.into_iter().map(|(_, load)| load).collect()
    }

    /// Whether a course is so long that it is drawn by the day: by the hour, lines would be hatching.
    pub(in super::super) fn is_by_day(hours: usize) -> bool {
        hours > 10 * 24
    }

    /// The largest number of all.
    pub(super) fn highest(loads: &[Self]) -> f64 {
        loads.iter().flat_map(|load| load.row.iter().copied()).fold(0.0, f64::max)
    }

    /// The name, shortened to fit beside a line.
    pub(super) fn label(&self, size: Size) -> String {
        let most = if size == Size::Narrow { 9 } else { 14 };
        if self.name.chars().count() <= most {
            return self.name.clone();
        }
        // Names of managers differ at their ends, so the middle is cut.
        let name: Vec<char> = self.name.chars().collect();
        let (head, tail) = (&name[..most - most / 2 - 1], &name[name.len() - most / 2..]);
        head.iter().chain(['…'].iter()).chain(tail).collect()
    }
}
