//! A client in virtual time, in two forms that must not differ: one that plays every heartbeat, and one that asks what
//! has been played before and passes over what is quiet.

use epm_protocol::id::HardwareKey;
use epm_protocol::site::agent_id;
use epm_protocol::time::Timestamp;

use super::activation::{Body, Breath, Cause};
use super::faulted::Haunted;
use super::hourly::{Standing, Tally, Trust};
use super::machine::Image;
use super::memo::{Happening, Mark, Memory, NodeId, Question, Reply};
use super::transcript::Diary;
use super::world::World;
use crate::agent::{AgentView, Counts, Dates, Input, Row, Schedule, Timing, stays, stays_until};

/// What is around a client while it lives.
pub(super) struct Scene<'a> {
    pub(super) world: &'a World,
    pub(super) memory: &'a mut Memory,
    pub(super) tally: &'a mut Tally,
    /// Where it is written of, if anybody wants that.
    pub(super) log: Option<&'a mut Diary>,
}

/// Who a client is, where that makes a difference.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) name: String,
    /// The hardware id that it is installed with.
    pub(super) machine: HardwareKey,
    /// Whether what others do may change something for it.
    pub(super) meets: bool,
}

/// A client in virtual time.
pub(super) trait Client: Sized + Send {
    /// A client with this state, that draws from this seed.
    fn born(image: &Image, who: Who, seed: u64, scene: &mut Scene<'_>) -> Self;
    /// When it wants to be woken, if that is before `end`.
    fn wakes_before(&self, end: Timestamp) -> Option<Timestamp>;
    /// Lets something happen to it.
    fn meet(&mut self, happening: Happening, now: Timestamp, scene: &mut Scene<'_>);
    /// Passes over quiet heartbeats from `first`, its next one, up to `end`, `most` at the most. Returns them, if there
    /// were any.
    fn skip(&mut self, first: Timestamp, end: Timestamp, most: u64, scene: &mut Scene<'_>) -> Option<Row>;
    /// Another state takes the place of its own: it was installed, or re-imaged.
    fn install(&mut self, image: &Image, scene: &mut Scene<'_>);
    fn standing(&self, scene: &Scene<'_>) -> Standing;
    fn counts(&self) -> Counts;
    fn view(&self, memory: &Memory) -> AgentView;
    /// Clients with the same key look alike, but for names, dates and counts.
    fn likeness(&self) -> Option<NodeId>;
    /// The node at which it stands.
    fn node(&self, scene: &mut Scene<'_>) -> NodeId;
}

/// A client that plays every heartbeat.
#[derive(Clone, Debug)]
pub(super) struct Single {
    pub(super) body: Body,
    name: String,
    seed: u64,
    /// Who it is to the faults, where there may be any.
    guest: Option<Box<Haunted>>,
}

/// A client that asks what has been played before.
#[derive(Clone, Debug)]
pub(super) struct Swift {
    pub(super) node: NodeId,
    schedule: Schedule,
    dates: Dates,
    counts: Counts,
    seed: u64,
    /// Who it is to the faults, where there may be any.
    guest: Option<Box<Haunted>>,
}

impl Single {
    fn own(&mut self) {
        self.body.agent.set_seed(self.seed);
        self.body.agent.set_name(&self.name);
    }
}

impl Client for Single {
    fn born(image: &Image, who: Who, seed: u64, scene: &mut Scene<'_>) -> Self {
        let name = who.name.clone();
        let guest = guest(image, who, scene);
        let mut single = Self { body: image.body.clone(), name, seed, guest };
        single.own();
        single
    }

    fn likeness(&self) -> Option<NodeId> {
        None
    }

    fn node(&self, scene: &mut Scene<'_>) -> NodeId {
        scene.memory.admit(self.body.clone(), scene.world)
    }

    fn wakes_before(&self, end: Timestamp) -> Option<Timestamp> {
        Some(self.body.agent.next_wake()).filter(|wake| *wake < end)
    }

    fn meet(&mut self, happening: Happening, now: Timestamp, scene: &mut Scene<'_>) {
        let Self { body, guest, .. } = self;
        let _ = play(body, happening, now, guest.as_deref_mut(), scene);
    }

    fn skip(&mut self, _: Timestamp, _: Timestamp, _: u64, _: &mut Scene<'_>) -> Option<Row> {
        None
    }

    fn install(&mut self, image: &Image, _: &mut Scene<'_>) {
        let counts = self.counts();
        self.body = image.body.clone();
        self.body.agent.set_counts(counts);
        self.own();
    }

    fn standing(&self, scene: &Scene<'_>) -> Standing {
        Standing {
            trust: Trust::of(self.body.agent.pins(), &scene.world.old, &scene.world.new),
            is_orphaned: self.body.agent.cache().state.health.orphaned().is_some(),
        }
    }

    fn counts(&self) -> Counts {
        self.body.agent.counts()
    }

    fn view(&self, _: &Memory) -> AgentView {
        self.body.agent.view()
    }
}

impl Swift {
    fn question(&self, happening: Happening, now: Timestamp, scene: &Scene<'_>) -> Option<Question> {
        let stays = self.dates.last_server.is_some_and(|since| stays(since, now));
        let order = match happening {
            Happening::Start
            | Happening::Stop
            | Happening::Move(_)
            | Happening::Import(_)
            | Happening::Identify(_) => 0,
            Happening::Wake | Happening::Changed | Happening::Forgotten => {
                scene.memory.order(self.node, stays, self.seed, now)?
            }
        };
        let (world, epoch) = (scene.world.number, u32::try_from(scene.world.epoch(now)).unwrap_or(u32::MAX));
        Some(Question { node: self.node, happening, world, epoch, stays, order })
    }

    /// It has done this now.
    fn did(&mut self, reply: &Reply, now: Timestamp, tally: &mut Tally) {
        self.node = reply.after;
        for timing in &reply.timings {
            self.schedule.take(*timing, now);
        }
        let dated = |mark: Mark, date: Option<Timestamp>| match mark {
            Mark::Absent => None,
            Mark::Kept => date,
            Mark::Now => Some(now),
        };
        self.dates.health = dated(reply.health, self.dates.health);
        self.dates.last_server = dated(reply.last_server, self.dates.last_server);
        self.counts.heartbeats += reply.heartbeats;
        self.counts.heartbeats_served += reply.served;
        self.counts.exchanges += reply.exchanges;
        for manager in &reply.visits {
            tally.visited(now, *manager);
        }
    }

    /// The state with this client's own dates and counts.
    fn body(&self, memory: &Memory) -> Body {
        let mut body = memory.node(self.node).body.clone();
        body.agent.set_seed(self.seed);
        body.agent.set_dates(self.dates);
        body.agent.set_counts(self.counts);
        body
    }
}

impl Client for Swift {
    fn born(image: &Image, who: Who, seed: u64, scene: &mut Scene<'_>) -> Self {
        let guest = guest(image, who, scene);
        let node = scene.memory.installed(image, scene.world);
        let jitter = scene.world.site.assumptions().heartbeat_jitter_percent;
        Self { schedule: Schedule::new(seed, jitter), seed, guest, ..Self::at(node, scene) }
    }

    fn likeness(&self) -> Option<NodeId> {
        Some(self.node)
    }

    fn node(&self, _: &mut Scene<'_>) -> NodeId {
        self.node
    }

    fn wakes_before(&self, end: Timestamp) -> Option<Timestamp> {
        self.schedule.next_before(end)
    }

    fn meet(&mut self, happening: Happening, now: Timestamp, scene: &mut Scene<'_>) {
        if happening == Happening::Changed && scene.memory.node(self.node).body.held.is_none() {
            return;
        }
        if let Some(guest) = self.guest.take() {
            if self.may_be_touched(&guest, happening, now, scene) {
                return self.play(guest, happening, now, scene);
            }
            self.guest = Some(guest);
        }
        let Scene { world, memory, tally, log } = scene;
        let question = self.question(happening, now, &Scene { world, memory, tally, log: None });
        let Some(question) = question else {
            memory.broken.push("a list has more servers than a rehearsal can put in order".to_owned());
            return;
        };
        let reply = memory.ask(question, world, self.seed, now);
        if let Some(log) = log {
            log.note(&reply.lines, &reply.dealings, now);
        }
        self.did(reply, now, tally);
    }

    fn skip(&mut self, first: Timestamp, end: Timestamp, most: u64, scene: &mut Scene<'_>) -> Option<Row> {
        if self.guest.as_ref().is_some_and(|guest| self.may_be_touched(guest, Happening::Wake, first, scene))
        {
            return None;
        }
        let question = self.question(Happening::Wake, first, scene)?;
        let mut end = end.min(scene.world.next_turn(first)).min(scene.world.faults.next_turn(first));
        if question.stays
            && let Some(since) = self.dates.last_server
        {
            end = end.min(stays_until(since));
        }
        let reply = scene.memory.ask_quiet(question, scene.world, self.seed, first)?;
        if reply.timings != [Timing::Begun(self.schedule.interval())] {
            return None;
        }
        let row = self.schedule.skip(end, most)?;
        let count = row.count();
        self.counts.heartbeats += reply.heartbeats * count;
        self.counts.heartbeats_served += reply.served * count;
        self.counts.exchanges += reply.exchanges * count;
        for manager in &reply.visits {
            scene.tally.visited_often(&row, first, *manager);
        }
        if scene.log.is_some() {
            self.write_row(&row, scene);
        }
        Some(row)
    }

    fn install(&mut self, image: &Image, scene: &mut Scene<'_>) {
        self.node = scene.memory.installed(image, scene.world);
        self.schedule.take(Timing::Stop, Timestamp::EPOCH);
        self.dates = Dates { health: None, last_server: None };
    }

    fn standing(&self, scene: &Scene<'_>) -> Standing {
        scene.memory.node(self.node).standing
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn view(&self, memory: &Memory) -> AgentView {
        self.body(memory).agent.view()
    }
}

impl Swift {
    /// Any client that stands at this node.
    pub(super) fn at(node: NodeId, scene: &Scene<'_>) -> Self {
        Self {
            node,
            schedule: Schedule::new(0, scene.world.site.assumptions().heartbeat_jitter_percent),
            dates: Dates { health: None, last_server: None },
            counts: Counts::default(),
            seed: 0,
            guest: None,
        }
    }

    fn may_be_touched(
        &self,
        guest: &Haunted,
        happening: Happening,
        now: Timestamp,
        scene: &Scene<'_>,
    ) -> bool {
        let seat = scene.memory.node(self.node).body.seat.as_ref();
        guest.meets
            || guest.may_be_touched(scene.world, seat.filter(|_| happening != Happening::Forgotten), now)
    }

    /// Plays what happens to it while a fault can touch it: with its own name, and without remembering anything.
    fn play(&mut self, mut guest: Box<Haunted>, happening: Happening, now: Timestamp, scene: &mut Scene<'_>) {
        let mut body = self.body(scene.memory);
        body.agent.set_name(&guest.name);
        for timing in play(&mut body, happening, now, Some(&mut guest), scene) {
            self.schedule.take(timing, now);
        }
        self.guest = Some(guest);
        (self.dates, self.counts) = (body.agent.dates(), body.agent.counts());
        self.node = scene.memory.admit(body, scene.world);
    }

    /// What it has written in heartbeats that were passed over.
    fn write_row(&self, row: &Row, scene: &mut Scene<'_>) {
        for at in row.moments() {
            let Some(question) = self.question(Happening::Wake, at, scene) else { continue };
            let reply = scene.memory.ask(question, scene.world, self.seed, at);
            if let Some(log) = &mut scene.log {
                log.note(&reply.lines, &reply.dealings, at);
            }
        }
    }
}

/// Who a client is to the faults, where there may be any, and to the site, where it may share a hardware id.
fn guest(image: &Image, who: Who, scene: &Scene<'_>) -> Option<Box<Haunted>> {
    let version = image.body.agent.profile().version;
    (scene.world.is_haunted || who.meets).then(|| Box::new(Haunted::new(who, version)))
}

/// Lets something happen to a client, and notes what comes of it; returns what it has decided about its heartbeats.
fn play(
    body: &mut Body,
    happening: Happening,
    now: Timestamp,
    guest: Option<&mut Haunted>,
    scene: &mut Scene<'_>,
) -> Vec<Timing> {
    let cause = match happening {
        Happening::Start => Cause::Told(Input::Start),
        Happening::Stop => Cause::Told(Input::Stop),
        Happening::Wake => Cause::Told(Input::Wake),
        Happening::Changed => Cause::Changed,
        Happening::Move(place) => Cause::Told(Input::MoveTo(scene.memory.location(place))),
        Happening::Import(file) => scene.memory.import(file),
        Happening::Identify(number) => {
            let own = guest.as_ref().map(|guest| guest.own_machine(scene.world.faults.seed()));
            let given = scene.memory.identities.get(number as usize).copied().flatten();
            given.or(own).map_or(Cause::Changed, |machine| Cause::Told(Input::Identify(machine)))
        }
        Happening::Forgotten => {
            body.seat = None;
            Cause::Changed
        }
    };
    let (mut guest, was_held) = (guest, u64::from(body.held.is_some()));
    let meeting = guest.as_mut().filter(|guest| guest.meets).map(|guest| {
        guest.held_by_others = scene.memory.held.saturating_sub(was_held);
        guest.machine
    });
    if let Some(machine) = meeting {
        body.agent.set_machine(machine);
        body.seat = scene.memory.shared.get(&agent_id(body.agent.machine())).cloned();
    }
    let Breath { timings, lines, visits, dealings, broken } = body.breathe(cause, scene.world, now, guest);
    if meeting.is_some() {
        if let Some(seat) = &body.seat {
            scene.memory.shared.insert(seat.agent, seat.clone());
        }
        scene.memory.held = scene.memory.held.saturating_sub(was_held) + u64::from(body.held.is_some());
    }
    scene.memory.broken.extend(broken);
    for manager in visits {
        scene.tally.visited(now, manager);
    }
    if let Some(log) = &mut scene.log {
        log.note(&lines, &dealings, now);
    }
    timings
}
