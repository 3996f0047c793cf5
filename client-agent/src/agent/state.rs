//! The client as a value: what it is made of, how it looks from outside, and how it says what it wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use epm_protocol::assumption::Assumptions;
use epm_protocol::time::Timestamp;

use super::cache::Cache;
use super::exchange::{AgentProfile, Output};
use super::failover::Server;
use super::health::Distrust;
use super::heartbeat_state::Phase;
use super::log::{Event, LogLine, News};
use super::schedule::{Schedule, Timing};
use super::trust_state::TrustState;
use super::view::AgentView;

/// An emulated client.
#[derive(Clone, Debug)]
pub struct Agent {
    pub(super) profile: Arc<AgentProfile>,
    pub(super) assumptions: Arc<Assumptions>,
    pub(super) trust_state: TrustState,
    pub(super) schedule: Schedule,
    /// What the last input has decided about the schedule, in order.
    pub(super) timings: Vec<Timing>,
    pub(super) phase: Phase,
    /// The servers that it does not believe, each since its last word, and why.
    pub(super) distrusted: BTreeMap<Server, Distrust>,
    /// How many servers have had their turn in vain, one in each heartbeat, since a manager served it; begins again
    /// with the list.
    pub(super) missed: usize,
    pub(super) exchanges: u64,
    pub(super) heartbeats: u64,
    pub(super) heartbeats_served: u64,
    /// Whether it has been served since it was started.
    pub(super) served_since_start: bool,
}

/// What the client wants its driver to do, in order.
pub(super) type Outputs = Vec<Output>;

impl Agent {
    /// A client with what it has kept, not yet started.
    pub fn new(profile: AgentProfile, cache: Cache, assumptions: Arc<Assumptions>) -> Self {
        let schedule = Schedule::new(profile.seed, &assumptions);
        Self {
            trust_state: TrustState::new(cache, profile.version, Arc::clone(&assumptions)),
            profile: Arc::new(profile),
            assumptions,
            schedule,
            timings: Vec::new(),
            phase: Phase::Stopped,
            distrusted: BTreeMap::new(),
            missed: 0,
            exchanges: 0,
            heartbeats: 0,
            heartbeats_served: 0,
            served_since_start: false,
        }
    }

    /// The client as it goes on when its lab is put back to the moment `then` and the clock shows `now`: what it knows and
    /// its heartbeats to come stay as they were, and its connections have ended.
    #[must_use]
    pub fn resumed(&self, then: Timestamp, now: Timestamp) -> Self {
        let mut agent = self.clone();
        agent.clock_moved(then, now);
        match agent.phase {
            Phase::Stopped | Phase::Resting => return agent,
            Phase::InHeartbeat(_) => agent.schedule.take(Timing::Now, now),
            Phase::Holding { .. } => agent.schedule.take(Timing::Accelerate, now),
        }
        agent.phase = Phase::Resting;
        agent
    }

    /// The clock has been set from `then` to `now`: its heartbeats go on in their row, as far apart from those of other
    /// clients as before.
    pub fn clock_moved(&mut self, then: Timestamp, now: Timestamp) {
        self.schedule.clock_moved(then, now);
    }

    /// When it wants to be woken; never, while it waits for an answer.
    pub fn next_wake(&self) -> Timestamp {
        match self.phase {
            Phase::Stopped | Phase::InHeartbeat(_) => Timestamp::NEVER,
            Phase::Resting | Phase::Holding { .. } => self.schedule.next(),
        }
    }

    /// Whether it is between two heartbeats: nothing under way but, in push mode, the held request.
    pub fn is_resting(&self) -> bool {
        !matches!(self.phase, Phase::InHeartbeat(_))
    }

    /// Whether its service is stopped, as on a machine that is off.
    pub fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    /// The request that its manager holds, in push mode.
    pub fn held(&self) -> Option<u64> {
        match self.phase {
            Phase::Holding { exchange } => Some(exchange),
            _ => None,
        }
    }

    /// What it keeps.
    pub fn cache(&self) -> &Cache {
        &self.trust_state.cache
    }

    /// The client's identity.
    pub fn profile(&self) -> &AgentProfile {
        &self.profile
    }

    /// What it looks like from outside.
    pub fn view(&self) -> AgentView {
        AgentView::of(&self.profile, &self.trust_state, self.heartbeats, self.heartbeats_served)
    }

    pub(super) fn time(&mut self, timing: Timing, now: Timestamp) {
        self.schedule.take(timing, now);
        self.timings.push(timing);
    }

    pub(super) fn persist(&self, out: &mut Outputs) {
        out.push(Output::Persist(Box::new(self.trust_state.cache.clone())));
    }

    pub(super) fn tell(&self, out: &mut Outputs, at: Timestamp, news: Vec<News>) {
        out.extend(news.into_iter().map(|(event, text)| Output::Log(LogLine { at, event, text })));
    }

    pub(super) fn log(&self, out: &mut Outputs, at: Timestamp, event: Event, text: impl Into<String>) {
        out.push(Output::Log(LogLine { at, event, text: text.into() }));
    }
}
