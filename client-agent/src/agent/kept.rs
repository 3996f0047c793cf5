//! A client outside of its process: everything that it needs to continue as if nothing had happened, besides its cache.

use std::sync::Arc;

use epm_protocol::assumption::Assumptions;
use epm_protocol::id::HardwareKey;
use epm_protocol::time::Timestamp;
use epm_protocol::version::ClientVersion;
use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::exchange::AgentProfile;
use super::failover::Server;
use super::health::Distrust;
use super::heartbeat_state::Phase;
use super::schedule::KeptSchedule;
use super::state::Agent;

/// The identity of a client and the progress of its heartbeats. Its cache is kept separately: it changes less often, and is
/// larger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptAgent {
    hardware_key: HardwareKey,
    computer_name: String,
    version: ClientVersion,
    seed: u64,
    use_last_server: bool,
    schedule: KeptSchedule,
    is_stopped: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    distrusted: Vec<(Server, Distrust)>,
    missed: usize,
    exchanges: u64,
    heartbeats: u64,
    heartbeats_served: u64,
    served_since_start: bool,
}

impl Agent {
    /// What is kept of the client beside its cache. A heartbeat that is under way at `now` counts as interrupted: the client
    /// begins another one at once.
    pub fn keep(&self, now: Timestamp) -> KeptAgent {
        let resting = self.resumed(now, now);
        let AgentProfile { hardware_key, computer_name, version, seed, use_last_server } = &*resting.profile;
        KeptAgent {
            hardware_key: *hardware_key,
            computer_name: computer_name.clone(),
            version: *version,
            seed: *seed,
            use_last_server: *use_last_server,
            schedule: resting.schedule.keep(),
            is_stopped: resting.is_stopped(),
            distrusted: resting.distrusted.into_iter().collect(),
            missed: resting.missed,
            exchanges: resting.exchanges,
            heartbeats: resting.heartbeats,
            heartbeats_served: resting.heartbeats_served,
            served_since_start: resting.served_since_start,
        }
    }
}

impl KeptAgent {
    /// The client with its cache, in the state in which it was kept at `then`. Heartbeats that have become due until `now` follow as
    /// one, at once; the client was not silent meanwhile.
    pub fn agent(
        self,
        cache: Cache,
        assumptions: Arc<Assumptions>,
        then: Timestamp,
        now: Timestamp,
    ) -> Agent {
        let profile = AgentProfile {
            hardware_key: self.hardware_key,
            computer_name: self.computer_name,
            version: self.version,
            seed: self.seed,
            use_last_server: self.use_last_server,
        };
        let mut agent = Agent::new(profile, cache, assumptions);
        agent.schedule.go_on(&self.schedule, then, now);
        agent.phase = if self.is_stopped { Phase::Stopped } else { Phase::Resting };
        agent.distrusted = self.distrusted.into_iter().collect();
        agent.missed = self.missed;
        agent.exchanges = self.exchanges;
        agent.heartbeats = self.heartbeats;
        agent.heartbeats_served = self.heartbeats_served;
        agent.served_since_start = self.served_since_start;
        agent
    }
}
