//! Management server lists, as the operator edits them.
//!
//! A client gets a list as [`crate::sylink::ClientServerList`]: with the actual addresses and ports, and with the
//! certificates of the site's managers.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The protocol that the clients of a list use with its servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// HTTP, without TLS, on the HTTP port.
    Http,
    /// HTTPS, with TLS, on the HTTPS port.
    Https,
}

/// A management server list: the managers that clients connect to, most preferred first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagementServerList {
    /// The name of the list, unique in the site.
    pub name: String,
    /// The protocol that clients of the list use.
    pub protocol: Protocol,
    /// Whether clients also check a server's certificate against its host name.
    pub verify_ca: bool,
    /// The priority blocks, most preferred first. Servers of one block share the load; the next is for
    /// failover [C S10].
    pub priorities: Vec<ServerPriority>,
}

/// The servers of one priority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ServerPriority(pub Vec<ManagementServer>);

/// A server of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManagementServer {
    /// The name of the manager.
    pub manager: String,
    /// The address for clients; the manager's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// A custom HTTP port; the manager's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_port: Option<u16>,
    /// A custom HTTPS port; the manager's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_port: Option<u16>,
}

impl ManagementServer {
    /// Makes an entry for this manager, with its own address and ports.
    pub fn at_its_own(manager: &str) -> Self {
        Self { manager: manager.to_owned(), address: None, http_port: None, https_port: None }
    }
}

impl ManagementServerList {
    /// The names of the managers in the list, most preferred first.
    pub fn managers(&self) -> impl Iterator<Item = &str> {
        self.priorities.iter().flat_map(|block| &block.0).map(|server| server.manager.as_str())
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
        })
    }
}
