//! The tasks that sleep until moments of a lab's clock, in the order of these moments: a clock that is moved wakes only those that are
//! due, so that a step of a large fleet does not wake every client.

use std::collections::BTreeMap;
use std::sync::Arc;

use epm_protocol::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The tasks that sleep until moments of one clock.
#[derive(Debug, Default)]
pub(super) struct Sleepers(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    came: u64,
    asleep: BTreeMap<(Timestamp, u64), Arc<Notify>>,
}

/// A task that sleeps; removed when dropped.
#[derive(Debug)]
pub(super) struct Sleeper<'a> {
    sleepers: &'a Sleepers,
    at: (Timestamp, u64),
    call: Arc<Notify>,
}

impl Sleepers {
    /// Notes a task that sleeps until this moment.
    pub(super) fn enter(&self, moment: Timestamp) -> Sleeper<'_> {
        let mut book = self.0.lock();
        book.came += 1;
        let (at, call) = ((moment, book.came), Arc::new(Notify::new()));
        book.asleep.insert(at, Arc::clone(&call));
        Sleeper { sleepers: self, at, call }
    }

    /// Wakes the tasks whose moment is not after `now`.
    pub(super) fn wake_due(&self, now: Timestamp) {
        self.0.lock().asleep.range(..=(now, u64::MAX)).for_each(|(_, call)| call.notify_one());
    }

    /// Wakes all tasks: each looks at the clock, and may sleep again.
    pub(super) fn wake_all(&self) {
        self.0.lock().asleep.values().for_each(|call| call.notify_one());
    }

    /// The number of tasks that sleep.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.lock().asleep.len()
    }
}

impl Sleeper<'_> {
    /// Waits until the task is woken; at once if it was woken since the last time.
    pub(super) async fn woken(&self) {
        self.call.notified().await;
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.sleepers.0.lock().asleep.remove(&self.at);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;

    use super::*;

    #[test]
    fn only_what_is_due_is_woken() {
        let (sleepers, moment) = (Sleepers::default(), Timestamp::from_seconds);
        let (first, second) = (sleepers.enter(moment(10)), sleepers.enter(moment(20)));
        let is_woken = |sleeper: &Sleeper<'_>| {
            let mut woken = Box::pin(sleeper.woken());
            woken.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
        };
        sleepers.wake_due(moment(10));
        assert!(is_woken(&first) && !is_woken(&second) && !is_woken(&first));
        sleepers.wake_all();
        assert!(is_woken(&first) && is_woken(&second));
        drop((first, second));
        assert_eq!(sleepers.count(), 0);
    }
}
