//! A large fleet in one process: each client is an agent with a ticket of its own, and takes a hundred bytes between two
//! heartbeats.
//!
//! A few workers take what is due from one queue: they wake the agent ([`DormantAgent`]), carry out its exchanges over
//! sockets, and put it to sleep again. No task belongs to a client, except while its manager holds a request in push
//! mode. The behaviour is the agent's; nothing here decides.

mod due_queue;
mod figures;
mod lines;
mod machine;
mod member;
mod store;

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use epm_protocol::time::{Clock, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use self::due_queue::{DueQueue, Next};
use self::figures::{Figures, cause};
use self::machine::anonymous_memory;
use super::clock::{LabClock, Stopwatch, wait};
use super::connection::{Endpoint, Handshakes, Session};
use super::tls_memory::{SharedTls, Ticket, TicketSlot};
use crate::agent::{
    Agent, DormantAgent, Exchange, Health, Input, MOST_REPORTED, Output, ReportedState, SharedStates,
    StateGroups,
};
use crate::scenario::booted_before;

pub use lines::{ClientChange, FleetFigures, FleetLine, FleetPlan, Quantiles};
pub use machine::{FleetNeeds, MachineLimits, TooLarge};
pub use member::{FleetSpec, shard};
pub use store::{FleetStore, FleetStoreError};

/// The time that a heartbeat may take without the client counting as one that did not check in.
const GRACE: Duration = Duration::from_secs(1);

/// The time between two syncs of the file with the clients' caches.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// A function that receives the changes of clients: they are no longer served, or served again. Must not block.
pub type ChangeSink = Box<dyn Fn(ClientChange) + Send + Sync>;

/// A large fleet that runs until it is stopped.
#[derive(Debug)]
pub struct CompactFleet {
    run: Arc<Run>,
    workers: JoinSet<()>,
}

/// What the workers of a fleet share.
struct Run {
    spec: FleetSpec,
    clock: Arc<LabClock>,
    began: Timestamp,
    members: Mutex<Vec<Member>>,
    queue: Mutex<DueQueue>,
    /// One worker waits for what is due next; the others wait for it.
    next_in_line: tokio::sync::Mutex<()>,
    /// Something is due earlier than the worker that waits knows.
    earlier: Notify,
    states: Mutex<SharedStates>,
    tls: Arc<SharedTls>,
    handshakes: Arc<Handshakes>,
    /// Permits for heartbeats that begin when a held request ends.
    held_turns: Semaphore,
    period: Mutex<Figures>,
    whole: Mutex<Figures>,
    /// The beginning of the period.
    since: Mutex<Stopwatch>,
    changes: ChangeSink,
    /// Clients whose manager holds a request, if they are reported.
    held: OnceLock<Mutex<HashMap<u32, Agent>>>,
    /// The file with the clients' caches, if they are kept.
    store: Option<Mutex<FleetStore>>,
    /// Why the fleet has stopped by itself: a client that cannot keep what it has learnt must stop.
    failed: Mutex<Option<FleetStoreError>>,
    stopping: watch::Sender<bool>,
}

/// A client between two heartbeats.
#[derive(Debug, Default)]
struct Member {
    /// None before the client's first heartbeat has ended.
    dormant: Option<DormantAgent>,
    ticket: Option<Ticket>,
    /// Whether its manager holds a request.
    is_held: bool,
}

// A hundred thousand of these must fit into 150 MiB with what rustls keeps of a ticket on the heap.
const _: () = assert!(size_of::<Member>() <= 240, "a client between two heartbeats has become larger");

/// An awake client, and what it needs for its exchanges.
struct Awake {
    index: u32,
    agent: Box<Agent>,
    /// The client as it slept before; none before its first heartbeat has ended.
    before: Option<DormantAgent>,
    /// The health that was told last.
    told: Discriminant<Health>,
    session: Session,
    tickets: Arc<TicketSlot>,
}

/// How a client goes on after its outputs have been carried out.
enum Then {
    /// The client rests.
    Rests,
    /// The client asks its manager to hold a request.
    Holds(Box<Exchange>),
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("spec", &self.spec.name).finish_non_exhaustive()
    }
}

impl CompactFleet {
    /// Starts a fleet. Its clients' machines were booted up to 30 days before, so that their heartbeats are spread over
    /// the interval; each has its first heartbeat as soon as it is started.
    pub fn start(
        spec: FleetSpec,
        clock: Arc<LabClock>,
        store: Option<FleetStore>,
        changes: ChangeSink,
    ) -> Self {
        let began = clock.now();
        let in_flight = usize::try_from(spec.in_flight).unwrap_or(usize::MAX);
        let run = Arc::new(Run {
            members: Mutex::new((0..spec.clients).map(|_| Member::default()).collect()),
            queue: Mutex::new(DueQueue::new(spec.clients, spec.ramp, began)),
            began,
            next_in_line: tokio::sync::Mutex::default(),
            earlier: Notify::new(),
            states: Mutex::default(),
            tls: Arc::default(),
            handshakes: Arc::default(),
            held_turns: Semaphore::new(in_flight),
            period: Mutex::default(),
            whole: Mutex::default(),
            since: Mutex::new(Stopwatch::start()),
            changes,
            held: OnceLock::new(),
            store: store.map(Mutex::new),
            failed: Mutex::default(),
            stopping: watch::Sender::new(false),
            spec,
            clock,
        });
        let mut workers = JoinSet::new();
        workers.spawn(Arc::clone(&run).sync_regularly());
        for _ in 0..in_flight {
            workers.spawn(Arc::clone(&run).work());
        }
        Self { run, workers }
    }

    /// The figures since this was last called, or since the start.
    pub fn take_figures(&self) -> FleetFigures {
        let period = std::mem::take(&mut *self.run.period.lock());
        self.run.whole.lock().merge(&period);
        let since = std::mem::replace(&mut *self.run.since.lock(), Stopwatch::start());
        self.run.figures(&period, since.elapsed())
    }

    /// The figures since the start.
    pub fn figures(&self) -> FleetFigures {
        self.take_figures();
        let whole = self.run.whole.lock().clone();
        self.run.figures(&whole, self.run.clock.now().since(self.run.began))
    }

    /// The states of the clients for reports, from now on.
    pub fn states(&self) -> FleetStates {
        self.run.held.get_or_init(Mutex::default);
        FleetStates(Arc::clone(&self.run))
    }

    /// Returns when the fleet has stopped by itself, since its caches cannot be written.
    pub async fn has_failed(&self) {
        let _ = self.run.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Begins no more heartbeats, and returns when those under way have ended, at the latest after this time.
    ///
    /// # Errors
    ///
    /// When the clients' caches could not be written.
    pub async fn stop(&mut self, patience: Duration) -> Result<(), FleetStoreError> {
        self.run.stopping.send_replace(true);
        let all = async { while self.workers.join_next().await.is_some() {} };
        tokio::select! {
            () = all => {}
            () = wait(patience) => {}
        }
        self.workers.shutdown().await;
        self.run.failed.lock().take().map_or(Ok(()), Err)
    }
}

impl Run {
    /// Syncs the file with the clients' caches every second, and once more when the fleet stops.
    async fn sync_regularly(self: Arc<Self>) {
        let Some(store) = &self.store else { return };
        let mut stopping = self.stopping.subscribe();
        loop {
            tokio::select! {
                () = wait(SYNC_EVERY) => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
            let is_last = *stopping.borrow();
            let file = store.lock().file();
            let synced = tokio::task::spawn_blocking(move || file?.sync_data()).await;
            if let Ok(Err(source)) = synced {
                let path = store.lock().path().to_owned();
                return self.fail(FleetStoreError::Io { operation: "write", path, source });
            }
            if is_last {
                return;
            }
        }
    }

    /// Stops the fleet, since a cache could not be written.
    fn fail(&self, error: FleetStoreError) {
        self.failed.lock().get_or_insert(error);
        self.stopping.send_replace(true);
    }

    /// Takes what is due, until the fleet is stopped.
    async fn work(self: Arc<Self>) {
        while let Some(next) = self.next().await {
            let (index, due) = match next {
                Next::Heartbeat(index, due) => (index, Some(due)),
                Next::Start(index) => (index, None),
                Next::Wait(_) => continue,
            };
            if let Some(due) = due {
                self.period.lock().late.add(self.clock.now().since(due));
            }
            Box::pin(Self::heartbeat(&self, index)).await;
        }
    }

    /// Waits for what is due next; none if the fleet is stopped.
    async fn next(&self) -> Option<Next> {
        let _first = self.next_in_line.lock().await;
        let mut stopping = self.stopping.subscribe();
        loop {
            if *stopping.borrow_and_update() {
                return None;
            }
            let next = self.queue.lock().take(self.clock.now());
            let Next::Wait(until) = next else { return Some(next) };
            tokio::select! {
                () = self.clock.sleep_until(until) => {}
                () = self.earlier.notified() => {}
                _ = stopping.changed() => {}
            }
        }
    }

    /// Wakes a client, or starts it, and lets it have a heartbeat.
    async fn heartbeat(run: &Arc<Self>, index: u32) {
        let (before, ticket) = {
            let mut members = run.members.lock();
            let Some(member) = members.get_mut(index as usize) else { return };
            (member.dormant.clone(), member.ticket.take())
        };
        let mut agent = match &before {
            Some(dormant) => dormant.wake(run.spec.profile(index)),
            None => {
                let kept = run.store.as_ref().and_then(|store| store.lock().take(run.spec.number(index)));
                run.spec.agent(index, kept)
            }
        };
        let now = run.clock.now();
        if before.is_none() {
            let booted = booted_before(agent.profile().seed, now);
            agent.handle(Input::Start { booted }, now);
        }
        let tickets = Arc::new(run.tls.slot(ticket));
        let endpoint = Endpoint::leaving_nothing(run.spec.source(index));
        let session = Session::new(Arc::clone(&run.clock), Arc::clone(&run.handshakes), Arc::new(endpoint))
            .sharing(Arc::clone(&run.tls), Arc::clone(&tickets));
        let told = discriminant(&agent.cache().state.health);
        let awake = Awake { index, agent: Box::new(agent), before, told, session, tickets };
        if let Some((awake, held)) = run.give(awake, Input::Wake).await {
            tokio::spawn(Self::hold(Arc::clone(run), awake, held));
        }
    }

    /// Waits for the end of a held request, or for the client's next heartbeat, until the client holds none.
    async fn hold(run: Arc<Self>, mut awake: Awake, mut held: Box<Exchange>) {
        let mut stopping = run.stopping.subscribe();
        loop {
            let wake = awake.agent.next_wake();
            let input = tokio::select! {
                outcome = awake.session.exchange(&held) => Input::Answered { exchange: held.id, outcome },
                () = run.clock.sleep_until(wake) => Input::Wake,
                _ = stopping.wait_for(|stopping| *stopping) => return,
            };
            if matches!(input, Input::Wake) {
                awake.session.close();
            }
            let Ok(_turn) = run.held_turns.acquire().await else { return };
            match Box::pin(run.give(awake, input)).await {
                Some((again, request)) => (awake, held) = (again, request),
                None => return,
            }
        }
    }

    /// Gives a client an input and carries out what follows from it. Returns the client with the request that its manager
    /// is to hold; none if it sleeps again.
    async fn give(&self, mut awake: Awake, input: Input) -> Option<(Awake, Box<Exchange>)> {
        let took = Stopwatch::start();
        let before = awake.agent.counts();
        let then = self.converse(&mut awake, input).await;
        let after = awake.agent.counts();
        if after.heartbeats > before.heartbeats {
            let is_served = after.heartbeats_served > before.heartbeats_served;
            let exchanges = after.exchanges - before.exchanges;
            let health = &awake.agent.cache().state.health;
            self.period.lock().count(is_served, health, exchanges, took.elapsed());
        }
        self.tell(&mut awake);
        match then {
            Then::Holds(request) => {
                if let Some(member) = self.members.lock().get_mut(awake.index as usize) {
                    member.is_held = true;
                }
                if let Some(held) = self.held.get() {
                    held.lock().insert(awake.index, Agent::clone(&awake.agent));
                }
                Some((awake, request))
            }
            Then::Rests => {
                awake.session.end().await;
                self.sleeps(awake);
                None
            }
        }
    }

    /// Lets a client handle an input and the answers to what it asks, until it rests or its manager holds a request.
    async fn converse(&self, awake: &mut Awake, mut input: Input) -> Then {
        loop {
            let mut request = None;
            for output in awake.agent.handle(input, self.clock.now()) {
                match output {
                    Output::Send(exchange) => {
                        if request.replace(exchange).is_some() {
                            awake.session.close();
                        }
                    }
                    Output::EndSession => {
                        // At the end of a heartbeat the session ends in order, in `give`.
                        if request.take().is_some() || !awake.agent.is_resting() {
                            awake.session.close();
                        }
                    }
                    Output::Persist(cache) => {
                        if let Some(store) = &self.store {
                            let saved = store.lock().save(self.spec.number(awake.index), *cache);
                            if let Err(error) = saved {
                                self.fail(error);
                                return Then::Rests;
                            }
                        }
                    }
                    Output::Log(line) => {
                        tracing::debug!(client = awake.agent.profile().computer_name, "{line}");
                    }
                    Output::Odd(what) => tracing::debug!(what, "an input that made no sense"),
                }
            }
            let Some(exchange) = request else { return Then::Rests };
            if awake.agent.held() == Some(exchange.id) {
                return Then::Holds(exchange);
            }
            let outcome = awake.session.exchange(&exchange).await;
            input = Input::Answered { exchange: exchange.id, outcome };
        }
    }

    /// Reports a client that is no longer served, or is served again.
    fn tell(&self, awake: &mut Awake) {
        let health = &awake.agent.cache().state.health;
        let was = std::mem::replace(&mut awake.told, discriminant(health));
        let is_first = was == discriminant(&Health::New);
        if was == awake.told || is_first && health.is_connected() {
            return;
        }
        (self.changes)(ClientChange {
            client: awake.agent.profile().computer_name.clone(),
            at: self.clock.now(),
            served: health.is_connected(),
            cause: cause(health),
            health: health.clone(),
        });
    }

    /// Puts a client to sleep until its next heartbeat.
    fn sleeps(&self, awake: Awake) {
        let Awake { index, agent, before, tickets, .. } = awake;
        let wake = agent.next_wake();
        let dormant = self.states.lock().sleep(*agent, before.as_ref()).ok();
        if let Some(member) = self.members.lock().get_mut(index as usize) {
            *member = Member { dormant, ticket: self.tls.take(&tickets), is_held: false };
        }
        if let Some(held) = self.held.get() {
            held.lock().remove(&index);
        }
        if self.queue.lock().plan(index, wake) {
            self.earlier.notify_one();
        }
    }

    /// The figures of a period that ends now.
    fn figures(&self, period: &Figures, length: Duration) -> FleetFigures {
        let now = self.clock.now();
        let (mut served, mut disconnected, mut orphaned, mut covered) = (0, 0, 0, 0);
        for member in self.members.lock().iter() {
            let Some(dormant) = member.dormant.as_ref().filter(|_| !member.is_held) else {
                (served, covered) = (served + u32::from(member.is_held), covered + u32::from(member.is_held));
                continue;
            };
            match dormant.health() {
                Health::New => {}
                Health::Connected { .. } => {
                    served += 1;
                    covered +=
                        u32::from(now.since(dormant.last_heartbeat()) <= dormant.longest_interval() + GRACE);
                }
                Health::Disconnected { .. } => disconnected += 1,
                Health::Orphaned { .. } => orphaned += 1,
            }
        }
        let clients = self.spec.clients;
        let share = |count: u32| f64::from(count) / f64::from(clients.max(1));
        FleetFigures {
            at: now,
            seconds: rounded(now.since(self.began).as_secs_f64()),
            clients,
            started: self.queue.lock().started(),
            served,
            disconnected,
            orphaned,
            coverage: rounded(share(covered)),
            heartbeats: period.heartbeats,
            heartbeats_per_second: rounded(period.heartbeats as f64 / length.as_secs_f64().max(0.001)),
            unserved: period.unserved,
            causes: period.causes.clone(),
            exchanges: period.exchanges,
            latency: period.took.quantiles(),
            late: period.late.quantiles(),
            full_handshakes: self.handshakes.full(),
            resumed_handshakes: self.handshakes.resumed(),
            states: u32::try_from(self.states.lock().count()).unwrap_or(u32::MAX),
            memory_bytes: anonymous_memory(),
        }
    }
}

/// The states of a fleet's clients.
#[derive(Clone, Debug)]
pub struct FleetStates(Arc<Run>);

impl FleetStates {
    /// The number of parts that the clients are looked at in.
    pub fn parts(&self) -> u32 {
        self.0.spec.clients.div_ceil(Self::PART).max(1)
    }

    /// The states of the clients of a part, from 1, that have ended a heartbeat.
    pub fn of_part(&self, part: u32) -> Vec<ReportedState> {
        let (run, first) = (&self.0, part.saturating_sub(1) * Self::PART);
        let sleeping: Vec<(u32, DormantAgent)> = {
            let members = run.members.lock();
            let part = members.iter().enumerate().skip(first as usize).take(MOST_REPORTED);
            let index = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
            let sleeping = part.filter(|(_, member)| !member.is_held);
            sleeping.filter_map(|(place, member)| Some((index(place), member.dormant.clone()?))).collect()
        };
        let now = run.clock.now();
        let mut states = StateGroups::default();
        for (index, dormant) in sleeping {
            let client = dormant.reported(run.spec.client_name(index));
            let is = (!dormant.is_stopped(), dormant.is_silent(now));
            let first = || dormant.wake(run.spec.profile(index)).view();
            states.add_numbered(dormant.state_number(), is, client, first);
        }
        for (_, agent) in run
            .held
            .get()
            .into_iter()
            .flat_map(|held| held.lock().clone())
            .filter(|(index, _)| index / Self::PART + 1 == part)
        {
            states.add(agent.view(), !agent.is_stopped(), agent.is_silent(now));
        }
        states.into_states()
    }

    const PART: u32 = MOST_REPORTED as u32;
}

/// A number with three digits after the point.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
