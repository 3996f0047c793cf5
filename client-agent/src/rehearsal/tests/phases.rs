//! Heartbeats of a fleet are spread over the interval: in a given time, a change reaches the share of the fleet that this
//! time is of the interval, whatever came before.

use std::fmt::Write;

use super::*;
use crate::scenario::Span;

const CLIENTS: u32 = 1000;

/// A scenario with one part of `clients` clients that are always on, an hourly heartbeat, and these steps.
fn plan(clients: u32, assumptions: &str, steps: &str) -> Scenario {
    let text = format!(
        r#"
title = "t"
clock = {{ start = "2026-01-05T10:00:00Z" }}
assumptions = {{ {assumptions} }}

[[fleet]]
name = "p"
count = {clients}
version = "14.3.8289"

[site]
name = "S"
managers = [{{ name = "a" }}, {{ name = "b" }}]
setup = [
  {{ set-communication = {{ group = "My Company", change = {{ heartbeat_seconds = 3600 }} }} }},
  {{ copy-list = {{ from = "Default Management Server List for S", to = "Both" }} }},
  {{ copy-list = {{ from = "Both", to = "New" }} }},
]
{steps}"#
    );
    Scenario::parse(&text, "phases.toml").unwrap()
}

/// A step with these commands and this wait.
fn step(operator: &str, wait: &str) -> String {
    format!("[[step]]\ntitle = \"s\"\noperator = [{operator}]\nwait = {{ time = \"{wait}\" }}\n")
}

const CHANGE: &str = r#"{ assign-list = { list = "New", group = "My Company" } }"#;

/// The number of clients that a change reaches within this time, after the steps before it.
fn reached(assumptions: &str, before: &str, within: &str) -> f64 {
    let scenario = plan(CLIENTS, assumptions, &format!("{before}{}", step(CHANGE, within)));
    let outcome = rehearse(&scenario, &RehearsalOptions::default(), &Progress::default(), |_| ()).unwrap();
    let holding = &outcome.outcome.verdict.steps.last().unwrap().holdings[0];
    f64::from(u32::try_from(holding.lists.get("New").copied().unwrap_or(0)).unwrap())
}

/// Compares the number of clients that a change has reached with the share that the time is of an hour.
fn is_share_of_an_hour(found: f64, within: &str, before: &str) {
    let within_seconds = within.parse::<Span>().unwrap().0.as_secs_f64();
    let share = (within_seconds / 3600.0).min(1.0);
    let expected = f64::from(CLIENTS) * share;
    let most_off = 4.0 * (expected * (1.0 - share)).sqrt() + 1.0;
    assert!((found - expected).abs() <= most_off, "{found} instead of {expected} in {within} after {before}");
}

#[test]
fn a_change_reaches_the_share_of_the_fleet_that_the_time_since_is_of_the_interval() {
    for settling in ["0s", "1m", "10h", "10h15m", "25h", "3d"] {
        for within in ["1m", "5m", "30m", "50m"] {
            is_share_of_an_hour(reached("", &step("", settling), within), within, settling);
        }
    }
    assert_eq!(
        reached("", "", "66m"),
        f64::from(CLIENTS),
        "an interval, and the most that a heartbeat is late"
    );
}

#[test]
fn the_heartbeats_of_a_fleet_stay_apart_after_its_interval_has_changed() {
    let interval = |seconds: u32| {
        format!(
            r#"{{ set-communication = {{ group = "My Company", change = {{ heartbeat_seconds = {seconds} }} }} }}"#
        )
    };
    let mut before = String::new();
    for seconds in [300, 3600] {
        let _ = write!(before, "{}", step(&interval(seconds), "90m"));
    }
    for within in ["5m", "30m"] {
        is_share_of_an_hour(reached("", &before, within), within, "5 minutes became an hour");
    }
    // All clients receive the new interval within the same 5 minutes; by the other assumption the series starts there.
    let anew = reached("new_interval_keeps_phase = false", &before, "29m");
    assert_eq!(anew, 0.0, "the heartbeats are in the first 12 minutes of the hour since");
}

#[test]
fn a_power_cut_brings_the_heartbeats_of_a_part_together_until_its_machines_are_booted_again() {
    let power = |action: &str| {
        format!("[[step]]\ntitle = \"p\"\nfleet = [{{ {action} = \"p\" }}]\nwait = {{ time = \"50m\" }}\n")
    };
    let cut = power("switch-off") + &power("switch-on");
    assert_eq!(reached("", &cut, "9m"), 0.0);
    assert_eq!(reached("", &cut, "17m"), f64::from(CLIENTS), "all are due an hour after the power came back");
}

#[test]
fn clients_that_stay_with_their_server_consult_their_list_at_moments_of_their_own_within_a_day() {
    let priorities = |list: &str, first: &str, second: &str| {
        format!(
            r#"{{ edit-list = {{ list = "{list}", priorities = [[{{ manager = "{first}" }}], [{{ manager = "{second}" }}]] }} }}, "#
        )
    };
    let to_a = priorities("Both", "a", "b") + r#"{ assign-list = { list = "Both", group = "My Company" } }"#;
    let to_b = priorities("New", "b", "a") + CHANGE;
    let scenario = plan(CLIENTS, "", &(step(&to_a, "40h") + &step(&to_b, "6h")));
    let outcome = rehearse(&scenario, &RehearsalOptions::default(), &Progress::default(), |_| ()).unwrap();
    let load = |manager: &str| outcome.outcome.course.load[manager][45];
    // By the sixth hour, clients whose 24 hours have ended since the change have gone to the new first server.
    assert!((140..=320).contains(&load("b")) && load("a") > 600, "{} {}", load("a"), load("b"));
}

/// The documented procedure for one manager, after this settling time, with this wait before the update.
fn rotation(settling: &str, wait: &str) -> Scenario {
    let list = |list: &str| format!(r#"{{ assign-list = {{ list = "{list}", group = "My Company" }} }}"#);
    let secure =
        |on: bool| format!(r#"{{ set-secure-communications = {{ group = "My Company", on = {on} }} }}"#);
    let update = |manager: &str| {
        format!(
            r#"{{ update-certificate = {{ manager = "{manager}", certificate = {{ generate = {{}} }} }} }}"#
        )
    };
    let http = r#"{ edit-list = { list = "New", protocol = "http" } }"#;
    let steps = [
        step("", settling),
        step(&format!("{http}, {}, {}", list("New"), secure(false)), wait),
        step(&format!("{}, {}", update("a"), update("b")), "3h"),
        step(&format!("{}, {}", list("Default Management Server List for S"), secure(true)), "3h"),
    ];
    plan(200, "", &steps.concat())
}

#[test]
fn a_wait_of_five_minutes_at_an_hourly_heartbeat_orphans_all_clients_without_one_whatever_the_settling_time()
{
    for settling in ["10h", "10h15m", "0s"] {
        let outcome = played(&rotation(settling, "5m"), 2).outcome;
        let orphaned = outcome.verdict.orphaned.len();
        assert!((168..=198).contains(&orphaned), "{orphaned} of 200 after {settling}");
    }
    assert_eq!(played(&rotation("10h", "66m"), 2).outcome.verdict.orphaned.len(), 0);
}

#[test]
fn a_sweep_recommends_no_wait_shorter_than_the_interval() {
    let waits: Waits = "2=5m..2h".parse().unwrap();
    let options = RehearsalOptions { threads: 2, ..RehearsalOptions::default() };
    let plan = rotation("10h", "5m");
    let found = sweep(&plan, &waits, 3, &[1, 2], &options, &Progress::default()).unwrap();
    let enough = found.shortest_without_orphans().unwrap().0.as_secs() / 60;
    assert!((55..=66).contains(&enough), "{enough} minutes");
}
