//! The fleet of a play: machines that are on or off, here or there, each with a client over real sockets.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use epm_client_agent::agent::{AgentProfile, AgentView, Input};
use epm_client_agent::scenario::{
    Change, ClientAction, ClientActions, FleetAction, Install, PartCalendar, PartPlan, PlanError,
    PowerSchedule, Scenario,
};
use epm_client_agent::wire::{Fleet, LabClock, LogSink, Member, MemberSpec, TURNS};
use epm_protocol::id::HardwareKey;
use epm_protocol::site::{CommandError, agent_id};
use epm_protocol::sylink::Sylink;
use epm_protocol::time::{Clock, Timestamp};
use tokio::time::timeout;

use crate::lab::scenario_run::RunError;
use crate::mock_site::MockSite;
use crate::runtime::faults::ExpectedClient;

/// A lab that is not quiet after this much real time will not be.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the lab's time goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockMode {
    /// By itself.
    Running,
    /// From one thing that is due to the next: the clock stands, and is moved when the lab is quiet.
    Moved,
}

/// The fleet of a play.
pub(super) struct ScenarioFleet<'a> {
    site: &'a MockSite,
    clock: Arc<LabClock>,
    pace: ClockMode,
    seed: u64,
    /// Whether there may be faults: then every client comes from an address of its own, by which it is known.
    is_haunted: bool,
    fleet: Fleet,
    parts: Vec<(PartPlan, PartCalendar)>,
    machines: Vec<Machine>,
    /// What each part was installed with at the beginning.
    images: Vec<Arc<Sylink>>,
    /// What was brought to each part last, for somebody to import.
    imports: Vec<Arc<Sylink>>,
    /// The hardware id that was given to each part last; to each machine its own, if none.
    identities: Vec<Option<HardwareKey>>,
    /// The hardware ids of images, by the parts that they are made from.
    images_of: BTreeMap<String, HardwareKey>,
    /// Held requests whose connections have ended: their clients have yet to notice.
    ended: BTreeMap<usize, u64>,
}

/// A request that a manager holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    place: usize,
    exchange: u64,
    server: String,
}

#[derive(Debug)]
struct Machine {
    part: usize,
    number: u32,
    power: PowerSchedule,
}

impl<'a> ScenarioFleet<'a> {
    pub(super) fn assemble(
        scenario: &Scenario,
        site: &'a MockSite,
        log: &LogSink,
        pace: ClockMode,
    ) -> Result<Self, RunError> {
        let clock = Arc::clone(site.clock());
        let start = clock.now();
        let assumptions = site.look(|site| Arc::clone(site.assumptions()));
        let names = scenario.fleet.iter().map(|part| &part.get_ref().name);
        let images_of = names.filter_map(|name| Some((name.clone(), scenario.machine_of(name)?)));
        let mut fleet = Self {
            fleet: Fleet::new(Arc::clone(&clock), assumptions, Arc::clone(log)),
            site,
            clock,
            pace,
            seed: scenario.seed,
            is_haunted: !scenario.fault.is_empty(),
            parts: Vec::new(),
            machines: Vec::new(),
            images: Vec::new(),
            imports: Vec::new(),
            identities: vec![None; scenario.fleet.len()],
            images_of: images_of.collect(),
            ended: BTreeMap::new(),
        };
        for (part, plan) in scenario.fleet.iter().map(|part| part.get_ref().clone()).enumerate() {
            let calendar = PartCalendar::new(&plan, start)
                .map_err(|source| PlanError::Presence { part: plan.name.clone(), source })?;
            fleet.images.push(
                fleet
                    .package(&plan)
                    .map_err(|source| crate::lab::scenario_run::at(0, "the fleet", source))?,
            );
            for number in 1..=plan.count {
                let seed = plan.client_seed(scenario.seed, number);
                let power = PowerSchedule::new(&calendar, seed, start);
                fleet.machines.push(Machine { part, number, power });
                let place = fleet.machines.len() - 1;
                let spec = fleet.member(place, &plan, number, Arc::clone(&fleet.images[part]));
                if let Some(source) = spec.source {
                    let AgentProfile { computer_name, version, hardware_key, .. } = &spec.profile;
                    let (computer, agent) = (computer_name.clone(), agent_id(*hardware_key));
                    site.faults()
                        .expect(source.into(), ExpectedClient { agent, computer, version: *version });
                }
                fleet.fleet.add(spec);
            }
            fleet.parts.push((plan, calendar));
        }
        fleet.imports.clone_from(&fleet.images);
        Ok(fleet)
    }

    pub(super) fn members(&self) -> &[Member] {
        self.fleet.members()
    }

    /// How many clients are there by now.
    pub(super) fn views(&self) -> impl Iterator<Item = (&str, AgentView, bool)> {
        self.machines
            .iter()
            .zip(self.fleet.members())
            .filter(|(machine, _)| machine.power.is_installed())
            .map(|(machine, member)| (member.part.as_str(), member.handle.view(), machine.power.is_on()))
    }

    /// Whether each machine is on.
    pub(super) fn is_on(&self, place: usize) -> bool {
        self.machines.get(place).is_some_and(|machine| machine.power.is_on())
    }

    /// Something happens to the parts of the fleet; [`Self::happen`] lets it happen to their machines.
    pub(super) fn change<'b>(
        &mut self,
        actions: impl Iterator<Item = &'b FleetAction>,
    ) -> Result<Vec<Change>, CommandError> {
        let mut changes = vec![Change::default(); self.parts.len()];
        for action in actions {
            for (place, (plan, calendar)) in self.parts.iter_mut().enumerate() {
                if plan.name != action.part() {
                    continue;
                }
                calendar.apply(action, &mut changes[place]);
                if let FleetAction::Identify { image_of, .. } = action {
                    let image = image_of.as_ref();
                    self.identities[place] = image.and_then(|image| self.images_of.get(image).copied());
                }
                if let Some(from) = action.brings(plan) {
                    let export =
                        |group: &str, location: Option<&str>| self.site.export_sylink(group, location);
                    self.imports[place] = from.file(export, &self.images[place])?;
                }
            }
        }
        Ok(changes)
    }

    /// What has happened to the parts of the fleet happens to their machines; returns when the clients have had their
    /// say.
    pub(super) async fn happen(&mut self, changes: &[Change]) -> Result<(), RunError> {
        for place in 0..self.machines.len() {
            let Machine { part, power, .. } = &mut self.machines[place];
            let actions = power.apply_change(&self.parts[*part].1, changes[*part]);
            self.act(place, actions).await?;
        }
        self.take_transitions().await?;
        match self.pace {
            ClockMode::Moved => self.settle().await,
            ClockMode::Running => {
                let heard = |members: &[Member]| members.iter().all(|one| one.handle.has_heard());
                self.fleet.wait_until(Timestamp::NEVER, heard).await;
                Ok(())
            }
        }
    }

    /// Lets time pass until `done` says so, asked whenever a client has done something, or the limit. Returns whether
    /// it was done.
    pub(super) async fn pass(
        &mut self,
        limit: Timestamp,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Result<bool, RunError> {
        loop {
            self.take_transitions().await?;
            if self.pace == ClockMode::Moved {
                self.settle().await?;
            }
            if done(self) {
                return Ok(true);
            }
            let now = self.clock.now();
            if now >= limit {
                return Ok(false);
            }
            let transition = self.next_transition(now);
            match self.pace {
                ClockMode::Running => {
                    let this = &*self;
                    this.fleet.wait_until(transition.min(limit), |_| done(this)).await;
                }
                ClockMode::Moved => {
                    let wakes = self.fleet.members().iter().map(|member| member.handle.next_wake());
                    let next = wakes.fold(transition, Timestamp::min);
                    let turn = self.site.faults().set().next_turn(now);
                    self.clock.set(next.min(limit).min(turn));
                    self.site.faults().ports_settled().await;
                }
            }
        }
    }

    /// Every request that a manager holds.
    pub(super) fn held_requests(&self) -> Vec<Held> {
        let held = self.fleet.members().iter().enumerate().filter_map(|(place, member)| {
            let exchange = member.handle.held()?.exchange;
            let server = member.handle.view().server?.to_string();
            Some(Held { place, exchange, server })
        });
        held.collect()
    }

    /// The connections of these managers have ended: whose request was held there has yet to notice.
    pub(super) fn connections_end(&mut self, held: &[Held], is_meant: impl Fn(&str) -> bool) {
        let meant = held.iter().filter(|one| is_meant(&one.server));
        self.ended.extend(meant.map(|one| (one.place, one.exchange)));
    }

    /// Where the clock stands, returns when all that is due has been done.
    pub(super) async fn rest(&mut self) -> Result<(), RunError> {
        match self.pace {
            ClockMode::Running => Ok(()),
            ClockMode::Moved => self.settle().await,
        }
    }

    /// Waits until nothing is under way and nothing is due.
    pub(super) async fn settle(&mut self) -> Result<(), RunError> {
        let now = self.clock.now();
        let this = &*self;
        let quiet = async {
            let (mut progress, mut stalled) = (this.fleet.progress(), this.site.faults().stalled());
            loop {
                progress.mark_unchanged();
                stalled.mark_unchanged();
                if this.is_quiet(now) {
                    break;
                }
                this.end_stalls(now);
                tokio::select! {
                    _ = progress.changed() => {}
                    _ = stalled.changed() => {}
                }
            }
            // What the clients have sent has yet to arrive.
            while this.fleet.members().iter().filter(|one| one.handle.held().is_some()).count()
                != this.site.held()
            {
                tokio::task::yield_now().await;
            }
        };
        let is_quiet = timeout(PATIENCE, quiet).await.is_ok();
        self.ended.clear();
        if is_quiet { Ok(()) } else { Err(RunError::Restless { at: now }) }
    }

    /// An exchange takes no time, not even one that a fault holds up without an end: once nobody does anything else, those
    /// who wait in vain have waited as long as they do.
    fn end_stalls(&self, now: Timestamp) {
        let stalled = self.site.faults().stalled();
        let stalled = stalled.borrow();
        let busy = || self.fleet.members().iter().filter(|one| !one.handle.is_settled(now));
        let in_vain = |one: &&Member| one.handle.connection().is_some_and(|from| stalled.contains(&from));
        let waiting = busy().filter(in_vain).count();
        if waiting > 0 && (waiting == busy().count() || waiting == TURNS) {
            busy().filter(in_vain).for_each(|one| one.handle.give_up());
        }
    }

    fn is_quiet(&self, now: Timestamp) -> bool {
        self.fleet.members().iter().enumerate().all(|(place, member)| {
            let held = member.handle.held();
            let notices = held.is_none_or(|held| {
                self.ended.get(&place) != Some(&held.exchange)
                    && self.site.would_hold(held.agent, held.serial)
            });
            notices && member.handle.is_settled(now)
        })
    }

    fn next_transition(&self, now: Timestamp) -> Timestamp {
        let transitions =
            self.machines.iter().map(|one| one.power.next_transition(&self.parts[one.part].1, now));
        transitions.min().unwrap_or(Timestamp::NEVER)
    }

    async fn take_transitions(&mut self) -> Result<(), RunError> {
        let now = self.clock.now();
        for place in 0..self.machines.len() {
            loop {
                let Machine { part, power, .. } = &mut self.machines[place];
                let calendar = &self.parts[*part].1;
                if power.next_transition(calendar, now) > now {
                    break;
                }
                let actions = power.take_transition(calendar, now);
                self.act(place, actions).await?;
            }
        }
        Ok(())
    }

    async fn act(&mut self, place: usize, actions: ClientActions) -> Result<(), RunError> {
        let Machine { part, number, .. } = self.machines[place];
        for action in actions {
            let input = match action {
                ClientAction::Stop => Input::Stop,
                ClientAction::Install(install) => {
                    let plan = &self.parts[part].0;
                    let sylink = match install {
                        Install::Image => Arc::clone(&self.images[part]),
                        Install::Package => self
                            .package(plan)
                            .map_err(|source| crate::lab::scenario_run::at(0, "an installation", source))?,
                    };
                    let spec = self.member(place, plan, number, sylink);
                    self.fleet.replace(place, spec);
                    continue;
                }
                ClientAction::MoveTo(to) => Input::MoveTo(self.parts[part].1.location(to).map(str::to_owned)),
                ClientAction::Import => Input::Import(Arc::clone(&self.imports[part])),
                ClientAction::Identify => {
                    let own = self.parts[part].0.own_machine(self.seed, number);
                    Input::Identify(self.identities[part].unwrap_or(own))
                }
                ClientAction::Start => Input::Start,
            };
            self.tell(place, input).await;
        }
        Ok(())
    }

    async fn tell(&self, place: usize, input: Input) {
        if let Some(member) = self.fleet.members().get(place) {
            member.handle.tell(input).await;
        }
    }

    /// The client at this place.
    fn member(&self, place: usize, plan: &PartPlan, number: u32, sylink: Arc<Sylink>) -> MemberSpec {
        let source = self.is_haunted.then(|| address(place));
        MemberSpec { source, ..member(self.seed, plan, number, sylink) }
    }

    fn package(&self, plan: &PartPlan) -> Result<Arc<Sylink>, CommandError> {
        self.site.export_sylink(&plan.group, plan.location.as_deref()).map(Arc::new)
    }

    pub(super) async fn dismiss(self) {
        let _ = self.fleet.stop().await;
    }
}

/// A client to be.
fn member(seed: u64, plan: &PartPlan, number: u32, sylink: Arc<Sylink>) -> MemberSpec {
    MemberSpec {
        part: plan.name.clone(),
        profile: plan.client(seed, number),
        sylink,
        location: plan.location.clone(),
        disk: None,
        source: None,
    }
}

/// Where the client at this place comes from: each from another loopback address, from 127.64.0.1 on.
fn address(place: usize) -> Ipv4Addr {
    const FIRST: u32 = u32::from_be_bytes([127, 64, 0, 1]);
    const LAST: u32 = u32::from_be_bytes([127, 255, 255, 254]);
    let place = u32::try_from(place).unwrap_or(u32::MAX);
    Ipv4Addr::from_bits(FIRST.saturating_add(place).min(LAST))
}

/// The clients to be, each with the communications file of its group and location.
pub(crate) fn members(
    seed: u64,
    parts: &[PartPlan],
    site: &MockSite,
) -> Result<Vec<MemberSpec>, CommandError> {
    let mut specs = Vec::new();
    for plan in parts {
        let sylink = Arc::new(site.export_sylink(&plan.group, plan.location.as_deref())?);
        specs.extend((1..=plan.count).map(|number| member(seed, plan, number, Arc::clone(&sylink))));
    }
    Ok(specs)
}
