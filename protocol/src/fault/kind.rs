//! The kinds of fault: one entry in one table defines everything about a kind except how it is carried out.
//!
//! To add a kind, add its entry, then implement it: over sockets in the server's `wire`, in virtual time in
//! `virtual_time`, certificates in `mint`, answers in `tamper`. An entry reads
//!
//! ```text
//! Variant = "name" | "alias": "what the fault does" {
//!     parameter: Type = default, "what it is for";
//! } => "what a client in virtual time meets";
//! ```
//!
//! The enum, its JSON form and schema, the layer, the names, the defaults and [`KindInfo`] are made from it by
//! `declare_kinds`. Aliases are the names that Toxiproxy and WireMock use for a kind. After the default of a parameter
//! `shown "text"` gives its text where the Rust differs; after the purpose, `also "name"` gives another tool's name
//! for it, with `* n` or `/ n` where that tool counts in another unit, and `not PATTERN => "subject", "expected"` the
//! refused values and the words of the error.

use std::fmt;

use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::declare::{declare_kinds, shown};
use super::distribution::Distribution;
use super::handshake::{AlertKind, HandshakeStage};
use super::layer::Layer;

const JUDGED: &str = "the certificate is judged by the client";
const ALTERED: &str = "the answer is altered";

declare_kinds! {
    Listener {
        Refuse = "refuse" | "down": "the port is closed: the connection is refused" => "connection-refused";
        Blackhole = "blackhole":
            "packets are dropped: nothing comes back, not even a refusal; over sockets the connection is accepted \
             and never answered"
            => "timed-out in connect, after the client's limit";
        AcceptThenStall = "accept-then-stall" | "timeout":
            "the connection is accepted, then no byte is sent" {
            #[serde(skip_serializing_if = "Option::is_none")]
            close_after_ms: Option<u64> = None, shown "never", "the time after which the connection is closed", also "timeout";
        } => "timed-out in answer (HTTPS: in handshake), or connection-lost where it is closed sooner";
    }
    Tcp {
        Latency = "latency" | "delay" | "fixed-delay" | "lognormal" | "uniform": "the bytes are delayed" {
            delay: Distribution = Distribution::default(), shown "{ distribution = \"constant\", ms = 1000 }",
                "the delay: constant, uniform, normal, pareto or lognormal";
        } => "a delay; timed-out where it is longer than the client's limit";
        Bandwidth = "bandwidth" | "throttle": "the bandwidth is limited" {
            bytes_per_second: u64 = 1024, "the bytes per second", also "rate" * 1024,
                not 0 => "the bandwidth", "at least 1; blackhole lets nothing through";
        } => "a delay by the length of the answer; timed-out where it is longer than the limit";
        Reset = "reset" | "reset-peer" | "connection-reset-by-peer": "the connection is reset" {
            after_bytes: u64 = 0, "the bytes let through first";
            after_ms: u64 = 0, "the age at which the connection is reset", also "timeout";
        } => "connection-lost in answer (HTTPS without a route: in handshake)";
        HalfClose = "half-close": "one direction is closed, the other stays open" {
            after_bytes: u64 = 0, "the bytes let through first";
        } => "connection-lost in answer";
        SlowClose = "slow-close": "the connection is closed late" {
            delay_ms: u64 = 1000, "the delay of the close", also "delay";
        } => "nothing: the answer has come by then";
        Slicer = "slicer": "the bytes are sent in small pieces" {
            slice_bytes: u64 = 64, "the size of a piece", also "average_size",
                not 0 => "the slice", "at least 1";
            gap_ms: u64 = 10, "the pause after each piece", also "delay" / 1000;
        } => "a delay by the length of the answer";
        LimitData = "limit-data": "the connection is closed after a number of bytes" {
            bytes: u64 = 100, "the bytes let through first";
        } => "connection-lost in answer where the answer is longer, else nothing";
    }
    Tls {
        HandshakeStall = "handshake-stall": "the handshake stalls" {
            stage: HandshakeStage = HandshakeStage::BeforeHello, shown "before-hello", "the stage at which it stalls";
        } => "timed-out in handshake (after-finished: in answer)";
        HandshakeClose = "handshake-close": "the connection is closed during the handshake" {
            stage: HandshakeStage = HandshakeStage::BeforeHello, shown "before-hello", "the stage at which it is closed";
        } => "connection-lost in handshake (after-finished: in answer)";
        Alert = "alert": "the manager ends the handshake with a fatal alert" {
            alert: AlertKind = AlertKind::HandshakeFailure, shown "handshake-failure", "the alert";
        } => "tls-failed";
        PlaintextOnTls = "plaintext-on-tls": "the TLS port answers in the clear" => "tls-failed";
        TlsOnPlain = "tls-on-plain": "the HTTP port answers in TLS" => "not-http";
        NoSharedCipher = "no-shared-cipher": "the manager offers no cipher suite that the client knows" => "tls-failed";
        ProtocolTooOld = "protocol-too-old": "the manager speaks only versions that are too old"
            => "tls-failed";
        ProtocolTooNew = "protocol-too-new": "the manager speaks only versions that are too new"
            => "tls-failed";
        WrongKey = "wrong-key" | "key-mismatch": "the manager uses a key that does not belong to its certificate"
            => "the certificate is judged by the client, then the key does not match it: tls-failed";
    }
    Certificate {
        Expired = "expired": "the certificate has expired" => JUDGED;
        NotYetValid = "not-yet-valid": "the certificate is not valid yet" => JUDGED;
        WrongHost = "wrong-host": "the certificate is for another host" => JUDGED;
        OtherSelfSigned = "other-self-signed" | "self-signed":
            "a certificate with the same content and another key"
            => JUDGED;
        UnknownCa = "unknown-ca" | "untrusted-root":
            "the certificate is signed by an unknown authority"
            => JUDGED;
        IncompleteChain = "incomplete-chain": "the intermediate certificate is left out" => JUDGED;
        ReversedChain = "reversed-chain": "the chain is sent with its root first"
            => "the certificate is judged by the client: the first one counts";
        WeakKey = "weak-key": "the certificate has a 1024-bit key" => JUDGED;
        OldRestored = "old-restored" | "old-certificate-restored":
            "the previous certificate is shown again, and its key signs downloads"
            => JUDGED;
        HalfUpdated = "half-updated" | "half-rotated":
            "the clients' port shows the previous certificate, while the new key signs downloads"
            => JUDGED;
    }
    Http {
        Status = "status": "a different status, without a body" {
            code: u16 = 503, "the status",
                not 0..200 | 600.. => "the status", "200 to 599";
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after_seconds: Option<u64> = None, shown "none", "the value of Retry-After";
        } => ALTERED;
        Empty = "empty" | "empty-response": "the connection is closed where the answer should be"
            => "connection-lost in answer";
        Garbage = "garbage" | "random-data-then-close": "random bytes instead of HTTP, then the connection is closed" {
            bytes: u64 = 256, "the number of bytes";
        } => "not-http";
        MalformedChunk = "malformed-chunk" | "malformed-response-chunk":
            "a valid head, then an invalid chunk"
            => "connection-lost in answer";
        Truncated = "truncated" | "truncate": "the answer is cut off" {
            percent: u8 = 50, "the share of the body that is sent, in per cent",
                not 100.. => "the percentage", "0 to 99 per cent";
        } => "connection-lost in answer";
        Dribbled = "dribbled" | "dribble" | "chunked-dribble-delay": "the answer is sent in chunks over a period" {
            chunks: u64 = 5, "the number of chunks", also "number_of_chunks",
                not 0 => "the pieces", "at least 1";
            total_ms: u64 = 1000, "the duration of the answer", also "total_duration";
        } => "a delay; timed-out where it is longer than the limit";
        HugeHeaders = "huge-headers": "the answer's head is larger than a client accepts" {
            bytes: u64 = 1048576, "the size of the head";
        } => "not-http";
        SlowHeaders = "slow-headers": "the answer's head is sent byte by byte" {
            total_ms: u64 = 45000, "the duration of the head";
        } => "a delay; timed-out where it is longer than the limit";
        WrongLength = "wrong-length": "Content-Length is wrong" {
            by: i64 = 10, "the difference: positive if too large, negative if too small",
                not 0 => "the difference", "not 0";
        } => "connection-lost in answer where it is too large; else the answer is cut short";
        WrongType = "wrong-type" | "wrong-content-type": "Content-Type is wrong" {
            content_type: String = "text/html".to_owned(), shown "text/html", "the Content-Type";
        } => ALTERED;
        Redirect = "redirect": "the client is redirected" {
            code: u16 = 302, "the status",
                not 0..300 | 400.. => "the status", "300 to 399";
            location: String = "http://proxy.invalid/login".to_owned(), shown "http://proxy.invalid/login",
                "the target of the redirect";
        } => ALTERED;
    }
    Artifact {
        BadSignature = "bad-signature": "one bit of the signature is wrong" => ALTERED;
        RetiredKeySignature = "retired-key-signature" | "signature-by-retired-key":
            "signed with the key of the previous certificate"
            => ALTERED;
        StaleSignature = "stale-signature": "the signature of the previously published document" => ALTERED;
        TruncatedBody = "truncated-body":
            "the document is cut off, with the signature of the whole document" {
            percent: u8 = 50, "the share of the document that is sent, in per cent",
                not 100.. => "the percentage", "0 to 99 per cent";
        } => ALTERED;
        SwappedBody = "swapped-body": "the document is replaced, with the signature of the original" => ALTERED;
        SerialGoesBack = "serial-goes-back" | "downgraded-serial":
            "the previously published document, with a valid signature"
            => ALTERED;
        Missing = "missing": "a document that the index names does not exist" => ALTERED;
    }
    List {
        DeadServer = "dead-server" | "names-dead-server":
            "the list names a dead server before all others" {
            address: String = "127.0.0.9".to_owned(), shown "127.0.0.9", "the address of the dead server";
            port: u16 = 9, "the port of the dead server";
        } => ALTERED;
        WrongPort = "wrong-port" | "names-wrong-port": "the list names a closed port" {
            port: u16 = 8013, "the closed port";
        } => ALTERED;
        OmitsNewCertificate = "omits-new-certificate" | "omits-new-cert":
            "the list lacks the certificate that signs it"
            => ALTERED;
        EmptyPriority = "empty-priority": "the list begins with an empty priority block" => ALTERED;
        HttpOnly = "http-only": "the list names no HTTPS port" => ALTERED;
    }
    Site {
        PushLimit = "push-limit" | "busy": "503 to a push-mode request when the manager holds too many of other clients" {
            held: u64 = 0, "the number of held requests that are allowed";
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after_seconds: Option<u64> = None, shown "none", "the value of Retry-After";
        } => ALTERED;
        DatabaseDown = "database-down": "the manager cannot reach its database: 500" => ALTERED;
        ClockSkew = "clock-skew":
            "the manager's clock is wrong, and so are the dates that it sends, and those of the certificates that it \
             makes; of certificates only if the fault is for all clients and routes" {
            by_ms: i64 = 86400000, "the deviation; negative if the clock is slow";
        } => "the answer is altered if it has a date";
        KcsChanged = "kcs-changed": "the manager has another shared secret: 400" => ALTERED;
        SlowStart = "slow-start": "503 until the manager is ready" {
            ready_after_ms: u64 = 60000, "the time after the start of the fault";
        } => ALTERED;
    }
}

/// A kind of fault with its documentation.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct KindInfo {
    /// The name of the kind.
    pub name: &'static str,
    /// The layer at which the kind acts.
    pub layer: Layer,
    /// The effect of the fault.
    pub about: &'static str,
    /// The parameters of the kind.
    pub parameters: &'static [ParameterInfo],
    /// Other tools' names of the kind.
    pub aliases: &'static [&'static str],
    /// The effect of the fault on a client in virtual time.
    pub virtual_time: &'static str,
    /// Reads the given parameters from a table; missing ones get their defaults.
    #[serde(skip)]
    pub(super) read: fn(&mut Map<String, Value>) -> serde_json::Result<FaultKind>,
}

/// A parameter of a kind of fault with its documentation.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct ParameterInfo {
    /// The name of the parameter, with the unit last.
    pub name: &'static str,
    /// The default value, as text.
    pub default: &'static str,
    /// The purpose of the parameter.
    pub about: &'static str,
    /// Other tools' names of the parameter.
    #[serde(skip)]
    pub(super) foreign: &'static [ForeignName],
}

/// The name and the unit that another tool uses for a parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct ForeignName {
    pub(super) name: &'static str,
    /// The factor and the divisor that convert that tool's unit to this lab's.
    pub(super) scale: (u64, u64),
}

impl FaultKind {
    /// Lists all kinds, outermost layer first.
    pub fn kinds() -> &'static [KindInfo] {
        KINDS
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn parameter<T: DeserializeOwned>(
    table: &mut Map<String, Value>,
    name: &str,
    default: T,
) -> serde_json::Result<T> {
    table.remove(name).map_or(Ok(default), serde_json::from_value)
}

/// Marks every parameter as optional in the schema, with its default.
fn with_defaults(schema: &mut Schema) {
    let variants = schema.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten();
    for (variant, info) in variants.zip(KINDS) {
        variant["required"] = json!(["kind"]);
        let Ok(Value::Object(made)) = (info.read)(&mut Map::new()).and_then(serde_json::to_value) else {
            continue;
        };
        for (name, value) in made.into_iter().filter(|(name, _)| name != "kind") {
            variant["properties"][name]["default"] = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_the_parameters_that_its_schema_has() {
        for info in KINDS {
            let made = FaultKind::named(info.name).unwrap();
            assert_eq!((made.name(), made.layer()), (info.name, info.layer));
            let schema = schemars::schema_for!(FaultKind).to_value();
            let variant = schema["oneOf"]
                .as_array()
                .unwrap()
                .iter()
                .find(|variant| variant["properties"]["kind"]["const"] == info.name);
            let known = variant.unwrap()["properties"].as_object().unwrap().keys();
            let known: BTreeSet<&str> = known.map(String::as_str).filter(|key| *key != "kind").collect();
            let said: BTreeSet<&str> = info.parameters.iter().map(|one| one.name).collect();
            assert_eq!(known, said, "{}", info.name);
        }
    }

    #[test]
    fn no_name_is_in_the_table_twice() {
        let schema = schemars::schema_for!(FaultKind).to_value();
        assert_eq!(schema["oneOf"].as_array().unwrap().len(), KINDS.len());
        let names = KINDS.iter().flat_map(|info| info.aliases.iter().chain([&info.name]));
        let mut seen = BTreeSet::new();
        for name in names {
            assert!(seen.insert(name), "{name} exists twice");
        }
        assert!(KINDS.is_sorted_by_key(|info| info.layer));
    }

    #[test]
    fn the_shown_defaults_are_the_defaults() {
        for info in KINDS {
            let made = serde_json::to_value(FaultKind::named(info.name).unwrap()).unwrap();
            for parameter in info.parameters {
                match &made[parameter.name] {
                    serde_json::Value::Null => assert!(matches!(parameter.default, "none" | "never")),
                    serde_json::Value::String(text) => assert_eq!(text, parameter.default),
                    serde_json::Value::Number(number) => assert_eq!(number.to_string(), parameter.default),
                    table => assert_eq!(table["ms"], 1000, "{}", parameter.default),
                }
            }
        }
    }
}
