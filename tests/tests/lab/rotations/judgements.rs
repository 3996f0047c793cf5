//! What is done right passes, what was not watched is unknown, and JUnit says the same.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_right_passes_by_api_and_by_files() {
    for hand in [Hand::Api, Hand::Files] {
        what_is_done_right_passes(&Lab::single(hand).await).await;
    }
}

async fn what_is_done_right_passes(lab: &Lab) {
    let finding = judged(lab, Plan::default()).await;
    assert_eq!(finding.result, FindingResult::Pass, "{finding:#?}");
    assert!(
        finding.notes.iter().any(|note| note.contains("lists that are left over")),
        "{:?}",
        finding.notes
    );
    assert!(finding.notes.iter().any(|note| note.starts_with("without authentication: My Company: ")));
    // The judgement dials the ports, and turns no client away by that.
    let turned_away = lab.opened.lab.find(vec![Expectation::NoClientWasTurnedAway]).await.remove(0);
    assert_eq!(turned_away.result, FindingResult::Pass, "{turned_away:#?}");
    let demanding = Rotation { least_heartbeats: Some(3), ..Rotation::default() };
    let finding = lab.judge(demanding).await;
    assert_eq!(finding.result, FindingResult::Pass, "{finding:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_manager_after_the_other_passes_and_one_that_is_kept_on_purpose() {
    for hand in [Hand::Api, Hand::Files] {
        one_after_the_other_passes(&Lab::several(three_managers(), hand).await).await;
    }
}

async fn one_after_the_other_passes(lab: &Lab) {
    for manager in ["sepm-1", "sepm-2"] {
        lab.renew(manager).await;
        lab.beats(6).await;
    }
    let finding = lab.judge(Rotation { never_insecure: true, ..rotating(&["sepm-1", "sepm-2"]) }).await;
    assert_eq!(finding.result, FindingResult::Pass, "{finding:#?}");
    lab.renew("sepm-3").await;
    lab.beats(6).await;
    let finding = lab.judge(Rotation { never_insecure: true, ..Rotation::default() }).await;
    assert_eq!(finding.result, FindingResult::Pass, "{finding:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_left_behind_on_purpose_fails_nothing() {
    let lab = Lab::single(Hand::Api).await;
    lab.act("desk-2", ClientOperation::Offline).await;
    lab.rotate(&Plan::default()).await;
    let left_behind = BTreeSet::from(["desk-2".to_owned()]);
    let finding = lab.judge(Rotation { left_behind, ..Rotation::default() }).await;
    assert_eq!(finding.result, FindingResult::Pass, "{finding:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_insecure_before_the_baseline_is_noted() {
    let lab = Lab::single(Hand::Api).await;
    lab.apply(&Command::SetSecureCommunications { group: KIOSK.into(), on: false });
    lab.opened.lab.take_start().await;
    lab.rotate(&Plan { restores_switch: false, ..Plan::default() }).await;
    let finding = lab.judge(Rotation::default()).await;
    let noted = format!("{KIOSK}: secure communications were on before, and off already at the baseline");
    assert!(finding.notes.contains(&noted), "{:?}", finding.notes);
    assert!(!finding.notes.iter().any(|note| note.contains("assumptions")), "{:?}", finding.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn healing_does_not_undo_an_orphaning() {
    let lab = Lab::single(Hand::Api).await;
    let before = lab.opened.lab.site.look(|site| site.managers().next().unwrap().client.clone());
    lab.renew(MANAGER).await;
    lab.beats(1).await;
    lab.apply(&import(&before));
    lab.beats(3).await;
    lab.rotate(&Plan::default()).await;
    assert_eq!(lab.opened.lab.verdict().await.well, Some(true));
    let finding = lab.judge(Rotation::default()).await;
    assert_eq!(failing(&finding), ["switch-left-on"], "{finding:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_watched_is_unknown_and_never_passes() {
    let lab = Lab::single(Hand::Api).await;
    lab.opened.lab.take_snapshot("before").await.unwrap();
    lab.rotate(&Plan::default()).await;
    assert_eq!(lab.judge(Rotation::default()).await.result, FindingResult::Pass);
    // A client of another process is registered, and the lab does not see it.
    let site = &lab.opened.lab.site;
    let profile = epm_tests::profile("elsewhere", "14.3");
    lab.apply(&Command::Register(epm_protocol::heartbeat::Registration {
        domain: site.look(epm_protocol::site::Site::domain),
        hardware_key: profile.hardware_key,
        computer_name: profile.computer_name,
        version: profile.version,
        preferred_group: None,
    }));
    let finding = lab.judge(Rotation::default()).await;
    assert_eq!(finding.result, FindingResult::Unknown, "{finding:#?}");
    let left_behind = BTreeSet::from(["elsewhere".to_owned()]);
    let finding = lab.judge(Rotation { left_behind, ..Rotation::default() }).await;
    assert_eq!(finding.result, FindingResult::Pass, "{finding:#?}");
    // Ports that cannot be dialled present nothing, whatever the stores hold.
    let closed = Lab::single(Hand::Api).await;
    closed.rotate(&Plan::default()).await;
    closed.opened.lab.site.stop().await;
    let finding = closed.judge(Rotation::default()).await;
    let new = finding.findings.iter().find(|one| one.code == RotationCode::CertificateNew).unwrap();
    assert_eq!(new.result, FindingResult::Unknown, "{new:#?}");
    assert!(new.counter_examples[0].starts_with("sepm-1: no handshake with the clients' port: "), "{new:#?}");
    // A restored snapshot ends the history that the judgement needs.
    lab.opened.lab.restore_snapshot("before").await.unwrap();
    lab.beats(1).await;
    lab.rotate(&Plan { restores_lists: true, ..Plan::default() }).await;
    let finding = lab.judge(Rotation::default()).await;
    assert_eq!(finding.result, FindingResult::Unknown, "{finding:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verdict_is_not_well_while_a_service_is_down_a_file_waits_or_a_client_is_silent() {
    let lab = Lab::single(Hand::Files).await;
    assert_eq!(lab.opened.lab.verdict().await.well, Some(true));
    lab.replace_files(MANAGER, &FILES[2..], &lab.another()).await;
    let verdict = lab.opened.lab.verdict().await;
    assert_eq!(verdict.well, Some(false));
    let unread =
        BTreeMap::from([(MANAGER.to_owned(), FILES[2..].iter().map(|&one| one.to_owned()).collect())]);
    assert_eq!(verdict.files_unread, Some(unread));
    // What cannot be read is not what was there, and no pipe is waited for.
    let key = lab.root(MANAGER).join("apache/conf/ssl/server.key");
    fs::remove_file(&key).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&key).status().unwrap();
    assert!(made.success());
    let unread = &lab.opened.lab.verdict().await.files_unread.unwrap()[MANAGER];
    assert!(unread.iter().any(|file| file.ends_with("server.key")), "{unread:?}");

    let lab = Lab::single(Hand::Files).await;
    fs::write(lab.root(MANAGER).join("apache/conf/ssl/server.key"), "no key").unwrap();
    lab.restart(MANAGER, Some(Service::Semwebsrv));
    let verdict = lab.opened.lab.verdict().await;
    assert_eq!(verdict.well, Some(false));
    let down = BTreeMap::from([(MANAGER.to_owned(), vec!["semwebsrv".to_owned()])]);
    assert_eq!((verdict.services_down, verdict.files_unread), (Some(down), Some(BTreeMap::new())));

    let lab = Lab::single(Hand::Api).await;
    lab.act("desk-1", ClientOperation::Freeze).await;
    lab.act("desk-2", ClientOperation::Offline).await;
    lab.opened.lab.advance(Duration::from_secs(600)).await.unwrap();
    assert_eq!(lab.opened.lab.verdict().await.well, Some(true), "two intervals");
    lab.opened.lab.advance(Duration::from_secs(400)).await.unwrap();
    let verdict = lab.opened.lab.verdict().await;
    assert_eq!(verdict.well, Some(false));
    assert_eq!(verdict.silent, ["desk-1"]);
    let served = lab.opened.lab.find(vec![Expectation::EveryClientIsServed]).await.remove(0);
    assert_eq!(served.counter_examples, ["desk-1: it had no heartbeat for three intervals"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_next_heartbeat_lies_hours_ahead_plans_anew_and_goes_on() {
    let lab = Lab::single(Hand::Api).await;
    let (lab, clock) = (&lab.opened.lab, lab.opened.lab.clock());
    clock.set_speed(100);
    // Past the lab, which would have told its clients.
    clock.set(clock.now() - Duration::from_secs(3 * 3600));
    lab.pass_heartbeats(2, Duration::from_secs(60)).await.unwrap();
    assert_eq!(lab.verdict().await.silent, Vec::<String>::new());
}

/// Reads a JUnit file as a build server does: name, and kind of the failure or error, of each case.
const READER: &str = r#"
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.stdin).getroot()
for suite in root.iter("testsuite"):
    cases = suite.findall("testcase")
    counted = [len([c for c in cases if c.find(kind) is not None]) for kind in ("failure", "error")]
    assert [int(suite.get(name)) for name in ("tests", "failures", "errors")] == [len(cases), *counted]
    for case in cases:
        bad = [child.get("type") for child in case if child.tag in ("failure", "error")]
        print(case.get("name"), "|", *bad)
"#;

/// The cases of a JUnit file.
async fn cases(xml: Value) -> Vec<String> {
    let xml = xml.as_str().expect("not JSON").to_owned();
    let mut reader = Process::new("python3");
    reader.args(["-c", READER]);
    let reading = tokio::task::spawn_blocking(move || output_of(&mut reader, xml.as_bytes()));
    let output = reading.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[needs(curl, python3)]
#[tokio::test(flavor = "multi_thread")]
async fn junit_has_a_case_for_each_finding_and_the_verdict_alone_has_cases_too() {
    let lab = Lab::single(Hand::Api).await;
    lab.renew(MANAGER).await;
    lab.beats(1).await;
    let rotation = json!([{ "expect": "rotation" }]);
    let rotated = cases(lab.opened.post("/v1/expectations?format=junit", rotation).await).await;
    assert_eq!(rotated.len(), RotationCode::ALL.len() - 2, "{rotated:#?}");
    let title = RotationCode::SwitchLeftOn.title();
    assert!(rotated.contains(&format!("{title} | switch-left-on")), "{rotated:#?}");
    assert!(rotated.contains(&"every manager that rotates presents a new certificate |".to_owned()));

    let verdict = cases(lab.opened.get("/v1/verdict?format=junit").await).await;
    assert_eq!(verdict.len(), 6, "{verdict:#?}");
    assert_eq!(verdict[0], "no client is orphaned | orphaned");
    assert!(verdict[1..].iter().all(|case| case.ends_with(" |")), "{verdict:#?}");

    let certificate = lab.opened.lab.site.certificate(MANAGER).unwrap().fingerprint().to_string();
    let holds = json!([{ "expect": "every-client-holds", "fingerprint": certificate }]);
    let found = cases(lab.opened.post("/v1/expectations?format=junit", holds).await).await;
    assert_eq!(found, ["every client holds the certificate | expectation"]);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn baselines_are_taken_shown_and_removed_and_an_unknown_one_is_named() {
    let lab = Opened::with_clients(1).await;
    let taken = lab.put("/v1/baselines/before", json!({})).await;
    assert_eq!(taken["clients"]["desk-1"]["served"], true);
    assert_eq!(lab.get("/v1/baselines/before").await, taken);
    let names = |all: &Value| -> Vec<String> {
        all.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&lab.get("/v1/baselines").await), ["before", "start"]);
    for (rotation, expected) in [
        (json!([{ "expect": "rotation", "since": "never" }]), 404),
        (json!([{ "expect": "rotation", "rotates": ["sepm-9"] }]), 422),
        (json!([{ "expect": "rotation", "left_behind": ["missing-1"] }]), 422),
    ] {
        let (status, _, text) = lab.ask("POST", "/v1/expectations", Some(&rotation.to_string())).await;
        assert_eq!(status, expected, "{text}");
    }
    lab.well("DELETE", "/v1/baselines/before", None).await;
    assert_eq!(lab.ask("GET", "/v1/baselines/before", None).await.0, 404);
    lab.put("/v1/managers/sepm-1/certificate/careless", json!({})).await;
    lab.post("/v1/reset", json!({})).await;
    let found = lab.post("/v1/expectations", json!([{ "expect": "rotation" }])).await;
    assert_eq!(found["expectations"][0]["findings"][0]["code"], "certificate-new");
    assert_eq!(found["result"], "fail", "after a reset, the baseline is that of the start again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_orphaned_and_removed_is_not_made_good_by_another_one_of_its_name() {
    let lab = Lab::single(Hand::Api).await;
    lab.rotate(&Plan { waits: [false; 3], ..Plan::default() }).await;
    lab.beats(3).await;
    let is_against = |finding: &Finding, name: &str| {
        let not_waited = finding.findings.iter().find(|one| one.code == RotationCode::NotWaited).unwrap();
        not_waited.counter_examples.iter().any(|one| one.starts_with(name))
    };
    let before = lab.judge(Rotation::default()).await;
    assert!(is_against(&before, "desk-1"), "{before:#?}");
    for count in [0, 2] {
        lab.part("desk", count, "14.3", DEFAULT_GROUP, None).await;
    }
    let after = lab.judge(Rotation::default()).await;
    assert!(is_against(&after, "desk-1"), "{after:#?}");
    // What was before a baseline is not blamed on what comes after.
    lab.opened.lab.take_baseline("later").await.unwrap();
    let later = lab.judge(Rotation { since: "later".to_owned(), ..Rotation::default() }).await;
    assert!(!is_against(&later, "desk-1"), "{later:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_snapshot_is_restored_the_heartbeats_before_the_first_change_are_known() {
    let lab = Lab::single(Hand::Api).await;
    lab.opened.lab.restore_snapshot("start").await.unwrap();
    lab.rotate(&Plan { waits: [false; 3], ..Plan::default() }).await;
    lab.beats(3).await;
    let judged = lab.judge(Rotation { least_heartbeats: Some(1), ..Rotation::default() }).await;
    let few = judged.findings.iter().find(|one| one.code == RotationCode::HeartbeatsBetweenSteps).unwrap();
    assert_eq!((few.result, few.against), (FindingResult::Fail, 6), "{few:#?}");
    assert!(few.counter_examples.iter().all(|one| one.ends_with(": 0, expected 1")), "{few:#?}");
}

/// The result of an expectation, and its first counter-example.
async fn found(lab: &Lab, expectation: Expectation) -> (FindingResult, String) {
    let found = lab.opened.lab.find(vec![expectation]).await.remove(0);
    (found.result, found.counter_examples.into_iter().next().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_off_is_tried_whatever_it_holds() {
    let lab = Lab::of(MockSite::builder(), Hand::Api).await;
    lab.part("desk", 1, "14.3", DEFAULT_GROUP, None).await;
    lab.act("desk-1", ClientOperation::Offline).await;
    assert_eq!(lab.opened.lab.verdict().await.well, Some(true), "it would be served");
    // It holds what the clients' port presents, and would meet a signature of another certificate.
    lab.update(MANAGER, &Update::Good(Stores::Console)).await;
    let verdict = lab.opened.lab.verdict().await;
    assert_eq!(
        (&verdict.orphaned_on_return[..], &verdict.away[..]),
        (&["desk-1".to_owned()][..], &["desk-1".to_owned()][..])
    );
    assert_eq!(verdict.well, Some(false));
    lab.act("desk-1", ClientOperation::Online).await;
    lab.beats(1).await;
    assert_eq!(lab.opened.lab.verdict().await.orphaned.len(), 1, "as was tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_every_client_is_unknown_where_the_only_one_was_removed() {
    let lab = Lab::of(MockSite::builder(), Hand::Api).await;
    lab.part("desk", 1, "14.3", DEFAULT_GROUP, None).await;
    lab.renew(MANAGER).await;
    lab.beats(1).await;
    lab.part("desk", 0, "14.3", DEFAULT_GROUP, None).await;
    for now in [
        Expectation::EveryClientIsUpToDate,
        Expectation::EveryClientIsSecure,
        Expectation::NoClientIsOrphaned,
    ] {
        assert_eq!(found(&lab, now.clone()).await.0, FindingResult::Unknown, "{now:?}");
    }
    let (result, example) = found(&lab, Expectation::NoClientWasOrphaned).await;
    assert_eq!(result, FindingResult::Fail);
    assert!(example.starts_with("desk-1, no longer in the fleet: from "), "{example}");
}

/// A lab with this many clients, which connect over HTTP.
async fn over_http(clients: u32) -> Lab {
    let lab = Lab::of(MockSite::builder(), Hand::Api).await;
    lab.part("desk", clients, "14.3", DEFAULT_GROUP, None).await;
    lab.apply(&Command::CopyList { from: DEFAULT_LIST.into(), to: "over HTTP".into() });
    lab.edit("over HTTP", Some(Protocol::Http), None);
    lab.assign("over HTTP", TOP_GROUP, None);
    lab.beats(2).await;
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_are_counted_also_of_a_client_that_was_off_at_the_baseline() {
    let lab = over_http(2).await;
    lab.act("desk-2", ClientOperation::Offline).await;
    lab.opened.lab.take_baseline("begin").await.unwrap();
    lab.act("desk-2", ClientOperation::Online).await;
    lab.beats(1).await;
    let turn = |on| Command::SetSecureCommunications { group: TOP_GROUP.into(), on };
    lab.apply(&turn(false));
    lab.act("desk-2", ClientOperation::Offline).await;
    lab.beats(3).await;
    lab.act("desk-2", ClientOperation::Online).await;
    lab.beats(1).await;
    lab.renew(MANAGER).await;
    lab.beats(3).await;
    lab.apply(&turn(true));
    lab.beats(3).await;
    let judge =
        |least| Rotation { since: "begin".to_owned(), least_heartbeats: Some(least), ..Rotation::default() };
    let judged = lab.judge(judge(1)).await;
    assert_eq!(judged.result, FindingResult::Pass, "{judged:#?}");
    let judged = lab.judge(judge(3)).await;
    assert_eq!(failing(&judged), ["heartbeats-between-steps"], "{judged:#?}");
    assert!(judged.counter_examples[0].contains("desk-2 in part desk"), "{judged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_came_too_late_is_not_in_time_after_a_snapshot_is_restored() {
    let lab = over_http(1).await;
    let identity = lab.another();
    let fingerprint = identity.certificate().fingerprint();
    let in_time = Expectation::EveryClientHolds { fingerprint, within_heartbeats: Some(2) };
    let asked = async || {
        let found = lab.opened.lab.expect("in-time", in_time.clone()).await.unwrap().unwrap();
        (found.result, found.counter_examples.join(", "))
    };
    assert_eq!(asked().await.0, FindingResult::Pending);
    lab.apply(&Command::SetSecureCommunications { group: TOP_GROUP.into(), on: false });
    lab.beats(4).await;
    lab.update(MANAGER, &Update::Of(identity)).await;
    lab.beats(1).await;
    assert_eq!(asked().await.0, FindingResult::Fail);
    lab.opened.lab.take_snapshot("late").await.unwrap();
    lab.opened.lab.restore_snapshot("late").await.unwrap();
    let (result, example) = asked().await;
    assert_eq!(result, FindingResult::Unknown, "when it came is not known any more: {example}");
}
