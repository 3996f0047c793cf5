//! Skipping and playing have the same results, whatever the scenario.

mod any_plan;
mod faults;
mod phases;
mod plan;

use super::*;
use crate::catalogue;
use crate::scenario::Scenario;

const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/scenarios");

/// All scenarios of the project, and all plays of the failure catalogue.
fn scenarios() -> Vec<(String, Scenario)> {
    let mut files: Vec<_> = std::fs::read_dir(SCENARIOS).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let plays = catalogue::plays().map(|(entry, play)| (entry.id.clone(), play.scenario(&entry.title)));
    files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|ending| ending == "toml"))
        .map(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&file).unwrap();
            let scenario = Scenario::parse(&text, &name).unwrap();
            (name, scenario)
        })
        .chain(plays)
        .collect()
}

fn options(threads: usize) -> RehearsalOptions {
    RehearsalOptions { threads, keep_logs: true, ..RehearsalOptions::default() }
}

fn played(scenario: &Scenario, threads: usize) -> Rehearsal {
    rehearse(scenario, &options(threads), &Progress::default(), |_| ()).unwrap()
}

fn same(name: &str, one: &Rehearsal, other: &Rehearsal) {
    for ((one, log), (other, other_log)) in one.clients.iter().zip(&other.clients) {
        for (place, (line, other)) in log.iter().zip(other_log).enumerate() {
            assert_eq!(line, other, "{name}, line {place} of {}", one.computer_name);
        }
        assert_eq!(log.len(), other_log.len(), "{name}, the log of {}", one.computer_name);
        assert_eq!(one, other, "{name}, {}", one.computer_name);
    }
    assert_eq!(one.clients.len(), other.clients.len());
    assert_eq!(one.manager_events, other.manager_events, "{name}");
    assert_eq!(one.outcome, other.outcome, "{name}");
}

#[test]
fn passing_over_what_is_quiet_changes_nothing() {
    for (name, scenario) in scenarios() {
        let memoized = played(&scenario, 1);
        let full = rehearse_every_heartbeat(&scenario, &options(1), &Progress::default(), |_| ()).unwrap();
        same(&name, &memoized, &full);
    }
}

#[test]
fn the_outcome_is_the_same_on_any_number_of_threads() {
    for (name, scenario) in scenarios() {
        same(&name, &played(&scenario, 1), &played(&scenario, 3));
    }
}

/// A step in the last second of a certificate, while all machines are off; they return after it.
const LAST_SECOND: &str = r#"
title = "t"
clock = { start = "2026-03-27T15:59:59.999Z" }
assumptions = { certificate_validity_days = 3 }

[[fleet]]
name = "p"
count = 2
version = "14.3.8289"
presence = { office = { zone = "Europe/Berlin", from = "08:00", to = "17:00" } }

[site]
name = "S"
managers = [{ name = "a" }]
setup = [{ set-communication = { group = "My Company", change = { heartbeat_seconds = 7200 } } }]

[[step]]
title = "wait"
wait = { time = "3d" }

[[step]]
title = "a policy"
operator = [{ set-policy = { group = "My Company", policy = "Firewall", content = "1" } }]
wait = { time = "1d" }
"#;

#[test]
fn what_was_tried_in_the_last_second_of_a_certificate_says_nothing_of_the_time_after_it() {
    let scenario = Scenario::parse(LAST_SECOND, "last-second.toml").unwrap();
    let memoized = played(&scenario, 1);
    let full = rehearse_every_heartbeat(&scenario, &options(1), &Progress::default(), |_| ()).unwrap();
    same("the last second", &memoized, &full);
    assert_eq!(memoized.outcome.verdict.orphaned.len(), 2, "the certificate is over, and there is no other");
}
