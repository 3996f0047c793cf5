//! The clients of a large fleet: names, hardware ids and seeds, derived from the seed and the number of each, so
//! that a fleet can be split by numbers.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use epm_protocol::assumption::Assumptions;
use epm_protocol::sylink::Sylink;
use epm_protocol::version::ClientVersion;

use crate::agent::{Agent, AgentProfile, AgentState, Cache};
use crate::scenario::client_profile;

/// The first source address of a fleet's clients on loopback; the 8 million from here on belong to no client of a lab.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([127, 128, 0, 1]);
/// The number of source addresses.
const ADDRESSES: u32 = (1 << 23) - 2;

/// The specification of a large fleet.
#[derive(Clone, Debug)]
pub struct FleetSpec {
    /// The name of the fleet; its clients are called NAME-1, NAME-2 and so on.
    pub name: String,
    /// The seed from which the identities derive.
    pub seed: u64,
    /// The number of the first client of this process, from 1.
    pub first: u32,
    /// The number of clients of this process.
    pub clients: u32,
    /// The version of the clients.
    pub version: ClientVersion,
    /// The communications file of their installation.
    pub sylink: Arc<Sylink>,
    /// The location of the clients; the default one if none.
    pub location: Option<String>,
    /// The interval between heartbeats; the communications settings decide if none.
    pub heartbeat: Option<Duration>,
    /// The number of clients that may be in a heartbeat at the same time.
    pub in_flight: u32,
    /// The number of clients that are started per second at most; as many as there is room for if none.
    pub ramp: Option<u32>,
    /// Whether each client connects from a loopback address of its own.
    pub own_addresses: bool,
    /// What the clients do where no source says it.
    pub assumptions: Arc<Assumptions>,
}

impl FleetSpec {
    /// The number of the client with this index.
    pub(super) fn number(&self, index: u32) -> u32 {
        self.first.saturating_add(index)
    }

    /// The name of the client with this index.
    pub(super) fn client_name(&self, index: u32) -> String {
        format!("{}-{}", self.name, self.number(index))
    }

    /// The identity of the client with this index.
    pub(super) fn profile(&self, index: u32) -> AgentProfile {
        client_profile(self.seed, &self.name, self.number(index), self.version)
    }

    /// The source address of the client with this index.
    pub(super) fn source(&self, index: u32) -> Option<Ipv4Addr> {
        let place = (self.number(index) - 1) % ADDRESSES;
        self.own_addresses.then(|| Ipv4Addr::from_bits(FIRST_ADDRESS + place))
    }

    /// The client with this index as it is installed, or with the cache that it had.
    pub(super) fn agent(&self, index: u32, kept: Option<Cache>) -> Agent {
        let cache = kept.unwrap_or_else(|| Cache {
            sylink: Arc::clone(&self.sylink),
            state: AgentState { location: self.location.clone(), ..AgentState::default() },
        });
        let mut agent = Agent::new(self.profile(index), cache, Arc::clone(&self.assumptions));
        agent.fix_interval(self.heartbeat);
        agent
    }
}

/// The clients of shard `shard` of `shards`, both from 1: the number of the first, and how many there are. Together the
/// shards have every client once.
pub fn shard(clients: u32, shard: u32, shards: u32) -> (u32, u32) {
    let before = |shards_before: u32| {
        let clients = u64::from(clients) * u64::from(shards_before) / u64::from(shards.max(1));
        u32::try_from(clients).unwrap_or(u32::MAX)
    };
    let (first, end) = (before(shard.saturating_sub(1)), before(shard));
    (first + 1, end.saturating_sub(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shards_of_a_fleet_have_every_client_once() {
        for (clients, shards) in [(100_000, 7), (5, 5), (3, 7), (1, 1)] {
            let all: Vec<u32> = (1..=shards)
                .map(|one| shard(clients, one, shards))
                .flat_map(|(first, count)| first..first + count)
                .collect();
            assert_eq!(all, (1..=clients).collect::<Vec<_>>(), "{clients} in {shards}");
        }
    }
}
