//! The pauses between the changes of a site: how long each lasted in real time, how long the clock ran in it, and how many
//! heartbeats there were.
//!
//! A tool that is slow leaves its clients heartbeats as one that waits does. Whether it has waited is judged from its pauses.
//! Bounded: the latest are kept, and the longest.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use epm_client_agent::wire::ClockReading;
use epm_protocol::time::Timestamp;
use parking_lot::Mutex;

/// Number of pauses that are kept.
const MOST: usize = 1000;
/// Number of the longest pauses that are kept.
const LONGEST: usize = 5;
/// Number of different requests that are remembered in a pause.
const READS: usize = 1000;
/// Number of equal requests in a pause that make it a poll.
const POLLS: u64 = 3;

/// A pause between two consecutive changes of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Number of changes of certificates, lists and switches until the end of the pause.
    pub changes: u64,
    /// Lab time of the change before the pause.
    pub from: Timestamp,
    /// Lab time of the change after the pause.
    pub to: Timestamp,
    /// Length of the pause in real time.
    pub lasted: Duration,
    /// Real time in the pause for which the clock has run by itself.
    pub ran: Duration,
    /// The clock's hold at the end of the pause; zero without one.
    pub hold: Duration,
    /// Number of heartbeats that the managers answered.
    pub heartbeats: u64,
    /// Whether the lab was told to let heartbeats or time pass.
    pub was_asked: bool,
    /// Whether the state of clients was asked for again and again, while time passed.
    pub was_polled: bool,
}

impl Pause {
    /// Whether heartbeats happened in the pause because the clock ran by itself.
    pub const fn let_heartbeats_pass(&self) -> bool {
        !self.ran.is_zero() && self.heartbeats > 0
    }
}

/// The pauses between the changes of a site, oldest first.
#[derive(Debug)]
pub struct Pauses {
    hasher: RandomState,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The last change: the clock, and the number of heartbeats until then.
    last: Option<(ClockReading, u64)>,
    was_asked: bool,
    was_polled: bool,
    /// Requests for the state of clients since the last change: how often, and the lab time of the first.
    reads: HashMap<u64, (u64, Timestamp)>,
    pauses: VecDeque<Pause>,
    longest: Vec<Pause>,
    /// Number of changes of an earlier run, whose pauses are not known.
    unknown_until: Option<u64>,
}

impl Pauses {
    /// No pauses yet; the first one begins now.
    pub(crate) fn new(clock: ClockReading) -> Self {
        let kept = Kept { last: Some((clock, 0)), ..Kept::default() };
        Self { hasher: RandomState::new(), kept: Mutex::new(kept) }
    }

    /// Records that the site has changed. `changes` is the number of changes of certificates, lists and switches so far,
    /// `heartbeats` that of heartbeats.
    pub(crate) fn site_changed(&self, clock: ClockReading, changes: u64, heartbeats: u64) {
        let mut kept = self.kept.lock();
        if let Some((last, before)) = kept.last.replace((clock, heartbeats)) {
            let pause = Pause {
                changes,
                from: last.now,
                to: clock.now,
                lasted: clock.real.saturating_sub(last.real),
                ran: clock.ran.saturating_sub(last.ran),
                hold: clock.hold,
                heartbeats: heartbeats.saturating_sub(before),
                was_asked: kept.was_asked,
                was_polled: kept.was_polled,
            };
            if kept.pauses.len() == MOST {
                kept.pauses.pop_front();
            }
            kept.pauses.push_back(pause);
            let at = kept.longest.partition_point(|one| one.lasted >= pause.lasted);
            kept.longest.insert(at, pause);
            kept.longest.truncate(LONGEST);
        } else {
            // The pause until this change began in an earlier run.
            kept.unknown_until = Some(changes);
        }
        (kept.was_asked, kept.was_polled) = (false, false);
        kept.reads.clear();
    }

    /// Continues after an earlier run with so many changes: the pauses until now are not known.
    pub(crate) fn go_on_from(&self, changes: u64) {
        let mut kept = self.kept.lock();
        (kept.unknown_until, kept.last) = (Some(changes), None);
    }

    /// Records that the lab was told to let heartbeats or time pass.
    pub(crate) fn asked(&self) {
        self.kept.lock().was_asked = true;
    }

    /// Records a request for the state of clients.
    pub(crate) fn read(&self, request: &str, now: Timestamp) {
        let request = self.hasher.hash_one(request);
        let mut kept = self.kept.lock();
        if kept.reads.len() == READS && !kept.reads.contains_key(&request) {
            return;
        }
        let (times, first) = kept.reads.entry(request).or_insert((0, now));
        *times += 1;
        let is_poll = *times >= POLLS && now > *first;
        kept.was_polled |= is_poll;
    }

    /// The longest pauses, the longest first.
    pub fn longest(&self) -> Vec<Pause> {
        self.kept.lock().longest.clone()
    }

    /// Pauses after the change of certificates, lists and switches with this number, oldest first; none if some of them were
    /// dropped.
    pub fn after(&self, change: u64) -> Option<Vec<Pause>> {
        let kept = self.kept.lock();
        // The first one found ends with that change.
        let first = kept.pauses.partition_point(|one| one.changes < change);
        let is_known = kept.unknown_until.is_none_or(|until| change > until);
        let is_whole = is_known && (first > 0 || kept.pauses.len() < MOST);
        is_whole.then(|| kept.pauses.iter().skip(first + 1).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A clock that has run since its start.
    fn at(real: Duration) -> ClockReading {
        ClockReading { now: Timestamp::EPOCH + real, real, ran: real, hold: SECOND }
    }

    #[test]
    fn the_pauses_after_a_change_are_those_that_follow_it() {
        let pauses = Pauses::new(at(Duration::ZERO));
        for (second, changes) in [(1, 1), (2, 1), (5, 2), (6, 2), (7, 3)] {
            pauses.site_changed(at(second * SECOND), changes, second.into());
        }
        let lasted = |change: u64| -> Vec<u64> {
            pauses.after(change).unwrap().iter().map(|one| one.lasted.as_secs()).collect()
        };
        assert_eq!((lasted(1), lasted(2), lasted(3)), (vec![1, 3, 1, 1], vec![1, 1], vec![]));
        let longest = pauses.longest();
        assert_eq!((longest.len(), longest[0].lasted, longest[0].heartbeats), (5, 3 * SECOND, 3));
        for change in 4..2000 {
            pauses.site_changed(at(SECOND * 10), change, 0);
        }
        assert_eq!((pauses.after(3), pauses.after(1998).map(|left| left.len())), (None, Some(1)));
        assert_eq!(pauses.longest().len(), LONGEST);
    }

    #[test]
    fn pauses_until_a_restart_are_unknown() {
        let pauses = Pauses::new(at(Duration::ZERO));
        pauses.go_on_from(3);
        for (second, changes) in [(1, 4), (2, 5)] {
            pauses.site_changed(at(second * SECOND), changes, 0);
        }
        assert_eq!([2, 3, 4].map(|change| pauses.after(change)), [None, None, None]);
        assert_eq!(pauses.after(5).map(|left| left.len()), Some(0));
    }

    #[test]
    fn a_poll_is_the_same_request_three_times_while_time_passes() {
        let pauses = Pauses::new(at(Duration::ZERO));
        let is_poll = |requests: &[(&str, u32)]| {
            for (request, second) in requests {
                pauses.read(request, Timestamp::EPOCH + *second * SECOND);
            }
            pauses.site_changed(at(SECOND), 0, 0);
            pauses.longest().iter().any(|one| one.was_polled)
        };
        assert!(!is_poll(&[("/a", 1), ("/a", 1), ("/a", 1)]), "no time has passed");
        assert!(!is_poll(&[("/a", 1), ("/b", 1), ("/a", 2), ("/b", 2)]), "before and after");
        assert!(!is_poll(&[("/a", 3)]), "of another pause");
        assert!(is_poll(&[("/a", 1), ("/a", 1), ("/a", 2)]));
    }
}
