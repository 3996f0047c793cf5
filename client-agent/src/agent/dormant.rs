//! An agent between two heartbeats, in about a hundred bytes: what only this client has, and one copy of what many have
//! in common.
//!
//! Most clients of a fleet hold the same files, trust the same certificates and are in the same health. [`SharedStates`]
//! keeps each of these states once; [`DormantAgent::wake`] makes the agent again, equal in everything that decides
//! what it does next. Nothing here waits; the drivers that use it are in `wire`.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use epm_protocol::id::{AgentId, Guid, HardwareKey};
use epm_protocol::sylink::Sylink;
use epm_protocol::time::Timestamp;
use serde::Serialize;

use super::cache::{AgentState, Cache, OwnCache};
use super::contact::Contact;
use super::equivalence::Counts;
use super::exchange::AgentProfile;
use super::failover::Server;
use super::health::{Distrust, Health};
use super::heartbeat_state::Phase;
use super::reported::ReportedClient;
use super::schedule::{Schedule, ScheduleTimes};
use super::state::{Agent, SILENT_INTERVALS};
use super::view::AgentView;

/// An agent between two heartbeats. Its size does not depend on what the client holds.
#[derive(Clone, Debug)]
pub struct DormantAgent {
    shared: Arc<SharedState>,
    own: OwnState,
}

/// A state that many agents are in.
#[derive(Debug)]
struct SharedState {
    /// An agent in this state without dates and counts. Its identity is that of any of them.
    agent: Agent,
    /// What is seen of it from outside, once it was asked for.
    view: OnceLock<Arc<AgentView>>,
}

/// The part of an agent's state that differs from client to client.
#[derive(Clone, Debug)]
struct OwnState {
    times: ScheduleTimes,
    health_since: Timestamp,
    last_server_since: Timestamp,
    /// What few clients have.
    rare: Option<Box<RareState>>,
    heartbeats: u32,
    heartbeats_served: u32,
    exchanges: u32,
    is_registered: bool,
    agent: AgentId,
}

/// What few clients have: the record has changed hands, or a command has made the client download definitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RareState {
    turn: u32,
    machine: Option<HardwareKey>,
    content: Option<Timestamp>,
}

/// The states that the agents of one fleet have in common.
#[derive(Debug, Default)]
pub struct SharedStates {
    /// The states by what they consist of.
    states: HashMap<String, Weak<SharedState>>,
    /// The communications files by their text or its checksum.
    files: HashMap<String, Weak<Sylink>>,
    /// The number of entries from which unused ones are removed.
    full: usize,
}

impl SharedStates {
    /// Puts an agent to sleep; `before` is the state from which it was woken, if it was. Fast if most of it is as before.
    ///
    /// # Errors
    ///
    /// The agent as it is, when it is in a heartbeat or its manager holds a request.
    pub fn sleep(
        &mut self,
        mut agent: Agent,
        before: Option<&DormantAgent>,
    ) -> Result<DormantAgent, Box<Agent>> {
        if !matches!(agent.phase, Phase::Resting | Phase::Stopped) {
            return Err(Box::new(agent));
        }
        let own = OwnState::take(&mut agent);
        let shared = match before {
            Some(before) if agent.is_like(&before.shared.agent) => Arc::clone(&before.shared),
            _ => self.one_copy(agent),
        };
        Ok(DormantAgent { shared, own })
    }

    /// The number of different states that agents are in.
    pub fn count(&self) -> usize {
        self.states.values().filter(|state| state.strong_count() > 0).count()
    }

    /// The one copy of this state.
    fn one_copy(&mut self, mut agent: Agent) -> Arc<SharedState> {
        let Cache { sylink, state } = &agent.trust_state.cache;
        agent.trust_state.cache.sylink = self.share_file(sylink, state.sylink_checksum.as_ref());
        let name = agent.name_of_state();
        if let Some(known) = self.states.get(&name).and_then(Weak::upgrade) {
            return known;
        }
        if self.states.len() + self.files.len() >= self.full {
            self.states.retain(|_, state| state.strong_count() > 0);
            self.files.retain(|_, file| file.strong_count() > 0);
            self.full = (2 * (self.states.len() + self.files.len())).max(64);
        }
        let shared = Arc::new(SharedState { agent, view: OnceLock::new() });
        self.states.insert(name, Arc::downgrade(&shared));
        shared
    }

    /// The one copy of this communications file; `checksum` is that of the file as the client wrote it last, if it did.
    fn share_file(&mut self, file: &Arc<Sylink>, checksum: Option<&String>) -> Arc<Sylink> {
        // The checksum is at hand, the text of a large file is not; both are only where to look.
        let text = checksum.cloned().unwrap_or_else(|| file.to_xml());
        let known = self.files.get(&text).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|known| **known == **file) {
            return known;
        }
        self.files.insert(text, Arc::downgrade(file));
        Arc::clone(file)
    }
}

impl DormantAgent {
    /// Makes the agent again, with its identity.
    #[must_use]
    pub fn wake(&self, profile: impl Into<Arc<AgentProfile>>) -> Agent {
        let profile = profile.into();
        let own = &self.own;
        let mut agent = self.shared.agent.clone();
        agent.schedule.set_times(own.times);
        agent.set_counts(Counts {
            heartbeats: own.heartbeats.into(),
            heartbeats_served: own.heartbeats_served.into(),
            exchanges: own.exchanges.into(),
        });
        agent.schedule.set_seed(profile.seed);
        agent.profile = profile;
        let RareState { turn, machine, content } = own.rare.as_deref().cloned().unwrap_or_default();
        agent.trust_state.cache.state.put_own(&OwnCache {
            agent: own.is_registered.then_some(own.agent),
            turn,
            machine,
            health_since: Some(own.health_since),
            last_server_since: Some(own.last_server_since),
            content,
        });
        agent
    }

    /// The state of the client as seen from outside, of an agent with this identity.
    pub fn view(&self, profile: &AgentProfile) -> AgentView {
        let mut view = AgentView {
            computer_name: profile.computer_name.clone(),
            heartbeats: self.own.heartbeats.into(),
            heartbeats_served: self.own.heartbeats_served.into(),
            ..AgentView::clone(self.common_view())
        };
        view.health.set_since(self.own.health_since);
        view
    }

    /// What all clients in this state look like from outside: one copy for all of them. Name, date and counts in it are not
    /// this client's.
    pub fn common_view(&self) -> &Arc<AgentView> {
        self.shared.view.get_or_init(|| Arc::new(self.shared.agent.view()))
    }

    /// The identifier of the client, once a manager has registered it.
    pub fn agent_id(&self) -> Option<AgentId> {
        self.own.is_registered.then_some(self.own.agent)
    }

    /// The number of heartbeats that the client has begun, and in how many of them a manager served it.
    pub fn heartbeats(&self) -> (u64, u64) {
        (self.own.heartbeats.into(), self.own.heartbeats_served.into())
    }

    /// The state of the client's contact with its managers; the date in it is not this client's.
    pub fn health(&self) -> &Health {
        &self.shared.agent.trust_state.cache.state.health
    }

    /// Since when the client's health is what it is.
    pub fn health_since(&self) -> Timestamp {
        self.own.health_since
    }

    /// Whether the client's service is stopped.
    pub fn is_stopped(&self) -> bool {
        self.shared.agent.is_stopped()
    }

    /// The time at which a client with this seed wants to be woken.
    pub fn next_wake(&self, seed: u64) -> Timestamp {
        if self.is_stopped() { Timestamp::NEVER } else { self.schedule(seed).next() }
    }

    /// Whether the client's machine is on, and the client has begun no heartbeat for three intervals.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        !self.is_stopped()
            && now.since(self.own.times.last) >= self.shared.agent.schedule.interval() * SILENT_INTERVALS
    }

    /// Continues after the clock was set from `then` to `now`, as [`Agent::clock_moved`].
    pub fn clock_moved(&mut self, seed: u64, then: Timestamp, now: Timestamp) {
        let mut schedule = self.schedule(seed);
        schedule.clock_moved(then, now);
        self.own.times = schedule.take_times();
    }

    /// Plans the next heartbeat anew where it lies too far ahead, as [`Agent::replan`].
    pub fn replan(&mut self, seed: u64, now: Timestamp) {
        let mut schedule = self.schedule(seed);
        schedule.replan(now);
        self.own.times = schedule.take_times();
    }

    /// The longest time between the client's regular heartbeats.
    pub fn longest_interval(&self) -> Duration {
        self.shared.agent.schedule.longest_interval()
    }

    /// A number that clients in one state have in common, and others have not while these sleep.
    pub fn state_number(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// What a report says of this client alone.
    pub fn reported(&self, name: String) -> ReportedClient {
        let OwnState { health_since, heartbeats, heartbeats_served, .. } = self.own;
        let since = (*self.health() != Health::New).then_some(health_since);
        ReportedClient(name, since, heartbeats.into(), heartbeats_served.into())
    }

    /// The beginning of the client's last heartbeat, or of its series.
    pub fn last_heartbeat(&self) -> Timestamp {
        self.own.times.last
    }

    /// What is known of the client's contact with its managers beside its health.
    pub fn contact(&self) -> Contact {
        let last_server = Some(self.own.last_server_since);
        self.shared.agent.contact_by(&self.schedule(0), last_server)
    }

    fn schedule(&self, seed: u64) -> Schedule {
        let mut schedule = self.shared.agent.schedule;
        schedule.set_times(self.own.times);
        schedule.set_seed(seed);
        schedule
    }
}

impl OwnState {
    /// Takes from an agent what only it has; what is left is equal for many.
    fn take(agent: &mut Agent) -> Self {
        let counts = agent.take_counts();
        agent.timings = Vec::new();
        agent.schedule.set_seed(0);
        let times = agent.schedule.take_times();
        let OwnCache { agent: id, turn, machine, health_since, last_server_since, content } =
            agent.trust_state.cache.state.take_own();
        let rare = RareState { turn, machine, content };
        let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            times,
            health_since: health_since.unwrap_or(Timestamp::EPOCH),
            last_server_since: last_server_since.unwrap_or(Timestamp::EPOCH),
            rare: (rare != RareState::default()).then(|| Box::new(rare)),
            heartbeats: count(counts.heartbeats),
            heartbeats_served: count(counts.heartbeats_served),
            exchanges: count(counts.exchanges),
            is_registered: id.is_some(),
            agent: id.unwrap_or(AgentId(Guid::from_bytes([0; 16]))),
        }
    }
}

impl Agent {
    /// Whether two agents are in one state, both without what only they have. The communications file must be the same
    /// copy.
    fn is_like(&self, other: &Self) -> bool {
        let (one, two) = (&self.trust_state.cache, &other.trust_state.cache);
        Arc::ptr_eq(&one.sylink, &two.sylink)
            && Arc::ptr_eq(&self.assumptions, &other.assumptions)
            && self.profile.version == other.profile.version
            && self.profile.use_last_server == other.profile.use_last_server
            && self.fixed_interval == other.fixed_interval
            && self.served_since_start == other.served_since_start
            && self.missed == other.missed
            && self.is_stopped() == other.is_stopped()
            && self.schedule == other.schedule
            && self.distrusted == other.distrusted
            && one.state == two.state
    }

    /// The state of an agent without what only it has, as a text: the same for the same state, while the copies of its
    /// communications file and assumptions live.
    fn name_of_state(&self) -> String {
        #[derive(Serialize)]
        struct Name<'a> {
            copies: String,
            installed: String,
            state: &'a AgentState,
            distrusted: Vec<(&'a Server, &'a Distrust)>,
            missed: usize,
            served_since_start: bool,
            is_stopped: bool,
            schedule: String,
        }
        let (file, assumptions) = (&self.trust_state.cache.sylink, &self.assumptions);
        let (AgentProfile { version, use_last_server, .. }, fixed) = (&*self.profile, self.fixed_interval);
        let schedule: &Schedule = &self.schedule;
        let name = Name {
            copies: format!("{:p} {:p}", Arc::as_ptr(file), Arc::as_ptr(assumptions)),
            installed: format!("{version} {use_last_server} {fixed:?}"),
            state: &self.trust_state.cache.state,
            distrusted: self.distrusted.iter().collect(),
            missed: self.missed,
            served_since_start: self.served_since_start,
            is_stopped: self.is_stopped(),
            schedule: format!("{schedule:?}"),
        };
        serde_json::to_string(&name).unwrap_or_default()
    }
}
