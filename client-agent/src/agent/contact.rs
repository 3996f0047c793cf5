//! A client's contact with its managers beside its health: when a manager served it last, and how long it stays with that server.

use std::time::Duration;

use epm_protocol::time::Timestamp;

use super::equivalence::stays_until;
use super::heartbeat_state::Phase;
use super::schedule::Schedule;
use super::state::Agent;

/// When a manager served a client last, and how long the client stays with that server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The beginning of the last heartbeat, if it has ended and a manager served the client in it; none before the first heartbeat
    /// since the client's start.
    pub heartbeat: Option<Timestamp>,
    /// The longest time between two regular heartbeats.
    pub interval: Duration,
    /// The time until which the client begins with the server that served it last, whatever its list says; none if it goes by its
    /// list.
    pub stays_until: Option<Timestamp>,
}

impl Agent {
    /// What is known of the client's contact with its managers beside its health.
    pub fn contact(&self) -> Contact {
        self.contact_by(&self.schedule, self.dates().last_server)
    }

    /// As [`Agent::contact`], of a client in this agent's state with a schedule of its own, which has stayed with its server since
    /// `last_server`.
    pub(crate) fn contact_by(&self, schedule: &Schedule, last_server: Option<Timestamp>) -> Contact {
        let state = &self.trust_state.cache.state;
        let rests = matches!(self.phase, Phase::Resting | Phase::Holding { .. });
        let is_served = rests && self.served_since_start && state.health.is_connected();
        let stays = state.last_server.is_some() && self.profile.use_last_server;
        Contact {
            heartbeat: is_served.then(|| schedule.last()),
            interval: schedule.longest_interval(),
            stays_until: last_server.filter(|_| stays).map(stays_until),
        }
    }
}
