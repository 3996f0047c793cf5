//! What a client is doing: nothing, a heartbeat and how far it has come, or holding a request.

use epm_protocol::heartbeat::{Artifact, Index};
use epm_protocol::time::Timestamp;

use super::failover::Server;

/// What a client is doing.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Stopped,
    Resting,
    InHeartbeat(Box<HeartbeatState>),
    Holding { exchange: u64 },
}

/// A heartbeat under way.
#[derive(Clone, Debug)]
pub(super) struct HeartbeatState {
    pub(super) deadline: Timestamp,
    /// The servers that have not had their turn, the next one last.
    pub(super) left: Vec<Server>,
    pub(super) server: Server,
    pub(super) exchange: u64,
    pub(super) step: HeartbeatStep,
    pub(super) index: Option<Index>,
    /// What is still to be fetched, the next one last.
    pub(super) to_fetch: Vec<Artifact>,
    pub(super) registered_anew: bool,
    pub(super) adopted: bool,
    /// Whether it has learnt something that is not kept yet.
    pub(super) unkept: bool,
}

/// How far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeartbeatStep {
    Register,
    Index,
    Fetch(Artifact),
    Report,
}
