//! The outcome of a sweep: the number of orphaned clients for each wait, with several seeds.

use schemars::JsonSchema;
use serde::Serialize;

use super::outcome::RunInfo;
use crate::scenario::Span;

/// Rehearsals of a scenario that differ in a wait and in the seed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sweep {
    /// The title of the scenario.
    pub scenario: String,
    /// The title of the step whose wait differs.
    pub step: String,
    /// The number of clients in the fleet.
    pub clients: usize,
    /// The seeds of the rehearsals.
    pub seeds: Vec<u64>,
    /// The outcome of each wait.
    pub points: Vec<SweepPoint>,
    /// How to have the same outcome again, if a program knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunInfo>,
}

/// The outcome of a wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SweepPoint {
    /// The duration of the wait.
    pub wait: Span,
    /// The number of orphaned clients for each seed, in the order of the seeds.
    pub orphaned: Vec<usize>,
    /// The number of clients for each seed that are off at the end, and would be orphaned on being switched on.
    pub on_return: Vec<usize>,
    /// The number of orphaned clients for each seed if the wait is a day longer.
    pub a_day_more: Vec<usize>,
}

/// The spread of a wait's outcomes over the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    /// The duration of the wait.
    pub(crate) wait: Span,
    /// The smallest number of orphaned clients.
    pub(crate) least: usize,
    /// The median number of orphaned clients; the higher one of two.
    pub(crate) median: usize,
    /// The largest number of orphaned clients.
    pub(crate) most: usize,
    /// The median if the wait is a day longer.
    pub(crate) a_day_more: usize,
}

impl Sweep {
    /// The shortest wait that orphans no client with any seed, provided that no longer wait does.
    pub fn shortest_without_orphans(&self) -> Option<Span> {
        let spreads = self.spreads();
        spreads.iter().rev().take_while(|spread| spread.most == 0).last().map(|spread| spread.wait)
    }

    /// The largest number of clients, with any seed, that the shortest wait without orphans leaves off, and that would be orphaned on
    /// being switched on.
    pub fn on_return(&self) -> usize {
        let shortest = self.shortest_without_orphans();
        let point = self.points.iter().find(|point| Some(point.wait) == shortest);
        point.and_then(|point| point.on_return.iter().copied().max()).unwrap_or(0)
    }

    /// The spreads of all rehearsed waits, the shortest first.
    pub(crate) fn spreads(&self) -> Vec<Spread> {
        let spread = |point: &SweepPoint| {
            let mut lost = point.orphaned.clone();
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
