//! Entries of the failure catalogue in which something is broken: secrets, signatures, half an update, dates.

use epm_protocol::assumption::Assumptions;
use epm_protocol::site::{DEFAULT_GROUP, Stores};
use epm_protocol::trust::{DateRule, KeyPool, Rejection, SignatureError};

use super::super::*;
use super::bench::{ALL, BEAT, Bench, DAY};

const V14: &str = "14.3.8289.5000";

/// The group's communications file with another secret in it.
fn with_other_secret(bench: &Bench) -> Sylink {
    let text = bench.site.export_sylink(DEFAULT_GROUP, None).unwrap().to_xml();
    Sylink::parse(&text.replace(&bench.site.kcs().to_string(), "00112233445566778899AABBCCDDEEFF")).unwrap()
}

#[test]
fn f18_a_wrong_secret_in_the_sylink_is_a_400_a_green_dot_and_an_orphan_by_layer_c() {
    let mut bench = Bench::one();
    let pc = bench.client_with(with_other_secret(&bench), V14, |_| ());
    bench.beats(2);
    assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::SharedSecret));
    let because = bench.view(pc).health.orphaned().unwrap().1.clone();
    assert_eq!(because, Distrust::SharedSecret { status: 400 });
    assert!(bench.view(pc).health.green_dot());
    assert_eq!(bench.site.clients().count(), 0, "and the console does not know it");

    let right = bench.site.export_sylink(DEFAULT_GROUP, None).unwrap();
    bench.tell(pc, Input::Import(Arc::new(right)));
    bench.wait(Duration::ZERO);
    assert!(bench.is_connected(pc));
    assert_eq!(bench.site.clients().count(), 1);
}

#[test]
fn f15_a_restore_with_the_file_of_another_secret_orphans_everybody_by_layer_c_under_green_dots() {
    let mut bench = Bench::one();
    let clients = [bench.client(V14), bench.client("12.1.6")];
    let identity = bench.identity("A");
    bench.site = Bench::with(&["A"], 8, Assumptions::default()).site;
    bench.restore("A", &identity);
    bench.beats(2);
    for pc in clients {
        assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::SharedSecret));
        assert!(bench.view(pc).health.green_dot());
    }
    assert_eq!(bench.site.clients().count(), 0);
}

#[test]
fn f16_a_reinstallation_without_the_recovery_file_orphans_everybody_by_layer_a() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    bench.site = Bench::with(&["A"], 8, Assumptions::default()).site;
    bench.update("A");
    bench.beats(2);
    assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::Tls));
    assert!(!bench.view(pc).health.green_dot());
    let fresh = bench.site.export_sylink(DEFAULT_GROUP, None).unwrap();
    bench.tell(pc, Input::Import(Arc::new(fresh)));
    bench.wait(Duration::ZERO);
    assert!(bench.is_connected(pc), "the cure is a new sylink on every client");
    assert_eq!(bench.site.clients().count(), 1, "it has registered with its new domain");
}

#[test]
fn f10_the_consoles_store_new_and_the_clients_port_old_breaks_layer_b_alone() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let shown = bench.certificate("A");
    bench.update_stores("A", Stores::Console);
    assert_eq!(bench.certificate("A"), shown);
    bench.beats(2);
    assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::Signature));
}

#[test]
fn f10_the_clients_port_new_and_the_consoles_store_old_breaks_layer_a_and_no_list_tells_of_it() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    bench.steps_1_to_5(&ALL);
    bench.switch(false, &ALL);
    bench.beats(3);
    bench.update_stores("A", Stores::Client);
    bench.beats(3);
    assert!(
        bench.is_connected(pc) && !bench.believes(pc, "A"),
        "over HTTP all is well, and nothing is learnt"
    );
    bench.reassign(&ALL);
    bench.beats(3);
    assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::Tls));
}

#[test]
fn f11_an_old_signature_beside_a_new_policy_is_refused_until_it_is_made_anew() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let serial = bench.view(pc).serial;
    bench.tamper = Some(|request, response| {
        if matches!(request, AgentRequest::Fetch { artifact: Artifact::Policy, .. }) {
            let stale = KeyPool::public().get(0).sign(b"the policy before");
            response.signature = Some(epm_protocol::heartbeat::SignatureHeader::new(&stale));
        }
    });
    bench.switch(false, &ALL);
    bench.beats(2);
    assert_eq!(bench.view(pc).serial, serial);
    let because = bench.view(pc).health.orphaned().unwrap().1.clone();
    let Distrust::Signature { artifact, error: SignatureError::NotByAPinnedCertificate { .. } } = because
    else {
        panic!("{because:?}")
    };
    assert_eq!(artifact, "policy");
    bench.tamper = None;
    bench.beats(1);
    assert!(bench.is_connected(pc));
    assert_eq!(bench.view(pc).complete, Some(bench.serial_in_force(pc)));
}

#[test]
fn f11_a_policy_without_a_signature_is_refused_while_the_switch_is_on_and_taken_while_it_is_off() {
    let without: super::bench::Tamper = |_, response| response.signature = None;
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    bench.tamper = Some(without);
    bench.switch(false, &ALL);
    bench.beats(1);
    let because = bench.view(pc).health.orphaned().unwrap().1.clone();
    assert_eq!(because, Distrust::Signature { artifact: "policy".into(), error: SignatureError::Missing });
    bench.tamper = None;
    bench.beats(1);
    bench.tamper = Some(without);
    bench.switch(true, &ALL);
    bench.beats(1);
    assert!(
        bench.view(pc).secure_communications,
        "the policy that switches it on was not held against anything"
    );
}

#[test]
fn f44_the_old_certificate_restored_heals_those_that_never_moved_and_orphans_those_that_did() {
    let mut bench = Bench::one();
    let (moved, orphan) = (bench.client(V14), bench.client(V14));
    let old = bench.identity("A");
    bench.stop(orphan);
    bench.single_manager_way(&["A"], &ALL);
    bench.come_home(orphan);
    assert!(bench.is_connected(moved) && bench.orphaned_by(orphan) == Some(TrustLayer::Tls));
    bench.restore("A", &old);
    bench.beats(2);
    assert!(bench.is_connected(orphan) && bench.believes(orphan, "A"));
    assert!(bench.slots[orphan].events().contains(&Event::Reconnected));
    assert_eq!(bench.orphaned_by(moved), Some(TrustLayer::Tls));
}

/// A manager whose certificate expires after 40 days, and a client that meets it after 41.
fn after_expiry(dates: DateRule) -> (Bench, usize) {
    let assumptions =
        Assumptions { certificate_dates: dates, certificate_validity_days: 40, ..Assumptions::default() };
    let mut bench = Bench::with(&["A"], 7, assumptions);
    let pc = bench.client(V14);
    bench.stop(pc);
    bench.wait(DAY * 41);
    bench.come_home(pc);
    (bench, pc)
}

#[test]
fn f09_an_expired_certificate_is_refused_where_dates_are_checked() {
    let (bench, pc) = after_expiry(DateRule::Checked);
    let because = bench.view(pc).health.orphaned().unwrap().1.clone();
    let Distrust::Tls { rejection: Rejection::Expired { found, .. } } = because else {
        panic!("{because:?}")
    };
    assert_eq!(found, bench.certificate("A"));
}

#[test]
fn f09_and_believed_where_they_are_not() {
    let (bench, pc) = after_expiry(DateRule::Ignored);
    assert!(bench.is_connected(pc));
}

#[test]
fn f38_a_clock_that_is_behind_finds_the_certificate_not_yet_valid_and_heals_when_it_is_set_right() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let right = bench.now;
    bench.now = right - DAY;
    bench.tell(pc, Input::UpdateNow);
    let because = bench.view(pc).health.orphaned().unwrap().1.clone();
    assert!(matches!(because, Distrust::Tls { rejection: Rejection::NotYetValid { .. } }), "{because:?}");
    assert!(bench.slots[pc].agent.next_wake() <= bench.now + BEAT, "its heartbeats go on by the new time");
    bench.now = right;
    bench.beats(1);
    assert!(bench.is_connected(pc));
}

#[test]
fn a_status_that_is_no_service_is_told_with_what_was_asked() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    bench.tamper = Some(|_, response| *response = ManagerResponse::empty(503));
    bench.beats(1);
    let Health::Disconnected { because, .. } = bench.view(pc).health else { panic!() };
    assert_eq!(because.to_string(), "the manager answered 503 to the request for the index");
    bench.tamper = None;
    bench.beats(1);
    assert!(bench.is_connected(pc));
}

#[test]
fn an_answer_that_is_not_understood_is_told_and_nothing_of_it_is_kept() {
    let mut bench = Bench::one();
    bench.steps_1_to_5(&ALL);
    let pc = bench.client(V14);
    bench.switch(false, &ALL);
    bench.beats(1);
    let kept = bench.slots[pc].agent.cache().sylink.to_xml();
    for tamper in [
        (|_, response| response.body = Bytes::from_static(b"<Index/>")) as super::bench::Tamper,
        |request, response| {
            if matches!(request, AgentRequest::Fetch { .. }) {
                response.body = Bytes::from_static(b"\xFF<Profile/>");
            }
        },
    ] {
        bench.tamper = Some(tamper);
        bench.update("A");
        bench.beats(1);
        let Health::Disconnected { because: Trouble::Malformed { .. }, .. } = bench.view(pc).health else {
            panic!("{:?}", bench.view(pc).health)
        };
        assert_eq!(bench.slots[pc].agent.cache().sylink.to_xml(), kept);
        bench.tamper = None;
        bench.restore("A", &Bench::one().identity("A"));
        bench.beats(1);
        assert!(bench.is_connected(pc));
    }
}

#[test]
fn who_was_given_an_old_list_does_not_take_it_for_the_new_one() {
    // The list changes while the client is between index and list, and then changes back.
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    bench.switch(false, &ALL);
    bench.beats(1);
    let honest = bench.slots[pc].agent.cache().sylink.to_xml();
    bench.tamper = Some(|request, response| {
        if matches!(request, AgentRequest::Fetch { artifact: Artifact::List, .. }) {
            let text =
                std::str::from_utf8(&response.body).unwrap().replace("Seconds=\"300\"", "Seconds=\"301\"");
            response.body = Bytes::from(text.into_bytes());
        }
    });
    bench.tell(pc, Input::Import(Arc::new(Sylink::parse(&honest).unwrap())));
    bench.wait(Duration::ZERO);
    assert_eq!(bench.view(pc).complete, None, "what it holds is not what the index names");
    let beats = bench.view(pc).heartbeats;
    bench.wait(BEAT * 4);
    assert!(bench.view(pc).heartbeats - beats <= 6, "and it does not hurry because of that");
    bench.tamper = None;
    bench.beats(1);
    assert_eq!(bench.slots[pc].agent.cache().sylink.to_xml(), honest);
    assert_eq!(bench.view(pc).complete, Some(bench.serial_in_force(pc)));
}
