//! How many clients are lost if a step waits for so long, rehearsed with several seeds: as a page and as CSV.

use crate::scenario::Span;

/// Rehearsals of one scenario that differ in a wait and in the seed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepPoint {
    /// The wait.
    pub wait: Span,
    /// How many clients were lost, for each seed in the order of the seeds.
    pub lost: Vec<usize>,
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
            Some(Spread { wait: point.wait, least, median: lost[lost.len() / 2], most })
        };
        let mut spreads: Vec<Spread> = self.points.iter().filter_map(spread).collect();
        spreads.sort_by_key(|spread| spread.wait);
        spreads
    }
}

/// A line for each wait and seed: the wait as written and in seconds, the seed, and how many were lost.
pub fn sweep_csv(sweep: &Sweep) -> String {
    let mut text = "wait,wait_seconds,seed,lost\r\n".to_owned();
    let mut points: Vec<&SweepPoint> = sweep.points.iter().collect();
    points.sort_by_key(|point| point.wait);
    for SweepPoint { wait, lost } in points {
        for (at, lost) in lost.iter().enumerate() {
            let seed = sweep.seeds.get(at).map_or_else(String::new, ToString::to_string);
            text.push_str(&format!("{wait},{},{seed},{lost}\r\n", wait.0.as_secs_f64()));
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
        assert_eq!(rows[0].iter().collect::<Vec<_>>(), ["1h", "3600", "11", "20300"]);
    }
}
