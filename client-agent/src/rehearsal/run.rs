//! A rehearsal, step by step: what happens to the fleet, what the operator does, how long he waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use epm_protocol::fault::FaultSet;
use epm_protocol::id::{Guid, HardwareKey};
use epm_protocol::site::{CommandError, Effect, ManagerPorts, Site};
use epm_protocol::sylink::Sylink;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;

use super::activation::Body;
use super::error::RehearsalError;
use super::hourly::Tally;
use super::machine::{Image, Machine, Part};
use super::memo::Memory;
use super::outcome::{AtRisk, InForce, Outcome, StepOutcome};
use super::shard::{Share, Waited, Watch};
use super::transcript::{Dealing, Diary};
use super::virtual_client::{Client, Scene, Single, Swift, Who};
use super::world::World;
use crate::agent::{Agent, AgentProfile, AgentState, AgentView, Cache, LogLine};
use crate::scenario::{
    Change, FleetAction, PartDay, PartHolding, PartPlan, Place, PlanError, Scenario, Span, StepPlan,
    StepReport, Verdict, Wait,
};

/// How a rehearsal is cast.
#[derive(Clone, Debug, Default)]
pub struct Casting {
    /// Where the managers are; at their scenario's ports when empty.
    pub places: Vec<ManagerPorts>,
    /// On how many threads; 0 is one. The outcome is the same.
    pub threads: usize,
    /// Whether every client's log is kept.
    pub keep_logs: bool,
}

/// A rehearsal that has ended.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// What was found.
    pub outcome: Outcome,
    /// Every client at the end, in the order of the fleet, with its log if logs were kept.
    pub clients: Vec<(AgentView, Vec<LogLine>)>,
    /// What the managers did for each client, in the same order.
    pub dealings: Vec<Vec<Dealing>>,
    /// The site as it was at the end; it has not heard of any client.
    pub site: Site,
}

/// Rehearses a scenario. `tell` hears of each step when it has ended.
///
/// # Errors
///
/// When the site refuses a command, a wait reaches its limit, or the lab finds that it contradicts itself.
pub fn rehearse(
    scenario: &Scenario,
    casting: &Casting,
    watch: &Watch,
    tell: impl FnMut(&StepOutcome),
) -> Result<Rehearsal, RehearsalError> {
    Play::<Swift>::new(scenario, casting)?.play(watch, tell)
}

/// The same, with every client playing every heartbeat: slower by far, and never different.
///
/// # Errors
///
/// As [`rehearse`].
pub fn rehearse_every_heartbeat(
    scenario: &Scenario,
    casting: &Casting,
    watch: &Watch,
    tell: impl FnMut(&StepOutcome),
) -> Result<Rehearsal, RehearsalError> {
    Play::<Single>::new(scenario, casting)?.play(watch, tell)
}

struct Play<'a, C> {
    scenario: &'a Scenario,
    now: Timestamp,
    start: Timestamp,
    world: World,
    plans: Vec<PartPlan>,
    parts: Vec<Part>,
    locations: Vec<Option<String>>,
    /// The communications files that somebody has imported, by their numbers.
    imports: Vec<Arc<Sylink>>,
    /// The hardware ids that were given to parts, by their numbers; to each machine its own, if none.
    identities: Vec<Option<HardwareKey>>,
    shares: Vec<Share<C>>,
    certificates: Vec<InForce>,
    steps: Vec<StepOutcome>,
    /// How many images there have been.
    images: u32,
    /// A site that is given the same commands: it must not differ.
    twin: Site,
    /// What the site will be after the next step, if it is taken at once.
    ahead: Option<(World, Vec<InForce>)>,
    clients: usize,
}

impl<'a, C: Client> Play<'a, C> {
    fn new(scenario: &'a Scenario, casting: &Casting) -> Result<Self, RehearsalError> {
        let start = scenario.rehearsal_start();
        let places =
            if casting.places.is_empty() { scenario.supposed_places() } else { casting.places.clone() };
        let set_up = |source| refused(0, "setup", source);
        let mut site = Site::found(scenario.founding(places.clone()), start).map_err(set_up)?;
        let mut twin = Site::found(scenario.founding(places), start).map_err(set_up)?;
        let setup = || scenario.site.setup.iter().map(|command| command.get_ref());
        site.apply_all(setup(), start).map_err(set_up)?;
        twin.apply_all(setup(), start).map_err(set_up)?;
        let certificates = site
            .managers()
            .map(|manager| InForce {
                manager: manager.name.clone(),
                fingerprint: manager.client.certificate().fingerprint(),
                since: start,
            })
            .collect();
        let plans: Vec<PartPlan> = scenario.fleet.iter().map(|part| part.get_ref().clone()).collect();
        let mut world = World::first(site);
        world.is_haunted = !scenario.fault.is_empty();
        world.faults = FaultSet::new(scenario.seed);
        let mut play = Self {
            scenario,
            now: start,
            start,
            world,
            parts: Vec::new(),
            locations: Vec::new(),
            imports: Vec::new(),
            identities: Vec::new(),
            shares: Vec::new(),
            certificates,
            steps: Vec::new(),
            images: 0,
            twin,
            ahead: None,
            clients: plans.iter().map(|plan| plan.count as usize).sum(),
            plans,
        };
        play.cast()?;
        play.people(casting);
        Ok(play)
    }

    /// What the machines of each part have in common.
    fn cast(&mut self) -> Result<(), RehearsalError> {
        for plan in &self.plans {
            let unreachable = |source| PlanError::Presence { part: plan.name.clone(), source };
            let day = PartDay::new(plan, self.start).map_err(unreachable)?;
            let body = installed(&self.world, plan).map_err(|source| refused(0, "the fleet", source))?;
            let image = Image { body, number: self.images };
            self.images += 1;
            self.parts.push(Part {
                name: plan.name.clone(),
                package: image.clone(),
                image,
                places: places(&day, &mut self.locations),
                change: Change::default(),
                import: 0,
                identity: 0,
                meets: self.scenario.meets_others(&plan.name),
                day,
            });
        }
        Ok(())
    }

    /// Deals the clients to the threads, evenly and in order.
    fn people(&mut self, casting: &Casting) {
        // Clients who meet are played on one thread.
        let meet = self.parts.iter().any(|part| part.meets);
        let share = self.clients.div_ceil(if meet { 1 } else { casting.threads.max(1) }).max(1);
        let managers = self.world.manager_names().count();
        let all = self
            .plans
            .iter()
            .zip(0_u32..)
            .flat_map(|(plan, part)| (1..=plan.count).map(move |n| (plan, part, n)));
        let mut left = all.peekable();
        while left.peek().is_some() {
            let mut tally = Tally::new(self.start, managers);
            let mut memory = Memory::new(self.locations.clone());
            let mut machines = Vec::with_capacity(share.min(self.clients));
            for (plan, part, n) in left.by_ref().take(share) {
                let seed = plan.client_seed(self.scenario.seed, n);
                let common = &self.parts[part as usize];
                let mut scene =
                    Scene { world: &self.world, memory: &mut memory, tally: &mut tally, log: None };
                let who = Who {
                    name: plan.client_name(n),
                    machine: plan.machine(self.scenario.seed, n),
                    meets: common.meets,
                };
                let client = C::born(&common.image, who, seed, &mut scene);
                let machine = Machine::new(client, common, (part, n), seed, self.start);
                machine.appear(&mut scene);
                machines.push(machine);
            }
            let logs = casting.keep_logs.then(|| vec![Diary::default(); machines.len()]);
            self.shares.push(Share { machines, memory, tally, logs });
        }
    }

    fn play(
        mut self,
        watch: &Watch,
        mut tell: impl FnMut(&StepOutcome),
    ) -> Result<Rehearsal, RehearsalError> {
        let installation = StepPlan::installation();
        let scenario = self.scenario;
        let all = std::iter::once(&installation).chain(&scenario.step);
        for (number, step) in all.enumerate() {
            self.step(number, step, scenario.step.get(number), watch)?;
            if watch.stop.load(Ordering::Relaxed) {
                return Ok(self.ended(true));
            }
            if let Some(step) = self.steps.last() {
                tell(step);
            }
        }
        Ok(self.ended(false))
    }

    fn step(
        &mut self,
        number: usize,
        step: &StepPlan,
        next: Option<&StepPlan>,
        watch: &Watch,
    ) -> Result<(), RehearsalError> {
        let began = self.now;
        if !step.fleet.is_empty() {
            self.happen(number, step)?;
            self.on_all_threads(|share, world, parts| share.obey(world, parts, began, watch));
        }
        self.operate(number, step)?;
        self.haunt(step);
        let wait = step.wait.unwrap_or(Wait { heartbeats: 0, time: None, limit: Span(Duration::ZERO) });
        let limit = began + wait.limit.0;
        let waited = self
            .on_all_threads(|share, world, parts| share.begin(world, parts, wait.heartbeats, limit, watch));
        let end = waited
            .iter()
            .map(|one| one.until)
            .fold(began + wait.time.map_or(Duration::ZERO, |time| time.0), Timestamp::max);
        self.give_up(number, step, wait, &waited)?;
        self.on_all_threads(|share, world, parts| share.live(world, parts, end, watch));
        if watch.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.now = end;
        let risk = match next {
            None => None,
            Some(next) => Some(self.foresee(number + 1, next)?),
        };
        self.report(number, step, began, risk);
        self.hold_to_it(number, step)
    }

    fn happen(&mut self, number: usize, step: &StepPlan) -> Result<(), RehearsalError> {
        for (part, plan) in self.parts.iter_mut().zip(&self.plans) {
            part.change = Change::default();
            for action in step.fleet.iter().map(toml::Spanned::get_ref).filter(|one| one.part() == part.name)
            {
                part.day.happen(action, &mut part.change);
                if let FleetAction::Identify { image_of, .. } = action {
                    let image = image_of.as_deref();
                    let machine = image.and_then(|image| self.scenario.machine_of(image));
                    self.identities.push(machine);
                    part.identity = u32::try_from(self.identities.len() - 1).unwrap_or(u32::MAX);
                }
                if let Some(from) = action.brings(plan) {
                    let export =
                        |group: &str, location: Option<&str>| self.world.site.export_sylink(group, location);
                    let file = from.file(export, &part.image.body.agent.cache().sylink);
                    self.imports.push(file.map_err(|source| refused(number, &step.title, source))?);
                    part.import = u32::try_from(self.imports.len() - 1).unwrap_or(u32::MAX);
                }
            }
            part.places = places(&part.day, &mut self.locations);
        }
        Ok(())
    }

    /// What the site would be after the commands of a step; none if it has none.
    fn after(&self, number: usize, step: &StepPlan) -> Result<Option<(World, Vec<InForce>)>, RehearsalError> {
        if step.operator.is_empty() {
            return Ok(None);
        }
        let mut served = Vec::new();
        let mut site = self.world.site.clone();
        let mut restarted = std::collections::BTreeSet::new();
        let mut forgot_clients = false;
        let commands = step.operator.iter().map(|command| command.get_ref());
        let effects = site.apply_all(commands, self.now);
        for effect in effects.map_err(|source| refused(number, &step.title, source))? {
            match effect {
                Effect::CertificateServed { manager, fingerprint } => {
                    if site.assumptions().update_ends_connections {
                        restarted.insert(manager.clone());
                    }
                    served.push(InForce { manager, fingerprint, since: self.now });
                }
                Effect::ServicesRestarted => {
                    restarted.extend(site.managers().map(|one| one.name.clone()));
                }
                Effect::ClientsForgotten => forgot_clients = true,
                Effect::Published { .. }
                | Effect::ConsoleCertificate { .. }
                | Effect::ClientRemoved { .. }
                | Effect::ClientPlaced { .. } => {}
            }
        }
        let mut world = self.world.next(site);
        (world.restarted, world.forgot_clients) = (restarted, forgot_clients);
        Ok(Some((world, served)))
    }

    /// The operator's commands, all at once.
    fn operate(&mut self, number: usize, step: &StepPlan) -> Result<(), RehearsalError> {
        let ahead = match self.ahead.take() {
            Some(ahead) => Some(ahead),
            None => self.after(number, step)?,
        };
        let Some((world, served)) = ahead else {
            self.world.is_new = false;
            return Ok(());
        };
        let commands = step.operator.iter().map(|command| command.get_ref());
        let again = self.twin.apply_all(commands, self.now);
        again.map_err(|source| refused(number, &step.title, source))?;
        self.certificates.extend(served);
        self.world = world;
        for (plan, part) in self.plans.iter().zip(&mut self.parts) {
            if part.day.arrives() {
                let body =
                    installed(&self.world, plan).map_err(|source| refused(number, &step.title, source))?;
                part.package = Image { body, number: self.images };
                self.images += 1;
            }
        }
        Ok(())
    }

    /// Takes faults away, and sets others.
    fn haunt(&mut self, step: &StepPlan) {
        let faults = &mut self.world.faults;
        faults.sweep(self.now);
        for name in &step.heal {
            // It may have come to its end by itself.
            let _ = faults.remove(name.get_ref());
        }
        for name in &step.faults {
            let rule = self
                .scenario
                .fault
                .iter()
                .map(toml::Spanned::get_ref)
                .find(|one| one.name == *name.get_ref());
            // That it is there, and makes sense, was found out before.
            let _ = rule.map(|rule| faults.add(rule.clone(), self.now));
        }
    }

    fn on_all_threads<T: Send>(
        &mut self,
        act: impl Fn(&mut Share<C>, &World, &[Part]) -> T + Sync,
    ) -> Vec<T> {
        let (world, parts) = (&self.world, self.parts.as_slice());
        for share in &mut self.shares {
            share.memory.locations.clone_from(&self.locations);
            share.memory.imports.clone_from(&self.imports);
            share.memory.identities.clone_from(&self.identities);
        }
        std::thread::scope(|scope| {
            let act = &act;
            let threads: Vec<_> =
                self.shares.iter_mut().map(|share| scope.spawn(move || act(share, world, parts))).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        })
    }

    fn give_up(
        &self,
        number: usize,
        step: &StepPlan,
        wait: Wait,
        waited: &[Waited],
    ) -> Result<(), RehearsalError> {
        let missing: usize = waited.iter().map(|one| one.missing).sum();
        let Some((part, n)) = waited.iter().find_map(|one| one.example) else { return Ok(()) };
        Err(PlanError::Waited {
            step: number,
            title: step.title.clone(),
            heartbeats: wait.heartbeats,
            limit: wait.limit,
            missing,
            clients: self.clients,
            example: self.plans[part as usize].client_name(n),
        }
        .into())
    }

    /// Who would be lost if this step were taken now.
    fn foresee(&mut self, number: usize, step: &StepPlan) -> Result<AtRisk, RehearsalError> {
        let mut risk = AtRisk { step: step.title.clone(), ..AtRisk::default() };
        let Some((next, served)) = self.after(number, step)? else { return Ok(risk) };
        let (now, plans) = (self.now, self.plans.clone());
        let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        let shares = self.on_all_threads(|share, world, _| {
            share.at_risk(world, &next, now, &names, |part, n| plans[part as usize].client_name(n))
        });
        for share in shares {
            risk.merge(share);
        }
        self.ahead = Some((next, served));
        Ok(risk)
    }

    fn report(&mut self, number: usize, step: &StepPlan, began: Timestamp, if_next_now: Option<AtRisk>) {
        let mut holdings: Vec<PartHolding> =
            self.parts.iter().map(|part| PartHolding::of(&part.name)).collect();
        for share in &self.shares {
            for (all, share) in holdings.iter_mut().zip(share.holdings(&self.parts)) {
                all.merge(&share);
            }
        }
        self.steps.push(StepOutcome {
            report: StepReport {
                number,
                title: step.title.clone(),
                statements: step.statements.clone(),
                began,
                holdings,
            },
            ended: self.now,
            actions: actions(step),
            online: self.shares.iter().map(Share::online).sum(),
            if_next_now,
        });
    }

    /// What must hold after every step.
    fn hold_to_it(&self, number: usize, step: &StepPlan) -> Result<(), RehearsalError> {
        let broken = |what: String| {
            Err(RehearsalError::Broken {
                step: number,
                title: step.title.clone(),
                seed: self.scenario.seed,
                what,
            })
        };
        if let Some(what) = self.shares.iter().find_map(|share| share.memory.broken.first()) {
            return broken(what.clone());
        }
        let Some(last) = self.steps.last() else { return Ok(()) };
        let installed =
            self.shares.iter().flat_map(|share| &share.machines).filter(|one| one.is_installed()).count();
        let counted: usize = last.report.holdings.iter().map(|part| part.clients).sum();
        if counted != installed {
            return broken(format!("{counted} of {installed} clients were counted"));
        }
        if !self.twin.publishes_as(&self.world.site) {
            return broken("the site that is made again from its commands is another".to_owned());
        }
        Ok(())
    }

    fn ended(self, is_partial: bool) -> Rehearsal {
        let mut tally = Tally::new(self.start, self.world.manager_names().count());
        for share in &self.shares {
            tally.merge(&share.tally);
        }
        let counts =
            self.shares.iter().flat_map(|share| &share.machines).map(|machine| machine.client.counts());
        let (heartbeats, served) =
            counts.fold((0, 0), |(all, served), one| (all + one.heartbeats, served + one.heartbeats_served));
        let mut verdict = Verdict {
            scenario: self.scenario.title.clone(),
            seed: self.scenario.seed,
            certificates: self.certificates.iter().map(|one| one.fingerprint).collect(),
            steps: self.steps.iter().map(|step| step.report.clone()).collect(),
            clients: self.clients,
            ..Verdict::default()
        };
        let in_force: Vec<Fingerprint> =
            self.world.site.managers().map(|one| one.client.certificate().fingerprint()).collect();
        let name = |part: u32, n: u32| self.plans[part as usize].client_name(n);
        for share in &self.shares {
            share.judge(&self.parts, &in_force, name, &mut verdict);
        }
        let outcome = Outcome {
            about: self.scenario.about.clone(),
            began: self.start,
            ended: self.now,
            is_partial,
            certificates: self.certificates,
            course: tally.course(self.now, self.world.manager_names()),
            heartbeats,
            heartbeats_served: served,
            assumptions: self.scenario.assumptions.list(),
            steps: self.steps,
            verdict,
        };
        let (mut clients, mut dealings) = (Vec::new(), Vec::new());
        for share in self.shares.into_iter().filter(|share| share.logs.is_some()) {
            let views: Vec<AgentView> = share
                .machines
                .iter()
                .map(|machine| AgentView {
                    computer_name: self.plans[machine.part as usize].client_name(machine.number),
                    ..share.view(machine)
                })
                .collect();
            for (view, diary) in views.into_iter().zip(share.logs.unwrap_or_default()) {
                clients.push((view, diary.lines));
                dealings.push(diary.dealings);
            }
        }
        Rehearsal { outcome, clients, dealings, site: self.world.site }
    }
}

/// A client of this part as it is installed: with the communications file of its group and location.
fn installed(world: &World, plan: &PartPlan) -> Result<Body, CommandError> {
    let sylink = world.site.export_sylink(&plan.group, plan.location.as_deref())?;
    let profile = AgentProfile {
        // One for all: what a client does does not depend on it.
        hardware_key: HardwareKey(Guid::from_bytes([0; 16])),
        computer_name: plan.name.clone(),
        version: plan.version,
        seed: 0,
        use_last_server: plan.use_last_server,
    };
    let state = AgentState { location: plan.location.clone(), ..AgentState::default() };
    let cache = Cache { sylink: sylink.into(), state };
    Ok(Body { agent: Agent::new(profile, cache, world.site.assumptions().clone()), seat: None, held: None })
}

/// The numbers of a part's locations, the usual one first.
fn places(day: &PartDay, locations: &mut Vec<Option<String>>) -> [u16; 2] {
    [Place::Usual, Place::Away].map(|place| number(locations, &day.location(place).map(str::to_owned)))
}

fn number(locations: &mut Vec<Option<String>>, location: &Option<String>) -> u16 {
    let place = locations.iter().position(|one| one == location).unwrap_or_else(|| {
        locations.push(location.clone());
        locations.len() - 1
    });
    u16::try_from(place).unwrap_or(u16::MAX)
}

/// What is done in a step, a line for each action.
fn actions(step: &StepPlan) -> Vec<String> {
    let line = |value: Result<serde_json::Value, serde_json::Error>| value.unwrap_or_default().to_string();
    let fleet = step.fleet.iter().map(|action| line(serde_json::to_value(action.get_ref())));
    let operator = step.operator.iter().map(|command| line(serde_json::to_value(command.get_ref())));
    let healed = step.heal.iter().map(|name| format!("heal {:?}", name.get_ref()));
    let faults = step.faults.iter().map(|name| format!("fault {:?}", name.get_ref()));
    fleet.chain(operator).chain(healed).chain(faults).collect()
}

fn refused(step: usize, title: &str, source: CommandError) -> RehearsalError {
    PlanError::command(step, title, source).into()
}
