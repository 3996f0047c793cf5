//! One line about each kind of fault: what it is, its parameters, the names that other tools have for it, and what
//! becomes of it in virtual time, where no bytes are sent.
//!
//! The well-known names of Toxiproxy and WireMock are taken as well, in any case, with `_` or `-`.

use serde::Serialize;

use super::kind::Layer;

/// What there is to say about a kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct KindInfo {
    /// Its name.
    pub name: &'static str,
    /// Where it strikes.
    pub layer: Layer,
    /// What it does.
    pub about: &'static str,
    /// Its parameters.
    pub parameters: &'static [ParameterInfo],
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// What a client in virtual time meets.
    pub virtual_time: &'static str,
}

/// What there is to say about a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ParameterInfo {
    /// Its name; a unit stands last.
    pub name: &'static str,
    /// What it is when nobody says.
    pub default: &'static str,
    /// What it is for.
    pub about: &'static str,
}

/// All kinds, outermost layer first.
pub(super) const KINDS: &[KindInfo] = &[
    k(
        Layer::Listener,
        "refuse",
        "nobody listens: the connection is refused",
        &[],
        &["down"],
        "connection-refused",
    ),
    k(
        Layer::Listener,
        "blackhole",
        "nothing comes back, not even a refusal",
        &[],
        &[],
        "timed-out in connect, after the client's limit",
    ),
    k(
        Layer::Listener,
        "accept-then-stall",
        "the connection is accepted, and then nothing is said",
        &[p("close-after-ms", "never", "when it is closed at last")],
        &["timeout"],
        "timed-out in answer (HTTPS: in handshake), or connection-lost where it is closed sooner",
    ),
    k(
        Layer::Tcp,
        "latency",
        "the bytes come late",
        &[p(
            "delay",
            "{ distribution = \"constant\", ms = 1000 }",
            "how late: constant, uniform, normal, pareto or lognormal",
        )],
        &["delay", "fixed-delay", "lognormal", "uniform"],
        "a delay; timed-out where it is longer than the client's limit",
    ),
    k(
        Layer::Tcp,
        "bandwidth",
        "the bytes come slowly",
        &[p("bytes-per-second", "1024", "how many in a second")],
        &["throttle"],
        "a delay by the length of the answer; timed-out where it is longer than the limit",
    ),
    k(
        Layer::Tcp,
        "reset",
        "the connection is reset",
        &[
            p("after-bytes", "0", "how many bytes are let through first"),
            p("after-ms", "0", "how long it lives first"),
        ],
        &["reset-peer", "connection-reset-by-peer"],
        "connection-lost in answer (HTTPS without a route: in handshake)",
    ),
    k(
        Layer::Tcp,
        "half-close",
        "one direction is closed, the other stays open",
        &[p("after-bytes", "0", "how many bytes are let through first")],
        &[],
        "connection-lost in answer",
    ),
    k(
        Layer::Tcp,
        "slow-close",
        "the connection is closed late",
        &[p("delay-ms", "1000", "how late")],
        &[],
        "nothing: the answer has come by then",
    ),
    k(
        Layer::Tcp,
        "slicer",
        "the bytes come in small pieces",
        &[p("slice-bytes", "64", "the size of a piece"), p("gap-ms", "10", "the pause after each")],
        &[],
        "a delay by the length of the answer",
    ),
    k(
        Layer::Tcp,
        "limit-data",
        "the connection is closed after so many bytes",
        &[p("bytes", "100", "how many")],
        &[],
        "connection-lost in answer where the answer is longer, else nothing",
    ),
    k(
        Layer::Tls,
        "handshake-stall",
        "the handshake stands still",
        &[p("stage", "before-hello", "how far it comes")],
        &[],
        "timed-out in handshake (after-finished: in answer)",
    ),
    k(
        Layer::Tls,
        "handshake-close",
        "the connection is closed during the handshake",
        &[p("stage", "before-hello", "how far it comes")],
        &[],
        "connection-lost in handshake (after-finished: in answer)",
    ),
    k(
        Layer::Tls,
        "alert",
        "the manager ends the handshake with a fatal alert",
        &[p("alert", "handshake-failure", "which")],
        &[],
        "tls-failed",
    ),
    k(Layer::Tls, "plaintext-on-tls", "the TLS port answers in the clear", &[], &[], "tls-failed"),
    k(Layer::Tls, "tls-on-plain", "the plain port answers in TLS", &[], &[], "not-http"),
    k(Layer::Tls, "no-shared-cipher", "no cipher suite in common", &[], &[], "tls-failed"),
    k(
        Layer::Tls,
        "protocol-too-old",
        "the manager speaks only versions that are too old",
        &[],
        &[],
        "tls-failed",
    ),
    k(
        Layer::Tls,
        "protocol-too-new",
        "the manager speaks only versions that are too new",
        &[],
        &[],
        "tls-failed",
    ),
    k(
        Layer::Tls,
        "wrong-key",
        "the manager has not the key of its certificate",
        &[],
        &["key-mismatch"],
        "the certificate is judged by the client, who then finds that its key is another: tls-failed",
    ),
    k(
        Layer::Certificate,
        "expired",
        "the certificate is over",
        &[],
        &[],
        "the certificate is judged by the client",
    ),
    k(
        Layer::Certificate,
        "not-yet-valid",
        "the certificate has not begun",
        &[],
        &[],
        "the certificate is judged by the client",
    ),
    k(
        Layer::Certificate,
        "wrong-host",
        "the certificate is for another host",
        &[],
        &[],
        "the certificate is judged by the client",
    ),
    k(
        Layer::Certificate,
        "other-self-signed",
        "a certificate that says the same, of another key",
        &[],
        &["self-signed"],
        "the certificate is judged by the client",
    ),
    k(
        Layer::Certificate,
        "unknown-ca",
        "the certificate is signed by an authority that nobody knows",
        &[],
        &["untrusted-root"],
        "the certificate is judged by the client",
    ),
    k(
        Layer::Certificate,
        "incomplete-chain",
        "the certificate in between is left out",
        &[],
        &[],
        "the certificate is judged by the client",
    ),
    k(
        Layer::Certificate,
        "reversed-chain",
        "the chain is sent with its root first",
        &[],
        &[],
        "the certificate is judged by the client: the first one counts",
    ),
    k(
        Layer::Certificate,
        "weak-key",
        "the certificate is of a key of 1024 bits",
        &[],
        &[],
        "the certificate is judged by the client",
    ),
    k(
        Layer::Certificate,
        "old-restored",
        "the certificate of before is shown again, and its key signs",
        &[],
        &["old-certificate-restored"],
        "the certificate is judged by the client",
    ),
    k(
        Layer::Certificate,
        "half-updated",
        "the clients' port shows the certificate of before, the signatures are by the new one",
        &[],
        &["half-rotated"],
        "the certificate is judged by the client",
    ),
    k(
        Layer::Http,
        "status",
        "another status, without a body",
        &[p("code", "503", "which"), p("retry-after-seconds", "none", "what Retry-After says")],
        &[],
        "the answer is altered",
    ),
    k(
        Layer::Http,
        "empty",
        "the connection is closed where the answer should be",
        &[],
        &["empty-response"],
        "connection-lost in answer",
    ),
    k(
        Layer::Http,
        "garbage",
        "bytes that are no HTTP, then the end",
        &[p("bytes", "256", "how many")],
        &["random-data-then-close"],
        "not-http",
    ),
    k(
        Layer::Http,
        "malformed-chunk",
        "a good head, then a chunk that is none",
        &[],
        &["malformed-response-chunk"],
        "connection-lost in answer",
    ),
    k(
        Layer::Http,
        "truncated",
        "the answer breaks off",
        &[p("percent", "50", "how much of the body comes")],
        &["truncate"],
        "connection-lost in answer",
    ),
    k(
        Layer::Http,
        "dribbled",
        "the answer comes in pieces",
        &[p("chunks", "5", "how many"), p("total-ms", "1000", "how long it takes")],
        &["dribble", "chunked-dribble-delay"],
        "a delay; timed-out where it is longer than the limit",
    ),
    k(
        Layer::Http,
        "huge-headers",
        "the head is larger than a client takes",
        &[p("bytes", "1048576", "how large")],
        &[],
        "not-http",
    ),
    k(
        Layer::Http,
        "slow-headers",
        "the head comes letter by letter",
        &[p("total-ms", "45000", "how long it takes")],
        &[],
        "a delay; timed-out where it is longer than the limit",
    ),
    k(
        Layer::Http,
        "wrong-length",
        "Content-Length is not the length",
        &[p("by", "10", "how much too large; negative for too small")],
        &[],
        "connection-lost in answer where it is too large; else the answer is cut short",
    ),
    k(
        Layer::Http,
        "wrong-type",
        "Content-Type is another",
        &[p("content-type", "text/html", "which")],
        &["wrong-content-type"],
        "the answer is altered",
    ),
    k(
        Layer::Http,
        "redirect",
        "the client is sent elsewhere",
        &[p("code", "302", "the status"), p("location", "http://proxy.invalid/login", "where to")],
        &[],
        "the answer is altered",
    ),
    k(
        Layer::Artifact,
        "bad-signature",
        "one bit of the signature is wrong",
        &[],
        &[],
        "the answer is altered",
    ),
    k(
        Layer::Artifact,
        "retired-key-signature",
        "signed with the key of the certificate of before",
        &[],
        &["signature-by-retired-key"],
        "the answer is altered",
    ),
    k(
        Layer::Artifact,
        "stale-signature",
        "the signature of what was published before",
        &[],
        &[],
        "the answer is altered",
    ),
    k(
        Layer::Artifact,
        "truncated-body",
        "the end of the document is missing, its signature is the whole one's",
        &[p("percent", "50", "how much of it comes")],
        &[],
        "the answer is altered",
    ),
    k(
        Layer::Artifact,
        "swapped-body",
        "another document under the same signature",
        &[],
        &[],
        "the answer is altered",
    ),
    k(
        Layer::Artifact,
        "serial-goes-back",
        "what was published before, with its good signature",
        &[],
        &["downgraded-serial"],
        "the answer is altered",
    ),
    k(Layer::Artifact, "missing", "what the index names is not there", &[], &[], "the answer is altered"),
    k(
        Layer::List,
        "dead-server",
        "the list names a server that is not there, before all others",
        &[p("address", "127.0.0.9", "where it would be"), p("port", "9", "at which port")],
        &["names-dead-server"],
        "the answer is altered",
    ),
    k(
        Layer::List,
        "wrong-port",
        "the list names a port where nobody listens",
        &[p("port", "8013", "which")],
        &["names-wrong-port"],
        "the answer is altered",
    ),
    k(
        Layer::List,
        "omits-new-certificate",
        "the list is without the certificate that signs it",
        &[],
        &["omits-new-cert"],
        "the answer is altered",
    ),
    k(
        Layer::List,
        "empty-priority",
        "the list begins with a priority block without servers",
        &[],
        &[],
        "the answer is altered",
    ),
    k(Layer::List, "http-only", "the list names no HTTPS port", &[], &[], "the answer is altered"),
    k(
        Layer::Site,
        "push-limit",
        "503 to a held request when so many of others are held",
        &[p("held", "0", "how many may be there"), p("retry-after-seconds", "none", "what Retry-After says")],
        &["busy"],
        "the answer is altered",
    ),
    k(
        Layer::Site,
        "database-down",
        "the manager answers, and has nothing to say: 500",
        &[],
        &[],
        "the answer is altered",
    ),
    k(
        Layer::Site,
        "clock-skew",
        "the manager's clock is wrong: what it dates is dated so",
        &[p("by-ms", "86400000", "how far; negative for slow")],
        &[],
        "the answer is altered, where it has a date",
    ),
    k(
        Layer::Site,
        "kcs-changed",
        "the manager has another shared secret: 400",
        &[],
        &[],
        "the answer is altered",
    ),
    k(
        Layer::Site,
        "slow-start",
        "503 until the manager is ready",
        &[p("ready-after-ms", "60000", "how long after the fault began")],
        &[],
        "the answer is altered",
    ),
];

const fn k(
    layer: Layer,
    name: &'static str,
    about: &'static str,
    parameters: &'static [ParameterInfo],
    aliases: &'static [&'static str],
    virtual_time: &'static str,
) -> KindInfo {
    KindInfo { name, layer, about, parameters, aliases, virtual_time }
}

const fn p(name: &'static str, default: &'static str, about: &'static str) -> ParameterInfo {
    ParameterInfo { name, default, about }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::kind::FaultKind;
    use super::*;

    #[test]
    fn every_kind_of_the_table_can_be_made_and_has_the_parameters_that_it_says() {
        for info in KINDS {
            let made = FaultKind::named(info.name).unwrap();
            assert_eq!((made.name(), made.info()), (info.name, info));
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
    fn the_table_has_every_kind_and_no_name_twice() {
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
    fn what_a_parameter_is_by_default_is_what_the_table_says() {
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
