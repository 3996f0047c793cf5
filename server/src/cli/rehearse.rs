//! `epm-lab rehearse`: runs a scenario in virtual time.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use epm_client_agent::rehearsal::{
    Outcome, Progress, RehearsalError, RehearsalOptions, RunInfo, StepOutcome, Sweep, SweepError, Waits,
    rehearse, sweep,
};
use epm_client_agent::report;
use epm_client_agent::scenario::{PlanError, Scenario, Span};
use epm_client_agent::wire::interrupted;
use epm_protocol::plural::counted;
use indicatif::{ProgressBar, ProgressStyle};
use schemars::JsonSchema;
use serde::Serialize;

use super::{again, print, scenario};
use crate::cli::io::{Ending, Failure, is_quiet, notice, say, say_json, say_whole};
use crate::cli::out::OutFolder;
use crate::schema::BridgedSchema;

/// Rehearses a scenario in virtual time: 90 days of a fleet in seconds, without sockets.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab rehearse fixtures/scenarios/rotation-90-days.toml
  epm-lab rehearse my.toml --agents 100000 --report out
  epm-lab rehearse my.toml --sweep wait=1h..90d --seeds 20
  epm-lab rehearse my.toml --sweep 2=1h..90d
  epm-lab rehearse my.toml --json > outcome.json

--sweep shows how long the operator must wait. --report writes report.html,
outcome.json, junit.xml, course.csv, orphaned.csv and not-well.csv; with --sweep
sweep.html, sweep.csv and sweep.json instead.

Exit codes: 0 all clients are well; 1 it failed, or some are not, or would be
orphaned on being switched on; 2 invalid input; 3 clients are orphaned, or, with
--sweep, with every wait; 4 there is no verdict: no client is installed, or all
are off with changes still to receive. Other clients that are off at the end
with changes still to receive are listed as away, and are no failure. The same
scenario and seed give the same outcome, byte for byte.")]
pub(super) struct Rehearse {
    /// Scenario file; - reads standard input
    scenario: PathBuf,
    /// Use this seed instead of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// Scale the fleet to this number of clients, keeping the proportions of its parts
    #[arg(long, value_name = "CLIENTS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    agents: Option<u32>,
    /// Number of threads; the outcome does not depend on it. Defaults to the number of cores
    #[arg(long, value_name = "THREADS", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Write the report into this folder: HTML, JSON, JUnit XML and CSV
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
    /// Repeat the plan with different waits: "wait=1h..90d" for every wait, "2=1h..90d" for the wait of step 2
    #[arg(long, value_name = "WAITS")]
    sweep: Option<Waits>,
    /// Minimum number of waits to try
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(2..=500), requires = "sweep")]
    points: u16,
    /// Number of seeds to try, counting up from the scenario's
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    seeds: u16,
    /// Print the result as one JSON document and nothing else
    #[arg(long)]
    json: bool,
    /// Write the report into the folder of --report even if it has other files, and over an earlier report
    #[arg(long, requires = "report")]
    force: bool,
}

/// The outcomes of a scenario with several seeds.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SeedsOutcome {
    /// Title of the scenario.
    scenario: String,
    /// The outcome with each seed.
    seeds: Vec<SeedOutcome>,
    /// Smallest number of orphaned clients.
    least: usize,
    /// Median number of orphaned clients; the higher one of two.
    median: usize,
    /// Largest number of orphaned clients.
    most: usize,
    /// How to have the same outcomes again.
    #[schemars(with = "BridgedSchema<RunInfo>")]
    run: RunInfo,
}

/// The outcome of a scenario with one seed.
#[derive(Debug, Serialize, JsonSchema)]
struct SeedOutcome {
    /// Seed that the scenario was rehearsed with.
    seed: u64,
    /// Number of clients that are orphaned at the end.
    orphaned: usize,
    /// Number of clients that are off at the end, and would be orphaned on being switched on.
    orphaned_on_return: usize,
    /// Number of clients.
    clients: usize,
}

/// The outcomes of a scenario with different waits.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SweepOutcome<'a> {
    #[serde(flatten)]
    #[schemars(with = "BridgedSchema<Sweep>")]
    sweep: &'a Sweep,
    /// The shortest wait that orphans no client with any seed, provided that no longer wait does; null if there is none.
    #[schemars(with = "Option<String>")]
    shortest_without_orphans: Option<Span>,
}

impl Rehearse {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        let mut scenario = scenario::load(&self.scenario)?;
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        if let Some(agents) = self.agents {
            scenario.scale_to(agents);
        }
        if self.report.is_some() && self.seeds > 1 && self.sweep.is_none() {
            return Err(Failure::BadInput(
                "a report is on one seed or on a sweep: leave out `--report`, or `--seeds`, or add `--sweep`"
                    .to_owned(),
            ));
        }
        if let Some(waits) = &self.sweep {
            waits.check(&scenario).map_err(|error| Failure::BadInput(error.to_string()))?;
        }
        let report = self.report.as_deref().map(|folder| OutFolder::new(folder, self.force)).transpose()?;
        let threads = self.threads.map_or_else(cores, usize::from);
        let options = RehearsalOptions { threads, ..RehearsalOptions::default() };
        let seeds: Vec<u64> = (0..u64::from(self.seeds)).map(|n| scenario.seed.wrapping_add(n)).collect();
        match self.sweep {
            Some(waits) => self.sweep(scenario, waits, seeds, options, report).await,
            None if seeds.len() > 1 => self.spread(scenario, &seeds, options).await,
            None => self.once(scenario, options, report).await,
        }
    }

    async fn once(
        &self,
        scenario: Scenario,
        options: RehearsalOptions,
        folder: Option<OutFolder>,
    ) -> Result<Ending, Failure> {
        let again = again::run_info(&self.scenario, scenario.seed);
        let bar = self.bar(&scenario, 1);
        if !self.json {
            bar.suspend(|| say(&print::rehearsal_opening(&scenario)));
        }
        let mut certificates = Vec::new();
        let (is_quiet, of) = (self.json, scenario.step.len());
        let tell = {
            let bar = bar.clone();
            move |step: &StepOutcome| {
                if !is_quiet {
                    bar.suspend(|| say(&print::rehearsed_step(step, of, &mut certificates)));
                }
            }
        };
        let (rehearsed, _) =
            watched(&bar, move |progress| rehearse(&scenario, &options, progress, tell)).await?;
        bar.finish_and_clear();
        let mut outcome = rehearsed.map_err(|error| failure(&error, &self.scenario))?.outcome;
        outcome.verdict.repeat = Some(again.command.clone());
        outcome.run = Some(again.clone());
        if let Some(folder) = folder {
            folder.fill(&[
                ("report.html", report::html(&outcome).as_bytes()),
                ("outcome.json", report::json(&outcome).as_bytes()),
                ("junit.xml", report::junit(&outcome).as_bytes()),
                ("course.csv", report::csv(&outcome).as_bytes()),
                ("orphaned.csv", report::orphaned_csv(&outcome).as_bytes()),
                ("not-well.csv", report::not_well_csv(&outcome).as_bytes()),
            ])?;
        }
        if self.json {
            say_whole(&report::json(&outcome));
        } else {
            say(&print::rehearsal_verdict(&outcome, &again));
            self.say_where();
        }
        ending(&outcome)
    }

    /// Rehearses the same plan with several seeds.
    async fn spread(
        &self,
        scenario: Scenario,
        seeds: &[u64],
        options: RehearsalOptions,
    ) -> Result<Ending, Failure> {
        let bar = self.bar(&scenario, seeds.len());
        let mut lost = Vec::new();
        for seed in seeds {
            let plan = Scenario { seed: *seed, ..scenario.clone() };
            let options = options.clone();
            let (rehearsed, is_stopped) =
                watched(&bar, move |progress| rehearse(&plan, &options, progress, |_| ())).await?;
            let outcome = rehearsed.map_err(|error| failure(&error, &self.scenario))?.outcome;
            if is_stopped {
                break;
            }
            let verdict = outcome.verdict;
            lost.push(SeedOutcome {
                seed: *seed,
                orphaned: verdict.orphaned.len(),
                orphaned_on_return: verdict.orphaned_on_return.len(),
                clients: verdict.clients,
            });
        }
        bar.finish_and_clear();
        let mut sorted: Vec<usize> = lost.iter().map(|one| one.orphaned).collect();
        sorted.sort_unstable();
        if !lost.is_empty() && lost.iter().all(|one| one.clients == 0) {
            let why =
                "no client has been installed by the end of the plan, so that there is nothing to judge";
            return Err(Failure::Undecided(why.to_owned()));
        }
        let (Some(&least), Some(&most)) = (sorted.first(), sorted.last()) else {
            return Err(Failure::Failed("interrupted before the first seed was finished".to_owned()));
        };
        let median = sorted[sorted.len() / 2];
        let again = again::run_info(&self.scenario, scenario.seed);
        let ending = match lost.iter().any(|one| one.orphaned_on_return > 0) {
            _ if most > 0 => Ending::ClientsOrphaned,
            true => Ending::NotWell,
            false => Ending::Well,
        };
        if self.json {
            say_json(&SeedsOutcome {
                scenario: scenario.title,
                seeds: lost,
                least,
                median,
                most,
                run: again,
            })?;
        } else {
            let mut text = format!("{}\n\n", scenario.title);
            for SeedOutcome { seed, orphaned, orphaned_on_return, clients } in &lost {
                let left = match orphaned_on_return {
                    0 => String::new(),
                    more => format!(", {more} on being switched on"),
                };
                let _ = writeln!(
                    text,
                    "  seed {seed}: {orphaned} of {} orphaned{left}",
                    counted(clients, "client")
                );
            }
            let _ = writeln!(
                text,
                "\n{}: minimum {least} orphaned, median {median}, maximum {most}.\n\
                 Repeat with epm-lab {}: {}",
                counted(lost.len(), "seed"),
                again.version,
                again.command,
            );
            say(&text);
        }
        Ok(ending)
    }

    async fn sweep(
        &self,
        scenario: Scenario,
        waits: Waits,
        seeds: Vec<u64>,
        options: RehearsalOptions,
        folder: Option<OutFolder>,
    ) -> Result<Ending, Failure> {
        let points = usize::from(self.points);
        let again = again::run_info(&self.scenario, scenario.seed);
        let bar = self.bar(&scenario, 2 * points * seeds.len());
        if !self.json {
            bar.suspend(|| say(&print::rehearsal_opening(&scenario)));
        }
        let (swept, is_stopped) =
            watched(&bar, move |progress| sweep(&scenario, &waits, points, &seeds, &options, progress))
                .await?;
        bar.finish_and_clear();
        let mut swept = swept.map_err(|error| match error {
            SweepError::Rehearsal(error) => failure(&error, &self.scenario),
            SweepError::NoSuchStep { .. } => Failure::BadInput(error.to_string()),
            SweepError::NoClient => Failure::Undecided(error.to_string()),
        })?;
        swept.run = Some(again);
        if let Some(folder) = folder {
            folder.fill(&[
                ("sweep.html", report::sweep_html(&swept).as_bytes()),
                ("sweep.csv", report::sweep_csv(&swept).as_bytes()),
                ("sweep.json", sweep_json(&swept).as_bytes()),
            ])?;
        }
        if self.json {
            say_whole(&sweep_json(&swept));
        } else {
            say(&print::sweep_verdict(&swept, is_stopped));
            self.say_where();
        }
        Ok(match swept.shortest_without_orphans() {
            None => Ending::ClientsOrphaned,
            Some(_) if swept.on_return() > 0 => Ending::NotWell,
            Some(_) => Ending::Well,
        })
    }

    fn say_where(&self) {
        if let Some(folder) = &self.report {
            say(&format!("The report is in {}.\n", folder.display()));
        }
    }

    /// A progress bar on standard error; hidden without a terminal.
    fn bar(&self, scenario: &Scenario, rehearsals: usize) -> ProgressBar {
        if self.json || is_quiet() {
            return ProgressBar::hidden();
        }
        let clients: u64 = scenario.fleet.iter().map(|part| u64::from(part.get_ref().count)).sum();
        let bar = ProgressBar::new(clients * (scenario.step.len() as u64 + 1) * rehearsals as u64);
        let style = ProgressStyle::with_template("{spinner} {wide_bar} {percent} % ({elapsed}, {eta} left)");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    }
}

/// Runs the work on its own thread, shows its progress, and stops it at Ctrl-C. Also returns whether it was stopped.
async fn watched<T: Send + 'static>(
    bar: &ProgressBar,
    work: impl FnOnce(&Progress) -> T + Send + 'static,
) -> Result<(T, bool), Failure> {
    let progress = Arc::new(Progress::default());
    let worker = {
        let progress = Arc::clone(&progress);
        tokio::task::spawn_blocking(move || work(&progress))
    };
    tokio::pin!(worker);
    // Listens from here on: a signal between two rounds of the loop counts.
    let interrupt = interrupted();
    tokio::pin!(interrupt);
    let before = bar.position();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            done = &mut worker => {
                let done = done.map_err(|error| Failure::Failed(format!("the rehearsal panicked: {error}")))?;
                bar.set_position(before + progress.done.load(Ordering::Relaxed));
                let is_stopped = progress.stop.load(Ordering::Relaxed);
                return Ok((done, is_stopped));
            }
            _ = tick.tick() => bar.set_position(before + progress.done.load(Ordering::Relaxed)),
            interrupt = &mut interrupt, if !progress.stop.load(Ordering::Relaxed) => {
                interrupt.map_err(|error| Failure::Failed(error.to_string()))?;
                progress.stop.store(true, Ordering::Relaxed);
                bar.suspend(|| notice("Interrupted; results so far:\n"));
            }
        }
    }
}

fn failure(error: &RehearsalError, scenario: &Path) -> Failure {
    let text = format!("{}: {error}", scenario::name(scenario));
    match error {
        RehearsalError::Plan(PlanError::Presence { .. }) => Failure::BadInput(text),
        RehearsalError::Plan(_) | RehearsalError::Broken { .. } => Failure::Failed(text),
    }
}

fn ending(outcome: &Outcome) -> Result<Ending, Failure> {
    let verdict = &outcome.verdict;
    match Ending::of_verdict(!verdict.orphaned.is_empty(), verdict.well, verdict.no_verdict.as_deref())? {
        Ending::Well if outcome.is_partial => Ok(Ending::NotWell),
        ending => Ok(ending),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn sweep_json(sweep: &Sweep) -> String {
    let outcome = SweepOutcome { sweep, shortest_without_orphans: sweep.shortest_without_orphans() };
    let value = serde_json::to_value(outcome).unwrap_or_default();
    format!("{value:#}\n")
}
