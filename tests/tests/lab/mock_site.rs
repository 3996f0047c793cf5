//! What users of a `MockSite` rely on: ports, starting and stopping, and that no peer can bring it down.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use bytes::Bytes;
use epm_client_agent::agent::{Distrust, LogLine, TlsCheck, TrustLayer};
use epm_client_agent::scenario::ManagerPlan;
use epm_client_agent::wire::{AgentHandle, Fleet, MemberSpec};
use epm_protocol::assumption::Assumptions;
use epm_protocol::heartbeat::http::{self, SECARS_PATH};
use epm_protocol::heartbeat::{AgentRequest, ExchangeFailure};
use epm_protocol::policy::Protocol;
use epm_protocol::site::{Command, Stores, TOP_GROUP};
use epm_protocol::time::Clock;
use epm_protocol::trust::{Beliefs, DateRule, NameRule, Pins, Rejection};
use epm_server::{ConnectionClosed, MockSite};
use epm_tests::{
    MANAGER, PATIENCE, START, TestSite, distrust, eventually, has_ended, history_of, push, refused,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{interval, timeout};

const HELLO: &str = "GET /secars/secars.dll?hello,secars HTTP/1.1\r\nHost: x\r\n";
/// The first bytes of a TLS client hello, after which the client is silent.
const TLS_STALLED: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01];

// -------------------------------------------------------------------------------------------- starting and stopping

#[tokio::test]
async fn several_sites_in_one_process_have_ports_journals_and_clients_of_their_own() {
    let mut labs = Vec::new();
    for _ in 0..5 {
        labs.push(TestSite::start().await);
    }
    let ports: std::collections::BTreeSet<u16> = labs.iter().map(|lab| lab.socket().port()).collect();
    assert_eq!(ports.len(), 5, "{ports:?}");
    for (number, lab) in labs.iter().enumerate() {
        for _ in 0..=number {
            assert!(say(lab.socket(), &closing(HELLO)).await.starts_with("HTTP/1.1 200"));
        }
    }
    let visits: Vec<usize> = labs.iter().map(|lab| lab.site().journal().records().len()).collect();
    assert_eq!(visits, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn stop_returns_when_the_ports_are_closed_on_one_thread() {
    stop_closes_everything("127.73.0.1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_returns_when_the_ports_are_closed_on_several_threads() {
    stop_closes_everything("127.73.0.2").await;
}

/// No other test listens at `address`: a port of 127.0.0.1 that is free again may at once be that of another site.
async fn stop_closes_everything(address: &str) {
    let plan = ManagerPlan { address: address.to_owned(), ..plan(Some(0)) };
    let mut lab = TestSite::of(MockSite::builder().manager(plan)).await;
    lab.apply(&push());
    let fleet = lab.fleet(vec![lab.client("holding", "14.3")]).await;
    let sockets = lab.site().addresses()[0].sockets().to_vec();
    assert_eq!(sockets.len(), 2, "a port for HTTP and one for HTTPS");
    let mut connections = Vec::new();
    for said in [&b""[..], HELLO.as_bytes(), TLS_STALLED] {
        for socket in &sockets {
            connections.push(dial(*socket, said).await);
        }
    }
    let stopped = timeout(PATIENCE, lab.cut()).await;
    assert!(stopped.is_ok(), "silent peers do not delay it");
    for socket in sockets {
        let refused = TcpStream::connect(socket).await.map(drop).map_err(|error| error.kind());
        assert_eq!(refused, Err(ErrorKind::ConnectionRefused), "{socket}");
        assert!(TcpListener::bind(socket).await.is_ok(), "{socket} is free again");
    }
    for mut connection in connections {
        let rest = timeout(PATIENCE, connection.read_to_end(&mut Vec::new())).await;
        assert!(rest.is_ok(), "every connection has ended");
    }
    drop(fleet);
}

#[test]
fn dropping_a_site_never_blocks_wherever_and_whenever_it_is_dropped() {
    let (sender, done) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let open = |on: &tokio::runtime::Runtime| {
            on.block_on(async {
                let site = MockSite::start().await.unwrap();
                let socket = site.addresses()[0].sockets()[0];
                (site, dial(socket, HELLO.as_bytes()).await, socket)
            })
        };
        let first = runtime();
        let (site, connection, socket) = open(&first);
        first.block_on(async { drop(site) }); // inside the runtime, whose only thread this is
        first.block_on(refused(socket));
        let (outside, _guest, socket) = open(&first);
        drop(outside); // outside of it
        first.block_on(refused(socket));
        let (late, _late_guest, _) = open(&first);
        drop((connection, first));
        drop(late); // after it
        sender.send(()).unwrap();
    });
    assert_eq!(done.recv_timeout(PATIENCE), Ok(()), "it did not return");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_what_can_be_done() {
    let taken = StdListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let plan = ManagerPlan { http_port: port, ..plan(None) };
    let error = MockSite::builder().manager(plan).start().await.unwrap_err().to_string();
    assert!(error.contains(&format!("127.0.0.1:{port}")) && error.contains(MANAGER), "{error}");
    assert!(error.contains("choose another port"), "{error}");
}

// ------------------------------------------------------------------------------------------------- what ports speak

#[tokio::test]
async fn one_port_takes_http_and_https_and_separate_ports_take_their_own() {
    for https_port in [None, Some(0)] {
        let lab = TestSite::of(MockSite::builder().manager(plan(https_port))).await;
        let sockets = lab.site().addresses()[0].sockets();
        let (http, https) = (sockets[0], *sockets.last().unwrap());
        assert_eq!(http == https, https_port.is_none());
        assert!(say(http, &closing(HELLO)).await.starts_with("HTTP/1.1 200"));
        let fleet = lab.fleet(vec![lab.client("client", "14.3")]).await;
        assert!(fleet.members()[0].handle.view().health.is_connected());
        assert_eq!(fleet.members()[0].handle.view().server.map(|one| one.port), Some(https.port()));
        if http != https {
            let answer = say(https, &closing(HELLO)).await;
            assert!(!answer.starts_with("HTTP/1.1 200"), "the HTTPS port speaks no HTTP: {answer:?}");
            let answer = lab.ask(Protocol::Https, AgentRequest::Hello, TlsCheck::Nothing).await;
            assert!(answer.is_err(), "the HTTP port speaks no TLS");
        }
    }
}

#[tokio::test]
async fn a_held_request_is_woken_by_a_change_and_not_by_the_clock() {
    let lab = TestSite::start().await;
    let mut held = Vec::new();
    for number in 0..20 {
        let agent = lab.register(&format!("client-{number}"));
        let group = lab.site().client_status(agent).unwrap().client.group;
        let serial = lab.site().look(|site| site.publication(MANAGER).unwrap().group(group).unwrap().serial);
        let asked = http::encode(&AgentRequest::Hold { agent, serial: Some(serial) }, &lab.site().kcs());
        let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", asked.target);
        lab.clock().advance(Duration::from_millis(1));
        let now = lab.clock().now();
        held.push(dial(lab.socket(), request.as_bytes()).await);
        eventually("it is held", || lab.site().client_status(agent).unwrap().last_seen == now).await;
    }
    assert_eq!(lab.site().journal().records(), [], "no request was answered");
    let now = lab.clock().now();
    set_policy(&lab, "new");
    for request in &mut held {
        let answer = answer_on(request).await.expect("it is answered");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("changed"), "{answer}");
    }
    assert_eq!(lab.clock().now(), now, "no time has passed");
}

#[tokio::test]
async fn clients_in_push_mode_get_a_new_policy_while_the_clock_stands_still() {
    let lab = TestSite::start().await;
    lab.apply(&push());
    let clients = (0..20).map(|number| lab.client(&format!("client-{number}"), "14.3"));
    let fleet = lab.fleet(clients.collect()).await;
    for content in ["one", "two", "three"] {
        let before: Vec<_> = fleet.members().iter().map(|one| one.handle.view().serial).collect();
        set_policy(&lab, content);
        lab.until(&fleet, "every client has the new policy", |members| {
            members.iter().zip(&before).all(|(one, before)| one.handle.view().complete > *before)
        })
        .await;
    }
    assert_eq!(lab.clock().now(), START);
}

// ------------------------------------------------------------------------------------------- an update, whole or half

#[tokio::test]
async fn a_client_rests_when_its_lines_are_in_the_log_and_not_before() {
    let lab = TestSite::start().await;
    let known: Arc<OnceLock<AgentHandle>> = Arc::default();
    let (sender, lines) = mpsc::channel();
    let log = {
        let (known, clock) = (Arc::clone(&known), Arc::clone(lab.clock()));
        Arc::new(move |_: &str, line: &LogLine| {
            let is_over = |one: &AgentHandle| one.is_resting() || one.is_settled(clock.now());
            let _ = sender.send((line.event, known.get().is_some_and(is_over)));
        })
    };
    let specs = vec![lab.client("desk-1", "14.3")];
    let fleet = Fleet::start(Arc::clone(lab.clock()), &Arc::default(), &(log as _), specs).await;
    assert!(known.set(fleet.members()[0].handle.clone()).is_ok());
    lab.until(&fleet, "the first heartbeat", |members| has_ended(&members[0], 1)).await;
    lab.heartbeat(&fleet).await;
    let lines: Vec<_> = lines.try_iter().collect();
    assert!(lines.len() > 1 && lines.iter().all(|(_, is_over)| !is_over), "{lines:?}");
}

#[tokio::test]
async fn a_new_certificate_serves_at_the_next_handshake_without_a_restart() {
    for ends_connections in [true, false] {
        let assumptions = Assumptions { update_ends_connections: ends_connections, ..Assumptions::default() };
        let lab = TestSite::of(MockSite::builder().assumptions(assumptions)).await;
        let socket = lab.socket();
        let old = pins(&lab);
        let mut open = dial(socket, format!("{HELLO}\r\n").as_bytes()).await;
        assert!(answer_on(&mut open).await.is_some());
        lab.update(Stores::Both);
        assert_eq!(lab.socket(), socket);
        let met = lab.ask(Protocol::Https, AgentRequest::Hello, old).await.unwrap_err();
        match met {
            ExchangeFailure::TlsRejected { rejection: Rejection::NotPinned { found, .. } } => {
                assert_eq!(found, lab.certificate());
            }
            other => panic!("{other:?}"),
        }
        assert!(lab.ask(Protocol::Https, AgentRequest::Hello, pins(&lab)).await.is_ok());
        let _ = open.write_all(format!("{HELLO}\r\n").as_bytes()).await;
        assert_eq!(answer_on(&mut open).await.is_none(), ends_connections, "the open connection");
    }
}

#[tokio::test]
async fn half_an_update_at_the_clients_port_is_a_stranger_to_every_list() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(both(&lab)).await;
    let (old, listed) = (lab.certificate(), certificates(&lab));
    lab.update(Stores::Client);
    assert_ne!(lab.certificate(), old, "the port shows the new one");
    assert_eq!(certificates(&lab), listed, "the lists have the old one");
    let fresh = lab.fleet(vec![lab.client("fresh", "14.3")]).await;
    lab.heartbeat(&fleet).await;
    for member in fleet.members().iter().chain(fresh.members()) {
        let expected = Rejection::NotPinned { expected: vec![old], found: lab.certificate() };
        assert_eq!(distrust(member.handle.view().health), Distrust::Tls { rejection: expected });
    }
}

#[tokio::test]
async fn half_an_update_at_the_console_breaks_signatures_and_leaves_connections_whole() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(both(&lab)).await;
    let (old, listed) = (lab.certificate(), certificates(&lab));
    lab.update(Stores::Console);
    assert_eq!(lab.certificate(), old, "the port shows the old one");
    assert_ne!(certificates(&lab), listed, "the lists have the new one");
    lab.heartbeat(&fleet).await;
    for member in fleet.members() {
        match distrust(member.handle.view().health) {
            Distrust::Signature { artifact, .. } => assert_eq!(artifact, "policy"),
            other => panic!("{other:?}"),
        }
    }
    // A client that is installed now trusts only the new certificate, and is shown the old one.
    let fresh = lab.fleet(vec![lab.client("fresh", "14.3")]).await;
    assert_eq!(distrust(fresh.members()[0].handle.view().health).layer(), TrustLayer::Tls);
}

// ------------------------------------------------------------------------------------------------------ bad visitors

#[tokio::test]
async fn a_query_or_a_body_that_is_too_long_is_refused_by_its_number() {
    let lab = TestSite::start().await;
    let agent = lab.register("talkative");
    let long = |length| format!("GET {SECARS_PATH}?{} HTTP/1.1\r\nHost: x\r\n", "q".repeat(length));
    for (length, status) in [(4096, "400"), (4097, "414"), (5 * 1024, "414")] {
        let answer = say(lab.socket(), &closing(&long(length))).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{length}: {answer}");
    }
    let endless = say(lab.socket(), &closing(&long(100_000))).await;
    assert!(endless.starts_with("HTTP/1.1 414") || endless.starts_with("HTTP/1.1 431"), "{endless}");

    for (size, status) in [(64 * 1024, "200"), (64 * 1024 + 1, "413"), (1024 * 1024, "413")] {
        let state = Bytes::from(vec![b' '; size]);
        let asked = http::encode(&AgentRequest::Upload { agent, state: state.clone() }, &lab.site().kcs());
        let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n", asked.target);
        let answer = say(lab.socket(), &[closing(&head).as_slice(), &state].concat()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{size}: {answer}");
    }
    still_answers(&lab).await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_noted_as_that() {
    let lab = TestSite::start().await;
    let chunked = "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n";
    for rest in ["Content-Length: 10\r\n\r\n12345", chunked] {
        let before = lab.site().journal().records().len();
        let answer =
            say(lab.socket(), format!("POST {SECARS_PATH}?x HTTP/1.1\r\nHost: x\r\n{rest}").as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
        eventually("it is noted", || lab.site().journal().records().len() > before).await;
        let noted = lab.site().journal().records().pop().expect("it is noted");
        assert_eq!((noted.action, noted.status), ("broken-off", 400));
    }
    still_answers(&lab).await;
}

#[tokio::test]
async fn garbage_on_the_port_is_noted_and_harms_nobody() {
    let lab = TestSite::of(MockSite::builder().manager(plan(Some(0)))).await;
    let sockets = lab.site().addresses()[0].sockets().to_vec();
    let mut seed = 1_u64;
    let mut noise = |length: usize| -> Vec<u8> {
        let next = std::iter::repeat_with(|| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed.to_le_bytes()[0]
        });
        next.take(length).collect()
    };
    for socket in sockets {
        for length in [1, 16, 300, 70_000] {
            let _ = say(socket, &noise(length)).await;
            let _ = say(socket, &[&[0x16, 0x03, 0x01][..], &noise(length)].concat()).await;
        }
        for text in [
            "\r\n\r\n",
            "GET\r\n\r\n",
            "GET / HTTP/9.9\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "POST /secars/secars.dll?h=\0 HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            "POST /secars/secars.dll?x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            let answer = say(socket, text.as_bytes()).await;
            assert!(!answer.starts_with("HTTP/1.1 200"), "{text:?}: {answer}");
        }
    }
    assert!(!lab.site().journal().connections_closed().is_empty());
    still_answers(&lab).await;
}

/// The runtime's clock skips waits here, so the port's limit of half a minute is over at once.
#[tokio::test(start_paused = true)]
async fn whoever_stalls_is_left_after_half_a_minute() {
    const AN_HOUR: Duration = Duration::from_secs(3600);
    let site = MockSite::builder().manager(plan(None)).start().await.unwrap();
    let socket = site.addresses()[0].sockets()[0];
    let body = "POST /secars/secars.dll?x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345";
    let answered = format!("{HELLO}\r\n");
    for (what, said) in [
        ("says nothing", &b""[..]),
        ("stalls in a handshake", TLS_STALLED),
        ("stalls in a header", HELLO.as_bytes()),
        ("stalls in a body", body.as_bytes()),
        ("asks nothing more", answered.as_bytes()),
    ] {
        let mut connection = dial(socket, said).await;
        // The skipped clock does not wait for the system to deliver the end: a minute may pass meanwhile. The bytes below count.
        let ended = timeout(AN_HOUR, connection.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "a peer that {what} is still connected after an hour\n{}", history_of(&site));
    }
    // Sending a byte now and then does not help.
    let mut connection = dial(socket, HELLO.as_bytes()).await;
    let mut drip = interval(Duration::from_secs(5));
    let dripped = timeout(AN_HOUR, async {
        let mut said = 0;
        loop {
            drip.tick().await;
            if connection.write_all(b"X").await.is_err() {
                return said;
            }
            said += 1;
        }
    });
    let said = dripped.await.expect("a peer that drips bytes is disconnected as well");
    // Nor does asking again and again without reading an answer.
    let mut connection = dial(socket, b"").await;
    let asked = timeout(AN_HOUR, async {
        let many = format!("{HELLO}\r\n").repeat(1000);
        while connection.write_all(many.as_bytes()).await.is_ok() {}
    });
    assert!(
        asked.await.is_ok(),
        "a peer that never reads is still connected after an hour\n{}",
        history_of(&site)
    );
    assert!(said <= 9, "{said} bytes in as many times five seconds");
    let connections_closed: Vec<ConnectionClosed> =
        site.journal().connections_closed().into_iter().map(|(_, why)| why).collect();
    assert!(connections_closed.contains(&ConnectionClosed::Silent), "{connections_closed:?}");
    let stalled = connections_closed.iter().filter(|why| **why == ConnectionClosed::Stalled).count();
    assert_eq!(
        stalled, 4,
        "in a header, before the next request, dripping, and not reading: {connections_closed:?}"
    );
    assert!(
        connections_closed.contains(&ConnectionClosed::Handshake("the handshake stalled".into())),
        "{connections_closed:?}"
    );
    assert!(say(socket, &closing(HELLO)).await.starts_with("HTTP/1.1 200"));
    site.stop().await;
}

// ---------------------------------------------------------------------------------------------------------- helpers

fn plan(https_port: Option<u16>) -> ManagerPlan {
    ManagerPlan { name: MANAGER.into(), address: "127.0.0.1".into(), http_port: 0, https_port }
}

fn set_policy(lab: &TestSite, content: &str) {
    let (group, policy) = (TOP_GROUP.to_owned(), "Firewall".to_owned());
    lab.apply(&Command::SetPolicy { group, policy, content: content.to_owned() });
}

fn both(lab: &TestSite) -> Vec<MemberSpec> {
    vec![lab.client("client of 14.2", "14.2"), lab.client("client of 14.3", "14.3")]
}

fn certificates(lab: &TestSite) -> Vec<Bytes> {
    let sylink = lab.site().export_sylink(TOP_GROUP, None).expect("the top group is there");
    sylink.conf().certificates.iter().map(|one| one.der.clone()).collect()
}

/// Trusts the certificate that the manager shows now.
fn pins(lab: &TestSite) -> TlsCheck {
    let pins: Pins = lab.site().certificate(MANAGER).into_iter().collect();
    TlsCheck::Against(Beliefs { pins, dates: DateRule::Checked, names: NameRule::Ignored })
}

/// A head that asks for the connection to be closed.
fn closing(head: &str) -> Vec<u8> {
    format!("{head}Connection: close\r\n\r\n").into_bytes()
}

async fn dial(socket: SocketAddr, said: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(socket).await.expect("the port is open");
    stream.write_all(said).await.expect("it is taken");
    stream
}

/// Sends this and no more, and returns everything that comes back until the other side ends.
async fn say(socket: SocketAddr, said: &[u8]) -> String {
    let (mut from, mut to) = TcpStream::connect(socket).await.expect("the port is open").into_split();
    let mut answer = Vec::new();
    let speaking = async {
        to.write_all(said).await.expect("a peer that refuses early reads on");
        let _ = to.shutdown().await;
    };
    let both = async { tokio::join!(speaking, from.read_to_end(&mut answer)) };
    assert!(timeout(PATIENCE, both).await.is_ok(), "{socket} does not end the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads an answer on a connection that stays open; none when it has ended.
async fn answer_on(stream: &mut TcpStream) -> Option<String> {
    let mut answer = vec![0; 4096];
    match timeout(PATIENCE, stream.read(&mut answer)).await.expect("it answers or ends") {
        Ok(0) | Err(_) => None,
        Ok(length) => Some(String::from_utf8_lossy(&answer[..length]).into_owned()),
    }
}

async fn still_answers(lab: &TestSite) {
    assert!(say(lab.site().addresses()[0].sockets()[0], &closing(HELLO)).await.starts_with("HTTP/1.1 200"));
    let fleet = lab.fleet(vec![lab.client("a good one", "14.3")]).await;
    assert!(fleet.members()[0].handle.view().health.is_connected());
}
