//! P1 to P8 and P10 to P15: how trust works, and the procedure for one manager.

use epm_protocol::assumption::{AdoptionOrder, Assumptions};
use epm_protocol::policy::Protocol;
use epm_protocol::site::{Command, DEFAULT_GROUP};
use epm_protocol::trust::{Pins, Rejection};

use super::super::*;
use super::bench::{ALL, BEAT, Bench, DAY, HTTP_LIST, assign};

const V14: &str = "14.3.8289.5000";

/// A site whose clients speak HTTP, with secure communications on.
fn over_http() -> Bench {
    let mut bench = Bench::one();
    bench.steps_1_to_5(&ALL);
    bench
}

#[test]
fn p1_an_agent_with_the_certificate_in_its_list_connects_over_https() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    assert!(bench.is_connected(pc));
    assert_eq!(bench.view(pc).server.unwrap().protocol, Protocol::Https);
    assert_eq!(bench.view(pc).certificates, [bench.certificate("A")]);
    let first = &bench.slots[pc].sent[0];
    assert!(matches!(&first.check, TlsCheck::Against(beliefs) if beliefs.pins.len() == 1), "{first:?}");
    assert_eq!(first.tls, TlsVersions::From12To13);
    let words = "Connected to Symantec Endpoint Protection Manager (10.0.0.1)";
    assert!(bench.slots[pc].has_logged(Event::ServerConnected, words), "{:#?}", bench.slots[pc].log);
    assert_eq!(bench.view(pc).serial, Some(bench.serial_in_force(pc)));
    assert_eq!(bench.view(pc).complete, bench.view(pc).serial);
    assert_eq!(bench.view(pc).group.as_deref(), Some(DEFAULT_GROUP));
}

#[test]
fn an_agent_that_was_connected_says_once_after_each_start_that_it_is_again() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let connections = |bench: &Bench| {
        bench.slots[pc].events().iter().filter(|event| **event == Event::ServerConnected).count()
    };
    let first = connections(&bench);
    bench.restart(pc);
    assert_eq!(connections(&bench), first, "not before a manager has served it");
    bench.beats(3);
    assert_eq!(connections(&bench), first + 1);
}

#[test]
fn p1_an_agent_with_another_certificate_refuses_before_it_sends_anything() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let (agent, known) = (bench.slots[pc].agent.cache().state.agent, bench.certificate("A"));
    bench.update("A");
    let requests = bench.slots[pc].sent.len();
    bench.beats(1);

    // The connection ends at the certificate: only the first request of each heartbeat is sent, and never arrives.
    let sent = &bench.slots[pc].sent[requests..];
    assert!(sent.iter().all(|one| matches!(one.request, AgentRequest::Index { .. })), "{sent:?}");
    let served = bench.view(pc).heartbeats_served;
    assert_eq!(sent.len() as u64, bench.view(pc).heartbeats - served);
    let found = bench.certificate("A");
    let rejection = Rejection::NotPinned { expected: vec![known], found };
    let (_, because) = bench.view(pc).health.orphaned().map(|(at, why)| (at, why.clone())).unwrap();
    assert_eq!(because, Distrust::Tls { rejection });
    assert!(!bench.view(pc).health.green_dot());
    assert!(bench.slots[pc].has_logged(Event::ServerConnectionFailed, &found.to_string()));
    let events = bench.slots[pc].events();
    let lost = [Event::ServerConnectionFailed, Event::ServerDisconnected, Event::CannotReachServer];
    assert!(events.windows(3).any(|three| three == lost), "{events:?}");
    assert_eq!(bench.slots[pc].agent.cache().state.agent, agent, "it is still registered");
}

#[test]
fn p2_the_same_certificate_signs_policies_lists_and_packages() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let file = epm_protocol::site::Material { file: "setup.exe".into(), content: "MZ".into() };
    bench.apply(&Command::AddPackage { package: "SEP".into(), file });
    bench.apply(&Command::AssignPackage { package: "SEP".into(), group: ALL[0].into() });
    let begun = bench.slots[pc].sent.len();
    bench.beats(1);
    let fetched: Vec<_> = bench.slots[pc].sent[begun..]
        .iter()
        .filter(|exchange| matches!(exchange.request, AgentRequest::Fetch { .. }))
        .cloned()
        .collect();
    assert_eq!(fetched.len(), 2, "the policy and the package, and no list, for it is the same");
    let identity = bench.identity("A");
    let pins: Pins = [identity.certificate().clone()].into_iter().collect();
    let list = AgentRequest::Fetch { agent: agent(&bench, pc), artifact: Artifact::List };
    for request in fetched.into_iter().map(|one| one.request).chain([list]) {
        let exchange = Exchange { request, ..bench.slots[pc].sent[0].clone() };
        let response = bench.carry(&exchange).unwrap().unwrap();
        assert!(adoption::accept::<Bytes>(&response, "x", true, &pins).is_ok(), "{:?}", exchange.request);
        let signature = response.signature.unwrap().signature().unwrap();
        assert_eq!(signature, identity.key().sign(&response.body));
    }
}

fn agent(bench: &Bench, n: usize) -> epm_protocol::id::AgentId {
    bench.slots[n].agent.cache().state.agent.unwrap()
}

#[test]
fn p2_ignored_f02_over_http_a_policy_signed_by_an_unknown_key_is_not_adopted_and_the_old_serial_stays() {
    let mut bench = over_http();
    let pc = bench.client(V14);
    let (serial, group) = (bench.view(pc).serial, bench.view(pc).group);
    bench.update("A");
    bench.beats(3);
    assert_eq!(bench.view(pc).serial, serial);
    assert_eq!(bench.view(pc).group, group);
    assert_ne!(Some(bench.serial_in_force(pc)), serial);
    assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::Signature));
    assert!(!bench.believes(pc, "A"));
    let words = "Refused the policy: the signature of the policy is refused";
    assert!(bench.slots[pc].has_logged(Event::NewPolicyFailed, words), "{:#?}", bench.slots[pc].log);
}

#[test]
fn p3_with_the_network_cut_the_cache_alone_says_whom_a_restarted_agent_trusts() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let believed = bench.view(pc).certificates;
    bench.down.insert("A");
    bench.restart(pc);
    bench.wait(Duration::ZERO);
    assert_eq!(bench.view(pc).certificates, believed);
    let TlsCheck::Against(beliefs) = &bench.slots[pc].sent.last().unwrap().check else { panic!() };
    assert_eq!(beliefs.pins.fingerprints(), believed);
    assert_eq!(bench.view(pc).health.orphaned(), None, "a client that reaches no manager is not orphaned");
    bench.down.clear();
    bench.beats(1);
    assert!(bench.is_connected(pc));
    assert!(bench.slots[pc].events().contains(&Event::Reconnected));
}

#[test]
fn p3_ignored_f43_a_restored_old_list_orphans_the_client_again() {
    let mut bench = Bench::one();
    let stored = bench.site.export_sylink(DEFAULT_GROUP, None).unwrap();
    let pc = bench.client(V14);
    bench.single_manager_way(&["A"], &ALL);
    assert!(bench.is_connected(pc) && bench.believes(pc, "A"));
    let current = bench.site.export_sylink(DEFAULT_GROUP, None).unwrap();
    bench.tell(pc, Input::Import(Arc::new(current)));
    assert!(!bench.view(pc).given_older_file, "it has every certificate that the client knew");

    bench.tell(pc, Input::Import(Arc::new(stored)));
    assert!(bench.view(pc).given_older_file);
    bench.wait(Duration::ZERO);
    assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::Tls));
    assert!(bench.view(pc).given_older_file);
    assert!(bench.slots[pc].has_logged(Event::ImportedSylink, ""));
    bench.wait(DAY);
    assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::Tls), "waiting does not help");

    let fresh = bench.site.export_sylink(DEFAULT_GROUP, None).unwrap();
    bench.tell(pc, Input::Import(Arc::new(fresh)));
    bench.wait(Duration::ZERO);
    assert!(bench.is_connected(pc), "a fresh one brings it home");
    assert!(!bench.view(pc).given_older_file, "a manager has served it since");
}

#[test]
fn p5_with_the_switch_off_an_unknown_signature_and_an_unknown_certificate_are_adopted_and_the_log_says_so() {
    let mut bench = over_http();
    let pc = bench.client(V14);
    bench.switch(false, &ALL);
    bench.beats(1);
    assert!(!bench.view(pc).secure_communications);
    bench.update("A");
    let before = bench.slots[pc].log.len();
    bench.beats(1);
    assert!(bench.is_connected(pc) && bench.believes(pc, "A"));
    assert_eq!(bench.view(pc).complete, Some(bench.serial_in_force(pc)));
    let said: Vec<_> = bench.slots[pc].log[before..]
        .iter()
        .filter(|line| line.event == Event::NewPolicyReceived)
        .map(|line| line.text.ends_with(", without authenticating it: secure communications are off."))
        .collect();
    assert_eq!(said.len(), 2, "{:#?}", &bench.slots[pc].log[before..]);
    // The policy's line ends in "Manager, without ..", the list's in "certificates, without ..".
    assert_eq!(said, [true, true], "{:#?}", &bench.slots[pc].log[before..]);
}

#[test]
fn p7_after_disaster_recovery_with_the_right_file_no_client_is_lost() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let identity = bench.identity("A");
    bench.wait(DAY);
    // The seed stands for the recovery file's secret and domain; the certificate is restored from it, too.
    let recovered = Bench::one();
    bench.site = recovered.site;
    bench.restore("A", &identity);
    bench.beats(2);
    assert!(bench.is_connected(pc));
    assert_eq!(bench.view(pc).complete, Some(bench.serial_in_force(pc)));
    assert!(!bench.slots[pc].events().contains(&Event::ServerDisconnected), "no client notices");
}

#[test]
fn p8_at_the_end_every_cache_has_the_new_certificate_and_is_secure_again() {
    let mut bench = Bench::one();
    let clients = [bench.client(V14), bench.client("14.0.1904"), bench.client("14.2.1031")];
    bench.single_manager_way(&["A"], &ALL);
    for pc in clients {
        assert!(bench.is_connected(pc) && bench.believes(pc, "A"), "{:?}", bench.view(pc));
        assert!(bench.view(pc).secure_communications);
        assert_eq!(bench.view(pc).certificates.len(), 1, "and the old one is gone");
        assert_eq!(bench.view(pc).server.unwrap().protocol, Protocol::Https);
        assert_eq!(bench.view(pc).list, bench.site.default_list());
    }
}

#[test]
fn a_client_counts_what_no_rotation_should_do_also_over_its_restarts() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    assert_eq!(bench.view(pc).harm, Harm::default());
    let known = bench.identity("A");
    for times in 1..=2 {
        bench.update("A");
        bench.beats(3);
        bench.restart(pc);
        bench.beats(3);
        assert_eq!(bench.view(pc).harm, Harm { orphaned: times, unsigned: 0 });
        bench.restore("A", &known);
        bench.beats(2);
        assert!(bench.is_connected(pc));
    }
    // The policy with the switch is verified, those after it are not.
    bench.switch(false, &ALL);
    bench.beats(2);
    assert_eq!(bench.view(pc).harm, Harm { orphaned: 2, unsigned: 0 });
    let policy = |content: &str| Command::SetPolicy {
        group: ALL[0].into(),
        policy: "Firewall".into(),
        content: content.into(),
    };
    for unsigned in 1..=2 {
        bench.apply(&policy(&unsigned.to_string()));
        bench.beats(2);
        bench.restart(pc);
        assert_eq!(bench.view(pc).harm, Harm { orphaned: 2, unsigned });
    }
}

/// The right order, but the switch is turned on before `late` has met the new certificate.
fn switched_on_too_early(assumptions: Assumptions) -> (Bench, usize, usize) {
    let mut bench = Bench::with(&["A"], 7, assumptions);
    let (there, late) = (bench.client(V14), bench.client(V14));
    bench.steps_1_to_5(&ALL);
    bench.switch(false, &ALL);
    bench.beats(3);
    bench.stop(late);
    bench.update("A");
    bench.beats(3);
    bench.switch(true, &ALL);
    bench.beats(1);
    bench.come_home(late);
    (bench, there, late)
}

#[test]
fn p8_ignored_switched_on_too_early_those_that_had_not_received_the_certificate_are_orphaned() {
    let (mut bench, there, late) = switched_on_too_early(Assumptions::default());
    assert!(bench.is_connected(there) && bench.believes(there, "A"));
    assert_eq!(bench.orphaned_by(late), Some(TrustLayer::Signature));
    assert!(
        bench.view(late).secure_communications,
        "the policy with the switch was adopted, the list was not"
    );
    bench.wait(DAY);
    assert_eq!(bench.orphaned_by(late), Some(TrustLayer::Signature));
}

#[test]
fn p8_were_the_list_adopted_first_switching_on_early_would_do_no_harm() {
    let assumptions = Assumptions { adoption_order: AdoptionOrder::ListThenPolicy, ..Assumptions::default() };
    let (bench, _, late) = switched_on_too_early(assumptions);
    assert!(bench.is_connected(late) && bench.believes(late, "A"));
    assert!(bench.view(late).secure_communications);
}

#[test]
fn p10_a_12_1_client_on_an_http_list_needs_no_steps_1_to_5() {
    let mut bench = over_http();
    let pc = bench.client("12.1.6");
    assert_eq!(bench.slots[pc].sent[0].tls, TlsVersions::Only12);
    bench.switch(false, &ALL);
    bench.beats(3);
    bench.update("A");
    bench.beats(3);
    bench.switch(true, &ALL);
    bench.beats(3);
    assert!(bench.is_connected(pc) && bench.believes(pc, "A") && bench.view(pc).secure_communications);
}

/// The switch is off, but the list still uses HTTPS.
fn left_on_https(assumptions: Assumptions) -> (Bench, usize) {
    let mut bench = Bench::with(&["A"], 7, assumptions);
    let pc = bench.client(V14);
    bench.switch(false, &ALL);
    bench.beats(3);
    assert!(!bench.view(pc).secure_communications);
    bench.update("A");
    bench.beats(3);
    (bench, pc)
}

#[test]
fn p10_ignored_f06_a_14_client_left_on_https_is_orphaned_though_the_switch_is_off() {
    let (bench, pc) = left_on_https(Assumptions::default());
    assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::Tls));
}

#[test]
fn p10_if_the_switch_governed_tls_too_f06_would_not_be() {
    let assumptions = Assumptions { switch_off_still_checks_tls: false, ..Assumptions::default() };
    let (bench, pc) = left_on_https(assumptions);
    assert!(bench.is_connected(pc) && bench.believes(pc, "A"));
    assert_eq!(bench.slots[pc].sent.last().unwrap().check, TlsCheck::Nothing);
}

#[test]
fn p11_the_copy_assigned_clients_speak_http_on_its_port() {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    bench.steps_1_to_5(&ALL);
    bench.beats(1);
    assert_eq!(bench.view(pc).list, HTTP_LIST);
    assert_eq!(bench.view(pc).server.unwrap().to_string(), "http://10.0.0.1:8014");
    assert!(bench.is_connected(pc));
}

/// A group with a location that has settings of its own, and a client at that location.
fn in_a_location() -> (Bench, usize) {
    let mut bench = Bench::one();
    let pc = bench.client(V14);
    let (group, location) = (ALL[0].to_owned(), "Office".to_owned());
    bench.apply(&Command::AddLocation { group, location });
    bench.apply(&assign(&bench.site.default_list(), ALL[0], Some("Office")));
    bench.beats(1);
    bench.tell(pc, Input::MoveTo(Some("Office".into())));
    bench.beats(1);
    assert!(bench.is_connected(pc));
    (bench, pc)
}

#[test]
fn p11_ignored_f05_a_location_forgotten_orphans_its_clients_while_they_are_there() {
    let (mut bench, pc) = in_a_location();
    bench.steps_1_to_5(&ALL);
    bench.switch(false, &ALL);
    bench.beats(3);
    assert_eq!(bench.view(pc).server.unwrap().protocol, Protocol::Https);
    bench.update("A");
    bench.beats(3);
    assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::Tls));
    bench.tell(pc, Input::MoveTo(None));
    bench.wait(Duration::ZERO);
    // The client's group list is the HTTP one, and its switch is off: it learns the certificate there.
    assert!(bench.is_connected(pc) && bench.believes(pc, "A"), "{:?}", bench.view(pc).health);
    bench.tell(pc, Input::MoveTo(Some("Office".into())));
    bench.wait(Duration::ZERO);
    assert!(bench.is_connected(pc));
}

#[test]
fn p11_ignored_f05_who_leaves_the_forgotten_location_after_the_switch_is_on_again_stays_orphaned() {
    let (mut bench, pc) = in_a_location();
    bench.single_manager_way(&["A"], &ALL);
    assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::Tls));
    bench.tell(pc, Input::MoveTo(None));
    bench.beats(3);
    assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::Signature));
}

#[test]
fn p11_with_the_list_assigned_to_the_location_too_nobody_is_lost() {
    let (mut bench, pc) = in_a_location();
    bench.steps_1_to_5(&ALL);
    bench.apply(&assign(HTTP_LIST, ALL[0], Some("Office")));
    bench.beats(1);
    assert_eq!(bench.view(pc).server.unwrap().protocol, Protocol::Http);
    bench.switch(false, &ALL);
    bench.beats(3);
    bench.update("A");
    bench.beats(3);
    bench.switch(true, &ALL);
    bench.reassign(&ALL);
    bench.apply(&assign(&bench.site.default_list(), ALL[0], Some("Office")));
    bench.beats(3);
    assert!(bench.is_connected(pc) && bench.believes(pc, "A") && bench.view(pc).secure_communications);
    assert_eq!(bench.view(pc).server.unwrap().protocol, Protocol::Https);
}

#[test]
fn p12_ignored_not_switched_off_clients_are_orphaned_even_where_https_is_never_used() {
    let mut bench = over_http();
    let pc = bench.client("12.1.6");
    bench.beats(3);
    bench.update("A");
    bench.beats(3);
    assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::Signature));
}

#[test]
fn p13_ignored_f03_not_waited_a_client_that_was_away_is_orphaned_when_it_comes_home() {
    let mut bench = Bench::one();
    let (there, away) = (bench.client(V14), bench.client(V14));
    bench.stop(away);
    bench.single_manager_way(&["A"], &ALL);
    bench.wait(DAY);
    bench.come_home(away);
    assert!(bench.is_connected(there));
    assert_eq!(bench.orphaned_by(away), Some(TrustLayer::Tls));
    let (since, _) = bench.view(away).health.orphaned().map(|(at, why)| (at, why.clone())).unwrap();
    assert_eq!(since, bench.now);
    bench.wait(DAY);
    assert_eq!(bench.view(away).health.orphaned().unwrap().0, since, "since when does not move");
}

#[test]
fn p13_who_comes_home_before_the_update_is_not_lost() {
    let mut bench = Bench::one();
    let away = bench.client(V14);
    bench.stop(away);
    bench.steps_1_to_5(&ALL);
    bench.switch(false, &ALL);
    bench.wait(DAY);
    bench.come_home(away);
    bench.update("A");
    bench.beats(3);
    assert!(bench.is_connected(away) && bench.believes(away, "A"));
}

#[test]
fn p13_ignored_f04_a_group_that_does_not_inherit_and_was_forgotten_is_orphaned_alone() {
    let mut bench = Bench::one();
    let own = r"My Company\Own";
    bench.apply(&Command::AddGroup { group: own.into(), inherits: false });
    let (set, forgotten) = (bench.client(V14), bench.client_in(own, V14));
    bench.single_manager_way(&["A"], &ALL);
    assert!(bench.is_connected(set));
    assert_eq!(bench.orphaned_by(forgotten), Some(TrustLayer::Tls));
    assert!(bench.view(forgotten).secure_communications, "it was not told otherwise");
}

#[test]
fn p13_with_every_group_set_one_by_one_nobody_is_lost() {
    let mut bench = Bench::one();
    let own = r"My Company\Own";
    bench.apply(&Command::AddGroup { group: own.into(), inherits: false });
    let clients = [bench.client(V14), bench.client_in(own, V14)];
    bench.single_manager_way(&["A"], &[ALL[0], own]);
    assert!(clients.into_iter().all(|pc| bench.is_connected(pc) && bench.believes(pc, "A")));
}

#[test]
fn p14_after_the_update_the_port_shows_the_new_certificate_and_signs_with_it() {
    let mut bench = Bench::one();
    let old = bench.certificate("A");
    bench.update("A");
    let publication = bench.site.publication("A").unwrap();
    assert_ne!(bench.certificate("A"), old);
    assert_eq!(publication.signer.certificate(), publication.identity.certificate());
}

#[test]
fn p15_ignored_the_list_reassigned_before_a_client_holds_the_new_certificate_orphans_it() {
    let mut bench = Bench::one();
    let (there, late) = (bench.client(V14), bench.client(V14));
    bench.steps_1_to_5(&ALL);
    bench.switch(false, &ALL);
    bench.beats(3);
    bench.stop(late);
    bench.update("A");
    bench.beats(3);
    bench.switch(true, &ALL);
    bench.reassign(&ALL);
    bench.beats(3);
    bench.come_home(late);
    assert!(bench.is_connected(there));
    assert!(bench.orphaned_by(late).is_some());
}

#[test]
fn p15_the_list_alone_reassigned_too_early_does_no_harm_for_it_brings_the_certificate() {
    let mut bench = Bench::one();
    let late = bench.client(V14);
    bench.steps_1_to_5(&ALL);
    bench.switch(false, &ALL);
    bench.beats(3);
    bench.stop(late);
    bench.update("A");
    bench.reassign(&ALL);
    bench.wait(BEAT);
    bench.come_home(late);
    assert!(bench.is_connected(late) && bench.believes(late, "A"), "its list still says HTTP");
}
