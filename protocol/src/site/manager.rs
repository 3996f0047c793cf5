//! A manager with its two certificate stores.

use std::net::Ipv4Addr;

use crate::assumption::{Assumptions, Store};
use crate::id::ManagerId;
use crate::policy::Protocol;
use crate::trust::ServerIdentity;

/// A manager of the site.
#[derive(Clone, Debug)]
pub struct Manager {
    /// The identifier of the manager.
    pub id: ManagerId,
    /// The name of the manager, unique in the site.
    pub name: String,
    /// The address and ports at which clients reach the manager.
    pub ports: ManagerPorts,
    /// The certificate of the console's store.
    pub console: ServerIdentity,
    /// The certificate of the clients' port. The wizard keeps both the same; half an update does not.
    pub client: ServerIdentity,
}

/// The error of a console that cannot connect to its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "F14: the console fails to connect to the server: its key has {bits} bits, and without the vendor's manual change \
    the longest that works has {longest}"
)]
pub struct ConsoleTrouble {
    /// The length, in bits, of the key in the console's store.
    pub bits: u32,
    /// The longest key, in bits, with which the console works.
    pub longest: u32,
}

/// The address and ports at which clients reach a manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerPorts {
    /// The host name or address for clients.
    pub address: String,
    /// The HTTP port; 8014 in the product [C S4].
    pub http: Option<u16>,
    /// The HTTPS port; 443 in the product [C S4], or the same as the HTTP port, where the first byte decides.
    pub https: Option<u16>,
}

impl ConsoleTrouble {
    /// The reason why the console cannot log in to a manager with a key of this length in the console's store, if so:
    /// version 14 needs a manual change for long keys [C S5], without which the connection fails (F14).
    pub fn of(bits: u32, assumptions: &Assumptions) -> Option<Self> {
        let longest = assumptions.console_longest_key_bits;
        (bits > longest).then_some(Self { bits, longest })
    }
}

impl Manager {
    /// The certificate and key in this store.
    pub fn identity(&self, store: Store) -> &ServerIdentity {
        match store {
            Store::Console => &self.console,
            Store::Client => &self.client,
        }
    }

    /// The reason why the console cannot log in to this manager, if so; see [`ConsoleTrouble::of`].
    pub fn console_trouble(&self, assumptions: &Assumptions) -> Option<ConsoleTrouble> {
        ConsoleTrouble::of(self.console.key().bits(), assumptions)
    }

    /// The reason why no client can log in to the REST API either, if so; see [`Self::console_trouble`].
    pub fn log_in_trouble(&self, assumptions: &Assumptions) -> Option<ConsoleTrouble> {
        self.console_trouble(assumptions).filter(|_| assumptions.rest_shares_console_trouble)
    }
}

impl ManagerPorts {
    /// The port for this protocol.
    pub fn port(&self, protocol: Protocol) -> Option<u16> {
        match protocol {
            Protocol::Http => self.http,
            Protocol::Https => self.https,
        }
    }

    /// The IPv4 address, as in identifiers; loopback for a host name.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.address.parse().unwrap_or(Ipv4Addr::LOCALHOST)
    }
}
