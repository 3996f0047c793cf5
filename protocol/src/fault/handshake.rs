//! Parameters of handshake faults: the stage at which the handshake stops, and the alert that ends it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The point at which a handshake stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HandshakeStage {
    /// Before anything is read: the manager accepts the connection and stays silent.
    #[default]
    BeforeHello,
    /// After the client's hello was read.
    AfterClientHello,
    /// In the middle of the manager's first flight.
    InServerFlight,
    /// After the handshake, before the first byte of the application.
    AfterFinished,
}

/// A fatal alert of TLS, by its name in RFC 8446.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// Alert 40: no common parameters.
    #[default]
    HandshakeFailure,
    /// Alert 42: the certificate is corrupt.
    BadCertificate,
    /// Alert 45: the certificate has expired.
    CertificateExpired,
    /// Alert 47: a field is out of range.
    IllegalParameter,
    /// Alert 48: no chain to a known authority.
    UnknownCa,
    /// Alert 49: access is denied.
    AccessDenied,
    /// Alert 70: the protocol version is not supported.
    ProtocolVersion,
    /// Alert 71: the client's ciphers are not secure enough.
    InsufficientSecurity,
    /// Alert 80: an internal error.
    InternalError,
    /// Alert 112: the server name is not recognised.
    UnrecognizedName,
}

impl AlertKind {
    /// The number of the alert on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::HandshakeFailure => 40,
            Self::BadCertificate => 42,
            Self::CertificateExpired => 45,
            Self::IllegalParameter => 47,
            Self::UnknownCa => 48,
            Self::AccessDenied => 49,
            Self::ProtocolVersion => 70,
            Self::InsufficientSecurity => 71,
            Self::InternalError => 80,
            Self::UnrecognizedName => 112,
        }
    }
}
