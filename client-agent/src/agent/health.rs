//! The state of a client's contact with its managers, and its reason.

use epm_protocol::heartbeat::ExchangeFailure;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Rejection, SignatureError};
use serde::{Deserialize, Serialize};

use super::log::{Event, News};

/// The state of a client's contact with its managers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Health {
    /// The client has not tried to connect yet.
    #[default]
    New,
    /// A manager served the client in its last heartbeat.
    Connected {
        /// The time since when managers have served it without interruption.
        since: Timestamp,
    },
    /// No manager served the client, and trust is not the reason, or not the only one.
    Disconnected {
        /// The time since when no manager has served it.
        since: Timestamp,
        /// The most recent problem.
        because: Trouble,
    },
    /// The client trusts no manager in its list, or no manager accepts it as a client of its site. Only another
    /// communications file, or the old certificate or secret on a manager, brings it back.
    Orphaned {
        /// The time since when it has been orphaned.
        since: Timestamp,
        /// The layer of trust that failed, with what was expected and found.
        because: Distrust,
        /// The problem other than trust in its latest heartbeat, such as a manager that does not answer; absent if it had none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        also: Option<Trouble>,
    },
}

/// A problem with one server, other than trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Trouble {
    /// The exchange failed.
    #[error("{failure}")]
    Exchange {
        /// The reason why the exchange failed.
        failure: ExchangeFailure,
    },
    /// The manager answered with an error.
    #[error("the manager answered {status} to {request}")]
    Status {
        /// The HTTP status of the answer.
        status: u16,
        /// The request that was answered.
        request: String,
    },
    /// The manager's answer is malformed.
    #[error("the manager's {what} is not understood: {detail}")]
    Malformed {
        /// What was expected.
        what: String,
        /// What is wrong with the answer.
        detail: String,
    },
    /// The server is not trusted, and not every other server was tried.
    #[error("{distrust}")]
    Untrusted {
        /// The layer of trust that failed, with what was expected and found.
        distrust: Distrust,
    },
    /// By its settings, the client does not connect to its manager.
    #[error("communication is disabled by the client's settings")]
    Disabled,
}

/// The layer of trust that failed, with what was expected and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, schemars::JsonSchema)]
#[serde(tag = "layer", rename_all = "kebab-case")]
pub enum Distrust {
    /// The certificate of the TLS connection.
    #[error("{rejection}")]
    Tls {
        /// The reason why it is not trusted.
        rejection: Rejection,
    },
    /// The signature of what was downloaded.
    #[error("the signature of the {artifact} is refused: {error}")]
    Signature {
        /// The document that was downloaded.
        artifact: String,
        /// The reason why its signature is not accepted.
        error: SignatureError,
    },
    /// The shared secret: the manager does not take the client for one of its own.
    #[error(
        "the manager refused the client's messages with {status}: the shared secret (KCS) does not match"
    )]
    SharedSecret {
        /// The status.
        status: u16,
    },
}

/// A layer of trust between a client and its managers. Each is checked for itself, and each can fail alone.
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
    /// The layer of trust that failed.
    pub const fn layer(&self) -> TrustLayer {
        match self {
            Self::Tls { .. } => TrustLayer::Tls,
            Self::Signature { .. } => TrustLayer::Signature,
            Self::SharedSecret { .. } => TrustLayer::SharedSecret,
        }
    }
}

impl Trouble {
    /// The problem, unless it is one of trust.
    fn beside_trust(self) -> Option<Self> {
        match self {
            Self::Untrusted { .. } => None,
            other => Some(other),
        }
    }
}

impl Health {
    /// Whether a manager serves this client.
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }

    /// The time since when the client has been orphaned, and the reason, if it is.
    pub fn orphaned(&self) -> Option<(Timestamp, &Distrust)> {
        match self {
            Self::Orphaned { since, because, .. } => Some((*since, because)),
            _ => None,
        }
    }

    /// The problem beside trust that an orphaned client met in its latest heartbeat.
    pub fn also(&self) -> Option<&Trouble> {
        match self {
            Self::Orphaned { also, .. } => also.as_ref(),
            _ => None,
        }
    }

    /// The date since when the health is what it is; none for a new client.
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Self::New => None,
            Self::Connected { since } | Self::Disconnected { since, .. } | Self::Orphaned { since, .. } => {
                Some(*since)
            }
        }
    }

    /// Sets the date since when the health is what it is; a new client has none.
    pub(crate) fn set_since(&mut self, date: Timestamp) {
        match self {
            Self::New => {}
            Self::Connected { since } | Self::Disconnected { since, .. } | Self::Orphaned { since, .. } => {
                *since = date;
            }
        }
    }

    /// Notes that the client is orphaned, and which problem ended its heartbeat; returns the lines for its log. The first refusal is the
    /// reason as long as the same layer fails: a later certificate that the client does not know either is no new one.
    pub(super) fn orphan(&mut self, because: Distrust, trouble: Trouble, now: Timestamp) -> Vec<News> {
        let news = self.loss();
        let also = trouble.beside_trust();
        *self = match std::mem::take(self) {
            Self::Orphaned { since, because: first, .. } if first.layer() == because.layer() => {
                Self::Orphaned { since, because: first, also }
            }
            Self::Orphaned { since, .. } => Self::Orphaned { since, because, also },
            Self::New | Self::Connected { .. } | Self::Disconnected { .. } => {
                Self::Orphaned { since: now, because, also }
            }
        };
        news
    }

    /// Notes that the client is out of touch; an orphaned client stays orphaned until a manager serves it.
    pub(super) fn disconnect(&mut self, because: Trouble, now: Timestamp) -> Vec<News> {
        let since = match self {
            Self::Orphaned { also, .. } => {
                *also = because.beside_trust();
                return Vec::new();
            }
            Self::Disconnected { since, .. } => *since,
            Self::New | Self::Connected { .. } => now,
        };
        let news = self.loss();
        *self = Self::Disconnected { since, because };
        news
    }

    /// The lines for the log when contact is lost.
    fn loss(&self) -> Vec<News> {
        let lost =
            (Event::ServerDisconnected, "Disconnected from Symantec Endpoint Protection Manager.".to_owned());
        let unreachable =
            (Event::CannotReachServer, "Cannot reach any server of the management server list.".to_owned());
        match self {
            Self::Connected { .. } => vec![lost, unreachable],
            Self::New => vec![unreachable],
            Self::Disconnected { .. } | Self::Orphaned { .. } => Vec::new(),
        }
    }

    /// The dot in the tray: green while the client gets answers. It does not prove that the manager knows the client:
    /// with a wrong secret it is green too [C S9].
    pub fn green_dot(&self) -> bool {
        matches!(self, Self::Connected { .. } | Self::Orphaned { because: Distrust::SharedSecret { .. }, .. })
    }
}
