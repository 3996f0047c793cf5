//! A share of the fleet, with all that its thread needs. Clients do not meet, so shares are played side by side and
//! their integers are added; how many shares there are changes nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;

use super::hourly::Tally;
use super::machine::{Machine, Part};
use super::memo::{Memory, NodeId};
use super::transcript::Diary;
use super::virtual_client::{Client, Scene};
use super::world::World;
use crate::agent::AgentView;
use crate::scenario::{PartHolding, Standing, Verdict};

/// Where a rehearsal stands, for whoever watches it from another thread.
#[derive(Debug, Default)]
pub struct Watch {
    /// How many times a client has come to the end of a step.
    pub done: AtomicU64,
    /// Set it to break off: the outcome is that of the steps that have ended.
    pub stop: AtomicBool,
}

/// A share of the fleet.
pub(super) struct Share<C> {
    pub(super) machines: Vec<Machine<C>>,
    pub(super) memory: Memory,
    pub(super) tally: Tally,
    /// The diaries of its clients, in the same order, if anybody wants them.
    pub(super) logs: Option<Vec<Diary>>,
}

/// What clients have been waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waited {
    /// When the last one was done.
    pub(super) until: Timestamp,
    /// How many were not done at the limit.
    pub(super) missing: usize,
    /// One of those.
    pub(super) example: Option<(u32, u32)>,
}

impl<C: Client> Share<C> {
    /// Does something to each machine, in order; broken off when the watch says so.
    fn each(
        &mut self,
        world: &World,
        parts: &[Part],
        watch: &Watch,
        mut act: impl FnMut(&mut Machine<C>, &Part, &mut Scene<'_>),
    ) {
        let Self { machines, memory, tally, logs } = self;
        for (place, machine) in machines.iter_mut().enumerate() {
            if watch.stop.load(Ordering::Relaxed) {
                return;
            }
            let log = logs.as_mut().and_then(|logs| logs.get_mut(place));
            let mut scene = Scene { world, memory, tally, log };
            let part = &parts[machine.part as usize];
            act(machine, part, &mut scene);
        }
    }

    /// Lets what has happened to the parts of the fleet happen to their machines.
    pub(super) fn obey(&mut self, world: &World, parts: &[Part], now: Timestamp, watch: &Watch) {
        self.each(world, parts, watch, |machine, part, scene| {
            machine.obey(part, scene);
            machine.live(now, None, part, scene);
        });
    }

    /// Lets the change of the site be felt; then waits for heartbeats of every machine that is on, until the limit.
    pub(super) fn begin(
        &mut self,
        world: &World,
        parts: &[Part],
        heartbeats: u32,
        limit: Timestamp,
        watch: &Watch,
    ) -> Waited {
        let mut waited = Waited { until: Timestamp::EPOCH, missing: 0, example: None };
        if world.is_new && world.forgot_clients {
            self.memory.shared.clear();
        }
        self.each(world, parts, watch, |machine, part, scene| {
            if part.meets {
                machine.feel(scene);
                return;
            }
            let target = machine.client.counts().heartbeats + u64::from(heartbeats);
            machine.feel(scene);
            if heartbeats > 0 && machine.is_on() {
                let until = machine.live(limit, Some(target), part, scene);
                waited.until = waited.until.max(until);
                if machine.is_on() && machine.client.counts().heartbeats < target {
                    waited.missing += 1;
                    waited.example.get_or_insert((machine.part, machine.number));
                }
            }
        });
        self.wait_together(world, parts, heartbeats, limit, watch, &mut waited);
        waited
    }

    /// Waits for heartbeats of the machines whose clients meet.
    fn wait_together(
        &mut self,
        world: &World,
        parts: &[Part],
        heartbeats: u32,
        limit: Timestamp,
        watch: &Watch,
        waited: &mut Waited,
    ) {
        let is_meant = |machine: &Machine<C>| parts[machine.part as usize].meets && machine.is_on();
        let mut targets: BTreeMap<usize, u64> = BTreeMap::new();
        for (place, machine) in self.machines.iter().enumerate().filter(|(_, one)| is_meant(one)) {
            targets.insert(place, machine.client.counts().heartbeats + u64::from(heartbeats));
        }
        loop {
            targets.retain(|place, target| {
                let machine = &self.machines[*place];
                machine.is_on() && machine.client.counts().heartbeats < *target
            });
            if targets.is_empty() {
                return;
            }
            let Some(moment) = self.advance(world, parts, limit, watch) else { break };
            waited.until = waited.until.max(moment);
        }
        for place in targets.into_keys() {
            let machine = &self.machines[place];
            waited.missing += 1;
            waited.example.get_or_insert((machine.part, machine.number));
        }
    }

    /// Of the machines whose clients meet, lets the one live to whom something happens next, up to
    /// that moment. Returns it, if it is not after `end`.
    fn advance(&mut self, world: &World, parts: &[Part], end: Timestamp, watch: &Watch) -> Option<Timestamp> {
        if watch.stop.load(Ordering::Relaxed) {
            return None;
        }
        let shared = self.machines.iter().enumerate().filter_map(|(place, machine)| {
            let part = &parts[machine.part as usize];
            if part.meets { Some((machine.next(part, end)?, place)) } else { None }
        });
        let (moment, place) = shared.min()?;
        let Self { machines, memory, tally, logs } = self;
        let log = logs.as_mut().and_then(|logs| logs.get_mut(place));
        let machine = &mut machines[place];
        machine.live(moment, None, &parts[machine.part as usize], &mut Scene { world, memory, tally, log });
        Some(moment)
    }

    /// Lets time pass until `end`.
    pub(super) fn live(&mut self, world: &World, parts: &[Part], end: Timestamp, watch: &Watch) {
        while self.advance(world, parts, end, watch).is_some() {}
        self.each(world, parts, watch, |machine, part, scene| {
            machine.live(end, None, part, scene);
            watch.done.fetch_add(1, Ordering::Relaxed);
        });
    }

    pub(super) fn online(&self) -> usize {
        self.machines.iter().filter(|machine| machine.is_on()).count()
    }

    /// Who holds what, part by part.
    pub(super) fn holdings(&self, parts: &[Part]) -> Vec<PartHolding> {
        let mut alike: BTreeMap<(u32, NodeId), (usize, AgentView)> = BTreeMap::new();
        let mut all: Vec<PartHolding> = parts.iter().map(|part| PartHolding::of(&part.name)).collect();
        for machine in self.machines.iter().filter(|machine| machine.is_installed()) {
            let view = || machine.client.view(&self.memory);
            match machine.client.likeness() {
                None => all[machine.part as usize].add(&view(), 1),
                Some(node) => alike.entry((machine.part, node)).or_insert_with(|| (0, view())).0 += 1,
            }
        }
        for ((part, _), (count, view)) in alike {
            all[part as usize].add(&view, count);
        }
        all
    }

    /// Adds what became of each client; nothing became of those that never came.
    pub(super) fn judge(
        &self,
        parts: &[Part],
        in_force: &[Fingerprint],
        name: impl Fn(u32, u32) -> String,
        verdict: &mut Verdict,
    ) {
        let mut known: BTreeMap<NodeId, Standing> = BTreeMap::new();
        for machine in self.machines.iter().filter(|machine| machine.is_installed()) {
            let look = || AgentView {
                computer_name: name(machine.part, machine.number),
                ..machine.client.view(&self.memory)
            };
            let standing = match machine.client.likeness() {
                None => Standing::of(&look(), in_force),
                Some(node) => *known.entry(node).or_insert_with(|| Standing::of(&look(), in_force)),
            };
            if standing != Standing::Well {
                verdict.add(&parts[machine.part as usize].name, &look(), in_force, machine.is_on());
            }
        }
    }

    pub(super) fn view(&self, machine: &Machine<C>) -> AgentView {
        machine.client.view(&self.memory)
    }
}
