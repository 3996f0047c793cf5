//! The clock of a lab over sockets: real time from a start, at a speed, or standing still.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use epm_protocol::time::{Clock, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;

/// The clock of a lab. Everything in the lab shares one, so that moving it moves everything.
#[derive(Debug)]
pub struct LabClock {
    rate: Mutex<Rate>,
    moved: watch::Sender<()>,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    lab: Timestamp,
    real: Instant,
    speed: u32,
}

impl LabClock {
    /// Makes a clock that shows real time.
    pub fn wall() -> Self {
        Self::starting_at(wall_time(), 1)
    }

    /// Makes a clock that shows `start` now and runs `speed` times as fast as real time; 0 stops it.
    pub fn starting_at(start: Timestamp, speed: u32) -> Self {
        let rate = Rate { lab: start, real: real_time(), speed };
        Self { rate: Mutex::new(rate), moved: watch::Sender::new(()) }
    }

    /// Makes a clock that shows real time now and runs `speed` times as fast.
    pub fn wall_at_speed(speed: u32) -> Self {
        Self::starting_at(wall_time(), speed)
    }

    /// Moves the clock to `moment`, from where it runs at its speed. Wakes what sleeps until then.
    pub fn set(&self, moment: Timestamp) {
        self.change(|rate| rate.lab = moment);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.change(|rate| rate.lab = rate.lab + by);
    }

    /// The speed of the clock as a multiple of real time; 0 if it is stopped.
    pub fn speed(&self) -> u32 {
        self.read().speed
    }

    /// Sets the speed of the clock; 0 stops it.
    pub fn set_speed(&self, speed: u32) {
        self.change(|rate| rate.speed = speed);
    }

    /// Waits until the clock shows `moment`, whether it runs or is moved there.
    pub async fn sleep_until(&self, moment: Timestamp) {
        let mut moved = self.moved.subscribe();
        loop {
            let rate = self.read();
            let left = moment.since(rate.now());
            if moment != Timestamp::NEVER && left.is_zero() {
                return;
            }
            if rate.speed == 0 || moment == Timestamp::NEVER {
                let _ = moved.changed().await;
                continue;
            }
            let real = left / rate.speed + Duration::from_millis(1);
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

    fn read(&self) -> Rate {
        *self.rate.lock()
    }

    fn change(&self, with: impl FnOnce(&mut Rate)) {
        {
            let mut rate = self.rate.lock();
            rate.lab = rate.now();
            rate.real = real_time();
            with(&mut rate);
        }
        let _ = self.moved.send(());
    }
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

impl Clock for LabClock {
    fn now(&self) -> Timestamp {
        self.read().now()
    }
}

impl Rate {
    fn now(&self) -> Timestamp {
        self.lab + real_time().saturating_duration_since(self.real) * self.speed
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
    async fn a_fast_clock_passes_an_hour_in_a_moment() {
        let start = Timestamp::from_seconds(0);
        let clock = LabClock::starting_at(start, 1_000_000);
        clock.sleep_until(start + Duration::from_secs(3600)).await;
        assert!(clock.now() >= start + Duration::from_secs(3600));
    }
}
