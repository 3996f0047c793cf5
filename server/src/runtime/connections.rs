//! The open connections of one manager: ending all of them, and finding those that stall.
//!
//! A connection costs one entry while it is open: no timer and no token, only a counter that it advances. The
//! accepting task checks the counters periodically.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

/// Address of a caller, as an extension of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Flag in the counter of a connection that may stall because a fault acts on it.
const SPARED: u64 = 1 << 63;

/// Highest counter of a connection that has never been answered: not greeted yet, or greeted and without a request.
const UNANSWERED: u64 = 2;

/// Share of the idle connections that are ended together when there is no room: looking at all of them for one new
/// connection each would let peers that come again and again use up a processor.
const SHARE: usize = 64;

/// Flag in the counter of a connection on which a response without end is sent.
const STREAMS: u64 = 1 << 62;

/// Flag in the counter of a connection that was ended. Its task may still run until it next waits.
const ENDED: u64 = 1 << 61;

/// The open connections of one manager.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    book: Mutex<Book>,
    /// How often connections were ended, as opposed to coming to their end.
    ended: AtomicU64,
}

#[derive(Debug, Default)]
struct Book {
    came: u64,
    here: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    peer: SocketAddr,
    count: Arc<AtomicU64>,
    /// Counter at the last check, and the time since which it is unchanged.
    seen: Option<(u64, Instant)>,
    /// None while the task is being started.
    task: Option<AbortHandle>,
}

/// A connection, owned by its task. Unregistered when dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    number: u64,
    /// Even during the peer's turn, which has a time limit; odd during the manager's.
    count: Arc<AtomicU64>,
    connections: Arc<Connections>,
}

impl Connections {
    /// Starts the task of a new connection. The manager has the first turn.
    pub(crate) fn receive(
        self: &Arc<Self>,
        peer: SocketAddr,
        start: impl FnOnce(Connection) -> JoinHandle<()>,
    ) {
        let count = Arc::new(AtomicU64::new(1));
        let mut book = self.book();
        book.came += 1;
        let number = book.came;
        book.here.insert(number, Entry { peer, count: Arc::clone(&count), seen: None, task: None });
        // A runtime that shuts down drops the task at once, which unregisters the connection.
        drop(book);
        let task = start(Connection { peer, number, count, connections: Arc::clone(self) }).abort_handle();
        match self.book().here.get_mut(&number) {
            Some(entry) => entry.task = Some(task),
            // All connections were ended meanwhile, or this one is already gone.
            None => task.abort(),
        }
    }

    /// Ends all current connections.
    pub(crate) fn end_all(&self) {
        let all = std::mem::take(&mut self.book().here);
        self.ended.fetch_add(1, Ordering::SeqCst);
        all.values().for_each(Entry::end);
    }

    /// Addresses of the peers with open connections, without those that have been ended.
    pub(crate) fn peers(&self) -> Vec<SocketAddr> {
        self.book().here.values().map(|entry| entry.peer).collect()
    }

    /// Whether the connection from `peer` is open and has not been ended.
    pub(crate) fn has(&self, peer: SocketAddr) -> bool {
        self.book().here.values().any(|entry| entry.peer == peer)
    }

    /// How often connections were ended.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::SeqCst)
    }

    /// Ends the connections in which the peer's turn has lasted this long, and returns their peers.
    pub(crate) fn end_stalled(&self, now: Instant, patience: Duration) -> Vec<SocketAddr> {
        let stalls = |entry: &mut Entry| {
            let count = entry.count.load(Ordering::Relaxed);
            match entry.seen {
                Some((seen, since)) if seen == count && count.is_multiple_of(2) && count & SPARED == 0 => {
                    now.duration_since(since) >= patience
                }
                _ => {
                    entry.seen = Some((count, now));
                    false
                }
            }
        };
        let stalled: Vec<Entry> =
            self.book().here.extract_if(|_, entry| stalls(entry)).map(|(_, one)| one).collect();
        self.ended.fetch_add(u64::from(!stalled.is_empty()), Ordering::SeqCst);
        stalled.iter().for_each(Entry::end);
        stalled.iter().map(|entry| entry.peer).collect()
    }

    /// Ends the connections that have waited for their peer for the longest time, at least one if any does, and returns
    /// their peers. Connections that were never answered come before those that were.
    pub(crate) fn end_idlest(&self, now: Instant) -> Vec<SocketAddr> {
        let mut book = self.book();
        let idle = book.here.iter().filter_map(|(number, entry)| {
            let count = entry.count.load(Ordering::Relaxed);
            let waits = count.is_multiple_of(2) || count == 1;
            let is_idle = waits && count & (SPARED | STREAMS) == 0;
            let since = entry.seen.filter(|(seen, _)| *seen == count).map_or(now, |(_, since)| since);
            is_idle.then_some((count > UNANSWERED, since, *number))
        });
        let mut idle: Vec<_> = idle.collect();
        let some = (idle.len() / SHARE).max(1);
        if some < idle.len() {
            idle.select_nth_unstable(some);
            idle.truncate(some);
        }
        let ended: Vec<Entry> = idle.iter().filter_map(|(_, _, number)| book.here.remove(number)).collect();
        drop(book);
        self.ended.fetch_add(1, Ordering::SeqCst);
        ended.iter().for_each(Entry::end);
        ended.iter().map(|entry| entry.peer).collect()
    }

    /// Number of open connections.
    pub(crate) fn count(&self) -> usize {
        self.book().here.len()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock()
    }
}

impl Entry {
    fn end(&self) {
        self.count.fetch_or(ENDED, Ordering::SeqCst);
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Connection {
    /// Whether the connection was ended, as opposed to coming to its end: nothing that changed since then may be answered on it.
    pub(crate) fn is_ended(&self) -> bool {
        self.count.load(Ordering::SeqCst) & ENDED != 0
    }

    /// Lifts the time limit of this connection.
    pub(crate) fn spare(&self) {
        self.count.fetch_or(SPARED, Ordering::Relaxed);
    }

    /// Marks the connection as one that is never idle: its response does not end.
    pub(crate) fn streams(&self) {
        self.count.fetch_or(STREAMS, Ordering::Relaxed);
    }

    /// Passes the turn from the manager to the peer, or back.
    pub(crate) fn turn(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Restarts the time limit of the current turn.
    pub(crate) fn goes_on(&self) {
        self.count.fetch_add(2, Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.book().here.remove(&self.number);
    }
}
