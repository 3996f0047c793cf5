//! The documented procedure for several managers over real sockets, P9 and P16 to P19; and five ways to do it wrong.
//!
//! Each test is named after the statement that it proves, and scenario_runs the scenario file that shows it.

use std::collections::BTreeSet;

use epm_client_agent::agent::{Event, TrustLayer};
use epm_client_agent::scenario::{PartHolding, StepReport};
use epm_tests::scenario_runs::{assert_all_orphaned, assert_orphaned, holding, played};

const TLS: TrustLayer = TrustLayer::Tls;
const SIGNATURE: TrustLayer = TrustLayer::Signature;
/// The parts of the fleet whose clients are of 14.2.
const OF_14_2: [&str; 4] = ["desktop-142", "laptop-142", "kiosk", "kiosk-push"];

#[test]
fn p9_with_one_manager_after_the_other_every_client_learns_the_new_certificates_and_stays_secure() {
    let played = played("several-managers");
    assert_eq!(played.verdict.well, Some(true), "{:?}", played.verdict);
    assert_eq!(played.verdict.certificate_history.len(), 6, "three old ones and three new ones");
    for step in &played.verdict.steps {
        all_are_served(step);
        for part in &step.holdings {
            assert_eq!(part.secure, part.clients, "step {}: {part:?}", step.number);
            for manager in 0..3 {
                let is_updated = manager < step.number;
                let (old, new) = (played.holds(part, manager), played.holds(part, manager + 3));
                let expected = if is_updated { (0, part.clients) } else { (part.clients, 0) };
                assert_eq!((old, new), expected, "step {}, sepm-{}: {part:?}", step.number, manager + 1);
            }
        }
    }
}

#[test]
fn p9_a_client_meets_the_new_certificate_refuses_it_and_learns_it_from_another_manager() {
    let played = played("several-managers");
    let updated = played.verdict.steps[1].began;
    for client in ["laptop-1", "laptop-2"] {
        // Their list begins with the first manager, so they meet that one.
        let mut log = played.lines.iter().filter(|(name, line)| name == client && line.at >= updated);
        let refused = log.find(|(_, line)| line.event == Event::ServerConnectionFailed);
        let (_, line) = refused.unwrap_or_else(|| panic!("{client} has met no manager that it refuses"));
        let trusted = line.text.split_once("; the client trusts ").map(|(_, trusted)| trusted);
        assert!(trusted.is_some_and(|trusted| trusted.contains(", ")), "{}", line.text);
        let learnt = log.find(|(_, line)| line.text.starts_with("Received the management server list"));
        assert!(learnt.is_some(), "{client} has got no list afterwards");
        let connected = log.find(|(_, line)| line.event == Event::ServerConnected);
        assert!(connected.is_some(), "{client} is with another manager now");
    }
}

#[test]
fn p9_ignored_f08_with_both_managers_updated_together_nobody_is_left_to_learn_from() {
    let played = played("several-managers-both-at-once");
    assert_all_orphaned(&played.verdict, 3, &[("desktop", TLS), ("laptop", TLS), ("legacy", SIGNATURE)]);
}

#[test]
fn what_one_manager_has_not_heard_of_nobody_learns_from_it_until_replication_is_restored() {
    let played = played("several-managers-not-restored");
    let first = &played.verdict.steps[1];
    all_are_served(first);
    assert!(first.holdings.iter().all(|part| played.holds(part, 2) == 0), "{:?}", first.holdings);
    assert_all_orphaned(&played.verdict, 2, &[("desktop", TLS), ("laptop", TLS), ("legacy", SIGNATURE)]);
}

#[test]
fn a_new_communications_file_brings_back_whoever_is_on_when_it_is_imported_and_an_old_one_brings_back_nobody()
{
    let played = played("several-managers-both-at-once-healed");
    let verdict = &played.verdict;
    let orphaned = |step, part| holding(verdict, step, part).orphaned;
    assert_eq!([1, 2, 3, 4].map(|step| orphaned(step, "desktop")), [3, 3, 0, 0]);
    assert_eq!([1, 2, 3, 4].map(|step| orphaned(step, "laptop")), [2, 2, 0, 0]);
    assert_eq!([1, 2, 3, 4].map(|step| orphaned(step, "laptop-away")), [0, 0, 0, 1]);
    let brought_back = |step, part| holding(verdict, step, part).brought_back;
    assert_eq!([1, 2, 3, 4].map(|step| brought_back(step, "desktop")), [0, 0, 3, 3]);
    assert_eq!([1, 2, 3, 4].map(|step| brought_back(step, "laptop")), [0, 0, 2, 2]);
    assert_eq!((brought_back(4, "laptop-away"), verdict.brought_back.len()), (0, 5));
    let imports = |name: &str| {
        let of_client = played.lines.iter().filter(|(client, _)| client == name);
        of_client.filter(|(_, line)| line.event == Event::ImportedSylink).count()
    };
    assert_eq!(["desktop-1", "laptop-1", "laptop-away-1"].map(imports), [2, 1, 0]);
}

#[test]
fn p16_ignored_exactly_the_clients_whose_list_has_one_manager_are_lost_when_that_one_changes() {
    assert_orphaned(&played("several-managers-no-failover").verdict, 1, TLS, &["branch"]);
}

#[test]
fn p17_ignored_f07_exactly_the_clients_of_14_2_are_lost_and_only_when_their_last_manager_changes() {
    let played = played("several-managers-142");
    assert_orphaned(&played.verdict, 3, TLS, &["desktop-142", "laptop-142"]);
    for step in &played.verdict.steps[..3] {
        all_are_served(step);
        for part in of_14_2(&step.holdings) {
            let learnt: usize = (3..6).map(|new| played.holds(part, new)).sum();
            assert_eq!(learnt, 0, "step {}: they learn nothing: {part:?}", step.number);
        }
    }
}

#[test]
fn p17_the_single_manager_way_for_the_groups_with_14_2_and_failover_for_the_rest_loses_nobody() {
    let played = played("several-managers-mixed");
    let verdict = &played.verdict;
    assert_eq!(verdict.well, Some(true), "{verdict:?}");
    for step in &verdict.steps {
        all_are_served(step);
        let (kiosks, others): (Vec<_>, Vec<_>) =
            step.holdings.iter().partition(|part| part.part.starts_with("kiosk"));
        assert!(others.iter().all(|part| part.secure == part.clients), "{others:?}");
        let is_off = (1..=3).contains(&step.number);
        assert!(kiosks.iter().all(|part| part.secure == if is_off { 0 } else { part.clients }), "{kiosks:?}");
        assert!(!is_off || kiosks.iter().all(|part| part.https == 0), "{kiosks:?}");
    }
    for part in of_14_2(&verdict.steps[3].holdings) {
        let both = (played.holds(part, 2), played.holds(part, 3));
        assert_eq!(both, (part.clients, part.clients), "before they are secure again: {part:?}");
    }
    let (first, last) = (holding(verdict, 0, "kiosk"), holding(verdict, 4, "kiosk"));
    assert_eq!((first.https, first.secure), (last.https, last.secure), "they are where they began");
}

#[test]
fn p18_ignored_not_waited_exactly_those_who_met_no_other_manager_in_between_are_lost() {
    assert_orphaned(&played("several-managers-no-wait").verdict, 3, TLS, &["laptop"]);
}

#[test]
fn p19_who_comes_home_to_one_manager_with_its_old_certificate_learns_all_from_it() {
    let played = played("several-managers-one-kept");
    let verdict = &played.verdict;
    let away = holding(verdict, 2, "laptop");
    let old: Vec<usize> = (0..3).map(|manager| played.holds(away, manager)).collect();
    assert_eq!(old, [2, 2, 2], "they have heard of nothing: {away:?}");
    let home = holding(verdict, 3, "laptop");
    let in_force: Vec<usize> = [3, 4, 2].map(|one| played.holds(home, one)).into();
    assert_eq!((home.connected, in_force), (2, vec![2, 2, 2]), "{home:?}");
    assert_eq!(verdict.well, Some(true), "and the third manager can follow: {verdict:?}");
}

#[test]
fn every_statement_of_the_several_manager_way_is_named_by_a_step_that_is_done_right() {
    let mut named = BTreeSet::new();
    for scenario in ["several-managers", "several-managers-mixed", "several-managers-one-kept"] {
        let played = played(scenario);
        named.extend(played.verdict.steps.iter().flat_map(|step| &step.statements).map(|one| one.number()));
    }
    for statement in ["P6", "P9", "P16", "P17", "P18", "P19"] {
        assert!(named.contains(statement), "{statement} is in none of {named:?}");
    }
}

fn all_are_served(step: &StepReport) {
    for part in &step.holdings {
        assert_eq!((part.connected, part.orphaned), (part.clients, 0), "step {}: {part:?}", step.number);
    }
}

fn of_14_2(parts: &[PartHolding]) -> impl Iterator<Item = &PartHolding> {
    parts.iter().filter(|part| OF_14_2.contains(&part.part.as_str()))
}
