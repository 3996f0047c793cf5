//! The life of a machine: when it is installed, re-imaged and removed.

use epm_protocol::time::Timestamp;

use super::draw::{ARRIVES, Draw, LEAVES, REIMAGED, Stream};
use super::plan::{Arrives, Fate};
use crate::scenario::plan::PartPlan;

/// The times of what happens once to each machine of a part, in milliseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    start: i64,
    arrives: Option<Arrives>,
    leaves: Option<Fate>,
    reimaged: Option<Fate>,
}

impl Life {
    pub(super) fn new(part: &PartPlan, start: Timestamp) -> Self {
        let PartPlan { arrives, leaves, reimaged, .. } = *part;
        Self { start: start.as_millis(), arrives, leaves, reimaged }
    }

    /// Whether the machines of the part are installed during the run.
    pub(super) fn arrives(&self) -> bool {
        self.arrives.is_some()
    }

    /// The time at which the machine is installed; the start of the run if it was there before.
    pub(super) fn from(&self, seed: u64) -> i64 {
        self.arrives.map_or(self.start, |one| {
            self.start.saturating_add(one.between.draw(&mut Draw::new(seed, ARRIVES, 0)))
        })
    }

    /// The time at which the machine leaves; for most, never.
    pub(super) fn until(&self, seed: u64) -> i64 {
        self.fate(self.leaves, seed, LEAVES).unwrap_or(Timestamp::NEVER.as_millis())
    }

    /// The time at which the machine is re-imaged, if that happens while it is there.
    pub(super) fn reimaged(&self, seed: u64) -> Option<i64> {
        let at = self.fate(self.reimaged, seed, REIMAGED)?;
        (self.from(seed) <= at && at < self.until(seed)).then_some(at)
    }

    fn fate(&self, fate: Option<Fate>, seed: u64, stream: Stream) -> Option<i64> {
        let fate = fate?;
        let mut draw = Draw::new(seed, stream, 0);
        fate.share.takes(&mut draw).then(|| self.start.saturating_add(fate.between.draw(&mut draw)))
    }
}
