//! `epm-lab run`: a scenario over real sockets.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use epm_client_agent::agent::LogLine;
use epm_client_agent::wire::LogSink;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Ending, Failure, complain, print, say, scenario};
use crate::play::{PlayError, Scene, play, silent};

/// Plays a scenario over real sockets.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab run fixtures/scenarios/single-manager.toml
  epm-lab run fixtures/scenarios/single-manager-no-wait.toml --verbose
  epm-lab run my.toml --json > verdict.json

Exit code 3 when clients were lost: the verdict names each, since which step, and which layer of trust broke.")]
pub(super) struct Run {
    /// The scenario file
    scenario: PathBuf,
    /// How many times faster than real time the lab's clock runs; as the scenario says when absent
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..=1000))]
    speed: Option<u32>,
    /// Draw and derive everything from this seed instead of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// Print the verdict as one JSON document, and nothing else
    #[arg(long)]
    json: bool,
    /// Show what the clients log
    #[arg(long, short)]
    verbose: bool,
}

impl Run {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        let mut scenario = scenario::load(&self.scenario)?;
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        let speed = self.speed.unwrap_or(scenario.clock.speed).max(1);
        let bar = if self.json { ProgressBar::hidden() } else { progress(scenario.step.len()) };
        if !self.json {
            say(&print::opening(&scenario, speed));
        }
        let log: LogSink = if self.verbose {
            let bar = bar.clone();
            Arc::new(move |name: &str, line: &LogLine| {
                bar.suspend(|| complain(&format!("  {name}: {line}\n")));
            })
        } else {
            silent()
        };
        let mut certificates = Vec::new();
        let verdict = play(&scenario, speed, &log, |scene| {
            if self.json {
                return;
            }
            match scene {
                Scene::Up(places) => bar.suspend(|| say(&print::places(places))),
                Scene::Begins(step, of) => {
                    bar.set_message(step.title.clone());
                    bar.suspend(|| say(&print::step(step, of)));
                }
                Scene::Ended(step) => {
                    bar.inc(1);
                    bar.suspend(|| say(&print::holdings(&step.holdings, &mut certificates)));
                }
            }
        })
        .await;
        bar.finish_and_clear();
        let verdict = verdict.map_err(|error| match error {
            PlayError::Start(_) => Failure::BadInput(error.to_string()),
            PlayError::Command { .. } | PlayError::Waited { .. } => Failure::Failed(error.to_string()),
        })?;
        if self.json {
            let text =
                serde_json::to_string_pretty(&verdict).map_err(|error| Failure::Failed(error.to_string()))?;
            say(&format!("{text}\n"));
        } else {
            say(&print::verdict(&verdict, &self.scenario));
        }
        Ok(match (verdict.lost.is_empty(), verdict.is_well()) {
            (false, _) => Ending::ClientsLost,
            (true, true) => Ending::Well,
            (true, false) => Ending::NotWell,
        })
    }
}

/// A bar on standard error while people look; nothing where no terminal is.
fn progress(steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64 + 1);
    let style = ProgressStyle::with_template("{spinner} step {pos} of {len}: {msg} ({elapsed})");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
