//! How many clients are lost if a step waits for so long, rehearsed with several seeds: as a page and as CSV.

use serde::Serialize;

use crate::scenario::Span;

/// Rehearsals of one scenario that differ in a wait and in the seed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sweep {
    /// The scenario's title.
    pub scenario: String,
    /// The title of the step whose wait differs.
    pub step: String,
    /// How many clients there are.
    pub clients: usize,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// What came of each wait.
    pub points: Vec<SweepPoint>,
}

/// What came of a wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SweepPoint {
    /// The wait.
    pub wait: Span,
    /// How many clients were lost, for each seed in the order of the seeds.
    pub lost: Vec<usize>,
    /// The same, had the wait been a day longer.
    pub a_day_more: Vec<usize>,
}

/// What the seeds agree on about a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    /// The wait.
    pub(super) wait: Span,
    /// The fewest that were lost.
    pub(super) least: usize,
    /// The middle one; of two the higher.
    pub(super) median: usize,
    /// The most that were lost.
    pub(super) most: usize,
    /// The middle one, had the wait been a day longer.
    pub(super) a_day_more: usize,
}

impl Sweep {
    /// The shortest wait that loses nobody with any seed, and than which no longer one loses anybody.
    pub fn shortest_without_loss(&self) -> Option<Span> {
        let spreads = self.spreads();
        spreads.iter().rev().take_while(|spread| spread.most == 0).last().map(|spread| spread.wait)
    }

    /// Every wait that was rehearsed, the shortest first.
    pub(super) fn spreads(&self) -> Vec<Spread> {
        let spread = |point: &SweepPoint| {
            let mut lost = point.lost.clone();
            lost.sort_unstable();
            let (least, most) = (*lost.first()?, *lost.last()?);
            let mut later = point.a_day_more.clone();
            later.sort_unstable();
            let a_day_more = later.get(later.len() / 2).copied().unwrap_or(0);
            Some(Spread { wait: point.wait, least, median: lost[lost.len() / 2], most, a_day_more })
        };
        let mut spreads: Vec<Spread> = self.points.iter().filter_map(spread).collect();
        spreads.sort_by_key(|spread| spread.wait);
        spreads
    }
}

/// A line for each wait and seed: the wait as written and in seconds, the seed, how many were lost, and how many would
/// have been, had the wait been a day longer.
pub fn sweep_csv(sweep: &Sweep) -> String {
    let mut text = "wait,wait_seconds,seed,lost,lost_a_day_later\r\n".to_owned();
    let mut points: Vec<&SweepPoint> = sweep.points.iter().collect();
    points.sort_by_key(|point| point.wait);
    for SweepPoint { wait, lost, a_day_more } in points {
        for (at, lost) in lost.iter().enumerate() {
            let later = a_day_more.get(at).map_or_else(String::new, ToString::to_string);
            let seed = sweep.seeds.get(at).map_or_else(String::new, ToString::to_string);
            text.push_str(&format!("{wait},{},{seed},{lost},{later}\r\n", wait.0.as_secs_f64()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::report::sample;

    #[test]
    fn a_wait_is_long_enough_if_no_longer_one_loses_anybody() {
        let mut sweep = sample::sweep();
        assert_eq!(sweep.shortest_without_loss(), Some("30d".parse().unwrap()));
        // A lucky short one, and an unlucky seed of the longest.
        sweep.points[2].lost = vec![0; 5];
        assert_eq!(sweep.shortest_without_loss(), Some("30d".parse().unwrap()));
        sweep.points.last_mut().unwrap().lost[3] = 1;
        assert_eq!(sweep.shortest_without_loss(), None);
        assert_eq!(Sweep::default().shortest_without_loss(), None);
    }

    #[test]
    fn a_sweep_has_a_line_for_each_wait_and_seed() {
        let sweep = sample::sweep();
        let text = sweep_csv(&sweep);
        let rows: Vec<_> =
            ::csv::Reader::from_reader(text.as_bytes()).into_records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), sweep.points.len() * sweep.seeds.len());
        assert_eq!(rows[0].iter().collect::<Vec<_>>(), ["1h", "3600", "11", "20300", "20300"]);
    }
}
