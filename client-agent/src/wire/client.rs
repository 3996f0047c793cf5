//! A client of a fleet, with and without a task.
//!
//! Between two heartbeats it is a [`DormantAgent`] with its ticket. A task drives it while there is something to do: an input,
//! a heartbeat that is due, an exchange under way, a request that its manager holds. Everything that decides whether there is
//! stands behind one lock, so that a client that falls asleep misses nothing.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;

use epm_protocol::time::{Clock, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::agenda::{Agenda, Dispatch, Entry};
use super::clock::LabClock;
use super::connection::{Endpoint, Handshakes};
use super::store::DiskCache;
use super::tls_memory::{SharedTls, Ticket, TicketSlot};
use crate::agent::{Agent, AgentProfile, AgentView, DormantAgent, Input, LogLine, Output, SharedStates};

/// The external inputs that wait for an agent at most.
const MOST_INPUTS: usize = 16;

/// A function that receives an agent's log lines. Called in the agent's task; must not block.
pub type LogSink = Arc<dyn Fn(&str, &LogLine) + Send + Sync>;

/// A function that receives an agent's view whenever the agent has come to rest. Called in the agent's task; must not
/// block.
pub type Watcher = Arc<dyn Fn(&AgentView, Timestamp) + Send + Sync>;

/// What the clients of a fleet share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Arc<LabClock>,
    /// Limits the agents that are in a heartbeat at the same time.
    pub(super) turns: Arc<Semaphore>,
    states: Mutex<SharedStates>,
    pub(super) tls: Arc<SharedTls>,
    pub(super) agenda: Agenda<Client>,
    /// Counts heartbeats that have ended, and inputs that were handled.
    pub(super) progress: watch::Sender<u64>,
}

/// Where the log lines and views of agents go.
pub(super) struct Sinks {
    pub(super) log: LogSink,
    pub(super) watcher: Option<Watcher>,
}

/// A client of a fleet.
pub(super) struct Client {
    pub(super) number: u64,
    pub(super) profile: Arc<AgentProfile>,
    pub(super) shared: Arc<Shared>,
    pub(super) sinks: Arc<Sinks>,
    pub(super) disk: Option<Box<Mutex<DiskCache>>>,
    pub(super) handshakes: Arc<Handshakes>,
    pub(super) endpoint: Arc<Endpoint>,
    /// Told when there is something to do while a task drives the client.
    changed: Notify,
    pub(super) body: Mutex<Body>,
}

/// The state of a client. Everything that says whether there is something to do.
pub(super) struct Body {
    pub(super) agent: Phase,
    /// External inputs that the agent has not handled yet.
    inputs: VecDeque<Input>,
    /// Whether it handles one.
    is_hearing: bool,
    /// Whether outputs of the agent are being carried out.
    pub(super) acts: bool,
    /// The turn with which it was called for a heartbeat that is due.
    called: Option<OwnedSemaphorePermit>,
    pub(super) is_frozen: bool,
    /// Whether a task drives the client, or will.
    pub(super) has_task: bool,
    /// Whether it has left the fleet, or can no longer go on.
    left: Left,
    /// How often the agent has handled an input, and how often its cache has changed.
    pub(super) revision: (u64, u64),
    /// The ticket of a client that sleeps.
    ticket: Option<Ticket>,
}

pub(super) enum Phase {
    /// With the agent as it slept before.
    Awake(Box<Agent>, Option<DormantAgent>),
    Asleep(DormantAgent),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    No,
    /// The agent has yet to stop.
    Leaves,
    Gone,
}

/// What the task of a client is to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// The agent is to handle this external input.
    Told(Box<Input>),
    /// The agent is to begin the heartbeat that is due, in this turn.
    Wake(OwnedSemaphorePermit),
    /// The client has left: the agent is to stop, and the task to end.
    Leave,
    /// The task is to end.
    Gone,
    /// There is nothing to do.
    Nothing,
}

impl Shared {
    /// What agents share of which this many may be in a heartbeat at the same time.
    pub(super) fn new(clock: Arc<LabClock>, turns: usize) -> Arc<Self> {
        Arc::new(Self {
            clock,
            turns: Arc::new(Semaphore::new(turns)),
            states: Mutex::default(),
            tls: Arc::default(),
            agenda: Agenda::default(),
            progress: watch::Sender::new(0),
        })
    }

    /// Makes a client that joins, in the state that the agent is in; `source` is the source address of its connections, the
    /// system's choice if none.
    pub(super) fn join(
        self: &Arc<Self>,
        agent: Agent,
        sinks: Arc<Sinks>,
        disk: Option<DiskCache>,
        source: Option<Ipv4Addr>,
        is_frozen: bool,
    ) -> Arc<Client> {
        let profile = Arc::clone(agent.shared_profile());
        let agent = match self.states.lock().sleep(agent, None) {
            Ok(dormant) => Phase::Asleep(dormant),
            Err(awake) => Phase::Awake(awake, None),
        };
        let client = Arc::new(Client {
            number: Agenda::<Client>::number(),
            profile,
            shared: Arc::clone(self),
            sinks,
            disk: disk.map(|disk| Box::new(Mutex::new(disk))),
            handshakes: Arc::default(),
            endpoint: Arc::new(Endpoint::from(source)),
            changed: Notify::new(),
            body: Mutex::new(Body {
                agent,
                inputs: VecDeque::new(),
                is_hearing: false,
                acts: false,
                called: None,
                is_frozen,
                has_task: false,
                left: Left::No,
                revision: (0, 0),
                ticket: None,
            }),
        });
        self.agenda.enter(client.number, &client);
        client.note();
        client
    }
}

impl Client {
    /// Gives the agent an input; false when it will not handle any more, the input when too many wait.
    pub(super) fn tell(self: &Arc<Self>, input: Input) -> Result<bool, Input> {
        // Before the client is locked: the agenda locks clients while it is locked itself.
        let is_over = self.shared.agenda.dispatch() == Dispatch::Over;
        let mut body = self.body.lock();
        if body.left != Left::No || is_over {
            return Ok(false);
        }
        if body.inputs.len() == MOST_INPUTS {
            return Err(input);
        }
        body.inputs.push_back(input);
        self.go_on(body);
        Ok(true)
    }

    /// Takes the client off the fleet: the agent stops, whatever it does.
    pub(super) fn leave(self: &Arc<Self>) {
        self.shared.agenda.leave(self.number);
        let mut body = self.body.lock();
        if body.left == Left::No {
            body.left = Left::Leaves;
            self.go_on(body);
        }
    }

    /// Takes a client off the fleet that cannot go on.
    pub(super) fn fail(&self) {
        self.body.lock().left = Left::Gone;
        self.shared.agenda.leave(self.number);
        self.shared.progress.send_modify(|count| *count += 1);
    }

    /// Calls the client for the heartbeat that is due, in this turn; a client of another state tells the agenda.
    pub(super) fn call(self: &Arc<Self>, turn: OwnedSemaphorePermit) {
        let _steady = self.shared.clock.steady();
        let mut body = self.body.lock();
        let is_due = body.wake(self.profile.seed) <= self.shared.clock.now();
        if is_due && !body.is_busy() && body.left == Left::No {
            body.called = Some(turn);
            self.go_on(body);
        } else {
            drop(body);
            self.note();
        }
    }

    /// Lets a task do what there is to do.
    fn go_on(self: &Arc<Self>, mut body: MutexGuard<'_, Body>) {
        let had_task = std::mem::replace(&mut body.has_task, true);
        drop(body);
        self.note();
        if had_task {
            self.changed.notify_one();
        } else {
            self.shared.agenda.call_for_task(Arc::clone(self));
        }
    }

    /// Plans the next heartbeat anew where it lies too far ahead: the clock was set back.
    pub(super) fn replan(&self) {
        {
            let _steady = self.shared.clock.steady();
            let now = self.shared.clock.now();
            match &mut self.body.lock().agent {
                Phase::Awake(agent, _) => agent.replan(now),
                Phase::Asleep(dormant) => dormant.replan(self.profile.seed, now),
            }
        }
        self.note();
    }

    /// Notes the client's state in the fleet's agenda. Called after each change of what it reads; the client is not locked.
    pub(super) fn note(&self) {
        self.shared.agenda.note(self.number, || {
            let body = self.body.lock();
            Entry {
                is_busy: body.is_busy(),
                is_unheard: !body.has_heard(),
                is_held: body.is_held(),
                wake: body.wake(self.profile.seed),
            }
        });
    }

    // ------------------------------------------------------------------------------------------ for the task alone

    /// What there is to do.
    pub(super) fn next(&self) -> Next {
        let (next, is_called) = {
            let _steady = self.shared.clock.steady();
            let mut body = self.body.lock();
            match body.left {
                Left::Leaves => {
                    body.left = Left::Gone;
                    body.inputs.clear();
                    return Next::Leave;
                }
                Left::Gone => return Next::Gone,
                Left::No => {}
            }
            if let Some(input) = body.inputs.pop_front() {
                body.is_hearing = true;
                return Next::Told(Box::new(input));
            }
            match body.called.take() {
                None => (Next::Nothing, false),
                Some(turn) if body.wake(self.profile.seed) <= self.shared.clock.now() => {
                    body.acts = true;
                    (Next::Wake(turn), true)
                }
                Some(_) => (Next::Nothing, true),
            }
        };
        if is_called {
            self.note();
        }
        next
    }

    /// The present time.
    pub(super) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Returns when there may be something to do.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The turn with which the client was called, if it was.
    pub(super) fn take_turn(&self) -> Option<OwnedSemaphorePermit> {
        self.body.lock().called.take()
    }

    /// Gives the agent an input, and returns what is to be done. The client acts until [`Self::acted`].
    pub(super) fn handle(&self, input: Input) -> Vec<Output> {
        // Set before the agent has decided: otherwise it would seem settled before its lines are in the log.
        self.body.lock().acts = true;
        self.note();
        let mut body = self.body.lock();
        let outputs = body.awake(&self.profile).handle(input, self.shared.clock.now());
        body.revision.0 += 1;
        body.revision.1 += u64::from(outputs.iter().any(|output| matches!(output, Output::Persist(_))));
        outputs
    }

    /// The view of the agent if it rests.
    pub(super) fn view_at_rest(&self) -> Option<AgentView> {
        let body = self.body.lock();
        match &body.agent {
            Phase::Awake(agent, _) => agent.is_resting().then(|| agent.view()),
            Phase::Asleep(dormant) => Some(dormant.view(&self.profile)),
        }
    }

    /// What is to be done has been done.
    pub(super) fn acted(&self, was_told: bool) {
        {
            let mut body = self.body.lock();
            body.acts = false;
            body.is_hearing &= !was_told;
        }
        self.note();
    }

    /// The slot with the client's ticket, for a task that begins.
    pub(super) fn tickets(&self) -> Arc<TicketSlot> {
        Arc::new(self.shared.tls.slot(self.body.lock().ticket.take()))
    }

    /// Lets the client sleep without a task, if it rests and there is nothing to do. Whether it does.
    pub(super) fn sleep(&self, tickets: &TicketSlot) -> bool {
        let mut body = self.body.lock();
        if body.is_busy() || body.is_held() || body.left != Left::No {
            return false;
        }
        if let Phase::Awake(agent, before) = &body.agent {
            let slept = self.shared.states.lock().sleep(Agent::clone(agent), before.as_ref());
            let Ok(dormant) = slept else { return false };
            body.agent = Phase::Asleep(dormant);
        }
        body.ticket = self.shared.tls.take(tickets);
        body.has_task = false;
        true
    }
}

impl Body {
    pub(super) fn has_heard(&self) -> bool {
        self.inputs.is_empty() && !self.is_hearing
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.has_heard() || self.acts || self.called.is_some() || !self.is_resting()
    }

    pub(super) fn is_resting(&self) -> bool {
        match &self.agent {
            Phase::Awake(agent, _) => agent.is_resting(),
            Phase::Asleep(_) => true,
        }
    }

    fn is_held(&self) -> bool {
        match &self.agent {
            Phase::Awake(agent, _) => agent.held().is_some() && agent.cache().state.agent.is_some(),
            Phase::Asleep(_) => false,
        }
    }

    pub(super) fn wake(&self, seed: u64) -> Timestamp {
        match &self.agent {
            _ if self.is_frozen => Timestamp::NEVER,
            Phase::Awake(agent, _) => agent.next_wake(),
            Phase::Asleep(dormant) => dormant.next_wake(seed),
        }
    }

    /// The agent, awake.
    fn awake(&mut self, profile: &Arc<AgentProfile>) -> &mut Agent {
        if let Phase::Asleep(dormant) = &self.agent {
            let agent = Box::new(dormant.wake(Arc::clone(profile)));
            self.agent = Phase::Awake(agent, Some(dormant.clone()));
        }
        match &mut self.agent {
            Phase::Awake(agent, _) => agent,
            Phase::Asleep(_) => unreachable!("it was woken"),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("name", &self.profile.computer_name).finish_non_exhaustive()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.agenda.leave(self.number);
    }
}
