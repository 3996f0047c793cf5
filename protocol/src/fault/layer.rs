//! The layers of an exchange at which a fault acts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The layer of an exchange at which a fault acts, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The port.
    Listener,
    /// The bytes of the connection.
    Tcp,
    /// The handshake.
    Tls,
    /// The certificate that is shown.
    Certificate,
    /// The answer.
    Http,
    /// The body of a download, and its signature.
    Artifact,
    /// The content of the management server list.
    List,
    /// The manager itself.
    Site,
}
