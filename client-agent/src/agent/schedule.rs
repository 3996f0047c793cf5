//! When a client wakes: regular heartbeats, and an early one after a change.

use std::hash::Hasher;
use std::time::Duration;

use epm_protocol::assumption::Assumptions;
use epm_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

/// The duration of uninterrupted contact after which a client consults its list again [C S12].
pub(super) const STICKY_FOR: Duration = Duration::from_secs(24 * 3600);

/// The time within which the next heartbeat follows after a change [C S14].
const ACCELERATED_WITHIN_MS: u64 = 60_000;

/// A decision about the next heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    /// The machine was booted: starts a new series of heartbeats at this interval, the first one now.
    Restart(Duration),
    /// Schedules nothing more until the next restart.
    Stop,
    /// A heartbeat has begun; regular ones follow at this interval.
    Begun(Duration),
    /// A heartbeat has changed what the client holds; regular ones follow at this interval.
    Adopted(Duration),
    /// A connection that the client wanted to keep has ended: schedule an early heartbeat.
    Accelerate,
    /// The next heartbeat is now.
    Now,
}

/// The times in a client's schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScheduleTimes {
    anchor: Timestamp,
    /// The number of the next regular heartbeat; [`NO_NUMBER`] if none.
    regular: i64,
    /// The early heartbeat; never if none.
    accelerated: Timestamp,
    /// The beginning of the last heartbeat, or of the series.
    pub(super) last: Timestamp,
}

/// The number of a heartbeat that is not planned.
const NO_NUMBER: i64 = i64::MIN;

/// The schedule of a client's heartbeats.
///
/// The k-th regular heartbeat is at `anchor + k * interval + jitter(k)`. The anchor is the boot of the machine, so
/// clients keep their phases when the interval changes. The jitter does not accumulate, and depends on nothing but the
/// client's seed, the anchor and k, so any heartbeat can be computed without those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    seed: u64,
    jitter_percent: u8,
    /// Whether a new interval keeps the anchor; if not, the anchor moves to the heartbeat that brings the interval.
    keeps_phase: bool,
    anchor: Timestamp,
    /// The interval in milliseconds, at least 1.
    interval: i64,
    /// The number of the next regular heartbeat; none until the next restart.
    regular: Option<i64>,
    accelerated: Option<Timestamp>,
    /// The beginning of the last heartbeat, or of the series.
    last: Timestamp,
    catching_up: CatchingUp,
}

/// The progress of the first heartbeat of a client whose machine was booted before the client's start.
///
/// Such a client has been in operation for some time. Its first heartbeat brings it up to date: no early heartbeat follows,
/// and the contact with its server counts as begun before the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CatchingUp {
    ToCome,
    UnderWay,
    /// The first heartbeat is over, or the machine was booted at the start.
    Over,
}

/// A schedule outside of its process. Seed and jitter follow from the client and the assumptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptSchedule {
    anchor: Timestamp,
    interval: i64,
    regular: Option<i64>,
    accelerated: Option<Timestamp>,
    /// Absent where an earlier version has kept it.
    #[serde(default)]
    last: Option<Timestamp>,
    catching_up: CatchingUp,
}

impl Schedule {
    /// What is kept of the schedule.
    pub(super) const fn keep(&self) -> KeptSchedule {
        let Self { anchor, interval, regular, accelerated, last, catching_up, .. } = *self;
        KeptSchedule { anchor, interval, regular, accelerated, last: Some(last), catching_up }
    }

    /// Continues a schedule that was kept at `then`. The time until `now` is none in which the client could have begun a heartbeat.
    pub(super) fn go_on(&mut self, kept: &KeptSchedule, then: Timestamp, now: Timestamp) {
        let KeptSchedule { anchor, interval, regular, accelerated, last, catching_up } = *kept;
        let last = now - then.since(last.unwrap_or(then));
        *self = Self { anchor, interval: interval.max(1), regular, accelerated, last, catching_up, ..*self };
    }

    pub(crate) fn new(seed: u64, assumptions: &Assumptions) -> Self {
        Self {
            seed,
            jitter_percent: assumptions.heartbeat_jitter_percent.min(100),
            keeps_phase: assumptions.new_interval_keeps_phase,
            anchor: Timestamp::EPOCH,
            interval: 300_000,
            regular: None,
            accelerated: None,
            last: Timestamp::EPOCH,
            catching_up: CatchingUp::Over,
        }
    }

    /// Replaces the assumptions about heartbeats.
    pub(crate) fn assume(&mut self, assumptions: &Assumptions) {
        self.jitter_percent = assumptions.heartbeat_jitter_percent.min(100);
        self.keeps_phase = assumptions.new_interval_keeps_phase;
    }

    /// Sets the seed of the random delays.
    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Takes the times out of the schedule; what is left is equal for many clients.
    pub(super) fn take_times(&mut self) -> ScheduleTimes {
        let times = ScheduleTimes {
            anchor: self.anchor,
            regular: self.regular.unwrap_or(NO_NUMBER),
            accelerated: self.accelerated.unwrap_or(Timestamp::NEVER),
            last: self.last,
        };
        self.set_times(ScheduleTimes {
            anchor: Timestamp::EPOCH,
            regular: NO_NUMBER,
            accelerated: Timestamp::NEVER,
            last: Timestamp::EPOCH,
        });
        times
    }

    /// Sets the times of the schedule.
    pub(super) fn set_times(&mut self, times: ScheduleTimes) {
        (self.anchor, self.last) = (times.anchor, times.last);
        self.regular = Some(times.regular).filter(|number| *number != NO_NUMBER);
        self.accelerated = Some(times.accelerated).filter(|at| *at != Timestamp::NEVER);
    }

    /// Applies a decision.
    pub(crate) fn take(&mut self, timing: Timing, now: Timestamp) {
        match timing {
            Timing::Restart(interval) => self.restart(interval, now),
            Timing::Stop => self.stop(),
            Timing::Begun(interval) => self.begun(interval, now),
            Timing::Adopted(interval) => self.adopted(interval, now),
            Timing::Accelerate => self.accelerate(now),
            Timing::Now => self.accelerate_to(now),
        }
    }

    /// Starts a new series of heartbeats, the first one now.
    fn restart(&mut self, interval: Duration, now: Timestamp) {
        self.anchor = now;
        self.interval = millis(interval);
        self.regular = Some(self.first_after(now));
        self.accelerated = Some(now);
        self.last = now;
        self.catching_up = CatchingUp::Over;
    }

    /// Moves the start of the series to the boot of the machine, if that was before the client's start at `now`.
    pub(crate) fn was_booted(&mut self, booted: Timestamp, now: Timestamp) {
        if booted < now {
            self.anchor = booted;
            self.regular = Some(self.first_after(now));
            self.catching_up = CatchingUp::ToCome;
        }
    }

    /// Schedules nothing more until the next restart.
    fn stop(&mut self) {
        self.regular = None;
        self.accelerated = None;
    }

    /// Notes that a heartbeat has begun: the next regular one is the first after it.
    fn begun(&mut self, interval: Duration, now: Timestamp) {
        self.accelerated = None;
        self.last = now;
        self.catching_up = match self.catching_up {
            CatchingUp::ToCome => CatchingUp::UnderWay,
            CatchingUp::UnderWay | CatchingUp::Over => CatchingUp::Over,
        };
        self.set_interval(interval, now);
    }

    /// A heartbeat has changed what the client holds: schedules an early one.
    fn adopted(&mut self, interval: Duration, now: Timestamp) {
        self.set_interval(interval, now);
        if self.catching_up == CatchingUp::Over {
            self.accelerate(now);
        }
    }

    fn set_interval(&mut self, interval: Duration, now: Timestamp) {
        if millis(interval) != self.interval && !self.keeps_phase {
            self.anchor = now;
        }
        self.interval = millis(interval);
        self.regular = Some(self.first_after(now));
    }

    /// Continues after the clock was set from `then` to `now`: regular heartbeats keep their phase, and an early heartbeat
    /// stays as far ahead as it was.
    pub(crate) fn clock_moved(&mut self, then: Timestamp, now: Timestamp) {
        self.regular = self.regular.map(|_| self.first_after(now));
        self.accelerated = self.accelerated.map(|at| now + at.since(then));
        self.last = now - then.since(self.last);
    }

    /// Plans the next heartbeat anew where it lies further ahead than any plan reaches: the clock was set back.
    pub(crate) fn replan(&mut self, now: Timestamp) {
        self.accelerated =
            self.accelerated.map(|at| at.min(now + Duration::from_millis(ACCELERATED_WITHIN_MS)));
        if self.regular.is_some_and(|k| self.ideal(k) > now.as_millis().saturating_add(self.interval)) {
            self.regular = Some(self.first_after(now));
        }
        self.last = self.last.min(now);
    }

    /// The time since the last heartbeat began, or the series.
    pub(crate) fn quiet_for(&self, now: Timestamp) -> Duration {
        now.since(self.last)
    }

    /// The beginning of the contact with the server that serves the client now, for the first time since its start. In
    /// operation, contact begins anew once a day, when the client consults its list.
    pub(crate) fn contact_since(&self, now: Timestamp) -> Timestamp {
        match self.catching_up {
            CatchingUp::UnderWay => {
                let since_boot = now.since(self.anchor).as_millis() % STICKY_FOR.as_millis();
                now - Duration::from_millis(u64::try_from(since_boot).unwrap_or(0))
            }
            CatchingUp::ToCome | CatchingUp::Over => now,
        }
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

    /// The longest time between regular heartbeats.
    pub(super) fn longest_interval(&self) -> Duration {
        self.interval() + Duration::from_millis(self.most_jitter().unsigned_abs())
    }

    pub(crate) fn next(&self) -> Timestamp {
        let regular = self.regular.map_or(Timestamp::NEVER, |k| self.at(k));
        self.accelerated.map_or(regular, |early| early.min(regular))
    }

    /// The beginning of the last heartbeat, or of the series.
    pub(super) const fn last(&self) -> Timestamp {
        self.last
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
        let count = (self.first_from(end) - first).min(i64::try_from(most).unwrap_or(i64::MAX));
        if count <= 0 {
            return None;
        }
        self.regular = Some(first + count);
        self.last = self.at(first + count - 1);
        Some(Row { schedule: *self, first, count })
    }

    /// The number of the first heartbeat of the series after this moment.
    fn first_after(&self, now: Timestamp) -> i64 {
        // Only the last heartbeat that is due can be delayed beyond the moment.
        let last = now.as_millis().saturating_sub(self.anchor.as_millis()).div_euclid(self.interval);
        if self.is_after(last, now) { last } else { last + 1 }
    }

    /// The number of the first heartbeat of the series at or after this moment.
    fn first_from(&self, moment: Timestamp) -> i64 {
        self.first_after(Timestamp::from_millis(moment.as_millis().saturating_sub(1)))
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
        (self.schedule.first_from(end) - self.first).clamp(0, self.count).unsigned_abs()
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
    const HOUR: Duration = Duration::from_secs(3600);

    fn started(seed: u64, at: i64) -> Schedule {
        let mut schedule = Schedule::new(seed, &Assumptions::default());
        schedule.restart(INTERVAL, Timestamp::from_seconds(at));
        schedule.begun(INTERVAL, Timestamp::from_seconds(at));
        schedule
    }

    /// A client in operation whose machine was booted `before` seconds before the moment 10,000,000 s.
    fn in_operation(assumptions: &Assumptions, seed: u64, before: i64) -> Schedule {
        let mut schedule = Schedule::new(seed, assumptions);
        let now = Timestamp::from_seconds(10_000_000);
        schedule.restart(INTERVAL, now);
        schedule.was_booted(Timestamp::from_seconds(10_000_000 - before), now);
        assert_eq!(schedule.next(), now, "the first heartbeat comes at once");
        schedule.begun(INTERVAL, now);
        schedule.adopted(INTERVAL, now);
        schedule
    }

    #[test]
    fn the_first_heartbeat_is_at_once_and_the_next_ones_do_not_drift() {
        let mut schedule = Schedule::new(7, &Assumptions::default());
        schedule.restart(INTERVAL, Timestamp::from_seconds(1000));
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
        let (mut played, mut skipped) = (started(7, 0), started(7, 0));
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
            let mut played = started(seed, seed as i64 * 7);
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
        let mut schedule = started(7, 0);
        let regular = schedule.next();
        schedule.accelerate(Timestamp::from_seconds(1));
        assert!(schedule.next() <= Timestamp::from_seconds(61) && schedule.next() < regular);
        schedule.accelerate_to(regular + INTERVAL);
        assert!(schedule.next() <= Timestamp::from_seconds(61));
    }

    #[test]
    fn a_machine_booted_before_continues_its_series_after_the_first_heartbeat_and_without_an_early_one() {
        let schedule = in_operation(&Assumptions::default(), 7, 2 * 86_400 + 100);
        let next = schedule.next().as_seconds();
        assert!((10_000_200..=10_000_230).contains(&next), "576 heartbeats, and 200 s to the next: {next}");
    }

    #[test]
    fn an_early_heartbeat_follows_each_change_after_the_first_heartbeat() {
        let mut schedule = in_operation(&Assumptions::default(), 7, 86_400);
        let now = schedule.next();
        schedule.begun(HOUR, now);
        schedule.adopted(HOUR, now);
        assert!(schedule.next() <= now + Duration::from_millis(ACCELERATED_WITHIN_MS));
    }

    #[test]
    fn a_new_interval_keeps_the_phase_or_begins_a_series_as_assumed() {
        let minutes = |keeps: bool| {
            let assumptions = Assumptions { new_interval_keeps_phase: keeps, ..Assumptions::default() };
            let mut schedule = in_operation(&assumptions, 7, 1400);
            let now = schedule.next();
            schedule.begun(HOUR, now);
            schedule.next().since(now).as_secs() / 60
        };
        // The heartbeat that brings the new interval is the one 25 minutes after the machine was booted.
        assert!((34..42).contains(&minutes(true)), "{}", minutes(true));
        assert!((60..66).contains(&minutes(false)), "{}", minutes(false));
    }

    #[test]
    fn a_clock_that_is_moved_makes_no_heartbeat_due_and_puts_none_off() {
        let moved = [-40 * 86_400, -7200, 0, 1, 3 * 86_400];
        for (seed, by) in (0..).zip(moved) {
            let mut schedule = in_operation(&Assumptions::default(), seed, 86_400 + 137);
            let then = Timestamp::from_seconds(10_000_000);
            let now = Timestamp::from_seconds(10_000_000 + by);
            schedule.clock_moved(then, now);
            let next = schedule.next();
            assert!(next > now && next <= now + INTERVAL + INTERVAL / 10, "{by}: {next}");
            schedule.begun(INTERVAL, next);
            assert!(schedule.next().since(next) >= INTERVAL - INTERVAL / 10);
        }
    }

    #[test]
    fn a_heartbeat_further_ahead_than_any_plan_is_planned_anew() {
        for (back, is_moved) in [(0, false), (200, true), (3 * 3600, true), (400 * 86_400, true)] {
            let mut schedule = started(7, 1_000_000_000);
            schedule.accelerate(Timestamp::from_seconds(1_000_000_000));
            let (early, now) = (schedule.next(), Timestamp::from_seconds(1_000_000_000 - back));
            schedule.replan(now);
            assert!(schedule.next() <= early.min(now + Duration::from_secs(60)), "{back}");
            schedule.begun(INTERVAL, Timestamp::from_seconds(1_000_000_000));
            let regular = schedule.next();
            schedule.replan(now);
            assert_eq!(schedule.next() != regular, is_moved, "{back}");
            assert!(schedule.next() > now && schedule.next() <= now + 2 * INTERVAL, "{back}");
        }
    }

    #[test]
    fn the_contact_of_a_machine_booted_before_began_on_a_full_day_since_then() {
        let now = Timestamp::from_seconds(10_000_000);
        let first = in_operation(&Assumptions::default(), 7, 2 * 86_400 + 1000);
        assert_eq!(first.contact_since(now), now - Duration::from_secs(1000));
        let mut later = first;
        let at = later.next();
        later.begun(INTERVAL, at);
        assert_eq!(later.contact_since(at), at);
        assert_eq!(started(7, 5).contact_since(Timestamp::from_seconds(5)), Timestamp::from_seconds(5));
    }
}
