//! The requests of push mode that the managers of a site hold, by client and connection.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use epm_protocol::id::AgentId;
use parking_lot::Mutex;
use tokio::sync::watch;

/// The largest number of clients that are remembered until it is asked which requests are no longer held.
const MOST_ENDED: usize = 10_000;

/// The requests that the managers of a site hold.
#[derive(Debug, Default)]
pub(crate) struct HeldRequests {
    book: Mutex<Book>,
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Book {
    /// Number of requests.
    count: usize,
    /// Peers of the connections of the requests, by client; unregistered clients count as one.
    from: HashMap<Option<AgentId>, Vec<SocketAddr>>,
    /// Clients of which a request is no longer held, since this was last asked for; none when there are too many.
    ended: Option<HashSet<AgentId>>,
}

/// A request that is held while this exists.
#[derive(Debug)]
pub(crate) struct Holding<'a> {
    held: &'a HeldRequests,
    agent: Option<AgentId>,
    peer: SocketAddr,
}

impl HeldRequests {
    /// Notes a request of this client on the connection from `peer`.
    pub(crate) fn begin(&self, agent: Option<AgentId>, peer: SocketAddr) -> Holding<'_> {
        let mut book = self.book.lock();
        book.count += 1;
        book.from.entry(agent).or_default().push(peer);
        drop(book);
        self.changes.send_replace(());
        Holding { held: self, agent, peer }
    }

    /// Number of held requests.
    pub(crate) fn count(&self) -> usize {
        self.book.lock().count
    }

    /// Number of held requests of this client.
    pub(crate) fn of(&self, agent: AgentId) -> usize {
        self.book.lock().from.get(&Some(agent)).map_or(0, Vec::len)
    }

    /// Number of held requests of other clients than this one.
    pub(crate) fn of_others(&self, agent: Option<AgentId>) -> usize {
        let book = self.book.lock();
        let own = agent.and_then(|agent| book.from.get(&Some(agent))).map_or(0, Vec::len);
        book.count - own
    }

    /// Whether a request of this client is held on the connection from `peer`.
    pub(crate) fn is_from(&self, agent: AgentId, peer: SocketAddr) -> bool {
        self.book.lock().from.get(&Some(agent)).is_some_and(|peers| peers.contains(&peer))
    }

    /// The clients of which a request is no longer held, since this was last asked; none when that is not known.
    pub(crate) fn take_ended(&self) -> Option<HashSet<AgentId>> {
        self.book.lock().ended.replace(HashSet::new())
    }

    /// A receiver that changes whenever a request is held, or no longer.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        let mut book = self.held.book.lock();
        book.count -= 1;
        if let Some(peers) = book.from.get_mut(&self.agent) {
            if let Some(place) = peers.iter().position(|peer| *peer == self.peer) {
                peers.swap_remove(place);
            }
            if peers.is_empty() {
                book.from.remove(&self.agent);
            }
        }
        if let Some(agent) = self.agent
            && let Some(ended) = &mut book.ended
        {
            ended.insert(agent);
            if ended.len() > MOST_ENDED {
                book.ended = None;
            }
        }
        drop(book);
        self.held.changes.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use epm_protocol::id::Guid;

    use super::*;

    #[test]
    fn a_request_on_another_connection_of_a_client_is_another_request() {
        let held = HeldRequests::default();
        let agent = |name| AgentId(Guid::derive(0, "agent", name, std::net::Ipv4Addr::LOCALHOST));
        let (one, other) = (agent("one"), agent("other"));
        let peer = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut changes = held.changes();
        let before = held.begin(Some(one), peer(1));
        assert!(changes.has_changed().unwrap() && held.is_from(one, peer(1)) && !held.is_from(one, peer(2)));
        let again = held.begin(Some(one), peer(2));
        let theirs = held.begin(Some(other), peer(1));
        assert_eq!(
            (held.count(), held.of(one), held.of_others(Some(one)), held.of_others(None)),
            (3, 2, 1, 3)
        );
        changes.mark_unchanged();
        drop(before);
        assert!(changes.has_changed().unwrap() && !held.is_from(one, peer(1)) && held.is_from(one, peer(2)));
        assert_eq!(held.take_ended(), None, "what ended before anything was asked is not known");
        drop((again, theirs));
        assert_eq!(held.take_ended(), Some(HashSet::from([one, other])));
        assert_eq!((held.count(), held.of(one), held.book.lock().from.len()), (0, 0, 0));
    }
}
