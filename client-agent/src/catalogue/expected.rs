//! What an entry of the catalogue expects of a failure and its repair, and where the failure lies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::observed::State;
use crate::agent::TrustLayer;

/// What is expected of every client of a part of the fleet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The name of the part.
    pub part: String,
    /// What is expected in and at the end of the first act.
    pub failure: ExpectedClient,
    /// What is expected in and at the end of the second act.
    pub repaired: ExpectedClient,
}

/// What is expected of a client; absent values may be anything.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedClient {
    /// The state of the client.
    pub state: State,
    /// The layer of trust that failed.
    #[serde(default)]
    pub layer: Option<TrustLayer>,
    /// The stable code of the reason.
    #[serde(default)]
    pub code: Option<String>,
    /// The numbers of events that the log must have, in hexadecimal digits.
    #[serde(default)]
    pub events: Vec<String>,
    /// The numbers of events that the log of that act must not have; the first act begins with the installation.
    #[serde(default)]
    pub never: Vec<String>,
    /// The name of the manager that the client tries first.
    #[serde(default)]
    pub server: Option<String>,
    /// The group that the client's policy is for.
    #[serde(default)]
    pub group: Option<String>,
    /// The name of the client's management server list.
    #[serde(default)]
    pub list: Option<String>,
    /// Whether the client holds the newest policy of its group.
    #[serde(default)]
    pub current: Option<bool>,
    /// Whether the client authenticates its manager.
    #[serde(default)]
    pub secure: Option<bool>,
    /// Whether the client shows the green dot.
    #[serde(default)]
    pub green_dot: Option<bool>,
}

/// What is expected of the managers in the first act.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ManagersDo {
    /// Answers that a manager must give: the action and the status.
    pub answers: Vec<String>,
    /// Lines that a manager must write into its log.
    pub log: Vec<String>,
}

/// The location of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// The certificate of the TLS connection.
    Tls,
    /// The signature of a download.
    Signature,
    /// The shared secret (KCS).
    SharedSecret,
    /// Several layers of trust at once.
    Trust,
    /// Names, ports and connections.
    Network,
    /// The client's registration and group.
    Registration,
    /// Settings of a group, a location or a client.
    Settings,
    /// The manager's own console, stores and services.
    Manager,
}

impl Area {
    /// The area of a layer of trust.
    pub const fn of(layer: TrustLayer) -> Self {
        match layer {
            TrustLayer::Tls => Self::Tls,
            TrustLayer::Signature => Self::Signature,
            TrustLayer::SharedSecret => Self::SharedSecret,
        }
    }
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
