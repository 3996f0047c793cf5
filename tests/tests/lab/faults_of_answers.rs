//! Faults of downloads, of lists and of the manager itself, request by request over sockets; predictions by
//! `explain` come true.

use std::sync::Arc;
use std::time::Duration;

use epm_client_agent::agent::{Distrust, Health, TlsCheck};
use epm_protocol::fault::{
    ConnectionFacts, ExchangeFacts, FaultKind, FaultRule, FaultSet, Party, Past, Route, VirtualEffect,
    VirtualExchange, Whom,
};
use epm_protocol::heartbeat::{AgentRequest, Artifact, ExchangeFailure, ManagerResponse, Stage};
use epm_protocol::id::AgentId;
use epm_protocol::policy::Protocol;
use epm_protocol::site::{Command, DEFAULT_GROUP, Stores};
use epm_protocol::sylink::PublishedList;
use epm_protocol::trust::{Pins, Rejection, Signed};
use epm_server::{ConnectionClosed, FaultGuard};
use epm_tests::foreign::HELLO;
use epm_tests::{MANAGER, PATIENCE, START, TestSite, eventually, push};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

fn set(lab: &TestSite, what: Value) -> FaultGuard {
    let what: FaultKind = serde_json::from_value(what).expect("a kind");
    lab.site().faults().add(FaultRule::new("one", what)).expect("a good rule")
}

async fn ask(lab: &TestSite, request: AgentRequest) -> Result<ManagerResponse, ExchangeFailure> {
    lab.ask(Protocol::Http, request, TlsCheck::Nothing).await
}

async fn fetch(lab: &TestSite, agent: AgentId, artifact: Artifact) -> ManagerResponse {
    ask(lab, AgentRequest::Fetch { agent, artifact }).await.expect("an answer")
}

/// Whether the present certificate's key has signed the answer.
fn is_signed(lab: &TestSite, answer: &ManagerResponse) -> bool {
    let mut pins = Pins::new();
    pins.insert(lab.identity().certificate().clone());
    let signature = answer.signature.as_ref().and_then(|one| one.signature());
    Signed::<()>::new(answer.body.clone(), signature).verify(&pins).is_ok()
}

#[tokio::test]
async fn a_faulty_list_has_one_thing_wrong_and_a_good_signature() {
    let lab = TestSite::start().await;
    let agent = lab.register("one");
    let good = fetch(&lab, agent, Artifact::List).await;
    for kind in ["dead-server", "wrong-port", "omits-new-certificate", "empty-priority", "http-only"] {
        let _guard = set(&lab, json!(kind));
        let answer = fetch(&lab, agent, Artifact::List).await;
        assert!(is_signed(&lab, &answer), "{kind}");
        assert_ne!(answer.body, good.body, "{kind}");
        let list = PublishedList::parse(std::str::from_utf8(&answer.body).unwrap()).unwrap().group;
        let servers: Vec<_> = list.list.servers().collect();
        let is_wrong = match kind {
            "dead-server" => servers[0].address == "127.0.0.9" && servers[1].address == "127.0.0.1",
            "wrong-port" => servers.iter().all(|one| one.http_port == Some(8013)),
            "omits-new-certificate" => list.certificates.is_empty(),
            "empty-priority" => list.list.priorities[0].is_empty() && servers.len() == 1,
            _ => servers.iter().all(|one| one.https_port.is_none()),
        };
        assert!(is_wrong, "{kind}: {list:?}");
        let policy = fetch(&lab, agent, Artifact::Policy).await;
        assert!(is_signed(&lab, &policy) && policy.status == 200, "{kind}: only the list");
    }
    assert_eq!(fetch(&lab, agent, Artifact::List).await, good, "and then it is as before");
}

#[tokio::test]
async fn what_is_missing_or_goes_back_is_what_was_not_or_was_before() {
    let lab = TestSite::start().await;
    let agent = lab.register("one");
    let index = || ask(&lab, AgentRequest::Index { agent, serial: None, turn: 0 });
    let before = (index().await.unwrap(), fetch(&lab, agent, Artifact::Policy).await);
    lab.apply(&push());
    let after = (index().await.unwrap(), fetch(&lab, agent, Artifact::Policy).await);
    assert_ne!(before, after);
    let guard = set(&lab, json!("serial-goes-back"));
    assert_eq!(index().await.unwrap(), before.0);
    assert_eq!(fetch(&lab, agent, Artifact::Policy).await, before.1, "signed by the same manager");
    drop(guard);
    assert_eq!((index().await.unwrap(), fetch(&lab, agent, Artifact::Policy).await), after);
    let _guard = set(&lab, json!("missing"));
    assert_eq!(fetch(&lab, agent, Artifact::List).await.status, 404);
}

#[tokio::test]
async fn a_fault_that_lacks_something_spares_and_says_so() {
    let lab = TestSite::start().await;
    let agent = lab.register("one");
    let _guard = set(&lab, json!("stale-signature"));
    assert!(is_signed(&lab, &fetch(&lab, agent, Artifact::Policy).await));
    let spared = lab.site().journal().faults_skipped();
    assert!(spared[0].1.contains("stale-signature needs an earlier publication"), "{spared:?}");
    let applied = lab.site().journal().faults_applied();
    assert!(applied.is_empty(), "what has no effect is no hit: {applied:?}");
}

#[tokio::test]
async fn a_manager_in_trouble_answers_as_its_fault_says() {
    let lab = TestSite::start().await;
    let agent = lab.register("one");
    for (kind, status) in [("database-down", 500), ("kcs-changed", 400), ("slow-start", 503)] {
        let _guard = set(&lab, json!(kind));
        let answer = ask(&lab, AgentRequest::Index { agent, serial: None, turn: 0 }).await.unwrap();
        assert_eq!(answer.status, status, "{kind}");
    }
    let _guard = set(&lab, json!("push-limit"));
    assert_eq!(ask(&lab, AgentRequest::Hold { agent, serial: None }).await.unwrap().status, 503);
    assert_eq!(ask(&lab, AgentRequest::Index { agent, serial: None, turn: 0 }).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_held_request_is_lost_at_once_when_its_answer_would_be() {
    let lab = TestSite::start().await;
    lab.apply(&push());
    let fleet = lab.fleet(vec![lab.client("one", "14.3")]).await;
    eventually("it is held", || lab.site().held() == 1).await;
    let agent = lab.site().look(|site| site.clients().next().unwrap().agent);
    let serial = lab.site().client_status(agent).unwrap().serial;
    assert!(lab.site().would_hold(agent, serial));
    let _guard = set(&lab, json!("empty"));
    let lost = ask(&lab, AgentRequest::Hold { agent, serial }).await.unwrap_err();
    assert!(matches!(lost, ExchangeFailure::ConnectionLost { stage: Stage::Answer, .. }), "{lost:?}");
    drop(fleet);
}

#[tokio::test]
async fn a_changed_secret_orphans_by_layer_c_until_the_guard_is_dropped() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(vec![lab.client("one", "14.3")]).await;
    let guard = set(&lab, json!("kcs-changed"));
    lab.heartbeat(&fleet).await;
    let health = || fleet.members()[0].handle.view().health;
    assert!(
        matches!(health(), Health::Orphaned { because: Distrust::SharedSecret { status: 400 }, .. }),
        "{:?}",
        health()
    );
    let log = lab.site().journal().server_log();
    assert!(log.iter().any(|line| line == "4 Bad format."), "the manager logs it as it would: {log:?}");
    drop(guard);
    lab.heartbeat(&fleet).await;
    assert!(health().is_connected(), "{:?}", health());
}

#[tokio::test]
async fn a_client_alone_at_its_address_is_known_when_it_connects() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(vec![lab.client("one", "14.3")]).await;
    for (agent, is_hit) in [("another", false), ("one", true)] {
        let mut fault = FaultRule::new("one", FaultKind::named("expired").unwrap());
        fault.whom = Whom { agent: Some(agent.to_owned()), ..Whom::default() };
        let _guard = lab.site().faults().add(fault).unwrap();
        lab.heartbeat(&fleet).await;
        let health = fleet.members()[0].handle.view().health;
        let is_orphaned = matches!(
            health,
            Health::Orphaned { because: Distrust::Tls { rejection: Rejection::NotPinned { .. } }, .. }
        );
        assert_eq!(is_orphaned, is_hit, "{agent}: {health:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_explained_in_advance_is_what_happens_under_load() {
    const CLIENTS: usize = 12;
    const EACH: u64 = 40;
    let lab = Arc::new(TestSite::start().await);
    let mut fault = FaultRule::new("one in three", FaultKind::named("status").unwrap());
    fault.probability = 0.3;
    lab.site().faults().add(fault).unwrap().keep();
    let names: Vec<String> = (0..CLIENTS).map(|number| format!("client-{number}")).collect();
    let group = DEFAULT_GROUP;
    let mut tasks = Vec::new();
    for name in names {
        let agent = lab.register(&name);
        let version = lab.site().client_status(agent).unwrap().client.version;
        let party = Party {
            agent: Some(agent),
            computer: Some(&name),
            group: Some(group),
            version: Some(version),
            source: lab.socket().ip(),
        };
        let (manager, protocol, route) = (MANAGER, Protocol::Http, Route::Index);
        let facts =
            ExchangeFacts { party, manager, protocol, route, ordinal: 1, held: 0, past: Past::REPLACED };
        let told = lab.site().faults().set().explain(&facts, EACH, START);
        let told: Vec<bool> = told.iter().map(|one| !one.verdict.is_pass()).collect();
        let lab = Arc::clone(&lab);
        tasks.push(tokio::spawn(async move {
            let mut met = Vec::new();
            for _ in 0..EACH {
                let answer = ask(&lab, AgentRequest::Index { agent, serial: None, turn: 0 }).await.unwrap();
                met.push(answer.status == 503);
            }
            assert_eq!(met, told, "{name}");
            met.iter().filter(|hit| **hit).count()
        }));
    }
    let mut hits = 0;
    for task in tasks {
        hits += task.await.unwrap();
    }
    assert!((100..190).contains(&hits), "{hits} of 480");
    assert_eq!(lab.site().journal().faults_applied().len(), hits);
}

#[tokio::test]
async fn probability_0_never_fires_and_1_always_for_artifacts_and_lists() {
    let lab = TestSite::start().await;
    let agent = lab.register("one");
    let good = fetch(&lab, agent, Artifact::List).await;
    for kind in ["bad-signature", "dead-server"] {
        for probability in [0.0, 1.0] {
            let mut fault = FaultRule::new(kind, FaultKind::named(kind).unwrap());
            fault.probability = probability;
            let _guard = lab.site().faults().add(fault).unwrap();
            for _ in 0..20 {
                let is_good = fetch(&lab, agent, Artifact::List).await == good;
                assert_eq!(is_good, probability == 0.0, "{kind} {probability}");
            }
        }
    }
}

/// The code of a failure, and its stage if it has one.
fn told(failure: &ExchangeFailure) -> (String, Option<Stage>) {
    let stage = match failure {
        ExchangeFailure::TimedOut { stage, .. } | ExchangeFailure::ConnectionLost { stage, .. } => {
            Some(*stage)
        }
        _ => None,
    };
    (failure.code().to_owned(), stage)
}

#[tokio::test]
async fn the_labs_client_meets_over_sockets_what_the_table_of_virtual_time_says() {
    let lab = TestSite::start().await;
    lab.clock().set_speed(20);
    let party = Party::stranger(lab.socket().ip());
    let (manager, route, limit) = (MANAGER, Route::Hello, Duration::from_secs(30));
    let (mut compared, mut differ) = (0, Vec::new());
    for info in FaultKind::kinds() {
        for protocol in [Protocol::Http, Protocol::Https] {
            let mut alone = FaultSet::new(1);
            let rule = FaultRule::new("one", FaultKind::named(info.name).unwrap());
            alone.add(rule.clone(), START).unwrap();
            let verdicts = [
                alone.judge_connection(
                    &ConnectionFacts { party, manager, protocol, ordinal: 1, past: Past::default() },
                    START,
                ),
                alone.judge_exchange(
                    &ExchangeFacts {
                        party,
                        manager,
                        protocol,
                        route,
                        ordinal: 1,
                        held: 0,
                        past: Past::default(),
                    },
                    START,
                ),
            ];
            let meeting = VirtualExchange { address: "127.0.0.1", protocol, limit, body_bytes: Some(2) };
            let effect = verdicts.iter().find_map(|verdict| verdict.in_virtual_time(&meeting));
            let expected = match &effect {
                Some(VirtualEffect::Fails(failure)) => Some(told(failure)),
                // The manager lacks the key of the certificate that it shows first.
                Some(VirtualEffect::Shows)
                    if matches!(info.name, "wrong-key" | "weak-key" | "reversed-chain") =>
                {
                    Some(("tls-failed".to_owned(), None))
                }
                _ => None,
            };
            // Closed ports and endless waits have tests of their own.
            if info.name == "refuse" || expected.as_ref().is_some_and(|(code, _)| code == "timed-out") {
                continue;
            }
            let _guard = lab.site().faults().add(rule).unwrap();
            let asked = timeout(PATIENCE, lab.ask(protocol, AgentRequest::Hello, TlsCheck::Nothing)).await;
            let met = asked.unwrap_or_else(|_| panic!("{} over {protocol:?} hangs", info.name)).err();
            if met.as_ref().map(told) != expected {
                differ.push(format!("{} over {protocol:?}: {expected:?}, but {met:?}", info.name));
            }
            compared += 1;
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert!(compared > 100, "{compared} compared");
}

#[tokio::test]
async fn a_certificate_changes_under_a_fault_and_the_fault_goes_with_it() {
    let lab = TestSite::start().await;
    let old = lab.certificate();
    let _guard = set(&lab, json!("old-restored"));
    lab.apply(&Command::UpdateCertificate {
        manager: MANAGER.to_owned(),
        certificate: epm_protocol::site::NewCertificate::Generate { common_name: None, valid_days: None },
        stores: Stores::Both,
    });
    let fleet = lab.fleet(vec![lab.client("one", "14.3")]).await;
    let health = fleet.members()[0].handle.view().health;
    let Health::Orphaned {
        because: Distrust::Tls { rejection: Rejection::NotPinned { expected, found } },
        ..
    } = health
    else {
        panic!("{health:?}");
    };
    assert_eq!((expected, found), (vec![lab.certificate()], old));
}

#[tokio::test(start_paused = true)]
async fn what_a_fault_holds_up_outlives_the_patience_of_the_port() {
    let lab = TestSite::start().await; // its clock stands still, so an answer that is too late never comes
    for what in [
        json!("blackhole"),
        json!("accept-then-stall"),
        json!({ "kind": "latency", "ms": 45_000 }),
        json!({ "kind": "bandwidth", "bytes_per_second": 1 }),
        json!({ "kind": "slow-headers", "total_ms": 45_000 }),
        json!({ "kind": "dribbled", "total_ms": 45_000 }),
    ] {
        let _guard = set(&lab, what.clone());
        let before = lab.site().journal().faults_applied().len();
        let mut connection = TcpStream::connect(lab.socket()).await.unwrap();
        connection.write_all(format!("GET {HELLO} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        eventually("it is hit", || lab.site().journal().faults_applied().len() > before).await;
        let ended = timeout(Duration::from_secs(120), connection.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_err(), "{what}: {ended:?}");
    }
    let left = lab.site().journal().connections_closed();
    assert!(left.iter().all(|(_, why)| *why != ConnectionClosed::Stalled), "{left:?}");
}
