//! Facts of TLS that shape the lab: above all, that a resumed session skips the check of the certificate.
//!
//! The clock of these labs stands still unless a test moves it, so the size of a fleet costs no waiting.

use std::sync::Arc;
use std::time::Duration;

use epm_client_agent::agent::{Distrust, Health, Input, TlsCheck};
use epm_client_agent::scenario::ManagerPlan;
use epm_client_agent::wire::{Fleet, Member, MemberSpec};
use epm_protocol::assumption::Assumptions;
use epm_protocol::heartbeat::{AgentRequest, Artifact};
use epm_protocol::id::AgentId;
use epm_protocol::policy::{PolicyDocument, Protocol};
use epm_protocol::site::{Command, DEFAULT_GROUP, NewCertificate, Stores};
use epm_protocol::sylink::{NamedCertificate, Sylink};
use epm_protocol::trust::{Beliefs, DateRule, NameRule, Pins, Rejection, ServerIdentity, Signed, Validity};
use epm_server::{ConnectionClosed, MockSite};
use epm_tests::{
    INTERVAL, MANAGER, PATIENCE, START, TestSite, eventually, has_ended, identity_of, import, push,
};
use tokio::time::timeout;

/// One client that speaks TLS 1.2 alone, and one that speaks 1.3 as well.
const VERSIONS: [&str; 2] = ["14.2.5323", "14.3.8289"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_fleet_of_three_hundred_ninety_nine_of_a_hundred_later_heartbeats_are_resumed() {
    const CLIENTS: usize = 300;
    const LATER: u64 = 3;
    let lab = TestSite::start().await;
    let clients = (0..CLIENTS).map(|number| lab.client(&format!("client-{number}"), VERSIONS[number % 2]));
    let fleet = lab.fleet(clients.collect()).await;
    let (full, resumed) = handshakes(&fleet);
    assert_eq!((full, resumed), (CLIENTS as u64, 0), "the first heartbeat is a full handshake");
    for _ in 0..LATER {
        lab.heartbeat(&fleet).await;
    }
    let (full, resumed) = handshakes(&fleet);
    let later = LATER * CLIENTS as u64;
    assert_eq!(full + resumed, later + CLIENTS as u64, "a heartbeat is one connection");
    assert!(resumed * 100 >= later * 99, "{resumed} of {later} were resumed");
    assert!(fleet.members().iter().all(is_served), "and all are served");
}

#[tokio::test]
async fn a_swap_of_the_certificate_under_live_tickets_is_felt_by_every_client_of_the_old_one() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(both(&lab)).await;
    lab.heartbeat(&fleet).await;
    assert_eq!(handshakes(&fleet), (2, 2), "both hold tickets that work");
    let old = lab.certificate();
    lab.update(Stores::Both);
    let served = lab.site().journal().records().len();
    lab.heartbeat(&fleet).await;
    assert_eq!(handshakes(&fleet), (2, 2), "no ticket was used again");
    for member in fleet.members() {
        let expected = Rejection::NotPinned { expected: vec![old], found: lab.certificate() };
        assert_eq!(rejection(member), expected, "{}", member.name);
    }
    assert_eq!(lab.site().journal().records().len(), served, "they asked for nothing");
}

#[tokio::test]
async fn a_new_certificate_of_the_same_key_is_another_certificate() {
    let lab = TestSite::start().await;
    let year = Duration::from_secs(365 * 86_400);
    let validity = |years| Validity { not_before: START - year, not_after: START + year * years };
    lab.apply(&import(&identity_of(5, validity(1))));
    let old = lab.certificate();
    let fleet = lab.fleet(both(&lab)).await;
    lab.heartbeat(&fleet).await;
    assert_eq!(handshakes(&fleet), (2, 2));
    lab.apply(&import(&identity_of(5, validity(2))));
    lab.heartbeat(&fleet).await;
    for member in fleet.members() {
        let expected = Rejection::NotPinned { expected: vec![old], found: lab.certificate() };
        assert_eq!(rejection(member), expected, "{}", member.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_no_moment_of_a_renewal_certificate_and_signature_are_of_two_generations() {
    // With many managers renewed at once, a first manager that shows one half of its change does so for longer.
    const MANAGERS: usize = 16;
    for ends_connections in [true, false] {
        let assumptions = Assumptions { update_ends_connections: ends_connections, ..Assumptions::default() };
        let site = (1..=MANAGERS).fold(MockSite::builder().assumptions(assumptions), |site, number| {
            let (name, address) = (format!("sepm-{number}"), "127.0.0.1".to_owned());
            site.manager(ManagerPlan { name, address, http_port: 0, https_port: None })
        });
        let lab = Arc::new(TestSite::of(site).await);
        let agent = lab.register("client");
        for key in 4..8 {
            let validity = Validity { not_before: START, not_after: START + Duration::from_secs(86_400) };
            let (before, after) = (lab.identity(), identity_of(key, validity));
            let others = (2..=MANAGERS).map(|number| Command::UpdateCertificate {
                manager: format!("sepm-{number}"),
                certificate: NewCertificate::Generate { common_name: None, valid_days: None },
                stores: Stores::Both,
            });
            let commands: Vec<Command> = std::iter::once(import(&after)).chain(others).collect();
            let at = Arc::clone(&lab);
            let renewed = tokio::task::spawn_blocking(move || at.site().apply_all(&commands).map(|_| ()));
            // A connection that outlives the renewal carries the new publication, by assumption.
            let meets_old = async {
                while ends_connections
                    && signer_met_by(&lab, agent, &before).await.is_some_and(|is_it| {
                        assert!(is_it, "the certificate of before came with a signature of another");
                        true
                    })
                {}
            };
            let meets_new = async {
                loop {
                    if let Some(is_it) = signer_met_by(&lab, agent, &after).await {
                        break assert!(is_it, "the new certificate came with a signature of another");
                    }
                }
            };
            let met = Box::pin(async { tokio::join!(meets_old, meets_new) });
            timeout(PATIENCE, met).await.expect("it is renewed");
            renewed.await.unwrap().unwrap();
        }
    }
}

/// Returns whether the key of this certificate signed the policy that a client with this pin alone gets; none if the manager
/// presents another certificate.
async fn signer_met_by(lab: &TestSite, agent: AgentId, believed: &ServerIdentity) -> Option<bool> {
    let pins: Pins = [believed.certificate().clone()].into_iter().collect();
    let beliefs = Beliefs { pins: pins.clone(), dates: DateRule::Checked, names: NameRule::Ignored };
    let fetch = AgentRequest::Fetch { agent, artifact: Artifact::Policy };
    let answer = lab.ask(Protocol::Https, fetch, TlsCheck::Against(beliefs)).await.ok()?;
    let signature = answer.signature.and_then(|header| header.signature());
    Some(Signed::<PolicyDocument>::new(answer.body, signature).verify(&pins).is_ok())
}

#[tokio::test]
async fn a_certificate_that_expires_while_tickets_live_is_judged_after_the_resumed_handshake() {
    let lab = TestSite::start().await;
    let certificate = NewCertificate::Generate { common_name: None, valid_days: Some(1) };
    let stores = Stores::Both;
    lab.apply(&Command::UpdateCertificate { manager: MANAGER.into(), certificate, stores });
    let fleet = lab.fleet(both(&lab)).await;
    let minutes = |count: u64| Duration::from_secs(count * 60);
    lab.pass(&fleet, minutes(24 * 60 - 6)).await; // these tickets are fresh
    let (full, resumed) = handshakes(&fleet);
    assert!(fleet.members().iter().all(is_served));
    lab.pass(&fleet, minutes(6) + Duration::from_secs(1)).await;
    assert_eq!(handshakes(&fleet), (full, resumed + 2), "the tickets still worked");
    for member in fleet.members() {
        let not_after = START + minutes(24 * 60);
        let expected = Rejection::Expired { not_after, found: lab.certificate() };
        assert_eq!(rejection(member), expected, "{}", member.name);
    }
}

#[tokio::test]
async fn the_end_of_a_certificate_is_felt_in_a_full_handshake_by_both_sides() {
    let lab = TestSite::start().await;
    let newcomers = both(&lab);
    lab.clock().advance(Duration::from_secs(3651 * 86_400));
    let fleet = lab.fleet(newcomers).await;
    for member in fleet.members() {
        assert!(matches!(rejection(member), Rejection::Expired { .. }), "{:?}", member.handle.view());
    }
    eventually("the manager hears of it", || lab.site().journal().connections_closed().len() == 2).await;
    for (_, why) in lab.site().journal().connections_closed() {
        assert!(matches!(&why, ConnectionClosed::Handshake(alert) if alert.contains("alert")), "{why:?}");
    }
    assert_eq!(lab.site().journal().records(), []);
}

#[tokio::test]
async fn tickets_grow_old_by_the_labs_clock() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(both(&lab)).await;
    lab.heartbeat(&fleet).await;
    assert_eq!(handshakes(&fleet), (2, 2));
    lab.pass(&fleet, Duration::from_secs(8 * 86_400)).await;
    assert_eq!(handshakes(&fleet), (4, 2), "a week later they are not accepted");
    assert!(fleet.members().iter().all(is_served));
}

#[tokio::test]
async fn a_client_whose_pins_change_forgets_its_tickets() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(both(&lab)).await;
    lab.heartbeat(&fleet).await;
    assert_eq!(handshakes(&fleet), (2, 2));

    // The same manager and the same certificate, and another trusted certificate.
    let mut sylink: Sylink = lab.site().export_sylink(DEFAULT_GROUP, None).unwrap();
    let mut conf = sylink.conf();
    let second = identity_of(5, Validity { not_before: START, not_after: START + INTERVAL });
    let der = second.certificate().der().to_vec().into();
    conf.certificates.push(NamedCertificate { name: "another".into(), der });
    sylink.adopt(&conf);
    let sylink = Arc::new(sylink);
    for member in fleet.members() {
        member.handle.tell(Input::Import(Arc::clone(&sylink))).await;
    }
    lab.until(&fleet, "the heartbeat after the import", |members| {
        members.iter().all(|one| has_ended(one, 3))
    })
    .await;
    assert_eq!(handshakes(&fleet), (4, 2), "other beliefs, so the certificate is looked at again");
    assert!(fleet.members().iter().all(is_served));
    // The list of the site is adopted, and has one certificate again.
    lab.heartbeat(&fleet).await;
    let before = handshakes(&fleet);
    lab.heartbeat(&fleet).await;
    assert_eq!(handshakes(&fleet), (before.0, before.1 + 2), "and then tickets are good again");
}

#[tokio::test]
async fn after_a_rotation_by_the_book_every_client_is_back_on_https_and_resumes() {
    let lab = TestSite::start().await;
    let fleet = lab.fleet(both(&lab)).await;
    lab.rotate_by_the_book(&fleet).await;
    lab.heartbeat(&fleet).await; // over HTTPS for the first time since
    let before = handshakes(&fleet);
    lab.heartbeat(&fleet).await;
    assert_eq!(handshakes(&fleet), (before.0, before.1 + 2));
    assert_eq!(before.0, 4, "one full handshake for each certificate");
    for member in fleet.members() {
        let view = member.handle.view();
        assert!(is_served(member) && view.secure_communications, "{view:?}");
        assert_eq!(view.certificates, [lab.certificate()]);
    }
}

#[tokio::test]
async fn an_open_connection_in_push_mode_does_not_outlive_the_certificate() {
    let lab = TestSite::start().await;
    lab.apply(&push());
    let fleet = lab.fleet(both(&lab)).await;
    lab.heartbeat(&fleet).await; // the next regular one is 300 seconds away
    assert!(fleet.members().iter().all(is_served));
    let asked = || lab.site().journal().records().iter().filter(|one| one.action != "hold").count();
    let before = asked();
    lab.update(Stores::Both);
    // A client whose held request was cut off reconnects within a minute.
    eventually("both have come back", || {
        lab.clock().advance(Duration::from_secs(1));
        fleet.members().iter().all(|one| one.handle.view().health.orphaned().is_some())
    })
    .await;
    for member in fleet.members() {
        assert!(matches!(rejection(member), Rejection::NotPinned { .. }), "{}", member.name);
    }
    assert_eq!(asked(), before, "nothing was asked on the old connections");
}

fn both(lab: &TestSite) -> Vec<MemberSpec> {
    VERSIONS.map(|version| lab.client(&format!("client of {version}"), version)).into()
}

fn handshakes(fleet: &Fleet) -> (u64, u64) {
    let counts = fleet.members().iter().map(|one| one.handle.handshakes());
    counts.fold((0, 0), |(full, resumed), one| (full + one.full(), resumed + one.resumed()))
}

fn is_served(member: &Member) -> bool {
    member.handle.view().health.is_connected()
}

fn rejection(member: &Member) -> Rejection {
    match member.handle.view().health {
        Health::Orphaned { because: Distrust::Tls { rejection }, .. } => rejection,
        other => panic!("{} should be orphaned by its connection, and is {other:?}", member.name),
    }
}
