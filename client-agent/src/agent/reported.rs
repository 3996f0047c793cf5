//! What a process that runs clients reports to a lab: what each client holds, and how its heartbeats go. Clients in equal
//! states are reported with one state.
//!
//! A report has what [`AgentView`] has, so that a lab judges a client elsewhere by the same rules as its own. It has no key and
//! no secret.

use std::collections::HashMap;

use epm_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::health::Health;
use super::view::AgentView;

/// The largest number of clients in one report.
pub const MOST_REPORTED: usize = 5_000;

/// A report of the clients of a process, or of a part of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientReport {
    /// The name of this run of the process, which no other has.
    pub instance: String,
    /// The time at which the process began, by its clock. Of two processes that report as one source the later one counts.
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// The time at which the process looked at its clients, by its clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The longest time until the next report of these clients in milliseconds, from 1000 to 3600000. After three of these
    /// without a report the clients count as unknown.
    pub interval_ms: u64,
    /// The number of this part of the process's clients, from 1.
    pub part: u32,
    /// The number of parts that the process reports its clients in.
    pub parts: u32,
    /// Whether the process ends: its clients have stopped, and nothing changes until they are started again.
    #[serde(default)]
    pub is_last: bool,
    /// The states of the clients, at most 5000 clients in all.
    pub states: Vec<ReportedState>,
}

/// Clients in one state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportedState {
    /// Whether the clients' machines are on.
    pub on: bool,
    /// Whether the clients are on, and have begun no heartbeat for three intervals.
    pub silent: bool,
    /// The state of the first client. `heartbeats` counts those that have ended.
    pub first: AgentView,
    /// Further clients in this state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<ReportedClient>,
}

/// What a client has for itself: its name, since when it is in the state of its contact (absent before its first heartbeat), and the
/// numbers of heartbeats that have ended and that a manager served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReportedClient(
    pub String,
    #[schemars(with = "Option<String>")] pub Option<Timestamp>,
    pub u64,
    pub u64,
);

/// What a client has for itself, borrowed from a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnReport<'a> {
    /// The name of the client's computer.
    pub name: &'a str,
    /// The time since when its contact is in its state; none before its first heartbeat.
    pub since: Option<Timestamp>,
    /// The number of heartbeats that have ended.
    pub heartbeats: u64,
    /// The number of heartbeats that a manager served.
    pub heartbeats_served: u64,
}

/// Groups clients by their states.
#[derive(Debug, Default)]
pub struct StateGroups {
    states: Vec<ReportedState>,
    /// The place of each state, by what it consists of.
    places: HashMap<String, usize>,
    /// The place of each state that has a number, by that and by whether the clients are silent.
    numbers: HashMap<(usize, bool), usize>,
}

impl StateGroups {
    /// Adds a client.
    pub fn add(&mut self, view: AgentView, on: bool, silent: bool) {
        let own = ReportedClient::of(&view);
        let name = serde_json::to_string(&(on, silent, bare(view.clone()))).unwrap_or_default();
        match self.places.get(&name) {
            Some(place) => self.states[*place].others.push(own),
            None => {
                self.places.insert(name, self.states.len());
                self.states.push(ReportedState { on, silent, first: view, others: Vec::new() });
            }
        }
    }

    /// Adds a client whose state has this number, as have all clients in the state; `first` is asked for once for each state.
    pub fn add_numbered(
        &mut self,
        number: usize,
        (on, silent): (bool, bool),
        client: ReportedClient,
        first: impl FnOnce() -> AgentView,
    ) {
        match self.numbers.get(&(number, silent)) {
            Some(place) => self.states[*place].others.push(client),
            None => {
                self.numbers.insert((number, silent), self.states.len());
                self.states.push(ReportedState { on, silent, first: first(), others: Vec::new() });
            }
        }
    }

    /// The states, each with its clients.
    pub fn into_states(self) -> Vec<ReportedState> {
        self.states
    }
}

impl ReportedState {
    /// The number of clients in this state.
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// Names of the clients.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.first.computer_name.as_str()).chain(self.others.iter().map(|one| one.0.as_str()))
    }

    /// What each client has for itself.
    pub fn clients(&self) -> impl Iterator<Item = OwnReport<'_>> {
        let AgentView { computer_name, heartbeats, heartbeats_served, health, .. } = &self.first;
        let (heartbeats, heartbeats_served) = (*heartbeats, *heartbeats_served);
        let first = OwnReport { name: computer_name, since: health.since(), heartbeats, heartbeats_served };
        let others = self.others.iter().map(|ReportedClient(name, since, heartbeats, heartbeats_served)| {
            OwnReport { name, since: *since, heartbeats: *heartbeats, heartbeats_served: *heartbeats_served }
        });
        std::iter::once(first).chain(others)
    }

    /// The state of each client.
    pub fn views(&self) -> impl Iterator<Item = AgentView> {
        let first = ReportedClient::of(&self.first);
        std::iter::once(first).chain(self.others.iter().cloned()).map(move |own| {
            let ReportedClient(computer_name, since, heartbeats, heartbeats_served) = own;
            let mut view = AgentView { computer_name, heartbeats, heartbeats_served, ..self.first.clone() };
            if let (Some(place), Some(since)) = (view.health.since_mut(), since) {
                *place = since;
            }
            view
        })
    }

    /// Replaces the time since when each client's contact is in its state by what `time` gives for the client's name and that time.
    pub fn map_times(&mut self, time: impl Fn(&str, Timestamp) -> Timestamp) {
        let AgentView { computer_name, health, .. } = &mut self.first;
        let first = health.since_mut().map(|since| (computer_name.as_str(), since));
        let others = self.others.iter_mut().filter_map(|one| Some((one.0.as_str(), one.1.as_mut()?)));
        first.into_iter().chain(others).for_each(|(client, since)| *since = time(client, *since));
    }
}

impl ReportedClient {
    fn of(view: &AgentView) -> Self {
        let since = view.health.clone().since_mut().copied();
        Self(view.computer_name.clone(), since, view.heartbeats, view.heartbeats_served)
    }
}

/// A state without what only one client has.
fn bare(mut view: AgentView) -> AgentView {
    (view.computer_name, view.heartbeats, view.heartbeats_served) = (String::new(), 0, 0);
    if let Some(since) = view.health.since_mut() {
        *since = Timestamp::EPOCH;
    }
    view
}

impl Health {
    /// The time since when it has been so; none before the first heartbeat.
    fn since_mut(&mut self) -> Option<&mut Timestamp> {
        match self {
            Self::New => None,
            Self::Connected { since } | Self::Disconnected { since, .. } | Self::Orphaned { since, .. } => {
                Some(since)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use epm_protocol::sylink::Sylink;

    use super::*;
    use crate::agent::{Agent, AgentState, Cache, Distrust, Harm, Input, SharedStates, Trouble};
    use crate::scenario::client_profile;

    fn view(name: &str, health: Health, heartbeats: u64) -> AgentView {
        AgentView {
            computer_name: name.to_owned(),
            version: "14.3".parse().unwrap(),
            certificates: Vec::new(),
            serial: None,
            policy_vouched_by: None,
            complete: None,
            group: None,
            preferred_group: None,
            downloads_off: false,
            secure_communications: true,
            list: "list".to_owned(),
            server: None,
            location: None,
            health,
            brought_back: false,
            given_older_file: false,
            served_with_file: false,
            harm: Harm::default(),
            quarantined: false,
            heartbeats,
            heartbeats_served: heartbeats,
        }
    }

    #[test]
    fn a_report_gives_every_client_back_and_has_each_state_once() {
        let at = Timestamp::from_seconds;
        let orphaned = |since| Health::Orphaned {
            since: at(since),
            because: Distrust::SharedSecret { status: 468 },
            also: None,
        };
        let mut given = vec![view("new", Health::New, 0)];
        given.extend((1..=50).map(|one| view(&format!("a-{one}"), Health::Connected { since: at(one) }, 7)));
        given.extend((1..=50).map(|one| view(&format!("b-{one}"), orphaned(one), one.unsigned_abs())));
        given.push(view("c", Health::Disconnected { since: at(9), because: Trouble::Disabled }, 3));
        let mut groups = StateGroups::default();
        given.iter().for_each(|one| groups.add(one.clone(), true, false));
        groups.add(given[0].clone(), false, false);
        let states = groups.into_states();
        assert_eq!(states.iter().map(ReportedState::count).collect::<Vec<_>>(), [1, 50, 50, 1, 1]);
        assert!(!states[4].on && states[4].first.computer_name == "new");
        let text = serde_json::to_string(&states).unwrap();
        let read: Vec<ReportedState> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, states);
        let back: Vec<AgentView> = read[..4].iter().flat_map(ReportedState::views).collect();
        assert_eq!(back, given);
        let names: Vec<&str> = read[..4].iter().flat_map(ReportedState::names).collect();
        assert!(names.len() == 102 && names[101] == "c");
        // The lab's clock may show another time.
        let hour = std::time::Duration::from_secs(3600);
        let mut later = read[2].clone();
        later.map_times(|client, since| if client == "b-2" { since } else { since + hour });
        let since: Vec<Timestamp> =
            later.views().take(3).map(|one| one.health.orphaned().unwrap().0).collect();
        assert_eq!(since, [at(1) + hour, at(2), at(3) + hour]);
    }

    #[test]
    fn clients_that_sleep_are_reported_as_they_are_awake() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/sylink/exported.xml");
        let sylink = Arc::new(Sylink::parse_bytes(&std::fs::read(file).unwrap()).unwrap());
        let assumptions = Arc::default();
        let (now, mut shared, mut groups) =
            (Timestamp::from_seconds(1_000_000), SharedStates::default(), StateGroups::default());
        let mut awake = Vec::new();
        for one in 1..=6 {
            let health = match one {
                1 => Health::New,
                _ => Health::Connected { since: Timestamp::from_seconds(one) },
            };
            let state = AgentState { health, ..AgentState::default() };
            let profile = client_profile(1, "desk", u32::try_from(one).unwrap(), "14.3".parse().unwrap());
            let cache = Cache { sylink: Arc::clone(&sylink), state };
            let mut agent = Agent::new(profile.clone(), cache, Arc::clone(&assumptions));
            if one > 3 {
                agent.handle(Input::Start { booted: now }, now);
            }
            let dormant = shared.sleep(agent, None).unwrap();
            let agent = dormant.wake(profile.clone());
            for later in (0..100).map(|step| now + std::time::Duration::from_secs(600 * step)) {
                assert_eq!(dormant.is_silent(later), agent.is_silent(later), "{one} at {later}");
            }
            let client = dormant.reported(profile.computer_name.clone());
            let is = (!dormant.is_stopped(), dormant.is_silent(now));
            groups.add_numbered(dormant.state_number(), is, client, || agent.view());
            awake.push((agent, dormant));
        }
        assert!(awake.iter().any(|(agent, _)| agent.is_silent(now + std::time::Duration::from_secs(59_400))));
        let states = groups.into_states();
        assert_eq!(
            states.iter().map(|one| (one.on, one.count())).collect::<Vec<_>>(),
            [(false, 1), (false, 2), (true, 3)]
        );
        let views: Vec<AgentView> = states.iter().flat_map(ReportedState::views).collect();
        assert_eq!(views, awake.iter().map(|(agent, _)| agent.view()).collect::<Vec<_>>());
    }
}
