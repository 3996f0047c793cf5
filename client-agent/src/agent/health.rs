//! How a client stands with its managers, and why.

use epm_protocol::heartbeat::ExchangeFailure;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Rejection, SignatureError};
use serde::{Deserialize, Serialize};

use super::log::{Event, News};

/// How a client stands with its managers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Health {
    /// It has not tried yet.
    #[default]
    New,
    /// A manager has served it in its last heartbeat.
    Connected {
        /// Since when without a break.
        since: Timestamp,
    },
    /// No manager has served it, and trust is not the reason, or not the only one.
    Disconnected {
        /// Since when.
        since: Timestamp,
        /// What went wrong last.
        because: Trouble,
    },
    /// It does not believe any manager of its list, or none takes it for one of its own: only another list, or the
    /// old certificate, brings it back.
    Orphaned {
        /// Since when.
        since: Timestamp,
        /// Which layer of trust broke.
        because: Distrust,
    },
}

/// What went wrong with one server, trust aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Trouble {
    /// The exchange came to nothing.
    #[error("{failure}")]
    Exchange {
        /// Why.
        failure: ExchangeFailure,
    },
    /// The manager answered, and did not serve.
    #[error("the manager answered {status} to {request}")]
    Status {
        /// The status.
        status: u16,
        /// What had been asked.
        request: String,
    },
    /// The manager's answer is not understood.
    #[error("the manager's {what} is not understood: {detail}")]
    Malformed {
        /// What was expected.
        what: String,
        /// Where it went wrong.
        detail: String,
    },
    /// The server is not believed, and not every other one was asked.
    #[error("{distrust}")]
    Untrusted {
        /// Why not.
        distrust: Distrust,
    },
    /// By its settings, the client does not talk to its manager.
    #[error("communication is disabled by the client's settings")]
    Disabled,
}

/// The layer of trust that broke, with what was expected and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, schemars::JsonSchema)]
#[serde(tag = "layer", rename_all = "kebab-case")]
pub enum Distrust {
    /// The certificate of the TLS connection.
    #[error("{rejection}")]
    Tls {
        /// Why it is not believed.
        rejection: Rejection,
    },
    /// The signature of what was downloaded.
    #[error("the signature of the {artifact} is refused: {error}")]
    Signature {
        /// What was downloaded.
        artifact: String,
        /// Why its signature is refused.
        error: SignatureError,
    },
    /// The shared secret: the manager does not take the client for one of its own.
    #[error("the manager refused the client's messages with {status}: the shared secret (KCS) does not fit")]
    SharedSecret {
        /// The status.
        status: u16,
    },
}

/// A layer of trust between a client and its managers. Each is checked for itself, and each can break alone.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum TrustLayer {
    /// The certificate that a manager shows in the TLS handshake.
    Tls,
    /// The signature of a downloaded policy, list or package.
    Signature,
    /// The secret that all clients and managers of a site share (KCS).
    SharedSecret,
}

impl TrustLayer {
    /// The title of the layer, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Tls => "TLS certificate",
            Self::Signature => "signature",
            Self::SharedSecret => "shared secret",
        }
    }
}

impl std::fmt::Display for TrustLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.title())
    }
}

impl Distrust {
    /// The layer of trust that broke.
    pub const fn layer(&self) -> TrustLayer {
        match self {
            Self::Tls { .. } => TrustLayer::Tls,
            Self::Signature { .. } => TrustLayer::Signature,
            Self::SharedSecret { .. } => TrustLayer::SharedSecret,
        }
    }
}

impl Health {
    /// Whether a manager serves this client.
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }

    /// Since when and why it is orphaned, if it is.
    pub fn orphaned(&self) -> Option<(Timestamp, &Distrust)> {
        match self {
            Self::Orphaned { since, because } => Some((*since, because)),
            _ => None,
        }
    }

    /// Not one manager is believed any more.
    pub(super) fn orphan(&mut self, because: Distrust, now: Timestamp) -> Vec<News> {
        let since = match self {
            Self::Orphaned { since, .. } => *since,
            _ => now,
        };
        let news = self.loss();
        *self = Self::Orphaned { since, because };
        news
    }

    /// Out of touch; who was orphaned stays so until a manager serves him.
    pub(super) fn disconnect(&mut self, because: Trouble, now: Timestamp) -> Vec<News> {
        let since = match self {
            Self::Orphaned { .. } => return Vec::new(),
            Self::Disconnected { since, .. } => *since,
            Self::New | Self::Connected { .. } => now,
        };
        let news = self.loss();
        *self = Self::Disconnected { since, because };
        news
    }

    /// What is said when contact is lost, the first time only.
    fn loss(&self) -> Vec<News> {
        let lost =
            (Event::ServerDisconnected, "Disconnected from Symantec Endpoint Protection Manager.".to_owned());
        let nobody =
            (Event::CannotReachServer, "Cannot reach any server of the management server list.".to_owned());
        match self {
            Self::Connected { .. } => vec![lost, nobody],
            Self::New => vec![nobody],
            Self::Disconnected { .. } | Self::Orphaned { .. } => Vec::new(),
        }
    }

    /// The dot in the tray: green for whoever gets answers. It does not prove that the manager knows the client: with
    /// a wrong secret it is green too [C S9].
    pub fn green_dot(&self) -> bool {
        matches!(self, Self::Connected { .. } | Self::Orphaned { because: Distrust::SharedSecret { .. }, .. })
    }
}
