//! P9 and P16 to P18: failover and load balancing.

use epm_protocol::assumption::Assumptions;
use epm_protocol::policy::{ManagementServer, ServerPriority};
use epm_protocol::site::{Command, DEFAULT_GROUP};

use super::super::*;
use super::bench::{ALL, BEAT, Bench, DAY, assign};

const V14: &str = "14.3.8289.5000";
const V14_2: &str = "14.2.1031";
const V14_2_RU2: &str = "14.2.5323";
const BY_PRIORITY: &str = "A, then B";

/// The client's own priorities: A first, then B.
fn a_then_b(bench: &mut Bench) {
    let from = bench.site.default_list();
    bench.apply(&Command::CopyList { from, to: BY_PRIORITY.into() });
    let block = |manager| ServerPriority(vec![ManagementServer::at_its_own(manager)]);
    let priorities = Some(vec![block("A"), block("B")]);
    let list = BY_PRIORITY.to_owned();
    bench.apply(&Command::EditList { list, protocol: None, verify_ca: None, priorities });
    bench.apply(&assign(BY_PRIORITY, ALL[0], None));
}

fn by_priority() -> Bench {
    let mut bench = Bench::two();
    a_then_b(&mut bench);
    bench
}

/// A client with a list of one manager, A.
fn with_a_alone(bench: &mut Bench) -> usize {
    let group = r"My Company\Alone";
    bench.apply(&Command::AddGroup { group: group.into(), inherits: false });
    bench.apply(&Command::CopyList { from: bench.site.default_list(), to: "A alone".into() });
    let priorities = Some(vec![ServerPriority(vec![ManagementServer::at_its_own("A")])]);
    let list = "A alone".to_owned();
    bench.apply(&Command::EditList { list, protocol: None, verify_ca: None, priorities });
    bench.apply(&assign("A alone", group, None));
    bench.client_in(group, V14)
}

#[test]
fn p9_an_agent_refuses_the_new_certificate_on_a_and_learns_it_from_b() {
    let mut bench = by_priority();
    let pc = bench.client(V14);
    assert_eq!(bench.server(pc), "A");
    bench.update("A");
    let (log, sent) = (bench.slots[pc].log.len(), bench.slots[pc].sent.len());
    bench.wait(Duration::from_secs(300));

    let first_two: Vec<_> =
        bench.slots[pc].sent[sent..sent + 2].iter().map(|one| one.server.address.as_str()).collect();
    assert_eq!(first_two, ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(bench.slots[pc].log[log].event, Event::ServerConnectionFailed);
    assert_eq!(bench.server(pc), "B");
    assert!(bench.is_connected(pc) && bench.believes(pc, "A") && bench.believes(pc, "B"));

    bench.down.insert("B");
    bench.beats(1);
    assert!(bench.is_connected(pc), "A is trusted");
    assert_eq!(bench.server(pc), "A");
}

#[test]
fn p9_by_load_balancing_too_everybody_ends_with_both_new_certificates() {
    let mut bench = Bench::two();
    let clients: Vec<_> = (0..6).map(|_| bench.client(V14)).collect();
    let on_a = clients.iter().filter(|pc| bench.server(**pc) == "A").count();
    assert!((1..6).contains(&on_a), "the load is shared: {on_a} of 6 on A");
    bench.update("A");
    bench.beats(3);
    bench.update("B");
    bench.beats(3);
    for pc in clients {
        assert!(bench.is_connected(pc) && bench.believes(pc, "A") && bench.believes(pc, "B"));
    }
}

#[test]
fn p9_ignored_f08_both_managers_changed_together_orphan_everybody() {
    let mut bench = Bench::two();
    let pc = bench.client(V14);
    bench.update("A");
    bench.update("B");
    bench.beats(3);
    assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::Tls));
}

#[test]
fn p16_ignored_clients_whose_list_has_one_manager_are_orphaned() {
    let mut bench = Bench::two();
    let alone = with_a_alone(&mut bench);
    let both = bench.client(V14);
    bench.update("A");
    bench.beats(3);
    bench.update("B");
    bench.beats(3);
    assert_eq!(bench.orphaned_by(alone), Some(TrustLayer::Tls));
    assert!(bench.is_connected(both));
}

/// The several-manager procedure, done right, for a client of this version. Also checks it after the first update.
fn several_manager_way(version: &str, assumptions: Assumptions) -> (Bench, usize) {
    let mut bench = Bench::with(&["A", "B"], 7, assumptions);
    a_then_b(&mut bench);
    let pc = bench.client(version);
    bench.update("A");
    bench.beats(3);
    assert!(bench.is_connected(pc), "while the other manager is trusted, the client is not orphaned");
    bench.update("B");
    bench.beats(3);
    (bench, pc)
}

#[test]
fn p17_ignored_f07_clients_of_14_2_are_orphaned_and_no_others() {
    for version in ["12.1.6", "14.0.1904", "14.1", "14.3", V14] {
        let (bench, pc) = several_manager_way(version, Assumptions::default());
        assert!(bench.is_connected(pc), "{version}");
    }
    for version in [V14_2, "14.2.3332", V14_2_RU2] {
        let (bench, pc) = several_manager_way(version, Assumptions::default());
        assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::Tls), "{version}");
    }
}

#[test]
fn p17_the_gate_can_be_set_to_14_2_and_14_2_ru1_alone() {
    let until = "14.2.4000".parse().unwrap();
    let gate = Assumptions { module_14_2_until: until, ..Assumptions::default() };
    let (bench, pc) = several_manager_way(V14_2_RU2, gate.clone());
    assert!(bench.is_connected(pc));
    let (bench, pc) = several_manager_way("14.2.3332", gate);
    assert_eq!(bench.orphaned_by(pc), Some(TrustLayer::Tls));
    let none = Assumptions { module_14_2: Module142::AsOthers, ..Assumptions::default() };
    let (bench, pc) = several_manager_way(V14_2, none);
    assert!(bench.is_connected(pc));
}

#[test]
fn p17_a_14_2_client_that_stops_at_an_untrusted_server_is_not_served_either() {
    let module_14_2 = Module142::StopsAtAnUntrustedServer;
    let mut bench = Bench::with(&["A", "B"], 7, Assumptions { module_14_2, ..Assumptions::default() });
    a_then_b(&mut bench);
    let (lost, other) = (bench.client(V14_2), bench.client(V14));
    bench.update("A");
    bench.beats(3);
    assert!(bench.is_connected(other) && !bench.is_connected(lost));
    let Health::Disconnected { because: Trouble::Untrusted { distrust }, .. } = bench.view(lost).health
    else {
        panic!("{:?}", bench.view(lost).health)
    };
    assert!(distrust.layer() == TrustLayer::Tls);
}

#[test]
fn p17_the_single_manager_way_keeps_14_2_clients_on_a_site_with_two_managers() {
    let mut bench = Bench::two();
    let clients: Vec<_> = (0..4).map(|_| bench.client(V14_2)).collect();
    bench.single_manager_way(&["A", "B"], &ALL);
    for pc in clients {
        assert!(bench.is_connected(pc) && bench.view(pc).secure_communications);
        assert!(bench.believes(pc, "A") && bench.believes(pc, "B"), "not only the one that it talks to");
    }
}

#[test]
fn p18_ignored_not_waited_those_that_met_no_other_manager_in_between_are_orphaned() {
    let mut bench = by_priority();
    let (there, away) = (bench.client(V14), bench.client(V14));
    bench.stop(away);
    bench.update("A");
    bench.beats(3);
    bench.update("B");
    bench.beats(3);
    bench.come_home(away);
    assert!(bench.is_connected(there));
    assert_eq!(bench.orphaned_by(away), Some(TrustLayer::Tls));
}

#[test]
fn p19_who_was_away_comes_home_as_long_as_one_manager_has_the_old_certificate() {
    let mut bench = by_priority();
    let away = bench.client(V14);
    bench.stop(away);
    bench.update("A");
    bench.wait(DAY * 60);
    bench.come_home(away);
    assert!(bench.is_connected(away) && bench.believes(away, "A"));
    bench.update("B");
    bench.beats(3);
    assert!(bench.is_connected(away) && bench.believes(away, "B"));
}

#[test]
fn f19_a_manager_that_is_down_sends_its_clients_to_the_next_priority() {
    let mut bench = by_priority();
    let pc = bench.client(V14);
    bench.down.insert("A");
    bench.wait(BEAT);
    assert!(bench.is_connected(pc));
    assert_eq!(bench.server(pc), "B");
    assert!(bench.slots[pc].has_logged(Event::NoServerResponse, "https://10.0.0.1:443"));
    assert!(bench.slots[pc].has_logged(Event::ServerConnected, "(10.0.0.2)"));
    bench.down.insert("B");
    bench.beats(1);
    let Health::Disconnected { because: Trouble::Exchange { failure }, .. } = bench.view(pc).health else {
        panic!("{:?}", bench.view(pc).health)
    };
    assert_eq!(failure.code(), "connection-refused");
    bench.down.clear();
    bench.beats(1);
    assert_eq!(bench.server(pc), "A", "after a loss the list decides");
}

#[test]
fn f19_one_manager_down_and_the_other_not_believed_is_no_orphan() {
    let mut bench = by_priority();
    let pc = bench.client(V14);
    bench.down.insert("B");
    bench.update("A");
    bench.beats(3);
    assert!(matches!(bench.view(pc).health, Health::Disconnected { .. }), "{:?}", bench.view(pc).health);
    bench.down.clear();
    bench.beats(1);
    assert!(bench.is_connected(pc) && bench.believes(pc, "A"));
    bench.down.insert("A");
    bench.update("B");
    bench.beats(3);
    assert!(matches!(bench.view(pc).health, Health::Disconnected { .. }), "{:?}", bench.view(pc).health);
}

#[test]
fn f19_that_no_server_can_be_reached_is_logged_once_and_not_at_every_heartbeat() {
    let mut bench = Bench::two();
    let pc = bench.client(V14);
    bench.down.extend(["A", "B"]);
    bench.wait(DAY);
    let count = |event| bench.slots[pc].events().into_iter().filter(|one| *one == event).count();
    assert_eq!((count(Event::CannotReachServer), count(Event::ServerDisconnected)), (1, 1));
    assert!(count(Event::NoServerResponse) > 500);
}

#[test]
fn f26_a_client_stays_with_its_backup_for_a_day_and_then_fails_back() {
    let mut bench = by_priority();
    let pc = bench.client(V14);
    bench.down.insert("A");
    bench.beats(1);
    let moved = bench.slots[pc].agent.cache().state.last_server.clone().unwrap().since;
    bench.down.clear();
    bench.wait(DAY - BEAT - BEAT);
    assert_eq!(bench.server(pc), "B");
    bench.wait(BEAT + BEAT);
    assert_eq!(bench.server(pc), "A");
    let back = bench.slots[pc].agent.cache().state.last_server.clone().unwrap().since;
    assert!(back.since(moved) >= DAY && back.since(moved) <= DAY + BEAT);
}

#[test]
fn f26_ignored_with_use_last_server_off_it_fails_back_at_the_next_heartbeat() {
    let mut bench = by_priority();
    let sylink = bench.site.export_sylink(DEFAULT_GROUP, None).unwrap();
    let pc = bench.client_with(sylink, V14, |profile| profile.use_last_server = false);
    bench.down.insert("A");
    bench.beats(1);
    assert_eq!(bench.server(pc), "B");
    bench.down.clear();
    bench.beats(1);
    assert_eq!(bench.server(pc), "A");
}

#[test]
fn f26_the_list_is_consulted_once_a_day_and_not_at_every_heartbeat_from_then_on() {
    let mut bench = Bench::two();
    let pc = bench.client(V14);
    bench.wait(DAY * 20);
    let connections =
        bench.slots[pc].events().iter().filter(|event| **event == Event::ServerConnected).count();
    assert!((2..=21).contains(&connections), "{connections} changes of server in 20 days");
}

#[test]
fn f26_where_the_list_leads_to_the_same_server_again_the_day_begins_anew() {
    let mut bench = by_priority();
    let pc = bench.client(V14);
    for _ in 0..30 {
        bench.wait(DAY / 4);
        let since = bench.slots[pc].agent.cache().state.last_server.clone().unwrap().since;
        assert!(bench.now.since(since) <= DAY + BEAT);
    }
    assert_eq!(bench.server(pc), "A");
}

#[test]
fn who_has_learnt_a_new_certificate_does_not_hold_the_old_refusal_against_its_manager() {
    let mut bench = by_priority();
    let pc = bench.client(V14);
    bench.update("A");
    bench.beats(1);
    assert_eq!(bench.server(pc), "B");
    bench.down.insert("A");
    bench.update("B");
    bench.beats(2);
    let health = bench.view(pc).health;
    assert!(matches!(health, Health::Disconnected { .. }), "A was not asked since: {health:?}");
    bench.down.clear();
    bench.beats(1);
    assert!(bench.is_connected(pc) && bench.believes(pc, "B"));
}

#[test]
fn p17_a_14_2_client_does_not_learn_by_changing_its_location_either() {
    let mut bench = by_priority();
    let (group, location) = (ALL[0].to_owned(), "Office".to_owned());
    bench.apply(&Command::AddLocation { group, location });
    let pc = bench.client(V14_2);
    bench.update("A");
    bench.beats(3);
    assert!(bench.is_connected(pc) && !bench.believes(pc, "A"));
    for location in [Some("Office".to_owned()), None] {
        bench.tell(pc, Input::MoveTo(location));
        bench.beats(1);
        assert!(!bench.believes(pc, "A"));
    }
}

#[test]
fn one_server_in_a_heartbeat_begins_with_the_first_and_goes_on_with_the_next() {
    let assumptions = Assumptions { servers_per_beat: ServersPerBeat::One, ..Assumptions::default() };
    let mut bench = Bench::with(&["A", "B"], 7, assumptions);
    a_then_b(&mut bench);
    let pc = bench.client(V14);
    assert_eq!(bench.server(pc), "A");
    bench.beats(7);
    bench.down.insert("A");
    bench.wait(BEAT);
    assert!(!bench.is_connected(pc));
    bench.wait(BEAT);
    assert!(bench.is_connected(pc));
    assert_eq!(bench.server(pc), "B");
    bench.beats(3);
    assert_eq!(bench.server(pc), "B");
}
