//! The doctor against a manager over sockets: every step of a heartbeat fails once, and is named.

use std::net::TcpStream;
use std::sync::Arc;

use bytes::Bytes;
use epm_client_agent::doctor::{Examination, Outcome, Step};
use epm_client_agent::wire::examine;
use epm_protocol::assumption::Assumptions;
use epm_protocol::fault::{FaultKind, FaultRule, Route};
use epm_protocol::heartbeat::Registered;
use epm_protocol::site::{DEFAULT_GROUP, agent_id};
use epm_protocol::sylink::{CommConf, Sylink};
use epm_tests::{TestSite, eventually, profile};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn file(lab: &TestSite) -> Sylink {
    lab.site().export_sylink(DEFAULT_GROUP, None).unwrap()
}

/// The doctor's results for the only server of this file.
async fn look(lab: &TestSite, sylink: &Sylink) -> Examination {
    let profile = profile("epm-doctor", "14.3.8289");
    let mut found = examine(sylink, &profile, &Arc::new(Assumptions::default()), lab.clock(), None).await;
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[track_caller]
fn breaks(found: &Examination, step: Step, why: &str) {
    assert_eq!(found.broken_at(), Some(step), "{found}");
    let broken = found.checks.iter().find(|one| one.step == step).unwrap();
    let Outcome::Broken { why: said, .. } = &broken.outcome else { panic!("{found}") };
    assert!(said.contains(why), "expected {why:?} in: {said}");
    let later = found.checks.iter().filter(|one| one.step > step);
    assert!(later.clone().all(|one| one.outcome == Outcome::NotReached), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_manager_that_is_well_is_well_in_every_step() {
    let lab = TestSite::start().await;
    let found = look(&lab, &file(&lab)).await;
    assert!(found.checks.iter().all(|one| one.outcome == Outcome::Well), "{found}");
    assert!(!found.stays_registered);
    assert_eq!(lab.site().look(|site| site.clients().count()), 0, "an examination leaves no client");
    assert!(lab.site().client_statuses().is_empty());
}

/// A manager that knows no probes: it registers each client that asks, and answers nothing else.
async fn foreign_manager(registered: Bytes) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8_lossy(&head);
            let (status, body) = match () {
                () if head.contains("hello") => (200, Bytes::from_static(b"OK")),
                () if head.contains("action=register") => (200, registered.clone()),
                () => (503, Bytes::new()),
            };
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_manager_that_knows_no_probes_keeps_the_client_and_the_doctor_says_so() {
    let lab = TestSite::start().await;
    let agent = agent_id(profile("epm-doctor", "14.3.8289").hardware_key);
    let known = Registered { agent, turn: 0, is_probe: false }.to_body();
    for (registered, stays) in [
        (known, true),
        (Bytes::from_static(b"an answer that the lab does not know"), true),
        (Registered { agent, turn: 0, is_probe: true }.to_body(), false),
    ] {
        let port = foreign_manager(registered).await;
        let mut sylink = file(&lab);
        let mut conf = sylink.conf();
        let server = &mut conf.list.priorities[0][0];
        (server.http_port, server.https_port) = (Some(port), None);
        sylink.adopt(&conf);
        let found = look(&lab, &sylink).await;
        assert_eq!(found.stays_registered, stays, "{found}");
        let shown = found.to_string();
        assert_eq!(shown.contains("stays registered with this manager: delete it there"), stays, "{shown}");
        assert!(found.broken_at().is_some_and(|at| at >= Step::Registration), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_fault_is_found_at_the_step_that_it_breaks() {
    let lab = TestSite::start().await;
    let sylink = file(&lab);
    for (kind, route, step, why) in [
        ("refuse", None, Step::Tcp, ""),
        ("handshake-close", None, Step::Tls, ""),
        ("other-self-signed", None, Step::Certificate, "the manager presented"),
        ("expired", None, Step::Certificate, ""),
        ("status", Some(Route::Hello), Step::Hello, "503"),
        ("status", Some(Route::Register), Step::Registration, "503"),
        ("status", Some(Route::Index), Step::Index, "503"),
        ("bad-signature", Some(Route::Policy), Step::Signature, "signature"),
    ] {
        let Ok(what) = FaultKind::named(kind) else { panic!("{kind}") };
        let mut rule = FaultRule::new("one", what);
        rule.place.route = route;
        let guard = lab.site().faults().add(rule).unwrap();
        let found = look(&lab, &sylink).await;
        if kind == "refuse" {
            assert!(found.broken_at().is_some_and(|at| at <= Step::Tls), "{found}");
        } else {
            breaks(&found, step, why);
        }
        drop(guard);
        eventually("the port is open again", || TcpStream::connect(lab.socket()).is_ok()).await;
    }
    assert_eq!(look(&lab, &sylink).await.broken_at(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wrong_file_is_found_at_the_step_that_it_breaks() {
    let lab = TestSite::start().await;
    let edited = |edit: fn(&mut CommConf)| {
        let mut sylink = file(&lab);
        let mut conf = sylink.conf();
        edit(&mut conf);
        sylink.adopt(&conf);
        sylink
    };
    let name = edited(|conf| conf.list.priorities[0][0].address = "no-such-host.invalid".to_owned());
    breaks(&look(&lab, &name).await, Step::Name, "no-such-host.invalid");
    let port = edited(|conf| conf.list.priorities[0][0].https_port = Some(1));
    breaks(&look(&lab, &port).await, Step::Tcp, "refused");
    let secret = edited(|conf| conf.settings.kcs_hex = "0".repeat(32));
    breaks(&look(&lab, &secret).await, Step::Registration, "KCS");
    let off = edited(|conf| conf.settings.disable_download_profile = true);
    breaks(&look(&lab, &off).await, Step::Serial, "downloads no policy");
    let pins = edited(|conf| conf.certificates.clear());
    breaks(&look(&lab, &pins).await, Step::Certificate, "no certificate is pinned");
}
