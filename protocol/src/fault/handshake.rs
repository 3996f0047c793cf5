//! The choices of handshake faults: how far the handshake comes, and the alert that ends it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The point at which a handshake stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HandshakeStage {
    /// Nothing is said after the connection was accepted.
    #[default]
    BeforeHello,
    /// The client's hello is read, and that is all.
    AfterClientHello,
    /// The manager's first flight breaks off in the middle.
    InServerFlight,
    /// All is agreed on; not a byte of the application follows.
    AfterFinished,
}

/// A fatal alert of TLS, by its name in RFC 8446.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// 40: nothing to agree on.
    #[default]
    HandshakeFailure,
    /// 42: the certificate is broken.
    BadCertificate,
    /// 45: the certificate is over.
    CertificateExpired,
    /// 47: a field is out of range.
    IllegalParameter,
    /// 48: no way to a known authority.
    UnknownCa,
    /// 49: one may not.
    AccessDenied,
    /// 70: not this version.
    ProtocolVersion,
    /// 71: not safe enough.
    InsufficientSecurity,
    /// 80: something else.
    InternalError,
    /// 112: the server name is unknown.
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
