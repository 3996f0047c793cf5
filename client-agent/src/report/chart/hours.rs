//! The hours of a course, and which of them are drawn if there are more than pixel columns.

use crate::rehearsal::Outcome;

/// What must be kept of each bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// The last hour of each bucket, so that all rows are of the same hour.
    Last,
    /// The hour with the highest number.
    Highest,
    /// The hours with the lowest and the highest number.
    Extremes,
}

/// The hours to draw, in order: at most one for each bucket, or two for the extremes.
pub(super) fn shown<T: Copy + PartialOrd + Default>(
    row: &[T],
    hours: usize,
    buckets: usize,
    keep: Keep,
) -> Vec<usize> {
    let buckets = buckets.clamp(1, hours.max(1));
    let value = |hour: usize| row.get(hour).copied().unwrap_or_default();
    let mut shown = Vec::new();
    for bucket in 0..buckets {
        let (from, to) = (bucket * hours / buckets, (bucket + 1) * hours / buckets);
        let Some(last) = to.checked_sub(1).filter(|last| *last >= from) else { continue };
        let by = |is_better: fn(T, T) -> bool| {
            (from..to).fold(from, |best, hour| if is_better(value(hour), value(best)) { hour } else { best })
        };
        match keep {
            Keep::Last => shown.push(last),
            Keep::Highest => shown.push(by(|one, other| one > other)),
            Keep::Extremes => shown.extend([by(|one, other| one < other), by(|one, other| one > other)]),
        }
    }
    shown.sort_unstable();
    shown.dedup();
    shown
}

/// The number of hours that were counted; without any there is nothing to draw.
pub(in super::super) fn counted(outcome: &Outcome) -> usize {
    let course = &outcome.course;
    let rows =
        [&course.old_only, &course.both, &course.new_only, &course.none, &course.orphaned, &course.online];
    rows.into_iter().chain(course.load.values()).map(Vec::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_course_is_drawn_hour_by_hour() {
        for keep in [Keep::Last, Keep::Highest, Keep::Extremes] {
            assert_eq!(shown(&[1, 2, 1], 3, 800, keep), [0, 1, 2]);
            assert_eq!(shown::<u32>(&[], 0, 800, keep), [] as [usize; 0]);
            assert_eq!(shown(&[5], 1, 0, keep), [0]);
        }
    }

    #[test]
    fn the_highest_hour_is_never_thinned_out() {
        let mut row = vec![3_u32; 2160];
        row[1001] = 9;
        row[55] = 0;
        assert!(shown(&row, 2160, 100, Keep::Highest).contains(&1001));
        let extremes = shown(&row, 2160, 100, Keep::Extremes);
        assert!(extremes.contains(&1001) && extremes.contains(&55));
        assert_eq!(shown(&row, 2160, 100, Keep::Last).last(), Some(&2159));
    }
}
