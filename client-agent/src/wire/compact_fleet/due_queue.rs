//! Which client of a fleet is next: heartbeats by the time at which they are due, and clients that are yet to be started.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use epm_protocol::time::Timestamp;

/// The queue of a fleet.
#[derive(Debug)]
pub(super) struct DueQueue {
    due: BinaryHeap<Reverse<(Timestamp, u32)>>,
    /// The index of the next client to start, and the number of clients.
    next: u32,
    count: u32,
    begun: Timestamp,
    /// The number of clients that are started per second at most; as many as there is room for if none.
    ramp: Option<u32>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The client with this index is to have a heartbeat, which was due at this time.
    Heartbeat(u32, Timestamp),
    /// The client with this index is to be started.
    Start(u32),
    /// The next thing is due at this time.
    Wait(Timestamp),
}

impl DueQueue {
    /// Makes the queue of this many clients, none of them started.
    pub(super) fn new(count: u32, ramp: Option<u32>, begun: Timestamp) -> Self {
        Self { due: BinaryHeap::new(), next: 0, count, begun, ramp }
    }

    /// Takes out what is to be done now. A heartbeat that is due comes before a client that is to be started, so that
    /// starting many makes no heartbeat late.
    pub(super) fn take(&mut self, now: Timestamp) -> Next {
        let first = self.due.peek().map_or(Timestamp::NEVER, |Reverse((at, _))| *at);
        if first <= now
            && let Some(Reverse((at, index))) = self.due.pop()
        {
            return Next::Heartbeat(index, at);
        }
        let starts = self.next_start();
        if starts <= now {
            self.next += 1;
            return Next::Start(self.next - 1);
        }
        Next::Wait(first.min(starts))
    }

    /// Plans the next heartbeat of a client. Returns whether it is the next thing to do.
    pub(super) fn plan(&mut self, index: u32, at: Timestamp) -> bool {
        let is_first = self.due.peek().is_none_or(|Reverse((first, _))| at < *first);
        if at != Timestamp::NEVER {
            self.due.push(Reverse((at, index)));
        }
        is_first
    }

    /// The number of clients that have been started.
    pub(super) fn started(&self) -> u32 {
        self.next
    }

    fn next_start(&self) -> Timestamp {
        match self.ramp {
            _ if self.next >= self.count => Timestamp::NEVER,
            None => self.begun,
            Some(ramp) => {
                let after = u64::from(self.next) * 1000 / u64::from(ramp.max(1));
                self.begun + Duration::from_millis(after)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_that_is_due_comes_before_a_start_and_starts_keep_their_rate() {
        let at = Timestamp::from_millis;
        let mut queue = DueQueue::new(3, Some(2), at(0));
        assert_eq!((queue.take(at(0)), queue.take(at(0))), (Next::Start(0), Next::Wait(at(500))));
        assert!(queue.plan(0, at(600)));
        assert_eq!(queue.take(at(499)), Next::Wait(at(500)));
        assert_eq!(queue.take(at(700)), Next::Heartbeat(0, at(600)));
        assert_eq!(queue.take(at(700)), Next::Start(1));
        assert!(queue.plan(0, at(900)) && !queue.plan(1, at(950)));
        assert_eq!(queue.take(at(700)), Next::Wait(at(900)));
        let order = [Next::Heartbeat(0, at(900)), Next::Heartbeat(1, at(950)), Next::Start(2)];
        assert_eq!([(); 3].map(|()| queue.take(at(5000))), order);
        assert_eq!((queue.take(at(9000)), queue.started()), (Next::Wait(Timestamp::NEVER), 3));
    }
}
