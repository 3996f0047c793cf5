//! Counts connections and exchanges per client: the ordinals of faults.
//!
//! Nothing is counted while there is no fault. The maps are bounded: the oldest keys are dropped first, and start
//! again at 1.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;

use epm_protocol::fault::{Moment, Route};
use epm_protocol::id::AgentId;
use epm_protocol::time::Timestamp;

use crate::runtime::journal::Record;

/// Maximum number of keys per map.
const MOST: usize = 100_000;

/// What ordinals are counted by: the client, or the address while the client is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Agent(AgentId),
    Source(IpAddr),
}

/// Clients that were seen at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Neighbours {
    One(AgentId),
    Several,
}

/// All counters of a site.
#[derive(Debug, Default)]
pub(crate) struct OrdinalCounter {
    since: Option<Timestamp>,
    connections: Bounded<(Key, usize), u64>,
    exchanges: Bounded<(Key, usize, Route), u64>,
    /// Connections to the REST API, and calls of it.
    rest: Bounded<(IpAddr, usize, Moment), u64>,
    seen: Bounded<IpAddr, Neighbours>,
}

#[derive(Debug)]
struct Bounded<K, V> {
    entries: HashMap<K, V>,
    /// Keys in the order of their insertion.
    order: VecDeque<K>,
}

impl OrdinalCounter {
    /// Starts counting with the first fault; the journal tells which clients were seen at which addresses.
    pub(crate) fn begin(&mut self, records: &[Record]) {
        self.seen = Bounded::default();
        for record in records {
            if let Some(agent) = record.agent {
                self.saw(record.peer.ip(), agent);
            }
        }
    }

    /// Ordinal of this connection, from 1.
    pub(crate) fn connection(&mut self, key: Key, manager: usize, since: Option<Timestamp>) -> u64 {
        self.count_since(since);
        count(self.connections.entry((key, manager), 0))
    }

    /// Ordinal of this exchange, from 1.
    pub(crate) fn exchange(
        &mut self,
        key: Key,
        manager: usize,
        route: Route,
        since: Option<Timestamp>,
    ) -> u64 {
        self.count_since(since);
        count(self.exchanges.entry((key, manager, route), 0))
    }

    /// Ordinal of this connection to the REST API, or call of it, from 1.
    pub(crate) fn rest(
        &mut self,
        source: IpAddr,
        manager: usize,
        moment: Moment,
        since: Option<Timestamp>,
    ) -> u64 {
        self.count_since(since);
        count(self.rest.entry((source, manager, moment), 0))
    }

    /// Records that a client sent a request from this address.
    pub(crate) fn saw(&mut self, source: IpAddr, agent: AgentId) {
        let neighbours = self.seen.entry(source, Neighbours::One(agent));
        if *neighbours != Neighbours::One(agent) {
            *neighbours = Neighbours::Several;
        }
    }

    /// The client at this address, if only one was seen there.
    pub(crate) fn only_one_at(&self, source: IpAddr) -> Option<AgentId> {
        match self.seen.entries.get(&source) {
            Some(Neighbours::One(agent)) => Some(*agent),
            Some(Neighbours::Several) | None => None,
        }
    }

    fn count_since(&mut self, since: Option<Timestamp>) {
        if self.since != since {
            self.since = since;
            self.connections = Bounded::default();
            self.exchanges = Bounded::default();
            self.rest = Bounded::default();
        }
    }
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    fn entry(&mut self, key: K, new: V) -> &mut V {
        if !self.entries.contains_key(&key) {
            if self.entries.len() >= MOST
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
            self.order.push_back(key);
        }
        self.entries.entry(key).or_insert(new)
    }
}

impl<K, V> Default for Bounded<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new() }
    }
}

fn count(counted: &mut u64) -> u64 {
    *counted += 1;
    *counted
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use epm_protocol::id::Guid;

    use super::*;

    fn agent(byte: u8) -> AgentId {
        AgentId(Guid::from_bytes([byte; 16]))
    }

    #[test]
    fn each_key_has_its_count_and_all_begin_again_with_the_first_fault() {
        let (mut counts, key) = (OrdinalCounter::default(), Key::Agent(agent(1)));
        let since = Some(Timestamp::from_seconds(1));
        assert_eq!([0, 0, 1].map(|manager| counts.connection(key, manager, since)), [1, 2, 1]);
        assert_eq!(counts.exchange(key, 0, Route::Index, since), 1);
        assert_eq!(counts.exchange(key, 0, Route::List, since), 1);
        assert_eq!(counts.connection(key, 0, Some(Timestamp::from_seconds(2))), 1);
    }

    #[test]
    fn an_address_speaks_for_a_client_only_while_nobody_else_was_seen_there() {
        let (mut counts, here) = (OrdinalCounter::default(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(counts.only_one_at(here), None);
        counts.saw(here, agent(1));
        counts.saw(here, agent(1));
        assert_eq!(counts.only_one_at(here), Some(agent(1)));
        counts.saw(here, agent(2));
        counts.saw(here, agent(1));
        assert_eq!(counts.only_one_at(here), None);
    }

    #[test]
    fn the_maps_do_not_grow_without_end() {
        let mut map = Bounded::default();
        for key in 0..=MOST {
            *map.entry(key, 0) += 1;
        }
        assert_eq!((map.entries.len(), map.order.len()), (MOST, MOST));
        assert!(!map.entries.contains_key(&0) && map.entries.contains_key(&MOST));
    }
}
