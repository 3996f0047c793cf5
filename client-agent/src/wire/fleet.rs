//! Many agents in one process, with a limit on how many are in a heartbeat at the same time.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use epm_protocol::assumption::Assumptions;
use epm_protocol::sylink::Sylink;
use epm_protocol::time::{Clock, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::agenda::Dispatch;
use super::client::{LogSink, Shared, Sinks, Watcher};
use super::clock::LabClock;
use super::dispatcher::{Dispatcher, Lasts};
use super::handle::AgentHandle;
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
    /// Places of the members by name; of several of a name, that of the first.
    names: HashMap<String, usize>,
    /// The task that runs the clients, once there are some.
    dispatcher: Option<JoinHandle<Result<(), StoreError>>>,
    assumptions: Arc<Assumptions>,
    sinks: Arc<Sinks>,
    shared: Arc<Shared>,
    turns: usize,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("members", &self.members.len()).finish_non_exhaustive()
    }
}

impl Fleet {
    /// Makes a fleet without agents, of which this many may be in a heartbeat at the same time.
    pub fn new(clock: Arc<LabClock>, assumptions: Arc<Assumptions>, log: LogSink, turns: usize) -> Self {
        let (members, places, names) = (Vec::new(), HashMap::new(), HashMap::new());
        let (sinks, shared) = (Arc::new(Sinks { log, watcher: None }), Shared::new(clock, turns));
        Self { members, places, names, dispatcher: None, assumptions, sinks, shared, turns }
    }

    /// Sets the watcher of agents that are added from now on.
    pub fn watch(&mut self, watcher: Watcher) {
        let log = Arc::clone(&self.sinks.log);
        self.sinks = Arc::new(Sinks { log, watcher: Some(watcher) });
    }

    /// Starts these agents, on machines that were booted up to 30 days before; each has its first heartbeat at once.
    pub async fn start(
        clock: Arc<LabClock>,
        assumptions: &Arc<Assumptions>,
        log: &LogSink,
        specs: Vec<MemberSpec>,
    ) -> Self {
        let mut fleet = Self::new(clock, Arc::clone(assumptions), Arc::clone(log), TURNS);
        for spec in specs {
            fleet.add(spec);
        }
        for member in &fleet.members {
            member.handle.start_long_after_boot(fleet.shared.clock.now()).await;
        }
        fleet
    }

    /// Adds an agent that is not started yet.
    pub fn add(&mut self, spec: MemberSpec) {
        let member = self.employ(spec);
        self.put(member);
    }

    /// Adds an agent in the state that it is in, which continues by itself, unless it is kept from waking; `source` is the source
    /// address of its connections, the system's choice if none.
    pub fn bring_back(
        &mut self,
        part: String,
        agent: Agent,
        source: Option<Ipv4Addr>,
        is_frozen: bool,
    ) -> &Member {
        let member = self.run(part, agent, None, source, is_frozen);
        self.put(member)
    }

    fn put(&mut self, member: Member) -> &Member {
        let place = self.members.len();
        self.places.insert(member.handle.number(), place);
        self.names.entry(member.name.clone()).or_insert(place);
        self.members.push_mut(member)
    }

    /// Sets the assumptions of agents that are added from now on.
    pub fn assume(&mut self, assumptions: Arc<Assumptions>) {
        self.assumptions = assumptions;
    }

    /// Stops these agents and removes them from the fleet.
    pub fn dismiss(&mut self, leaves: impl Fn(&Member) -> bool) {
        self.members.extract_if(.., |member| leaves(member)).for_each(|gone| gone.handle.client.leave());
        let numbers = self.members.iter().map(|member| member.handle.number());
        self.places = numbers.zip(0..).collect();
        // In reverse, so that the first of a name counts.
        let names = self.members.iter().enumerate().rev();
        self.names = names.map(|(place, member)| (member.name.clone(), place)).collect();
    }

    /// Stops an agent, and puts another one, not started yet, in its place.
    pub fn replace(&mut self, place: usize, spec: MemberSpec) {
        let member = self.employ(spec);
        if let Some(old) = self.members.get_mut(place) {
            self.places.insert(member.handle.number(), place);
            let name = member.name.clone();
            let old = std::mem::replace(old, member);
            self.places.remove(&old.handle.number());
            self.names.remove(&old.name);
            old.handle.client.leave();
            self.names.insert(name, place);
        }
    }

    fn employ(&mut self, spec: MemberSpec) -> Member {
        let MemberSpec { part, profile, sylink, location, disk, source } = spec;
        let state = AgentState { location, ..AgentState::default() };
        let agent = Agent::new(profile, Cache { sylink, state }, Arc::clone(&self.assumptions));
        self.run(part, agent, disk, source, false)
    }

    fn run(
        &mut self,
        part: String,
        agent: Agent,
        disk: Option<DiskCache>,
        source: Option<Ipv4Addr>,
        is_frozen: bool,
    ) -> Member {
        let name = agent.profile().computer_name.clone();
        let client = self.shared.join(agent, Arc::clone(&self.sinks), disk, source, is_frozen);
        let shared = &self.shared;
        let dispatch = || tokio::spawn(Dispatcher::new(Arc::clone(shared), Lasts::UntilClosed).run());
        self.dispatcher.get_or_insert_with(dispatch);
        Member { name, part, handle: AgentHandle { client, leaves: None } }
    }

    /// The number of agents that may be in a heartbeat at the same time.
    pub fn turns(&self) -> usize {
        self.turns
    }

    /// The agents, in the order in which they were added.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The agent with this number.
    pub fn member(&self, number: u64) -> Option<&Member> {
        self.places.get(&number).and_then(|place| self.members.get(*place))
    }

    /// The agent of this name; the first of several.
    pub fn named(&self, name: &str) -> Option<&Member> {
        self.members.get(self.place_of(name)?)
    }

    /// The place of the agent of this name.
    pub fn place_of(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// Whether every agent has handled all external inputs.
    pub fn has_heard(&self) -> bool {
        self.shared.agenda.has_heard()
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
        self.shared.progress.subscribe()
    }

    /// Waits until `done` returns true; it is called again whenever an agent has ended a heartbeat. Returns false when
    /// the lab's clock passes `limit` first.
    pub async fn wait_until(&self, limit: Timestamp, mut done: impl FnMut(&[Member]) -> bool) -> bool {
        let mut progress = self.progress();
        loop {
            progress.mark_unchanged();
            if done(&self.members) {
                return true;
            }
            tokio::select! {
                changed = progress.changed() => if changed.is_err() { return done(&self.members) },
                () = self.shared.clock.sleep_until(limit) => return done(&self.members),
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
        self.members.drain(..).for_each(|gone| gone.handle.client.leave());
        self.places.clear();
        self.names.clear();
        self.shared.agenda.set_dispatch(Dispatch::Closing);
        match self.dispatcher.take() {
            Some(dispatcher) => dispatcher.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Some(dispatcher) = &self.dispatcher {
            dispatcher.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use epm_protocol::id::{Guid, HardwareKey};
    use epm_protocol::site::{DEFAULT_GROUP, Founding, ManagerPorts, Site};

    use super::*;
    use crate::agent::Input;
    use crate::wire::ByState;

    const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

    /// A fleet of this many clients whose manager cannot be reached, with a clock that stands, and its log.
    async fn fleet(clients: u32) -> (Fleet, Arc<LabClock>, std::sync::mpsc::Receiver<String>) {
        let assumptions = Arc::new(Assumptions::default());
        let ports = ManagerPorts { address: "127.0.0.1".into(), http: Some(1), https: None };
        let managers = vec![("sepm-1".to_owned(), ports)];
        let founding =
            Founding { name: "Site".to_owned(), seed: 1, managers, assumptions: Arc::clone(&assumptions) };
        let sylink =
            Arc::new(Site::found(founding, START).unwrap().export_sylink(DEFAULT_GROUP, None).unwrap());
        let spec = |number: u32| {
            let name = format!("desk-{number}");
            let profile = AgentProfile {
                hardware_key: HardwareKey(Guid::derive(0, "hardware", &name, Ipv4Addr::LOCALHOST)),
                computer_name: name,
                version: "14.3".parse().unwrap(),
                seed: number.into(),
                use_last_server: true,
            };
            let (sylink, part) = (Arc::clone(&sylink), "desk".to_owned());
            MemberSpec { part, profile, sylink, location: None, disk: None, source: None }
        };
        let clock = Arc::new(LabClock::starting_at(START, 0));
        let (sender, log) = std::sync::mpsc::channel();
        let sink: LogSink = Arc::new(move |name, line| drop(sender.send(format!("{name}: {}", line.text))));
        let specs = (0..clients).map(spec).collect();
        (Fleet::start(Arc::clone(&clock), &assumptions, &sink, specs).await, clock, log)
    }

    async fn settled(fleet: &Fleet, clock: &LabClock) {
        let now = clock.now();
        let settled = fleet.wait_until(Timestamp::NEVER, |_| fleet.settled(now).is_some());
        assert!(tokio::time::timeout(Duration::from_secs(60), settled).await.is_ok(), "it never rests");
    }

    /// Waits until no client has a task: a task ends soon after its client has come to rest.
    async fn asleep(fleet: &Fleet) {
        let asleep = async {
            while fleet.members().iter().any(|one| one.handle.has_task()) {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(60), asleep).await.is_ok(), "tasks without work");
    }

    fn beats(fleet: &Fleet) -> Vec<u64> {
        fleet.members().iter().map(|one| one.handle.view().heartbeats).collect()
    }

    #[tokio::test]
    async fn clients_sleep_without_a_task_and_have_each_heartbeat_once_when_the_clock_is_moved_there() {
        let (fleet, clock, _log) = fleet(200).await;
        settled(&fleet, &clock).await;
        asleep(&fleet).await;
        assert_eq!(beats(&fleet), [1; 200], "the first heartbeat of each");
        let mut states = ByState::<u32>::default();
        for Member { name, handle, .. } in fleet.members() {
            let glance = handle.glance(clock.now());
            assert_eq!(glance.view(name), handle.view());
            assert_eq!(handle.copy().agent().view(), handle.agent().view());
            *states.of(&glance.common, |_| 0) += 1;
        }
        assert_eq!(states.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [200], "one state for all");
        let mut woken = 0;
        for _ in 0..20 {
            let (next, before) = (fleet.next_wake(), beats(&fleet));
            let due = fleet.members().iter().map(|one| u64::from(one.handle.next_wake() == next));
            let after: Vec<u64> = before.iter().zip(due).map(|(before, due)| before + due).collect();
            clock.set(next);
            settled(&fleet, &clock).await;
            assert_eq!(beats(&fleet), after);
            woken += after.iter().zip(&before).map(|(after, before)| after - before).sum::<u64>();
        }
        assert!(woken >= 20, "{woken}");
    }

    #[tokio::test]
    async fn telling_a_client_something_and_noting_its_state_never_wait_for_each_other() {
        let (fleet, ..) = fleet(1).await;
        let (done, both) = std::sync::mpsc::channel();
        let told = |handle: &AgentHandle| {
            let _ = handle.client.tell(Input::Stop);
        };
        let noted = |handle: &AgentHandle| handle.freeze(false);
        for act in [told, noted] as [fn(&AgentHandle); 2] {
            let (handle, done) = (fleet.members()[0].handle.clone(), done.clone());
            std::thread::spawn(move || {
                (0..20_000).for_each(|_| act(&handle));
                let _ = done.send(());
            });
        }
        let have_ended = (0..2).all(|_| both.recv_timeout(Duration::from_secs(60)).is_ok());
        if !have_ended {
            std::mem::forget(fleet); // its end would wait as well
        }
        assert!(have_ended, "each waits for the other");
    }

    #[tokio::test]
    async fn few_inputs_wait_for_a_client_and_who_has_more_waits_for_it() {
        let (fleet, clock, log) = fleet(1).await;
        settled(&fleet, &clock).await;
        let handle = fleet.members()[0].handle.clone();
        // Nothing is handled before the test waits: there is one thread.
        let taken = (0..100).take_while(|_| handle.client.tell(Input::Stop).is_ok()).count();
        assert_eq!(taken, 16);
        for _ in 0..50 {
            assert!(tokio::time::timeout(Duration::from_secs(20), handle.tell(Input::Stop)).await.unwrap());
        }
        settled(&fleet, &clock).await;
        assert!(handle.is_stopped());
        for _ in 0..16 {
            let _ = handle.client.tell(Input::UpdateNow);
        }
        let waiting = {
            let handle = handle.clone();
            tokio::spawn(async move { handle.tell(Input::UpdateNow).await })
        };
        fleet.stop().await.unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().is_ok());
        drop(log);
    }

    #[tokio::test]
    async fn a_sleeping_client_hears_what_it_is_told_and_a_frozen_one_does_not_wake() {
        let (fleet, clock, log) = fleet(2).await;
        settled(&fleet, &clock).await;
        asleep(&fleet).await;
        let [one, other] = [0, 1].map(|place: usize| fleet.members()[place].handle.clone());
        other.freeze(true);
        assert_eq!((other.next_wake(), fleet.next_wake()), (Timestamp::NEVER, one.next_wake()));
        clock.set(fleet.next_wake() + Duration::from_secs(4000));
        settled(&fleet, &clock).await;
        assert_eq!(beats(&fleet), [2, 1], "heartbeats that were missed follow as one");
        assert!(one.tell(Input::Stop).await && other.tell(Input::UpdateNow).await);
        settled(&fleet, &clock).await;
        assert_eq!((beats(&fleet), one.is_stopped(), one.next_wake()), (vec![2, 2], true, Timestamp::NEVER));
        other.freeze(false);
        let next = other.next_wake();
        assert_eq!(fleet.next_wake(), next);
        let now = clock.now();
        clock.set_with(now - Duration::from_secs(7200), |then| {
            other.clock_moved(then, now - Duration::from_secs(7200));
        });
        // Its phase is kept; the jitter of another heartbeat may be another one.
        let (moved, expected) = (fleet.next_wake(), next - Duration::from_secs(7200));
        let distance = moved.since(expected).max(expected.since(moved));
        assert!(moved > clock.now() && distance <= Duration::from_secs(30), "{moved}, {expected}");
        fleet.stop().await.unwrap();
        let stopped = log.try_iter().filter(|line| line.ends_with("has been stopped.")).count();
        assert_eq!((stopped, one.tell(Input::UpdateNow).await), (2, false));
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_brings_the_plans_of_sleeping_clients_back() {
        let (fleet, clock, _log) = fleet(3).await;
        settled(&fleet, &clock).await;
        clock.set(fleet.next_wake() + Duration::from_secs(86_400));
        settled(&fleet, &clock).await;
        asleep(&fleet).await;
        clock.set(START);
        let near =
            || fleet.members().iter().all(|one| one.handle.next_wake() < START + Duration::from_secs(7200));
        let brought_back = async {
            while !near() {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(60), brought_back).await.is_ok(), "a day late");
    }

    #[tokio::test]
    async fn a_client_that_leaves_stops_and_the_others_go_on() {
        let (mut fleet, clock, log) = fleet(3).await;
        settled(&fleet, &clock).await;
        fleet.dismiss(|one| one.name == "desk-1");
        clock.set(fleet.next_wake() + Duration::from_secs(4000));
        settled(&fleet, &clock).await;
        assert_eq!(beats(&fleet), [2, 2]);
        drop(fleet.stop_all().await);
        let lines: Vec<String> = log.try_iter().collect();
        let stopped = |name: &str| lines.iter().filter(|line| **line == format!("{name}: {STOPPED}")).count();
        assert_eq!([stopped("desk-0"), stopped("desk-1"), stopped("desk-2")], [1; 3]);
    }

    const STOPPED: &str = "Symantec Management Client has been stopped.";
}
