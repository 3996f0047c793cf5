//! The clock of a lab over sockets: real time from a start, at a speed, or standing still.
//!
//! A clock with a hold also stands for a while after each change of the site, so that a slow tool leaves its clients no
//! more heartbeats between two changes than a fast one.
//!
//! The date of the machine is read once, at the start. From then on only [`Uptime`] counts, so that a date that is set
//! back or forward changes nothing.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use epm_protocol::time::{Clock, Timestamp};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::watch;

use super::sleepers::Sleepers;
use super::uptime::{Gaps, Uptime};

/// The clock of a lab. Everything in the lab shares one, so that moving it moves everything.
#[derive(Debug)]
pub struct LabClock {
    started: Instant,
    shared: Arc<Shared>,
    /// Held for writing while the clock is set, and what depends on it with it.
    setting: RwLock<()>,
}

/// The part of a clock that the thread which reads it shares.
#[derive(Debug)]
struct Shared {
    rate: Mutex<Rate>,
    sleepers: Sleepers,
    /// Changes whenever the speed may have changed.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Rate {
    uptime: Uptime,
    lab: Timestamp,
    /// Uptime at which the clock showed `lab`.
    real: Duration,
    speed: u32,
    /// How often the clock was set back.
    set_back: u64,
    /// How long the clock stands after a change of the site; zero without a hold.
    hold: Duration,
    /// Uptime until which the clock stands, whatever its speed.
    held_until: Duration,
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

    /// Makes a clock that shows `start` now and runs `speed` times as fast as real time; 0 stops it. The clock stands
    /// while the machine is suspended or the process stopped, since nothing in the lab can act then.
    pub fn starting_at(start: Timestamp, speed: u32) -> Self {
        Self::with(Uptime::new(machine_time, Gaps::Stand), start, speed)
    }

    /// Makes a clock that shows real time and goes on while the machine is suspended or the process stopped: the clock
    /// of a program that meets managers on other machines, whose dates have gone on.
    pub fn of_one_client() -> Self {
        Self::going_on_from(wall_time(), 1)
    }

    /// Makes a clock that shows `start` now, runs `speed` times as fast as real time, and goes on while the machine is suspended or
    /// the process stopped: the clock of one of several processes, of which the others have gone on.
    pub fn going_on_from(start: Timestamp, speed: u32) -> Self {
        Self::with(Uptime::new(machine_time, Gaps::Pass), start, speed)
    }

    fn with(mut uptime: Uptime, lab: Timestamp, speed: u32) -> Self {
        let now = uptime.read();
        let (hold, ran) = (Duration::ZERO, Duration::ZERO);
        let rate = Rate { uptime, lab, real: now, speed, set_back: 0, hold, held_until: now, ran };
        let sleepers = Sleepers::default();
        let shared = Shared { rate: Mutex::new(rate), sleepers, changed: watch::Sender::new(()) };
        Self { started: real_time(), shared: Arc::new(shared), setting: RwLock::new(()) }
    }

    /// Makes a clock that shows real time now and runs `speed` times as fast.
    pub fn wall_at_speed(speed: u32) -> Self {
        Self::starting_at(wall_time(), speed)
    }

    /// Moves the clock to `moment`, from where it runs at its speed. Wakes what sleeps until then.
    pub fn set(&self, moment: Timestamp) {
        self.change(|rate, _| rate.lab = moment);
    }

    /// Sets the clock, and what depends on it with it: `dependents` gets the present time. A reader that compares with the clock while
    /// holding the lock of `steady` sees both or neither.
    pub fn set_with(&self, moment: Timestamp, dependents: impl FnOnce(Timestamp)) {
        let _setting = self.setting.write();
        dependents(self.now());
        self.set(moment);
    }

    /// While this is held, the clock is not set by [`Self::set_with`].
    pub(super) fn steady(&self) -> RwLockReadGuard<'_, ()> {
        self.setting.read()
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.change(|rate, _| rate.lab = rate.lab + by);
    }

    /// The speed of the clock as a multiple of real time; 0 if it is stopped. A held clock keeps its speed.
    pub fn speed(&self) -> u32 {
        self.shared.rate.lock().speed
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
        let mut rate = self.shared.rate.lock();
        let real = rate.uptime.read();
        rate.held_until.saturating_sub(real)
    }

    /// Holds the clock from now on, as the site has changed. Does nothing without a hold.
    pub fn site_changed(&self) -> ClockReading {
        let mut rate = self.shared.rate.lock();
        let real = rate.uptime.read();
        // What sleeps wakes too early, and sleeps again.
        rate.settle(real);
        rate.held_until = rate.held_until.max(real + rate.hold);
        self.reading(&rate, real)
    }

    /// Reads the clock.
    pub fn read(&self) -> ClockReading {
        let mut rate = self.shared.rate.lock();
        let real = rate.uptime.read();
        self.reading(&rate, real)
    }

    /// Waits until the clock shows `moment`, whether it runs or is moved there.
    pub async fn sleep_until(&self, moment: Timestamp) {
        while !self.sleep_or_set_back(moment).await {}
    }

    /// Waits until the clock shows `moment` or is set back. Returns whether it shows `moment`.
    pub async fn sleep_or_set_back(&self, moment: Timestamp) -> bool {
        self.shared.keep_reading();
        let mut first = None;
        let sleeper = self.shared.sleepers.enter(moment);
        loop {
            let (now, speed, held, set_back) = self.shared.rate.lock().read_for_sleep();
            let left = moment.since(now);
            if moment != Timestamp::NEVER && left.is_zero() {
                return true;
            }
            if *first.get_or_insert(set_back) != set_back {
                return false;
            }
            if speed == 0 || moment == Timestamp::NEVER {
                sleeper.woken().await;
                continue;
            }
            let real = held.saturating_add(left / speed) + Duration::from_millis(1);
            tokio::select! {
                () = real_sleep(real) => {}
                () = sleeper.woken() => {}
            }
        }
    }

    /// How often the clock was set back.
    pub(super) fn times_set_back(&self) -> u64 {
        self.shared.rate.lock().set_back
    }

    /// Waits until the clock is stopped.
    pub async fn stands(&self) {
        let mut changed = self.shared.changed.subscribe();
        while self.speed() != 0 {
            let _ = changed.changed().await;
        }
    }

    fn reading(&self, rate: &Rate, real: Duration) -> ClockReading {
        ClockReading {
            now: rate.now(real),
            real: real_time().saturating_duration_since(self.started),
            ran: rate.ran + rate.running(real),
            hold: rate.hold,
        }
    }

    fn change(&self, with: impl FnOnce(&mut Rate, Duration)) {
        let (before, after) = {
            let mut rate = self.shared.rate.lock();
            let real = rate.uptime.read();
            rate.settle(real);
            let before = (rate.lab, rate.speed);
            with(&mut rate, real);
            rate.set_back += u64::from(rate.lab < before.0);
            (before, (rate.lab, rate.speed))
        };
        if (before.1, after.1) == (0, 0) && before.0 <= after.0 {
            self.shared.sleepers.wake_due(after.0);
        } else {
            self.shared.sleepers.wake_all();
        }
        let _ = self.shared.changed.send(());
    }
}

impl Shared {
    /// Begins to read the clock regularly, unless something does: gaps are found by readings that are missing.
    fn keep_reading(self: &Arc<Self>) {
        if self.rate.lock().uptime.is_read(true) {
            return;
        }
        let clock = Arc::downgrade(self);
        let read = move || {
            let mut latest = real_time();
            loop {
                real_pause(Gaps::TICK);
                let Some(clock) = clock.upgrade() else { return };
                let now = real_time();
                clock.tick(now < latest);
                latest = latest.max(now);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("clock".to_owned()).spawn(read) {
            tracing::warn!(%error, "cannot start the thread of the clock: a suspended machine will not be noticed");
            self.rate.lock().uptime.is_read(false);
        }
    }

    /// Reads the clock, and wakes what sleeps where its timers cannot: timers do not count the time of a suspended
    /// machine, and wait for hours where the time that they are measured by, `are_late`, was set back.
    fn tick(&self, are_late: bool) {
        let (gap, gaps) = {
            let mut rate = self.rate.lock();
            rate.uptime.read();
            rate.uptime.take_gap()
        };
        if let Some(gap) = gap {
            let stood = gap.as_secs();
            match gaps {
                Gaps::Stand => tracing::warn!(
                    "the machine was suspended or the process stopped for {stood} s: lab time stood meanwhile"
                ),
                Gaps::Pass => tracing::warn!(
                    "the machine was suspended or the process stopped for {stood} s: heartbeats that were due come now"
                ),
            }
        }
        if are_late || gap.is_some() {
            self.sleepers.wake_all();
        }
    }
}

/// The date and time of the machine.
pub fn machine_date() -> Timestamp {
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

/// Waits for a time of the machine, whatever lab time does. No decision of the lab may depend on it.
pub async fn wait(time: Duration) {
    real_sleep(time).await;
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
        self.shared.rate.lock().read_for_sleep().0
    }
}

impl Rate {
    fn now(&self, real: Duration) -> Timestamp {
        self.lab + self.running(real) * self.speed
    }

    /// Reads the lab time, the speed, for how long the clock still stands, and how often it was set back.
    fn read_for_sleep(&mut self) -> (Timestamp, u32, Duration, u64) {
        let real = self.uptime.read();
        (self.now(real), self.speed, self.held_until.saturating_sub(real), self.set_back)
    }

    /// Real time for which the clock has run since `self.real`.
    fn running(&self, real: Duration) -> Duration {
        let since = self.real.max(self.held_until);
        if self.speed == 0 { Duration::ZERO } else { real.saturating_sub(since) }
    }

    /// Continues from this moment.
    fn settle(&mut self, real: Duration) {
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

/// The time since the machine was booted, with that for which it was suspended.
#[cfg(target_os = "linux")]
fn machine_time() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Boottime)).unwrap_or_default()
}

/// The time since the first reading. The system decides whether that of a suspended machine counts.
#[cfg(not(target_os = "linux"))]
fn machine_time() -> Duration {
    static FIRST: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let now = real_time();
    now.saturating_duration_since(*FIRST.get_or_init(|| now))
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn wall_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH + since
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn real_pause(time: Duration) {
    std::thread::sleep(time);
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
    async fn a_clock_that_is_set_back_wakes_what_slept_while_it_went_forward() {
        let start = Timestamp::from_seconds(1_000_000);
        let clock = Arc::new(LabClock::starting_at(start, 0));
        let sleeper = tokio::spawn({
            let clock = Arc::clone(&clock);
            async move { clock.sleep_or_set_back(start + Duration::from_secs(100)).await }
        });
        while clock.shared.sleepers.count() == 0 {
            tokio::task::yield_now().await;
        }
        clock.set(start + Duration::from_secs(50));
        clock.set(start + Duration::from_secs(20));
        assert!(!sleeper.await.unwrap(), "the clock was set back, though not before the sleep began");
    }

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

    /// A counter of a machine that the test moves, and its readings.
    fn counter() -> (Arc<Mutex<Duration>>, impl Fn() -> Duration + Send + Sync + 'static) {
        let counter = Arc::new(Mutex::new(Duration::from_secs(90_000)));
        let read = Arc::clone(&counter);
        (counter, move || *read.lock())
    }

    #[tokio::test]
    async fn a_machine_whose_clock_jumps_delays_nothing_and_moves_no_lab() {
        let (seconds, start) = (Duration::from_secs, Timestamp::from_seconds(0));
        let (counter, read) = counter();
        let clock = LabClock::with(Uptime::new(read, Gaps::Stand), start, 1);
        // Starts the regular readings, as everything that waits does.
        clock.sleep_until(start).await;
        *counter.lock() += seconds(3);
        assert_eq!(clock.now(), start + seconds(3));
        *counter.lock() -= seconds(3 * 3600);
        assert_eq!(clock.now(), start + seconds(3), "set back");
        *counter.lock() += seconds(4);
        assert_eq!(clock.now(), start + seconds(7), "it goes on from where it was");
        *counter.lock() += seconds(8 * 3600);
        assert!(clock.now() <= start + seconds(12), "suspended: {}", clock.now());
    }

    #[tokio::test]
    async fn what_waits_wakes_when_time_has_passed_that_no_timer_counts() {
        let (counter, read) = counter();
        let clock = Arc::new(LabClock::with(Uptime::new(read, Gaps::Pass), Timestamp::EPOCH, 1));
        let hour = Timestamp::EPOCH + Duration::from_secs(3600);
        let sleeper = tokio::spawn({
            let clock = Arc::clone(&clock);
            async move { clock.sleep_until(hour).await }
        });
        while clock.shared.sleepers.count() == 0 {
            tokio::task::yield_now().await;
        }
        clock.now();
        *counter.lock() += Duration::from_secs(7200);
        let limit = tokio::time::timeout(Duration::from_secs(60), sleeper);
        assert!(limit.await.is_ok() && clock.now() >= hour);
    }

    #[tokio::test]
    async fn who_waits_for_a_moment_learns_that_the_clock_is_set_back() {
        let start = Timestamp::from_seconds(1_000_000);
        let clock = LabClock::starting_at(start, 0);
        let setting = async { clock.set(start - Duration::from_secs(3600)) };
        let (shown, ()) = tokio::join!(clock.sleep_or_set_back(start + Duration::from_secs(1)), setting);
        assert!(!shown);
    }
}
