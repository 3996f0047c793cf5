//! The task of an agent: it waits for the agent's inputs, and carries out its outputs.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use epm_protocol::id::AgentId;
use epm_protocol::policy::PolicySerial;
use epm_protocol::sylink::Sylink;
use epm_protocol::time::{Clock, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::agenda::{Agenda, Entry, Seat};
use super::clock::LabClock;
use super::connection::{Endpoint, Handshakes, Session};
use super::store::{DiskCache, StoreError};
use super::tls_memory::SharedTls;
use crate::agent::{
    Agent, AgentView, Cache, Exchange, Input, KeptAgent, LogLine, Output, ReportedState, SharedStates,
    StateGroups,
};
use crate::scenario::booted_before;

/// A function that receives an agent's log lines. Called in the agent's task; must not block.
pub type LogSink = Arc<dyn Fn(&str, &LogLine) + Send + Sync>;

/// A function that receives an agent's view whenever the agent has come to rest. Called in the agent's task; must not
/// block.
pub type Watcher = Arc<dyn Fn(&AgentView, Timestamp) + Send + Sync>;

/// The number of inputs that may queue for an agent.
const INPUTS: usize = 16;

/// The handle of a running agent.
#[derive(Clone, Debug)]
pub struct AgentHandle {
    agent: Arc<Mutex<Agent>>,
    handshakes: Arc<Handshakes>,
    endpoint: Arc<Endpoint>,
    /// Boxed, since a queue has room for many inputs from the beginning.
    inputs: mpsc::Sender<Box<Input>>,
    /// The number of external inputs that the agent has not handled yet.
    unheard: Arc<AtomicU64>,
    /// Whether outputs of the agent are being carried out.
    acts: Arc<AtomicBool>,
    /// Whether the agent is kept from waking.
    frozen: watch::Sender<bool>,
    progressed: Arc<Progressed>,
    seat: Arc<Seat>,
}

/// How often an agent has handled an input, and how often its cache has changed.
#[derive(Debug, Default)]
struct Progressed {
    inputs: AtomicU64,
    caches: AtomicU64,
}

/// A request that a manager holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldRequest {
    /// The number of the exchange.
    pub exchange: u64,
    /// The agent that made the request.
    pub agent: AgentId,
    /// The serial of the policy that the agent said it holds.
    pub serial: Option<PolicySerial>,
}

/// The state of an agent's task.
pub(super) struct Driver {
    agent: Arc<Mutex<Agent>>,
    inputs: mpsc::Receiver<Box<Input>>,
    unheard: Arc<AtomicU64>,
    acts: Arc<AtomicBool>,
    clock: Arc<LabClock>,
    log: LogSink,
    watcher: Option<Watcher>,
    frozen: watch::Receiver<bool>,
    disk: Option<DiskCache>,
    progress: watch::Sender<u64>,
    session: Arc<tokio::sync::Mutex<Session>>,
    shared: Arc<Shared>,
    /// The communications file that the agent shares with others, if it is in that state.
    shared_file: Option<Arc<Sylink>>,
    under_way: Option<UnderWay>,
    turn: Option<OwnedSemaphorePermit>,
    /// The last reading of the clock.
    seen: Timestamp,
    progressed: Arc<Progressed>,
    seat: Arc<Seat>,
}

/// What the agents of a fleet share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Limits the agents that are in a heartbeat at the same time.
    turns: Arc<Semaphore>,
    states: Mutex<SharedStates>,
    tls: Arc<SharedTls>,
    pub(super) agenda: Arc<Agenda>,
}

impl Shared {
    /// What agents share of which this many may be in a heartbeat at the same time.
    pub(super) fn with_turns(turns: usize) -> Arc<Self> {
        let turns = Arc::new(Semaphore::new(turns));
        Arc::new(Self { turns, states: Mutex::default(), tls: Arc::default(), agenda: Arc::default() })
    }
}

/// An exchange under way. When it is dropped, the session is free again.
type UnderWay = std::pin::Pin<Box<dyn Future<Output = Input> + Send>>;

impl AgentHandle {
    /// The present view of the agent.
    pub fn view(&self) -> AgentView {
        lock(&self.agent).view()
    }

    /// What a report says of the agent, also after its task has ended.
    pub fn reported(&self) -> impl Fn(Timestamp) -> Vec<ReportedState> + Clone + Send + use<> {
        let agent = Arc::clone(&self.agent);
        move |now| {
            let agent = lock(&agent);
            let mut view = agent.view();
            view.heartbeats -= u64::from(!agent.is_resting() && view.heartbeats > 0);
            let mut states = StateGroups::default();
            states.add(view, !agent.is_stopped(), agent.is_silent(now));
            states.into_states()
        }
    }

    /// A copy of the agent in its present state.
    pub fn agent(&self) -> Agent {
        lock(&self.agent).clone()
    }

    /// The identifier of the agent, once a manager has registered it.
    pub fn agent_id(&self) -> Option<AgentId> {
        lock(&self.agent).cache().state.agent
    }

    /// Numbers that grow whenever the agent has handled an input, and whenever its cache has changed.
    pub fn revision(&self) -> (u64, u64) {
        (self.progressed.inputs.load(Ordering::Acquire), self.progressed.caches.load(Ordering::Acquire))
    }

    /// What is kept of the agent beside its cache, as it is now.
    pub fn keep(&self, now: Timestamp) -> KeptAgent {
        lock(&self.agent).keep(now)
    }

    /// The agent's cache.
    pub fn cache(&self) -> Cache {
        lock(&self.agent).cache().clone()
    }

    /// Keeps the agent from waking by itself, or lets it again: a machine that is on, whose client does nothing.
    pub fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
        self.note();
    }

    /// Whether the agent is kept from waking.
    pub fn is_frozen(&self) -> bool {
        *self.frozen.borrow()
    }

    /// The TLS handshakes of the agent.
    pub fn handshakes(&self) -> &Handshakes {
        &self.handshakes
    }

    /// Whether the agent is between two heartbeats. The lines of the last one are in the log then.
    pub fn is_resting(&self) -> bool {
        let agent = lock(&self.agent);
        !self.acts.load(Ordering::SeqCst) && agent.is_resting()
    }

    /// The source of the agent's open or last connection.
    pub fn connection(&self) -> Option<SocketAddr> {
        self.endpoint.at()
    }

    /// Makes the agent abandon a pending request, as if its time were over.
    pub fn give_up(&self) {
        self.endpoint.give_up();
    }

    /// Gives the agent an input. Returns false when its task has ended.
    pub async fn tell(&self, input: Input) -> bool {
        self.unheard.fetch_add(1, Ordering::SeqCst);
        self.note();
        self.inputs.send(Box::new(input)).await.is_ok()
    }

    /// Starts the agent at this time, on a machine that was booted up to 30 days before. Returns false when its task has
    /// ended.
    pub async fn start_long_after_boot(&self, now: Timestamp) -> bool {
        let seed = lock(&self.agent).profile().seed;
        self.tell(Input::Start { booted: booted_before(seed, now) }).await
    }

    /// Continues after the clock was set from `then` to `now`: the agent's heartbeats keep their phase.
    pub fn clock_moved(&self, then: Timestamp, now: Timestamp) {
        lock(&self.agent).clock_moved(then, now);
        self.note();
        self.frozen.send_modify(|_| ()); // wakes the task, which sleeps until another time
    }

    /// The time at which the agent wants to be woken.
    pub fn next_wake(&self) -> Timestamp {
        if self.is_frozen() { Timestamp::NEVER } else { lock(&self.agent).next_wake() }
    }

    /// Whether the agent has handled all external inputs.
    pub fn has_heard(&self) -> bool {
        self.unheard.load(Ordering::SeqCst) == 0
    }

    /// Whether the agent has handled all external inputs, rests, and has nothing to do until after `now`. Its lines are
    /// in the log then, and its state is kept.
    pub fn is_settled(&self, now: Timestamp) -> bool {
        let is_frozen = self.is_frozen();
        let agent = lock(&self.agent);
        self.unheard.load(Ordering::SeqCst) == 0
            && !self.acts.load(Ordering::SeqCst)
            && agent.is_resting()
            && (is_frozen || agent.next_wake() > now)
    }

    /// The number of the agent in its fleet; that of no other agent, before or after.
    pub fn number(&self) -> u64 {
        self.seat.number()
    }

    /// Takes the agent off the fleet's agenda: it has left the fleet.
    pub(super) fn leave(&self) {
        self.seat.leave();
    }

    fn note(&self) {
        note(&self.seat, &self.agent, &self.unheard, &self.acts, || self.is_frozen());
    }

    /// The request that the agent's manager holds, in push mode.
    pub fn held(&self) -> Option<HeldRequest> {
        let agent = lock(&self.agent);
        let state = &agent.cache().state;
        Some(HeldRequest { exchange: agent.held()?, agent: state.agent?, serial: state.complete })
    }
}

/// Prepares a running agent: the handle, and the task to spawn.
///
/// `progress` counts heartbeats that have ended.
pub(super) fn prepare(
    agent: Agent,
    clock: Arc<LabClock>,
    (log, watcher): (LogSink, Option<Watcher>),
    disk: Option<DiskCache>,
    progress: watch::Sender<u64>,
    source: Option<Ipv4Addr>,
    shared: Arc<Shared>,
) -> (AgentHandle, Driver) {
    let agent = Arc::new(Mutex::new(agent));
    let handshakes = Arc::new(Handshakes::default());
    let endpoint = Arc::new(Endpoint::from(source));
    let (sender, inputs) = mpsc::channel(INPUTS);
    let unheard = Arc::new(AtomicU64::new(0));
    let acts = Arc::new(AtomicBool::new(false));
    let (frozen, is_frozen) = watch::channel(false);
    let seat = Arc::new(shared.agenda.seat());
    let handle = AgentHandle {
        agent: Arc::clone(&agent),
        handshakes: Arc::clone(&handshakes),
        endpoint: Arc::clone(&endpoint),
        inputs: sender,
        unheard: Arc::clone(&unheard),
        acts: Arc::clone(&acts),
        frozen,
        progressed: Arc::default(),
        seat: Arc::clone(&seat),
    };
    handle.note();
    let tickets = Arc::new(shared.tls.slot(None));
    let session =
        Session::new(Arc::clone(&clock), handshakes, endpoint).sharing(Arc::clone(&shared.tls), tickets);
    let driver = Driver {
        progressed: Arc::clone(&handle.progressed),
        agent,
        inputs,
        unheard,
        acts,
        clock,
        log,
        watcher,
        frozen: is_frozen,
        disk,
        progress,
        session: Arc::new(tokio::sync::Mutex::new(session)),
        shared,
        shared_file: None,
        under_way: None,
        turn: None,
        seen: Timestamp::EPOCH,
        seat,
    };
    (handle, driver)
}

/// Runs one agent until it is told to stop, or its handle is dropped.
///
/// # Errors
///
/// When its cache cannot be written: a client that cannot keep what it has learnt must stop.
pub fn drive(
    agent: Agent,
    clock: Arc<LabClock>,
    log: LogSink,
    disk: Option<DiskCache>,
) -> (AgentHandle, impl Future<Output = Result<(), StoreError>> + Send) {
    let (handle, driver) =
        prepare(agent, clock, (log, None), disk, watch::Sender::new(0), None, Shared::with_turns(1));
    (handle, driver.run())
}

impl Driver {
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        while let Some((input, is_told)) = self.next_input().await {
            self.hear(input).await?;
            if is_told {
                self.unheard.fetch_sub(1, Ordering::SeqCst);
                self.note();
                self.progress.send_modify(|count| *count += 1);
            }
        }
        self.hear(Input::Stop).await
    }

    /// Gives the agent an input, and carries out its outputs.
    async fn hear(&mut self, input: Input) -> Result<(), StoreError> {
        if matches!(input, Input::Wake | Input::UpdateNow) && self.turn.is_none() {
            self.turn = Arc::clone(&self.shared.turns).acquire_owned().await.ok();
        }
        // Set before the agent has decided: otherwise it would seem settled before its lines are in the log.
        self.acts.store(true, Ordering::SeqCst);
        self.note();
        let outputs = lock(&self.agent).handle(input, self.clock.now());
        self.progressed.inputs.fetch_add(1, Ordering::Release);
        if outputs.iter().any(|output| matches!(output, Output::Persist(_))) {
            self.progressed.caches.fetch_add(1, Ordering::Release);
        }
        for output in outputs {
            self.carry_out(output).await?;
        }
        let is_resting = lock(&self.agent).is_resting();
        if is_resting {
            self.share();
            self.turn = None;
            if let Some(watcher) = &self.watcher {
                watcher(&lock(&self.agent).view(), self.clock.now());
            }
        }
        self.acts.store(false, Ordering::SeqCst);
        self.note();
        if is_resting {
            self.progress.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// Lets the agent share its files with others that have the same, once after each change of its communications file.
    fn share(&mut self) {
        let mut agent = lock(&self.agent);
        if self.shared_file.as_ref().is_none_or(|file| !Arc::ptr_eq(file, &agent.cache().sylink)) {
            let shared = self.shared.states.lock().share(agent.clone());
            self.shared_file = Some(Arc::clone(&shared.cache().sylink));
            *agent = shared;
        }
    }

    /// The next input of the agent, and whether it is external; none when its handle is gone.
    async fn next_input(&mut self) -> Option<(Input, bool)> {
        loop {
            let is_frozen = *self.frozen.borrow_and_update();
            let wake = {
                let _steady = self.clock.steady();
                let now = self.clock.now();
                if now < std::mem::replace(&mut self.seen, now) {
                    lock(&self.agent).replan(now);
                    self.note();
                }
                if is_frozen { Timestamp::NEVER } else { lock(&self.agent).next_wake() }
            };
            let answered = async {
                match &mut self.under_way {
                    Some(exchange) => exchange.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                answer = answered => {
                    self.under_way = None;
                    return Some((answer, false));
                }
                input = self.inputs.recv() => return input.map(|input| (*input, true)),
                _ = self.clock.sleep_or_set_back(wake), if wake != Timestamp::NEVER => {
                    // The clock may have been set, which moves the agent's heartbeats.
                    let _steady = self.clock.steady();
                    if lock(&self.agent).next_wake() <= self.clock.now() {
                        return Some((Input::Wake, false));
                    }
                }
                // The handle is gone, the agent was frozen or thawed, or the clock was set.
                changed = self.frozen.changed() => changed.ok()?,
            }
        }
    }

    /// Notes the agent's state in the fleet's agenda.
    fn note(&self) {
        note(&self.seat, &self.agent, &self.unheard, &self.acts, || *self.frozen.borrow());
    }

    async fn carry_out(&mut self, output: Output) -> Result<(), StoreError> {
        match output {
            Output::Send(exchange) => self.send(*exchange).await,
            Output::EndSession => {
                self.under_way = None;
                self.session.lock().await.close();
            }
            Output::Persist(cache) => {
                if let Some(disk) = &mut self.disk {
                    disk.save(&cache)?;
                }
            }
            Output::Log(line) => {
                let name = lock(&self.agent).profile().computer_name.clone();
                tracing::debug!(client = name, "{line}");
                (self.log)(&name, &line);
            }
            Output::Odd(what) => tracing::debug!(what, "an input that made no sense"),
        }
        Ok(())
    }

    /// Begins an exchange; an exchange that is still under way is abandoned with its connection.
    async fn send(&mut self, exchange: Exchange) {
        if self.under_way.take().is_some() {
            self.session.lock().await.close();
        }
        let session = Arc::clone(&self.session);
        self.under_way = Some(Box::pin(async move {
            let outcome = session.lock().await.exchange(&exchange).await;
            Input::Answered { exchange: exchange.id, outcome }
        }));
    }
}

/// Notes the state of an agent in its fleet's agenda. Called after each change of what it reads; the agent is not locked.
fn note(
    seat: &Seat,
    agent: &Mutex<Agent>,
    unheard: &AtomicU64,
    acts: &AtomicBool,
    is_frozen: impl FnOnce() -> bool,
) {
    seat.note(|| {
        let is_frozen = is_frozen();
        let agent = lock(agent);
        Entry {
            is_busy: unheard.load(Ordering::SeqCst) > 0 || acts.load(Ordering::SeqCst) || !agent.is_resting(),
            is_held: agent.held().is_some() && agent.cache().state.agent.is_some(),
            wake: if is_frozen { Timestamp::NEVER } else { agent.next_wake() },
        }
    });
}

fn lock(agent: &Mutex<Agent>) -> MutexGuard<'_, Agent> {
    agent.lock()
}
