//! A scenario, played over real sockets: a site, a fleet, and an operator who does one step after the other.

use std::path::Path;
use std::sync::Arc;

use epm_client_agent::agent::{AgentView, LogLine};
use epm_client_agent::scenario::{
    PlanError, Scenario, StepPhase, StepPlan, StepReport, Verdict, Wait, holdings,
};
use epm_client_agent::wire::{LabClock, LogSink};
use epm_protocol::fault::FaultError;
use epm_protocol::site::{CommandError, Effect};
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::Fingerprint;

pub(crate) use super::machines::members;
use super::machines::{ClockMode, ScenarioFleet};
pub use super::reproduce::{refused, reproduced};
pub use super::rest_client_run::rest_case;

use crate::mock_site::{Addresses, MockSite, StartError};

/// How many times as fast as real time a play goes on that is left standing.
pub const STANDING: u32 = 30;

/// What a play tells while it goes on.
#[derive(Debug)]
pub enum Progress<'a> {
    /// The managers are up, and the fleet is being installed.
    Up(&'a [Addresses]),
    /// A step begins; the number of all steps is the second.
    Begins(&'a StepReport, usize),
    /// A step has ended.
    Ended {
        /// The step.
        step: &'a StepReport,
        /// Every client that is there by now, with the part that it belongs to.
        clients: &'a [(String, AgentView)],
        /// The site.
        site: &'a MockSite,
    },
}

/// Why a play could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The site could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The scenario cannot be played to its end.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A fault of the scenario makes no sense.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// The lab does not come to rest.
    #[error("the lab is not quiet: at {at} there is always something under way")]
    Restless {
        /// The lab's time.
        at: Timestamp,
    },
}

/// A play under way.
struct Play<'a> {
    scenario: &'a Scenario,
    site: &'a MockSite,
    fleet: ScenarioFleet<'a>,
    clock: Arc<LabClock>,
    certificates: Vec<Fingerprint>,
    steps: Vec<StepReport>,
    /// Whether the clock is moved, not waited for.
    is_moved: bool,
}

/// Plays a scenario, at `speed` times the pace of real time.
///
/// # Errors
///
/// When the site cannot start, refuses a command, or a wait reaches its limit.
pub async fn play(
    scenario: &Scenario,
    speed: u32,
    log: &LogSink,
    tell: impl FnMut(Progress<'_>),
) -> Result<Verdict, RunError> {
    let clock = match scenario.clock.start {
        Some(start) => LabClock::starting_at(start, speed),
        None => LabClock::wall_at_speed(speed),
    };
    run_by(clock, ClockMode::Running, scenario, log, tell, None).await
}

/// Plays a scenario with the clock moved instead of waited for: from one thing that is due to the next, each when the
/// lab is quiet. It begins when a rehearsal does.
///
/// # Errors
///
/// As [`play`].
pub async fn run_scenario_moved(
    scenario: &Scenario,
    log: &LogSink,
    tell: impl FnMut(Progress<'_>),
) -> Result<Verdict, RunError> {
    let clock = LabClock::starting_at(scenario.rehearsal_start(), 0);
    run_by(clock, ClockMode::Moved, scenario, log, tell, None).await
}

/// Plays a scenario as [`run_scenario_moved`] does, and leaves it standing until `stay` is over: the clients go on with their
/// heartbeats, [`STANDING`] times as fast as real time.
///
/// # Errors
///
/// As [`play`].
pub async fn run_scenario_and_stay(
    scenario: &Scenario,
    log: &LogSink,
    tell: impl FnMut(Progress<'_>),
    stay: impl Future<Output = ()> + Send,
) -> Result<Verdict, RunError> {
    let clock = LabClock::starting_at(scenario.rehearsal_start(), 0);
    run_by(clock, ClockMode::Moved, scenario, log, tell, Some(Box::pin(stay))).await
}

/// What a play is left standing for.
type Stay<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

async fn run_by(
    clock: LabClock,
    pace: ClockMode,
    scenario: &Scenario,
    log: &LogSink,
    mut tell: impl FnMut(Progress<'_>),
    stay: Option<Stay<'_>>,
) -> Result<Verdict, RunError> {
    let clock = Arc::new(clock);
    let site = MockSite::builder().scenario(scenario).clock(Arc::clone(&clock)).start().await?;
    let setup: Vec<_> = scenario.site.setup.iter().map(|command| command.get_ref().clone()).collect();
    site.apply_all(&setup).map_err(|source| at(0, "setup", source))?;
    tell(Progress::Up(site.addresses()));
    let is_moved = pace == ClockMode::Moved;
    if is_moved {
        site.faults().skip_delays(true);
    }
    let fleet = ScenarioFleet::assemble(scenario, &site, log, pace)?;
    let certificates =
        site.look(|site| site.managers().map(|manager| manager.client.certificate().fingerprint()).collect());
    let mut play = Play { scenario, site: &site, fleet, clock, certificates, steps: Vec::new(), is_moved };
    let installation = StepPlan::installation();
    for (number, step) in std::iter::once(&installation).chain(&scenario.step).enumerate() {
        play.step(number, step, &mut tell).await?;
    }
    if let Some(stay) = stay {
        site.faults().skip_delays(false);
        play.clock.set_speed(STANDING);
        stay.await;
    }
    let verdict = play.verdict().await;
    site.stop().await;
    Ok(verdict)
}

impl Play<'_> {
    async fn step(
        &mut self,
        number: usize,
        step: &StepPlan,
        tell: &mut impl FnMut(Progress<'_>),
    ) -> Result<(), RunError> {
        let began = self.clock.now();
        let report = StepReport {
            number,
            title: step.title.clone(),
            statements: step.statements.clone(),
            began,
            holdings: Vec::new(),
        };
        tell(Progress::Begins(&report, self.scenario.step.len()));
        self.steps.push(report);
        let mut heartbeats = Vec::new();
        for phase in StepPhase::IN_ORDER {
            match phase {
                StepPhase::Fleet => {
                    let actions = step.fleet.iter().map(|action| action.get_ref());
                    let changes =
                        self.fleet.change(actions).map_err(|source| at(number, &step.title, source))?;
                    self.fleet.happen(&changes).await?;
                    heartbeats = match number {
                        0 => vec![0; self.fleet.members().len()],
                        _ => self.fleet.members().iter().map(|one| one.handle.view().heartbeats).collect(),
                    };
                }
                StepPhase::Faults => {
                    self.set_faults(step)?;
                    if self.is_moved {
                        self.site.faults().ports_settled().await;
                    }
                }
                StepPhase::Commands => {
                    self.operate(number, step)?;
                    self.fleet.rest().await?;
                }
                StepPhase::Wait => {
                    if let Some(wait) = step.wait {
                        self.wait(number, step, wait, &heartbeats, began).await?;
                    }
                }
            }
        }
        let parts = self.scenario.fleet.iter().map(|part| part.get_ref().name.as_str());
        let clients: Vec<(String, AgentView)> =
            self.fleet.views().map(|(part, view, _)| (part.to_owned(), view)).collect();
        if let Some(report) = self.steps.last_mut() {
            let views = clients.iter().map(|(part, view)| (part.as_str(), view.clone()));
            report.holdings = holdings(parts, views);
            tell(Progress::Ended { step: report, clients: &clients, site: self.site });
        }
        Ok(())
    }

    /// Takes faults away, and sets others.
    fn set_faults(&self, step: &StepPlan) -> Result<(), RunError> {
        let faults = self.site.faults();
        for name in &step.heal {
            // It may have come to its end by itself.
            let _ = faults.remove(name.get_ref());
        }
        for rule in self.scenario.faults_set_by(step) {
            faults.add(rule.clone())?.keep();
        }
        Ok(())
    }

    /// The operator's commands, all at once.
    fn operate(&mut self, number: usize, step: &StepPlan) -> Result<(), RunError> {
        let commands: Vec<_> = step.operator.iter().map(|command| command.get_ref().clone()).collect();
        if commands.is_empty() {
            return Ok(());
        }
        let held = self.fleet.held_requests();
        let effects = self.site.apply_all(&commands).map_err(|source| at(number, &step.title, source))?;
        let ends = self.site.look(|site| site.assumptions().update_ends_connections);
        for effect in effects {
            match effect {
                Effect::CertificateServed { manager, fingerprint } => {
                    self.certificates.push(fingerprint);
                    let place = self.site.addresses().iter().find(|one| one.manager == manager);
                    if let Some(place) = place.filter(|_| ends) {
                        self.fleet
                            .connections_end(&held, |server| server == place.http || server == place.https);
                    }
                }
                Effect::ServicesRestarted => self.fleet.connections_end(&held, |_| true),
                _ => {}
            }
        }
        Ok(())
    }

    /// Waits until every client that is on, and stays on, has ended so many heartbeats since `before`; and for so much
    /// time since the step began.
    async fn wait(
        &mut self,
        number: usize,
        step: &StepPlan,
        wait: Wait,
        before: &[u64],
        began: Timestamp,
    ) -> Result<(), RunError> {
        let mut awaited: Vec<bool> = (0..before.len()).map(|place| self.fleet.is_on(place)).collect();
        // Who goes off is not waited for any more, though he may come back before the others are done.
        let mut behind = |fleet: &ScenarioFleet<'_>| -> Vec<String> {
            let members = fleet.members().iter().zip(before).enumerate();
            let late = members.filter(|(place, (member, before))| {
                awaited[*place] &= fleet.is_on(*place);
                let begun = member.handle.view().heartbeats.saturating_sub(**before);
                let ended = if member.handle.is_resting() { begun } else { begun.saturating_sub(1) };
                awaited[*place] && ended < u64::from(wait.heartbeats)
            });
            late.map(|(_, (member, _))| member.name.clone()).collect()
        };
        if !self.fleet.pass(began + wait.limit.0, |fleet| behind(fleet).is_empty()).await? {
            let behind = behind(&self.fleet);
            return Err(PlanError::Waited {
                step: number,
                title: step.title.clone(),
                heartbeats: wait.heartbeats,
                limit: wait.limit,
                missing: behind.len(),
                clients: self.fleet.members().len(),
                example: behind.first().cloned().unwrap_or_default(),
            }
            .into());
        }
        if let Some(time) = wait.time {
            self.fleet.pass(began + time.0, |_| false).await?;
        }
        Ok(())
    }

    async fn verdict(self) -> Verdict {
        let current = self.site.look(|site| {
            site.managers().map(|one| one.client.certificate().fingerprint()).collect::<Vec<_>>()
        });
        let mut verdict = Verdict {
            scenario: self.scenario.title.clone(),
            seed: self.scenario.seed,
            certificates: self.certificates,
            steps: self.steps,
            clients: self.fleet.members().len(),
            ..Verdict::default()
        };
        for (part, view, is_on) in self.fleet.views() {
            verdict.add(part, &view, &current, is_on);
        }
        self.fleet.dismiss().await;
        verdict
    }
}

pub(super) fn at(step: usize, title: &str, source: CommandError) -> RunError {
    PlanError::command(step, title, source).into()
}

/// Reads the files that the commands of a scenario name, relative to the scenario's own folder.
///
/// # Errors
///
/// When a file cannot be read; the error names it.
pub fn read_materials(scenario: &mut Scenario, folder: &Path) -> Result<(), String> {
    let steps = scenario.step.iter_mut().flat_map(|step| &mut step.operator);
    for command in scenario.site.setup.iter_mut().chain(steps) {
        for material in command.get_mut().materials_mut() {
            let path = folder.join(&material.file);
            let content =
                std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            material.content = content.into();
        }
    }
    Ok(())
}

/// A log sink that keeps nothing.
pub fn silent() -> LogSink {
    Arc::new(|_: &str, _: &LogLine| {})
}
