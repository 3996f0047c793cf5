//! What can be done: the kinds of fault, each with its parameters.
//!
//! Where the words about each stand: [`FaultKind::kinds`], in `catalogue`. How a kind is written and read: `read`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalogue::{self, KindInfo};
use super::distribution::Distribution;

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

/// How far a handshake comes.
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
    /// 112: nobody of that name.
    UnrecognizedName,
}

impl AlertKind {
    /// Its number on the wire.
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

/// What is done. Written as `{ kind = "latency", delay = { .. } }`, or as the name alone, where the defaults will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    remote = "Self",
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
#[expect(missing_docs, reason = "one line about each, and about each parameter, stands in `catalogue`")]
pub enum FaultKind {
    // The port.
    Refuse,
    Blackhole,
    AcceptThenStall {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        close_after_ms: Option<u64>,
    },
    // The bytes.
    Latency {
        #[serde(default)]
        delay: Distribution,
    },
    Bandwidth {
        #[serde(default = "defaults::bytes_per_second")]
        bytes_per_second: u64,
    },
    Reset {
        #[serde(default)]
        after_bytes: u64,
        #[serde(default)]
        after_ms: u64,
    },
    HalfClose {
        #[serde(default)]
        after_bytes: u64,
    },
    SlowClose {
        #[serde(default = "defaults::second")]
        delay_ms: u64,
    },
    Slicer {
        #[serde(default = "defaults::slice_bytes")]
        slice_bytes: u64,
        #[serde(default = "defaults::gap_ms")]
        gap_ms: u64,
    },
    LimitData {
        #[serde(default = "defaults::limit_bytes")]
        bytes: u64,
    },
    // The handshake.
    HandshakeStall {
        #[serde(default)]
        stage: HandshakeStage,
    },
    HandshakeClose {
        #[serde(default)]
        stage: HandshakeStage,
    },
    Alert {
        #[serde(default)]
        alert: AlertKind,
    },
    PlaintextOnTls,
    TlsOnPlain,
    NoSharedCipher,
    ProtocolTooOld,
    ProtocolTooNew,
    WrongKey,
    // The certificate.
    Expired,
    NotYetValid,
    WrongHost,
    OtherSelfSigned,
    UnknownCa,
    IncompleteChain,
    ReversedChain,
    WeakKey,
    OldRestored,
    HalfUpdated,
    // The answer.
    Status {
        #[serde(default = "defaults::status")]
        code: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_seconds: Option<u64>,
    },
    Empty,
    Garbage {
        #[serde(default = "defaults::garbage_bytes")]
        bytes: u64,
    },
    MalformedChunk,
    Truncated {
        #[serde(default = "defaults::half")]
        percent: u8,
    },
    Dribbled {
        #[serde(default = "defaults::chunks")]
        chunks: u64,
        #[serde(default = "defaults::second")]
        total_ms: u64,
    },
    HugeHeaders {
        #[serde(default = "defaults::huge_bytes")]
        bytes: u64,
    },
    SlowHeaders {
        #[serde(default = "defaults::slow_ms")]
        total_ms: u64,
    },
    WrongLength {
        #[serde(default = "defaults::too_long")]
        by: i64,
    },
    WrongType {
        #[serde(default = "defaults::html")]
        content_type: String,
    },
    Redirect {
        #[serde(default = "defaults::found")]
        code: u16,
        #[serde(default = "defaults::location")]
        location: String,
    },
    // What is downloaded.
    BadSignature,
    RetiredKeySignature,
    StaleSignature,
    TruncatedBody {
        #[serde(default = "defaults::half")]
        percent: u8,
    },
    SwappedBody,
    SerialGoesBack,
    Missing,
    // What the list says.
    DeadServer {
        #[serde(default = "defaults::dead_address")]
        address: String,
        #[serde(default = "defaults::dead_port")]
        port: u16,
    },
    WrongPort {
        #[serde(default = "defaults::wrong_port")]
        port: u16,
    },
    OmitsNewCertificate,
    EmptyPriority,
    HttpOnly,
    // The manager.
    PushLimit {
        #[serde(default)]
        held: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_seconds: Option<u64>,
    },
    DatabaseDown,
    ClockSkew {
        #[serde(default = "defaults::skew_ms")]
        by_ms: i64,
    },
    KcsChanged,
    SlowStart {
        #[serde(default = "defaults::start_ms")]
        ready_after_ms: u64,
    },
}

impl FaultKind {
    /// All kinds, outermost layer first, with a line about each.
    pub fn kinds() -> &'static [KindInfo] {
        catalogue::KINDS
    }

    /// The kind of this name, or of the name that another tool gives it, with its parameters as they are by default.
    ///
    /// # Errors
    /// If there is none; the message names the nearest.
    pub fn named(name: &str) -> Result<Self, String> {
        super::read::kind(serde_json::Value::String(name.to_owned()))
    }

    /// What there is to say about it.
    pub fn info(&self) -> &'static KindInfo {
        let name = self.name();
        catalogue::KINDS.iter().find(|info| info.name == name).unwrap_or(&catalogue::KINDS[0])
    }

    /// Where it strikes.
    pub fn layer(&self) -> Layer {
        self.info().layer
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Blackhole => "blackhole",
            Self::AcceptThenStall { .. } => "accept-then-stall",
            Self::Latency { .. } => "latency",
            Self::Bandwidth { .. } => "bandwidth",
            Self::Reset { .. } => "reset",
            Self::HalfClose { .. } => "half-close",
            Self::SlowClose { .. } => "slow-close",
            Self::Slicer { .. } => "slicer",
            Self::LimitData { .. } => "limit-data",
            Self::HandshakeStall { .. } => "handshake-stall",
            Self::HandshakeClose { .. } => "handshake-close",
            Self::Alert { .. } => "alert",
            Self::PlaintextOnTls => "plaintext-on-tls",
            Self::TlsOnPlain => "tls-on-plain",
            Self::NoSharedCipher => "no-shared-cipher",
            Self::ProtocolTooOld => "protocol-too-old",
            Self::ProtocolTooNew => "protocol-too-new",
            Self::WrongKey => "wrong-key",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::WrongHost => "wrong-host",
            Self::OtherSelfSigned => "other-self-signed",
            Self::UnknownCa => "unknown-ca",
            Self::IncompleteChain => "incomplete-chain",
            Self::ReversedChain => "reversed-chain",
            Self::WeakKey => "weak-key",
            Self::OldRestored => "old-restored",
            Self::HalfUpdated => "half-updated",
            Self::Status { .. } => "status",
            Self::Empty => "empty",
            Self::Garbage { .. } => "garbage",
            Self::MalformedChunk => "malformed-chunk",
            Self::Truncated { .. } => "truncated",
            Self::Dribbled { .. } => "dribbled",
            Self::HugeHeaders { .. } => "huge-headers",
            Self::SlowHeaders { .. } => "slow-headers",
            Self::WrongLength { .. } => "wrong-length",
            Self::WrongType { .. } => "wrong-type",
            Self::Redirect { .. } => "redirect",
            Self::BadSignature => "bad-signature",
            Self::RetiredKeySignature => "retired-key-signature",
            Self::StaleSignature => "stale-signature",
            Self::TruncatedBody { .. } => "truncated-body",
            Self::SwappedBody => "swapped-body",
            Self::SerialGoesBack => "serial-goes-back",
            Self::Missing => "missing",
            Self::DeadServer { .. } => "dead-server",
            Self::WrongPort { .. } => "wrong-port",
            Self::OmitsNewCertificate => "omits-new-certificate",
            Self::EmptyPriority => "empty-priority",
            Self::HttpOnly => "http-only",
            Self::PushLimit { .. } => "push-limit",
            Self::DatabaseDown => "database-down",
            Self::ClockSkew { .. } => "clock-skew",
            Self::KcsChanged => "kcs-changed",
            Self::SlowStart { .. } => "slow-start",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a parameter is when nobody says.
mod defaults {
    pub(super) const fn bytes_per_second() -> u64 {
        1024
    }
    pub(super) const fn second() -> u64 {
        1000
    }
    pub(super) const fn slice_bytes() -> u64 {
        64
    }
    pub(super) const fn gap_ms() -> u64 {
        10
    }
    pub(super) const fn limit_bytes() -> u64 {
        100
    }
    pub(super) const fn status() -> u16 {
        503
    }
    pub(super) const fn garbage_bytes() -> u64 {
        256
    }
    pub(super) const fn half() -> u8 {
        50
    }
    pub(super) const fn chunks() -> u64 {
        5
    }
    pub(super) const fn huge_bytes() -> u64 {
        1 << 20
    }
    pub(super) const fn slow_ms() -> u64 {
        45_000
    }
    pub(super) const fn too_long() -> i64 {
        10
    }
    pub(super) fn html() -> String {
        "text/html".to_owned()
    }
    pub(super) const fn found() -> u16 {
        302
    }
    pub(super) fn location() -> String {
        "http://proxy.invalid/login".to_owned()
    }
    pub(super) fn dead_address() -> String {
        "127.0.0.9".to_owned()
    }
    pub(super) const fn dead_port() -> u16 {
        9
    }
    pub(super) const fn wrong_port() -> u16 {
        8013
    }
    pub(super) const fn skew_ms() -> i64 {
        86_400_000
    }
    pub(super) const fn start_ms() -> u64 {
        60_000
    }
}
