//! Why an exchange failed, as seen by the client.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::trust::Rejection;

/// The stage that an exchange had reached when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The connection was being opened.
    Connect,
    /// The TLS handshake was under way.
    Handshake,
    /// The request was being sent, or the answer awaited.
    Answer,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "while the connection was being opened",
            Self::Handshake => "during the TLS handshake",
            Self::Answer => "while the answer was awaited",
        })
    }
}

/// What the TLS library says of an answer that is not TLS.
pub const NO_TLS: &str = "received corrupt message of type InvalidContentType";

/// The reason why an exchange failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, schemars::JsonSchema)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum ExchangeFailure {
    /// The address is a name that does not resolve.
    #[error("the name {host:?} does not resolve")]
    NameNotResolved {
        /// The name that was looked up.
        host: String,
    },
    /// The connection was refused: no process listens on the port.
    #[error("the connection to {address} was refused")]
    ConnectionRefused {
        /// Host and port of the manager.
        address: String,
    },
    /// The connection could not be opened for another reason.
    #[error("{address} is unreachable: {detail}")]
    Unreachable {
        /// Host and port of the manager.
        address: String,
        /// The message of the operating system.
        detail: String,
    },
    /// The limit of the session was reached.
    #[error("Timeout was reached: Operation timed out after {after_ms} milliseconds {stage}")]
    TimedOut {
        /// The stage that the exchange had reached.
        stage: Stage,
        /// The time in milliseconds that the exchange had lasted.
        after_ms: u64,
    },
    /// The other side closed, or reset, the connection.
    #[error("the connection was lost {stage}: {detail}")]
    ConnectionLost {
        /// The stage that the exchange had reached.
        stage: Stage,
        /// The message of the operating system.
        detail: String,
    },
    /// The certificate of the other side is not trusted.
    #[error("{rejection}")]
    TlsRejected {
        /// The reason for the rejection.
        rejection: Rejection,
    },
    /// The TLS handshake failed for another reason.
    #[error("TLS failed: {detail}")]
    TlsFailed {
        /// The message of the TLS library.
        detail: String,
    },
    /// The bytes that came back are not an HTTP answer.
    #[error("the answer is not HTTP: {detail}")]
    NotHttp {
        /// The message of the HTTP library.
        detail: String,
    },
    /// The answer is larger than a client accepts.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The largest answer that a client accepts, in bytes.
        limit: usize,
    },
}

impl ExchangeFailure {
    /// The stable code of this failure, as in reports and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NameNotResolved { .. } => "name-not-resolved",
            Self::ConnectionRefused { .. } => "connection-refused",
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timed-out",
            Self::ConnectionLost { .. } => "connection-lost",
            Self::TlsRejected { .. } => "tls-rejected",
            Self::TlsFailed { .. } => "tls-failed",
            Self::NotHttp { .. } => "not-http",
            Self::TooLarge { .. } => "too-large",
        }
    }
}
