//! The parts of a client, its view from outside, and its outputs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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

/// The number of intervals without a heartbeat after which a client that is on is silent.
pub(super) const SILENT_INTERVALS: u32 = 3;

/// An emulated client.
#[derive(Clone, Debug)]
pub struct Agent {
    pub(super) profile: Arc<AgentProfile>,
    pub(super) assumptions: Arc<Assumptions>,
    pub(super) trust_state: TrustState,
    pub(super) schedule: Schedule,
    /// The decisions of the last input about the schedule, in order.
    pub(super) timings: Vec<Timing>,
    pub(super) phase: Phase,
    /// The servers that the client does not trust, by their last answers, and why.
    pub(super) distrusted: BTreeMap<Server, Distrust>,
    /// The number of heartbeats, with one server each, since a manager last served the client; reset with
    /// the list.
    pub(super) missed: usize,
    pub(super) exchanges: u64,
    pub(super) heartbeats: u64,
    pub(super) heartbeats_served: u64,
    /// Whether a manager has served the client since it was started.
    pub(super) served_since_start: bool,
    /// The interval between heartbeats, whatever the communications settings say; theirs if none.
    pub(super) fixed_interval: Option<Duration>,
}

/// What the client asks its driver to do, in order.
pub(super) type Outputs = Vec<Output>;

impl Agent {
    /// Makes a client with its cache, not yet started.
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
            fixed_interval: None,
        }
    }

    /// Replaces the assumptions about undocumented behaviour, between two heartbeats.
    pub fn assume(&mut self, assumptions: &Arc<Assumptions>) {
        self.assumptions = Arc::clone(assumptions);
        self.trust_state.assume(Arc::clone(assumptions));
        self.schedule.assume(assumptions);
    }

    /// Sets the interval between heartbeats, whatever the communications settings say; with none, they decide. For
    /// tests of load: no real client has such a setting.
    pub fn fix_interval(&mut self, interval: Option<Duration>) {
        self.fixed_interval = interval;
    }

    /// The interval between regular heartbeats.
    pub(super) fn interval(&self) -> Duration {
        self.fixed_interval.unwrap_or_else(|| self.trust_state.interval())
    }

    /// The client after its lab was restored to the time `then` while the clock shows `now`: state and coming heartbeats
    /// are unchanged, connections have ended.
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

    /// Continues after the clock was set from `then` to `now`: heartbeats keep their phase, and so their distance from
    /// those of other clients.
    pub fn clock_moved(&mut self, then: Timestamp, now: Timestamp) {
        self.schedule.clock_moved(then, now);
    }

    /// The time at which the client wants to be woken; never while it waits for an answer.
    pub fn next_wake(&self) -> Timestamp {
        match self.phase {
            Phase::Stopped | Phase::InHeartbeat(_) => Timestamp::NEVER,
            Phase::Resting | Phase::Holding { .. } => self.schedule.next(),
        }
    }

    /// Whether the client is between two heartbeats, with nothing under way except, in push mode, the held request.
    pub fn is_resting(&self) -> bool {
        !matches!(self.phase, Phase::InHeartbeat(_))
    }

    /// Whether the client's service is stopped, as on a machine that is off.
    pub fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    /// Whether the client's machine is on, and the client has begun no heartbeat for three intervals.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        !self.is_stopped() && self.schedule.quiet_for(now) >= self.schedule.interval() * SILENT_INTERVALS
    }

    /// Plans the next heartbeat anew where it lies further ahead than any plan reaches, as after a clock that was set back.
    pub fn replan(&mut self, now: Timestamp) {
        self.schedule.replan(now);
    }

    /// The number of the request that its manager holds, in push mode.
    pub fn held(&self) -> Option<u64> {
        match self.phase {
            Phase::Holding { exchange } => Some(exchange),
            _ => None,
        }
    }

    /// The cache of the client.
    pub fn cache(&self) -> &Cache {
        &self.trust_state.cache
    }

    /// The client's identity.
    pub fn profile(&self) -> &AgentProfile {
        &self.profile
    }

    /// The client's identity, shared.
    #[cfg(feature = "wire")]
    pub(crate) fn shared_profile(&self) -> &Arc<AgentProfile> {
        &self.profile
    }

    /// The number of heartbeats that the client has begun.
    pub fn heartbeats(&self) -> u64 {
        self.heartbeats
    }

    /// The state of the client as seen from outside.
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
