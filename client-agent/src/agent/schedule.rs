//! When a client wakes: regular heartbeats, and an early one after a change.

use std::hash::Hasher;
use std::time::Duration;

use epm_protocol::time::Timestamp;
use siphasher::sip::SipHasher24;

/// The time within which the next heartbeat follows after a change [C S14].
const ACCELERATED_WITHIN_MS: u64 = 60_000;

/// A decision about the next heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    /// Starts a new series of heartbeats at this interval, the first one now.
    Restart(Duration),
    /// Schedules nothing more until the next restart.
    Stop,
    /// A heartbeat has begun; regular ones follow at this interval.
    Begun(Duration),
    /// Something has changed: schedule an early heartbeat.
    Accelerate,
    /// The next heartbeat is now.
    Now,
}

/// The schedule of a client's heartbeats.
///
/// The k-th regular heartbeat is at `anchor + k * interval + jitter(k)`. The jitter does not accumulate, and depends on
/// nothing but the client's seed, the anchor and k, so any heartbeat can be computed without those before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    seed: u64,
    jitter_percent: u8,
    anchor: Timestamp,
    /// The interval in milliseconds, at least 1.
    interval: i64,
    /// The number of the next regular heartbeat; none until the next restart.
    regular: Option<i64>,
    accelerated: Option<Timestamp>,
}

impl Schedule {
    pub(crate) fn new(seed: u64, jitter_percent: u8) -> Self {
        Self {
            seed,
            jitter_percent: jitter_percent.min(100),
            anchor: Timestamp::EPOCH,
            interval: 300_000,
            regular: None,
            accelerated: None,
        }
    }

    /// Sets the seed of the random delays.
    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Applies a decision.
    pub(crate) fn take(&mut self, timing: Timing, now: Timestamp) {
        match timing {
            Timing::Restart(interval) => self.restart(interval, now),
            Timing::Stop => self.stop(),
            Timing::Begun(interval) => self.begun(interval, now),
            Timing::Accelerate => self.accelerate(now),
            Timing::Now => self.accelerate_to(now),
        }
    }

    /// Starts a new series of heartbeats, the first one now.
    fn restart(&mut self, interval: Duration, now: Timestamp) {
        self.anchor = now;
        self.interval = millis(interval);
        self.regular = Some(0);
        self.accelerated = None;
    }

    /// Schedules nothing more until the next restart.
    fn stop(&mut self) {
        self.regular = None;
        self.accelerated = None;
    }

    /// Notes that a heartbeat has begun: the next regular one is the first after it.
    fn begun(&mut self, interval: Duration, now: Timestamp) {
        if millis(interval) != self.interval || now < self.anchor {
            self.restart(interval, now);
        }
        self.accelerated = None;
        let passed = now.as_millis().saturating_sub(self.anchor.as_millis()) / self.interval;
        let k = passed.max(1); // the one at the anchor is over
        self.regular = Some(if self.is_after(k, now) { k } else { k + 1 });
    }

    /// Schedules an early heartbeat, unless a regular one is earlier.
    fn accelerate(&mut self, now: Timestamp) {
        let within = self.draw(now.as_millis().unsigned_abs(), ACCELERATED_WITHIN_MS);
        self.accelerate_to(now + Duration::from_millis(within));
    }

    /// Schedules a heartbeat at this moment, unless one is due before.
    fn accelerate_to(&mut self, at: Timestamp) {
        self.accelerated = Some(self.accelerated.map_or(at, |before| before.min(at)));
    }

    /// The interval between regular heartbeats.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(self.interval.unsigned_abs())
    }

    pub(crate) fn next(&self) -> Timestamp {
        let regular = self.regular.map_or(Timestamp::NEVER, |k| self.at(k));
        self.accelerated.map_or(regular, |early| early.min(regular))
    }

    /// The next heartbeat, if it is before `end`.
    pub(crate) fn next_before(&self, end: Timestamp) -> Option<Timestamp> {
        let could_be = self.regular.is_some_and(|k| self.ideal(k) < end.as_millis());
        (could_be || self.accelerated.is_some()).then(|| self.next()).filter(|next| *next < end)
    }

    /// Skips the regular heartbeats before `end`, at most `most`, as if each had begun, and returns them; none if an
    /// early one is due, or jitter could bring two of them together.
    pub(crate) fn skip(&mut self, end: Timestamp, most: u64) -> Option<Row> {
        let first = self.regular.filter(|_| self.accelerated.is_none() && self.jitter_percent < 100)?;
        let count = (self.count_before(end) - first).min(i64::try_from(most).unwrap_or(i64::MAX));
        if count <= 0 {
            return None;
        }
        self.regular = Some(first + count);
        Some(Row { schedule: *self, first, count })
    }

    /// The number of heartbeats of the series before this moment.
    fn count_before(&self, end: Timestamp) -> i64 {
        let before = end.as_millis().saturating_sub(self.anchor.as_millis()) - 1;
        if before < 0 {
            return 0;
        }
        // Only the last heartbeat that is due can be delayed beyond the end.
        let last = before / self.interval;
        last + i64::from(!self.is_after(last, Timestamp::from_millis(end.as_millis() - 1)))
    }

    /// Whether the k-th heartbeat is after this moment; the jitter is drawn only if it could decide that.
    fn is_after(&self, k: i64, now: Timestamp) -> bool {
        let late = now.as_millis() - self.ideal(k);
        late < 0 || (late < self.most_jitter() && self.at(k) > now)
    }

    fn ideal(&self, k: i64) -> i64 {
        self.anchor.as_millis().saturating_add(self.interval.saturating_mul(k))
    }

    fn most_jitter(&self) -> i64 {
        self.interval / 100 * i64::from(self.jitter_percent)
    }

    fn at(&self, k: i64) -> Timestamp {
        let jitter = match k {
            0 => 0,
            _ => self.draw(k.unsigned_abs(), self.most_jitter().unsigned_abs()),
        };
        Timestamp::from_millis(self.ideal(k).saturating_add_unsigned(jitter))
    }

    /// Draws a number from 0 to `most` with a keyed hash: the same for the same question.
    fn draw(&self, question: u64, most: u64) -> u64 {
        draw(self.seed, self.anchor.as_millis().unsigned_abs(), question, most)
    }
}

/// Regular heartbeats that were skipped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    schedule: Schedule,
    first: i64,
    count: i64,
}

impl Row {
    /// The number of heartbeats.
    pub(crate) fn count(&self) -> u64 {
        self.count.unsigned_abs()
    }

    /// The times of the heartbeats.
    pub(crate) fn moments(&self) -> impl Iterator<Item = Timestamp> {
        (self.first..self.first + self.count).map(|k| self.schedule.at(k))
    }

    /// The number of heartbeats before this moment.
    pub(crate) fn before(&self, end: Timestamp) -> u64 {
        (self.schedule.count_before(end) - self.first).clamp(0, self.count).unsigned_abs()
    }

    /// The time of the last heartbeat.
    pub(crate) fn last(&self) -> Timestamp {
        self.schedule.at(self.first + self.count - 1)
    }
}

fn millis(interval: Duration) -> i64 {
    i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// Draws a number from 0 to `most` that depends only on these three arguments. The generator is SipHash-2-4.
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
    fn heartbeats_that_are_passed_over_are_those_that_would_have_been_played() {
        for seed in 0..50 {
            let mut played = Schedule::new(seed, 10);
            played.restart(INTERVAL, Timestamp::from_seconds(seed as i64 * 7));
            played.begun(INTERVAL, played.next());
            let mut skipped = played;
            let end = Timestamp::from_millis(100_000_000 + seed as i64 * 12_345);
            let mut moments = Vec::new();
            while played.next() < end {
                moments.push(played.next());
                played.begun(INTERVAL, played.next());
            }
            let row = skipped.skip(end, u64::MAX).unwrap();
            assert_eq!(row.moments().collect::<Vec<_>>(), moments);
            assert_eq!((row.count(), row.last()), (moments.len() as u64, moments[moments.len() - 1]));
            assert_eq!(skipped.next(), played.next());
            for cut in [moments[0], moments[7], moments[9] + Duration::from_millis(1), end] {
                assert_eq!(row.before(cut), moments.iter().filter(|at| **at < cut).count() as u64, "{cut}");
            }
        }
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
