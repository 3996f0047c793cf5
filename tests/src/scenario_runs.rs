//! Scenarios played over sockets with a moved clock: each once for all tests of the process, when first needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use epm_client_agent::agent::{LogLine, TrustLayer};
use epm_client_agent::scenario::{PartHolding, Scenario, Verdict};
use epm_fixtures::fixture;
use epm_protocol::site::ManagerPorts;
use epm_server::Addresses;
use epm_server::lab::RunError;
use epm_server::lab::scenario_run::{ProgressEvent, run_scenario_moved};

use crate::{Lines, collect_into, told};

/// The scenarios of the project by name, with the result, or the reason why it could not continue.
static PLAYS: LazyLock<BTreeMap<String, OnceLock<Result<Played, String>>>> = LazyLock::new(|| {
    let files = std::fs::read_dir(fixture("scenarios")).expect("the scenarios are there");
    let files = files.map(|file| file.expect("the scenarios can be listed").path());
    let toml = files.filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
    toml.map(|path| (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), OnceLock::new()))
        .collect()
});

/// The result of a play and its clients' logs. When the test that holds it fails, it prints them.
#[derive(Clone, Debug)]
pub struct Played {
    /// The final state of the fleet.
    pub verdict: Verdict,
    /// The log lines of the clients, in order, each with the client's name.
    pub lines: Vec<(String, LogLine)>,
    /// The addresses of the managers.
    pub places: Vec<Addresses>,
}

/// The names of all scenarios.
pub fn scenarios() -> impl Iterator<Item = &'static str> {
    PLAYS.keys().map(String::as_str)
}

/// A scenario of the project.
pub fn scenario(name: &str) -> Scenario {
    let text = std::fs::read_to_string(fixture("scenarios").join(name).with_extension("toml"));
    Scenario::parse(&text.expect("a scenario can be read"), name).expect("a scenario is sound")
}

/// The result of this scenario of the project.
///
/// # Panics
///
/// When it could not be played to its end.
pub fn played(name: &str) -> Played {
    let play = PLAYS.get(name).expect("there is such a scenario");
    // In a thread of its own: the calling test may have a runtime already.
    let play = play.get_or_init(|| {
        std::thread::scope(|scope| scope.spawn(|| play_through(name)).join().expect("a play does not panic"))
    });
    play.clone().unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn play_through(name: &str) -> Result<Played, String> {
    over_sockets(&scenario(name)).await.map_err(|error| error.to_string())
}

/// The ports of a running manager, for a rehearsal of the same managers.
pub fn ports(place: &Addresses) -> ManagerPorts {
    let port = |url: &str| url.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let address = place.http.trim_start_matches("http://").rsplit_once(':').map_or("", |(host, _)| host);
    ManagerPorts { address: address.to_owned(), http: port(&place.http), https: port(&place.https) }
}

/// Plays a scenario over sockets with the clock moved.
///
/// # Errors
///
/// When it cannot continue.
pub async fn over_sockets(scenario: &Scenario) -> Result<Played, RunError> {
    let lines = Lines::default();
    let mut places = Vec::new();
    let log = collect_into(&lines);
    let tell = |event: ProgressEvent<'_>| {
        if let ProgressEvent::Up(addresses) = event {
            places = addresses.to_vec();
        }
    };
    let verdict = run_scenario_moved(scenario, &log, None, tell).await?;
    let lines = std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Played { verdict, lines, places })
}

impl Played {
    /// The number of clients of this part that hold the certificate with this number.
    pub fn holds(&self, part: &PartHolding, certificate: usize) -> usize {
        part.certificates.get(&self.verdict.certificate_history[certificate]).copied().unwrap_or(0)
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the verdict ---\n{:#?}", self.verdict.orphaned);
            eprintln!(
                "--- what the clients logged ---\n{}",
                told(&Lines::new(Mutex::new(self.lines.clone())))
            );
        }
    }
}

/// Asserts that exactly the clients of these parts were orphaned, all in this step and by this layer, and that the others
/// are well.
pub fn assert_orphaned(verdict: &Verdict, step: usize, layer: TrustLayer, parts: &[&str]) {
    assert_all_orphaned(verdict, step, &parts.iter().map(|part| (*part, layer)).collect::<Vec<_>>());
}

/// Asserts that exactly the clients of these parts were orphaned, all in this step and each part by its layer, and that the
/// others are well.
pub fn assert_all_orphaned(verdict: &Verdict, step: usize, parts: &[(&str, TrustLayer)]) {
    let mut expected: BTreeSet<(String, Option<usize>, TrustLayer)> = BTreeSet::new();
    for (part, layer) in parts {
        let count = holding(verdict, 0, part).clients;
        expected.extend((1..=count).map(|number| (format!("{part}-{number}"), Some(step), *layer)));
    }
    let found: BTreeSet<_> =
        verdict.orphaned.iter().map(|one| (one.client.clone(), one.step, one.layer)).collect();
    assert_eq!(found, expected);
    let others = [&verdict.out_of_touch, &verdict.not_secure, &verdict.behind];
    assert!(others.iter().all(|clients| clients.is_empty()), "{others:?}");
}

/// The counts of this part after this step.
pub fn holding<'a>(verdict: &'a Verdict, step: usize, part: &str) -> &'a PartHolding {
    verdict.steps[step].holdings.iter().find(|one| one.part == part).expect("there is such a part")
}
