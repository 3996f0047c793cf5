//! Scenarios, played over sockets once for all tests of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use epm_client_agent::agent::LogLine;
use epm_client_agent::scenario::{PartHolding, Scenario, Verdict};
use epm_server::lab::scenario_run::run_scenario;

use crate::{Lines, collect_into, told};

/// What came of a play, or why it could not go on.
type Outcome = Result<(Verdict, Vec<(String, LogLine)>), String>;

/// Scenarios that have been played.
#[derive(Debug)]
pub struct Plays(BTreeMap<String, Outcome>);

/// The end of a play, and what its clients logged. When the test that holds it fails, it prints them.
#[derive(Debug)]
pub struct Played {
    /// What became of the fleet.
    pub verdict: Verdict,
    /// What the clients logged, in order, each line with the client's name.
    pub lines: Vec<(String, LogLine)>,
}

impl Plays {
    /// Plays all scenarios whose names begin so, at the same time, each at the speed that it names.
    pub fn of(beginning: &'static str) -> Self {
        std::thread::spawn(move || play_all(beginning)).join().expect("the plays do not panic")
    }

    /// What came of this one.
    pub fn of_scenario(&self, scenario: &str) -> Played {
        match self.0.get(scenario).expect("there is such a scenario") {
            Ok((verdict, lines)) => Played { verdict: verdict.clone(), lines: lines.clone() },
            Err(error) => panic!("{scenario}: {error}"),
        }
    }
}

impl Played {
    /// How many clients of this part hold the certificate with this number.
    pub fn holds(&self, part: &PartHolding, certificate: usize) -> usize {
        part.certificates.get(&self.verdict.certificates[certificate]).copied().unwrap_or(0)
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the verdict ---\n{:#?}", self.verdict.lost);
            eprintln!(
                "--- what the clients logged ---\n{}",
                told(&Lines::new(Mutex::new(self.lines.clone())))
            );
        }
    }
}

/// Asserts that exactly the clients of these parts were lost, all in this step and by this layer, and that the others
/// are well.
pub fn assert_lost(verdict: &Verdict, step: usize, layer: &str, parts: &[&str]) {
    assert_all_lost(verdict, step, &parts.iter().map(|part| (*part, layer)).collect::<Vec<_>>());
}

/// Asserts that exactly the clients of these parts were lost, all in this step and each part by its layer, and that the
/// others are well.
pub fn assert_all_lost(verdict: &Verdict, step: usize, parts: &[(&str, &str)]) {
    let mut expected: BTreeSet<(String, usize, &str)> = BTreeSet::new();
    for (part, layer) in parts {
        let count = holding(verdict, 0, part).clients;
        expected.extend((1..=count).map(|number| (format!("{part}-{number}"), step, *layer)));
    }
    let found: BTreeSet<_> =
        verdict.lost.iter().map(|one| (one.client.clone(), one.step, one.layer.as_str())).collect();
    assert_eq!(found, expected);
    let others = [&verdict.out_of_touch, &verdict.not_secure, &verdict.behind];
    assert!(others.iter().all(|clients| clients.is_empty()), "{others:?}");
}

/// What the clients of this part held after this step.
pub fn holding<'a>(verdict: &'a Verdict, step: usize, part: &str) -> &'a PartHolding {
    verdict.steps[step].holdings.iter().find(|one| one.part == part).expect("there is such a part")
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn play_all(beginning: &str) -> Plays {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/scenarios");
    let mut under_way = Vec::new();
    for file in std::fs::read_dir(folder).expect("the scenarios are there") {
        let path = file.expect("the scenarios can be listed").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with(beginning) {
            continue;
        }
        under_way.push(tokio::spawn(async move {
            let text = std::fs::read_to_string(&path).expect("a scenario can be read");
            let lines = Lines::default();
            let outcome = match Scenario::parse(&text, &name) {
                Ok(scenario) => run_scenario(&scenario, scenario.clock.speed, &collect_into(&lines), |_| {})
                    .await
                    .map_err(|e| e.to_string()),
                Err(error) => Err(error.to_string()),
            };
            let lines = std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
            (name, outcome.map(|verdict| (verdict, lines)))
        }));
    }
    let mut plays = BTreeMap::new();
    for play in under_way {
        let (name, outcome) = play.await.expect("a play does not panic");
        plays.insert(name, outcome);
    }
    Plays(plays)
}
