//! Which agents of a fleet are busy, which wait for a manager that holds their request, and when each wakes next: kept while they
//! act, so that moving the clock from event to event need not ask all of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use epm_protocol::time::Timestamp;
use parking_lot::Mutex;

/// The number of the next agent, of all fleets: numbers of fleets that come after each other differ.
static CAME: AtomicU64 = AtomicU64::new(0);

/// What the agents of a fleet do next.
#[derive(Debug, Default)]
pub(super) struct Agenda(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    entries: HashMap<u64, Entry>,
    busy: HashSet<u64>,
    wakes: BTreeSet<(Timestamp, u64)>,
    held: HashSet<u64>,
    /// The agents that have acted since they were last asked for, with a held request before or after.
    acted: HashSet<u64>,
    /// How often an agent became busy.
    began: u64,
}

/// The state of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Whether it has inputs or outputs that are not carried out, or is in a heartbeat.
    pub(super) is_busy: bool,
    /// Whether its manager holds a request of it.
    pub(super) is_held: bool,
    /// When it wakes by itself.
    pub(super) wake: Timestamp,
}

/// The place of an agent in the agenda, empty when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    agenda: Arc<Agenda>,
    number: u64,
}

impl Agenda {
    /// Gives a new agent its place.
    pub(super) fn seat(self: &Arc<Self>) -> Seat {
        let number = CAME.fetch_add(1, Ordering::Relaxed);
        let mut book = self.0.lock();
        book.entries.insert(number, Entry { is_busy: false, is_held: false, wake: Timestamp::NEVER });
        Seat { agenda: Arc::clone(self), number }
    }

    /// How often an agent has become busy, if none is busy or wakes until `now`. While that number stays the same, no agent acts.
    pub(super) fn settled(&self, now: Timestamp) -> Option<u64> {
        let book = self.0.lock();
        let is_settled = book.busy.is_empty() && book.wakes.first().is_none_or(|(wake, _)| *wake > now);
        is_settled.then_some(book.began)
    }

    /// When the first agent wakes by itself.
    pub(super) fn next_wake(&self) -> Timestamp {
        self.0.lock().wakes.first().map_or(Timestamp::NEVER, |(wake, _)| *wake)
    }

    /// The agents whose requests are held.
    pub(super) fn held(&self) -> HashSet<u64> {
        self.0.lock().held.clone()
    }

    /// Number of agents whose requests are held, and those whose requests may have become held, or no longer, since this was last asked.
    pub(super) fn take_acted(&self) -> (usize, HashSet<u64>) {
        let mut book = self.0.lock();
        (book.held.len(), std::mem::take(&mut book.acted))
    }
}

impl Seat {
    /// The number of the agent in its fleet.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Notes the state of the agent, read while no other state of it can be noted.
    pub(super) fn note(&self, state: impl FnOnce() -> Entry) {
        let number = self.number;
        let mut book = self.agenda.0.lock();
        let now = state();
        // An agent that has left the fleet may still act.
        let Some(entry) = book.entries.get_mut(&number) else { return };
        let before = std::mem::replace(entry, now);
        if before.wake != now.wake {
            book.wakes.remove(&(before.wake, number));
            if now.wake != Timestamp::NEVER {
                book.wakes.insert((now.wake, number));
            }
        }
        if now.is_busy {
            book.began += u64::from(book.busy.insert(number));
        } else {
            book.busy.remove(&number);
        }
        if now.is_held {
            book.held.insert(number);
        } else {
            book.held.remove(&number);
        }
        if now.is_held || before.is_held {
            book.acted.insert(number);
        }
    }

    /// Takes the agent off the agenda: it has left the fleet.
    pub(super) fn leave(&self) {
        let mut book = self.agenda.0.lock();
        let Some(entry) = book.entries.remove(&self.number) else { return };
        book.wakes.remove(&(entry.wake, self.number));
        book.busy.remove(&self.number);
        book.held.remove(&self.number);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_that_has_acted_meanwhile_is_not_settled_as_before() {
        let (agenda, now) = (Arc::<Agenda>::default(), Timestamp::from_seconds(10));
        let (busy, idle) = (agenda.seat(), agenda.seat());
        let state = |is_busy, wake| Entry { is_busy, is_held: false, wake: Timestamp::from_seconds(wake) };
        let before = agenda.settled(now);
        assert!(before.is_some());
        busy.note(|| state(true, 20));
        assert_eq!(agenda.settled(now), None);
        busy.note(|| state(false, 20));
        let after = agenda.settled(now);
        assert!(after.is_some() && after != before);
        idle.note(|| state(false, 30));
        assert_eq!(agenda.settled(now), after, "another time to wake is no act");
        idle.note(|| state(false, 10));
        assert_eq!(agenda.settled(now), None, "it wakes now");
    }
}
