//! What happens to a client, and which client it happens to.

use epm_protocol::id::HardwareKey;

use crate::agent::Input;

/// What happens to a client.
#[derive(Clone, Debug)]
pub(super) enum Stimulus {
    /// Its carrier tells it something.
    Told(Input),
    /// The site has changed: a held request may have an answer now, or its connection has ended.
    Changed,
}

/// What happens to a client, in small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum EventKind {
    Start,
    Stop,
    Wake,
    /// The site has changed.
    Changed,
    /// The site knows its clients no more.
    Forgotten,
    /// The machine is in the location with this number.
    Move(u16),
    /// Somebody imports the communications file with this number.
    Import(u32),
    /// The machine gets another hardware id: of those that were given, the one with this number.
    Identify(u32),
}

/// Who a client is, where that makes a difference.
#[derive(Debug)]
pub(super) struct ClientIdentity {
    pub(super) name: String,
    /// The hardware id that it is installed with.
    pub(super) machine: HardwareKey,
    /// Whether what others do may change something for it.
    pub(super) interacts: bool,
}
