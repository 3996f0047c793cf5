//! The history of each client, recorded whenever a client becomes idle. Bounded per client.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use epm_client_agent::agent::{AgentView, Distrust, Harm, Health, TrustLayer};
use epm_client_agent::scenario::Held;
use epm_client_agent::wire::Watcher;
use epm_protocol::policy::PolicySerial;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::runtime::changes::Changes;
use crate::schema::BridgedSchema;

/// Number of events of one kind that are kept per client.
const REMEMBERED: usize = 32;
/// Number of clients that left with something to report, and of those of which it is known when they left.
const MOST_GONE: usize = 100_000;
/// Stands for the clients that left with something to report when there were too many of them: their histories are one.
const FURTHER: &str = "further clients";

/// Stands for a number that a client has stopped counting at.
pub(super) const TOO_MANY: u64 = u64::MAX;

/// Numbers of orphanings and of unsigned policies, as a client tells them, or as its reports have shown: one that was installed anew
/// tells less.
pub(super) fn counts_of(harm: Harm, seen: Option<&Trace>) -> (u64, u64) {
    let count = |told: u8| if told == u8::MAX { TOO_MANY } else { told.into() };
    let (orphaned, unsigned) = seen.map(|trace| trace.counts).unwrap_or_default();
    (orphaned.max(count(harm.orphaned)), unsigned.max(count(harm.unsigned)))
}

/// Recorded history of a client.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Trace {
    /// Periods in which the client was orphaned, oldest first.
    #[schemars(with = "Vec<Orphaning>")]
    pub orphaned: VecDeque<Orphaning>,
    /// Policies that the client adopted without a verified signature.
    #[schemars(with = "Vec<Unsigned>")]
    pub unsigned: VecDeque<Unsigned>,
    /// Certificates that the client holds, each with the number of the heartbeat since which it does.
    #[schemars(with = "Vec<(String, u64)>")]
    pub certificates: Vec<(Fingerprint, u64)>,
    /// Number of dropped events; the latest of each kind are kept.
    pub forgotten: u64,
    #[serde(skip)]
    pub(super) serial: Option<PolicySerial>,
    /// Number of periods in which the client was orphaned, and of policies that it adopted without a verified
    /// signature: of all, also of those that were dropped.
    #[serde(skip)]
    pub(super) counts: (u64, u64),
    /// Number of heartbeats that a manager had served at the client's last rest before each change of the site: the
    /// number of changes so far, and that of heartbeats.
    #[serde(skip)]
    pub(super) served: VecDeque<(u64, u64)>,
    /// What a client that runs elsewhere tells of itself; none of one that has told nothing yet.
    #[serde(skip)]
    pub(super) told: Option<Told>,
    /// Since when the contact of a client that runs elsewhere is in its state: by the clock of its process, and the lab time.
    #[serde(skip)]
    pub(super) contact: Option<(Timestamp, Timestamp)>,
}

/// What a client that runs elsewhere tells of itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    /// What it told first.
    pub(super) first: Harm,
    last: Harm,
    /// What has happened to it since.
    pub(super) grown: Ever,
    /// Lab time at which it told less than before: it had been installed anew.
    anew: Option<Timestamp>,
}

impl Told {
    /// Hears what it tells now.
    fn hear(&mut self, harm: Harm, now: Timestamp) {
        if harm.orphaned < self.last.orphaned || harm.unsigned < self.last.unsigned {
            self.anew = Some(now);
            self.last = Harm::default();
        }
        self.grown.orphaned |= harm.orphaned > self.last.orphaned;
        self.grown.unsigned |= harm.unsigned > self.last.unsigned;
        self.last = harm;
    }
}

/// A period in which a client was orphaned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Orphaning {
    /// Lab time at which the client became orphaned.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// Lab time at which the client was found to be served again; absent while it is orphaned.
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// Code of the layer of trust that failed.
    #[schemars(with = "BridgedSchema<TrustLayer>")]
    pub layer: TrustLayer,
    /// Title of the layer of trust that failed, for people.
    pub layer_title: &'static str,
    /// Expected and found value.
    #[schemars(with = "BridgedSchema<Distrust>")]
    pub because: Distrust,
    /// What the client held when it became orphaned.
    #[serde(skip)]
    pub held: Held,
}

/// A policy that was adopted without a verified signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unsigned {
    /// Lab time at which the adoption was recorded.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Serial number of the policy.
    #[schemars(with = "String")]
    pub serial: PolicySerial,
}

/// Recorded history of all clients.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Number of times that the history was forgotten.
    pub(super) generation: AtomicU64,
    /// The lab's own clients.
    own: Traces,
    /// Clients that processes elsewhere report. One of these can have the name of one of the lab's own.
    reported: Traces,
    /// Clients that were reported before the lab's process was started again, until they are reported anew.
    awaited: DashMap<String, Trace>,
    /// Clients that left after they had been orphaned or had adopted an unsigned policy.
    departed: DashMap<String, Trace>,
    left: Mutex<Left>,
}

/// Histories of the clients that are there, by name.
#[derive(Debug, Default)]
struct Traces {
    all: DashMap<String, Trace>,
    /// What each of the clients was ever, of those that were anything: a verdict on a large fleet asks for no other.
    marked: DashMap<String, Ever>,
}

/// When clients left the fleet, or were no longer reported, whatever had happened to them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Left {
    /// Lab time at which a client of each name last left.
    at: HashMap<String, Timestamp>,
    /// Lab time until which not each client that left is known.
    dropped_until: Option<Timestamp>,
}

/// What a store keeps of the histories of clients.
#[derive(Debug, Default)]
pub(super) struct KeptHistory {
    pub(super) own: Vec<(String, Trace)>,
    pub(super) reported: Vec<(String, Trace)>,
    pub(super) departed: Vec<(String, Trace)>,
    pub(super) left: Left,
}

/// What a client was at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ever {
    pub(super) orphaned: bool,
    pub(super) unsigned: bool,
}

impl Traces {
    /// Changes the history of a client, which begins with that.
    fn change<R>(&self, client: &str, change: impl FnOnce(&mut Trace) -> R) -> R {
        let trace = self.all.get_mut(client);
        let mut trace = trace.unwrap_or_else(|| self.all.entry(client.to_owned()).or_default());
        let before = trace.ever();
        let result = change(&mut trace);
        if trace.ever() != before {
            self.marked.insert(client.to_owned(), trace.ever());
        }
        result
    }

    fn insert(&self, client: String, trace: Trace) {
        if trace.ever() != Ever::default() {
            self.marked.insert(client.clone(), trace.ever());
        }
        self.all.insert(client, trace);
    }

    /// Takes out the history of a client that leaves at this lab time.
    fn take(&self, client: &str, now: Timestamp) -> Option<(String, Trace)> {
        let (name, mut trace) = self.all.remove(client)?;
        self.marked.remove(client);
        if let Some(open) = trace.orphaned.back_mut() {
            open.until.get_or_insert(now);
        }
        Some((name, trace))
    }

    fn clear(&self) {
        self.all.clear();
        self.marked.clear();
    }
}

impl Left {
    /// Notes that a client has left. Of too many the earlier half is dropped.
    fn add(&mut self, client: &str, now: Timestamp) {
        if self.at.len() >= MOST_GONE && !self.at.contains_key(client) {
            let mut times: Vec<Timestamp> = self.at.values().copied().collect();
            let (_, middle, _) = times.select_nth_unstable(MOST_GONE / 2);
            self.at.retain(|_, left| left > middle);
            self.dropped_until = self.dropped_until.max(Some(*middle));
        }
        self.at.insert(client.to_owned(), now);
    }

    /// Whether a client of this name has left at this lab time or later, or may have.
    fn since(&self, client: &str, at: Timestamp) -> bool {
        self.at.get(client).copied().max(self.dropped_until).is_some_and(|left| left >= at)
    }
}

impl History {
    /// Records the state of each idle client of the lab, until everything is forgotten: a client that ends late, after the
    /// restored snapshot has put another one in its place, is not recorded.
    pub(super) fn watcher(self: &Arc<Self>, changes: &Arc<Changes>) -> Watcher {
        let (history, changes) = (Arc::clone(self), Arc::clone(changes));
        let generation = self.generation.load(Ordering::SeqCst);
        Arc::new(move |view, now| history.see(generation, view, now, changes.count()))
    }

    /// Records the state of an idle client; `changes` is the number of changes of the site so far.
    fn see(&self, generation: u64, view: &AgentView, now: Timestamp, changes: u64) {
        self.own.change(&view.computer_name, |trace| {
            // Read while the entry is locked: `begin_again` either comes first, or removes what is recorded here.
            if self.generation.load(Ordering::SeqCst) == generation {
                trace.see(view, now, changes);
            }
        });
    }

    /// Records the state of a client that runs elsewhere, and what it tells of itself.
    pub(super) fn hear(&self, view: &AgentView, now: Timestamp, changes: u64) {
        self.change_reported(&view.computer_name, |trace| {
            trace.see(view, now, changes);
            let harm = view.harm;
            let first = Told { first: harm, last: harm, grown: Ever::default(), anew: None };
            trace.told.get_or_insert(first).hear(harm, now);
        });
    }

    /// The lab time since when the contact of a client that runs elsewhere is in its state, since `since` by the clock of its process.
    /// What it was taken for first stays: later the clocks may have been moved.
    pub(super) fn contact_since(&self, client: &str, since: Timestamp, first: Timestamp) -> Timestamp {
        self.change_reported(client, |trace| {
            let known = trace.contact.filter(|(known, _)| *known == since);
            trace.contact.insert(known.unwrap_or((since, first))).1
        })
    }

    fn change_reported<R>(&self, client: &str, change: impl FnOnce(&mut Trace) -> R) -> R {
        if let Some((name, trace)) = self.awaited.remove(client) {
            self.reported.insert(name, trace);
        }
        self.reported.change(client, change)
    }

    pub(super) fn of(&self, client: &str) -> Option<Trace> {
        self.ask(client, Trace::clone)
    }

    /// Reads the history of a client: of the lab's own before one that is reported.
    pub(super) fn ask<R>(&self, client: &str, what: impl FnOnce(&Trace) -> R) -> Option<R> {
        let trace = self.own.all.get(client).or_else(|| self.reported.all.get(client));
        trace.map(|trace| what(&trace))
    }

    /// Reads the history of one of the lab's own clients.
    pub(super) fn ask_own<R>(&self, client: &str, what: impl FnOnce(&Trace) -> R) -> Option<R> {
        self.own.all.get(client).map(|trace| what(&trace))
    }

    /// Moves the history of a client that leaves the fleet now.
    pub(super) fn leave(&self, client: &str, now: Timestamp) {
        self.left.lock().add(client, now);
        self.own.take(client, now).into_iter().for_each(|(name, trace)| self.depart(name, trace));
    }

    /// Moves the history of a client that no process reports any more. One of the lab's own that has its name stays.
    pub(super) fn leave_reported(&self, client: &str, now: Timestamp) {
        if !self.own.all.contains_key(client) {
            self.left.lock().add(client, now);
        }
        self.reported.take(client, now).into_iter().for_each(|(name, trace)| self.depart(name, trace));
    }

    fn depart(&self, client: String, trace: Trace) {
        if trace.ever() == Ever::default() {
            return;
        }
        let has_place = self.departed.contains_key(&client) || self.departed.len() < MOST_GONE;
        let name = if has_place { client } else { FURTHER.to_owned() };
        // Another client of this name may have left before.
        let before = self.departed.remove(&name).map(|(_, before)| before);
        self.departed.insert(name, before.into_iter().fold(trace, Trace::after));
    }

    /// Whether a client of this name has left at this lab time or later, or may have: of too many that leave not each is known.
    pub(super) fn has_left_since(&self, client: &str, at: Timestamp) -> bool {
        self.left.lock().since(client, at)
    }

    /// What the clients that are there were ever, of those that were anything.
    pub(super) fn marked(&self) -> HashMap<String, Ever> {
        let reported = self.reported.marked.iter().filter(|one| !self.own.all.contains_key(one.key()));
        reported.chain(self.own.marked.iter()).map(|one| (one.key().clone(), *one.value())).collect()
    }

    /// Clients that left with something to report, and those that have not been reported again since the lab's process was started.
    pub(super) fn departed(&self) -> Vec<(String, Trace)> {
        let mut all: BTreeMap<String, Trace> = copied(&self.departed).collect();
        for (client, trace) in copied(&self.awaited) {
            let before = all.remove(&client);
            all.insert(client, before.into_iter().fold(trace, Trace::after));
        }
        let with_told = |trace: Trace| Trace { counts: trace.counts_told(), ..trace };
        all.into_iter().map(|(client, trace)| (client, with_told(trace))).collect()
    }

    /// What a store keeps of the clients that left, and of those that are reported and have something to report.
    pub(super) fn to_keep(&self) -> KeptHistory {
        let is_notable = |trace: &Trace| {
            trace.ever() != Ever::default() || trace.told.is_some_and(|told| told.anew.is_some())
        };
        let reported = self.reported.all.iter().filter(|one| is_notable(one.value()));
        // The heartbeats between two of their reports are not known anyway, and their number grows with each.
        let reported = reported
            .map(|one| (one.key().clone(), Trace { served: VecDeque::new(), ..one.value().clone() }))
            .chain(copied(&self.awaited));
        KeptHistory {
            own: Vec::new(),
            reported: reported.collect(),
            departed: copied(&self.departed).collect(),
            left: self.left.lock().clone(),
        }
    }

    /// Continues with histories that were kept.
    pub(super) fn go_on_from(&self, generation: u64, kept: KeptHistory) {
        self.generation.store(generation, Ordering::SeqCst);
        let KeptHistory { own, reported, departed, left } = kept;
        own.into_iter().for_each(|(client, trace)| self.own.insert(client, trace));
        departed.into_iter().for_each(|(client, trace)| drop(self.departed.insert(client, trace)));
        for (place, (client, trace)) in reported.into_iter().enumerate() {
            if place < MOST_GONE {
                self.awaited.insert(client, trace);
            } else {
                self.depart(client, trace);
            }
        }
        *self.left.lock() = left;
    }

    /// Begins the history of a client that a snapshot brings back: what managers had served it before the next change is known, also
    /// if it has no heartbeat until then.
    pub(super) fn begin(&self, view: &AgentView, changes: u64) {
        self.own.change(&view.computer_name, |trace| {
            trace.served.push_back((changes, view.heartbeats_served));
        });
    }

    /// Forgets the histories of all clients, also of those that left.
    pub(super) fn begin_again(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.own.clear();
        self.reported.clear();
        self.awaited.clear();
        self.departed.clear();
        *self.left.lock() = Left::default();
    }
}

fn copied(traces: &DashMap<String, Trace>) -> impl Iterator<Item = (String, Trace)> {
    traces.iter().map(|one| (one.key().clone(), one.value().clone()))
}

impl Trace {
    /// The history of a client that had another one's name, with that before it.
    fn after(self, before: Self) -> Self {
        let mut both = before;
        for one in self.orphaned {
            remember(&mut both.orphaned, one, &mut both.forgotten);
        }
        for one in self.unsigned {
            remember(&mut both.unsigned, one, &mut both.forgotten);
        }
        both.counts = (both.counts.0 + self.counts.0, both.counts.1 + self.counts.1);
        let Self { certificates, serial, served, mut told, contact, .. } = self;
        if let (Some(told), Some(earlier)) = (&mut told, both.told) {
            told.grown.orphaned |= earlier.grown.orphaned;
            told.grown.unsigned |= earlier.grown.unsigned;
        }
        Self { certificates, serial, served, told: told.or(both.told), contact, ..both }
    }

    /// Whether the client is known to have been installed anew at this lab time or later.
    pub(super) fn is_anew_since(&self, at: Timestamp) -> bool {
        self.told.and_then(|told| told.anew).is_some_and(|anew| anew >= at)
    }

    /// Numbers of orphanings and of unsigned policies, as they were seen or the client told them last.
    fn counts_told(&self) -> (u64, u64) {
        self.told.map_or(self.counts, |told| counts_of(told.last, Some(self)))
    }

    /// What the client was at any time, as it was seen or tells.
    pub(super) fn ever(&self) -> Ever {
        let told = self.told.map(|told| told.grown).unwrap_or_default();
        Ever {
            orphaned: told.orphaned || !self.orphaned.is_empty(),
            unsigned: told.unsigned || !self.unsigned.is_empty(),
        }
    }

    /// Number of heartbeats that a manager served between two changes of the site; none if that is no longer known.
    pub(super) fn served_between(&self, earlier: u64, later: u64) -> Option<u64> {
        let until = |change: u64| {
            let before = self.served.partition_point(|(changes, _)| *changes < change);
            self.served.get(before.checked_sub(1)?).map(|(_, heartbeats)| *heartbeats)
        };
        Some(until(later)?.saturating_sub(until(earlier)?))
    }

    /// Number of the heartbeat since which the client holds a certificate, if it does.
    pub(super) fn held_since(&self, certificate: &Fingerprint) -> Option<u64> {
        self.certificates.iter().find(|(one, _)| one == certificate).map(|(_, since)| *since)
    }

    fn see(&mut self, view: &AgentView, now: Timestamp, changes: u64) {
        match self.served.back_mut() {
            Some((known, heartbeats)) if *known == changes => *heartbeats = view.heartbeats_served,
            _ => {
                if self.served.len() == REMEMBERED {
                    self.served.pop_front();
                }
                self.served.push_back((changes, view.heartbeats_served));
            }
        }
        let open = self.orphaned.back_mut().filter(|one| one.until.is_none());
        match (&view.health, open) {
            (Health::Orphaned { .. }, Some(_)) => {}
            (Health::Orphaned { since, because, .. }, None) => {
                let one = Orphaning {
                    since: *since,
                    until: None,
                    layer: because.layer(),
                    layer_title: because.layer().title(),
                    because: because.clone(),
                    held: Held::of(view),
                };
                self.counts.0 += 1;
                remember(&mut self.orphaned, one, &mut self.forgotten);
            }
            (_, Some(open)) => open.until = Some(now),
            (_, None) => {}
        }
        if self.serial != view.serial {
            self.serial = view.serial;
            if let (Some(serial), None) = (view.serial, view.policy_vouched_by) {
                self.counts.1 += 1;
                remember(&mut self.unsigned, Unsigned { at: now, serial }, &mut self.forgotten);
            }
        }
        self.certificates.retain(|(one, _)| view.certificates.contains(one));
        for certificate in &view.certificates {
            if self.certificates.iter().all(|(one, _)| one != certificate) {
                self.certificates.push((*certificate, view.heartbeats));
            }
        }
    }
}

fn remember<T>(past: &mut VecDeque<T>, one: T, forgotten: &mut u64) {
    if past.len() == REMEMBERED {
        past.pop_front();
        *forgotten += 1;
    }
    past.push_back(one);
}

#[cfg(test)]
mod tests {
    use epm_client_agent::agent::{Agent, AgentProfile, AgentState, Cache};
    use epm_protocol::assumption::Assumptions;
    use epm_protocol::id::{GroupId, Guid, HardwareKey};
    use epm_protocol::site::{DEFAULT_GROUP, Founding, ManagerPorts, Site};

    use super::*;

    fn view() -> (AgentView, Arc<Changes>) {
        let ports = ManagerPorts { address: "192.0.2.10".into(), http: Some(8014), https: None };
        let assumptions = Arc::new(Assumptions::default());
        let managers = vec![("sepm-1".to_owned(), ports)];
        let founding =
            Founding { name: "Site".to_owned(), seed: 1, managers, assumptions: Arc::clone(&assumptions) };
        let site = Site::found(founding, Timestamp::from_seconds(0)).unwrap();
        let profile = AgentProfile {
            computer_name: "desk-1".into(),
            version: "14.3".parse().unwrap(),
            hardware_key: HardwareKey(Guid::derive(0, "hardware", "desk-1", std::net::Ipv4Addr::LOCALHOST)),
            seed: 1,
            use_last_server: true,
        };
        let sylink = Arc::new(site.export_sylink(DEFAULT_GROUP, None).unwrap());
        let agent = Agent::new(profile, Cache { sylink, state: AgentState::default() }, assumptions);
        (agent.view(), Arc::new(Changes::new(&site)))
    }

    #[test]
    fn a_client_that_ends_after_everything_was_forgotten_is_not_recorded() {
        let (view, changes) = view();
        let history = Arc::new(History::default());
        let recorded = || history.of("desk-1").is_some_and(|trace| !trace.served.is_empty());
        let watcher = history.watcher(&changes);
        watcher(&view, Timestamp::from_seconds(1));
        assert!(recorded());
        history.begin_again();
        watcher(&view, Timestamp::from_seconds(2));
        assert!(!recorded());
        history.watcher(&changes)(&view, Timestamp::from_seconds(3));
        assert!(recorded());
    }

    #[test]
    fn of_too_many_clients_that_left_what_happened_is_known_and_when_each_left_is_not() {
        let history = History::default();
        let at = Timestamp::from_seconds;
        let serial =
            PolicySerial::new(GroupId(Guid::derive(0, "group", "a", std::net::Ipv4Addr::LOCALHOST)), at(1));
        let trace =
            Trace { unsigned: [Unsigned { at: at(1), serial }].into(), counts: (0, 1), ..Trace::default() };
        let most = i64::try_from(MOST_GONE).unwrap();
        for number in 0..most + 2 {
            let client = format!("pc-{number}");
            history.own.insert(client.clone(), trace.clone());
            history.leave(&client, at(number));
        }
        let departed = history.departed();
        let further = departed.iter().find(|(name, _)| name == FURTHER).unwrap();
        assert_eq!((departed.len(), further.1.counts), (MOST_GONE + 1, (0, 2)));
        // Any client may be one of the earlier half.
        assert!(history.has_left_since("pc-0", at(0)) && history.has_left_since("other", at(most / 2)));
        assert!(!history.has_left_since("other", at(most / 2 + 1)));
        assert!(history.has_left_since(&format!("pc-{most}"), at(most)));
        assert!(history.left.lock().at.len() <= MOST_GONE);
    }

    #[test]
    fn a_reported_client_that_left_has_the_counts_that_it_told() {
        let (view, _) = view();
        let history = History::default();
        let tell = |orphaned, second| {
            let view = AgentView { harm: Harm { orphaned, unsigned: 0 }, ..view.clone() };
            history.hear(&view, Timestamp::from_seconds(second), 0);
        };
        tell(1, 1);
        tell(3, 2);
        history.leave_reported("desk-1", Timestamp::from_seconds(3));
        let departed = history.departed();
        assert!(departed[0].1.ever().orphaned && departed[0].1.counts == (3, 0), "{departed:?}");
    }
}
