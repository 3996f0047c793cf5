//! The clock of a lab over sockets: real time from a start, at a speed, or standing still.
//!
//! A clock with a hold also stands for a while after each change of the site, so that a slow tool leaves its clients no
//! more heartbeats between two changes than a fast one.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use epm_protocol::time::{Clock, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;

/// The clock of a lab. Everything in the lab shares one, so that moving it moves everything.
#[derive(Debug)]
pub struct LabClock {
    started: Instant,
    rate: Mutex<Rate>,
    moved: watch::Sender<()>,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    lab: Timestamp,
    /// Real time at which the clock showed `lab`.
    real: Instant,
    speed: u32,
    /// How long the clock stands after a change of the site; zero without a hold.
    hold: Duration,
    /// Real time until which the clock stands, whatever its speed.
    held_until: Instant,
    /// Real time for which the clock has run until `real`.
    ran: Duration,
}

/// A reading of a lab's clock and of the machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// Lab time at the moment of the reading.
    pub now: Timestamp,
    /// Real time since the clock was made.
    pub real: Duration,
    /// Real time for which the clock has run: neither stopped, nor held, nor moved by hand.
    pub ran: Duration,
    /// How long the clock stands after a change of the site; zero without a hold.
    pub hold: Duration,
}

impl LabClock {
    /// Makes a clock that shows real time.
    pub fn wall() -> Self {
        Self::starting_at(wall_time(), 1)
    }

    /// Makes a clock that shows `start` now and runs `speed` times as fast as real time; 0 stops it.
    pub fn starting_at(start: Timestamp, speed: u32) -> Self {
        let now = real_time();
        let (hold, ran) = (Duration::ZERO, Duration::ZERO);
        let rate = Rate { lab: start, real: now, speed, hold, held_until: now, ran };
        Self { started: now, rate: Mutex::new(rate), moved: watch::Sender::new(()) }
    }

    /// Makes a clock that shows real time now and runs `speed` times as fast.
    pub fn wall_at_speed(speed: u32) -> Self {
        Self::starting_at(wall_time(), speed)
    }

    /// Moves the clock to `moment`, from where it runs at its speed. Wakes what sleeps until then.
    pub fn set(&self, moment: Timestamp) {
        self.change(|rate, _| rate.lab = moment);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.change(|rate, _| rate.lab = rate.lab + by);
    }

    /// The speed of the clock as a multiple of real time; 0 if it is stopped. A held clock keeps its speed.
    pub fn speed(&self) -> u32 {
        self.rate.lock().speed
    }

    /// Sets the speed of the clock; 0 stops it. A held clock runs on at once.
    pub fn set_speed(&self, speed: u32) {
        self.change(|rate, real| {
            rate.speed = speed;
            rate.held_until = real;
        });
    }

    /// Stops the clock until the guard is dropped; then it has its speed again, and stands as long as it would have.
    #[must_use = "the clock runs on when the guard is dropped"]
    pub fn halt(&self) -> Halted<'_> {
        let speed = self.speed();
        self.change(|rate, _| rate.speed = 0);
        Halted { clock: self, speed }
    }

    /// Sets how long the clock stands after a change of the site; zero ends the hold.
    pub fn set_hold(&self, hold: Duration) {
        self.change(|rate, real| {
            rate.hold = hold;
            rate.held_until = rate.held_until.min(real + hold);
        });
    }

    /// How long the clock still stands after the last change of the site.
    pub fn held_for(&self) -> Duration {
        self.rate.lock().held_until.saturating_duration_since(real_time())
    }

    /// Holds the clock from now on, as the site has changed. Does nothing without a hold.
    pub fn site_changed(&self) -> ClockReading {
        let mut rate = self.rate.lock();
        let real = real_time();
        // What sleeps wakes too early, and sleeps again.
        rate.settle(real);
        rate.held_until = rate.held_until.max(real + rate.hold);
        self.reading(&rate, real)
    }

    /// Reads the clock.
    pub fn read(&self) -> ClockReading {
        let rate = *self.rate.lock();
        self.reading(&rate, real_time())
    }

    /// Waits until the clock shows `moment`, whether it runs or is moved there.
    pub async fn sleep_until(&self, moment: Timestamp) {
        let mut moved = self.moved.subscribe();
        loop {
            let (rate, real) = (*self.rate.lock(), real_time());
            let left = moment.since(rate.now(real));
            if moment != Timestamp::NEVER && left.is_zero() {
                return;
            }
            if rate.speed == 0 || moment == Timestamp::NEVER {
                let _ = moved.changed().await;
                continue;
            }
            let held = rate.held_until.saturating_duration_since(real);
            let real = held.saturating_add(left / rate.speed) + Duration::from_millis(1);
            tokio::select! {
                () = real_sleep(real) => {}
                _ = moved.changed() => {}
            }
        }
    }

    /// Waits until the clock is stopped.
    pub async fn stands(&self) {
        let mut moved = self.moved.subscribe();
        while self.speed() != 0 {
            let _ = moved.changed().await;
        }
    }

    fn reading(&self, rate: &Rate, real: Instant) -> ClockReading {
        ClockReading {
            now: rate.now(real),
            real: real.saturating_duration_since(self.started),
            ran: rate.ran + rate.running(real),
            hold: rate.hold,
        }
    }

    fn change(&self, with: impl FnOnce(&mut Rate, Instant)) {
        {
            let mut rate = self.rate.lock();
            let real = real_time();
            rate.settle(real);
            with(&mut rate, real);
        }
        let _ = self.moved.send(());
    }
}

/// Waits this long in real time, whatever the lab's clock shows.
pub async fn real_pause(time: Duration) {
    real_sleep(time).await;
}

/// The time of the machine's clock.
pub fn machine_time() -> Timestamp {
    wall_time()
}

/// Measures real time, for the record: no decision may depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins to measure.
    pub fn start() -> Self {
        Self(real_time())
    }

    /// The real time since the beginning.
    pub fn elapsed(self) -> Duration {
        real_time().saturating_duration_since(self.0)
    }
}

/// Keeps a clock stopped until it is dropped.
#[derive(Debug)]
pub struct Halted<'a> {
    clock: &'a LabClock,
    speed: u32,
}

impl Drop for Halted<'_> {
    fn drop(&mut self) {
        self.clock.change(|rate, _| rate.speed = self.speed);
    }
}

impl Clock for LabClock {
    fn now(&self) -> Timestamp {
        let rate = *self.rate.lock();
        rate.now(real_time())
    }
}

impl Rate {
    fn now(&self, real: Instant) -> Timestamp {
        self.lab + self.running(real) * self.speed
    }

    /// Real time for which the clock has run since `self.real`.
    fn running(&self, real: Instant) -> Duration {
        let since = self.real.max(self.held_until);
        if self.speed == 0 { Duration::ZERO } else { real.saturating_duration_since(since) }
    }

    /// Continues from this moment.
    fn settle(&mut self, real: Instant) {
        let running = self.running(real);
        self.lab = self.lab + running * self.speed;
        self.ran += running;
        self.real = self.real.max(real);
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn real_time() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn wall_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH + since
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn real_sleep(time: Duration) -> tokio::time::Sleep {
    tokio::time::sleep(time)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn who_sleeps_wakes_when_the_clock_is_moved_past_his_hour() {
        let start = Timestamp::from_seconds(1_000_000);
        let clock = Arc::new(LabClock::starting_at(start, 0));
        let sleeper = tokio::spawn({
            let clock = Arc::clone(&clock);
            async move {
                clock.sleep_until(start + Duration::from_secs(90 * 86_400)).await;
                clock.now()
            }
        });
        clock.advance(Duration::from_secs(89 * 86_400));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(86_400));
        assert_eq!(sleeper.await.unwrap(), start + Duration::from_secs(90 * 86_400));
    }

    #[tokio::test]
    async fn a_held_clock_stands_after_each_change_and_then_runs_at_its_speed() {
        let start = Timestamp::from_seconds(0);
        let clock = LabClock::starting_at(start, 1_000_000);
        clock.set_hold(Duration::from_secs(3600));
        let at = clock.site_changed().now;
        assert_eq!((clock.site_changed().now, clock.now(), clock.speed()), (at, at, 1_000_000));
        let ran = clock.read().ran;
        {
            let _halted = clock.halt();
            clock.advance(Duration::from_secs(60));
            clock.site_changed();
        }
        // An advanced clock stands again, and has not run.
        assert_eq!((clock.now(), clock.read().ran), (at + Duration::from_secs(60), ran));
        assert!(clock.held_for() > Duration::from_secs(3500));
        clock.set_hold(Duration::from_millis(5));
        clock.sleep_until(clock.now() + Duration::from_secs(3600)).await;
        assert!(clock.read().ran > ran && clock.held_for().is_zero());
    }

    #[test]
    fn a_speed_that_is_set_ends_a_hold_and_a_stopped_clock_stays_stopped() {
        let clock = LabClock::starting_at(Timestamp::from_seconds(0), 3);
        clock.set_hold(Duration::from_secs(3600));
        clock.site_changed();
        clock.set_speed(2);
        assert!(clock.held_for().is_zero());
        clock.set_speed(0);
        let at = clock.now();
        clock.set_hold(Duration::ZERO);
        assert_eq!((clock.site_changed().now, clock.now(), clock.speed()), (at, at, 0));
    }

    #[tokio::test]
    async fn a_fast_clock_passes_an_hour_in_a_moment() {
        let start = Timestamp::from_seconds(0);
        let clock = LabClock::starting_at(start, 1_000_000);
        clock.sleep_until(start + Duration::from_secs(3600)).await;
        assert!(clock.now() >= start + Duration::from_secs(3600));
    }
}
