//! Runs a scenario over real sockets: a lab, and an operator who takes one step after another.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use epm_client_agent::agent::{AgentView, LogLine};
use epm_client_agent::cause::{RotationSettings, SiteHistory, explain};
use epm_client_agent::program::read_file;
use epm_client_agent::scenario::{
    Note, PlanError, Scenario, Standing, StepPhase, StepPlan, StepReport, Verdict, Wait, command_in_words,
    fleet_action_in_words, holdings,
};
use epm_client_agent::wire::{LabClock, LogSink, Member};
use epm_protocol::site::{Command, CommandError, Effect, Site};
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::Fingerprint;

use crate::addresses::Addresses;
use crate::lab::Lab;
use crate::lab::first_behind::FirstBehind;
use crate::lab::machines::Machines;
use crate::lab::pace::ended_heartbeats;
use crate::lab::run_error::RunError;
use crate::mock_site::{MockSite, MockSiteBuilder};
use crate::runtime::capture::Capture;

/// Speed of the clock, as a multiple of real time, while a finished scenario keeps running.
pub const STANDING: u32 = 30;

/// Progress of a running scenario.
#[derive(Debug)]
pub enum ProgressEvent<'a> {
    /// The managers are running, and the fleet is being installed.
    Up(&'a [Addresses]),
    /// A step begins; the second value is the number of all steps.
    Begins(&'a StepReport, usize),
    /// A step has ended.
    Ended {
        /// The step that ended.
        step: &'a StepReport,
        /// Every installed client with its part.
        clients: &'a [(String, AgentView)],
        /// The notes on these clients.
        notes: &'a [Note],
        /// The running site.
        site: &'a MockSite,
    },
}

/// A scenario in progress: its lab, and the steps that it has taken. The functions of this file take all steps of a
/// scenario; a caller that takes them one by one can look at the lab, and act on it, between two steps.
pub struct ScenarioRun<'a> {
    scenario: &'a Scenario,
    lab: Arc<Lab>,
    machines: Machines,
    /// Certificates that came into force, each with the number of its step; those of the start have number 0.
    certificates: Vec<(usize, Fingerprint)>,
    steps: Vec<StepReport>,
    /// What the steps changed, from which the causes are told.
    history: SiteHistory,
}

impl std::fmt::Debug for ScenarioRun<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScenarioRun").field("lab", &self.lab).finish_non_exhaustive()
    }
}

/// Runs a scenario over sockets, with the clock at `speed` times real time. `capture` gets the traffic, if there is one.
///
/// # Errors
///
/// When the site cannot start, refuses a command, or a wait reaches its limit.
pub async fn run_scenario(
    scenario: &Scenario,
    speed: u32,
    log: &LogSink,
    capture: Option<&Arc<Capture>>,
    tell: impl FnMut(ProgressEvent<'_>),
) -> Result<Verdict, RunError> {
    let clock = match scenario.clock.start {
        Some(start) => LabClock::starting_at(start, speed),
        None => LabClock::wall_at_speed(speed),
    };
    run_by(clock, scenario, (log, capture), tell, None).await
}

/// Runs a scenario over sockets with the clock moved from event to event, each once all clients are idle, instead of
/// waiting. Starts at the same lab time as a rehearsal.
///
/// # Errors
///
/// As [`run_scenario`], and when the clients do not become idle.
pub async fn run_scenario_moved(
    scenario: &Scenario,
    log: &LogSink,
    capture: Option<&Arc<Capture>>,
    tell: impl FnMut(ProgressEvent<'_>),
) -> Result<Verdict, RunError> {
    let clock = LabClock::starting_at(scenario.rehearsal_start(), 0);
    run_by(clock, scenario, (log, capture), tell, None).await
}

/// Runs a scenario like [`run_scenario_moved`], with the REST API on any free port, and keeps the lab running until `stay`
/// completes: clients continue their heartbeats at [`STANDING`] times real time.
///
/// # Errors
///
/// As [`run_scenario_moved`].
pub async fn run_scenario_and_stay<F: Future<Output = ()> + Send>(
    scenario: &Scenario,
    log: &LogSink,
    capture: Option<&Arc<Capture>>,
    tell: impl FnMut(ProgressEvent<'_>),
    stay: impl FnOnce(Arc<Lab>) -> F + Send,
) -> Result<Verdict, RunError> {
    let clock = LabClock::starting_at(scenario.rehearsal_start(), 0);
    run_by(clock, scenario, (log, capture), tell, Some(Box::new(|lab| Box::pin(stay(lab))))).await
}

/// Completes when the scenario should end.
type Stay<'a> = Box<dyn FnOnce(Arc<Lab>) -> Staying<'a> + Send + 'a>;
type Staying<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

async fn run_by(
    clock: LabClock,
    scenario: &Scenario,
    (log, capture): (&LogSink, Option<&Arc<Capture>>),
    mut tell: impl FnMut(ProgressEvent<'_>),
    stay: Option<Stay<'_>>,
) -> Result<Verdict, RunError> {
    let builder = MockSite::builder().scenario(scenario).clock(Arc::new(clock)).capture(capture);
    let builder = if stay.is_some() { builder.rest_api(0) } else { builder };
    let mut run = ScenarioRun::of(scenario, builder, log, &mut tell).await?;
    for step in &scenario.step {
        run.step(step, &mut tell).await?;
    }
    if let Some(stay) = stay {
        run.lab.take_start().await;
        run.lab.clock().set_speed(STANDING);
        stay(Arc::clone(&run.lab)).await;
    }
    let verdict = run.verdict().await;
    run.lab.stop().await;
    Ok(verdict)
}

impl<'a> ScenarioRun<'a> {
    /// Starts the lab of a scenario over sockets with a clock that is moved, as [`run_scenario_moved`] does, and installs
    /// the fleet. Takes none of the scenario's steps.
    ///
    /// # Errors
    ///
    /// As [`run_scenario_moved`].
    pub async fn start(scenario: &'a Scenario, log: &LogSink) -> Result<Self, RunError> {
        let clock = LabClock::starting_at(scenario.rehearsal_start(), 0);
        let builder = MockSite::builder().scenario(scenario).clock(Arc::new(clock));
        Self::of(scenario, builder, log, &mut |_| ()).await
    }

    async fn of(
        scenario: &'a Scenario,
        builder: MockSiteBuilder,
        log: &LogSink,
        tell: &mut impl FnMut(ProgressEvent<'_>),
    ) -> Result<Self, RunError> {
        let site = builder.start().await?;
        let lab = Lab::new(Arc::new(site), scenario.seed, Arc::clone(log));
        let setup: Vec<_> = scenario.site.setup.iter().map(|command| command.get_ref().clone()).collect();
        operate(&lab.site, &setup).map_err(|source| RunError::command(0, "setup", source))?;
        tell(ProgressEvent::Up(lab.site.addresses()));
        let machines = Machines::assemble(scenario, &lab).await?;
        let certificates = lab.certificates().into_values().map(|one| (0, one)).collect();
        let settings = lab.site.look(RotationSettings::of);
        let history = SiteHistory::new(Arc::new(settings), Arc::new(scenario.assumptions.clone()))
            .of_parts(scenario.fleet.iter().map(|part| part.get_ref()));
        let mut run = Self { scenario, lab, machines, certificates, steps: Vec::new(), history };
        run.step(&StepPlan::installation(), tell).await?;
        Ok(run)
    }

    /// The lab of the scenario.
    pub fn lab(&self) -> &Arc<Lab> {
        &self.lab
    }

    /// Takes one step. Its faults are those of the scenario.
    ///
    /// # Errors
    ///
    /// When the site refuses a command, or a wait reaches its limit.
    pub async fn take(&mut self, step: &StepPlan) -> Result<(), RunError> {
        self.step(step, &mut |_| ()).await
    }

    /// Forgets the steps with a higher number than this, after a snapshot of that moment was restored. The installation
    /// is step 0.
    pub fn forget_steps_after(&mut self, number: usize) {
        if let Some(first) = self.steps.get(number + 1) {
            self.history.forget_since(first.number);
        }
        self.steps.truncate(number + 1);
        self.certificates.retain(|(step, _)| *step <= number);
    }

    async fn step(
        &mut self,
        step: &StepPlan,
        tell: &mut impl FnMut(ProgressEvent<'_>),
    ) -> Result<(), RunError> {
        let number = self.steps.len();
        let began = self.lab.clock().now();
        let report = StepReport {
            number,
            title: step.title.clone(),
            statements: step.statements.clone(),
            began,
            holdings: Vec::new(),
        };
        tell(ProgressEvent::Begins(&report, self.scenario.step.len()));
        self.lab.site.journal().operator_action(format!("step {number}: {}", step.title));
        self.steps.push(report);
        let changes = self.lab.site.changes().count();
        let failed = |source| RunError::command(number, &step.title, source);
        let mut heartbeats = Vec::new();
        for phase in StepPhase::IN_ORDER {
            match phase {
                StepPhase::Fleet => {
                    let actions = step.fleet.iter().map(|action| action.get_ref());
                    self.machines.apply(&self.lab, actions.clone()).await.map_err(failed)?;
                    let told = actions.map(fleet_action_in_words);
                    told.for_each(|told| self.lab.site.journal().operator_action(told));
                    self.machines.take_transitions(&self.lab).await.map_err(failed)?;
                    self.lab.settle().await?;
                    let fleet = self.lab.fleet.read().await;
                    // Heartbeats during the installation belong to the installation.
                    let begun = |one: &Member| if number == 0 { 0 } else { one.handle.heartbeats() };
                    heartbeats = fleet.members().iter().map(begun).collect();
                }
                StepPhase::Faults => {
                    self.set_faults(step).await?;
                    if self.lab.stands() {
                        self.lab.site.faults().ports_settled().await;
                    }
                }
                StepPhase::Commands => {
                    self.operate(step).map_err(failed)?;
                    self.lab.settle().await?;
                }
                StepPhase::Wait => {
                    if let Some(wait) = step.wait {
                        self.wait(number, step, wait, &heartbeats, began).await?;
                    }
                }
            }
        }
        let known = self.lab.site.changes().after(changes).unwrap_or_default();
        known.into_iter().for_each(|change| self.history.push(Some(number), change));
        let parts = self.scenario.fleet.iter().map(|part| part.get_ref().name.as_str());
        let fleet = self.lab.fleet.read().await;
        let clients: Vec<(String, AgentView)> = self
            .machines
            .views(fleet.members())
            .map(|(member, view, _)| (member.part.clone(), view))
            .collect();
        let mut seen = Verdict::new(self.lab.clock().now(), self.scenario.seed, BTreeMap::new());
        self.lab.observe_managers(&mut seen);
        let notes = self.lab.notes_on(self.machines.installed(fleet.members()), &seen);
        if let Some(report) = self.steps.last_mut() {
            let views = clients.iter().map(|(part, view)| (part.as_str(), view.clone()));
            report.holdings = holdings(parts, views);
            tell(ProgressEvent::Ended {
                step: report,
                clients: &clients,
                notes: &notes,
                site: &self.lab.site,
            });
        }
        Ok(())
    }

    /// Removes and adds the faults of a step.
    async fn set_faults(&self, step: &StepPlan) -> Result<(), RunError> {
        let (faults, journal) = (self.lab.site.faults(), self.lab.site.journal());
        for name in step.heal.iter().map(|name| name.get_ref()) {
            // The fault may have expired.
            if faults.remove(name).is_ok() {
                journal.operator_action(format!("fault {name:?} removed"));
            }
        }
        for rule in self.scenario.faults_set_by(step) {
            self.lab.check_fault(rule).await?;
            faults.add(rule.clone())?.keep();
            journal.operator_action(format!("fault {:?} added: {}", rule.name, rule.what));
        }
        Ok(())
    }

    /// Applies the operator's commands, all at once.
    fn operate(&mut self, step: &StepPlan) -> Result<(), CommandError> {
        let commands: Vec<_> = step.operator.iter().map(|command| command.get_ref().clone()).collect();
        for effect in operate(&self.lab.site, &commands)? {
            if let Effect::CertificateServed { fingerprint, .. } = effect {
                self.certificates.push((self.steps.len() - 1, fingerprint));
            }
        }
        Ok(())
    }

    /// Waits until every client that is on, and stays on, has completed this many heartbeats since `before`, and
    /// until this much time has passed since the step began.
    async fn wait(
        &mut self,
        number: usize,
        step: &StepPlan,
        wait: Wait,
        before: &[u64],
        began: Timestamp,
    ) -> Result<(), RunError> {
        let places = 0..before.len();
        let awaited: Vec<(usize, u64, u32)> = places
            .filter_map(|place| match self.machines.power(place)? {
                (true, switched_off) => {
                    Some((place, before[place] + u64::from(wait.heartbeats), switched_off))
                }
                (false, _) => None,
            })
            .collect();
        // A client that is switched off is no longer waited for, even if it comes back before the others are done.
        let is_behind =
            |machines: &Machines, members: &[Member], (place, wanted, switched_off): (usize, u64, u32)| {
                machines.power(place) == Some((true, switched_off))
                    && members.get(place).is_some_and(|member| ended_heartbeats(member) < wanted)
            };
        let limit = began + wait.limit.0;
        let mut first = FirstBehind::default();
        let done = |machines: &Machines, members: &[Member]| {
            !first.is_any(&awaited, |one| is_behind(machines, members, *one))
        };
        if !self.lab.pass(&mut self.machines, limit, done).await? {
            let fleet = self.lab.fleet.read().await;
            let behind = awaited.iter().filter(|one| is_behind(&self.machines, fleet.members(), **one));
            let behind: Vec<String> =
                behind.map(|(place, ..)| fleet.members()[*place].name.clone()).collect();
            return Err(PlanError::Waited {
                step: number,
                title: step.title.clone(),
                heartbeats: wait.heartbeats,
                limit: wait.limit,
                missing: behind.len(),
                clients: fleet.members().len(),
                example: behind.first().cloned().unwrap_or_default(),
            }
            .into());
        }
        if let Some(time) = wait.time {
            self.lab.pass(&mut self.machines, began + time.0, |_, _| false).await?;
        }
        Ok(())
    }

    /// The verdict on every client, with the steps so far.
    pub async fn verdict(&self) -> Verdict {
        let fleet = self.lab.fleet.read().await;
        let installed = self.machines.installed(fleet.members()).count();
        let mut verdict = Verdict {
            scenario: self.scenario.title.clone(),
            certificate_history: self.certificates.iter().map(|(_, one)| *one).collect(),
            parts: self.steps.last().map(|step| step.holdings.clone()).unwrap_or_default(),
            steps: self.steps.clone(),
            clients: installed,
            not_installed: fleet.members().len() - installed,
            console_troubles: self.lab.site.look(Site::console_troubles),
            ports: self.lab.site.look(Site::clients_ports),
            ..Verdict::new(self.lab.clock().now(), self.scenario.seed, self.lab.certificates())
        };
        let in_force = verdict.in_force();
        let (now, mut off) = (verdict.now, Vec::new());
        for (member, view, is_on) in self.machines.views(fleet.members()) {
            let standing = Standing::of(&view, &in_force);
            verdict.add(&member.part, &view, standing, is_on);
            if !is_on && standing != Standing::Orphaned {
                off.push((member.clone(), member.handle.glance(now)));
            }
        }
        drop(fleet);
        self.lab.try_returns(&mut verdict, &off);
        self.lab.observe(&mut verdict).await;
        verdict.notes = self.notes(&verdict).await;
        explain(&mut verdict, &self.history);
        verdict
    }

    /// The notes on the installed clients.
    async fn notes(&self, verdict: &Verdict) -> Vec<Note> {
        let fleet = self.lab.fleet.read().await;
        self.lab.notes_on(self.machines.installed(fleet.members()), verdict)
    }
}

/// Applies an operator's commands, all or none, and tells the journal of them.
///
/// # Errors
///
/// When the site refuses one of them.
pub(crate) fn operate(site: &MockSite, commands: &[Command]) -> Result<Vec<Effect>, CommandError> {
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    let effects = site.apply_all(commands)?;
    let told: Vec<String> = commands.iter().map(command_in_words).collect();
    site.journal().operator_action(format!("commands applied: {}", told.join("; ")));
    Ok(effects)
}

/// Reads the files that the commands of a scenario name, relative to the scenario's folder.
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
                read_file(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            material.content = content.into();
        }
    }
    Ok(())
}

/// A log sink that discards everything.
pub fn silent() -> LogSink {
    Arc::new(|_: &str, _: &LogLine| {})
}
