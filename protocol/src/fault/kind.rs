//! The kinds of fault: one entry in one table says all about a kind but how it is carried out.
//!
//! To add a kind, add its entry; then carry it out: over sockets in the server's `wire`, in virtual time in
//! `virtual_time`, certificates in `mint`, answers in `tamper`. An entry reads
//!
//! ```text
//! Variant = "name" | "alias": "what the fault does" {
//!     parameter: Type = default, "what it is for";
//! } => "what a client in virtual time meets";
//! ```
//!
//! The enum, its JSON form and schema, the layer, the names, the defaults and [`KindInfo`] are made from it by
//! `declare_kinds`. Aliases are the names that Toxiproxy and WireMock have for a kind. After the default of a parameter
//! may stand `shown "text"`, where its Rust is not its text; after what it is for, `also "name"`, another tool's name
//! for it, with `* n` or `/ n` where that tool counts in another unit, and `not PATTERN => "subject", "expected"`, the
//! values that are refused and the words of the error.

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
        Refuse = "refuse" | "down": "nobody listens: the connection is refused" => "connection-refused";
        Blackhole = "blackhole": "nothing comes back, not even a refusal"
            => "timed-out in connect, after the client's limit";
        AcceptThenStall = "accept-then-stall" | "timeout":
            "the connection is accepted, and then nothing is said" {
            #[serde(skip_serializing_if = "Option::is_none")]
            close_after_ms: Option<u64> = None, shown "never", "when it is closed at last", also "timeout";
        } => "timed-out in answer (HTTPS: in handshake), or connection-lost where it is closed sooner";
    }
    Tcp {
        Latency = "latency" | "delay" | "fixed-delay" | "lognormal" | "uniform": "the bytes come late" {
            delay: Distribution = Distribution::default(), shown "{ distribution = \"constant\", ms = 1000 }",
                "how late: constant, uniform, normal, pareto or lognormal";
        } => "a delay; timed-out where it is longer than the client's limit";
        Bandwidth = "bandwidth" | "throttle": "the bytes come slowly" {
            bytes_per_second: u64 = 1024, "how many in a second", also "rate" * 1024,
                not 0 => "the bandwidth", "at least 1; blackhole lets nothing through";
        } => "a delay by the length of the answer; timed-out where it is longer than the limit";
        Reset = "reset" | "reset-peer" | "connection-reset-by-peer": "the connection is reset" {
            after_bytes: u64 = 0, "how many bytes are let through first";
            after_ms: u64 = 0, "how long it lives first", also "timeout";
        } => "connection-lost in answer (HTTPS without a route: in handshake)";
        HalfClose = "half-close": "one direction is closed, the other stays open" {
            after_bytes: u64 = 0, "how many bytes are let through first";
        } => "connection-lost in answer";
        SlowClose = "slow-close": "the connection is closed late" {
            delay_ms: u64 = 1000, "how late", also "delay";
        } => "nothing: the answer has come by then";
        Slicer = "slicer": "the bytes come in small pieces" {
            slice_bytes: u64 = 64, "the size of a piece", also "average-size",
                not 0 => "the slice", "at least 1";
            gap_ms: u64 = 10, "the pause after each", also "delay" / 1000;
        } => "a delay by the length of the answer";
        LimitData = "limit-data": "the connection is closed after so many bytes" {
            bytes: u64 = 100, "how many";
        } => "connection-lost in answer where the answer is longer, else nothing";
    }
    Tls {
        HandshakeStall = "handshake-stall": "the handshake stands still" {
            stage: HandshakeStage = HandshakeStage::BeforeHello, shown "before-hello", "how far it comes";
        } => "timed-out in handshake (after-finished: in answer)";
        HandshakeClose = "handshake-close": "the connection is closed during the handshake" {
            stage: HandshakeStage = HandshakeStage::BeforeHello, shown "before-hello", "how far it comes";
        } => "connection-lost in handshake (after-finished: in answer)";
        Alert = "alert": "the manager ends the handshake with a fatal alert" {
            alert: AlertKind = AlertKind::HandshakeFailure, shown "handshake-failure", "which";
        } => "tls-failed";
        PlaintextOnTls = "plaintext-on-tls": "the TLS port answers in the clear" => "tls-failed";
        TlsOnPlain = "tls-on-plain": "the plain port answers in TLS" => "not-http";
        NoSharedCipher = "no-shared-cipher": "no cipher suite in common" => "tls-failed";
        ProtocolTooOld = "protocol-too-old": "the manager speaks only versions that are too old"
            => "tls-failed";
        ProtocolTooNew = "protocol-too-new": "the manager speaks only versions that are too new"
            => "tls-failed";
        WrongKey = "wrong-key" | "key-mismatch": "the manager has not the key of its certificate"
            => "the certificate is judged by the client, who then finds that its key is another: tls-failed";
    }
    Certificate {
        Expired = "expired": "the certificate is over" => JUDGED;
        NotYetValid = "not-yet-valid": "the certificate has not begun" => JUDGED;
        WrongHost = "wrong-host": "the certificate is for another host" => JUDGED;
        OtherSelfSigned = "other-self-signed" | "self-signed":
            "a certificate that says the same, of another key"
            => JUDGED;
        UnknownCa = "unknown-ca" | "untrusted-root":
            "the certificate is signed by an authority that nobody knows"
            => JUDGED;
        IncompleteChain = "incomplete-chain": "the certificate in between is left out" => JUDGED;
        ReversedChain = "reversed-chain": "the chain is sent with its root first"
            => "the certificate is judged by the client: the first one counts";
        WeakKey = "weak-key": "the certificate is of a key of 1024 bits" => JUDGED;
        OldRestored = "old-restored" | "old-certificate-restored":
            "the certificate of before is shown again, and its key signs"
            => JUDGED;
        HalfUpdated = "half-updated" | "half-rotated":
            "the clients' port shows the certificate of before, the signatures are by the new one"
            => JUDGED;
    }
    Http {
        Status = "status": "another status, without a body" {
            code: u16 = 503, "which",
                not 0..200 | 600.. => "the status", "200 to 599";
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after_seconds: Option<u64> = None, shown "none", "what Retry-After says";
        } => ALTERED;
        Empty = "empty" | "empty-response": "the connection is closed where the answer should be"
            => "connection-lost in answer";
        Garbage = "garbage" | "random-data-then-close": "bytes that are no HTTP, then the end" {
            bytes: u64 = 256, "how many";
        } => "not-http";
        MalformedChunk = "malformed-chunk" | "malformed-response-chunk":
            "a good head, then a chunk that is none"
            => "connection-lost in answer";
        Truncated = "truncated" | "truncate": "the answer breaks off" {
            percent: u8 = 50, "how much of the body comes",
                not 100.. => "what comes", "0 to 99 per cent";
        } => "connection-lost in answer";
        Dribbled = "dribbled" | "dribble" | "chunked-dribble-delay": "the answer comes in pieces" {
            chunks: u64 = 5, "how many", also "number-of-chunks",
                not 0 => "the pieces", "at least 1";
            total_ms: u64 = 1000, "how long it takes", also "total-duration";
        } => "a delay; timed-out where it is longer than the limit";
        HugeHeaders = "huge-headers": "the head is larger than a client takes" {
            bytes: u64 = 1048576, "how large";
        } => "not-http";
        SlowHeaders = "slow-headers": "the head comes letter by letter" {
            total_ms: u64 = 45000, "how long it takes";
        } => "a delay; timed-out where it is longer than the limit";
        WrongLength = "wrong-length": "Content-Length is not the length" {
            by: i64 = 10, "how much too large; negative for too small",
                not 0 => "the difference", "not 0";
        } => "connection-lost in answer where it is too large; else the answer is cut short";
        WrongType = "wrong-type" | "wrong-content-type": "Content-Type is another" {
            content_type: String = "text/html".to_owned(), shown "text/html", "which";
        } => ALTERED;
        Redirect = "redirect": "the client is sent elsewhere" {
            code: u16 = 302, "the status",
                not 0..300 | 400.. => "the status", "300 to 399";
            location: String = "http://proxy.invalid/login".to_owned(), shown "http://proxy.invalid/login",
                "where to";
        } => ALTERED;
    }
    Artifact {
        BadSignature = "bad-signature": "one bit of the signature is wrong" => ALTERED;
        RetiredKeySignature = "retired-key-signature" | "signature-by-retired-key":
            "signed with the key of the certificate of before"
            => ALTERED;
        StaleSignature = "stale-signature": "the signature of what was published before" => ALTERED;
        TruncatedBody = "truncated-body":
            "the end of the document is missing, its signature is the whole one's" {
            percent: u8 = 50, "how much of it comes",
                not 100.. => "what comes", "0 to 99 per cent";
        } => ALTERED;
        SwappedBody = "swapped-body": "another document under the same signature" => ALTERED;
        SerialGoesBack = "serial-goes-back" | "downgraded-serial":
            "what was published before, with its good signature"
            => ALTERED;
        Missing = "missing": "what the index names is not there" => ALTERED;
    }
    List {
        DeadServer = "dead-server" | "names-dead-server":
            "the list names a server that is not there, before all others" {
            address: String = "127.0.0.9".to_owned(), shown "127.0.0.9", "where it would be";
            port: u16 = 9, "at which port";
        } => ALTERED;
        WrongPort = "wrong-port" | "names-wrong-port": "the list names a port where nobody listens" {
            port: u16 = 8013, "which";
        } => ALTERED;
        OmitsNewCertificate = "omits-new-certificate" | "omits-new-cert":
            "the list is without the certificate that signs it"
            => ALTERED;
        EmptyPriority = "empty-priority": "the list begins with a priority block without servers" => ALTERED;
        HttpOnly = "http-only": "the list names no HTTPS port" => ALTERED;
    }
    Site {
        PushLimit = "push-limit" | "busy": "503 to a held request when so many of others are held" {
            held: u64 = 0, "how many may be there";
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after_seconds: Option<u64> = None, shown "none", "what Retry-After says";
        } => ALTERED;
        DatabaseDown = "database-down": "the manager answers, and has nothing to say: 500" => ALTERED;
        ClockSkew = "clock-skew": "the manager's clock is wrong: what it dates is dated so" {
            by_ms: i64 = 86400000, "how far; negative for slow";
        } => "the answer is altered, where it has a date";
        KcsChanged = "kcs-changed": "the manager has another shared secret: 400" => ALTERED;
        SlowStart = "slow-start": "503 until the manager is ready" {
            ready_after_ms: u64 = 60000, "how long after the fault began";
        } => ALTERED;
    }
}

/// A kind of fault, described.
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
    /// Other names of the kind.
    pub aliases: &'static [&'static str],
    /// The effect on a client in virtual time.
    pub virtual_time: &'static str,
    /// Takes the parameters that are given out of a table; those that are not have their defaults.
    #[serde(skip)]
    pub(super) read: fn(&mut Map<String, Value>) -> serde_json::Result<FaultKind>,
}

/// A parameter of a kind of fault, described.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct ParameterInfo {
    /// The name of the parameter; a unit stands last.
    pub name: &'static str,
    /// The default, as text.
    pub default: &'static str,
    /// The purpose of the parameter.
    pub about: &'static str,
    /// Other tools' names for it.
    #[serde(skip)]
    pub(super) foreign: &'static [ForeignName],
}

/// The name and the unit that another tool has for a parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct ForeignName {
    pub(super) name: &'static str,
    /// The factor and the divisor that make our unit of theirs.
    pub(super) scale: (u64, u64),
}

impl FaultKind {
    /// All kinds, outermost layer first, with a line about each.
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

/// Says in the schema that every parameter may be left out, and what it is then.
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
            assert!(seen.insert(name), "{name} is there twice");
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
