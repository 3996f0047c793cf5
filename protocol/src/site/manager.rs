//! A manager, with its two certificate stores.

use std::net::Ipv4Addr;

use crate::assumption::Store;
use crate::id::ManagerId;
use crate::policy::Protocol;
use crate::trust::ServerIdentity;

/// A manager of the site.
#[derive(Clone, Debug)]
pub struct Manager {
    /// Its identifier.
    pub id: ManagerId,
    /// Its name, unique in the site.
    pub name: String,
    /// Where clients reach it.
    pub ports: ManagerPorts,
    /// The certificate of the console's store.
    pub console: ServerIdentity,
    /// The certificate of the clients' port. The wizard keeps the two the same; half an update does not.
    pub client: ServerIdentity,
}

/// Where clients reach a manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerPorts {
    /// Host name or address, as clients are told.
    pub address: String,
    /// The HTTP port; 8014 in the product [C S4].
    pub http: Option<u16>,
    /// The HTTPS port; 443 in the product [C S4], or the same as the HTTP one, where the first byte decides.
    pub https: Option<u16>,
}

impl Manager {
    /// What this store holds.
    pub fn identity(&self, store: Store) -> &ServerIdentity {
        match store {
            Store::Console => &self.console,
            Store::Client => &self.client,
        }
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

    /// The address in numbers, as identifiers bear it; loopback for a name.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.address.parse().unwrap_or(Ipv4Addr::LOCALHOST)
    }
}
