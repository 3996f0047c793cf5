//! The handle of a client, by which it is told what happens and seen from outside.

use std::net::SocketAddr;
use std::sync::Arc;

use epm_protocol::id::AgentId;
use epm_protocol::policy::PolicySerial;
use epm_protocol::time::Timestamp;

use super::client::{Client, Phase};
use super::connection::Handshakes;
use super::glance::{AgentCopy, Glance};
use crate::agent::{Agent, AgentView, Cache, Input, KeptAgent, ReportedState, StateGroups};
use crate::scenario::booted_before;

/// The handle of a running agent.
#[derive(Clone, Debug)]
pub struct AgentHandle {
    pub(super) client: Arc<Client>,
    /// What ends the agent when its last handle is dropped; none in a fleet, which lets it leave.
    #[expect(dead_code, reason = "it acts when it is dropped")]
    pub(super) leaves: Option<Arc<Leaves>>,
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

/// Lets an agent leave when it is dropped.
#[derive(Debug)]
pub(super) struct Leaves(pub(super) Arc<Client>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl AgentHandle {
    /// The present view of the agent.
    pub fn view(&self) -> AgentView {
        match &self.client.body.lock().agent {
            Phase::Awake(agent, _) => agent.view(),
            Phase::Asleep(dormant) => dormant.view(&self.client.profile),
        }
    }

    /// What a report says of the agent, also after its task has ended.
    pub fn reported(&self) -> impl Fn(Timestamp) -> Vec<ReportedState> + Clone + Send + use<> {
        let client = Arc::clone(&self.client);
        move |now| {
            // Without a reference that would keep the agent from leaving.
            let handle = Self { client: Arc::clone(&client), leaves: None };
            let mut view = handle.view();
            view.heartbeats = handle.ended_heartbeats();
            let glance = handle.glance(now);
            let mut states = StateGroups::default();
            states.add(view, glance.is_on, glance.is_silent);
            states.into_states()
        }
    }

    /// Whether a task drives the agent: it has something to do, or its manager holds a request.
    pub fn has_task(&self) -> bool {
        self.client.body.lock().has_task
    }

    /// A copy of the agent in its present state.
    pub fn agent(&self) -> Agent {
        match &self.client.body.lock().agent {
            Phase::Awake(agent, _) => Agent::clone(agent),
            Phase::Asleep(dormant) => dormant.wake(Arc::clone(&self.client.profile)),
        }
    }

    /// What is seen of the agent now, without a copy of what it shares with others.
    pub fn glance(&self, now: Timestamp) -> Glance {
        let body = self.client.body.lock();
        let glance = match &body.agent {
            Phase::Awake(agent, _) => Glance::of_agent(agent, now),
            Phase::Asleep(dormant) => Glance::of_dormant(dormant, now),
        };
        Glance { is_frozen: body.is_frozen, ..glance }
    }

    /// A copy of the agent in its present state, small if it rests.
    pub fn copy(&self) -> AgentCopy {
        match &self.client.body.lock().agent {
            Phase::Awake(agent, _) => AgentCopy::of(Agent::clone(agent)),
            Phase::Asleep(dormant) => AgentCopy::dormant(dormant.clone(), Arc::clone(&self.client.profile)),
        }
    }

    /// The number of heartbeats that the agent has begun.
    pub fn heartbeats(&self) -> u64 {
        match &self.client.body.lock().agent {
            Phase::Awake(agent, _) => agent.heartbeats(),
            Phase::Asleep(dormant) => dormant.heartbeats().0,
        }
    }

    /// The number of heartbeats that the agent has ended.
    pub fn ended_heartbeats(&self) -> u64 {
        let body = self.client.body.lock();
        match &body.agent {
            Phase::Awake(agent, _) if body.acts || !agent.is_resting() => {
                agent.heartbeats().saturating_sub(1)
            }
            Phase::Awake(agent, _) => agent.heartbeats(),
            Phase::Asleep(dormant) => dormant.heartbeats().0.saturating_sub(body.acts.into()),
        }
    }

    /// Whether a manager served the agent in its last heartbeat.
    pub fn is_connected(&self) -> bool {
        match &self.client.body.lock().agent {
            Phase::Awake(agent, _) => agent.cache().state.health.is_connected(),
            Phase::Asleep(dormant) => dormant.health().is_connected(),
        }
    }

    /// The identifier of the agent, once a manager has registered it.
    pub fn agent_id(&self) -> Option<AgentId> {
        match &self.client.body.lock().agent {
            Phase::Awake(agent, _) => agent.cache().state.agent,
            Phase::Asleep(dormant) => dormant.agent_id(),
        }
    }

    /// Whether the agent's service is stopped.
    pub fn is_stopped(&self) -> bool {
        match &self.client.body.lock().agent {
            Phase::Awake(agent, _) => agent.is_stopped(),
            Phase::Asleep(dormant) => dormant.is_stopped(),
        }
    }

    /// Numbers that grow whenever the agent has handled an input, and whenever its cache has changed.
    pub fn revision(&self) -> (u64, u64) {
        self.client.body.lock().revision
    }

    /// What is kept of the agent beside its cache, as it is now.
    pub fn keep(&self, now: Timestamp) -> KeptAgent {
        self.agent().keep(now)
    }

    /// The agent's cache.
    pub fn cache(&self) -> Cache {
        self.agent().cache().clone()
    }

    /// Keeps the agent from waking by itself, or lets it again: a machine that is on, whose client does nothing.
    pub fn freeze(&self, frozen: bool) {
        self.client.body.lock().is_frozen = frozen;
        self.client.note();
    }

    /// Whether the agent is kept from waking.
    pub fn is_frozen(&self) -> bool {
        self.client.body.lock().is_frozen
    }

    /// The TLS handshakes of the agent.
    pub fn handshakes(&self) -> &Handshakes {
        &self.client.handshakes
    }

    /// Whether the agent is between two heartbeats. The lines of the last one are in the log then.
    pub fn is_resting(&self) -> bool {
        let body = self.client.body.lock();
        !body.acts && body.is_resting()
    }

    /// The source of the agent's open or last connection.
    pub fn connection(&self) -> Option<SocketAddr> {
        self.client.endpoint.at()
    }

    /// Makes the agent abandon a pending request, as if its time were over.
    pub fn give_up(&self) {
        self.client.endpoint.give_up();
    }

    /// Gives the agent an input, once there is room: few wait for an agent at a time. Returns false when it will not handle
    /// any more.
    pub async fn tell(&self, mut input: Input) -> bool {
        // Many are told at once; their tasks must have their turns.
        tokio::task::consume_budget().await;
        loop {
            // From before the attempt on: what the agent does meanwhile is noticed.
            let mut progress = self.client.shared.progress.subscribe();
            match self.client.tell(input) {
                Ok(will_hear) => return will_hear,
                Err(refused) => input = refused,
            }
            if progress.changed().await.is_err() {
                return false;
            }
        }
    }

    /// Starts the agent at this time, on a machine that was booted up to 30 days before. Returns false when its task has
    /// ended.
    pub async fn start_long_after_boot(&self, now: Timestamp) -> bool {
        self.tell(Input::Start { booted: booted_before(self.client.profile.seed, now) }).await
    }

    /// Continues after the clock was set from `then` to `now`: the agent's heartbeats keep their phase.
    pub fn clock_moved(&self, then: Timestamp, now: Timestamp) {
        match &mut self.client.body.lock().agent {
            Phase::Awake(agent, _) => agent.clock_moved(then, now),
            Phase::Asleep(dormant) => dormant.clock_moved(self.client.profile.seed, then, now),
        }
        self.client.note();
    }

    /// The time at which the agent wants to be woken.
    pub fn next_wake(&self) -> Timestamp {
        self.client.body.lock().wake(self.client.profile.seed)
    }

    /// Whether the agent has handled all external inputs.
    pub fn has_heard(&self) -> bool {
        self.client.body.lock().has_heard()
    }

    /// Whether the agent has handled all external inputs, rests, and has nothing to do until after `now`. Its lines are
    /// in the log then, and its state is kept.
    pub fn is_settled(&self, now: Timestamp) -> bool {
        let body = self.client.body.lock();
        !body.is_busy() && body.wake(self.client.profile.seed) > now
    }

    /// The number of the agent in its fleet; that of no other agent, before or after.
    pub fn number(&self) -> u64 {
        self.client.number
    }

    /// The request that the agent's manager holds, in push mode.
    pub fn held(&self) -> Option<HeldRequest> {
        match &self.client.body.lock().agent {
            Phase::Awake(agent, _) => {
                let state = &agent.cache().state;
                Some(HeldRequest { exchange: agent.held()?, agent: state.agent?, serial: state.complete })
            }
            Phase::Asleep(_) => None,
        }
    }
}
