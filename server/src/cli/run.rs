//! `epm-lab run`: runs a scenario over real sockets.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use epm_client_agent::agent::LogLine;
use epm_client_agent::rehearsal::RunInfo;
use epm_client_agent::scenario::{FASTEST, PlanError, Scenario, Span, Verdict};
use epm_client_agent::wire::LogSink;
use indicatif::{ProgressBar, ProgressStyle};
use schemars::JsonSchema;
use serde::Serialize;

use super::{again, print, scenario};
use crate::cli::io::{Ending, Failure, complain, is_quiet, say, say_json};
use crate::cli::pcap::Pcap;
use crate::lab::RunError;
use crate::lab::scenario_run::{ProgressEvent, run_scenario, run_scenario_moved, silent};
use crate::schema::BridgedSchema;

/// Longest wait of a step, in real time.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Runs a scenario over real sockets.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab run fixtures/scenarios/single-manager.toml
  epm-lab run fixtures/scenarios/single-manager-no-wait.toml --client-log
  epm-lab run my.toml --json > verdict.json
  epm-lab run fixtures/scenarios/recovery.toml --moved

Exit codes: 0 all clients are well; 1 it failed, or some are not, or would be
orphaned on being switched on; 2 invalid input; 3 clients are orphaned: the
verdict names each, the step since which it is orphaned, and the layer of trust
that failed; 4 there is no verdict: no client is installed, or all are off with
changes still to receive. Other clients that are off are listed as away.")]
pub(super) struct Run {
    /// Scenario file; - reads standard input
    scenario: PathBuf,
    /// Speed of the lab's clock as a multiple of real time; defaults to the scenario's
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..=i64::from(FASTEST)))]
    speed: Option<u32>,
    /// Move the lab's clock from event to event instead of waiting: months take a minute, and the outcome equals that
    /// of `epm-lab rehearse` to the millisecond
    #[arg(long, conflicts_with = "speed")]
    moved: bool,
    /// Use this seed instead of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// Write what the managers' sockets received and sent into this file, which opens decrypted in Wireshark
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Print the verdict as one JSON document and nothing else
    #[arg(long)]
    json: bool,
    /// Show the clients' log
    #[arg(long)]
    client_log: bool,
}

/// The verdict on a scenario, and how to have it again.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RunOutcome {
    #[serde(flatten)]
    #[schemars(with = "BridgedSchema<Verdict>")]
    verdict: Verdict,
    /// How to have the same verdict again.
    #[schemars(with = "BridgedSchema<RunInfo>")]
    run: RunInfo,
}

impl Run {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        let mut scenario = scenario::load(&self.scenario)?;
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        let speed = self.speed.unwrap_or(scenario.clock.speed);
        if !self.moved {
            refuse_to_wait(&scenario, speed)?;
        }
        let pcap = Pcap::begin(self.pcap.as_deref())?;
        let bar = if self.json || is_quiet() { ProgressBar::hidden() } else { progress() };
        if !self.json {
            say(&print::opening(&scenario, (!self.moved).then_some(speed)));
        }
        let log: LogSink = if self.client_log {
            let bar = bar.clone();
            Arc::new(move |name: &str, line: &LogLine| {
                bar.suspend(|| complain(&format!("  {name}: {line}\n")));
            })
        } else {
            silent()
        };
        let mut certificates = Vec::new();
        let tell = |event: ProgressEvent<'_>| {
            if self.json {
                return;
            }
            match event {
                ProgressEvent::Up(places) => bar.suspend(|| say(&print::places(places))),
                ProgressEvent::Begins(step, of) => {
                    bar.set_message(print::step_heading(step, of));
                    bar.suspend(|| say(&print::step(step, of)));
                }
                ProgressEvent::Ended { step, .. } => {
                    bar.suspend(|| say(&print::holdings(&step.holdings, &mut certificates)));
                }
            }
        };
        let verdict = match self.moved {
            true => run_scenario_moved(&scenario, &log, pcap.capture(), tell).await,
            false => run_scenario(&scenario, speed, &log, pcap.capture(), tell).await,
        };
        bar.finish_and_clear();
        pcap.finish()?;
        let mut verdict = verdict.map_err(|error| match error {
            RunError::Start(_)
            | RunError::Plan(PlanError::Presence { .. })
            | RunError::Fault(_)
            | RunError::Fleet(_)
            | RunError::Refused(_) => Failure::BadInput(error.to_string()),
            RunError::Plan(_) | RunError::Time(_) | RunError::Incomplete(_) => {
                Failure::Failed(error.to_string())
            }
        })?;
        let again = again::run_info(&self.scenario, scenario.seed);
        verdict.repeat = Some(again.command.clone());
        let ending =
            Ending::of_verdict(!verdict.orphaned.is_empty(), verdict.well, verdict.no_verdict.as_deref());
        if self.json {
            say_json(&RunOutcome { verdict, run: again })?;
        } else {
            say(&print::verdict(&verdict, &again));
        }
        ending
    }
}

/// Rejects a plan with a step that would take too long in real time.
fn refuse_to_wait(scenario: &Scenario, speed: u32) -> Result<(), Failure> {
    for (number, step) in (1..).zip(&scenario.step) {
        let Some(time) = step.wait.and_then(|wait| wait.time) else { continue };
        let real = time.0 / speed;
        if real > LONGEST_WAIT {
            return Err(Failure::BadInput(format!(
                "step {number} waits for {time}, which takes {} at {speed} times real time; \
                 the limit is 10m; use `epm-lab rehearse`, `epm-lab run --moved` or a higher `--speed`",
                Span(Duration::from_secs(real.as_secs()))
            )));
        }
    }
    Ok(())
}

/// A progress bar on standard error; hidden without a terminal.
fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {wide_msg} ({elapsed})");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
