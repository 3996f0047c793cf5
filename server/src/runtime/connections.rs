//! The connections that are open at one manager: ending them all, and finding those that stall.
//!
//! A connection costs an entry here when it comes and when it goes, and nothing in between: no timer and no token of
//! its own, only a count that it raises as it goes on. Whoever accepts looks at the counts now and then.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

/// In the count of a connection that may stall: a fault is being carried out there.
const SPARED: u64 = 1 << 63;

/// The connections that are open at one manager.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    book: Mutex<Book>,
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
    /// What its count was when it was looked at last, and since when it has been that.
    seen: Option<(u64, Instant)>,
    /// None while its task is being started.
    task: Option<AbortHandle>,
}

/// A connection, in the hands of its task. It leaves the register when it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    number: u64,
    /// Even while it is the peer's turn, which must not last too long; odd while it is the manager's.
    count: Arc<AtomicU64>,
    connections: Arc<Connections>,
}

impl Connections {
    /// Starts the task of a new connection. It is the manager's turn at first.
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
        // A runtime that shuts down drops the task at once, and the connection leaves the register.
        drop(book);
        let task = start(Connection { peer, number, count, connections: Arc::clone(self) }).abort_handle();
        match self.book().here.get_mut(&number) {
            Some(entry) => entry.task = Some(task),
            // All were ended meanwhile, or it has gone already.
            None => task.abort(),
        }
    }

    /// Ends all connections that have been received until now.
    pub(crate) fn end_all(&self) {
        let all = std::mem::take(&mut self.book().here);
        all.into_values().filter_map(|entry| entry.task).for_each(|task| task.abort());
    }

    /// The peers whose connections are open. A connection that was ended is not, even if its task has yet to notice.
    pub(crate) fn peers(&self) -> Vec<SocketAddr> {
        self.book().here.values().map(|entry| entry.peer).collect()
    }

    /// Ends the connections where the peer has had its turn this long, and says whose they were.
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
        stalled.iter().filter_map(|entry| entry.task.as_ref()).for_each(AbortHandle::abort);
        stalled.iter().map(|entry| entry.peer).collect()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock()
    }
}

impl Connection {
    /// From here on the manager takes its time, and nobody minds how long.
    pub(crate) fn spare(&self) {
        self.count.fetch_or(SPARED, Ordering::Relaxed);
    }

    /// From the manager's turn to the peer's, or back.
    pub(crate) fn turn(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// It goes on, and whose turn it is stays the same.
    pub(crate) fn goes_on(&self) {
        self.count.fetch_add(2, Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.book().here.remove(&self.number);
    }
}
