//! What is seen of many clients at once: cheap to take, since clients in equal states share what they look like.

use std::collections::HashMap;
use std::sync::Arc;

use epm_protocol::id::AgentId;
use epm_protocol::time::Timestamp;

use crate::agent::{Agent, AgentProfile, AgentView, Contact, DormantAgent, SharedStates};
use crate::scenario::Pause;

/// What is seen of a client at a moment.
#[derive(Clone, Debug)]
pub struct Glance {
    /// What all clients in this state look like. Name, counts, and the date in the health are not this client's.
    pub common: Arc<AgentView>,
    /// The identifier that the manager assigned to the client, if it is known.
    pub agent: Option<AgentId>,
    /// The time since when the client's health is what it is; 1970 for a new client.
    pub since: Timestamp,
    /// The client's last heartbeat, and how long it stays with its server, as far as they are known.
    pub contact: Option<Contact>,
    /// The number of heartbeats that the client has begun.
    pub heartbeats: u64,
    /// The number of heartbeats in which a manager served the client.
    pub heartbeats_served: u64,
    /// Whether the client's machine is on.
    pub is_on: bool,
    /// Whether the client is kept from waking.
    pub is_frozen: bool,
    /// Whether the client is on, and has begun no heartbeat for three intervals.
    pub is_silent: bool,
    /// Whether a heartbeat of the client is under way.
    pub is_in_heartbeat: bool,
}

/// A copy of an agent in the state of a moment, small if it rested then.
#[derive(Clone, Debug)]
pub struct AgentCopy(Copied);

#[derive(Clone, Debug)]
enum Copied {
    Whole(Box<Agent>),
    Dormant(DormantAgent, Arc<AgentProfile>),
}

/// The answers to a question about the states of clients: each state is asked once.
#[derive(Debug)]
pub struct ByState<T>(HashMap<usize, (Arc<AgentView>, T), rustc_hash::FxBuildHasher>);

impl Glance {
    pub(super) fn of_agent(agent: &Agent, now: Timestamp) -> Self {
        let glance = Self::of_view(agent.view(), !agent.is_stopped(), agent.is_silent(now));
        Self {
            agent: agent.cache().state.agent,
            contact: Some(agent.contact()),
            is_in_heartbeat: !agent.is_resting(),
            ..glance
        }
    }

    /// What is seen of a client whose whole view is known.
    pub fn of_view(view: AgentView, is_on: bool, is_silent: bool) -> Self {
        Self {
            agent: None,
            contact: None,
            since: view.health.since().unwrap_or(Timestamp::EPOCH),
            heartbeats: view.heartbeats,
            heartbeats_served: view.heartbeats_served,
            is_on,
            is_frozen: false,
            is_silent,
            is_in_heartbeat: false,
            common: Arc::new(view),
        }
    }

    pub(super) fn of_dormant(dormant: &DormantAgent, now: Timestamp) -> Self {
        let (heartbeats, heartbeats_served) = dormant.heartbeats();
        Self {
            agent: dormant.agent_id(),
            common: Arc::clone(dormant.common_view()),
            contact: Some(dormant.contact()),
            since: dormant.health_since(),
            heartbeats,
            heartbeats_served,
            is_on: !dormant.is_stopped(),
            is_frozen: false,
            is_silent: dormant.is_silent(now),
            is_in_heartbeat: false,
        }
    }

    /// Why the client begins no heartbeat, as far as that is seen.
    pub fn pause(&self) -> Option<Pause> {
        let in_heartbeat = self.is_in_heartbeat.then_some(Pause::InHeartbeat);
        if self.is_frozen { Some(Pause::Suspended) } else { in_heartbeat }
    }

    /// The whole view of the client, whose computer has this name.
    pub fn view(&self, name: &str) -> AgentView {
        let mut view = AgentView {
            computer_name: name.to_owned(),
            heartbeats: self.heartbeats,
            heartbeats_served: self.heartbeats_served,
            ..AgentView::clone(&self.common)
        };
        view.health.set_since(self.since);
        view
    }
}

impl AgentCopy {
    /// A copy of an agent as it is.
    pub fn of(agent: Agent) -> Self {
        Self(Copied::Whole(Box::new(agent)))
    }

    /// A copy of an agent that shares its state with others.
    pub fn sharing(agent: Agent, states: &mut SharedStates) -> Self {
        let profile = Arc::clone(agent.shared_profile());
        match states.sleep(agent, None) {
            Ok(dormant) => Self::dormant(dormant, profile),
            Err(agent) => Self(Copied::Whole(agent)),
        }
    }

    pub(super) fn dormant(dormant: DormantAgent, profile: Arc<AgentProfile>) -> Self {
        Self(Copied::Dormant(dormant, profile))
    }

    /// The agent in this state.
    pub fn agent(&self) -> Agent {
        match &self.0 {
            Copied::Whole(agent) => Agent::clone(agent),
            Copied::Dormant(dormant, profile) => dormant.wake(Arc::clone(profile)),
        }
    }

    /// The identity of the agent.
    pub fn profile(&self) -> &AgentProfile {
        match &self.0 {
            Copied::Whole(agent) => agent.profile(),
            Copied::Dormant(_, profile) => profile,
        }
    }

    /// What all agents in this state look like, as in [`Glance::common`].
    pub fn common_view(&self) -> Arc<AgentView> {
        match &self.0 {
            Copied::Whole(agent) => Arc::new(agent.view()),
            Copied::Dormant(dormant, _) => Arc::clone(dormant.common_view()),
        }
    }
}

impl<T> Default for ByState<T> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<T> ByState<T> {
    /// The answer for this state, found if it is not known.
    pub fn of(&mut self, state: &Arc<AgentView>, find: impl FnOnce(&AgentView) -> T) -> &mut T {
        // The state is kept, so that no other one comes to its address.
        let known = self.0.entry(Arc::as_ptr(state).addr());
        &mut known.or_insert_with(|| (Arc::clone(state), find(state))).1
    }

    /// All states that were asked about, with their answers.
    pub fn iter(&self) -> impl Iterator<Item = (&AgentView, &T)> {
        self.0.values().map(|(state, answer)| (&**state, answer))
    }
}
