//! Fleets with calendars: which clients are orphaned follows from which machines were on when, and from nothing else.
//!
//! Each test asks the calendar of every machine when it was on, derives which clients must be orphaned, when and by
//! which layer, and compares the rehearsal with that.

use std::collections::BTreeSet;

use epm_client_agent::agent::TrustLayer;
use epm_client_agent::rehearsal::{Outcome, Progress, RehearsalOptions, rehearse};
use epm_client_agent::scenario::presence::{Calendar, Window};
use epm_client_agent::scenario::{PartPlan, Scenario};
use epm_protocol::time::Timestamp;
use epm_tests::scenario_runs::assert_all_orphaned;

const TLS: TrustLayer = TrustLayer::Tls;
const SIGNATURE: TrustLayer = TrustLayer::Signature;

/// A rehearsal, and the calendars of its machines.
struct Rehearsed {
    outcome: Outcome,
    machines: Vec<Machine>,
}

struct Machine {
    name: String,
    part: PartPlan,
    calendar: Calendar,
    seed: u64,
}

/// The orphaned clients, with the step and the layer.
type Losses = BTreeSet<(String, usize, TrustLayer)>;

fn rehearsed(text: &str) -> Rehearsed {
    let scenario = Scenario::parse(text, "calendar.toml").expect("the scenario can be read");
    let outcome = rehearse(&scenario, &RehearsalOptions::default(), &Progress::default(), |_| ())
        .expect("it can be rehearsed")
        .outcome;
    let parts = scenario.fleet.iter().map(|part| part.get_ref().clone());
    let machines = parts.flat_map(|part| {
        let calendar = Calendar::new(&part, outcome.began, outcome.ended).expect("it has a calendar");
        (1..=part.count)
            .map(|number| Machine {
                name: part.client_name(number),
                seed: part.client_seed(scenario.seed, number),
                part: part.clone(),
                calendar: calendar.clone(),
            })
            .collect::<Vec<_>>()
    });
    Rehearsed { machines: machines.collect(), outcome }
}

impl Rehearsed {
    /// The time at which the step with this number began.
    fn step(&self, number: usize) -> Timestamp {
        self.outcome.verdict.steps[number].began
    }

    /// Asserts that exactly the expected clients are orphaned, and that all others are well.
    fn assert_orphaned(&self, expected: &Losses) {
        let verdict = &self.outcome.verdict;
        let found: Losses = verdict
            .orphaned
            .iter()
            .map(|lost| (lost.client.clone(), lost.step.unwrap(), lost.layer))
            .collect();
        assert_eq!(&found, expected);
        let others = [&verdict.out_of_touch, &verdict.not_secure, &verdict.behind];
        assert!(others.iter().all(|clients| clients.is_empty()), "{others:?}");
    }
}

impl Machine {
    /// Whether the machine is on at some time between two moments.
    fn comes_by(&self, from: Timestamp, until: Timestamp) -> bool {
        self.calendar.window(self.seed, from).is_some_and(|window| window.on < until)
    }

    /// The first window that begins from this moment on: the machine is re-imaged overnight.
    fn first_day_from(&self, from: Timestamp) -> Window {
        let day = self.calendar.window(self.seed, from).expect("it comes again");
        if day.on < from { self.calendar.window(self.seed, day.off).expect("it comes again") } else { day }
    }
}

#[test]
fn p13_ignored_f03_exactly_those_who_were_on_holiday_for_all_of_a_wait_are_lost() {
    let found = rehearsed(include_str!("../../../fixtures/scenarios/holidays-single-manager.toml"));
    let (off, update, on) = (found.step(1), found.step(2), found.step(3));
    let mut expected = Losses::new();
    for machine in &found.machines {
        let fate = match (machine.comes_by(off, update), machine.comes_by(update, on)) {
            (true, true) => continue,
            // It keeps HTTPS and the old certificate.
            (false, true) => (2, TLS),
            (false, false) => (3, TLS),
            // It is told to be secure before it has the certificate.
            (true, false) => (3, SIGNATURE),
        };
        expected.insert((machine.name.clone(), fate.0, fate.1));
    }
    let ways: BTreeSet<_> = expected.iter().map(|(_, step, layer)| (*step, *layer)).collect();
    assert_eq!(ways.len(), 3, "the scenario shows each way to be lost: {expected:?}");
    found.assert_orphaned(&expected);
    assert!(found.outcome.verdict.away.is_empty(), "all machines are on");
}

#[test]
fn p19_with_one_manager_kept_for_ninety_days_exactly_those_who_never_came_by_or_came_back_as_they_were_are_lost()
 {
    let found = rehearsed(include_str!("../../../fixtures/scenarios/rotation-90-days.toml"));
    let (first, second) = (found.step(1), found.step(3));
    assert!(second.since(first).as_secs() >= 90 * 86_400);
    let mut expected = Losses::new();
    for machine in &found.machines {
        let layer = if machine.part.name.ends_with("legacy") { SIGNATURE } else { TLS };
        let is_old = machine.part.arrives.is_none() && !machine.comes_by(first, second);
        let is_old_again = machine.calendar.reimaged(machine.seed).is_some_and(|at| at > second);
        if is_old || is_old_again {
            expected.insert((machine.name.clone(), 3, layer));
        }
    }
    let parts: BTreeSet<&str> =
        expected.iter().map(|(name, ..)| name.trim_end_matches(|char: char| char.is_ascii_digit())).collect();
    assert_eq!(parts, ["forgotten-", "forgotten-legacy-", "reimaged-late-"].into());
    found.assert_orphaned(&expected);
    assert_eq!(found.outcome.verdict.away, ["gone-1", "gone-2"], "they left before the second update");
}

#[test]
fn p19_nobody_is_lost_before_the_last_manager_is_updated() {
    let found = rehearsed(include_str!("../../../fixtures/scenarios/rotation-90-days.toml"));
    for step in &found.outcome.verdict.steps[..3] {
        let orphaned: usize = step.holdings.iter().map(|part| part.orphaned).sum();
        assert_eq!(orphaned, 0, "step {}", step.number);
    }
    let hours = |steps: std::ops::Range<usize>| {
        let hour =
            |step: usize| (found.step(step).since(found.outcome.course.origin).as_secs() / 3600) as usize;
        hour(steps.start)..hour(steps.end)
    };
    assert!(found.outcome.course.orphaned[hours(1..3)].iter().all(|count| *count == 0));
}

#[test]
fn p3_f43_machines_that_come_back_with_the_list_of_the_beginning_are_lost_once_no_manager_is_as_it_was() {
    let found = rehearsed(include_str!("../../../fixtures/scenarios/reimaged.toml"));
    let verdict = &found.outcome.verdict;
    assert_all_orphaned(verdict, 2, &[("reimaged-after", TLS), ("legacy-after", SIGNATURE)]);
    let second = found.step(2);
    for machine in &found.machines {
        let again = machine.calendar.reimaged(machine.seed);
        let name = machine.part.name.as_str();
        assert_eq!(again.is_some_and(|at| at < second), name == "reimaged-before", "{}", machine.name);
        assert_eq!(
            again.is_some_and(|at| at > second),
            name.ends_with("-after") && machine.part.arrives.is_none()
        );
        if let Some(lost) = verdict.orphaned.iter().find(|lost| lost.client == machine.name) {
            let home = machine.first_day_from(again.unwrap());
            assert!(
                lost.since >= home.on && lost.since < home.off,
                "it is lost on the day on which it comes back"
            );
        }
    }
}
