//! The state fingerprint of a client: its state without its name, its dates and its counts. Clients with equal
//! fingerprints behave alike, which is what makes a rehearsal fast.
//!
//! What a client does next depends on what it holds, and not on its identity or on how long it has held it. What
//! does depend on the time comes from its schedule and from the order of its servers.

use std::sync::Arc;

use epm_protocol::assumption::LoadBalance;
use epm_protocol::id::HardwareKey;
use epm_protocol::time::Timestamp;
use epm_protocol::version::ClientVersion;
use serde::Serialize;

use super::cache::{AgentState, Dates};
use super::exchange::AgentProfile;
use super::failover::{self, Server};
use super::health::Distrust;
use super::heartbeat_state::Phase;
use super::schedule::{STICKY_FOR, Schedule, Timing};
use super::state::Agent;

/// The counters of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) heartbeats: u64,
    pub(crate) heartbeats_served: u64,
    pub(crate) exchanges: u64,
}

/// The servers from which a client chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The number of servers in each priority.
    blocks: Vec<usize>,
    /// The index of the server that the client would stay with.
    last: Option<usize>,
    balance: LoadBalance,
}

impl Choice {
    /// The order in which the servers are tried; `stays` is whether it is too early to consult the list again.
    pub(crate) fn order(&self, stays: bool, seed: u64, now: Timestamp) -> Vec<usize> {
        failover::order(&self.blocks, self.last.filter(|_| stays), self.balance, seed, now)
    }

    /// The number of possible orders.
    pub(crate) fn orders(&self) -> usize {
        match self.balance {
            LoadBalance::InOrder => 1,
            LoadBalance::Drawn => {
                let ways = |block: &usize| (1..=*block).fold(1_usize, usize::saturating_mul);
                self.blocks.iter().map(ways).fold(1, usize::saturating_mul)
            }
        }
    }
}

/// Everything that decides what a client does next, beside its communications file. Dates, where there are any, must be set to one
/// and the same before.
#[derive(PartialEq, Serialize)]
struct EquivalenceKey<'a> {
    version: ClientVersion,
    use_last_server: bool,
    state: &'a AgentState,
    phase: &'static str,
    distrusted: Vec<(&'a Server, &'a Distrust)>,
    missed: usize,
    served_since_start: bool,
}

impl Agent {
    fn equivalence_key(&self) -> EquivalenceKey<'_> {
        EquivalenceKey {
            version: self.profile.version,
            use_last_server: self.profile.use_last_server,
            state: &self.trust_state.cache.state,
            phase: match self.phase {
                Phase::Stopped => "stopped",
                Phase::Resting => "resting",
                Phase::InHeartbeat(_) => "beating",
                Phase::Holding { .. } => "holding",
            },
            distrusted: self.distrusted.iter().collect(),
            missed: self.missed,
            served_since_start: self.served_since_start,
        }
    }

    /// The state fingerprint: everything that decides what the client does next, in one text.
    pub(crate) fn state_fingerprint(&self) -> String {
        let key = serde_json::to_string(&self.equivalence_key()).unwrap_or_default();
        key + &self.trust_state.cache.sylink.to_xml()
    }

    /// Whether the other client has the same state fingerprint, if their communications file is one object: quicker than writing
    /// both down.
    pub(crate) fn is_equivalent_to(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.trust_state.cache.sylink, &other.trust_state.cache.sylink)
            && self.equivalence_key() == other.equivalence_key()
    }

    pub(crate) fn dates(&self) -> Dates {
        self.trust_state.cache.state.dates()
    }

    /// Sets the given dates; others stay absent.
    pub(crate) fn set_dates(&mut self, dates: Dates) {
        self.trust_state.cache.state.set_dates(dates);
    }

    /// Takes the client's counters and resets them, and the number of its exchanges.
    pub(crate) fn take_counts(&mut self) -> Counts {
        if let Phase::Holding { exchange } = &mut self.phase {
            *exchange = 0;
        }
        Counts {
            heartbeats: std::mem::take(&mut self.heartbeats),
            heartbeats_served: std::mem::take(&mut self.heartbeats_served),
            exchanges: std::mem::take(&mut self.exchanges),
        }
    }

    /// The client's counters.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            heartbeats: self.heartbeats,
            heartbeats_served: self.heartbeats_served,
            exchanges: self.exchanges,
        }
    }

    /// Sets the client's counters.
    pub(crate) fn set_counts(&mut self, counts: Counts) {
        (self.heartbeats, self.heartbeats_served) = (counts.heartbeats, counts.heartbeats_served);
        self.exchanges = counts.exchanges;
    }

    /// Sets the client's name.
    pub(crate) fn set_name(&mut self, name: &str) {
        let mut profile = AgentProfile::clone(&self.profile);
        name.clone_into(&mut profile.computer_name);
        self.profile = profile.into();
    }

    /// Sets the hardware id of the client's machine.
    pub(crate) fn set_machine(&mut self, machine: HardwareKey) {
        let mut profile = AgentProfile::clone(&self.profile);
        profile.hardware_key = machine;
        self.profile = profile.into();
    }

    /// The decisions of the last input about the next heartbeat.
    pub(crate) fn timings(&self) -> &[Timing] {
        &self.timings
    }

    /// Sets the seed of the client's random draws.
    pub(crate) fn set_seed(&mut self, seed: u64) {
        let mut profile = AgentProfile::clone(&self.profile);
        profile.seed = seed;
        self.profile = profile.into();
        self.schedule.set_seed(seed);
    }

    /// Replaces the schedule of the client's heartbeats.
    pub(crate) fn set_schedule(&mut self, schedule: Schedule) {
        self.schedule = schedule;
    }

    /// The schedule of the client's heartbeats.
    pub(crate) fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// The servers from which the client chooses.
    pub(crate) fn choice(&self) -> Choice {
        let priorities = &self.trust_state.conf.list.priorities;
        let last = self.trust_state.cache.state.last_server.as_ref().filter(|_| self.profile.use_last_server);
        let mut servers = priorities.iter().flatten().map(Server::of_list);
        Choice {
            blocks: priorities.iter().map(Vec::len).collect(),
            last: last.and_then(|last| servers.position(|server| server == last.server)),
            balance: self.assumptions.load_balance,
        }
    }

    /// Whether the client authenticates its managers.
    pub(crate) fn is_secure(&self) -> bool {
        self.trust_state.secure()
    }

    /// The certificates that the client trusts.
    pub(crate) fn pins(&self) -> &epm_protocol::trust::Pins {
        &self.trust_state.pins
    }
}

/// Whether a client that has stayed with its server since then still does not consult its list.
pub(crate) fn stays(since: Timestamp, now: Timestamp) -> bool {
    now < stays_until(since)
}

/// The time until which a client stays with its server.
pub(crate) fn stays_until(since: Timestamp) -> Timestamp {
    since + STICKY_FOR
}
