//! One agent, one task: it waits for what the agent waits for, and carries out what the agent wishes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use epm_protocol::id::AgentId;
use epm_protocol::policy::PolicySerial;
use epm_protocol::time::{Clock, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::clock::LabClock;
use super::connection::{Endpoint, Handshakes, Session};
use super::store::{DiskCache, StoreError};
use crate::agent::{Agent, AgentView, Exchange, Input, LogLine, Output};
use crate::scenario::booted_before;

/// Where an agent's log lines go. Called in the agent's task; must not block.
pub type LogSink = Arc<dyn Fn(&str, &LogLine) + Send + Sync>;

/// Who is told what an agent looks like, whenever it has come to rest. Called in the agent's task; must not block.
pub type Watcher = Arc<dyn Fn(&AgentView, Timestamp) + Send + Sync>;

/// How many inputs may wait for an agent.
const INPUTS: usize = 16;

/// A running agent, from outside.
#[derive(Clone, Debug)]
pub struct AgentHandle {
    agent: Arc<Mutex<Agent>>,
    handshakes: Arc<Handshakes>,
    endpoint: Arc<Endpoint>,
    inputs: mpsc::Sender<Input>,
    /// How many inputs it was told from outside and has not yet acted on.
    unheard: Arc<AtomicU64>,
    /// Whether it is kept from waking.
    frozen: watch::Sender<bool>,
}

/// A request that a manager holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldRequest {
    /// Its number.
    pub exchange: u64,
    /// Whose it is.
    pub agent: AgentId,
    /// The policy that the agent said it holds.
    pub serial: Option<PolicySerial>,
}

/// What an agent's task needs.
pub(super) struct Driver {
    agent: Arc<Mutex<Agent>>,
    inputs: mpsc::Receiver<Input>,
    unheard: Arc<AtomicU64>,
    clock: Arc<LabClock>,
    log: LogSink,
    watcher: Option<Watcher>,
    frozen: watch::Receiver<bool>,
    disk: Option<DiskCache>,
    turns: Arc<Semaphore>,
    progress: watch::Sender<u64>,
    session: Arc<tokio::sync::Mutex<Session>>,
    under_way: Option<UnderWay>,
    turn: Option<OwnedSemaphorePermit>,
}

/// An exchange under way. When it is dropped, the session is free again.
type UnderWay = std::pin::Pin<Box<dyn Future<Output = Input> + Send>>;

impl AgentHandle {
    /// What the agent looks like now.
    pub fn view(&self) -> AgentView {
        lock(&self.agent).view()
    }

    /// The agent as it is now.
    pub fn agent(&self) -> Agent {
        lock(&self.agent).clone()
    }

    /// Its agent id, once a manager has registered it.
    pub fn agent_id(&self) -> Option<AgentId> {
        lock(&self.agent).cache().state.agent
    }

    /// Keeps it from waking by itself, or lets it again: a machine that is on, whose client does nothing.
    pub fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    /// Whether it is kept from waking.
    pub fn is_frozen(&self) -> bool {
        *self.frozen.borrow()
    }

    /// How many TLS handshakes it has made.
    pub fn handshakes(&self) -> &Handshakes {
        &self.handshakes
    }

    /// Whether it is between two heartbeats.
    pub fn is_resting(&self) -> bool {
        lock(&self.agent).is_resting()
    }

    /// Where the connection comes from that it has open, or had last.
    pub fn connection(&self) -> Option<SocketAddr> {
        self.endpoint.at()
    }

    /// If it waits for a manager, it waits no longer, as if its time were over.
    pub fn give_up(&self) {
        self.endpoint.give_up();
    }

    /// Tells the agent something. Returns false when its task has ended.
    pub async fn tell(&self, input: Input) -> bool {
        self.unheard.fetch_add(1, Ordering::SeqCst);
        self.inputs.send(input).await.is_ok()
    }

    /// Starts the agent on a machine that has been on for long at this moment. Returns false when its task has ended.
    pub async fn start_long_after_boot(&self, now: Timestamp) -> bool {
        let seed = lock(&self.agent).profile().seed;
        self.tell(Input::Start { booted: booted_before(seed, now) }).await
    }

    /// The clock has been set from `then` to `now`: the agent's heartbeats go on in their row.
    pub fn clock_moved(&self, then: Timestamp, now: Timestamp) {
        lock(&self.agent).clock_moved(then, now);
        self.frozen.send_modify(|_| ()); // its task sleeps until another moment
    }

    /// When it wants to be woken.
    pub fn next_wake(&self) -> Timestamp {
        if self.is_frozen() { Timestamp::NEVER } else { lock(&self.agent).next_wake() }
    }

    /// Whether it has acted on all that it was told.
    pub fn has_heard(&self) -> bool {
        self.unheard.load(Ordering::SeqCst) == 0
    }

    /// Whether it has acted on all that it was told, rests, and has nothing to do before a moment after `now`.
    pub fn is_settled(&self, now: Timestamp) -> bool {
        let is_frozen = self.is_frozen();
        let agent = lock(&self.agent);
        self.unheard.load(Ordering::SeqCst) == 0
            && agent.is_resting()
            && (is_frozen || agent.next_wake() > now)
    }

    /// The request that its manager holds, in push mode.
    pub fn held(&self) -> Option<HeldRequest> {
        let agent = lock(&self.agent);
        let state = &agent.cache().state;
        Some(HeldRequest { exchange: agent.held()?, agent: state.agent?, serial: state.complete })
    }
}

/// Prepares a running agent: the handle, and the task to spawn.
///
/// `turns` bounds how many agents are in a heartbeat at the same time; `progress` counts heartbeats that have ended.
pub(super) fn prepare(
    agent: Agent,
    clock: Arc<LabClock>,
    (log, watcher): (LogSink, Option<Watcher>),
    disk: Option<DiskCache>,
    turns: Arc<Semaphore>,
    progress: watch::Sender<u64>,
    source: Option<Ipv4Addr>,
) -> (AgentHandle, Driver) {
    let agent = Arc::new(Mutex::new(agent));
    let handshakes = Arc::new(Handshakes::default());
    let endpoint = Arc::new(Endpoint::from(source));
    let (sender, inputs) = mpsc::channel(INPUTS);
    let unheard = Arc::new(AtomicU64::new(0));
    let (frozen, is_frozen) = watch::channel(false);
    let handle = AgentHandle {
        agent: Arc::clone(&agent),
        handshakes: Arc::clone(&handshakes),
        endpoint: Arc::clone(&endpoint),
        inputs: sender,
        unheard: Arc::clone(&unheard),
        frozen,
    };
    let session = Session::new(Arc::clone(&clock), handshakes, endpoint);
    let driver = Driver {
        agent,
        inputs,
        unheard,
        clock,
        log,
        watcher,
        frozen: is_frozen,
        disk,
        turns,
        progress,
        session: Arc::new(tokio::sync::Mutex::new(session)),
        under_way: None,
        turn: None,
    };
    (handle, driver)
}

/// Runs one agent until it is told to stop, or its handle is dropped.
///
/// # Errors
///
/// When its cache cannot be written: a client that cannot keep what it has learnt must not go on.
pub fn drive(
    agent: Agent,
    clock: Arc<LabClock>,
    log: LogSink,
    disk: Option<DiskCache>,
) -> (AgentHandle, impl Future<Output = Result<(), StoreError>> + Send) {
    let (handle, driver) =
        prepare(agent, clock, (log, None), disk, Arc::new(Semaphore::new(1)), watch::Sender::new(0), None);
    (handle, driver.run())
}

impl Driver {
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        while let Some((input, is_told)) = self.next_input().await {
            self.hear(input).await?;
            if is_told {
                self.unheard.fetch_sub(1, Ordering::SeqCst);
                self.progress.send_modify(|count| *count += 1);
            }
        }
        self.hear(Input::Stop).await
    }

    /// Tells the agent, and does what it wishes.
    async fn hear(&mut self, input: Input) -> Result<(), StoreError> {
        if matches!(input, Input::Wake | Input::UpdateNow) && self.turn.is_none() {
            self.turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        }
        let outputs = lock(&self.agent).handle(input, self.clock.now());
        for output in outputs {
            self.carry_out(output).await?;
        }
        if lock(&self.agent).is_resting() {
            self.turn = None;
            if let Some(watcher) = &self.watcher {
                watcher(&lock(&self.agent).view(), self.clock.now());
            }
            self.progress.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// What the agent hears next, and whether it is told so from outside; none when its handle is gone.
    async fn next_input(&mut self) -> Option<(Input, bool)> {
        loop {
            let is_frozen = *self.frozen.borrow_and_update();
            let wake = if is_frozen { Timestamp::NEVER } else { lock(&self.agent).next_wake() };
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
                input = self.inputs.recv() => return input.map(|input| (input, true)),
                () = self.clock.sleep_until(wake), if wake != Timestamp::NEVER => {
                    // The clock may have been set, and the agent's heartbeats with it.
                    if lock(&self.agent).next_wake() <= self.clock.now() {
                        return Some((Input::Wake, false));
                    }
                }
                // Its handle is gone, or it has been frozen or thawed, or the clock was set.
                changed = self.frozen.changed() => changed.ok()?,
            }
        }
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
                (self.log)(&name, &line);
            }
            Output::Odd(what) => tracing::debug!(what, "an input that made no sense"),
        }
        Ok(())
    }

    /// Begins an exchange; one that is still under way is given up, and its connection with it.
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

fn lock(agent: &Mutex<Agent>) -> MutexGuard<'_, Agent> {
    agent.lock()
}
