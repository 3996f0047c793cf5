//! Where a fault acts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where in an exchange a fault strikes, outermost first.
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
    /// What is downloaded, and its signature.
    Artifact,
    /// What the management server list says.
    List,
    /// The manager itself.
    Site,
}
