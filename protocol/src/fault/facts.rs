//! What a driver knows when it asks for a verdict: the client, the place, and the ordinal of the occasion.
//!
//! The facts are borrowed, so asking costs nothing where no fault is set.
//!
//! **Ordinals.** The driver counts, from 1: the connections of a client (or of a source address, while the client is
//! not known) at a manager; and the exchanges of a client on a route at a manager. Only occasions count on which some
//! fault could touch the party ([`super::FaultSet::can_touch`]), since the first fault was set
//! ([`super::FaultSet::counting_since`]): without faults nothing is counted, and a heartbeat that no fault can touch
//! may be skipped.

use std::net::IpAddr;

use super::rule::Route;
use crate::id::AgentId;
use crate::policy::Protocol;
use crate::version::ClientVersion;

/// The client at the other end, as far as the driver knows it. A rule that needs an unknown property does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party<'a> {
    /// The identifier of the client, once known.
    pub agent: Option<AgentId>,
    /// The name of the computer, once known.
    pub computer: Option<&'a str>,
    /// The full path of the client's group, once known.
    pub group: Option<&'a str>,
    /// The version of the client's software, once known.
    pub version: Option<ClientVersion>,
    /// The source address of the connection.
    pub source: IpAddr,
}

/// What a manager had before its last change, as far as faults need it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Whether the clients' port showed another certificate before.
    pub certificate: bool,
    /// Whether another key signed downloads before.
    pub signer: bool,
    /// Whether something else was published before.
    pub publication: bool,
}

/// The facts of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionFacts<'a> {
    /// The client that connects. Over sockets this is the source address, and the client where it has been seen from
    /// that address before.
    pub party: Party<'a>,
    /// The manager's name.
    pub manager: &'a str,
    /// The protocol of the connection.
    pub protocol: Protocol,
    /// The ordinal of this connection among those of the client at this manager, from 1.
    pub ordinal: u64,
    /// What the manager had before its last change.
    pub past: Past,
}

/// The facts of a decoded request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeFacts<'a> {
    /// The client that asks.
    pub party: Party<'a>,
    /// The manager's name.
    pub manager: &'a str,
    /// The protocol of the connection.
    pub protocol: Protocol,
    /// The route that the request takes.
    pub route: Route,
    /// The ordinal of this exchange among those of the client on this route at this manager, from 1.
    pub ordinal: u64,
    /// The number of push-mode requests of other clients that the site is holding.
    pub held: u64,
    /// What the manager had before its last change.
    pub past: Past,
}

impl Past {
    /// A manager of which everything was replaced before.
    pub const REPLACED: Self = Self { certificate: true, signer: true, publication: true };
}

impl Party<'_> {
    /// A party of which only the source address is known.
    pub const fn stranger(source: IpAddr) -> Self {
        Self { agent: None, computer: None, group: None, version: None, source }
    }
}
