//! The documented procedure for one manager, statement by statement, over real sockets; and six mistakes.
//!
//! Each test is named after the statement that it proves. For a statement about a whole site and its fleet, the
//! scenario files are played; for one rule, a client or two suffice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use epm_client_agent::agent::{Agent, Distrust, Event, Health, Input, TlsCheck, Trouble, TrustLayer};
use epm_client_agent::scenario::PartHolding;
use epm_client_agent::wire::{DiskCache, MemberSpec, drive};
use epm_protocol::assumption::Assumptions;
use epm_protocol::heartbeat::{AgentRequest, Artifact, ExchangeFailure};
use epm_protocol::policy::Protocol;
use epm_protocol::site::{Command, CommandError, Material, NewCertificate, Stores, TOP_GROUP};
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::{Pins, Rejection, SignatureError, Signed, Validity};
use epm_server::{ConnectionClosed, MockSite};
use epm_tests::scenario_runs::{assert_orphaned, holding, played};
use epm_tests::{
    DEFAULT_LIST, MANAGER, START, TestSite, distrust, edit_list, eventually, identity_of, import,
};

const TLS: TrustLayer = TrustLayer::Tls;
const SIGNATURE: TrustLayer = TrustLayer::Signature;
const NEW_POLICY: &str = "Received a new policy";
const NEW_LIST: &str = "Received the management server list";
const UNAUTHENTICATED: &str = "without authenticating it: secure communications are off";
/// Every part of the fleet of the scenarios.
const PARTS: [&str; 5] = ["desktop", "desktop-142", "laptop-office", "laptop-home", "legacy"];

// ---------------------------------------------------------------------------------------------- how trust works

#[tokio::test]
async fn p1_a_client_with_the_certificate_connects_over_https() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(vec![lab.client("knowing", "14.3"), lab.client("older", "14.2")]).await;
    for member in fleet.members() {
        assert!(member.handle.view().health.is_connected(), "{:?}", member.handle.view());
        assert_eq!(member.handle.handshakes().full(), 1);
    }
    let records = lab.site().journal().records();
    assert!(records.len() >= 8 && records.iter().all(|one| one.tls && one.status == 200), "{records:?}");
}

#[tokio::test]
async fn p1_a_client_with_another_certificate_refuses_before_it_sends_anything() {
    let lab = TestSite::start().await;
    let old = lab.certificate();
    let strangers = vec![lab.client("stranger", "14.3"), lab.client("older-stranger", "14.2")];
    lab.update(Stores::Both);
    let fleet = lab.fleet(strangers).await;
    for member in fleet.members() {
        let rejection = Rejection::NotPinned { expected: vec![old], found: lab.certificate() };
        assert_eq!(distrust(member.handle.view().health), Distrust::Tls { rejection });
    }
    eventually("the manager hears of both refusals", || lab.site().journal().connections_closed().len() == 2)
        .await;
    let connections_closed = lab.site().journal().connections_closed();
    assert!(
        connections_closed.iter().all(|(_, why)| matches!(why, ConnectionClosed::Handshake(_))),
        "{connections_closed:?}"
    );
    assert_eq!(lab.site().journal().records(), [], "no request was made, not even a registration");
}

#[tokio::test]
async fn p2_the_certificate_of_the_connection_signs_policies_lists_and_packages() {
    let lab = TestSite::start().await;
    add_package(&lab);
    let agent = lab.register("reader");
    for round in ["before the update", "after the update"] {
        let pins: Pins = [lab.site().certificate(MANAGER).unwrap()].into_iter().collect();
        for artifact in [Artifact::Policy, Artifact::List, Artifact::Package("Client".into())] {
            let request = AgentRequest::Fetch { agent, artifact };
            let answer = lab.ask(Protocol::Https, request, against(&pins)).await.unwrap();
            let signature = answer.signature.as_ref().and_then(|header| header.signature());
            let signed = Signed::<Bytes>::new(answer.body.clone(), signature.clone());
            assert_eq!(signed.verify(&pins).unwrap().by(), lab.certificate(), "{round}");
            let mut changed = answer.body.to_vec();
            changed[20] ^= 1;
            let changed = Signed::<Bytes>::new(changed.into(), signature);
            assert!(matches!(changed.verify(&pins), Err(SignatureError::NotByAPinnedCertificate { .. })));
        }
        lab.update(Stores::Both);
    }
    let fleet = lab.fleet(vec![lab.client("client", "14.3")]).await;
    assert!(fleet.members()[0].handle.view().health.is_connected());
    let log = texts(&lab, "client");
    for received in [NEW_POLICY, NEW_LIST, "Received the client package \"Client\""] {
        let found: Vec<_> = log.iter().filter(|line| line.starts_with(received)).collect();
        assert!(found.len() == 1 && !found[0].contains(UNAUTHENTICATED), "{received}: {log:?}");
    }
}

#[tokio::test]
async fn p2_over_plain_http_a_policy_signed_by_an_unknown_key_is_not_adopted() {
    let lab = TestSite::start().await;
    lab.assign_http_list();
    let fleet = lab.fleet(vec![lab.client("client", "12.1.7004")]).await;
    let member = &fleet.members()[0].handle;
    let (old, held) = (lab.certificate(), member.view().serial);
    lab.update(Stores::Both);
    lab.heartbeat(&fleet).await;
    let view = member.view();
    assert_eq!((view.serial, view.certificates), (held, vec![old]), "the old ones stay");
    match distrust(view.health) {
        Distrust::Signature {
            artifact,
            error: SignatureError::NotByAPinnedCertificate { expected, body_sha256 },
        } => {
            assert_eq!((artifact.as_str(), expected), ("policy", vec![old]));
            assert_eq!(body_sha256.len(), 64);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(member.handshakes().full(), 0, "there was no TLS at all");
    assert!(texts(&lab, "client").iter().any(|line| line.starts_with("Refused the policy")));
}

#[tokio::test]
async fn p3_a_client_restarted_with_the_network_cut_knows_from_its_cache_whom_it_trusts() {
    let mut lab = TestSite::start().await;
    let folder = tempfile::tempdir().unwrap();
    let fleet = lab.fleet(vec![on_disk(&lab, folder.path())]).await;
    lab.rotate_by_the_book(&fleet).await;
    let (rotated, held) = (lab.certificate(), fleet.members()[0].handle.view());
    assert!(held.health.is_connected() && held.certificates == [rotated], "{held:?}");
    fleet.stop().await.unwrap();
    lab.cut().await;

    let (handle, task) = restart(&lab, folder.path());
    assert_eq!(handle.view().certificates, [rotated]);
    assert_eq!((handle.view().serial, handle.view().server), (held.serial, held.server));
    handle.tell(Input::Start { booted: lab.clock().now() }).await;
    eventually("it has found no manager", || handle.view().heartbeats == 1 && handle.is_resting()).await;
    let view = handle.view();
    match view.health {
        Health::Disconnected { because: Trouble::Exchange { failure }, .. } => {
            assert!(matches!(failure, ExchangeFailure::ConnectionRefused { .. }), "{failure:?}");
        }
        other => panic!("out of touch is not orphaned: {other:?}"),
    }
    assert_eq!(view.certificates, [rotated], "and its trust is unchanged");
    drop(handle);
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn p3_a_restored_old_list_orphans_the_client_again() {
    let lab = TestSite::start().await;
    let folder = tempfile::tempdir().unwrap();
    let sylink = folder.path().join("current").join("sylink.xml");
    let fleet = lab.fleet(vec![on_disk(&lab, folder.path())]).await;
    let (old, backup) = (lab.certificate(), std::fs::read(&sylink).unwrap());
    lab.rotate_by_the_book(&fleet).await;
    fleet.stop().await.unwrap();

    std::fs::write(&sylink, backup).unwrap();
    let (handle, task) = restart(&lab, folder.path());
    assert_eq!(handle.view().certificates, [old]);
    handle.tell(Input::Start { booted: lab.clock().now() }).await;
    eventually("it has judged its manager", || handle.view().heartbeats == 1 && handle.is_resting()).await;
    let rejection = Rejection::NotPinned { expected: vec![old], found: lab.certificate() };
    assert_eq!(distrust(handle.view().health), Distrust::Tls { rejection });
    drop(handle);
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn p4_a_certificate_that_has_expired_or_is_not_yet_valid_stops_all_communication() {
    let lab = TestSite::start().await;
    let day = Duration::from_secs(86_400);
    let validity = Validity { not_before: START + day, not_after: START + day * 2 };
    lab.apply(&import(&identity_of(5, validity)));
    let fleet = lab.fleet(vec![lab.client("client", "14.3"), lab.client("older", "14.2")]).await;
    for member in fleet.members() {
        match distrust(member.handle.view().health) {
            Distrust::Tls { rejection: Rejection::NotYetValid { not_before, found } } => {
                assert_eq!((not_before, found), (START + day, lab.certificate()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(lab.site().journal().records(), []);
    lab.pass(&fleet, day).await;
    assert!(fleet.members().iter().all(|one| one.handle.view().health.is_connected()), "its day has come");
    let served = lab.site().journal().records().len();
    lab.pass(&fleet, day + Duration::from_secs(1)).await;
    for member in fleet.members() {
        match distrust(member.handle.view().health) {
            Distrust::Tls { rejection: Rejection::Expired { not_after, .. } } => {
                assert_eq!(not_after, START + day * 2);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(lab.site().journal().records().len(), served, "nothing more was asked");
}

#[tokio::test]
async fn p4_a_corrupted_certificate_is_refused_by_the_site_and_changes_nothing() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(vec![lab.client("client", "14.3")]).await;
    let before = lab.certificate();
    let mut pem = lab.identity().certificate().to_pem();
    pem.replace_range(200..204, "!!!!");
    let certificate = NewCertificate::Import {
        certificate: Material { file: "server.crt".into(), content: pem.into() },
        key: Material {
            file: "server.key".into(),
            content: lab.identity().key().pkcs8_der().to_vec().into(),
        },
        key_password: None,
    };
    let update =
        Command::UpdateCertificate { manager: MANAGER.into(), certificate, stores: Stores::default() };
    let refused = lab.site().apply(&update);
    assert!(matches!(refused, Err(CommandError::Keystore(_))), "{refused:?}");
    assert_eq!(lab.certificate(), before);
    lab.heartbeat(&fleet).await;
    assert!(fleet.members()[0].handle.view().health.is_connected());
}

#[tokio::test]
async fn p5_with_the_switch_off_a_client_adopts_without_authentication_and_its_log_says_so() {
    let lab = TestSite::start().await;
    lab.assign_http_list();
    let fleet = lab.fleet(vec![lab.client("client", "14.3")]).await;
    lab.secure(false);
    lab.heartbeat(&fleet).await;
    let so_far = texts(&lab, "client");
    assert!(so_far.iter().any(|line| line.starts_with(NEW_POLICY)), "{so_far:?}");
    // It authenticates the policy that switches it off, but not the list that comes with it.
    let policies: Vec<_> = so_far.iter().filter(|line| line.starts_with(NEW_POLICY)).collect();
    assert!(policies.iter().all(|line| !line.contains(UNAUTHENTICATED)), "{so_far:?}");

    let (never_seen, serial) = (lab.certificate(), fleet.members()[0].handle.view().serial);
    lab.update(Stores::Both);
    assert_ne!(lab.certificate(), never_seen);
    lab.heartbeat(&fleet).await;
    let view = fleet.members()[0].handle.view();
    assert!(view.health.is_connected() && view.serial > serial, "{view:?}");
    assert_eq!(view.certificates, [lab.certificate()]);
    let log = texts(&lab, "client").split_off(so_far.len());
    for received in [NEW_POLICY, NEW_LIST] {
        let lines: Vec<_> = log.iter().filter(|line| line.starts_with(received)).collect();
        assert!(lines.len() == 1 && lines[0].contains(UNAUTHENTICATED), "{received}: {log:?}");
    }
}

#[tokio::test]
async fn p6_on_a_site_with_one_manager_the_update_needs_the_switch_off() {
    let played = played("single-manager");
    for step in &played.verdict.steps {
        let away: usize = step.holdings.iter().map(|part| part.orphaned + part.disconnected).sum();
        assert_eq!(away, 0, "step {}, {}", step.number, step.title);
    }
    // Without failover, a client that knows one manager loses it.
    let lab = TestSite::start().await;
    let versions = ["14.3.8289", "14.2.5323", "14.0.1904"];
    let fleet = lab.fleet(versions.map(|version| lab.client(version, version)).into()).await;
    lab.update(Stores::Both);
    lab.heartbeat(&fleet).await;
    for member in fleet.members() {
        assert_eq!(distrust(member.handle.view().health).layer(), TLS, "{}", member.name);
    }
}

#[tokio::test]
async fn p7_after_a_recovery_with_the_same_certificate_and_secret_no_client_notices() {
    let mut lab = TestSite::start().await;
    let fleet = lab.fleet(vec![lab.client("client", "14.3"), lab.client("older", "14.2")]).await;
    let before: Vec<_> = fleet.members().iter().map(|one| one.handle.view()).collect();
    let (identity, port) = (lab.identity(), lab.socket().port());
    lab.cut().await;
    lab.found_again(MockSite::builder(), port).await;
    lab.update(Stores::Both); // the certificate that the new installation made
    lab.apply(&import(&identity));
    for _ in 0..3 {
        lab.heartbeat(&fleet).await;
    }
    for (member, before) in fleet.members().iter().zip(before) {
        let after = member.handle.view();
        assert_eq!((&after.health, &after.certificates), (&before.health, &before.certificates));
        assert!(matches!(after.health, Health::Connected { .. }));
        assert_eq!(after.heartbeats_served, after.heartbeats, "every heartbeat was served");
        assert!(after.serial > before.serial, "by the manager that was founded again");
        let bad = lab.log_of(&member.name).into_iter().find(|line| line.event.severity() > 0);
        assert_eq!(bad, None, "no warning and no error in its log");
    }
}

#[tokio::test]
async fn p7_a_recovery_with_another_certificate_or_another_secret_loses_the_clients() {
    for (seed, layer) in [(1, TLS), (2, TrustLayer::SharedSecret)] {
        let mut lab = TestSite::start().await;
        let fleet = lab.fleet(vec![lab.client("client", "14.3")]).await;
        let (identity, port) = (lab.identity(), lab.socket().port());
        lab.cut().await;
        lab.found_again(MockSite::builder().seed(seed), port).await;
        if seed == 1 {
            lab.update(Stores::Both); // F16: no recovery file
        } else {
            lab.apply(&import(&identity)); // F15: that of another site
        }
        lab.heartbeat(&fleet).await;
        assert_eq!(distrust(fleet.members()[0].handle.view().health).layer(), layer);
    }
}

#[test]
fn p8_switched_on_again_when_all_have_it_every_client_ends_secure_with_the_new_certificate() {
    let played = played("single-manager");
    let verdict = &played.verdict;
    assert_eq!(verdict.well, Some(true), "{verdict:?}");
    assert_eq!((verdict.clients, verdict.certificate_history.len()), (11, 2));
    let ready = verdict.steps[3].holdings.iter().all(|part| played.holds(part, 1) == part.clients);
    assert!(ready, "before it was switched on: {:?}", verdict.steps[3]);
    for part in &verdict.steps[4].holdings {
        assert_eq!((part.connected, part.secure), (part.clients, part.clients), "{part:?}");
        assert_eq!((played.holds(part, 1), played.holds(part, 0)), (part.clients, 0), "{part:?}");
    }
}

// ------------------------------------------------------------------------------------- one manager, steps 1 to 10

#[test]
fn p10_clients_of_14_begin_on_https_and_those_of_12_on_http() {
    let played = played("single-manager");
    let verdict = &played.verdict;
    for (part, https) in [("desktop", 3), ("desktop-142", 2), ("laptop-office", 2), ("laptop-home", 2)] {
        assert_eq!(holding(verdict, 0, part).https, https, "{part}");
    }
    assert_eq!(holding(verdict, 0, "legacy").https, 0);
    // So steps 1 to 5 change nothing for clients of 12.1.
    assert_eq!(holding(verdict, 0, "legacy"), holding(verdict, 1, "legacy"));
}

#[test]
fn p11_with_the_http_list_in_every_group_and_location_nobody_speaks_https() {
    let played = played("single-manager");
    for part in &played.verdict.steps[1].holdings {
        assert_eq!((part.https, part.connected), (0, part.clients), "{part:?}");
        assert_eq!(part.secure, part.clients, "the switch is still on: {part:?}");
    }
}

#[tokio::test]
async fn p11_the_default_list_cannot_be_edited_but_a_copy_can_and_leads_to_the_http_port() {
    let lab = TestSite::start().await;
    let refused = lab.site().apply(&edit_list(DEFAULT_LIST));
    assert_eq!(refused, Err(CommandError::DefaultList { list: DEFAULT_LIST.to_owned() }));
    let fleet = lab.fleet(vec![lab.client("client", "14.3")]).await;
    lab.assign_http_list();
    lab.heartbeat(&fleet).await;
    lab.heartbeat(&fleet).await;
    let view = fleet.members()[0].handle.view();
    let server = view.server.unwrap();
    assert_eq!((server.protocol, server.port), (Protocol::Http, lab.socket().port()), "a custom port");
    assert_eq!(view.list, "HTTP");
    assert!(lab.site().journal().records().last().is_some_and(|one| !one.tls && one.status < 400));
}

#[test]
fn p12_with_the_switch_cleared_no_client_authenticates_its_manager_not_even_those_without_https() {
    let played = played("single-manager");
    let verdict = &played.verdict;
    for part in &verdict.steps[2].holdings {
        assert_eq!((part.secure, part.connected), (0, part.clients), "{part:?}");
    }
    assert_eq!(holding(verdict, 1, "legacy").secure, 2, "clients that never used HTTPS had it on, too");
}

#[test]
fn p13_every_client_ends_three_heartbeats_in_each_wait() {
    let played = played("single-manager");
    let verdict = &played.verdict;
    let began: Vec<Timestamp> = verdict.steps.iter().map(|step| step.began).collect();
    for (number, window) in began.windows(2).enumerate().skip(1) {
        let mut heartbeats: BTreeMap<&str, usize> = BTreeMap::new();
        for (client, line) in &played.lines {
            // A served heartbeat ends with one of the two.
            let is_one = [Event::HaveLatestPolicy, Event::NewPolicyApplied].contains(&line.event);
            if is_one && line.at >= window[0] && line.at <= window[1] {
                *heartbeats.entry(client).or_default() += 1;
            }
        }
        assert_eq!(heartbeats.len(), 11, "step {number}: {heartbeats:?}");
        assert!(heartbeats.values().all(|count| *count >= 3), "step {number}: {heartbeats:?}");
    }
}

#[tokio::test]
async fn p13_a_group_that_does_not_inherit_is_not_reached_by_the_switch_of_its_parent() {
    let lab = TestSite::start().await;
    let group = |name: &str, inherits| Command::AddGroup { group: format!("{TOP_GROUP}\\{name}"), inherits };
    lab.apply(&group("Own", false));
    lab.apply(&group("Inheriting", true));
    let client = |name: &str| {
        let sylink = lab.site().export_sylink(&format!("{TOP_GROUP}\\{name}"), None).unwrap();
        MemberSpec { sylink: Arc::new(sylink), ..lab.client(name, "14.3") }
    };
    let fleet = lab.fleet(vec![client("Own"), client("Inheriting")]).await;
    lab.secure(false);
    for _ in 0..3 {
        lab.heartbeat(&fleet).await;
    }
    let secure: Vec<bool> =
        fleet.members().iter().map(|one| one.handle.view().secure_communications).collect();
    assert_eq!(secure, [true, false]);
    let one_by_one = |name: &str| {
        let group = format!("{TOP_GROUP}\\{name}");
        lab.site().apply(&Command::SetSecureCommunications { group, on: false })
    };
    assert!(matches!(one_by_one("Inheriting"), Err(CommandError::Inherits { .. })));
    assert!(one_by_one("Own").is_ok());
    lab.heartbeat(&fleet).await;
    assert!(!fleet.members()[0].handle.view().secure_communications);
}

#[test]
fn p14_after_the_update_every_client_has_the_new_certificate_and_no_longer_the_old_one() {
    let played = played("single-manager");
    for part in &played.verdict.steps[2].holdings {
        assert_eq!((played.holds(part, 0), played.holds(part, 1)), (part.clients, 0), "{part:?}");
    }
    for part in &played.verdict.steps[3].holdings {
        assert_eq!((played.holds(part, 0), played.holds(part, 1)), (0, part.clients), "{part:?}");
    }
}

#[test]
fn p15_with_the_original_list_again_every_client_is_where_it_began_but_for_the_certificate() {
    let played = played("single-manager");
    let (first, last) = (&played.verdict.steps[0].holdings, &played.verdict.steps[4].holdings);
    let less_certificates = |parts: &[PartHolding]| -> Vec<PartHolding> {
        let without = |part: &PartHolding| PartHolding { certificates: BTreeMap::new(), ..part.clone() };
        parts.iter().map(without).collect()
    };
    assert_eq!(less_certificates(first), less_certificates(last));
    assert_ne!(first, last);
}

// ----------------------------------------------------------------------------------------- six ways to do it wrong

#[test]
fn careless_left_on_https_loses_exactly_the_clients_of_14_by_their_connection() {
    let played = played("single-manager-left-on-https");
    let parts = ["desktop", "desktop-142", "laptop-office", "laptop-home"];
    assert_orphaned(&played.verdict, 2, TLS, &parts);
}

#[test]
fn careless_location_forgotten_loses_exactly_who_is_there_by_their_connection() {
    assert_orphaned(&played("single-manager-location-forgotten").verdict, 3, TLS, &["laptop-home"]);
}

#[test]
fn careless_never_switched_off_loses_everybody_by_the_signature_of_the_policy() {
    let played = played("single-manager-not-switched-off");
    assert_orphaned(&played.verdict, 2, SIGNATURE, &PARTS);
    let all_policies = played.verdict.orphaned.iter().all(|one| one.why.contains("signature of the policy"));
    assert!(all_policies, "{:?}", played.verdict.orphaned);
}

#[test]
fn careless_group_forgotten_loses_exactly_that_group_by_the_signature_of_the_policy() {
    let played = played("single-manager-group-forgotten");
    assert_orphaned(&played.verdict, 3, SIGNATURE, &["laptop-office", "laptop-home"]);
}

#[test]
fn careless_switched_on_too_early_loses_who_had_not_the_certificate_by_the_signature_of_the_list() {
    let played = played("single-manager-switched-on-too-early");
    assert_orphaned(&played.verdict, 5, SIGNATURE, &["laptop-home"]);
    let lists = |because: &str| because.contains("signature of the management server list");
    assert!(played.verdict.orphaned.iter().all(|one| lists(&one.why)), "{:?}", played.verdict.orphaned);
}

#[test]
fn careless_not_waited_surely_loses_who_was_switched_off_when_they_come_home() {
    let played = played("single-manager-no-wait");
    let verdict = &played.verdict;
    let home: Vec<_> = verdict.orphaned.iter().filter(|one| one.part == "desktop-142").collect();
    assert_eq!(home.len(), 2, "{:?}", verdict.orphaned);
    for one in home {
        assert_eq!((one.step, one.layer), (Some(4), TLS), "they still spoke HTTPS: {one:?}");
    }
    // The others may be orphaned, if they had no heartbeat in between; then the update orphaned them.
    let others = verdict.orphaned.iter().filter(|one| one.part != "desktop-142");
    assert!(others.into_iter().all(|one| one.step >= Some(3)), "{:?}", verdict.orphaned);
    assert_eq!(verdict.well, Some(false));
}

#[test]
fn every_statement_is_named_by_a_step_of_the_procedure_done_right() {
    let played = played("single-manager");
    let named: BTreeSet<&str> =
        played.verdict.steps.iter().flat_map(|step| &step.statements).map(|one| one.number()).collect();
    for statement in ["P5", "P6", "P8", "P10", "P11", "P12", "P13", "P14", "P15"] {
        assert!(named.contains(statement), "{statement} is in none of {named:?}");
    }
}

// ---------------------------------------------------------------------------------------------------- one client

fn against(pins: &Pins) -> TlsCheck {
    let beliefs = epm_protocol::trust::Beliefs {
        pins: pins.clone(),
        dates: epm_protocol::trust::DateRule::Checked,
        names: epm_protocol::trust::NameRule::Ignored,
    };
    TlsCheck::Against(beliefs)
}

fn add_package(lab: &TestSite) {
    let file = Material { file: "client.pkg".into(), content: Bytes::from(vec![7; 4096]) };
    lab.apply(&Command::AddPackage { package: "Client".into(), file });
    lab.apply(&Command::AssignPackage { package: "Client".into(), group: TOP_GROUP.into() });
}

fn texts(lab: &TestSite, client: &str) -> Vec<String> {
    lab.log_of(client).into_iter().map(|line| line.text).collect()
}

fn on_disk(lab: &TestSite, folder: &Path) -> MemberSpec {
    let disk = DiskCache::open(folder).expect("the folder can be written");
    MemberSpec { disk: Some(disk), ..lab.client("kept", "14.3") }
}

type Life = tokio::task::JoinHandle<Result<(), epm_client_agent::wire::StoreError>>;

/// The client of this folder, with nothing but its cache there.
fn restart(lab: &TestSite, folder: &Path) -> (epm_client_agent::wire::AgentHandle, Life) {
    let disk = DiskCache::open(folder).expect("the folder can be written");
    let kept = disk.load().expect("the cache can be read").expect("it has kept something");
    let agent = Agent::new(epm_tests::profile("kept", "14.3"), kept, Arc::new(Assumptions::default()));
    let (handle, life) = drive(agent, Arc::clone(lab.clock()), lab.log(), Some(disk));
    (handle, tokio::spawn(life))
}
