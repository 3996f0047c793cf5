//! Counts connections and exchanges per client: the ordinals of faults.
//!
//! Nothing is counted while there is no fault, and the first fault begins all counts anew. The maps are bounded: the oldest keys are
//! dropped first, and start again at 1. What has changed is noted for a store, where there is one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use epm_protocol::fault::{FaultRule, Moment, Route};
use epm_protocol::id::AgentId;
use epm_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::runtime::journal::Record;

/// Maximum number of keys per map: for as many clients as a lab has, four routes each.
const MOST: usize = 400_000;

/// What ordinals are counted by: the client, or the address while the client is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Agent(AgentId),
    Source(IpAddr),
}

/// Clients that were seen at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The fault that hit the last contact of each client; none if none did.
    last: Bounded<Key, Option<Arc<FaultRule>>>,
    /// What has changed since it was kept; none if nothing is kept.
    changed: Option<HashSet<Counted>>,
    /// Whether what was kept is of no use any more.
    begins_anew: bool,
}

/// What has a count, or clients that were seen at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Connection(Key, usize),
    Exchange(Key, usize, Route),
    Rest(IpAddr, usize, Moment),
    Seen(IpAddr),
}

/// What a store has to write of the counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CountsToKeep {
    /// Whether everything that it has is removed first.
    pub(crate) clears: bool,
    /// What was counted, each with its value; removed without one.
    pub(crate) counts: Vec<(String, Option<String>)>,
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
        *self =
            Self { since: self.since, changed: self.changed.take(), begins_anew: true, ..Self::default() };
        for record in records {
            if let Some(agent) = record.agent {
                self.saw(record.peer.ip(), agent);
            }
        }
    }

    /// Ordinal of this connection, from 1.
    pub(crate) fn connection(&mut self, key: Key, manager: usize, since: Option<Timestamp>) -> u64 {
        self.count_since(since);
        self.note(Counted::Connection(key, manager));
        let (counted, dropped) = self.connections.entry((key, manager), 0);
        let ordinal = count(counted);
        self.note_dropped(dropped.map(|(key, manager)| Counted::Connection(key, manager)));
        ordinal
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
        self.note(Counted::Exchange(key, manager, route));
        let (counted, dropped) = self.exchanges.entry((key, manager, route), 0);
        let ordinal = count(counted);
        self.note_dropped(dropped.map(|(key, manager, route)| Counted::Exchange(key, manager, route)));
        ordinal
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
        self.note(Counted::Rest(source, manager, moment));
        let (counted, dropped) = self.rest.entry((source, manager, moment), 0);
        let ordinal = count(counted);
        self.note_dropped(dropped.map(|(source, manager, moment)| Counted::Rest(source, manager, moment)));
        ordinal
    }

    /// Notes which fault hit a client's contact, if any did.
    pub(crate) fn hit(&mut self, key: Key, fault: Option<&Arc<FaultRule>>) {
        *self.last.entry(key, None).0 = fault.cloned();
    }

    /// The clients whose last contact a fault hit, each with the fault.
    pub(crate) fn last_hits(&self) -> Vec<(Key, Arc<FaultRule>)> {
        self.last.entries.iter().filter_map(|(key, fault)| Some((*key, fault.clone()?))).collect()
    }

    /// Records that a client sent a request from this address.
    pub(crate) fn saw(&mut self, source: IpAddr, agent: AgentId) {
        let is_known = self.seen.entries.contains_key(&source);
        let (neighbours, dropped) = self.seen.entry(source, Neighbours::One(agent));
        let before = *neighbours;
        if before != Neighbours::One(agent) {
            *neighbours = Neighbours::Several;
        }
        if !is_known || before != *neighbours {
            self.note(Counted::Seen(source));
        }
        self.note_dropped(dropped.map(Counted::Seen));
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
            if since.is_none() {
                self.seen = Bounded::default();
            }
            self.begins_anew = true;
        }
    }

    /// What a store has to write: what has changed since the last time, or everything.
    pub(crate) fn take_changed(&mut self, since: Option<Timestamp>, everything: bool) -> CountsToKeep {
        self.count_since(since);
        let clears = everything || self.begins_anew || self.changed.is_none();
        let changed = self.changed.replace(HashSet::new()).unwrap_or_default();
        self.begins_anew = false;
        let counted: Vec<Counted> = if clears { self.all() } else { changed.into_iter().collect() };
        let counts = counted.into_iter().map(|one| (one.name(), self.value(one))).collect();
        CountsToKeep { clears, counts }
    }

    /// Continues with counts of an earlier run. What this version does not know is left out.
    pub(crate) fn go_on_with(
        &mut self,
        since: Option<Timestamp>,
        counts: impl IntoIterator<Item = (String, String)>,
    ) {
        *self = Self { since, changed: Some(HashSet::new()), ..Self::default() };
        for (name, value) in counts {
            let Some(counted) = Counted::read(&name) else { continue };
            let number = || value.parse::<u64>().ok();
            match counted {
                Counted::Seen(source) => {
                    let seen = serde_json::from_str(&value).ok();
                    seen.into_iter().for_each(|seen| *self.seen.entry(source, seen).0 = seen);
                }
                Counted::Connection(key, manager) => number()
                    .into_iter()
                    .for_each(|count| *self.connections.entry((key, manager), 0).0 = count),
                Counted::Exchange(key, manager, route) => number()
                    .into_iter()
                    .for_each(|count| *self.exchanges.entry((key, manager, route), 0).0 = count),
                Counted::Rest(source, manager, moment) => number()
                    .into_iter()
                    .for_each(|count| *self.rest.entry((source, manager, moment), 0).0 = count),
            }
        }
    }

    fn all(&self) -> Vec<Counted> {
        let connections =
            self.connections.entries.keys().map(|(key, manager)| Counted::Connection(*key, *manager));
        let exchanges = self.exchanges.entries.keys();
        let exchanges = exchanges.map(|(key, manager, route)| Counted::Exchange(*key, *manager, *route));
        let rest = self.rest.entries.keys();
        let rest = rest.map(|(source, manager, moment)| Counted::Rest(*source, *manager, *moment));
        let seen = self.seen.entries.keys().map(|source| Counted::Seen(*source));
        connections.chain(exchanges).chain(rest).chain(seen).collect()
    }

    fn value(&self, of: Counted) -> Option<String> {
        let number = |count: Option<&u64>| count.map(u64::to_string);
        match of {
            Counted::Connection(key, manager) => number(self.connections.entries.get(&(key, manager))),
            Counted::Exchange(key, manager, route) => {
                number(self.exchanges.entries.get(&(key, manager, route)))
            }
            Counted::Rest(source, manager, moment) => {
                number(self.rest.entries.get(&(source, manager, moment)))
            }
            Counted::Seen(source) => {
                self.seen.entries.get(&source).and_then(|seen| serde_json::to_string(seen).ok())
            }
        }
    }

    fn note(&mut self, counted: Counted) {
        if let Some(changed) = &mut self.changed {
            changed.insert(counted);
        }
    }

    fn note_dropped(&mut self, dropped: Option<Counted>) {
        if let Some(dropped) = dropped {
            self.note(dropped);
        }
    }
}

impl Counted {
    /// The name in a store.
    fn name(self) -> String {
        let of = |key: Key| match key {
            Key::Agent(agent) => agent.to_string(),
            Key::Source(source) => source.to_string(),
        };
        match self {
            Self::Connection(key, manager) => format!("connection {manager} {}", of(key)),
            Self::Exchange(key, manager, route) => format!("{} {manager} {}", route.name(), of(key)),
            Self::Rest(source, manager, Moment::Connection) => format!("rest-connection {manager} {source}"),
            Self::Rest(source, manager, Moment::Exchange) => format!("rest-call {manager} {source}"),
            Self::Seen(source) => format!("seen {source}"),
        }
    }

    /// Reads a name in a store.
    fn read(name: &str) -> Option<Self> {
        let mut words = name.split(' ');
        let (what, word, last) = (words.next()?, words.next()?, words.next());
        if what == "seen" {
            return Some(Self::Seen(word.parse().ok()?));
        }
        let (manager, who) = (word.parse().ok()?, last?);
        let key = match who.parse() {
            Ok(source) => Key::Source(source),
            Err(_) => Key::Agent(who.parse().ok()?),
        };
        Some(match (what, key) {
            ("connection", key) => Self::Connection(key, manager),
            ("rest-connection", Key::Source(source)) => Self::Rest(source, manager, Moment::Connection),
            ("rest-call", Key::Source(source)) => Self::Rest(source, manager, Moment::Exchange),
            (route, key) => Self::Exchange(key, manager, serde_json::from_value(json!(route)).ok()?),
        })
    }
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    /// The value of a key, and the key that was dropped for it.
    fn entry(&mut self, key: K, new: V) -> (&mut V, Option<K>) {
        let mut dropped = None;
        if !self.entries.contains_key(&key) {
            if self.entries.len() >= MOST
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
                dropped = Some(oldest);
            }
            self.order.push_back(key);
        }
        (self.entries.entry(key).or_insert(new), dropped)
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
    fn a_later_run_counts_on_from_what_was_kept_and_only_changes_are_written() {
        let (mut counts, since) = (OrdinalCounter::default(), Some(Timestamp::from_seconds(1)));
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let (known, unknown) = (Key::Agent(agent(1)), Key::Source(here));
        let mut kept = HashMap::new();
        let mut keep = |counts: &mut OrdinalCounter, since, everything| {
            let CountsToKeep { clears, counts: new } = counts.take_changed(since, everything);
            if clears {
                kept.clear();
            }
            let written = new.len();
            for (name, value) in new {
                match value {
                    Some(value) => kept.insert(name, value),
                    None => kept.remove(&name),
                };
            }
            (written, kept.clone())
        };
        let count_each = |counts: &mut OrdinalCounter| {
            [
                counts.connection(known, 0, since),
                counts.connection(unknown, 1, since),
                counts.exchange(known, 0, Route::Index, since),
                counts.rest(here, 0, Moment::Connection, since),
                counts.rest(here, 0, Moment::Exchange, since),
            ]
        };
        assert_eq!(count_each(&mut counts), [1; 5]);
        counts.saw(here, agent(1));
        assert_eq!(keep(&mut counts, since, true).0, 6);
        assert_eq!(counts.exchange(known, 0, Route::Index, since), 2);
        counts.saw(here, agent(1));
        let (written, all) = keep(&mut counts, since, false);
        assert_eq!((written, all.len()), (1, 6));
        let mut later = OrdinalCounter::default();
        later.go_on_with(since, all);
        assert_eq!((count_each(&mut later), later.only_one_at(here)), ([2, 2, 3, 2, 2], Some(agent(1))));
        assert_eq!(keep(&mut later, since, false).0, 5);
        // A first fault begins anew, also at the time of the one before.
        later.begin(&[]);
        assert_eq!(count_each(&mut later), [1; 5]);
        // Without a fault nothing is counted, and what was kept goes.
        assert!(keep(&mut later, None, false).1.is_empty());
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
            *map.entry(key, 0).0 += 1;
        }
        assert_eq!((map.entries.len(), map.order.len()), (MOST, MOST));
        assert!(!map.entries.contains_key(&0) && map.entries.contains_key(&MOST));
    }
}
