//! The doctor against a manager over sockets: every step of a heartbeat fails once, and is named.

use std::net::TcpStream;
use std::sync::Arc;

use bytes::Bytes;
use epm_client_agent::doctor::{Examination, Outcome, Step};
use epm_client_agent::wire::examine;
use epm_protocol::assumption::Assumptions;
use epm_protocol::fault::{FaultKind, FaultRule, Route};
use epm_protocol::heartbeat::Registered;
use epm_protocol::site::{Command, DEFAULT_GROUP, Material, TOP_GROUP, agent_id};
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

/// The steps with this outcome.
fn steps(found: &Examination, outcome: &Outcome) -> Vec<Step> {
    found.checks.iter().filter(|one| one.outcome == *outcome).map(|one| one.step).collect()
}

fn edited(lab: &TestSite, edit: impl FnOnce(&mut CommConf)) -> Sylink {
    let mut sylink = file(lab);
    let mut conf = sylink.conf();
    edit(&mut conf);
    sylink.adopt(&conf);
    sylink
}

fn fault(kind: &str, route: Option<Route>) -> FaultRule {
    let Ok(what) = FaultKind::named(kind) else { panic!("{kind}") };
    let mut rule = FaultRule::new(kind, what);
    rule.place.route = route;
    rule
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
        let sylink = edited(&lab, |conf| {
            let server = &mut conf.list.priorities[0][0];
            (server.http_port, server.https_port) = (Some(port), None);
        });
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
        ("status", Some(Route::Policy), Step::Download, "503"),
        ("missing", Some(Route::Policy), Step::Download, "404"),
        ("empty", Some(Route::Policy), Step::Download, "connection was lost"),
        ("bad-signature", Some(Route::Policy), Step::Signature, "signature"),
        ("status", Some(Route::Upload), Step::Upload, "503"),
    ] {
        let guard = lab.site().faults().add(fault(kind, route)).unwrap();
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
    let name = edited(&lab, |conf| conf.list.priorities[0][0].address = "no-such-host.invalid".to_owned());
    breaks(&look(&lab, &name).await, Step::Name, "no-such-host.invalid");
    let port = edited(&lab, |conf| conf.list.priorities[0][0].https_port = Some(1));
    breaks(&look(&lab, &port).await, Step::Tcp, "refused");
    let secret = edited(&lab, |conf| conf.settings.kcs_hex = "0".repeat(32));
    breaks(&look(&lab, &secret).await, Step::Registration, "KCS");
    let off = edited(&lab, |conf| conf.settings.disable_download_profile = true);
    breaks(&look(&lab, &off).await, Step::Serial, "downloads no policy");
    let pins = edited(&lab, |conf| conf.certificates.clear());
    breaks(&look(&lab, &pins).await, Step::Certificate, "no certificate is pinned");
}

/// A download that fails says nothing of a signature, and a new certificate does not mend it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_download_that_fails_is_not_told_as_a_wrong_signature() {
    let lab = TestSite::start().await;
    let sylink = file(&lab);
    let mut insecure = file(&lab);
    insecure.set_verify_signatures(false);
    for (kind, route, sylink, is_well) in [
        // The policy has arrived, and its signature is right.
        ("status", Route::List, &sylink, true),
        // The list that arrives is signed, and another one than the index names.
        ("dead-server", Route::List, &sylink, true),
        ("status", Route::Policy, &insecure, false),
        ("truncated-body", Route::Policy, &insecure, false),
    ] {
        let guard = lab.site().faults().add(fault(kind, Some(route))).unwrap();
        let found = look(&lab, sylink).await;
        assert_eq!(found.broken_at(), Some(Step::Download), "{kind}: {found}");
        assert_eq!(found.is_well(Step::Signature), is_well, "{kind}: {found}");
        let shown = found.to_string();
        assert!(shown.contains("What to do: look at the manager's log"), "{kind}: {shown}");
        assert!(!shown.contains("certificate that the list does not have"), "{kind}: {shown}");
        drop(guard);
    }
}

/// A list with a second server makes a client that refuses a signature disconnected, not orphaned: it has not tried that server.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refused_signature_is_found_also_where_the_client_is_not_orphaned() {
    let lab = TestSite::start().await;
    let sylink = file(&lab);
    let content = Material { file: "client.pkg".into(), content: Bytes::from_static(b"a package") };
    lab.apply(&Command::AddPackage { package: "Client".into(), file: content });
    lab.apply(&Command::AssignPackage { package: "Client".into(), group: TOP_GROUP.into() });
    let _list = lab.site().faults().add(fault("dead-server", Some(Route::List))).unwrap();
    let _package = lab.site().faults().add(fault("bad-signature", Some(Route::Package))).unwrap();
    breaks(&look(&lab, &sylink).await, Step::Signature, "the signature of the package is refused");
}

/// The manager's list lacks its own certificate, so that the client refuses the connection after it has adopted the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_succeeded_before_a_later_connection_is_refused_stays_well() {
    let lab = TestSite::start().await;
    let _list = lab.site().faults().add(fault("omits-new-certificate", Some(Route::List))).unwrap();
    let found = look(&lab, &file(&lab)).await;
    assert_eq!(found.broken_at(), Some(Step::Certificate), "{found}");
    assert_eq!(steps(&found, &Outcome::NotReached), [Step::Upload, Step::Serial], "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_step_that_was_not_tried_is_not_told_as_well() {
    let lab = TestSite::start().await;
    let silent = edited(&lab, |conf| {
        conf.settings.always_connect = false;
        conf.settings.kcs_hex = "0".repeat(32);
        conf.list.priorities[0][0].address = "no-such-host.invalid".to_owned();
    });
    let found = look(&lab, &silent).await;
    breaks(&found, Step::Serial, "communication is disabled");
    assert_eq!(steps(&found, &Outcome::Well), [], "{found}");
    let over_http = edited(&lab, |conf| {
        conf.settings.always_connect = false;
        conf.list.priorities[0][0].https_port = None;
    });
    let found = look(&lab, &over_http).await;
    assert_eq!(steps(&found, &Outcome::NotNeeded), [Step::Tls, Step::Certificate], "{found}");
    let off = edited(&lab, |conf| conf.settings.disable_download_profile = true);
    let found = look(&lab, &off).await;
    assert_eq!(found.broken_at(), Some(Step::Serial), "{found}");
    assert_eq!(steps(&found, &Outcome::NotReached), [Step::Download, Step::Signature], "{found}");
}
