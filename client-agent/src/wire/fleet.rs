//! Many agents in one process, with a limit on how many are in a heartbeat at the same time.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use epm_protocol::assumption::Assumptions;
use epm_protocol::sylink::Sylink;
use epm_protocol::time::{Clock, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::clock::LabClock;
use super::driver::{AgentHandle, LogSink, Shared, Watcher, prepare};
use super::store::{DiskCache, StoreError};
use crate::agent::{Agent, AgentProfile, AgentState, Cache};

/// The number of agents that may be in a heartbeat at the same time; without a limit, a stampede would time out.
pub const TURNS: usize = 64;

/// The specification of an agent.
#[derive(Debug)]
pub struct MemberSpec {
    /// The part of the fleet that it belongs to, for reports.
    pub part: String,
    /// The identity of the agent.
    pub profile: AgentProfile,
    /// The communications file of its installation.
    pub sylink: Arc<Sylink>,
    /// The location of the agent; the default one if none.
    pub location: Option<String>,
    /// The agent's cache on disk; only in memory if none.
    pub disk: Option<DiskCache>,
    /// The source address of its connections, a loopback address; the system's choice if none.
    pub source: Option<Ipv4Addr>,
}

/// A running agent of a fleet.
#[derive(Clone, Debug)]
pub struct Member {
    /// The name of the agent's computer.
    pub name: String,
    /// The part of the fleet that it belongs to.
    pub part: String,
    /// The handle of the agent.
    pub handle: AgentHandle,
}

/// A running fleet. Dropping it ends every agent at once.
pub struct Fleet {
    members: Vec<Member>,
    /// Places of the members by their numbers.
    places: HashMap<u64, usize>,
    tasks: JoinSet<Result<(), StoreError>>,
    counter: watch::Sender<u64>,
    progress: watch::Receiver<u64>,
    clock: Arc<LabClock>,
    assumptions: Arc<Assumptions>,
    log: LogSink,
    watcher: Option<Watcher>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("members", &self.members.len()).finish_non_exhaustive()
    }
}

impl Fleet {
    /// Makes a fleet without agents.
    pub fn new(clock: Arc<LabClock>, assumptions: Arc<Assumptions>, log: LogSink) -> Self {
        let (counter, progress) = watch::channel(0);
        let tasks = JoinSet::new();
        let (members, places) = (Vec::new(), HashMap::new());
        let (watcher, shared) = (None, Shared::with_turns(TURNS));
        Self { members, places, tasks, counter, progress, clock, assumptions, log, watcher, shared }
    }

    /// Sets the watcher of agents that are added from now on.
    pub fn watch(&mut self, watcher: Watcher) {
        self.watcher = Some(watcher);
    }

    /// Starts these agents, on machines that were booted up to 30 days before; each has its first heartbeat at once.
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
        self.places.insert(member.handle.number(), self.members.len());
        self.members.push(member);
    }

    /// Adds an agent in the state that it is in, which continues by itself; `source` is the source address of its
    /// connections, the system's choice if none.
    pub fn bring_back(&mut self, part: String, agent: Agent, source: Option<Ipv4Addr>) -> &Member {
        let member = self.run(part, agent, None, source);
        self.places.insert(member.handle.number(), self.members.len());
        self.members.push_mut(member)
    }

    /// Sets the assumptions of agents that are added from now on.
    pub fn assume(&mut self, assumptions: Arc<Assumptions>) {
        self.assumptions = assumptions;
    }

    /// Stops these agents and removes them from the fleet.
    pub fn dismiss(&mut self, leaves: impl Fn(&Member) -> bool) {
        self.members.extract_if(.., |member| leaves(member)).for_each(|gone| gone.handle.leave());
        let numbers = self.members.iter().map(|member| member.handle.number());
        self.places = numbers.zip(0..).collect();
    }

    /// Stops an agent, and puts another one, not started yet, in its place.
    pub fn replace(&mut self, place: usize, spec: MemberSpec) {
        let member = self.employ(spec);
        if let Some(old) = self.members.get_mut(place) {
            self.places.insert(member.handle.number(), place);
            let old = std::mem::replace(old, member);
            self.places.remove(&old.handle.number());
            old.handle.leave();
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
            self.counter.clone(),
            source,
            Arc::clone(&self.shared),
        );
        self.tasks.spawn(driver.run());
        Member { name, part, handle }
    }

    /// The agents, in the order in which they were added.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The agent with this number.
    pub fn member(&self, number: u64) -> Option<&Member> {
        self.places.get(&number).and_then(|place| self.members.get(*place))
    }

    /// How often an agent has become busy, if every agent has handled all external inputs, rests, and has nothing to do until after
    /// `now`. What is looked at afterwards belongs to this state if the number is still the same then.
    pub fn settled(&self, now: Timestamp) -> Option<u64> {
        self.shared.agenda.settled(now)
    }

    /// The time at which the first agent wants to be woken.
    pub fn next_wake(&self) -> Timestamp {
        self.shared.agenda.next_wake()
    }

    /// The numbers of the agents whose managers hold their requests.
    pub fn held(&self) -> HashSet<u64> {
        self.shared.agenda.held()
    }

    /// How many agents' managers hold their requests, and the numbers of those for whom that may have changed since this was
    /// last asked.
    pub fn take_acted(&self) -> (usize, HashSet<u64>) {
        self.shared.agenda.take_acted()
    }

    /// A receiver that changes whenever an agent has ended a heartbeat.
    pub fn progress(&self) -> watch::Receiver<u64> {
        self.progress.clone()
    }

    /// Waits until `done` returns true; it is called again whenever an agent has ended a heartbeat. Returns false when
    /// the lab's clock passes `limit` first.
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

    /// Stops every agent, and returns when all caches are written.
    ///
    /// # Errors
    ///
    /// When an agent's cache could not be written.
    pub async fn stop(mut self) -> Result<(), StoreError> {
        self.stop_all().await
    }

    /// Stops every agent as [`Self::stop`] does, and leaves an empty fleet.
    ///
    /// # Errors
    ///
    /// When an agent's cache could not be written.
    pub async fn stop_all(&mut self) -> Result<(), StoreError> {
        self.members.drain(..).for_each(|gone| gone.handle.leave());
        self.places.clear();
        while let Some(ended) = self.tasks.join_next().await {
            if let Ok(result) = ended {
                result?;
            }
        }
        Ok(())
    }
}
