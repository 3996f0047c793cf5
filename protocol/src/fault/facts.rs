//! What a carrier knows when it asks: who is there, where, and the how-manieth time.
//!
//! All of it is borrowed, so that asking costs nothing where no fault is set.
//!
//! **Ordinals.** The carrier counts, from 1: the connections of a client (or of a source address, while the client is
//! not known) at a manager; and the exchanges of a client on a route at a manager. What counts are the occasions on which
//! any fault could touch the party ([`super::FaultSet::can_touch`]), since there has been a fault at all
//! ([`super::FaultSet::counting_since`]): so where there is none, nothing need be counted, and a heartbeat that no fault
//! can touch may be passed over.

use std::net::IpAddr;

use super::rule::Route;
use crate::id::AgentId;
use crate::policy::Protocol;
use crate::version::ClientVersion;

/// Who is at the other end, as far as the carrier knows. What is not known fits no rule that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party<'a> {
    /// The client's identifier.
    pub agent: Option<AgentId>,
    /// Its computer's name.
    pub computer: Option<&'a str>,
    /// Its group's full path.
    pub group: Option<&'a str>,
    /// The version of its software.
    pub version: Option<ClientVersion>,
    /// The address that it comes from.
    pub source: IpAddr,
}

/// A connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionFacts<'a> {
    /// Who comes. Over sockets this is the source address, and the client where it has been seen from there before.
    pub party: Party<'a>,
    /// The manager's name.
    pub manager: &'a str,
    /// What is spoken.
    pub protocol: Protocol,
    /// The how-manieth connection of this party at this manager, from 1.
    pub ordinal: u64,
}

/// A request has been understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeFacts<'a> {
    /// Who asks.
    pub party: Party<'a>,
    /// The manager's name.
    pub manager: &'a str,
    /// What is spoken.
    pub protocol: Protocol,
    /// What is asked.
    pub route: Route,
    /// The how-manieth exchange of this party on this route at this manager, from 1.
    pub ordinal: u64,
    /// How many requests of push mode the site holds already for others.
    pub held: u64,
}

impl Party<'_> {
    /// Somebody from this address, of whom nothing is known.
    pub const fn stranger(source: IpAddr) -> Self {
        Self { agent: None, computer: None, group: None, version: None, source }
    }
}
