//! Why an exchange came to nothing, as the client's side found it.

use serde::{Deserialize, Serialize};

use crate::trust::Rejection;

/// The stage that an exchange had reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Opening the connection.
    Connect,
    /// The TLS handshake.
    Handshake,
    /// Sending the request, or waiting for the answer.
    Answer,
}

/// Why an exchange came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, schemars::JsonSchema)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum ExchangeFailure {
    /// The address is a name that does not resolve.
    #[error("the name {host:?} does not resolve")]
    NameNotResolved {
        /// The name.
        host: String,
    },
    /// The connection was refused: no process listens on the port.
    #[error("the connection to {address} was refused")]
    ConnectionRefused {
        /// Host and port.
        address: String,
    },
    /// The connection could not be opened for another reason.
    #[error("{address} is unreachable: {detail}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// The system's words.
        detail: String,
    },
    /// The session's limit was over first.
    #[error("Timeout was reached: Operation timed out after {after_ms} milliseconds while in {stage:?}")]
    TimedOut {
        /// The stage that the exchange had reached.
        stage: Stage,
        /// The time in milliseconds that the exchange had lasted.
        after_ms: u64,
    },
    /// The other side closed, or reset, the connection.
    #[error("the connection was lost while in {stage:?}: {detail}")]
    ConnectionLost {
        /// The stage that the exchange had reached.
        stage: Stage,
        /// The system's words.
        detail: String,
    },
    /// The certificate of the other side is not believed.
    #[error("{rejection}")]
    TlsRejected {
        /// Why not.
        rejection: Rejection,
    },
    /// TLS could not be agreed on for another reason.
    #[error("TLS failed: {detail}")]
    TlsFailed {
        /// The library's words.
        detail: String,
    },
    /// The bytes that came back are no HTTP answer.
    #[error("the answer is not HTTP: {detail}")]
    NotHttp {
        /// The library's words.
        detail: String,
    },
    /// The answer is larger than a client takes.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

impl ExchangeFailure {
    /// The stable name of this kind, as reports and tests use it.
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
