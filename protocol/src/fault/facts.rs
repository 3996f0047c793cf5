//! The facts that a driver knows when it asks for a verdict: the client, the place, and the ordinal of the occasion.
//!
//! All of it is borrowed, so that asking costs nothing where no fault is set.
//!
//! **Ordinals.** The driver counts, from 1: the connections of a client (or of a source address, while the client is
//! not known) at a manager; and the exchanges of a client on a route at a manager. What counts are the occasions on which
//! any fault could touch the party ([`super::FaultSet::can_touch`]), since there has been a fault at all
//! ([`super::FaultSet::counting_since`]): so where there is none, nothing need be counted, and a heartbeat that no fault
//! can touch may be passed over.

use std::net::IpAddr;

use super::rule::Route;
use crate::id::AgentId;
use crate::policy::Protocol;
use crate::version::ClientVersion;

/// The client at the other end, as far as the driver knows it. A rule that asks for an unknown property does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party<'a> {
    /// The client's identifier.
    pub agent: Option<AgentId>,
    /// The computer's name.
    pub computer: Option<&'a str>,
    /// The full path of the client's group.
    pub group: Option<&'a str>,
    /// The version of its software.
    pub version: Option<ClientVersion>,
    /// The address that it comes from.
    pub source: IpAddr,
}

/// A connection has come.
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
}

/// A request has been understood.
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
    /// The number of push-mode requests of other clients that the site holds already.
    pub held: u64,
}

impl Party<'_> {
    /// A party of which only the source address is known.
    pub const fn stranger(source: IpAddr) -> Self {
        Self { agent: None, computer: None, group: None, version: None, source }
    }
}
