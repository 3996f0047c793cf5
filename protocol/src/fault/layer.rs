//! The layers of an exchange at which a fault acts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The layer of an exchange at which a fault acts, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The port: whether connections are accepted.
    Listener,
    /// The bytes of the connection.
    Tcp,
    /// The TLS handshake.
    Tls,
    /// The certificate that the manager shows.
    Certificate,
    /// The HTTP answer.
    Http,
    /// The body of a download, and its signature.
    Artifact,
    /// The content of the management server list.
    List,
    /// The manager itself.
    Site,
}
