//! The machines of a scenario: power, location, and the client installed on each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use epm_client_agent::agent::{AgentView, Input};
use epm_client_agent::scenario::{
    Change, ClientAction, ClientActions, FleetAction, Install, PartCalendar, PartPlan, PlanError,
    PowerSchedule, Scenario,
};
use epm_client_agent::wire::Member;
use epm_protocol::id::HardwareKey;
use epm_protocol::site::CommandError;
use epm_protocol::sylink::Sylink;
use epm_protocol::time::{Clock, Timestamp};

use crate::lab::Lab;
use crate::lab::run_error::RunError;

/// Power schedules and installations of a lab's machines; empty where only the control API switches machines.
///
/// Each machine has the same index as its client in the fleet.
#[derive(Default)]
pub(super) struct Machines {
    seed: u64,
    parts: Vec<Part>,
    machines: Vec<Machine>,
    /// Machines that will be switched, by the time of that.
    due: BTreeSet<(Timestamp, usize)>,
    /// Hardware IDs of images, by the parts that they are made from.
    images_of: BTreeMap<String, HardwareKey>,
}

/// A part of the fleet.
struct Part {
    plan: PartPlan,
    calendar: PartCalendar,
    /// Communications file of the installation.
    image: Arc<Sylink>,
    /// Communications file delivered last, to be imported.
    import: Arc<Sylink>,
    /// Hardware ID given to the part last; without one, each machine has its own.
    identity: Option<HardwareKey>,
}

struct Machine {
    part: usize,
    number: u32,
    power: PowerSchedule,
    /// The time of this machine in `due`.
    next: Timestamp,
    /// How often the machine was switched off.
    switched_off: u32,
}

impl Machines {
    /// Creates the machines of a scenario; their clients join the fleet, not yet started.
    pub(super) async fn assemble(scenario: &Scenario, lab: &Lab) -> Result<Self, RunError> {
        lab.check_size(scenario.fleet.iter().map(|part| part.get_ref()))?;
        let start = lab.clock().now();
        let names = scenario.fleet.iter().map(|part| &part.get_ref().name);
        let images_of = names.filter_map(|name| Some((name.clone(), scenario.machine_of(name)?)));
        let mut this = Self { seed: scenario.seed, images_of: images_of.collect(), ..Self::default() };
        let mut fleet = lab.fleet.write().await;
        for (part, plan) in scenario.fleet.iter().map(|part| part.get_ref().clone()).enumerate() {
            let calendar = PartCalendar::new(&plan, start)
                .map_err(|source| PlanError::Presence { part: plan.name.clone(), source })?;
            let image = package(lab, &plan).map_err(|source| RunError::command(0, "the fleet", source))?;
            for number in 1..=plan.count {
                let power = PowerSchedule::new(&calendar, plan.client_seed(scenario.seed, number), start);
                let spec = lab.member_spec(this.seed, &plan, number, Arc::clone(&image));
                this.machines.push(Machine { part, number, power, next: Timestamp::NEVER, switched_off: 0 });
                fleet.add(spec);
            }
            lab.remember_part(plan.clone());
            this.parts.push(Part { plan, calendar, import: Arc::clone(&image), image, identity: None });
        }
        (0..this.machines.len()).for_each(|place| this.schedule(place));
        Ok(this)
    }

    /// The installed clients.
    pub(super) fn installed<'a>(&'a self, members: &'a [Member]) -> impl Iterator<Item = &'a Member> {
        let all = self.machines.iter().zip(members);
        all.filter(|(machine, _)| machine.power.is_installed()).map(|(_, member)| member)
    }

    /// The installed clients, each with its state, and whether its machine is on.
    pub(super) fn views<'a>(
        &'a self,
        members: &'a [Member],
    ) -> impl Iterator<Item = (&'a Member, AgentView, bool)> {
        self.machines
            .iter()
            .zip(members)
            .filter(|(machine, _)| machine.power.is_installed())
            .map(|(machine, member)| (member, member.handle.view(), machine.power.is_on()))
    }

    /// Whether the machine at this index is on, and how often it was switched off; none without a machine.
    pub(super) fn power(&self, place: usize) -> Option<(bool, u32)> {
        self.machines.get(place).map(|machine| (machine.power.is_on(), machine.switched_off))
    }

    /// Applies the events of a step to the machines of the affected parts; returns once the clients have acted on
    /// them.
    pub(super) async fn apply<'b>(
        &mut self,
        lab: &Lab,
        actions: impl Iterator<Item = &'b FleetAction>,
    ) -> Result<(), CommandError> {
        let mut changes = vec![Change::default(); self.parts.len()];
        for action in actions {
            for (part, change) in self.parts.iter_mut().zip(&mut changes) {
                let Some(machines) = action.changed(&part.plan) else { continue };
                part.calendar.apply(action, machines, change);
                if let FleetAction::Identify { image_of, .. } = action {
                    let image = image_of.as_ref();
                    part.identity = image.and_then(|image| self.images_of.get(image).copied());
                }
                if let Some(from) = action.brings(&part.plan) {
                    let export =
                        |group: &str, location: Option<&str>| lab.site.export_sylink(group, location);
                    part.import = from.file(export, &part.image)?;
                }
            }
        }
        for place in 0..self.machines.len() {
            let Machine { part, number, power, switched_off, .. } = &mut self.machines[place];
            let was_on = power.is_on();
            let actions = power.apply_change(&changes[*part], *number);
            *switched_off += u32::from(was_on && !power.is_on());
            self.schedule(place);
            self.act(lab, place, actions).await?;
        }
        Ok(())
    }

    /// Next time at which a machine is switched on or off.
    pub(super) fn next_transition(&self, now: Timestamp) -> Timestamp {
        self.due.first().map_or(Timestamp::NEVER, |(next, _)| now.max(*next))
    }

    /// Switches the machines that are due, in fleet order.
    pub(super) async fn take_transitions(&mut self, lab: &Lab) -> Result<(), CommandError> {
        let now = lab.clock().now();
        let places: BTreeSet<usize> = self.due.range(..=(now, usize::MAX)).map(|(_, place)| *place).collect();
        for place in places {
            let was_on = self.machines[place].power.is_on();
            while self.machines[place].next <= now {
                let Machine { part, power, .. } = &mut self.machines[place];
                let actions = power.take_transition(&self.parts[*part].calendar, now);
                self.schedule(place);
                self.act(lab, place, actions).await?;
            }
            let Machine { power, switched_off, .. } = &mut self.machines[place];
            *switched_off += u32::from(was_on && !power.is_on());
        }
        Ok(())
    }

    /// Notes when a machine is switched next.
    fn schedule(&mut self, place: usize) {
        let Machine { power, next, .. } = &mut self.machines[place];
        // That of a machine whose hours have begun has passed.
        let then = power.next_transition(Timestamp::EPOCH);
        let before = std::mem::replace(next, then);
        self.due.remove(&(before, place));
        if then != Timestamp::NEVER {
            self.due.insert((then, place));
        }
    }

    async fn act(&self, lab: &Lab, place: usize, actions: ClientActions) -> Result<(), CommandError> {
        let Machine { part, number, .. } = self.machines[place];
        let Part { plan, calendar, image, import, identity } = &self.parts[part];
        for action in actions {
            let input = match action {
                ClientAction::Stop => Input::Stop,
                ClientAction::Install(install) => {
                    let sylink = match install {
                        Install::Image => Arc::clone(image),
                        Install::Package => package(lab, plan)?,
                    };
                    let spec = lab.member_spec(self.seed, plan, number, sylink);
                    lab.fleet.write().await.replace(place, spec);
                    continue;
                }
                ClientAction::MoveTo(to) => Input::MoveTo(calendar.location(to).map(str::to_owned)),
                ClientAction::Import => Input::Import(Arc::clone(import)),
                ClientAction::Identify => {
                    Input::Identify(identity.unwrap_or_else(|| plan.own_machine(self.seed, number)))
                }
                ClientAction::Start(booted) => Input::Start { booted },
            };
            lab.tell(place, input).await;
        }
        Ok(())
    }
}

fn package(lab: &Lab, plan: &PartPlan) -> Result<Arc<Sylink>, CommandError> {
    lab.site.export_sylink(&plan.group, plan.location.as_deref()).map(Arc::new)
}
