//! Management server lists, as the operator edits them.
//!
//! A client gets a list as [`crate::sylink::ClientServerList`]: with definite addresses and ports, and the certificates
//! of the site's managers beside it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The protocol that the clients of a list use with its servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// In the clear, on the HTTP port.
    Http,
    /// Over TLS, on the HTTPS port.
    Https,
}

/// A management server list: where clients find their managers, most preferred first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagementServerList {
    /// The name of the list, unique in the site.
    pub name: String,
    /// The protocol that clients of the list use.
    pub protocol: Protocol,
    /// Whether clients hold a server's certificate against its name as well.
    pub verify_ca: bool,
    /// The blocks, most preferred first. Servers of one block share the load; the next block is for failover [C S10].
    pub priorities: Vec<ServerPriority>,
}

/// Servers of the same priority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ServerPriority(pub Vec<ManagementServer>);

/// One server of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManagementServer {
    /// The manager's name in this site.
    pub manager: String,
    /// The address that clients are told; the manager's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// A custom HTTP port; the manager's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_port: Option<u16>,
    /// A custom HTTPS port; the manager's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_port: Option<u16>,
}

impl ManagementServer {
    /// This manager, at its own address and ports.
    pub fn at_its_own(manager: &str) -> Self {
        Self { manager: manager.to_owned(), address: None, http_port: None, https_port: None }
    }
}

impl ManagementServerList {
    /// The names of the managers that it lists, most preferred first.
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
