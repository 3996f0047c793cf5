//! Sorted indexes of the registered clients, updated with the differences since the last use. A page costs the same
//! with a hundred clients as with a hundred thousand; after a change, only one pass over the client table is added.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use epm_protocol::id::{AgentId, GroupId, HardwareKey};
use epm_protocol::site::RegisteredClient;
use parking_lot::Mutex;

/// The sorted clients. The index is reused until the client table changes.
#[derive(Debug, Default)]
pub(crate) struct ClientIndex(Mutex<Option<(u64, Arc<Index>)>>);

/// The clients, sorted in several orders.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Clients by computer name.
    pub(crate) by_name: Vec<AgentId>,
    /// Clients by identifier.
    pub(crate) by_id: Vec<AgentId>,
    /// Sort keys of the clients, by identifier.
    entries: Vec<Entry>,
    groups: HashMap<GroupId, Vec<AgentId>>,
    machines: HashMap<HardwareKey, AgentId>,
}

/// Sort key of a client.
#[derive(Clone, Debug)]
struct Entry {
    agent: AgentId,
    name: Arc<str>,
    group: GroupId,
    machine: HardwareKey,
}

impl Entry {
    fn of(client: &RegisteredClient) -> Self {
        let name = Arc::from(client.computer_name.as_str());
        Self { agent: client.agent, name, group: client.group, machine: client.hardware_key }
    }

    fn is(&self, client: &RegisteredClient) -> bool {
        self.group == client.group
            && self.machine == client.hardware_key
            && *self.name == *client.computer_name
    }

    fn rank(&self) -> (&str, AgentId) {
        (&self.name, self.agent)
    }
}

impl ClientIndex {
    /// The sorted clients. `clients`, ordered by identifier, is read only if `version` has changed.
    pub(crate) fn index<'a, C: Iterator<Item = &'a RegisteredClient>>(
        &self,
        version: u64,
        clients: impl FnOnce() -> C,
    ) -> Arc<Index> {
        let mut known = self.0.lock();
        let (of, index) = known.get_or_insert_with(|| (version.wrapping_sub(1), Arc::default()));
        if *of != version {
            // Readers of the old index keep it.
            Arc::make_mut(index).follow(clients());
            *of = version;
        }
        Arc::clone(index)
    }
}

impl Index {
    /// Adds new clients and removes those that are gone; a changed client is removed and added.
    fn follow<'a>(&mut self, clients: impl Iterator<Item = &'a RegisteredClient>) {
        let before = std::mem::take(&mut self.entries);
        let mut before = before.into_iter().peekable();
        let (mut entries, mut come, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for client in clients {
            while let Some(entry) = before.next_if(|one| one.agent < client.agent) {
                gone.push(entry);
            }
            match before.next_if(|one| one.agent == client.agent) {
                Some(entry) if entry.is(client) => entries.push(entry),
                known => {
                    gone.extend(known);
                    let entry = Entry::of(client);
                    come.push(entry.clone());
                    entries.push(entry);
                }
            }
        }
        gone.extend(before);
        come.sort_by(|one, two| one.rank().cmp(&two.rank()));
        self.entries = entries;
        self.by_id = self.entries.iter().map(|one| one.agent).collect();
        for one in &gone {
            if self.machines.get(&one.machine) == Some(&one.agent) {
                self.machines.remove(&one.machine);
            }
        }
        self.machines.extend(come.iter().map(|one| (one.machine, one.agent)));
        let agents = |of: &[&Entry]| of.iter().map(|one| one.agent).collect::<HashSet<_>>();
        let all: Vec<&Entry> = gone.iter().collect();
        self.by_name = merged(&self.entries, &self.by_name, &agents(&all), &come.iter().collect::<Vec<_>>());
        let mut concerned: HashMap<GroupId, (Vec<&Entry>, Vec<&Entry>)> = HashMap::new();
        gone.iter().for_each(|one| concerned.entry(one.group).or_default().0.push(one));
        come.iter().for_each(|one| concerned.entry(one.group).or_default().1.push(one));
        for (group, (gone, come)) in concerned {
            let of_before = self.groups.remove(&group).unwrap_or_default();
            let of_now = merged(&self.entries, &of_before, &agents(&gone), &come);
            if !of_now.is_empty() {
                self.groups.insert(group, of_now);
            }
        }
    }

    /// Clients of a group, by name.
    pub(crate) fn of_group(&self, group: GroupId) -> &[AgentId] {
        self.groups.get(&group).map_or(&[], Vec::as_slice)
    }

    /// The client on this machine.
    pub(crate) fn on(&self, machine: HardwareKey) -> Option<AgentId> {
        self.machines.get(&machine).copied()
    }
}

/// Merges a list sorted by name with new clients sorted by name, without those that are gone.
fn merged(entries: &[Entry], before: &[AgentId], gone: &HashSet<AgentId>, come: &[&Entry]) -> Vec<AgentId> {
    let kept: Vec<AgentId> = before.iter().copied().filter(|one| !gone.contains(one)).collect();
    let rank = |agent: AgentId| {
        let at = entries.binary_search_by_key(&agent, |one| one.agent);
        at.ok().and_then(|at| entries.get(at)).map(Entry::rank)
    };
    let mut list = Vec::with_capacity(kept.len() + come.len());
    let mut rest = kept.as_slice();
    for one in come {
        let (first, others) = rest.split_at(rest.partition_point(|kept| rank(*kept) < Some(one.rank())));
        list.extend_from_slice(first);
        list.push(one.agent);
        rest = others;
    }
    list.extend_from_slice(rest);
    list
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::Ipv4Addr;

    use epm_protocol::id::Guid;
    use epm_protocol::version::ClientVersion;

    use super::*;

    fn client(number: usize) -> RegisteredClient {
        let id = |kind| Guid::derive(0, kind, &number.to_string(), Ipv4Addr::LOCALHOST);
        RegisteredClient {
            agent: AgentId(id("agent")),
            hardware_key: HardwareKey(id("hardware")),
            computer_name: format!("pc-{:06}", (number * 7_919) % 100_003),
            version: ClientVersion::new(14, 3),
            group: GroupId(Guid::from_bytes([u8::try_from(number % 2).unwrap(); 16])),
            turn: 0,
            conflicts: Vec::new(),
            is_duplicate: false,
        }
    }

    fn sorted(clients: impl Iterator<Item = RegisteredClient>) -> Vec<RegisteredClient> {
        let mut clients: Vec<RegisteredClient> = clients.collect();
        clients.sort_by_key(|one| one.agent);
        clients
    }

    /// The contents of the index, independent of the order of its maps.
    fn told(index: &Index, clients: &[RegisteredClient]) -> impl PartialEq + std::fmt::Debug {
        let groups: Vec<Vec<AgentId>> =
            (0..4).map(|n| index.of_group(GroupId(Guid::from_bytes([n; 16]))).to_vec()).collect();
        let machines: Vec<Option<AgentId>> = clients.iter().map(|one| index.on(one.hardware_key)).collect();
        (
            index.by_name.clone(),
            index.by_id.clone(),
            groups,
            machines,
            index.machines.len(),
            index.groups.len(),
        )
    }

    #[test]
    fn an_index_that_follows_the_registry_is_the_one_that_is_made_anew() {
        let client_index = ClientIndex::default();
        let mut present: Vec<usize> = (0..60).collect();
        for round in 0..40_usize {
            // Some clients are removed, added, renamed or moved; in some rounds all of them, in some none.
            present.retain(|number| (number + round) % 7 != 0 || round % 5 == 4);
            present.extend((0..round % 4).map(|more| 1000 + round * 10 + more));
            if round == 20 {
                present.clear();
            }
            let changed = |number: &usize| {
                let mut one = client(*number);
                if (number + round).is_multiple_of(5) {
                    one.computer_name = format!("pc-renamed-{:03}", (number * 31 + round) % 100);
                }
                if (number + round).is_multiple_of(3) {
                    one.group = GroupId(Guid::from_bytes([u8::try_from((number + round) % 4).unwrap(); 16]));
                }
                one
            };
            let clients = sorted(present.iter().map(changed));
            let version = u64::try_from(round).unwrap();
            let followed = client_index.index(version, || clients.iter());
            let anew = ClientIndex::default().index(version, || clients.iter());
            assert_eq!(told(&followed, &clients), told(&anew, &clients), "round {round}");
        }
    }

    #[test]
    fn the_registry_is_looked_at_once_for_each_of_its_versions() {
        let looked = Cell::new(0);
        for count in [100, 100_000] {
            let clients = sorted((0..count).map(client));
            let client_index = ClientIndex::default();
            let index = |version| {
                client_index.index(version, || {
                    looked.set(looked.get() + 1);
                    clients.iter()
                })
            };
            looked.set(0);
            let first = index(1);
            let pages = (0..1000).all(|_| Arc::ptr_eq(&first, &index(1)));
            assert!(pages && looked.get() == 1, "{count} clients were sorted {} times", looked.get());
            assert!(!Arc::ptr_eq(&first, &index(2)), "who still looks at it keeps it");
            assert_eq!((looked.get(), first.by_name.len(), first.by_id.len()), (2, count, count));
        }
    }

    #[test]
    fn clients_are_in_order_and_found_by_group_and_machine() {
        let clients = sorted((0..100).map(client));
        let index = ClientIndex::default().index(1, || clients.iter());
        let name = |id: &AgentId| &clients.iter().find(|one| one.agent == *id).unwrap().computer_name;
        assert!(index.by_name.is_sorted_by_key(name));
        assert!(index.by_id.is_sorted());
        assert_eq!(index.of_group(clients[0].group).len(), 50);
        assert_eq!(index.on(clients[7].hardware_key), Some(clients[7].agent));
    }
}
