//! Runs a rehearsal step by step: changes of the fleet, faults, the operator's commands, and the wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use epm_protocol::fault::FaultSet;
use epm_protocol::id::HardwareKey;
use epm_protocol::site::{CommandError, Effect, ManagerPorts, Site};
use epm_protocol::sylink::Sylink;
use epm_protocol::time::Timestamp;

use super::activation::Image;
use super::error::RehearsalError;
use super::hourly::HourlyCounts;
use super::installation::installed;
use super::machine::{Machine, Part, places};
use super::memo::MemoTable;
use super::moves;
use super::outcome::{AtRisk, InForce, Outcome, StepOutcome};
use super::preview::NAMED;
use super::shard::{Judged, Progress, Shard, Waited};
use super::stimulus::ClientIdentity;
use super::transcript::{ManagerEvent, Transcript};
use super::virtual_client::{Context, FullClient, MemoizedClient, VirtualClient};
use super::world::World;
use crate::agent::{AgentView, LogLine};
use crate::cause::{Change as SiteChange, RotationSettings, SiteHistory, explain};
use crate::scenario::{
    Change, FleetAction, PartCalendar, PartHolding, PartPlan, PlanError, Scenario, Span, StepPhase, StepPlan,
    StepReport, Verdict, Wait,
};

/// Options of a rehearsal.
#[derive(Clone, Debug, Default)]
pub struct RehearsalOptions {
    /// The ports of the managers, in order; those of the scenario if empty.
    pub places: Vec<ManagerPorts>,
    /// The number of threads that play the clients; 0 means one. The outcome does not depend on it.
    pub threads: usize,
    /// Whether to keep the log of every client.
    pub keep_logs: bool,
}

/// A rehearsal that has ended: its outcome, clients and site.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// The outcome of the rehearsal.
    pub outcome: Outcome,
    /// The final state and the log of every client, in the order of the fleet; empty unless logs were kept.
    pub clients: Vec<(AgentView, Vec<LogLine>)>,
    /// The actions of the managers for each client, in the same order.
    pub manager_events: Vec<Vec<ManagerEvent>>,
    /// The site at the end; no client is registered in it.
    pub site: Site,
}

/// Rehearses a scenario. Calls `tell` after each step.
///
/// # Errors
///
/// When the site refuses a command, a wait reaches its limit, or an invariant of the lab is broken.
pub fn rehearse(
    scenario: &Scenario,
    options: &RehearsalOptions,
    progress: &Progress,
    tell: impl FnMut(&StepOutcome),
) -> Result<Rehearsal, RehearsalError> {
    Run::<MemoizedClient>::new(scenario, options)?.play(progress, tell)
}

/// Rehearses a scenario without the memo table: every client plays every heartbeat. Far slower, with the same outcome.
///
/// # Errors
///
/// As [`rehearse`].
pub fn rehearse_every_heartbeat(
    scenario: &Scenario,
    options: &RehearsalOptions,
    progress: &Progress,
    tell: impl FnMut(&StepOutcome),
) -> Result<Rehearsal, RehearsalError> {
    Run::<FullClient>::new(scenario, options)?.play(progress, tell)
}

struct Run<'a, C> {
    scenario: &'a Scenario,
    now: Timestamp,
    start: Timestamp,
    world: World,
    plans: Vec<PartPlan>,
    parts: Vec<Part>,
    locations: Vec<Option<String>>,
    /// The communications files that were imported, by their numbers.
    imports: Vec<Arc<Sylink>>,
    /// The hardware ids that were given to parts, by their numbers; none stands for each machine's own.
    identities: Vec<Option<HardwareKey>>,
    shards: Vec<Shard<C>>,
    certificates: Vec<InForce>,
    /// What the steps changed, from which the causes are told.
    history: SiteHistory,
    steps: Vec<StepOutcome>,
    /// The number of images so far.
    images: u32,
    /// A second site that is given the same commands and must publish the same.
    replayed: Site,
    /// The world after the next step's commands, if they are given at once.
    ahead: Option<(World, Vec<InForce>)>,
    clients: usize,
}

impl<'a, C: VirtualClient> Run<'a, C> {
    fn new(scenario: &'a Scenario, options: &RehearsalOptions) -> Result<Self, RehearsalError> {
        let start = scenario.rehearsal_start();
        let places =
            if options.places.is_empty() { scenario.supposed_places() } else { options.places.clone() };
        let set_up = |source| refused(0, "setup", source);
        let mut site = Site::found(scenario.founding(places.clone()), start).map_err(set_up)?;
        let mut replayed = Site::found(scenario.founding(places), start).map_err(set_up)?;
        let setup = || scenario.site.setup.iter().map(|command| command.get_ref());
        site.apply_all(setup(), start).map_err(set_up)?;
        replayed.apply_all(setup(), start).map_err(set_up)?;
        let certificates = site
            .managers()
            .map(|manager| InForce {
                manager: manager.name.clone(),
                fingerprint: manager.client.certificate().fingerprint(),
                since: start,
            })
            .collect();
        let history =
            SiteHistory::new(Arc::new(RotationSettings::of(&site)), Arc::new(scenario.assumptions.clone()))
                .of_parts(scenario.fleet.iter().map(|part| part.get_ref()));
        let plans: Vec<PartPlan> = scenario.fleet.iter().map(|part| part.get_ref().clone()).collect();
        let mut world = World::first(site);
        world.may_have_faults = !scenario.fault.is_empty();
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
            shards: Vec::new(),
            certificates,
            history,
            steps: Vec::new(),
            images: 0,
            replayed,
            ahead: None,
            clients: plans.iter().map(|plan| plan.count as usize).sum(),
            plans,
        };
        play.build_parts()?;
        play.spawn_clients(options);
        Ok(play)
    }

    /// Builds what the machines of each part share.
    fn build_parts(&mut self) -> Result<(), RehearsalError> {
        for plan in &self.plans {
            let unreachable = |source| PlanError::Presence { part: plan.name.clone(), source };
            let calendar = PartCalendar::new(plan, self.start).map_err(unreachable)?;
            let snapshot = installed(&self.world, plan).map_err(|source| refused(0, "the fleet", source))?;
            let image = Image { snapshot, number: self.images };
            self.images += 1;
            self.parts.push(Part {
                name: plan.name.clone(),
                package: image.clone(),
                image,
                places: places(&calendar, &mut self.locations),
                change: Change::default(),
                import: 0,
                identity: 0,
                interacts: self.scenario.meets_others(&plan.name),
                calendar,
            });
        }
        Ok(())
    }

    /// Creates the clients, and divides them evenly among the threads, in order, except that those which interact have a thread of
    /// their own: each of their heartbeats is played, so that one of them is as much work as thousands of others.
    fn spawn_clients(&mut self, options: &RehearsalOptions) {
        let (together, alone): (Vec<_>, Vec<_>) =
            self.plans.iter().zip(0_u32..).partition(|(_, part)| self.parts[*part as usize].interacts);
        let each = |parts: Vec<(&'_ PartPlan, u32)>| -> Vec<(u32, u32)> {
            parts.into_iter().flat_map(|(plan, part)| (1..=plan.count).map(move |n| (part, n))).collect()
        };
        let (together, alone) = (each(together), each(alone));
        let share = alone.len().div_ceil(options.threads.max(1)).max(1);
        let shares = Some(together.as_slice()).filter(|one| !one.is_empty()).into_iter();
        let shares = shares.chain(alone.chunks(share));
        self.shards = shares.map(|clients| self.shard(clients, options.keep_logs)).collect();
    }

    /// Creates these clients, each given by its part and its number there.
    fn shard(&self, clients: &[(u32, u32)], keep_logs: bool) -> Shard<C> {
        let mut hourly = HourlyCounts::new(self.start, self.world.manager_names().count());
        let mut memo = MemoTable::new(self.locations.clone());
        let mut interact = false;
        let machines = clients.iter().map(|(part, n)| {
            let (plan, common) = (&self.plans[*part as usize], &self.parts[*part as usize]);
            interact |= common.interacts;
            let seed = plan.client_seed(self.scenario.seed, *n);
            let mut context = Context { world: &self.world, memo: &mut memo, hourly: &mut hourly, log: None };
            let identity = ClientIdentity {
                name: plan.client_name(*n),
                machine: plan.machine(self.scenario.seed, *n),
                interacts: common.interacts,
            };
            let client = C::new(&common.image, identity, seed, &mut context);
            let machine = Machine::new(client, common, (*part, *n), seed, self.start);
            machine.count_arrival(&mut context);
            machine
        });
        let machines: Vec<_> = machines.collect();
        let logs = keep_logs.then(|| vec![Transcript::default(); machines.len()]);
        Shard { machines, interact, memo, hourly, logs }
    }

    fn play(
        mut self,
        progress: &Progress,
        mut tell: impl FnMut(&StepOutcome),
    ) -> Result<Rehearsal, RehearsalError> {
        let installation = StepPlan::installation();
        let scenario = self.scenario;
        let all = std::iter::once(&installation).chain(&scenario.step);
        for (number, step) in all.enumerate() {
            self.step(number, step, scenario.step.get(number), progress)?;
            if progress.stop.load(Ordering::Relaxed) {
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
        progress: &Progress,
    ) -> Result<(), RehearsalError> {
        let began = self.now;
        for phase in StepPhase::IN_ORDER {
            match phase {
                StepPhase::Fleet if step.fleet.is_empty() => {}
                StepPhase::Fleet => {
                    self.apply_fleet_actions(number, step)?;
                    self.on_all_threads(|shard, world, parts| {
                        shard.apply_change(world, parts, began, progress);
                    });
                }
                StepPhase::Faults => self.set_faults(step),
                StepPhase::Commands => self.apply_commands(number, step)?,
                StepPhase::Wait => self.wait(number, step, progress)?,
            }
        }
        if progress.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let risk = match next {
            None => None,
            Some(next) => Some(self.preview(number + 1, next)?),
        };
        self.report(number, step, began, risk);
        self.check_invariants(number, step)
    }

    /// Lets the clients notice what has changed, then lets time pass until the wait is over.
    fn wait(&mut self, number: usize, step: &StepPlan, progress: &Progress) -> Result<(), RehearsalError> {
        let began = self.now;
        let wait = step.wait.unwrap_or(Wait { heartbeats: 0, time: None, limit: Span(Duration::ZERO) });
        let limit = began + wait.limit.0;
        let waited = self.on_all_threads(|shard, world, parts| {
            shard.begin(world, parts, wait.heartbeats, limit, progress)
        });
        let end = waited
            .iter()
            .map(|one| one.until)
            .fold(began + wait.time.map_or(Duration::ZERO, |time| time.0), Timestamp::max);
        self.check_wait(number, step, wait, &waited)?;
        self.on_all_threads(|shard, world, parts| shard.run_until(world, parts, end, progress));
        if !progress.stop.load(Ordering::Relaxed) {
            self.now = end;
        }
        Ok(())
    }

    fn apply_fleet_actions(&mut self, number: usize, step: &StepPlan) -> Result<(), RehearsalError> {
        for (part, plan) in self.parts.iter_mut().zip(&self.plans) {
            part.change = Change::default();
            for action in step.fleet.iter().map(toml::Spanned::get_ref) {
                let Some(machines) = action.changed(plan) else { continue };
                part.calendar.apply(action, machines, &mut part.change);
                if let FleetAction::Identify { image_of, .. } = action {
                    let image = image_of.as_deref();
                    let machine = image.and_then(|image| self.scenario.machine_of(image));
                    self.identities.push(machine);
                    part.identity = u32::try_from(self.identities.len() - 1).unwrap_or(u32::MAX);
                }
                if let Some(from) = action.brings(plan) {
                    let export =
                        |group: &str, location: Option<&str>| self.world.site.export_sylink(group, location);
                    let file = from.file(export, &part.image.snapshot.agent.cache().sylink);
                    self.imports.push(file.map_err(|source| refused(number, &step.title, source))?);
                    part.import = u32::try_from(self.imports.len() - 1).unwrap_or(u32::MAX);
                }
            }
            part.places = places(&part.calendar, &mut self.locations);
        }
        Ok(())
    }

    /// The world after the commands of a step; none if the step has none.
    fn world_after(
        &self,
        number: usize,
        step: &StepPlan,
    ) -> Result<Option<(World, Vec<InForce>)>, RehearsalError> {
        if step.operator.is_empty() {
            return Ok(None);
        }
        let mut served = Vec::new();
        let mut site = self.world.site.clone();
        site.set_clocks(self.clocks());
        let mut restarted = std::collections::BTreeSet::new();
        let mut forgot_clients = false;
        let effects = site.apply_all(moves::of_the_site(step), self.now);
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
        moves::note(self.scenario, step, &mut world)
            .map_err(|source| refused(number, &step.title, source))?;
        Ok(Some((world, served)))
    }

    /// The deviation of the managers' clocks under the faults of this step.
    fn clocks(&self) -> BTreeMap<String, i64> {
        self.world.faults.clock_deviations(self.world.manager_names(), self.now)
    }

    /// Applies the operator's commands, all at once.
    fn apply_commands(&mut self, number: usize, step: &StepPlan) -> Result<(), RehearsalError> {
        let unregistered = moves::check(self.scenario, &self.shards, step);
        unregistered.map_err(|source| refused(number, &step.title, source))?;
        let ahead = match self.ahead.take() {
            Some(ahead) if *ahead.0.site.clocks() == self.clocks() => Some(ahead),
            _ => self.world_after(number, step)?,
        };
        let Some((mut world, served)) = ahead else {
            self.world.is_new = false;
            return Ok(());
        };
        self.replayed.set_clocks(self.clocks());
        let again = self.replayed.apply_all(moves::of_the_site(step), self.now);
        again.map_err(|source| refused(number, &step.title, source))?;
        self.certificates.extend(served);
        world.faults = std::mem::take(&mut self.world.faults);
        if let Some(change) = SiteChange::of(number as u64, self.now, self.history.last(), &world.site) {
            self.history.push(Some(number), change);
        }
        self.world = world;
        for (plan, part) in self.plans.iter().zip(&mut self.parts) {
            if part.calendar.arrives() {
                let snapshot =
                    installed(&self.world, plan).map_err(|source| refused(number, &step.title, source))?;
                part.package = Image { snapshot, number: self.images };
                self.images += 1;
            }
        }
        Ok(())
    }

    /// Removes faults, and sets others.
    fn set_faults(&mut self, step: &StepPlan) {
        let faults = &mut self.world.faults;
        faults.sweep(self.now);
        for name in &step.heal {
            // The fault may have ended by itself.
            let _ = faults.remove(name.get_ref());
        }
        for rule in self.scenario.faults_set_by(step) {
            // The rule was checked when the scenario was read.
            let _ = faults.add(rule.clone(), self.now);
        }
    }

    fn on_all_threads<T: Send>(
        &mut self,
        act: impl Fn(&mut Shard<C>, &World, &[Part]) -> T + Sync,
    ) -> Vec<T> {
        let (world, parts) = (&self.world, self.parts.as_slice());
        for shard in &mut self.shards {
            shard.memo.locations.clone_from(&self.locations);
            shard.memo.imports.clone_from(&self.imports);
            shard.memo.identities.clone_from(&self.identities);
        }
        std::thread::scope(|scope| {
            let act = &act;
            let threads: Vec<_> =
                self.shards.iter_mut().map(|shard| scope.spawn(move || act(shard, world, parts))).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        })
    }

    fn check_wait(
        &self,
        number: usize,
        step: &StepPlan,
        wait: Wait,
        waited: &[Waited],
    ) -> Result<(), RehearsalError> {
        let missing: usize = waited.iter().map(|one| one.missing).sum();
        let Some((part, n)) = waited.iter().filter_map(|one| one.example).min() else { return Ok(()) };
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

    /// The clients that would be orphaned if this step were taken now.
    fn preview(&mut self, number: usize, step: &StepPlan) -> Result<AtRisk, RehearsalError> {
        let mut risk = AtRisk { step: step.title.clone(), ..AtRisk::default() };
        let ahead = self.world_after(number, step)?;
        let (now, plans) = (self.now, self.plans.clone());
        let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        // A step that changes nothing of the site brings what was changed before to machines that were off.
        let next = ahead.as_ref().map(|(next, _)| next);
        let shards =
            self.on_all_threads(|shard, world, _| shard.at_risk(world, next.unwrap_or(world), now, &names));
        let mut examples = Vec::new();
        for (shard, named) in shards {
            risk.merge(shard);
            examples.extend(named);
        }
        examples.sort_unstable();
        risk.examples =
            examples.into_iter().take(NAMED).map(|(part, n)| plans[part as usize].client_name(n)).collect();
        self.ahead = ahead;
        Ok(risk)
    }

    fn report(&mut self, number: usize, step: &StepPlan, began: Timestamp, if_next_now: Option<AtRisk>) {
        let mut holdings: Vec<PartHolding> =
            self.parts.iter().map(|part| PartHolding::of(&part.name)).collect();
        for shard in &self.shards {
            for (all, shard) in holdings.iter_mut().zip(shard.holdings(&self.parts)) {
                all.merge(&shard);
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
            actions: step.actions(),
            online: self.shards.iter().map(Shard::online).sum(),
            if_next_now,
        });
    }

    /// Checks the invariants that hold after every step.
    fn check_invariants(&self, number: usize, step: &StepPlan) -> Result<(), RehearsalError> {
        let broken = |what: String| {
            Err(RehearsalError::Broken {
                step: number,
                title: step.title.clone(),
                seed: self.scenario.seed,
                what,
            })
        };
        if let Some(what) = self.shards.iter().find_map(|shard| shard.memo.broken.first()) {
            return broken(what.clone());
        }
        let Some(last) = self.steps.last() else { return Ok(()) };
        let installed =
            self.shards.iter().flat_map(|shard| &shard.machines).filter(|one| one.is_installed()).count();
        let counted: usize = last.report.holdings.iter().map(|part| part.clients).sum();
        if counted != installed {
            return broken(format!("{counted} of {installed} clients were counted"));
        }
        if !self.replayed.publishes_as(&self.world.site) {
            return broken("the site replayed from its commands differs".to_owned());
        }
        Ok(())
    }

    fn ended(mut self, is_partial: bool) -> Rehearsal {
        let mut hourly = HourlyCounts::new(self.start, self.world.manager_names().count());
        for shard in &self.shards {
            hourly.merge(&shard.hourly);
        }
        let counts = self.shards.iter().flat_map(|shard| &shard.machines).map(|one| one.client.counts());
        let (heartbeats, served) =
            counts.fold((0, 0), |(all, served), one| (all + one.heartbeats, served + one.heartbeats_served));
        let installed =
            self.shards.iter().flat_map(|shard| &shard.machines).filter(|one| one.is_installed()).count();
        let site = &self.world.site;
        let shown = site.managers().map(|one| (one.name.clone(), one.client.certificate().fingerprint()));
        let mut verdict = Verdict {
            scenario: self.scenario.title.clone(),
            certificate_history: self.certificates.iter().map(|one| one.fingerprint).collect(),
            steps: self.steps.iter().map(|step| step.report.clone()).collect(),
            parts: self.steps.last().map(|step| step.report.holdings.clone()).unwrap_or_default(),
            clients: installed,
            not_installed: self.clients - installed,
            console_troubles: site.console_troubles(),
            ports: site.clients_ports(),
            ..Verdict::new(self.now, self.scenario.seed, shown.collect())
        };
        let name = |part: u32, n: u32| self.plans[part as usize].client_name(n);
        let judge = |shard: &mut Shard<_>| shard.judge(name, &verdict, &self.world);
        let mut judged: Vec<Judged> = self.shards.iter_mut().flat_map(judge).collect();
        judged.sort_by_key(|one| one.place);
        for one in judged {
            one.add_to(&mut verdict, &self.parts[one.place.0 as usize].name);
        }
        verdict.notes = super::notes::notes(&self.shards, &self.world, name, &verdict);
        explain(&mut verdict, &self.history);
        let outcome = Outcome {
            about: self.scenario.about.clone(),
            began: self.start,
            ended: self.now,
            is_partial,
            certificates: self.certificates,
            course: hourly.course(self.now, self.world.manager_names()),
            heartbeats,
            heartbeats_served: served,
            assumptions: self.scenario.assumptions.list(),
            steps: self.steps,
            verdict,
            run: None,
        };
        let mut logged = Vec::new();
        for mut shard in self.shards {
            let Some(logs) = shard.logs.take() else { continue };
            for (machine, transcript) in shard.machines.iter().zip(logs) {
                let place = (machine.part, machine.number);
                let view =
                    AgentView { computer_name: name(machine.part, machine.number), ..shard.view(machine) };
                logged.push((place, view, transcript));
            }
        }
        logged.sort_by_key(|(place, ..)| *place);
        let (mut clients, mut manager_events) = (Vec::new(), Vec::new());
        for (_, view, transcript) in logged {
            clients.push((view, transcript.lines));
            manager_events.push(transcript.manager_events);
        }
        Rehearsal { outcome, clients, manager_events, site: self.world.site }
    }
}

fn refused(step: usize, title: &str, source: CommandError) -> RehearsalError {
    PlanError::command(step, title, source).into()
}
