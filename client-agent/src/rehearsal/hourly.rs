//! Counts by the hour: integers, added in any order, so that the number of threads does not matter.

use std::collections::{BTreeMap, BTreeSet};

use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Fingerprint, Pins};

use super::outcome::Course;
use crate::agent::Row;

/// Which of the certificates that are or were in force a client trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    OldOnly,
    Both,
    NewOnly,
    None,
}

/// The part of a client's state that is counted by the hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) trust: Trust,
    pub(super) is_orphaned: bool,
}

/// Counts by the hour.
#[derive(Clone, Debug)]
pub(super) struct HourlyCounts {
    origin: Timestamp,
    /// The changes in each hour, for each kind of trust.
    trust: [Vec<i32>; 4],
    orphaned: Vec<i32>,
    online: Vec<i32>,
    load: Vec<Vec<u32>>,
}

const HOUR_MS: i64 = 3_600_000;

impl Trust {
    pub(super) fn of(pins: &Pins, old: &BTreeSet<Fingerprint>, new: &BTreeSet<Fingerprint>) -> Self {
        let knows = |set: &BTreeSet<Fingerprint>| set.iter().any(|one| pins.contains(one));
        match (knows(old), knows(new)) {
            (true, false) => Self::OldOnly,
            (true, true) => Self::Both,
            (false, true) => Self::NewOnly,
            (false, false) => Self::None,
        }
    }
}

impl HourlyCounts {
    /// Makes empty counts; the first hour is the one that contains `start`.
    pub(super) fn new(start: Timestamp, managers: usize) -> Self {
        Self {
            origin: Timestamp::from_millis(start.as_millis().div_euclid(HOUR_MS) * HOUR_MS),
            trust: Default::default(),
            orphaned: Vec::new(),
            online: Vec::new(),
            load: vec![Vec::new(); managers],
        }
    }

    fn hour(&self, at: Timestamp) -> usize {
        let passed = at.as_millis().saturating_sub(self.origin.as_millis());
        usize::try_from(passed / HOUR_MS).unwrap_or(0)
    }

    /// Counts a client from now on.
    pub(super) fn arrived(&mut self, at: Timestamp, counted: Counted) {
        let hour = self.hour(at);
        add(&mut self.trust[counted.trust as usize], hour, 1);
        add(&mut self.orphaned, hour, i32::from(counted.is_orphaned));
    }

    /// Counts a client's new state from now on.
    pub(super) fn changed(&mut self, at: Timestamp, before: Counted, after: Counted) {
        if before == after {
            return;
        }
        let hour = self.hour(at);
        add(&mut self.trust[before.trust as usize], hour, -1);
        add(&mut self.trust[after.trust as usize], hour, 1);
        add(&mut self.orphaned, hour, i32::from(after.is_orphaned) - i32::from(before.is_orphaned));
    }

    /// Counts a machine that was switched on or off.
    pub(super) fn switched(&mut self, at: Timestamp, on: bool) {
        let hour = self.hour(at);
        add(&mut self.online, hour, if on { 1 } else { -1 });
    }

    /// Counts a connection of a client to a manager.
    pub(super) fn visited(&mut self, at: Timestamp, manager: usize) {
        let hour = self.hour(at);
        if let Some(row) = self.load.get_mut(manager) {
            add(row, hour, 1);
        }
    }

    /// Counts a connection to a manager in each heartbeat of the row.
    pub(super) fn visited_often(&mut self, row: &Row, first: Timestamp, manager: usize) {
        let mut hour = self.hour(first);
        let mut end =
            (first.as_millis() - self.origin.as_millis()) / HOUR_MS * HOUR_MS + self.origin.as_millis();
        let Some(load) = self.load.get_mut(manager) else { return };
        let mut counted = 0;
        while counted < row.count() {
            end += HOUR_MS;
            let by_then = row.before(Timestamp::from_millis(end));
            if by_then > counted {
                add(load, hour, u32::try_from(by_then - counted).unwrap_or(u32::MAX));
                counted = by_then;
            }
            hour += 1;
        }
    }

    /// Adds the counts of another thread.
    pub(super) fn merge(&mut self, other: &Self) {
        let rows = self.trust.iter_mut().zip(&other.trust);
        for (mine, theirs) in
            rows.chain([(&mut self.orphaned, &other.orphaned), (&mut self.online, &other.online)])
        {
            for (hour, count) in theirs.iter().enumerate() {
                add(mine, hour, *count);
            }
        }
        for (mine, theirs) in self.load.iter_mut().zip(&other.load) {
            for (hour, count) in theirs.iter().enumerate() {
                add(mine, hour, *count);
            }
        }
    }

    /// The course up to the hour that contains `end`.
    pub(super) fn course<'a>(&self, end: Timestamp, managers: impl Iterator<Item = &'a str>) -> Course {
        let hours = self.hour(end).saturating_add(1);
        let [old_only, both, new_only, none] =
            [Trust::OldOnly, Trust::Both, Trust::NewOnly, Trust::None].map(|one| &self.trust[one as usize]);
        let load: BTreeMap<String, Vec<u32>> = managers
            .zip(&self.load)
            .map(|(name, row)| {
                (name.to_owned(), (0..hours).map(|hour| row.get(hour).copied().unwrap_or(0)).collect())
            })
            .collect();
        Course {
            origin: self.origin,
            old_only: summed(old_only, hours),
            both: summed(both, hours),
            new_only: summed(new_only, hours),
            none: summed(none, hours),
            orphaned: summed(&self.orphaned, hours),
            online: summed(&self.online, hours),
            load,
        }
    }
}

fn add<N: Copy + Default + std::ops::AddAssign>(row: &mut Vec<N>, hour: usize, by: N) {
    if row.len() <= hour {
        row.resize(hour + 1, N::default());
    }
    row[hour] += by;
}

/// The running totals of the changes.
fn summed(changes: &[i32], hours: usize) -> Vec<u32> {
    let mut count = 0_i32;
    (0..hours)
        .map(|hour| {
            count += changes.get(hour).copied().unwrap_or(0);
            u32::try_from(count).unwrap_or(0)
        })
        .collect()
}
