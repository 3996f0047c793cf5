//! The registered clients in the orders in which they are asked for: sorted once, and again only after the registry has
//! changed. So a page costs the same with a hundred clients as with a hundred thousand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use epm_protocol::id::{AgentId, GroupId, HardwareKey};
use epm_protocol::site::Client;

/// The clients, sorted. The present index is kept until the registry is another.
#[derive(Debug, Default)]
pub(crate) struct Roster(Mutex<Option<(u64, Arc<Index>)>>);

/// The clients, sorted.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// By the names of their computers.
    pub(crate) by_name: Vec<AgentId>,
    /// By their identifiers.
    pub(crate) by_id: Vec<AgentId>,
    groups: HashMap<GroupId, Vec<AgentId>>,
    machines: HashMap<HardwareKey, AgentId>,
}

impl Roster {
    /// The clients, sorted; `clients` are looked at only if `version` is another than last time.
    pub(crate) fn index<'a, C: Iterator<Item = &'a Client>>(
        &self,
        version: u64,
        clients: impl FnOnce() -> C,
    ) -> Arc<Index> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, index)) = &*known
            && *of == version
        {
            return Arc::clone(index);
        }
        let index = Arc::new(Index::of(clients()));
        *known = Some((version, Arc::clone(&index)));
        index
    }
}

impl Index {
    fn of<'a>(clients: impl Iterator<Item = &'a Client>) -> Self {
        let mut clients: Vec<&Client> = clients.collect();
        clients.sort_by(|one, two| (&one.computer_name, one.agent).cmp(&(&two.computer_name, two.agent)));
        let by_name: Vec<AgentId> = clients.iter().map(|one| one.agent).collect();
        let mut by_id = by_name.clone();
        by_id.sort_unstable();
        let mut index = Self { by_name, by_id, ..Self::default() };
        for client in clients {
            index.groups.entry(client.group).or_default().push(client.agent);
            index.machines.insert(client.hardware_key, client.agent);
        }
        index
    }

    /// The clients of one group, by name.
    pub(crate) fn of_group(&self, group: GroupId) -> &[AgentId] {
        self.groups.get(&group).map_or(&[], Vec::as_slice)
    }

    /// The client on this machine.
    pub(crate) fn on(&self, machine: HardwareKey) -> Option<AgentId> {
        self.machines.get(&machine).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::Ipv4Addr;

    use epm_protocol::id::Guid;
    use epm_protocol::version::ClientVersion;

    use super::*;

    fn client(number: usize) -> Client {
        let id = |kind| Guid::derive(0, kind, &number.to_string(), Ipv4Addr::LOCALHOST);
        Client {
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

    #[test]
    fn the_registry_is_looked_at_once_for_each_of_its_versions() {
        let looked = Cell::new(0);
        for count in [100, 100_000] {
            let clients: Vec<Client> = (0..count).map(client).collect();
            let roster = Roster::default();
            let index = |version| {
                roster.index(version, || {
                    looked.set(looked.get() + 1);
                    clients.iter()
                })
            };
            looked.set(0);
            let first = index(1);
            let pages = (0..1000).all(|_| Arc::ptr_eq(&first, &index(1)));
            assert!(pages && looked.get() == 1, "{count} clients were sorted {} times", looked.get());
            assert!(!Arc::ptr_eq(&first, &index(2)));
            assert_eq!((looked.get(), first.by_name.len(), first.by_id.len()), (2, count, count));
        }
    }

    #[test]
    fn clients_are_in_order_and_found_by_group_and_machine() {
        let clients: Vec<Client> = (0..100).map(client).collect();
        let index = Roster::default().index(1, || clients.iter());
        let name = |id: &AgentId| &clients.iter().find(|one| one.agent == *id).unwrap().computer_name;
        assert!(index.by_name.is_sorted_by_key(name));
        assert!(index.by_id.is_sorted());
        assert_eq!(index.of_group(clients[0].group).len(), 50);
        assert_eq!(index.on(clients[7].hardware_key), Some(clients[7].agent));
    }
}
