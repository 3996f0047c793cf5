//! The real time for which a process has run: it never goes back, and gaps in it are found.
//!
//! The machine's own counters can jump: that of a virtual machine that was paused, that of a suspended machine, and the one
//! of a process that was stopped, which goes on meanwhile. A counter that goes back would delay everything that waits
//! for a later time. Here only steps between two readings count: one that leads back counts nothing.

use std::fmt;
use std::time::Duration;

/// What becomes of time during which nothing read the counter, because the machine or the process stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gaps {
    /// The time does not count.
    Stand,
    /// The time counts.
    Pass,
}

impl Gaps {
    /// The time between two regular readings.
    pub(super) const TICK: Duration = Duration::from_secs(1);
    /// The longest step that a busy machine explains; the rest of a longer one is a gap.
    const LONGEST_STEP: Duration = Duration::from_secs(5);
}

/// The real time for which a process has run.
#[derive(Debug)]
pub(super) struct Uptime {
    counter: Counter,
    gaps: Gaps,
    /// Whether something reads it regularly. Otherwise a long step says nothing.
    is_read: bool,
    last: Duration,
    shown: Duration,
    /// The gap that was found and not reported yet.
    gap: Duration,
}

/// Reads a counter of the machine.
struct Counter(Box<dyn Fn() -> Duration + Send + Sync>);

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counter")
    }
}

impl Uptime {
    /// Begins at zero, now, with the readings of this counter.
    pub(super) fn new(counter: impl Fn() -> Duration + Send + Sync + 'static, gaps: Gaps) -> Self {
        let (last, zero) = (counter(), Duration::ZERO);
        Self { counter: Counter(Box::new(counter)), gaps, is_read: false, last, shown: zero, gap: zero }
    }

    /// The time since the beginning.
    pub(super) fn read(&mut self) -> Duration {
        let now = (self.counter.0)();
        let step = now.saturating_sub(self.last);
        self.last = now;
        let longest = if self.is_read { Gaps::LONGEST_STEP } else { Duration::MAX };
        let gap = step.saturating_sub(longest);
        self.gap += gap;
        self.shown += if self.gaps == Gaps::Stand { step - gap } else { step };
        self.shown
    }

    /// Sets whether something reads it regularly. Returns whether something did.
    pub(super) fn is_read(&mut self, is_read: bool) -> bool {
        std::mem::replace(&mut self.is_read, is_read)
    }

    /// The gap that was found since this was last called, if there was one, and what becomes of gaps.
    pub(super) fn take_gap(&mut self) -> (Option<Duration>, Gaps) {
        let gap = std::mem::take(&mut self.gap);
        ((!gap.is_zero()).then_some(gap), self.gaps)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_counter_that_goes_back_loses_nothing_and_a_gap_counts_only_where_it_is_to() {
        let seconds = |number| Duration::from_secs(number);
        for (gaps, after_gap) in [(Gaps::Stand, 7 + 5), (Gaps::Pass, 7 + 3600)] {
            let counter = Arc::new(AtomicU64::new(100_000));
            let read = Arc::clone(&counter);
            let mut uptime = Uptime::new(move || seconds(read.load(Ordering::Relaxed)), gaps);
            let mut at = |moment| {
                counter.store(moment, Ordering::Relaxed);
                uptime.read()
            };
            assert_eq!((at(100_004), at(50), at(53)), (seconds(4), seconds(4), seconds(7)));
            uptime.is_read(true);
            counter.store(53 + 3600, Ordering::Relaxed);
            assert_eq!(uptime.read(), seconds(after_gap));
            assert_eq!(uptime.take_gap(), (Some(seconds(3595)), gaps));
            assert_eq!(uptime.take_gap(), (None, gaps));
        }
    }
}
