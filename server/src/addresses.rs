//! The addresses at which a manager is reached.

use std::net::SocketAddr;

use epm_protocol::heartbeat::http::{HELLO_QUERY, SECARS_PATH};
use epm_protocol::site::ManagerPorts;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::wire::Speaks;

/// The addresses of one manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Addresses {
    /// Name of the manager.
    pub manager: String,
    /// Base URL for HTTP.
    pub http: String,
    /// Base URL for HTTPS.
    pub https: String,
    /// URL of the browser test over HTTP.
    pub hello: String,
    /// Base URL of the manager's REST API; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest: Option<String>,
    #[serde(skip)]
    pub(crate) listening: Vec<SocketAddr>,
    #[serde(skip)]
    pub(crate) rest_listening: Option<SocketAddr>,
}

/// The port that a listener is bound to.
pub(crate) fn port_of(listener: &TcpListener) -> u16 {
    listener.local_addr().map_or(0, |address| address.port())
}

/// The addresses of a manager with these listeners.
pub(crate) fn addresses(
    manager: &str,
    ports: &ManagerPorts,
    listeners: &[(TcpListener, Speaks)],
    rest: Option<&TcpListener>,
) -> Addresses {
    let (http, https) = (ports.http.unwrap_or_default(), ports.https.unwrap_or_default());
    let address = &ports.address;
    Addresses {
        manager: manager.to_owned(),
        http: format!("http://{address}:{http}"),
        https: format!("https://{address}:{https}"),
        rest: rest.map(|listener| format!("https://{address}:{}", port_of(listener))),
        hello: format!("http://{address}:{http}{SECARS_PATH}?{HELLO_QUERY}"),
        rest_listening: rest.and_then(|listener| listener.local_addr().ok()),
        listening: listeners.iter().filter_map(|(listener, _)| listener.local_addr().ok()).collect(),
    }
}

impl Addresses {
    /// The socket addresses that this manager listens on.
    pub fn sockets(&self) -> &[SocketAddr] {
        &self.listening
    }
}
