//! The activity of a client: none, a heartbeat and its progress, or holding a request.

use epm_protocol::heartbeat::{Artifact, Index};
use epm_protocol::time::Timestamp;

use super::failover::Server;

/// The activity of a client.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Stopped,
    Resting,
    InHeartbeat(Box<HeartbeatState>),
    Holding { exchange: u64 },
}

/// The progress of a heartbeat.
#[derive(Clone, Debug)]
pub(super) struct HeartbeatState {
    pub(super) deadline: Timestamp,
    /// The servers that have not been tried, the next one last.
    pub(super) left: Vec<Server>,
    pub(super) server: Server,
    pub(super) exchange: u64,
    pub(super) step: HeartbeatStep,
    pub(super) index: Option<Index>,
    /// The artifacts that are still to be fetched, the next one last.
    pub(super) to_fetch: Vec<Artifact>,
    pub(super) registered_anew: bool,
    pub(super) adopted: bool,
    /// Whether the client has learnt something that is not in its cache yet.
    pub(super) unkept: bool,
}

/// The step of a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeartbeatStep {
    Register,
    Index,
    Fetch(Artifact),
    Report,
}
