//! A client in virtual time, in two forms with the same results: one plays every heartbeat; the other looks results up
//! in the memo table and skips quiet heartbeats.

use epm_protocol::site::{RegisteredClient, agent_id};
use epm_protocol::time::Timestamp;

use super::activation::{Activation, ClientSnapshot, Image};
use super::faulted::FaultedClient;
use super::hourly::{Counted, HourlyCounts, Trust};
use super::memo::{DateChange, Key, MemoTable, NodeId, Value};
use super::stimulus::{ClientIdentity, EventKind, Stimulus};
use super::transcript::Transcript;
use super::world::World;
use crate::agent::{Agent, AgentView, Counts, Dates, Input, Row, Schedule, Timing, stays, stays_until};
use crate::cause::NotedClient;

/// The context of a client: the world, the memo table, counts and logs.
pub(super) struct Context<'a> {
    pub(super) world: &'a World,
    pub(super) memo: &'a mut MemoTable,
    pub(super) hourly: &'a mut HourlyCounts,
    /// The client's transcript, if logs are kept.
    pub(super) log: Option<&'a mut Transcript>,
}

/// A client in virtual time.
pub(super) trait VirtualClient: Sized + Send {
    /// Installs a client from this image; its random draws derive from this seed.
    fn new(image: &Image, identity: ClientIdentity, seed: u64, context: &mut Context<'_>) -> Self;
    /// The time at which it wants to be woken, if that is before `end`.
    fn wakes_before(&self, end: Timestamp) -> Option<Timestamp>;
    /// Handles an event.
    fn handle(&mut self, kind: EventKind, now: Timestamp, context: &mut Context<'_>);
    /// Moves the start of the client's series of heartbeats to `booted`, the boot of its machine, before the start at `now`.
    fn was_booted(&mut self, booted: Timestamp, now: Timestamp);
    /// Skips quiet heartbeats from `first`, the next one, up to `end`, at most `most`. Returns the skipped ones,
    /// if any.
    fn skip(&mut self, first: Timestamp, end: Timestamp, most: u64, context: &mut Context<'_>)
    -> Option<Row>;
    /// Replaces the client's state by that of an image.
    fn install(&mut self, image: &Image, context: &mut Context<'_>);
    fn counted(&self, context: &Context<'_>) -> Counted;
    fn counts(&self) -> Counts;
    fn view(&self, memo: &MemoTable) -> AgentView;
    /// What the notes of a verdict need to know of it beside its state.
    fn noted(&self, memo: &MemoTable) -> NotedClient;
    /// The equivalence key: clients with the same key differ only in names, dates and counts. None if it is not
    /// known.
    fn equivalence_key(&self) -> Option<NodeId>;
    /// The node of the client's state.
    fn node(&self, context: &mut Context<'_>) -> NodeId;
    /// Whether the client is registered at the site.
    fn is_registered(&self, memo: &MemoTable) -> bool;
}

/// A client that plays every heartbeat.
#[derive(Clone, Debug)]
pub(super) struct FullClient {
    pub(super) snapshot: ClientSnapshot,
    name: String,
    seed: u64,
    /// The client's identity to the faults, if there may be any.
    faulted: Option<Box<FaultedClient>>,
}

/// A client that looks its results up in the memo table.
#[derive(Clone, Debug)]
pub(super) struct MemoizedClient {
    pub(super) node: NodeId,
    schedule: Schedule,
    dates: Dates,
    counts: Counts,
    seed: u64,
    /// The client's identity to the faults, if there may be any.
    faulted: Option<Box<FaultedClient>>,
}

impl FullClient {
    /// Copies a client of another driver, without its connections; `record` is its registration.
    pub(super) fn copy_of(agent: Agent, record: Option<RegisteredClient>) -> Self {
        let (name, seed) = (agent.profile().computer_name.clone(), agent.profile().seed);
        Self { snapshot: ClientSnapshot { agent, record, held: None }, name, seed, faulted: None }
    }

    fn set_identity(&mut self) {
        self.snapshot.agent.set_seed(self.seed);
        self.snapshot.agent.set_name(&self.name);
    }
}

impl VirtualClient for FullClient {
    fn is_registered(&self, memo: &MemoTable) -> bool {
        let agent = &self.snapshot.agent;
        self.snapshot.record.is_some() || memo.shared.contains_key(&agent_id(agent.machine()))
    }

    fn new(image: &Image, identity: ClientIdentity, seed: u64, context: &mut Context<'_>) -> Self {
        let name = identity.name.clone();
        let faulted = faulted_client(image, identity, context);
        let mut client = Self { snapshot: image.snapshot.clone(), name, seed, faulted };
        client.set_identity();
        client
    }

    fn equivalence_key(&self) -> Option<NodeId> {
        None
    }

    fn node(&self, context: &mut Context<'_>) -> NodeId {
        context.memo.admit(self.snapshot.clone(), None, context.world)
    }

    fn wakes_before(&self, end: Timestamp) -> Option<Timestamp> {
        Some(self.snapshot.agent.next_wake()).filter(|wake| *wake < end)
    }

    fn handle(&mut self, kind: EventKind, now: Timestamp, context: &mut Context<'_>) {
        let Self { snapshot, faulted, .. } = self;
        play(snapshot, kind, now, faulted.as_deref_mut(), context);
    }

    fn was_booted(&mut self, booted: Timestamp, now: Timestamp) {
        let mut schedule = self.snapshot.agent.schedule();
        schedule.was_booted(booted, now);
        self.snapshot.agent.set_schedule(schedule);
    }

    fn skip(&mut self, _: Timestamp, _: Timestamp, _: u64, _: &mut Context<'_>) -> Option<Row> {
        None
    }

    fn install(&mut self, image: &Image, _: &mut Context<'_>) {
        let counts = self.counts();
        self.snapshot = image.snapshot.clone();
        self.snapshot.agent.set_counts(counts);
        self.set_identity();
    }

    fn counted(&self, context: &Context<'_>) -> Counted {
        Counted {
            trust: Trust::of(self.snapshot.agent.pins(), &context.world.old, &context.world.new),
            is_orphaned: self.snapshot.agent.cache().state.health.orphaned().is_some(),
        }
    }

    fn counts(&self) -> Counts {
        self.snapshot.agent.counts()
    }

    fn view(&self, _: &MemoTable) -> AgentView {
        self.snapshot.agent.view()
    }

    fn noted(&self, _: &MemoTable) -> NotedClient {
        let ClientSnapshot { agent, record, .. } = &self.snapshot;
        NotedClient {
            agent: agent.cache().state.agent,
            contact: Some(agent.contact()),
            group: record.as_ref().map(|record| record.group),
        }
    }
}

impl MemoizedClient {
    fn key(&self, kind: EventKind, now: Timestamp, context: &Context<'_>) -> Option<Key> {
        let stays = self.dates.last_server.is_some_and(|since| stays(since, now));
        let order = match kind {
            EventKind::Start
            | EventKind::Stop
            | EventKind::Move(_)
            | EventKind::Import(_)
            | EventKind::Identify(_) => 0,
            EventKind::Wake | EventKind::Changed | EventKind::Forgotten | EventKind::Placed(_) => {
                context.memo.order(self.node, stays, self.seed, now)?
            }
        };
        let (world, epoch) =
            (context.world.number, u32::try_from(context.world.epoch(now)).unwrap_or(u32::MAX));
        Some(Key { node: self.node, kind, world, epoch, stays, order })
    }

    /// Applies a value of the memo table to this client.
    fn apply(&mut self, value: &Value, now: Timestamp, hourly: &mut HourlyCounts) {
        self.node = value.after;
        for timing in &value.timings {
            self.schedule.take(*timing, now);
        }
        let dated = |change: DateChange, date: Option<Timestamp>, new: Timestamp| match change {
            DateChange::Absent => None,
            DateChange::Kept => date,
            DateChange::Now => Some(new),
        };
        self.dates.health = dated(value.health, self.dates.health, now);
        let contact = self.schedule.contact_since(now);
        self.dates.last_server = dated(value.last_server, self.dates.last_server, contact);
        self.counts.heartbeats += value.heartbeats;
        self.counts.heartbeats_served += value.served;
        self.counts.exchanges += value.exchanges;
        for manager in &value.visits {
            hourly.visited(now, *manager);
        }
    }

    /// The node's state with this client's own dates and counts.
    fn snapshot(&self, memo: &MemoTable) -> ClientSnapshot {
        let mut snapshot = memo.node(self.node).snapshot.clone();
        snapshot.agent.set_seed(self.seed);
        snapshot.agent.set_schedule(self.schedule);
        snapshot.agent.set_dates(self.dates);
        snapshot.agent.set_counts(self.counts);
        snapshot
    }
}

impl VirtualClient for MemoizedClient {
    fn is_registered(&self, memo: &MemoTable) -> bool {
        memo.node(self.node).snapshot.record.is_some()
    }

    fn new(image: &Image, identity: ClientIdentity, seed: u64, context: &mut Context<'_>) -> Self {
        let faulted = faulted_client(image, identity, context);
        let node = context.memo.installed(image, context.world);
        let schedule = Schedule::new(seed, context.world.site.assumptions());
        Self { schedule, seed, faulted, ..Self::at(node, context) }
    }

    fn equivalence_key(&self) -> Option<NodeId> {
        Some(self.node)
    }

    fn node(&self, _: &mut Context<'_>) -> NodeId {
        self.node
    }

    fn wakes_before(&self, end: Timestamp) -> Option<Timestamp> {
        self.schedule.next_before(end)
    }

    fn handle(&mut self, kind: EventKind, now: Timestamp, context: &mut Context<'_>) {
        if kind == EventKind::Changed && context.memo.node(self.node).snapshot.held.is_none() {
            return;
        }
        if let Some(faulted) = self.faulted.take() {
            if self.may_be_touched(&faulted, kind, now, context) {
                return self.play(faulted, kind, now, context);
            }
            self.faulted = Some(faulted);
        }
        let Context { world, memo, hourly, log } = context;
        let key = self.key(kind, now, &Context { world, memo, hourly, log: None });
        let Some(key) = key else {
            memo.broken.push("a list has more servers than a rehearsal can order".to_owned());
            return;
        };
        let value = memo.value(key, world, self.seed, now);
        if let Some(log) = log {
            log.note(&value.lines, &value.manager_events, now);
        }
        self.apply(value, now, hourly);
    }

    fn was_booted(&mut self, booted: Timestamp, now: Timestamp) {
        self.schedule.was_booted(booted, now);
    }

    fn skip(
        &mut self,
        first: Timestamp,
        end: Timestamp,
        most: u64,
        context: &mut Context<'_>,
    ) -> Option<Row> {
        if self
            .faulted
            .as_ref()
            .is_some_and(|faulted| self.may_be_touched(faulted, EventKind::Wake, first, context))
        {
            return None;
        }
        let key = self.key(EventKind::Wake, first, context)?;
        let mut end = end.min(context.world.next_turn(first)).min(context.world.faults.next_turn(first));
        if key.stays
            && let Some(since) = self.dates.last_server
        {
            end = end.min(stays_until(since));
        }
        let value = context.memo.quiet_value(key, context.world, self.seed, first)?;
        if value.timings != [Timing::Begun(self.schedule.interval())] {
            return None;
        }
        let row = self.schedule.skip(end, most)?;
        let count = row.count();
        self.counts.heartbeats += value.heartbeats * count;
        self.counts.heartbeats_served += value.served * count;
        self.counts.exchanges += value.exchanges * count;
        for manager in &value.visits {
            context.hourly.visited_often(&row, first, *manager);
        }
        if context.log.is_some() {
            self.write_row(&row, context);
        }
        Some(row)
    }

    fn install(&mut self, image: &Image, context: &mut Context<'_>) {
        self.node = context.memo.installed(image, context.world);
        self.schedule.take(Timing::Stop, Timestamp::EPOCH);
        self.dates = Dates { health: None, last_server: None };
    }

    fn counted(&self, context: &Context<'_>) -> Counted {
        context.memo.node(self.node).counted
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn view(&self, memo: &MemoTable) -> AgentView {
        self.snapshot(memo).agent.view()
    }

    fn noted(&self, memo: &MemoTable) -> NotedClient {
        let ClientSnapshot { agent, record, .. } = &memo.node(self.node).snapshot;
        NotedClient {
            agent: agent.cache().state.agent,
            contact: Some(agent.contact_by(&self.schedule, self.dates.last_server)),
            group: record.as_ref().map(|record| record.group),
        }
    }
}

impl MemoizedClient {
    /// Makes a client at this node.
    pub(super) fn at(node: NodeId, context: &Context<'_>) -> Self {
        Self {
            node,
            schedule: Schedule::new(0, context.world.site.assumptions()),
            dates: Dates { health: None, last_server: None },
            counts: Counts::default(),
            seed: 0,
            faulted: None,
        }
    }

    fn may_be_touched(
        &self,
        faulted: &FaultedClient,
        kind: EventKind,
        now: Timestamp,
        context: &Context<'_>,
    ) -> bool {
        let record = context.memo.node(self.node).snapshot.record.as_ref();
        faulted.interacts
            || faulted.may_be_touched(context.world, record.filter(|_| kind != EventKind::Forgotten), now)
    }

    /// Plays an event while a fault can hit the client: with its own name, and without the memo table.
    fn play(
        &mut self,
        mut faulted: Box<FaultedClient>,
        kind: EventKind,
        now: Timestamp,
        context: &mut Context<'_>,
    ) {
        let mut snapshot = self.snapshot(context.memo);
        snapshot.agent.set_name(&faulted.name);
        play(&mut snapshot, kind, now, Some(&mut faulted), context);
        self.faulted = Some(faulted);
        self.schedule = snapshot.agent.schedule();
        (self.dates, self.counts) = (snapshot.agent.dates(), snapshot.agent.counts());
        self.node = context.memo.admit(snapshot, Some(self.node), context.world);
    }

    /// Logs the skipped heartbeats.
    fn write_row(&self, row: &Row, context: &mut Context<'_>) {
        for at in row.moments() {
            let Some(key) = self.key(EventKind::Wake, at, context) else { continue };
            let value = context.memo.value(key, context.world, self.seed, at);
            if let Some(log) = &mut context.log {
                log.note(&value.lines, &value.manager_events, at);
            }
        }
    }
}

/// The client's identity, if faults or a shared hardware id make it matter.
fn faulted_client(
    image: &Image,
    identity: ClientIdentity,
    context: &Context<'_>,
) -> Option<Box<FaultedClient>> {
    let version = image.snapshot.agent.profile().version;
    (context.world.may_have_faults || identity.interacts)
        .then(|| Box::new(FaultedClient::new(identity, version)))
}

/// Plays an event in full, counts and logs it.
fn play(
    snapshot: &mut ClientSnapshot,
    kind: EventKind,
    now: Timestamp,
    faulted: Option<&mut FaultedClient>,
    context: &mut Context<'_>,
) {
    let stimulus = match kind {
        EventKind::Start => Stimulus::Told(Input::Start { booted: now }),
        EventKind::Stop => Stimulus::Told(Input::Stop),
        EventKind::Wake => Stimulus::Told(Input::Wake),
        EventKind::Changed => Stimulus::Changed,
        EventKind::Move(place) => Stimulus::Told(Input::MoveTo(context.memo.location(place))),
        EventKind::Import(file) => context.memo.import(file),
        EventKind::Identify(number) => {
            let own = faulted.as_ref().map(|faulted| faulted.own_machine(context.world.faults.seed()));
            let given = context.memo.identities.get(number as usize).copied().flatten();
            given.or(own).map_or(Stimulus::Changed, |machine| Stimulus::Told(Input::Identify(machine)))
        }
        EventKind::Forgotten => {
            snapshot.record = None;
            Stimulus::Changed
        }
        EventKind::Placed(group) => {
            context.world.place(snapshot.record.as_mut(), group);
            let shared = context.memo.shared.get_mut(&agent_id(snapshot.agent.machine()));
            context.world.place(shared, group);
            Stimulus::Changed
        }
    };
    let (mut faulted, was_held) = (faulted, u64::from(snapshot.held.is_some()));
    let meeting = faulted.as_mut().filter(|faulted| faulted.interacts).map(|faulted| {
        faulted.held_by_others = context.memo.held.saturating_sub(was_held);
        faulted.machine
    });
    if let Some(machine) = meeting {
        snapshot.agent.set_machine(machine);
        snapshot.record = context.memo.shared.get(&agent_id(snapshot.agent.machine())).cloned();
    }
    let Activation { timings: _, lines, visits, manager_events, broken } =
        snapshot.activate(stimulus, context.world, now, faulted);
    if meeting.is_some() {
        if let Some(record) = &snapshot.record {
            context.memo.shared.insert(record.agent, record.clone());
        }
        context.memo.held = context.memo.held.saturating_sub(was_held) + u64::from(snapshot.held.is_some());
    }
    context.memo.broken.extend(broken);
    for manager in visits {
        context.hourly.visited(now, manager);
    }
    if let Some(log) = &mut context.log {
        log.note(&lines, &manager_events, now);
    }
}
