//! The memo table: clients in equal states share memoised results.
//!
//! A [`Node`] is a client's state without its name, dates and counts. The real [`crate::agent::Agent`] plays each
//! activation once for each node; every other client at that node gets the same [`Value`]. Everything that can make a
//! difference is in the [`Key`]; tests that play every heartbeat show that nothing is missing there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use epm_protocol::id::{AgentId, HardwareKey};
use epm_protocol::site::RegisteredClient;
use epm_protocol::sylink::Sylink;
use epm_protocol::time::Timestamp;
use rustc_hash::FxHashMap;

use super::activation::{ClientSnapshot, Image};
use super::hourly::{Counted, Trust};
use super::stimulus::{EventKind, Stimulus};
use super::transcript::ManagerAction;
use super::world::World;
use crate::agent::{Choice, Dates, Event, Input, Schedule, Timing, stays};

/// The number of a node.
pub(super) type NodeId = u32;

/// A client's state without its name, dates and counts.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) snapshot: ClientSnapshot,
    pub(super) choice: Choice,
    pub(super) counted: Counted,
}

/// Everything that decides what a client does in an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) node: NodeId,
    pub(super) kind: EventKind,
    pub(super) world: u32,
    /// The number of validities of certificates that have begun or ended.
    pub(super) epoch: u32,
    /// Whether the client stays with its last server, and does not consult its list.
    pub(super) stays: bool,
    /// The order of the servers, four bits for each.
    pub(super) order: u64,
}

/// The effect of an activation on a date in a client's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DateChange {
    Absent,
    Kept,
    Now,
}

/// The result for every client with the same key.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) after: NodeId,
    pub(super) timings: Vec<Timing>,
    pub(super) lines: Vec<(Event, String)>,
    pub(super) visits: Vec<usize>,
    pub(super) manager_events: Vec<(usize, ManagerAction)>,
    pub(super) health: DateChange,
    pub(super) last_server: DateChange,
    pub(super) heartbeats: u64,
    pub(super) served: u64,
    pub(super) exchanges: u64,
}

/// The activations that have been played, by their keys.
#[derive(Debug, Default)]
pub(super) struct MemoTable {
    nodes: Vec<Node>,
    by_fingerprint: FxHashMap<String, NodeId>,
    values: Vec<Value>,
    by_key: FxHashMap<Key, u32>,
    /// For each key of a heartbeat, the index of its value if the heartbeat is quiet.
    quiet: FxHashMap<Key, Option<u32>>,
    images: FxHashMap<u32, NodeId>,
    /// The locations, by their numbers.
    pub(super) locations: Vec<Option<String>>,
    /// The communications files that are imported, by their numbers.
    pub(super) imports: Vec<Arc<Sylink>>,
    /// The hardware ids that are given to machines, by their numbers; none stands for each machine's own.
    pub(super) identities: Vec<Option<HardwareKey>>,
    /// The number of held requests of interacting clients.
    pub(super) held: u64,
    /// The registrations of interacting clients.
    pub(super) shared: BTreeMap<AgentId, RegisteredClient>,
    /// Invariants that were broken.
    pub(super) broken: Vec<String>,
}

/// The number of orders of servers above which the order is assumed to matter.
const MOST_ORDERS: usize = 24;
/// The largest number of servers that a packed order can name.
const MOST_SERVERS: usize = 16;

impl MemoTable {
    pub(super) fn new(locations: Vec<Option<String>>) -> Self {
        Self { locations, ..Self::default() }
    }

    pub(super) fn node(&self, node: NodeId) -> &Node {
        &self.nodes[node as usize]
    }

    /// The location with this number.
    pub(super) fn location(&self, place: u16) -> Option<String> {
        self.locations.get(usize::from(place)).cloned().flatten()
    }

    /// The import of the communications file with this number.
    pub(super) fn import(&self, number: u32) -> Stimulus {
        let file = usize::try_from(number).ok().and_then(|place| self.imports.get(place));
        file.map_or(Stimulus::Changed, |file| Stimulus::Told(Input::Import(Arc::clone(file))))
    }

    /// The node of a client as it is installed.
    pub(super) fn installed(&mut self, image: &Image, world: &World) -> NodeId {
        if let Some(known) = self.images.get(&image.number) {
            return *known;
        }
        let node = self.admit(image.snapshot.clone(), None, world);
        self.images.insert(image.number, node);
        node
    }

    /// The node of this client, without its dates and counts; a new one if there is none yet. `likely` is tried first.
    pub(super) fn admit(
        &mut self,
        mut snapshot: ClientSnapshot,
        likely: Option<NodeId>,
        world: &World,
    ) -> NodeId {
        snapshot.agent.take_counts();
        snapshot
            .agent
            .set_dates(Dates { health: Some(Timestamp::EPOCH), last_server: Some(Timestamp::EPOCH) });
        if let Some(held) = &mut snapshot.held {
            held.id = 0;
        }
        let group_of = |one: &ClientSnapshot| one.record.as_ref().map(|record| record.group);
        let group = group_of(&snapshot);
        let is_at = |node: &NodeId| {
            let there = &self.node(*node).snapshot;
            group_of(there) == group && there.agent.is_equivalent_to(&snapshot.agent)
        };
        if let Some(node) = likely.filter(is_at) {
            return node;
        }
        let group = group.map(|group| group.to_string()).unwrap_or_default();
        let fingerprint = format!("{group} {}", snapshot.agent.state_fingerprint());
        if let Some(known) = self.by_fingerprint.get(&fingerprint) {
            return *known;
        }
        let id = NodeId::try_from(self.nodes.len()).unwrap_or(NodeId::MAX);
        self.nodes.push(Node {
            choice: snapshot.agent.choice(),
            counted: Counted {
                trust: Trust::of(snapshot.agent.pins(), &world.old, &world.new),
                is_orphaned: snapshot.agent.cache().state.health.orphaned().is_some(),
            },
            snapshot,
        });
        self.by_fingerprint.insert(fingerprint, id);
        id
    }

    /// The order of a node's servers at this moment, packed for a key; none if there are too many servers.
    pub(super) fn order(&self, node: NodeId, stays: bool, seed: u64, now: Timestamp) -> Option<u64> {
        let choice = &self.node(node).choice;
        if choice.orders() == 1 {
            return Some(0);
        }
        let order = choice.order(stays, seed, now);
        (order.len() <= MOST_SERVERS)
            .then(|| order.iter().fold(0, |packed, place| packed << 4 | *place as u64))
    }

    /// Returns the value of this key, and plays it if necessary. `seed` and `now` must give the key's order of servers.
    pub(super) fn value(&mut self, key: Key, world: &World, seed: u64, now: Timestamp) -> &Value {
        let place = self.index_of(key, world, seed, now);
        &self.values[place as usize]
    }

    fn index_of(&mut self, key: Key, world: &World, seed: u64, now: Timestamp) -> u32 {
        if let Some(known) = self.by_key.get(&key) {
            return *known;
        }
        let value = self.play(key, world, seed, now);
        let place = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value);
        self.by_key.insert(key, place);
        place
    }

    /// Plays an activation with a client whose dates can be recognised afterwards.
    fn play(&mut self, key: Key, world: &World, seed: u64, now: Timestamp) -> Value {
        let mut snapshot = self.node(key.node).snapshot.clone();
        let health = now - Duration::from_millis(3_600_001);
        let last_server = now - Duration::from_secs(if key.stays { 3600 } else { 25 * 3600 });
        snapshot.agent.set_seed(seed);
        // The client that applies the value has its own schedule, which decides what a date that is now here becomes.
        snapshot.agent.set_schedule(Schedule::new(seed, world.site.assumptions()));
        snapshot.agent.set_dates(Dates { health: Some(health), last_server: Some(last_server) });
        let had = snapshot.agent.dates();
        debug_assert_eq!(key.stays, had.last_server.is_some_and(|since| stays(since, now)));
        let stimulus = match key.kind {
            EventKind::Start => Stimulus::Told(Input::Start { booted: now }),
            EventKind::Stop => Stimulus::Told(Input::Stop),
            EventKind::Wake => Stimulus::Told(Input::Wake),
            // A client that may share a hardware id is never memoised.
            EventKind::Changed | EventKind::Identify(_) => Stimulus::Changed,
            EventKind::Move(place) => Stimulus::Told(Input::MoveTo(self.location(place))),
            EventKind::Import(file) => self.import(file),
            EventKind::Forgotten => {
                snapshot.record = None;
                Stimulus::Changed
            }
            EventKind::Placed(group) => {
                world.place(snapshot.record.as_mut(), group);
                Stimulus::Changed
            }
        };
        let activation = snapshot.activate(stimulus, world, now, None);
        self.broken.extend(activation.broken);
        let has = snapshot.agent.dates();
        let counts = snapshot.agent.take_counts();
        Value {
            after: self.admit(snapshot, Some(key.node), world),
            timings: activation.timings,
            lines: activation.lines,
            visits: activation.visits,
            manager_events: activation.manager_events,
            health: date_change(has.health, now),
            last_server: date_change(has.last_server, now),
            heartbeats: counts.heartbeats,
            served: counts.heartbeats_served,
            exchanges: counts.exchanges,
        }
    }

    /// Returns the value of this key of a heartbeat if the heartbeat is quiet: the client continues as before, whatever
    /// the order of its servers.
    pub(super) fn quiet_value(
        &mut self,
        key: Key,
        world: &World,
        seed: u64,
        now: Timestamp,
    ) -> Option<&Value> {
        let known = match self.quiet.get(&key) {
            Some(known) => *known,
            None => {
                let is_quiet = self.is_quiet(key, world, seed, now);
                let place = is_quiet.then(|| self.index_of(key, world, seed, now));
                self.quiet.insert(key, place);
                place
            }
        };
        known.map(|place| &self.values[place as usize])
    }

    fn is_quiet(&mut self, key: Key, world: &World, seed: u64, now: Timestamp) -> bool {
        let orders = self.node(key.node).choice.orders();
        let value = self.value(key, world, seed, now);
        if !value.is_quiet(key.node) {
            return false;
        }
        if orders == 1 {
            return true;
        }
        let (visits, served) = (value.visits.clone(), value.served);
        let mut sorted = visits;
        sorted.sort_unstable();
        if orders > MOST_ORDERS {
            return false;
        }
        let mut seen = std::collections::BTreeSet::from([key.order]);
        // Each order is drawn by some seed; if none of these draws it, the order is assumed to matter.
        for seed in 0..100 * orders as u64 {
            if seen.len() == orders {
                break;
            }
            let Some(order) = self.order(key.node, key.stays, seed, now) else { return false };
            if !seen.insert(order) {
                continue;
            }
            let value = self.value(Key { order, ..key }, world, seed, now);
            let mut visits = value.visits.clone();
            visits.sort_unstable();
            if !value.is_quiet(key.node) || visits != sorted || value.served != served {
                return false;
            }
        }
        // A server that always comes first makes some orders equal.
        key.stays || seen.len() == orders
    }
}

impl Value {
    /// Whether the activation changed nothing, and the next regular heartbeat is next.
    fn is_quiet(&self, node: NodeId) -> bool {
        let keeps = |change: DateChange| change != DateChange::Now;
        self.after == node
            && matches!(self.timings[..], [Timing::Begun(_)])
            && keeps(self.health)
            && keeps(self.last_server)
    }
}

fn date_change(date: Option<Timestamp>, now: Timestamp) -> DateChange {
    match date {
        None => DateChange::Absent,
        Some(date) if date == now => DateChange::Now,
        Some(_) => DateChange::Kept,
    }
}
