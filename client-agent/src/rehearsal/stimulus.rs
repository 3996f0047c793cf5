//! The events that happen to a client, and the identity of the client.

use epm_protocol::id::HardwareKey;

use crate::agent::Input;

/// The cause of an activation of a client.
#[derive(Clone, Debug)]
pub(super) enum Stimulus {
    /// An input of the agent.
    Told(Input),
    /// The site has changed: a held request may have an answer now, or its connection has ended.
    Changed,
}

/// The kind of an event that happens to a client: small enough for the key of the memo table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum EventKind {
    /// The machine is booted and the service starts.
    Start,
    Stop,
    Wake,
    /// The site has changed.
    Changed,
    /// The site has forgotten its clients.
    Forgotten,
    /// The operator has moved the client to the group with this number.
    Placed(u32),
    /// The machine is in the location with this number.
    Move(u16),
    /// The communications file with this number is imported.
    Import(u32),
    /// The machine gets another hardware id: the one with this number.
    Identify(u32),
}

/// The identity of a client, for the cases in which it makes a difference.
#[derive(Debug)]
pub(super) struct ClientIdentity {
    pub(super) name: String,
    /// The hardware id with which the client was installed.
    pub(super) machine: HardwareKey,
    /// Whether other clients can change what happens to this one.
    pub(super) interacts: bool,
}
