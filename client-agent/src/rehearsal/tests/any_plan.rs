//! Properties of a rehearsal that hold for any plan.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::plan::{Plan, plan};
use super::*;
use crate::agent::Event;

/// The number of random plans, always the same ones; `PROPTEST_CASES` asks for that many others.
const PLANS: u32 = 24;

fn config() -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return default;
    }
    ProptestConfig { cases: PLANS, rng_seed: RngSeed::Fixed(7), ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_is_planned_skipping_finds_what_playing_every_heartbeat_finds(plan in plan()) {
        let Plan { scenario, .. } = &plan;
        let memoized = played(scenario, 1);
        let full = rehearse_every_heartbeat(scenario, &options(1), &Progress::default(), |_| ()).unwrap();
        same("drawn", &memoized, &full);
        same("drawn, on three threads", &memoized, &played(scenario, 3));
        let again = played(scenario, 1);
        prop_assert_eq!(crate::report::json(&memoized.outcome), crate::report::json(&again.outcome));
        adds_up(scenario, &memoized);
    }
}

/// Whether the counts over time agree with the counts of clients, and with the clients' logs.
fn adds_up(scenario: &Scenario, found: &Rehearsal) {
    let Outcome { course, steps, heartbeats, heartbeats_served, .. } = &found.outcome;
    let fleet: u32 = scenario.fleet.iter().map(|part| part.get_ref().count).sum();
    let rows = [&course.old_only, &course.both, &course.new_only, &course.none];
    let hours = course.online.len();
    assert!(rows.iter().all(|row| row.len() == hours) && course.orphaned.len() == hours);
    assert!(course.load.values().all(|row| row.len() == hours));

    let installed: Vec<u32> = (0..hours).map(|hour| rows.iter().map(|row| row[hour]).sum()).collect();
    let from_the_start: u32 = scenario
        .fleet
        .iter()
        .map(toml::Spanned::get_ref)
        .filter(|part| part.arrives.is_none())
        .map(|part| part.count)
        .sum();
    assert!(installed.is_sorted() && installed[0] >= from_the_start, "installed clients stay: {installed:?}");
    for (hour, installed) in installed.iter().copied().enumerate() {
        assert!(course.online[hour] <= installed && installed <= fleet, "hour {hour}");
        assert!(course.orphaned[hour] <= installed, "hour {hour}");
    }

    let last = steps.last().unwrap();
    let held = |count: fn(&crate::scenario::PartHolding) -> usize| -> usize {
        last.report.holdings.iter().map(count).sum()
    };
    assert_eq!(installed[hours - 1] as usize, held(|part| part.clients));
    assert_eq!(course.orphaned[hours - 1] as usize, held(|part| part.orphaned));
    assert_eq!(course.online[hours - 1] as usize, last.online);

    assert!(heartbeats_served <= heartbeats);
    assert_eq!(*heartbeats, found.clients.iter().map(|(view, _)| view.heartbeats).sum::<u64>());
    assert_eq!(*heartbeats_served, found.clients.iter().map(|(view, _)| view.heartbeats_served).sum::<u64>());
    // A client that connects to a manager is served, or logs why not.
    let refused = found.clients.iter().flat_map(|(_, log)| log).filter(|line| is_refusal(line)).count();
    let load: u64 = course.load.values().flatten().map(|visits| u64::from(*visits)).sum();
    assert_eq!(load, heartbeats_served + refused as u64, "visits");
}

fn is_refusal(line: &crate::agent::LogLine) -> bool {
    matches!(line.event, Event::ServerConnectionFailed | Event::NoServerResponse)
        && (line.text.starts_with("Failed to connect to") || line.text.starts_with("No service from"))
}
