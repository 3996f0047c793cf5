//! A soak: one lab over sockets, a large fleet, rotation after rotation, and every step compared with its rehearsal.
//!
//! ```text
//! tests/soak.sh --clients 5000 --minutes 60 --seed 1     the long form, optimised
//! tests/soak.sh --quick                                  a hundred clients for less than a minute, as CI runs it
//! ```
//!
//! A seed draws rounds. A round is a rotation, right or careless, with a fault or without, between restarts of managers; up
//! to [`ROUNDS`] of them make a day, and a snapshot of the freshly installed fleet ends it, so that orphaned clients are
//! whole again and a day stays short enough to be rehearsed from its start after each step. The lab's clock is moved from
//! event to event; heartbeats of 40 seconds make a rotation every ten minutes of lab time, and many in an hour.
//!
//! After each step the verdict over sockets must equal that of the rehearsal: who is orphaned, since which step and by which
//! layer of trust, and what every part of the fleet holds (see [`Phases`] for the one exception). Of a difference the
//! scenario is kept as a file for `epm-lab run` and `epm-lab rehearse`. Memory, descriptors and threads must not grow from
//! the second quarter of the days to the last. No time is judged. After [`LIFE`] days a new lab takes over.

#![expect(clippy::disallowed_methods, reason = "the soak ends by the machine's own time")]

mod rounds;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use epm_client_agent::rehearsal::{Progress, RehearsalOptions, rehearse};
use epm_client_agent::scenario::{OrphanedClient, PartHolding, Scenario, StepPlan, Verdict};
use epm_protocol::time::Clock;
use epm_protocol::trust::Fingerprint;
use epm_server::lab::Lab;
use epm_server::lab::scenario_run::{ScenarioRun, silent};
use epm_server::raise_descriptor_limit;
use epm_tests::scenario_runs::ports;

use crate::rounds::{Draw, Phases, Rotation, Round, scenario};

/// The word with which cargo asks for it.
const BENCH: &str = "--bench";
/// The word for the short form.
const QUICK: &str = "--quick";
/// The most rounds of a day.
const ROUNDS: u64 = 4;
/// Days of a lab: the first is compared in full, the others follow a restored snapshot.
const LIFE: usize = 4;
/// Fewer days than this say nothing about growth.
const DAYS: usize = 8;
/// The most entries that the journal may keep: three kinds of 10,000 and three of 1,000.
const JOURNAL: u64 = 33_000;
/// The name of the snapshot.
const FRESH: &str = "fresh";
/// The differences that are told in full.
const TOLD: usize = 5;

/// What a soak is asked for.
struct Settings {
    clients: usize,
    time: Duration,
    seed: u64,
}

impl Settings {
    fn read(words: &[String]) -> Result<Self, String> {
        let mut settings = Self { clients: 5000, time: Duration::from_mins(60), seed: 1 };
        if words.iter().any(|word| word == QUICK) {
            (settings.clients, settings.time) = (100, Duration::from_secs(40));
        }
        let mut words = words.iter().map(String::as_str).filter(|word| ![BENCH, QUICK].contains(word));
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word}: a number must follow"))?;
            let number: f64 = value.parse().map_err(|_| format!("{word} {value}: not a number"))?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked by its limits"
            )]
            match word {
                "--clients" if (10.0..=100_000.0).contains(&number) => settings.clients = number as usize,
                "--minutes" if (0.0..=100_000.0).contains(&number) => {
                    settings.time = Duration::from_secs_f64(60.0 * number);
                }
                "--seed" if number >= 0.0 => settings.seed = number as u64,
                _ => {
                    let forms = "--quick, --clients 10..100000, --minutes N, --seed N";
                    return Err(format!("{word} {value}: expected {forms}"));
                }
            }
        }
        Ok(settings)
    }
}

/// What this process uses.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    anonymous_kib: u64,
    descriptors: u64,
    threads: u64,
}

impl Used {
    fn now() -> Self {
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
        let anonymous = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
        let kib = anonymous.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
        let count = |path| std::fs::read_dir(path).map_or(0, |entries| entries.count() as u64);
        Self {
            anonymous_kib: kib.unwrap_or(0),
            descriptors: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
        }
    }

    fn most(of: &[Self]) -> Self {
        of.iter().fold(Self::default(), |most, one| Self {
            anonymous_kib: most.anonymous_kib.max(one.anonymous_kib),
            descriptors: most.descriptors.max(one.descriptors),
            threads: most.threads.max(one.threads),
        })
    }
}

/// What a part of the fleet holds.
#[derive(Debug, PartialEq)]
struct Held {
    part: PartHolding,
    /// The clients that hold each certificate, by its place in the history.
    places: BTreeMap<Option<usize>, usize>,
}

/// What has come out so far.
#[derive(Default)]
struct Tally {
    rounds: usize,
    steps: usize,
    orphaned: usize,
    restarts: usize,
    entries: u64,
    kinds: BTreeMap<Rotation, (usize, usize)>,
    wrong: Vec<String>,
    days: Vec<Used>,
    journal: u64,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if !words.iter().any(|word| word == BENCH) {
        println!("the soak runs only when it is asked to: tests/soak.sh");
        return ExitCode::SUCCESS;
    }
    let settings = match Settings::read(&words) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("soak: {error}");
            return ExitCode::from(2);
        }
    };
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime.expect("a runtime").block_on(soak(&settings));
    let well = result.map(Tally::table).unwrap_or_else(|error| {
        eprintln!("soak: {error}");
        false
    });
    ExitCode::from(u8::from(!well))
}

async fn soak(settings: &Settings) -> Result<Tally, String> {
    let Settings { clients, time, seed } = settings;
    println!("soak: {clients} clients, {} s, seed {seed}", time.as_secs());
    println!(
        "{:>5} {:>4} {:17} {:9} {:9} {:>5} {:>8} {:>5} {:>9} {:>6} {:>7} {:>8} {:>6}",
        "round",
        "day",
        "rotation",
        "fault",
        "restarted",
        "steps",
        "orphaned",
        "wrong",
        "anonymous",
        "files",
        "threads",
        "journal",
        "s"
    );
    let head = scenario(*clients, *seed);
    let base = Scenario::parse(&head, "soak").map_err(|error| error.to_string())?;
    let began = Instant::now();
    let mut draw = Draw(*seed);
    let mut run = ScenarioRun::start(&base, &silent()).await.map_err(|error| error.to_string())?;
    let mut lab = Arc::clone(run.lab());
    lab.take_snapshot(FRESH).await.map_err(|error| error.to_string())?;
    let options = |lab: &Lab| RehearsalOptions {
        places: lab.site.addresses().iter().map(ports).collect(),
        threads: 2,
        keep_logs: false,
    };
    let mut result = Tally::default();
    let mut phases = Phases::Equal;
    while began.elapsed() < *time {
        let mut text = head.clone();
        let mut most = Used::default();
        let mut done = 0;
        for _ in 0..=draw.below(ROUNDS as usize) {
            let round = Round::draw(&mut draw, phases);
            result.rounds += 1;
            if let Some(manager) = round.restarted {
                lab.site.restart(&format!("sepm-{manager}"), None);
                result.restarts += 1;
            }
            let (before, mut most_orphaned) = (result.wrong.len(), 0);
            let started = Instant::now();
            for step in round.steps(result.rounds) {
                text.push_str(&step);
                done += 1;
                let scenario = Scenario::parse(&text, "soak").map_err(|error| format!("{error}\n{text}"))?;
                let plan: &StepPlan = scenario.step.last().expect("a step was added");
                let over_sockets = match run.take(plan).await {
                    Ok(()) => run.verdict().await,
                    Err(error) => {
                        return Err(format!(
                            "step {done}, over sockets: {error}{}",
                            kept(&text, *seed, result.rounds)
                        ));
                    }
                };
                let rehearsed = tokio::task::block_in_place(|| {
                    rehearse(&scenario, &options(&lab), &Progress::default(), |_| ())
                });
                let rehearsed = rehearsed.map_err(|error| format!("step {done}, rehearsed: {error}"))?;
                result.steps += 1;
                most_orphaned = most_orphaned.max(over_sockets.orphaned.len());
                let differences = differences(&rehearsed.outcome.verdict, &over_sockets, phases);
                if !differences.is_empty() {
                    let place = kept(&text, *seed, result.rounds);
                    result.is_wrong(format!("round {}, step {done}: {differences}{place}", result.rounds));
                }
                if round.rotation.is_right() && round.fault.is_none() && !over_sockets.orphaned.is_empty() {
                    result
                        .is_wrong(format!("round {}: a right rotation has orphaned clients", result.rounds));
                }
                most = Used::most(&[most, Used::now()]);
            }
            let journal = lab.site.journal();
            let entries = (journal.next_number() - 1).saturating_sub(journal.forgotten());
            result.journal = result.journal.max(entries);
            if entries > JOURNAL {
                result.is_wrong(format!("the journal keeps {entries} entries, expected at most {JOURNAL}"));
            }
            let kind = result.kinds.entry(round.rotation).or_default();
            kind.0 += 1;
            kind.1 += usize::from(most_orphaned > 0);
            result.orphaned += most_orphaned;
            let used = Used::now();
            println!(
                "{:>5} {:>4} {:17} {:9} {:9} {:>5} {:>8} {:>5} {:>5} MiB {:>6} {:>7} {:>8} {:>6.1}",
                result.rounds,
                result.days.len() + 1,
                round.rotation.name(),
                round.fault.map_or("-".to_owned(), |fault| format!("fault-{fault}")),
                round.restarted.map_or("-".to_owned(), |manager| format!("sepm-{manager}")),
                done,
                most_orphaned,
                result.wrong.len() - before,
                used.anonymous_kib / 1024,
                used.descriptors,
                used.threads,
                entries,
                started.elapsed().as_secs_f64(),
            );
            if began.elapsed() >= *time {
                break;
            }
        }
        result.days.push(most);
        if result.days.len() % LIFE == 0 {
            result.entries += lab.site.journal().next_number() - 1;
            lab.stop().await;
            run = ScenarioRun::start(&base, &silent()).await.map_err(|error| error.to_string())?;
            lab = Arc::clone(run.lab());
            lab.take_snapshot(FRESH).await.map_err(|error| error.to_string())?;
            phases = Phases::Equal;
        } else {
            lab.restore_snapshot(FRESH).await.map_err(|error| error.to_string())?;
            run.forget_steps_after(0);
            phases = Phases::Shifted;
        }
    }
    result.entries += lab.site.journal().next_number() - 1;
    println!("lab time {}", lab.clock().now());
    lab.stop().await;
    Ok(result)
}

/// What the rehearsal says otherwise than the lab over sockets; empty if nothing.
fn differences(rehearsed: &Verdict, over_sockets: &Verdict, phases: Phases) -> String {
    let mut text = String::new();
    let orphaned = |verdict: &Verdict| -> BTreeMap<String, String> {
        let say = |one: &OrphanedClient| format!("{:?} in step {:?}", one.layer, one.step);
        verdict.orphaned.iter().map(|one| (one.client.clone(), say(one))).collect()
    };
    let (here, there) = (orphaned(rehearsed), orphaned(over_sockets));
    let names: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
    let apart: Vec<_> = names.into_iter().filter(|name| here.get(*name) != there.get(*name)).collect();
    if !apart.is_empty() {
        let _ = write!(text, "{} clients are orphaned otherwise: ", apart.len());
        for name in apart.iter().take(3) {
            let _ = write!(
                text,
                "{name}: rehearsed {:?}, over sockets {:?}; ",
                here.get(*name),
                there.get(*name)
            );
        }
    }
    for (here, there) in held(rehearsed, phases).iter().zip(&held(over_sockets, phases)) {
        if here != there {
            let _ = write!(text, "{}: rehearsed {here:?}, over sockets {there:?}; ", here.part.part);
        }
    }
    let lists = |verdict: &Verdict| {
        (
            verdict.well,
            verdict.out_of_touch.clone(),
            verdict.not_secure.clone(),
            verdict.behind.clone(),
            verdict.silent.clone(),
            verdict.orphaned_on_return.clone(),
        )
    };
    if lists(rehearsed) != lists(over_sockets) {
        let count = |verdict: &Verdict| {
            let (well, out, open, behind, silent, on_return) = lists(verdict);
            format!(
                "well {well:?}, out of touch {}, not secure {}, behind {}, silent {}, orphaned on return {}",
                out.len(),
                open.len(),
                behind.len(),
                silent.len(),
                on_return.len()
            )
        };
        let _ = write!(text, "rehearsed {}, over sockets {}", count(rehearsed), count(over_sockets));
    }
    text
}

/// What each part holds after the last step, with certificates by their place in the history: a lab whose snapshot is
/// restored goes on to draw new keys, and does not repeat those of the day before.
fn held(verdict: &Verdict, phases: Phases) -> Vec<Held> {
    let place = |one: &Fingerprint| verdict.certificate_history.iter().position(|known| known == one);
    let parts = verdict.steps.last().map(|step| step.holdings.as_slice()).unwrap_or_default();
    let held = |part: &PartHolding| Held {
        places: part.certificates.iter().map(|(one, clients)| (place(one), *clients)).collect(),
        part: PartHolding {
            certificates: BTreeMap::new(),
            // The ports of a lab are free ones.
            served_over_http: BTreeSet::new(),
            https: if phases == Phases::Equal { part.https } else { 0 },
            ..part.clone()
        },
    };
    parts.iter().map(held).collect()
}

/// Keeps a scenario as a file, and says where.
fn kept(text: &str, seed: u64, round: usize) -> String {
    let path = std::env::temp_dir().join(format!("soak-seed-{seed}-round-{round}.toml"));
    match std::fs::write(&path, text) {
        Ok(()) => format!(" [the day so far: {}]", path.display()),
        Err(error) => format!(" [the day so far could not be kept: {error}]"),
    }
}

impl Tally {
    fn is_wrong(&mut self, what: String) {
        if self.wrong.len() < TOLD {
            println!("WRONG {what}");
        }
        self.wrong.push(what);
    }

    /// Prints the table, and returns whether everything is as it should be.
    fn table(mut self) -> bool {
        println!("\n{:34} {:>10} {:>10}", "rotation", "rounds", "orphaning");
        for (rotation, (rounds, orphaning)) in &self.kinds {
            let right = if rotation.is_right() { "right" } else { "careless" };
            println!("{:34} {rounds:>10} {orphaning:>10}", format!("{right}: {}", rotation.name()));
        }
        let quarter = self.days.len() / 4;
        println!("\n{:34} {:>10} {:>10}", "most in", "2nd quarter", "last");
        if self.days.len() >= DAYS {
            let early = Used::most(&self.days[quarter..2 * quarter]);
            let late = Used::most(&self.days[self.days.len() - quarter..]);
            // Allocators and pools settle late; what leaks grows with every day.
            for (what, early, late, limit) in [
                (
                    "anonymous memory (KiB)",
                    early.anonymous_kib,
                    late.anonymous_kib,
                    early.anonymous_kib * 6 / 5 + 64 * 1024,
                ),
                ("descriptors", early.descriptors, late.descriptors, early.descriptors * 11 / 10 + 64),
                ("threads", early.threads, late.threads, early.threads + 8),
            ] {
                println!("{what:34} {early:>10} {late:>10}");
                if late > limit {
                    self.is_wrong(format!("{what} grew from {early} to {late}, expected at most {limit}"));
                }
            }
        } else {
            println!("growth is not judged: {} days, at least {DAYS} are needed", self.days.len());
        }
        println!("\n{:34} {:>10}", "rounds", self.rounds);
        println!("{:34} {:>10}", "steps compared with the rehearsal", self.steps);
        println!("{:34} {:>10}", "days", self.days.len());
        println!("{:34} {:>10}", "restarts of managers", self.restarts);
        println!("{:34} {:>10}", "clients orphaned, all rounds", self.orphaned);
        println!("{:34} {:>10}", "journal entries made", self.entries);
        println!("{:34} {:>10}", "journal entries kept, at most", self.journal);
        println!("{:34} {:>10}", "wrong", self.wrong.len());
        self.wrong.is_empty()
    }
}
