//! A scenario, played over real sockets: a site, a fleet, and an operator who does one step after the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use epm_client_agent::agent::{AgentProfile, AgentView, Input, LogLine};
use epm_client_agent::scenario::{
    FleetAction, PartPlan, Scenario, Span, StepPlan, StepReport, Verdict, Wait, holdings,
};
use epm_client_agent::wire::{Fleet, LabClock, LogSink, Member, MemberSpec};
use epm_protocol::id::{Guid, HardwareKey};
use epm_protocol::site::{Command, CommandError, Effect};
use epm_protocol::time::Clock;
use epm_protocol::trust::Fingerprint;

use crate::mock::{Addresses, MockSite, StartError};

/// What a play tells while it goes on.
#[derive(Debug)]
pub enum Scene<'a> {
    /// The managers are up, and the fleet is being installed.
    Up(&'a [Addresses]),
    /// A step begins; the number of all steps is the second.
    Begins(&'a StepReport, usize),
    /// A step has ended.
    Ended(&'a StepReport),
}

/// Why a play could not go on.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The site could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The site refused a command.
    #[error("step {step} ({title}): {source}")]
    Command {
        /// The step; 0 is the setup.
        step: usize,
        /// Its title.
        title: String,
        /// Why.
        source: Box<CommandError>,
    },
    /// What was waited for did not come.
    #[error(
        "step {step} ({title}): after {limit}, {missing} of {clients} clients had not ended {heartbeats} heartbeats, {example} among them"
    )]
    Waited {
        /// The step.
        step: usize,
        /// Its title.
        title: String,
        /// How many heartbeats were waited for.
        heartbeats: u32,
        /// The limit.
        limit: String,
        /// How many clients are behind.
        missing: usize,
        /// How many there are.
        clients: usize,
        /// One of those who are behind.
        example: String,
    },
}

/// A play under way.
struct Play<'a> {
    scenario: &'a Scenario,
    site: MockSite,
    fleet: Fleet,
    clock: Arc<LabClock>,
    certificates: Vec<Fingerprint>,
    steps: Vec<StepReport>,
    is_off: BTreeMap<String, bool>,
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
    mut tell: impl FnMut(Scene<'_>),
) -> Result<Verdict, PlayError> {
    let clock = Arc::new(match scenario.clock.start {
        Some(start) => LabClock::starting_at(start, speed),
        None => LabClock::wall_at_speed(speed),
    });
    let site = MockSite::builder().scenario(scenario).clock(Arc::clone(&clock)).start().await?;
    for command in &scenario.site.setup {
        apply(&site, command.get_ref(), 0, "setup")?;
    }
    tell(Scene::Up(site.addresses()));
    let parts: Vec<PartPlan> = scenario.fleet.iter().map(|part| part.get_ref().clone()).collect();
    let specs = members(scenario.seed, &parts, &site).map_err(|source| at(0, "the fleet", source))?;
    let assumptions = site.look(|site| Arc::clone(site.assumptions()));
    let fleet = Fleet::start(Arc::clone(&clock), &assumptions, log, specs).await;
    let certificates =
        site.look(|site| site.managers().map(|manager| manager.client.certificate().fingerprint()).collect());
    let is_off = scenario.fleet.iter().map(|part| (part.get_ref().name.clone(), false)).collect();
    let mut play = Play { scenario, site, fleet, clock, certificates, steps: Vec::new(), is_off };
    play.first_heartbeat(&mut tell).await?;
    for (place, step) in scenario.step.iter().enumerate() {
        play.step(place + 1, step, &mut tell).await?;
    }
    Ok(play.verdict().await)
}

impl Play<'_> {
    /// Step 0: every client is installed, and has been served once.
    async fn first_heartbeat(&mut self, tell: &mut impl FnMut(Scene<'_>)) -> Result<(), PlayError> {
        let step = StepPlan {
            title: "The fleet is installed, and checks in".to_owned(),
            statements: Vec::new(),
            fleet: Vec::new(),
            operator: Vec::new(),
            wait: Some(Wait { heartbeats: 1, limit: Span(Duration::from_secs(3600)) }),
        };
        self.step(0, &step, tell).await
    }

    async fn step(
        &mut self,
        number: usize,
        step: &StepPlan,
        tell: &mut impl FnMut(Scene<'_>),
    ) -> Result<(), PlayError> {
        let report = StepReport {
            number,
            title: step.title.clone(),
            statements: step.statements.clone(),
            began: self.clock.now(),
            holdings: Vec::new(),
        };
        tell(Scene::Begins(&report, self.scenario.step.len()));
        self.steps.push(report);
        for action in &step.fleet {
            self.happen(action.get_ref()).await;
        }
        let before: Vec<u64> = match number {
            0 => vec![0; self.fleet.members().len()],
            _ => self.fleet.members().iter().map(|member| member.handle.view().heartbeats).collect(),
        };
        for command in &step.operator {
            let effects = apply(&self.site, command.get_ref(), number, &step.title)?;
            self.certificates.extend(effects.iter().filter_map(|effect| match effect {
                Effect::CertificateServed { fingerprint, .. } => Some(*fingerprint),
                _ => None,
            }));
        }
        if let Some(wait) = step.wait {
            self.wait(number, &step.title, wait, &before).await?;
        }
        let counts = holdings(views(self.fleet.members()));
        if let Some(report) = self.steps.last_mut() {
            report.holdings = counts;
            tell(Scene::Ended(report));
        }
        Ok(())
    }

    async fn happen(&mut self, action: &FleetAction) {
        let input = match action {
            FleetAction::SwitchOff(_) => Input::Stop,
            FleetAction::SwitchOn(_) => Input::Start,
            FleetAction::Move { location, .. } => Input::MoveTo(location.clone()),
        };
        match action {
            FleetAction::SwitchOff(part) => self.is_off.insert(part.clone(), true),
            FleetAction::SwitchOn(part) => self.is_off.insert(part.clone(), false),
            FleetAction::Move { .. } => None,
        };
        for member in self.fleet.members().iter().filter(|member| member.part == action.part()) {
            member.handle.tell(input.clone()).await;
        }
        if matches!(action, FleetAction::SwitchOff(_)) {
            // What the operator does next must not reach a client that is on its way out.
            let limit = self.clock.now() + Duration::from_secs(3600);
            let part = action.part();
            let are_off = |members: &[Member]| {
                members.iter().filter(|one| one.part == part).all(|one| one.handle.is_stopped())
            };
            self.fleet.wait_until(limit, are_off).await;
        }
    }

    /// Waits until every client that is switched on has ended so many heartbeats since `before`.
    async fn wait(&self, number: usize, title: &str, wait: Wait, before: &[u64]) -> Result<(), PlayError> {
        let behind = |members: &[Member]| -> Vec<String> {
            members
                .iter()
                .zip(before)
                .filter(|(member, _)| !self.is_off.get(&member.part).is_some_and(|off| *off))
                .filter(|(member, before)| {
                    let begun = member.handle.view().heartbeats.saturating_sub(**before);
                    let ended = if member.handle.is_resting() { begun } else { begun.saturating_sub(1) };
                    ended < u64::from(wait.heartbeats)
                })
                .map(|(member, _)| member.name.clone())
                .collect()
        };
        let limit = self.clock.now() + wait.limit.0;
        if self.fleet.wait_until(limit, |members| behind(members).is_empty()).await {
            return Ok(());
        }
        let behind = behind(self.fleet.members());
        Err(PlayError::Waited {
            step: number,
            title: title.to_owned(),
            heartbeats: wait.heartbeats,
            limit: wait.limit.to_string(),
            missing: behind.len(),
            clients: self.fleet.members().len(),
            example: behind.first().cloned().unwrap_or_default(),
        })
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
        for (part, view) in views(self.fleet.members()) {
            verdict.add(part, &view, &current);
        }
        let _ = self.fleet.stop().await;
        self.site.stop().await;
        verdict
    }
}

/// The clients to be, each with the communications file of its group and location.
pub(crate) fn members(
    seed: u64,
    parts: &[PartPlan],
    site: &MockSite,
) -> Result<Vec<MemberSpec>, CommandError> {
    let mut specs = Vec::new();
    for part in parts {
        let sylink = Arc::new(site.export_sylink(&part.group, part.location.as_deref())?);
        for name in part.clients() {
            specs.push(MemberSpec {
                part: part.name.clone(),
                profile: profile(seed, part, name, specs.len()),
                sylink: Arc::clone(&sylink),
                location: part.location.clone(),
                disk: None,
            });
        }
    }
    Ok(specs)
}

/// Who the client with this number is: from the seed and its number alone.
fn profile(seed: u64, part: &PartPlan, computer_name: String, index: usize) -> AgentProfile {
    let address = std::net::Ipv4Addr::LOCALHOST;
    let key = Guid::derive(seed, "hardware", &format!("{}|{index}", part.name), address);
    let draws = Guid::derive(seed, "draws", &index.to_string(), address);
    let mut own_seed = [0; 8];
    own_seed.copy_from_slice(&draws.as_bytes()[8..]);
    AgentProfile {
        hardware_key: HardwareKey(key),
        computer_name,
        version: part.version,
        seed: u64::from_be_bytes(own_seed),
        use_last_server: part.use_last_server,
    }
}

fn views(members: &[Member]) -> impl Iterator<Item = (&str, AgentView)> {
    members.iter().map(|member| (member.part.as_str(), member.handle.view()))
}

fn apply(site: &MockSite, command: &Command, step: usize, title: &str) -> Result<Vec<Effect>, PlayError> {
    site.apply(command).map_err(|source| at(step, title, source))
}

fn at(step: usize, title: &str, source: CommandError) -> PlayError {
    PlayError::Command { step, title: title.to_owned(), source: Box::new(source) }
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
