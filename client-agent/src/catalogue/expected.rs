//! What must be seen of a failure and its repair, and where a failure lies: as an entry of the catalogue says it.

use serde::{Deserialize, Serialize};

use super::observed::State;
use crate::agent::TrustLayer;

/// What must be seen of a part of the fleet: of each client the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The part.
    pub part: String,
    /// At the end of the first act, and in it.
    pub failure: ExpectedClient,
    /// At the end of the second, and in it.
    pub repaired: ExpectedClient,
}

/// What must be seen of a client; what is absent may be anything.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedClient {
    /// How it stands.
    pub state: State,
    /// The layer of trust that broke.
    #[serde(default)]
    pub layer: Option<TrustLayer>,
    /// The stable code of the reason.
    #[serde(default)]
    pub code: Option<String>,
    /// Events that its log must have, in hexadecimal digits.
    #[serde(default)]
    pub events: Vec<String>,
    /// Events that its log must not have in that act; the first one begins with the installation.
    #[serde(default)]
    pub never: Vec<String>,
    /// The manager that it turns to first.
    #[serde(default)]
    pub server: Option<String>,
    /// The group that its policy is for.
    #[serde(default)]
    pub group: Option<String>,
    /// The name of its management server list.
    #[serde(default)]
    pub list: Option<String>,
    /// Whether it holds the newest policy of its group.
    #[serde(default)]
    pub current: Option<bool>,
    /// Whether it authenticates its manager.
    #[serde(default)]
    pub secure: Option<bool>,
    /// Whether it shows the green dot.
    #[serde(default)]
    pub green_dot: Option<bool>,
}

/// What the managers must do in the first act.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ManagersDo {
    /// Answers that one of them gives: what was asked, and the status.
    pub answers: Vec<String>,
    /// Lines that one of them writes into its log.
    pub log: Vec<String>,
}

/// Where a failure lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// The certificate of the TLS connection.
    Tls,
    /// The signature of what is downloaded.
    Signature,
    /// The shared secret (KCS).
    SharedSecret,
    /// Several of these at once.
    Trust,
    /// Names, ports, connections.
    Network,
    /// Who the client is, and where it belongs.
    Registration,
    /// Settings of a group, a location or a client.
    Settings,
    /// The manager's own console, stores and services.
    Manager,
}

impl std::fmt::Display for Area {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tls => TrustLayer::Tls.title(),
            Self::Signature => TrustLayer::Signature.title(),
            Self::SharedSecret => TrustLayer::SharedSecret.title(),
            Self::Trust => "several layers of trust",
            Self::Network => "network",
            Self::Registration => "registration",
            Self::Settings => "settings",
            Self::Manager => "the manager itself",
        })
    }
}
