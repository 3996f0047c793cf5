//! Many agents in one process, with a bound on how many are in a heartbeat at the same time.

use std::net::Ipv4Addr;
use std::sync::Arc;

use epm_protocol::assumption::Assumptions;
use epm_protocol::sylink::Sylink;
use epm_protocol::time::{Clock, Timestamp};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::clock::LabClock;
use super::driver::{AgentHandle, LogSink, Watcher, prepare};
use super::store::{DiskCache, StoreError};
use crate::agent::{Agent, AgentProfile, AgentState, Cache};

/// How many agents may be in a heartbeat at the same time. A stampede without a bound serves nobody.
pub const TURNS: usize = 64;

/// An agent to be.
#[derive(Debug)]
pub struct MemberSpec {
    /// The part of the fleet that it belongs to, for reports.
    pub part: String,
    /// Who it is.
    pub profile: AgentProfile,
    /// The communications file that it is installed with.
    pub sylink: Arc<Sylink>,
    /// The location that it is in; the default one when none.
    pub location: Option<String>,
    /// Where it keeps its cache; only in memory when none.
    pub disk: Option<DiskCache>,
    /// The loopback address that its connections come from; the system's choice when none.
    pub source: Option<Ipv4Addr>,
}

/// A running agent of a fleet.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its computer's name.
    pub name: String,
    /// The part of the fleet that it belongs to.
    pub part: String,
    /// The agent.
    pub handle: AgentHandle,
}

/// A running fleet. Dropping it ends every agent at once, wherever it is.
pub struct Fleet {
    members: Vec<Member>,
    tasks: JoinSet<Result<(), StoreError>>,
    counter: watch::Sender<u64>,
    progress: watch::Receiver<u64>,
    turns: Arc<Semaphore>,
    clock: Arc<LabClock>,
    assumptions: Arc<Assumptions>,
    log: LogSink,
    watcher: Option<Watcher>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("members", &self.members.len()).finish_non_exhaustive()
    }
}

impl Fleet {
    /// A fleet without agents.
    pub fn new(clock: Arc<LabClock>, assumptions: Arc<Assumptions>, log: LogSink) -> Self {
        let (counter, progress) = watch::channel(0);
        let turns = Arc::new(Semaphore::new(TURNS));
        let tasks = JoinSet::new();
        Self { members: Vec::new(), tasks, counter, progress, turns, clock, assumptions, log, watcher: None }
    }

    /// Tells this one what each agent that is added from now on looks like, whenever it has come to rest.
    pub fn watch(&mut self, watcher: Watcher) {
        self.watcher = Some(watcher);
    }

    /// Starts these agents, each with its first heartbeat at once, on machines that have been on for long.
    pub async fn start(
        clock: Arc<LabClock>,
        assumptions: &Arc<Assumptions>,
        log: &LogSink,
        specs: Vec<MemberSpec>,
    ) -> Self {
        let mut fleet = Self::new(clock, Arc::clone(assumptions), Arc::clone(log));
        for spec in specs {
            fleet.add(spec);
        }
        for member in &fleet.members {
            member.handle.start_long_after_boot(fleet.clock.now()).await;
        }
        fleet
    }

    /// Adds an agent that is not started yet.
    pub fn add(&mut self, spec: MemberSpec) {
        let member = self.employ(spec);
        self.members.push(member);
    }

    /// Adds an agent as it is, which goes on by itself.
    pub fn bring_back(&mut self, part: String, agent: Agent) -> &Member {
        let member = self.run(part, agent, None, None);
        self.members.push_mut(member)
    }

    /// Lets these agents go: each stops, and is no member any more.
    pub fn dismiss(&mut self, leaves: impl Fn(&Member) -> bool) {
        self.members.retain(|member| !leaves(member));
    }

    /// Another agent, not started yet, takes the place of one that stops.
    pub fn replace(&mut self, place: usize, spec: MemberSpec) {
        let member = self.employ(spec);
        if let Some(old) = self.members.get_mut(place) {
            *old = member;
        }
    }

    fn employ(&mut self, spec: MemberSpec) -> Member {
        let MemberSpec { part, profile, sylink, location, disk, source } = spec;
        let state = AgentState { location, ..AgentState::default() };
        let agent = Agent::new(profile, Cache { sylink, state }, Arc::clone(&self.assumptions));
        self.run(part, agent, disk, source)
    }

    fn run(
        &mut self,
        part: String,
        agent: Agent,
        disk: Option<DiskCache>,
        source: Option<Ipv4Addr>,
    ) -> Member {
        let name = agent.profile().computer_name.clone();
        let (handle, driver) = prepare(
            agent,
            Arc::clone(&self.clock),
            (Arc::clone(&self.log), self.watcher.clone()),
            disk,
            Arc::clone(&self.turns),
            self.counter.clone(),
            source,
        );
        self.tasks.spawn(driver.run());
        Member { name, part, handle }
    }

    /// The agents, in the order in which they were given.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Is told whenever an agent has done something.
    pub fn progress(&self) -> watch::Receiver<u64> {
        self.progress.clone()
    }

    /// Waits until `done` says so; it is asked again whenever an agent has ended a heartbeat. Returns false when the
    /// lab's clock passes `limit` first.
    pub async fn wait_until(&self, limit: Timestamp, mut done: impl FnMut(&[Member]) -> bool) -> bool {
        let mut progress = self.progress.clone();
        loop {
            progress.mark_unchanged();
            if done(&self.members) {
                return true;
            }
            tokio::select! {
                changed = progress.changed() => if changed.is_err() { return done(&self.members) },
                () = self.clock.sleep_until(limit) => return done(&self.members),
            }
        }
    }

    /// Stops every agent, and returns when all have kept what they know.
    ///
    /// # Errors
    ///
    /// When an agent's cache could not be written.
    pub async fn stop(mut self) -> Result<(), StoreError> {
        self.stop_all().await
    }

    /// As [`Self::stop`], and leaves a fleet without agents.
    ///
    /// # Errors
    ///
    /// When an agent's cache could not be written.
    pub async fn stop_all(&mut self) -> Result<(), StoreError> {
        self.members.clear();
        while let Some(ended) = self.tasks.join_next().await {
            if let Ok(result) = ended {
                result?;
            }
        }
        Ok(())
    }
}
