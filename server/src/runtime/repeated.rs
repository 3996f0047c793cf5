//! Events that can come thousands of times a second, told in the log at most once a minute.

use std::time::Duration;

/// Shortest time between two lines in the log about the same.
const MINUTE: Duration = Duration::from_secs(60);

/// The number of events of a kind since they were told last.
#[derive(Debug)]
pub(crate) struct Repeated {
    count: u64,
    told: Option<Duration>,
}

impl Repeated {
    /// Begins to count, before the first event.
    pub(crate) const fn new() -> Self {
        Self { count: 0, told: None }
    }

    /// Counts an event.
    pub(crate) fn add(&mut self) {
        self.count += 1;
    }

    /// The number since it was told last, if it is to be told now: `now` is the real time since any moment before.
    pub(crate) fn due(&mut self, now: Duration) -> Option<u64> {
        let is_due = self.count > 0 && self.told.is_none_or(|told| now.saturating_sub(told) >= MINUTE);
        is_due.then(|| {
            self.told = Some(now);
            std::mem::take(&mut self.count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_again_and_again_is_told_once_a_minute_with_its_number() {
        let mut repeated = Repeated::new();
        assert_eq!(repeated.due(Duration::ZERO), None);
        let told: Vec<u64> = (0..150_000_u64)
            .filter_map(|millis| {
                repeated.add();
                repeated.due(Duration::from_millis(millis))
            })
            .collect();
        assert_eq!(told, [1, 60_000, 60_000]);
    }
}
