//! A shard: a part of the fleet, with everything that its thread needs. Clients of different shards do not interact, so
//! shards are played in parallel and their integers are added; the number of shards changes nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use epm_protocol::time::Timestamp;

use super::hourly::HourlyCounts;
use super::machine::{Machine, Part};
use super::memo::{MemoTable, NodeId};
use super::stimulus::EventKind;
use super::transcript::Transcript;
use super::virtual_client::{Context, MemoizedClient, VirtualClient};
use super::what_if::outcome_if;
use super::world::World;
use crate::agent::{AgentView, Distrust};
use crate::cause::{NoteTaker, NotedClient, StateFacts};
use crate::scenario::{PartHolding, Standing, Verdict};

/// The progress of a rehearsal, shared with a thread that shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// The number of times that a client has reached the end of a step.
    pub done: AtomicU64,
    /// Set to interrupt the rehearsal; the outcome is then that of the steps that have ended.
    pub stop: AtomicBool,
}

/// A part of the fleet that one thread plays.
pub(super) struct Shard<C> {
    pub(super) machines: Vec<Machine<C>>,
    /// Whether its clients interact. All of a fleet that do are in one shard.
    pub(super) interact: bool,
    pub(super) memo: MemoTable,
    pub(super) hourly: HourlyCounts,
    /// The transcripts of its clients, in the same order, if logs are kept.
    pub(super) logs: Option<Vec<Transcript>>,
}

/// The result of a wait for heartbeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waited {
    /// The time at which the last client had its heartbeats.
    pub(super) until: Timestamp,
    /// The number of clients that lacked heartbeats at the limit.
    pub(super) missing: usize,
    /// The part and number of a client that lacked heartbeats.
    pub(super) example: Option<(u32, u32)>,
}

/// When machines act next, the earliest first, and of one moment the first in the fleet.
type Agenda = BinaryHeap<Reverse<(Timestamp, usize)>>;

/// What a verdict says of a client that is not well: its place in the fleet, and its state.
pub(super) struct Judged {
    pub(super) place: (u32, u32),
    pub(super) view: AgentView,
    pub(super) standing: Standing,
    pub(super) is_on: bool,
    /// Why a client that is off would be orphaned if it were switched on, if it would be.
    pub(super) on_return: Option<Distrust>,
}

impl Judged {
    /// Adds the client to the verdict.
    pub(super) fn add_to(&self, verdict: &mut Verdict, part: &str) {
        verdict.add(part, &self.view, self.standing, self.is_on);
        if let Some(because) = &self.on_return {
            verdict.add_orphaned_on_return(part, &self.view, because.clone());
        }
    }
}

impl<C: VirtualClient> Shard<C> {
    /// Calls a function for each machine, in order, until the rehearsal is interrupted.
    fn each(
        &mut self,
        world: &World,
        parts: &[Part],
        progress: &Progress,
        mut act: impl FnMut(&mut Machine<C>, &Part, &mut Context<'_>),
    ) {
        let Self { machines, memo, hourly, logs, .. } = self;
        for (place, machine) in machines.iter_mut().enumerate() {
            if progress.stop.load(Ordering::Relaxed) {
                return;
            }
            let log = logs.as_mut().and_then(|logs| logs.get_mut(place));
            let mut context = Context { world, memo, hourly, log };
            let part = &parts[machine.part as usize];
            act(machine, part, &mut context);
        }
    }

    /// Applies the changes of the parts to their machines.
    pub(super) fn apply_change(
        &mut self,
        world: &World,
        parts: &[Part],
        now: Timestamp,
        progress: &Progress,
    ) {
        self.each(world, parts, progress, |machine, part, context| {
            machine.apply_change(part, context);
            machine.run_until(now, None, part, context);
        });
    }

    /// Lets the clients notice a change of the site; then waits for heartbeats of every machine that is on, until the
    /// limit.
    pub(super) fn begin(
        &mut self,
        world: &World,
        parts: &[Part],
        heartbeats: u32,
        limit: Timestamp,
        progress: &Progress,
    ) -> Waited {
        let mut waited = Waited { until: Timestamp::EPOCH, missing: 0, example: None };
        if world.is_new && world.forgot_clients {
            self.memo.shared.clear();
        }
        self.each(world, parts, progress, |machine, part, context| {
            if part.interacts {
                machine.notice_site_change(context);
                return;
            }
            let target = machine.client.counts().heartbeats + u64::from(heartbeats);
            machine.notice_site_change(context);
            if heartbeats > 0 && machine.is_on() {
                let until = machine.run_until(limit, Some(target), part, context);
                waited.until = waited.until.max(until);
                if machine.is_on() && machine.client.counts().heartbeats < target {
                    waited.missing += 1;
                    waited.example.get_or_insert((machine.part, machine.number));
                }
            }
        });
        self.wait_together(world, parts, heartbeats, limit, progress, &mut waited);
        waited
    }

    /// Waits for heartbeats of the machines whose clients interact.
    fn wait_together(
        &mut self,
        world: &World,
        parts: &[Part],
        heartbeats: u32,
        limit: Timestamp,
        progress: &Progress,
        waited: &mut Waited,
    ) {
        let mut targets: BTreeMap<usize, u64> = BTreeMap::new();
        for (place, machine) in self.together().filter(|(_, machine)| machine.is_on()) {
            targets.insert(place, machine.client.counts().heartbeats + u64::from(heartbeats));
        }
        let is_waited_for = |machine: &Machine<C>, target: u64| {
            machine.is_on() && machine.client.counts().heartbeats < target
        };
        targets.retain(|place, target| is_waited_for(&self.machines[*place], *target));
        let mut agenda = self.agenda(limit);
        while !targets.is_empty() {
            let Some((moment, place)) = self.advance(world, parts, &mut agenda, limit, progress) else {
                break;
            };
            waited.until = waited.until.max(moment);
            if targets.get(&place).is_some_and(|target| !is_waited_for(&self.machines[place], *target)) {
                targets.remove(&place);
            }
        }
        for place in targets.into_keys() {
            let machine = &self.machines[place];
            waited.missing += 1;
            waited.example.get_or_insert((machine.part, machine.number));
        }
    }

    /// When each of the machines whose clients interact acts next, if that is not after `end`.
    fn agenda(&self, end: Timestamp) -> Agenda {
        let next = |(place, machine): (usize, &Machine<C>)| Some(Reverse((machine.next(end)?, place)));
        self.together().filter_map(next).collect()
    }

    /// The machines whose clients interact, each with its place.
    fn together(&self) -> impl Iterator<Item = (usize, &Machine<C>)> {
        let together = if self.interact { self.machines.as_slice() } else { &[] };
        together.iter().enumerate()
    }

    /// Runs the next machine to act, of those whose clients interact, up to that moment. Returns the moment and the
    /// machine's place, if there is one. What a client does changes the answers of others, and not when they act.
    fn advance(
        &mut self,
        world: &World,
        parts: &[Part],
        agenda: &mut Agenda,
        end: Timestamp,
        progress: &Progress,
    ) -> Option<(Timestamp, usize)> {
        if progress.stop.load(Ordering::Relaxed) {
            return None;
        }
        let Reverse((moment, place)) = agenda.pop()?;
        let Self { machines, memo, hourly, logs, .. } = self;
        let log = logs.as_mut().and_then(|logs| logs.get_mut(place));
        let machine = machines.get_mut(place)?;
        let part = &parts[machine.part as usize];
        machine.run_until(moment, None, part, &mut Context { world, memo, hourly, log });
        agenda.extend(machine.next(end).map(|next| Reverse((next, place))));
        Some((moment, place))
    }

    /// Lets time pass until `end`.
    pub(super) fn run_until(&mut self, world: &World, parts: &[Part], end: Timestamp, progress: &Progress) {
        let mut agenda = self.agenda(end);
        while self.advance(world, parts, &mut agenda, end, progress).is_some() {}
        self.each(world, parts, progress, |machine, part, context| {
            machine.run_until(end, None, part, context);
            progress.done.fetch_add(1, Ordering::Relaxed);
        });
    }

    pub(super) fn online(&self) -> usize {
        self.machines.iter().filter(|machine| machine.is_on()).count()
    }

    /// Counts what the clients of each part hold.
    pub(super) fn holdings(&self, parts: &[Part]) -> Vec<PartHolding> {
        let mut alike: BTreeMap<(u32, NodeId), (usize, AgentView)> = BTreeMap::new();
        let mut all: Vec<PartHolding> = parts.iter().map(|part| PartHolding::of(&part.name)).collect();
        for machine in self.machines.iter().filter(|machine| machine.is_installed()) {
            let view = || machine.client.view(&self.memo);
            match machine.client.equivalence_key() {
                None => all[machine.part as usize].add(&view(), 1),
                Some(node) => alike.entry((machine.part, node)).or_insert_with(|| (0, view())).0 += 1,
            }
        }
        for ((part, _), (count, view)) in alike {
            all[part as usize].add(&view, count);
        }
        all
    }

    /// Judges each installed client; returns those that are not well, or were brought back.
    pub(super) fn judge(
        &mut self,
        name: impl Fn(u32, u32) -> String,
        verdict: &Verdict,
        world: &World,
    ) -> Vec<Judged> {
        let in_force = verdict.in_force();
        let (mut judged, mut returns) = (Vec::new(), BTreeMap::new());
        let mut hourly = HourlyCounts::new(verdict.now, 0);
        let Self { machines, memo, .. } = self;
        let mut known: BTreeMap<NodeId, (Standing, bool)> = BTreeMap::new();
        for machine in machines.iter().filter(|machine| machine.is_installed()) {
            let look = |memo: &MemoTable| AgentView {
                computer_name: name(machine.part, machine.number),
                ..machine.client.view(memo)
            };
            let stand = |view: AgentView| (Standing::of(&view, &in_force), view.brought_back);
            let (standing, brought_back) = match machine.client.equivalence_key() {
                None => stand(look(memo)),
                Some(node) => *known.entry(node).or_insert_with(|| stand(look(memo))),
            };
            let is_on = machine.is_on();
            // What a client holds does not tell whether it would believe its manager on its return: that is tried.
            let lost = (!is_on && standing != Standing::Orphaned).then(|| {
                let mut context = Context { world, memo, hourly: &mut hourly, log: None };
                let node = machine.client.node(&mut context);
                let lost = returns.entry(node).or_insert_with(|| {
                    let mut client = MemoizedClient::at(node, &context);
                    outcome_if(&mut client, EventKind::Changed, false, verdict.now, &mut context)
                });
                lost.clone()
            });
            let on_return = lost.flatten();
            if standing != Standing::Well || brought_back || on_return.is_some() {
                let (place, view) = ((machine.part, machine.number), look(memo));
                judged.push(Judged { place, view, standing, is_on, on_return });
            }
        }
        judged
    }

    /// The installed clients of which there is something to note, each with its place and with what follows from its state.
    pub(super) fn noted(&self, taker: &NoteTaker) -> Vec<((u32, u32), StateFacts, NotedClient)> {
        let mut known: BTreeMap<NodeId, StateFacts> = BTreeMap::new();
        let mut noted = Vec::new();
        for machine in self.machines.iter().filter(|machine| machine.is_installed()) {
            let client = &machine.client;
            let of_state = || taker.of_state(&client.view(&self.memo));
            let facts = match client.equivalence_key() {
                None => &of_state(),
                Some(node) => known.entry(node).or_insert_with(of_state),
            };
            // Only clients that interact can have one record, and only these have identifiers of their own.
            if !facts.is_empty() || self.interact && taker.is_shared(client.noted(&self.memo).agent) {
                noted.push(((machine.part, machine.number), facts.clone(), client.noted(&self.memo)));
            }
        }
        noted
    }

    pub(super) fn view(&self, machine: &Machine<C>) -> AgentView {
        machine.client.view(&self.memo)
    }
}
