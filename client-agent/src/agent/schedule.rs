//! When a client wakes: regular heartbeats, and an early one after a change.

use std::hash::Hasher;
use std::time::Duration;

use epm_protocol::time::Timestamp;
use siphasher::sip::SipHasher24;

/// After a change the next heartbeat comes within this time [C S14].
const ACCELERATED_WITHIN_MS: u64 = 60_000;

/// What is decided about the next heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    /// A new row of heartbeats, the first one now.
    Restart(Duration),
    /// Nothing more until the next restart.
    Stop,
    /// A heartbeat has begun; the time from one regular heartbeat to the next.
    Begun(Duration),
    /// Something has changed: an early heartbeat.
    Accelerate,
    /// The next heartbeat is at once.
    Now,
}

/// When a client wakes.
///
/// The k-th regular heartbeat is at `anchor + k * interval + jitter(k)`. The jitter does not accumulate, and depends on
/// nothing but the client's seed, the anchor and k, so any heartbeat can be computed without those before it.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    seed: u64,
    jitter_percent: u8,
    anchor: Timestamp,
    interval: Duration,
    regular: Timestamp,
    accelerated: Option<Timestamp>,
}

impl Schedule {
    pub(crate) fn new(seed: u64, jitter_percent: u8) -> Self {
        Self {
            seed,
            jitter_percent,
            anchor: Timestamp::EPOCH,
            interval: Duration::from_secs(300),
            regular: Timestamp::NEVER,
            accelerated: None,
        }
    }

    /// Does what has been decided.
    pub(crate) fn take(&mut self, timing: Timing, now: Timestamp) {
        match timing {
            Timing::Restart(interval) => self.restart(interval, now),
            Timing::Stop => self.stop(),
            Timing::Begun(interval) => self.begun(interval, now),
            Timing::Accelerate => self.accelerate(now),
            Timing::Now => self.accelerate_to(now),
        }
    }

    /// A new row of heartbeats, the first one now.
    fn restart(&mut self, interval: Duration, now: Timestamp) {
        self.anchor = now;
        self.interval = interval.max(Duration::from_millis(1));
        self.regular = now;
        self.accelerated = None;
    }

    /// Nothing more until the next restart.
    fn stop(&mut self) {
        self.regular = Timestamp::NEVER;
        self.accelerated = None;
    }

    /// A heartbeat has begun: the next regular one is the first after it.
    fn begun(&mut self, interval: Duration, now: Timestamp) {
        if interval != self.interval || now < self.anchor {
            self.restart(interval, now);
        }
        let passed = now.since(self.anchor).as_millis() / self.interval.as_millis().max(1);
        let k = u64::try_from(passed).unwrap_or(u64::MAX).max(1); // the one at the anchor has been
        self.accelerated = None;
        let next = [k, k.saturating_add(1)].into_iter().map(|k| self.at(k)).find(|at| *at > now);
        self.regular = next.unwrap_or(Timestamp::NEVER);
    }

    /// Something has changed: an early heartbeat, unless a regular one is earlier.
    fn accelerate(&mut self, now: Timestamp) {
        let within = self.draw(now.as_millis().unsigned_abs(), ACCELERATED_WITHIN_MS);
        self.accelerate_to(now + Duration::from_millis(within));
    }

    /// A heartbeat at this moment, unless one is due before.
    fn accelerate_to(&mut self, at: Timestamp) {
        self.accelerated = Some(self.accelerated.map_or(at, |before| before.min(at)));
    }

    pub(crate) fn next(&self) -> Timestamp {
        self.accelerated.map_or(self.regular, |early| early.min(self.regular))
    }

    fn at(&self, k: u64) -> Timestamp {
        let interval = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX);
        let jitter = self.draw(k, interval / 100 * u64::from(self.jitter_percent.min(100)));
        self.anchor + Duration::from_millis(interval.saturating_mul(k).saturating_add(jitter))
    }

    /// A number from 0 to `most`, drawn by a keyed hash and so the same again for the same question.
    fn draw(&self, question: u64, most: u64) -> u64 {
        draw(self.seed, self.anchor.as_millis().unsigned_abs(), question, most)
    }
}

/// A number from 0 to `most` that depends on these three and on nothing else. The generator is SipHash-2-4.
pub(super) fn draw(seed: u64, stream: u64, question: u64, most: u64) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(seed, stream);
    hasher.write_u64(question);
    most.checked_add(1).map_or_else(|| hasher.finish(), |count| hasher.finish() % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(300);

    fn started(at: i64) -> Schedule {
        let mut schedule = Schedule::new(7, 10);
        schedule.restart(INTERVAL, Timestamp::from_seconds(at));
        schedule
    }

    #[test]
    fn the_first_heartbeat_is_at_once_and_the_next_ones_do_not_drift() {
        let mut schedule = started(1000);
        assert_eq!(schedule.next(), Timestamp::from_seconds(1000));
        for k in 1..1000 {
            let now = schedule.next();
            schedule.begun(INTERVAL, now);
            let ideal = Timestamp::from_seconds(1000 + k * 300);
            assert!(schedule.next() >= ideal && schedule.next() <= ideal + Duration::from_secs(30), "{k}");
        }
    }

    #[test]
    fn a_heartbeat_is_the_same_whether_those_before_it_were_played_or_not() {
        let (mut played, mut skipped) = (started(0), started(0));
        while played.next() < Timestamp::from_seconds(90_000) {
            let now = played.next();
            played.begun(INTERVAL, now);
        }
        skipped.begun(INTERVAL, Timestamp::from_seconds(90_000) - Duration::from_millis(1));
        assert_eq!(played.next(), skipped.next());
    }

    #[test]
    fn a_change_brings_the_next_heartbeat_forward_but_never_back() {
        let mut schedule = started(0);
        schedule.begun(INTERVAL, Timestamp::from_seconds(0));
        let regular = schedule.next();
        schedule.accelerate(Timestamp::from_seconds(1));
        assert!(schedule.next() <= Timestamp::from_seconds(61) && schedule.next() < regular);
        schedule.accelerate_to(regular + INTERVAL);
        assert!(schedule.next() <= Timestamp::from_seconds(61));
    }
}
