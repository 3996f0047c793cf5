//! Faults over sockets, as seen by clients that share no code with the lab, and by the lab's own.
//!
//! Delays are in lab time: a test that measures one lets the clock run.

use std::io::ErrorKind;
use std::time::Duration;

use epm_client_agent::agent::Distrust;
use epm_client_agent::wire::Fleet;
use epm_fixtures::needs;
use epm_protocol::fault::{FaultKind, FaultRule, Moment, Place, Route};
use epm_protocol::site::Stores;
use epm_protocol::trust::{Rejection, ServerCertificate, SignatureError};
use epm_server::FaultGuard;
use epm_tests::foreign::{curl, python};
use epm_tests::{INTERVAL, START, TestSite, distrust, eventually};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

const HERE: &str = "127.0.0.1";
const THERE: &str = "127.0.0.2";

fn rule(name: &str, what: Value) -> FaultRule {
    FaultRule::new(name, serde_json::from_value::<FaultKind>(what).expect("a kind"))
}

fn set(lab: &TestSite, what: Value) -> FaultGuard {
    lab.site().faults().add(rule("one", what)).expect("a good rule")
}

/// The output of Python from this machine.
fn says(lab: &TestSite, way: &str) -> String {
    python(way, lab.socket(), HERE).words
}

fn is_well(lab: &TestSite) -> bool {
    says(lab, "https").starts_with("200 b'OK'")
}

// ---------------------------------------------------------------------------------------------------------- the port

#[needs(curl, python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_reset_is_econnreset_within_a_second() {
    let lab = TestSite::start().await;
    for what in [json!("reset"), json!({"kind": "reset", "after_bytes": 20})] {
        let _guard = set(&lab, what.clone());
        for way in ["raw", "http", "https"] {
            let said = python(way, lab.socket(), HERE);
            assert!(said.words.contains("ECONNRESET"), "{way} {what}: {said:?}");
            assert!(said.ms < 1000, "{way} {what}: {said:?}");
        }
        assert_eq!(curl("http", lab.socket()), 56, "failure with receiving");
        assert_eq!(curl("https", lab.socket()), 35, "problem in the handshake");
    }
    assert!(is_well(&lab));
}

#[needs(curl, python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refused_port_is_econnrefused_and_heals_when_the_guard_is_dropped() {
    let lab = TestSite::start().await;
    for _ in 0..3 {
        let guard = set(&lab, json!("refuse"));
        eventually("the port is closed", || says(&lab, "raw").contains("ECONNREFUSED")).await;
        assert_eq!(curl("https", lab.socket()), 7, "could not connect");
        eventually("its number is held", || {
            let another = TcpSocket::new_v4().unwrap().bind(lab.socket());
            another.is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
        })
        .await;
        drop(guard);
        eventually("the port is open again", || is_well(&lab)).await;
    }
}

#[needs(python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_closed_port_opens_when_the_clock_has_passed_the_faults_time() {
    let lab = TestSite::start().await;
    let mut refusing = rule("one", json!("refuse"));
    refusing.when.from = Some(START + Duration::from_secs(10));
    refusing.when.time_to_live_seconds = Some(60);
    lab.site().faults().add(refusing).unwrap().keep();
    assert!(is_well(&lab), "it has not begun");
    lab.clock().advance(Duration::from_secs(10));
    eventually("the port is closed", || says(&lab, "raw").contains("ECONNREFUSED")).await;
    lab.clock().advance(Duration::from_secs(50));
    eventually("the port is open again", || is_well(&lab)).await;
    assert!(lab.site().faults().list().is_empty());
}

#[needs(python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn where_some_are_refused_they_are_reset_and_the_others_are_served() {
    let lab = TestSite::start().await;
    let mut refusing = rule("one", json!("refuse"));
    refusing.whom.source = Some(THERE.parse().unwrap());
    let _guard = lab.site().faults().add(refusing).unwrap();
    let said = python("raw", lab.socket(), THERE);
    assert!(said.words.contains("ECONNRESET"), "{said:?}");
    assert!(is_well(&lab));
}

#[needs(python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stalled_connection_says_nothing_until_it_is_closed() {
    let lab = TestSite::start().await;
    for what in [json!("blackhole"), json!("accept-then-stall")] {
        let _guard = set(&lab, what.clone());
        let said = says(&lab, "impatient");
        assert!(said.contains("timed out"), "{what}: {said}");
    }
    lab.clock().set_speed(1);
    let _guard = set(&lab, json!({"kind": "accept-then-stall", "close_after_ms": 300}));
    let said = python("raw", lab.socket(), HERE);
    assert_eq!(said.words, "b''", "closed without a word");
    assert!((250..9000).contains(&said.ms), "{said:?}");
}

// --------------------------------------------------------------------------------------------------------- the bytes

#[needs(python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bytes_come_late_slowly_and_in_pieces() {
    let lab = TestSite::start().await;
    lab.clock().set_speed(1);
    // The answer is about 130 bytes in the clear.
    let slow = [
        json!({"kind": "latency", "delay": {"distribution": "constant", "ms": 400}}),
        json!({"kind": "bandwidth", "bytes_per_second": 300}),
        json!({"kind": "slicer", "slice_bytes": 10, "gap_ms": 40}),
    ];
    for what in slow {
        for route in [None, Some(Route::Hello)] {
            let mut slowing = rule("one", what.clone());
            slowing.place.route = route;
            let _guard = lab.site().faults().add(slowing).unwrap();
            let said = python("http", lab.socket(), HERE);
            assert!(said.words.starts_with("200 b'OK'"), "{what}: {said:?}");
            assert!((300..9000).contains(&said.ms), "{what} {route:?}: {said:?}");
        }
    }
    let mut to_manager = rule("one", json!({"kind": "slicer", "slice_bytes": 8, "gap_ms": 50}));
    to_manager.place.direction = Some(epm_protocol::fault::Direction::ToManager);
    let _guard = lab.site().faults().add(to_manager).unwrap();
    let said = python("http", lab.socket(), HERE);
    assert!(said.words.starts_with("200") && said.ms >= 300, "{said:?}");
}

#[needs(curl, python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bytes_end_where_the_fault_says() {
    let lab = TestSite::start().await;
    for kind in ["limit-data", "half-close"] {
        for route in [None, Some(Route::Hello)] {
            let parameter = if kind == "limit-data" { "bytes" } else { "after_bytes" };
            let mut ending = rule("one", json!({"kind": kind, parameter: 12}));
            ending.place.route = route;
            let _guard = lab.site().faults().add(ending).unwrap();
            assert_eq!(says(&lab, "raw"), "b'HTTP/1.1 200'", "{kind} {route:?}");
        }
    }
    let _guard = set(&lab, json!({"kind": "limit-data", "bytes": 0}));
    assert_eq!(curl("http", lab.socket()), 52, "nothing was returned");
    let said = says(&lab, "https");
    assert!(said.contains("EOF"), "{said}");
}

#[needs(python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bytes_end_in_the_direction_that_the_fault_names() {
    use epm_protocol::fault::Direction;
    let lab = TestSite::start().await;
    let whole = says(&lab, "raw");
    assert!(whole.ends_with("OK'"), "{whole}");
    // The request is 77 bytes long, and the answer longer than 100.
    for (direction, bytes, expected) in [
        (None, 12, "b'HTTP/1.1 200'"),
        (Some(Direction::ToClient), 12, "b'HTTP/1.1 200'"),
        (Some(Direction::ToManager), 12, "b''"),
        (Some(Direction::Both), 12, "b''"),
        (Some(Direction::ToManager), 100, whole.as_str()),
        (Some(Direction::Both), 100, ""),
    ] {
        let mut ending = rule("one", json!({"kind": "limit-data", "bytes": bytes}));
        ending.place.direction = direction;
        let _guard = lab.site().faults().add(ending).unwrap();
        let said = says(&lab, "raw");
        if expected == "b''" {
            // Closing while the manager has unread bytes causes a reset.
            assert!(said == expected || said.contains("ECONNRESET"), "{direction:?} {bytes}: {said}");
        } else if (direction, bytes) == (Some(Direction::Both), 100) {
            assert!(
                said.starts_with("b'HTTP/1.1 200") && !said.ends_with("OK'"),
                "the answer is cut: {said}"
            );
        } else {
            // The date in the head may have changed.
            assert_eq!(said.len(), expected.len(), "{direction:?} {bytes}: {said}");
        }
    }
}

#[needs(python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_that_is_closed_late_has_answered_before() {
    let lab = TestSite::start().await;
    lab.clock().set_speed(1);
    for route in [None, Some(Route::Hello)] {
        let mut late = rule("one", json!({"kind": "slow-close", "delay_ms": 2500}));
        late.place.route = route;
        let _guard = lab.site().faults().add(late).unwrap();
        let answered = python("http", lab.socket(), HERE);
        assert!(answered.words.starts_with("200 b'OK'") && answered.ms < 2000, "{route:?} {answered:?}");
        let closed = python("raw", lab.socket(), HERE);
        assert!(closed.words.contains("OK") && closed.ms >= 2400, "{route:?} {closed:?}");
    }
    let _guard = set(&lab, json!({"kind": "reset", "after_ms": 300}));
    let said = python("silent", lab.socket(), HERE);
    assert!(said.words.contains("timed out"), "what is spoken is not known before the first byte: {said:?}");
    let answered = python("http", lab.socket(), HERE);
    assert!(answered.words.starts_with("200 b'OK'"), "{answered:?}");
}

// --------------------------------------------------------------------------------------------------------------- TLS

#[needs(curl, python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_fault_of_the_handshake_is_what_a_foreign_client_says_of_it() {
    let lab = TestSite::start().await;
    let close = |stage: &str| json!({"kind": "handshake-close", "stage": stage});
    for (what, words, code) in [
        (json!("handshake-close"), "EOF", 35),
        (close("after-client-hello"), "EOF", 35),
        (close("in-server-flight"), "EOF", 35),
        (close("after-finished"), "RemoteDisconnected", 52),
        (json!("alert"), "HANDSHAKE_FAILURE", 35),
        (json!({"kind": "alert", "alert": "access-denied"}), "ACCESS_DENIED", 35),
        (json!({"kind": "alert", "alert": "unknown-ca"}), "UNKNOWN_CA", 35),
        (json!("plaintext-on-tls"), "WRONG_VERSION_NUMBER", 35),
        (json!("no-shared-cipher"), "HANDSHAKE_FAILURE", 35),
        (json!("protocol-too-old"), "PROTOCOL_VERSION", 35),
        (json!("protocol-too-new"), "PROTOCOL_VERSION", 35),
        (json!("wrong-key"), "BAD_SIGNATURE", 35),
    ] {
        let _guard = set(&lab, what.clone());
        let said = says(&lab, "https");
        assert!(said.to_uppercase().contains(&words.to_uppercase()), "{what}: {said}");
        assert_eq!(curl("https", lab.socket()), code, "{what}");
        assert!(says(&lab, "http").starts_with("200 b'OK'"), "{what}: HTTP goes on");
    }
    let _guard = set(&lab, json!("tls-on-plain"));
    let said = says(&lab, "http");
    assert!(said.starts_with("BadStatusLine"), "{said}");
    assert_eq!(curl("http", lab.socket()), 1, "curl takes it for HTTP/0.9, and does not want it");
    assert!(is_well(&lab), "HTTPS goes on");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_stalls_at_each_stage_for_as_long_as_the_client_waits() {
    let lab = TestSite::start().await;
    for stage in ["before-hello", "after-client-hello", "in-server-flight", "after-finished"] {
        let _guard = set(&lab, json!({"kind": "handshake-stall", "stage": stage}));
        let address = format!("https://{}/", lab.socket());
        let flags = ["-sS", "--insecure", "--max-time", "0.5", &address];
        let out = std::process::Command::new("curl").args(flags).output().unwrap();
        assert_eq!(out.status.code(), Some(28), "{stage}: {out:?}");
    }
}

// ------------------------------------------------------------------------------------------------------- certificates

fn shown(lab: &TestSite, source: &str) -> ServerCertificate {
    let hex = python("certificate", lab.socket(), source).words;
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap_or_else(|_| panic!("{hex}"));
    ServerCertificate::from_der(&(0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>())
        .expect("a certificate")
}

#[needs(python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_certificate_faults_hold_at_once_on_one_port_for_different_clients() {
    let lab = TestSite::start().await;
    let guards = [("expired", HERE), ("wrong-host", THERE)].map(|(kind, source)| {
        let mut fault = rule(kind, json!(kind));
        fault.whom.source = Some(source.parse().unwrap());
        lab.site().faults().add(fault).unwrap()
    });
    for _ in 0..2 {
        assert!(shown(&lab, HERE).validity().is_over(START));
        assert_eq!(shown(&lab, THERE).names(), ["elsewhere.invalid"]);
        assert_eq!(shown(&lab, "127.0.0.3").fingerprint(), lab.certificate());
    }
    drop(guards);
    assert_eq!(shown(&lab, HERE).fingerprint(), lab.certificate());
    assert_eq!(shown(&lab, THERE).fingerprint(), lab.certificate());
}

#[needs(openssl, python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_certificate_fault_is_shown_to_a_foreign_client() {
    let lab = TestSite::start().await;
    let old = lab.certificate();
    lab.update(Stores::Both);
    let good = lab.identity().certificate().clone();
    type Is<'a> = &'a dyn Fn(&ServerCertificate) -> bool;
    let cases: [(&str, usize, Is<'_>); 9] = [
        ("expired", 1, &|one| one.validity().is_over(START)),
        ("not-yet-valid", 1, &|one| one.validity().is_before(START)),
        ("wrong-host", 1, &|one| one.names() == ["elsewhere.invalid"]),
        ("other-self-signed", 1, &|one| one.public_key_der() != good.public_key_der()),
        ("unknown-ca", 2, &|one| !one.is_self_signed() && one.names() == good.names()),
        ("incomplete-chain", 2, &|one| !one.is_self_signed() && one.names() == good.names()),
        ("reversed-chain", 3, &|one| one.is_self_signed() && one.names() != good.names()),
        ("old-restored", 1, &|one| one.fingerprint() == old),
        ("half-updated", 1, &|one| one.fingerprint() == old),
    ];
    for (kind, sent, is) in cases {
        let _guard = set(&lab, json!(kind));
        // A client that gets the root first cannot tell which key signs; openssl shows everything that is sent.
        let out = s_client(&lab);
        assert_eq!(out.matches("BEGIN CERTIFICATE").count(), sent, "{kind}: {out}");
        let first = out.find("-----BEGIN").map(|at| &out[at..]).unwrap();
        let first = &first[..first.find("-----END CERTIFICATE-----").unwrap() + 25];
        let first = epm_protocol::trust::read_certificates(first.as_bytes(), "shown.pem").unwrap().remove(0);
        assert!(is(&first), "{kind}: {first:?}");
        assert_ne!(first.fingerprint(), good.fingerprint(), "{kind}");
    }
    let _guard = set(&lab, json!("weak-key"));
    assert!(s_client(&lab).contains("1024 bit"), "{}", s_client(&lab));
    // The manager has the key: a client that ignores its length is served, in either version and with either padding.
    let served = says(&lab, "https");
    assert!(served.starts_with("200 b'OK'"), "{served}");
    for flags in [&["-tls1_3"][..], &["-tls1_2"], &["-tls1_2", "-sigalgs", "RSA+SHA256"]] {
        let address = lab.socket().to_string();
        let cipher = ["s_client", "-cipher", "DEFAULT@SECLEVEL=0", "-connect", &address];
        let mut command = std::process::Command::new("openssl");
        let command = command.args(cipher).args(flags).stdin(std::process::Stdio::null());
        let out = command.output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(
            said.contains("Server public key is 1024 bit") && !said.contains("alert"),
            "{flags:?}: {said}"
        );
        assert!(out.status.success(), "{flags:?}: {said}");
    }
    assert!(lab.site().journal().faults_skipped().is_empty());
}

/// The output of openssl for the handshake, with the certificates in the order in which they were sent.
fn s_client(lab: &TestSite) -> String {
    let place = lab.socket().to_string();
    let flags = ["s_client", "-connect", &place, "-showcerts", "-cipher", "DEFAULT@SECLEVEL=0"];
    let out = std::process::Command::new("openssl").args(flags).stdin(std::process::Stdio::null()).output();
    let out = out.expect("openssl starts");
    String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
}

// -------------------------------------------------------------------------------------------------------------- HTTP

#[needs(curl, python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_fault_of_the_answer_is_what_a_foreign_client_says_of_it() {
    let lab = TestSite::start().await;
    for (what, words, code) in [
        (json!({"kind": "status", "retry_after_seconds": 7}), "503 b'' retry-after=7", 0),
        (
            json!("redirect"),
            "302 b'' content-type=text/plain; charset=utf-8 location=http://proxy.invalid",
            0,
        ),
        (json!("wrong-type"), "200 b'OK' content-type=text/html", 0),
        (json!("empty"), "RemoteDisconnected", 52),
        (json!("garbage"), "BadStatusLine", 1),
        (json!("malformed-chunk"), "IncompleteRead", 56),
        (json!("truncated"), "IncompleteRead IncompleteRead(1 bytes read, 1 more expected)", 18),
        (json!("huge-headers"), "HTTPException got more than 100 headers", 56),
        (json!("wrong-length"), "IncompleteRead IncompleteRead(2 bytes read, 10 more expected)", 18),
        (json!({"kind": "wrong-length", "by": -1}), "200 b'O'", 0),
        (json!("database-down"), "200 b'OK'", 0), // the browser test needs no database
        (json!("slow-start"), "503 b'the manager is starting\\n' retry-after=60", 0),
    ] {
        let _guard = set(&lab, what.clone());
        for way in ["http", "https"] {
            let said = says(&lab, way);
            assert!(has_words(&said, words), "{what} over {way}: {said}");
            assert_eq!(curl(way, lab.socket()), code, "{what} over {way}");
        }
    }
    let _guard = set(&lab, json!({"kind": "clock-skew", "by_ms": 86_400_000}));
    assert!(says(&lab, "http").contains("date=Tue, 06 Jan 2026 08:00:00 GMT"), "{}", says(&lab, "http"));
}

/// Whether all words are there, whatever the order of the headers.
fn has_words(said: &str, words: &str) -> bool {
    words.split(' ').all(|word| said.contains(word))
}

#[needs(python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn answers_are_dribbled_and_heads_are_slow_by_the_labs_clock() {
    let lab = TestSite::start().await;
    lab.clock().set_speed(1);
    for what in
        [json!({"kind": "dribbled", "total_ms": 500}), json!({"kind": "slow-headers", "total_ms": 500})]
    {
        let _guard = set(&lab, what.clone());
        let said = python("http", lab.socket(), HERE);
        assert!(said.words.starts_with("200 b'OK'"), "{what}: {said:?}");
        assert!((400..9000).contains(&said.ms), "{what}: {said:?}");
    }
    lab.clock().set_speed(0);
    let _guard = set(&lab, json!("slow-headers"));
    assert!(says(&lab, "impatient").contains("timed out"), "the lab's clock stands still");
}

// ------------------------------------------------------------------------------------------------------- our own agent

async fn one_client(lab: &TestSite) -> Fleet {
    let fleet = lab.fleet(vec![lab.client("one", "14.3.8289")]).await;
    assert!(fleet.members()[0].handle.view().health.is_connected(), "{:?}", fleet.members()[0].handle.view());
    fleet
}

#[tokio::test]
async fn each_certificate_fault_orphans_the_lab_s_client_by_layer_a_until_the_guard_is_dropped() {
    let lab = TestSite::start().await;
    // There must be a previous certificate to restore.
    lab.update(Stores::Both);
    let fleet = one_client(&lab).await;
    for kind in [
        "expired",
        "not-yet-valid",
        "wrong-host",
        "other-self-signed",
        "unknown-ca",
        "incomplete-chain",
        "reversed-chain",
        "weak-key",
        "old-restored",
        "half-updated",
    ] {
        let guard = set(&lab, json!(kind));
        lab.heartbeat(&fleet).await;
        let because = distrust(fleet.members()[0].handle.view().health);
        let Distrust::Tls { rejection: Rejection::NotPinned { expected, found } } = because else {
            panic!("{kind}: {because:?}");
        };
        assert_eq!(expected, [lab.certificate()], "{kind}");
        assert_ne!(found, lab.certificate(), "{kind}");
        drop(guard);
        lab.heartbeat(&fleet).await;
        assert!(fleet.members()[0].handle.view().health.is_connected(), "{kind} heals");
    }
    assert!(lab.site().journal().faults_skipped().is_empty());
}

#[tokio::test]
async fn each_artifact_fault_is_found_by_layer_b_until_the_guard_is_dropped() {
    for kind in
        ["bad-signature", "retired-key-signature", "stale-signature", "truncated-body", "swapped-body"]
    {
        let lab = TestSite::start().await;
        let fleet = one_client(&lab).await;
        lab.rotate_by_the_book(&fleet).await;
        lab.heartbeat(&fleet).await;
        let guard = set(&lab, json!(kind));
        lab.apply(&epm_tests::push()); // something new to fetch
        lab.heartbeat(&fleet).await;
        let because = distrust(fleet.members()[0].handle.view().health);
        let Distrust::Signature { error: SignatureError::NotByAPinnedCertificate { expected, .. }, .. } =
            because
        else {
            panic!("{kind}: {because:?}");
        };
        assert_eq!(expected, [lab.certificate()], "{kind}");
        drop(guard);
        lab.heartbeat(&fleet).await;
        assert!(fleet.members()[0].handle.view().health.is_connected(), "{kind} heals");
        assert!(
            lab.site().journal().faults_skipped().is_empty(),
            "{kind}: {:?}",
            lab.site().journal().faults_skipped()
        );
    }
}

// ---------------------------------------------------------------------------------------------- whom, when, how often

#[needs(python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn probability_0_never_fires_and_1_always_in_each_layer() {
    const TIMES: usize = 2;
    let lab = TestSite::start().await;
    // Artifacts and lists: in `faults_of_answers`, where clients download them.
    for kind in ["blackhole", "reset", "alert", "wrong-host", "status", "slow-start"] {
        for probability in [0.0, 1.0] {
            let mut fault = rule(kind, json!(kind));
            fault.probability = probability;
            let _guard = lab.site().faults().add(fault).unwrap();
            let before = lab.site().journal().faults_applied().len();
            for _ in 0..TIMES {
                match kind {
                    "blackhole" => drop(says(&lab, "impatient")),
                    _ if probability == 0.0 => assert!(is_well(&lab), "{kind}"),
                    _ => drop(says(&lab, "https")),
                }
            }
            let struck = lab.site().journal().faults_applied().len() - before;
            assert_eq!(struck, if probability == 0.0 { 0 } else { TIMES }, "{kind} {probability}");
        }
    }
}

#[needs(python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_journal_notes_fault_kind_and_occasion_of_what_was_hit() {
    let lab = TestSite::start().await;
    let mut every = rule("each second one", json!("status"));
    every.when.every = Some(2);
    every.place = Place { route: Some(Route::Hello), ..Place::default() };
    let _guard = lab.site().faults().add(every).unwrap();
    let statuses: Vec<String> = (0..4).map(|_| says(&lab, "http")[..3].to_owned()).collect();
    assert_eq!(statuses, ["200", "503", "200", "503"]);
    let faults_applied = lab.site().journal().faults_applied();
    let told: Vec<_> = faults_applied
        .iter()
        .map(|one| (one.rule.name.as_str(), one.moment, one.route, one.ordinal))
        .collect();
    let hit = |ordinal| ("each second one", Moment::Exchange, Some(Route::Hello), ordinal);
    assert_eq!(told, [hit(2), hit(4)]);
    let answered: Vec<u16> = lab.site().journal().records().iter().map(|one| one.status).collect();
    assert_eq!(answered, [200, 503, 200, 503]);
}

#[needs(python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_fault_with_a_time_to_live_is_gone_when_the_labs_clock_has_passed_it() {
    let lab = TestSite::start().await;
    let mut fault = rule("one", json!("status"));
    fault.when.time_to_live_seconds = Some(60);
    lab.site().faults().add(fault).unwrap().keep();
    lab.clock().advance(Duration::from_secs(59));
    assert!(says(&lab, "http").starts_with("503"));
    assert_eq!(lab.site().faults().list().len(), 1);
    lab.clock().advance(Duration::from_secs(1));
    assert!(says(&lab, "http").starts_with("200"));
    assert!(lab.site().faults().list().is_empty());
    let error = lab.site().faults().remove("one").unwrap_err().to_string();
    assert!(error.contains("there is no fault \"one\""), "{error}");
}

#[tokio::test]
async fn a_guard_takes_away_its_own_fault_and_no_other() {
    let lab = TestSite::start().await;
    let faults = lab.site().faults();
    let names = || faults.list().iter().map(|one| one.rule.name.clone()).collect::<Vec<_>>();
    let first = faults.add(rule("one", json!("empty"))).unwrap();
    let second = faults.add(rule("one", json!("garbage"))).unwrap();
    let third = faults.add(rule("two", json!("empty"))).unwrap();
    drop(first);
    assert_eq!(names(), ["one", "two"], "another has taken its place");
    second.keep();
    drop(third);
    assert_eq!(names(), ["one"]);
    assert_eq!(faults.remove("one").unwrap().rule.what, FaultKind::named("garbage").unwrap());
    faults.add(rule("three", json!("empty"))).unwrap().keep();
    assert_eq!(faults.clear().len(), 1);
    assert!(names().is_empty());
}

#[tokio::test]
async fn a_fault_for_one_client_leaves_the_others_alone() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(["one", "two"].map(|name| lab.client(name, "14.3")).into()).await;
    let mut fault = rule("only one", json!("status"));
    fault.whom.agent = Some("one".to_owned());
    let _guard = lab.site().faults().add(fault).unwrap();
    lab.pass(&fleet, INTERVAL).await;
    let is_served = |name: &str| {
        let member = fleet.members().iter().find(|one| one.name == name).unwrap();
        member.handle.view().health.is_connected()
    };
    assert!(!is_served("one") && is_served("two"));
}
