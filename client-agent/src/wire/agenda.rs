//! Which agents of a fleet are busy, which wait for a manager that holds their request, and when each wakes next: kept while they
//! act, so that moving the clock from event to event need not ask all of them. And which of them a task is to drive.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use epm_protocol::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The number of the next agent, of all fleets: numbers of fleets that come after each other differ.
static CAME: AtomicU64 = AtomicU64::new(0);

/// What the agents of a fleet do next.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    book: Mutex<Book<T>>,
    /// Told when an agent wakes earlier than any other, or a task is to drive one.
    earlier: Notify,
}

#[derive(Debug)]
struct Book<T> {
    entries: HashMap<u64, (Entry, Weak<T>)>,
    busy: HashSet<u64>,
    /// The agents that have not handled an external input yet.
    unheard: HashSet<u64>,
    /// When those that are not busy wake.
    wakes: BTreeSet<(Timestamp, u64)>,
    held: HashSet<u64>,
    /// The agents that have acted since they were last asked for, with a held request before or after.
    acted: HashSet<u64>,
    /// How often an agent became busy.
    began: u64,
    /// The agents that a task is to drive.
    ready: VecDeque<Arc<T>>,
    dispatch: Dispatch,
}

/// Whether tasks are started for agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dispatch {
    /// A dispatcher starts tasks, or will.
    #[default]
    GoesOn,
    /// A dispatcher starts tasks until none is left.
    Closing,
    /// No dispatcher starts tasks any more.
    Over,
}

/// The state of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Whether it has inputs or outputs that are not carried out, or is in a heartbeat.
    pub(super) is_busy: bool,
    /// Whether it has not handled an external input yet.
    pub(super) is_unheard: bool,
    /// Whether its manager holds a request of it.
    pub(super) is_held: bool,
    /// When it wakes by itself.
    pub(super) wake: Timestamp,
}

/// What is to be done for the agents of a fleet.
#[derive(Debug)]
pub(super) enum Next<T> {
    /// A task is to drive this agent.
    Drive(Arc<T>),
    /// The heartbeat of this agent is due.
    Due(Arc<T>),
    /// There is nothing to do before this time.
    Wait(Timestamp),
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { book: Mutex::default(), earlier: Notify::new() }
    }
}

impl<T> Default for Book<T> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            busy: HashSet::new(),
            unheard: HashSet::new(),
            wakes: BTreeSet::new(),
            held: HashSet::new(),
            acted: HashSet::new(),
            began: 0,
            ready: VecDeque::new(),
            dispatch: Dispatch::GoesOn,
        }
    }
}

impl<T> Agenda<T> {
    /// Draws the number of a new agent.
    pub(super) fn number() -> u64 {
        CAME.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives a new agent its place.
    pub(super) fn enter(&self, number: u64, agent: &Arc<T>) {
        let entry = Entry { is_busy: false, is_unheard: false, is_held: false, wake: Timestamp::NEVER };
        self.book.lock().entries.insert(number, (entry, Arc::downgrade(agent)));
    }

    /// Notes the state of an agent, read while no other state of it can be noted.
    pub(super) fn note(&self, number: u64, state: impl FnOnce() -> Entry) {
        let mut book = self.book.lock();
        let now = state();
        // An agent that has left the fleet may still act.
        let Some((entry, _)) = book.entries.get_mut(&number) else { return };
        let before = std::mem::replace(entry, now);
        let first = book.wakes.first().copied();
        book.wakes.remove(&(before.wake, number));
        if !now.is_busy && now.wake != Timestamp::NEVER {
            book.wakes.insert((now.wake, number));
        }
        let is_earlier = book.wakes.first() < first.as_ref() || first.is_none();
        book.began += u64::from(set(&mut book.busy, number, now.is_busy));
        set(&mut book.unheard, number, now.is_unheard);
        set(&mut book.held, number, now.is_held);
        if now.is_held || before.is_held {
            book.acted.insert(number);
        }
        drop(book);
        if is_earlier {
            self.earlier.notify_one();
        }
    }

    /// Takes an agent off the agenda: it has left the fleet.
    pub(super) fn leave(&self, number: u64) {
        let mut book = self.book.lock();
        let Some((entry, _)) = book.entries.remove(&number) else { return };
        book.wakes.remove(&(entry.wake, number));
        book.busy.remove(&number);
        book.unheard.remove(&number);
        book.held.remove(&number);
    }

    /// Asks for a task that drives this agent, also after it has left.
    pub(super) fn call_for_task(&self, agent: Arc<T>) {
        let mut book = self.book.lock();
        if book.dispatch != Dispatch::Over {
            book.ready.push_back(agent);
        }
        drop(book);
        self.earlier.notify_one();
    }

    /// What is to be done next. An agent that is due stays on the agenda until its state is noted.
    pub(super) fn next(&self, now: Timestamp) -> Next<T> {
        let mut book = self.book.lock();
        if let Some(agent) = book.ready.pop_front() {
            return Next::Drive(agent);
        }
        while let Some((wake, number)) = book.wakes.first().copied() {
            if wake > now {
                return Next::Wait(wake);
            }
            match book.entries.get(&number).and_then(|(_, agent)| agent.upgrade()) {
                Some(agent) => return Next::Due(agent),
                // It is being dropped.
                None => drop(book.wakes.pop_first()),
            }
        }
        Next::Wait(Timestamp::NEVER)
    }

    /// Returns when there may be more to do than when it was last asked for.
    pub(super) async fn earlier(&self) {
        self.earlier.notified().await;
    }

    /// The agents of the fleet.
    pub(super) fn agents(&self) -> Vec<Arc<T>> {
        self.book.lock().entries.values().filter_map(|(_, agent)| agent.upgrade()).collect()
    }

    /// Whether the fleet has no agents.
    pub(super) fn is_empty(&self) -> bool {
        let book = self.book.lock();
        book.entries.is_empty() && book.ready.is_empty()
    }

    /// Sets whether tasks are started.
    pub(super) fn set_dispatch(&self, dispatch: Dispatch) {
        let mut book = self.book.lock();
        book.dispatch = dispatch;
        // Dropped without the lock, which the end of an agent takes.
        let never =
            if dispatch == Dispatch::Over { std::mem::take(&mut book.ready) } else { VecDeque::new() };
        drop(book);
        drop(never);
        self.earlier.notify_one();
    }

    /// Whether tasks are started.
    pub(super) fn dispatch(&self) -> Dispatch {
        self.book.lock().dispatch
    }

    /// Whether every agent has handled all external inputs.
    pub(super) fn has_heard(&self) -> bool {
        self.book.lock().unheard.is_empty()
    }

    /// How often an agent has become busy, if none is busy or wakes until `now`. While that number stays the same, no agent acts.
    pub(super) fn settled(&self, now: Timestamp) -> Option<u64> {
        let book = self.book.lock();
        let is_settled = book.busy.is_empty() && book.wakes.first().is_none_or(|(wake, _)| *wake > now);
        is_settled.then_some(book.began)
    }

    /// When the first agent wakes by itself, of those that are not busy.
    pub(super) fn next_wake(&self) -> Timestamp {
        self.book.lock().wakes.first().map_or(Timestamp::NEVER, |(wake, _)| *wake)
    }

    /// The agents whose requests are held.
    pub(super) fn held(&self) -> HashSet<u64> {
        self.book.lock().held.clone()
    }

    /// Number of agents whose requests are held, and those whose requests may have become held, or no longer, since this was last asked.
    pub(super) fn take_acted(&self) -> (usize, HashSet<u64>) {
        let mut book = self.book.lock();
        (book.held.len(), std::mem::take(&mut book.acted))
    }
}

/// Puts a number in or takes it out; returns whether it has come in.
fn set(of: &mut HashSet<u64>, number: u64, is_in: bool) -> bool {
    if is_in {
        of.insert(number)
    } else {
        of.remove(&number);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_that_has_acted_meanwhile_is_not_settled_as_before() {
        let (agenda, now) = (Agenda::<()>::default(), Timestamp::from_seconds(10));
        let ((busy, idle), agents) = ((1, 2), [Arc::new(()), Arc::new(())]);
        [busy, idle].into_iter().zip(&agents).for_each(|(number, agent)| agenda.enter(number, agent));
        let state = |is_busy, wake| Entry {
            is_busy,
            is_unheard: false,
            is_held: false,
            wake: Timestamp::from_seconds(wake),
        };
        let before = agenda.settled(now);
        assert!(before.is_some());
        agenda.note(busy, || state(true, 20));
        assert_eq!(agenda.settled(now), None);
        agenda.note(busy, || state(false, 20));
        let after = agenda.settled(now);
        assert!(after.is_some() && after != before);
        agenda.note(idle, || state(false, 30));
        assert_eq!(agenda.settled(now), after, "another time to wake is no act");
        agenda.note(idle, || state(false, 10));
        assert_eq!(agenda.settled(now), None, "it wakes now");
    }
}
