//! The history of each client, recorded whenever a client becomes idle. Bounded per client.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use epm_client_agent::agent::{AgentView, Distrust, Harm, Health, TrustLayer};
use epm_client_agent::scenario::Held;
use epm_client_agent::wire::Watcher;
use epm_protocol::policy::PolicySerial;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::Serialize;

use crate::runtime::changes::Changes;
use crate::schema::BridgedSchema;

/// Number of events of one kind that are kept per client.
const REMEMBERED: usize = 32;

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
}

/// What a client that runs elsewhere tells of itself.
#[derive(Clone, Copy, Debug)]
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
    here: DashMap<String, Trace>,
    /// Clients that left the fleet after they had been orphaned or had adopted an unsigned policy.
    departed: DashMap<String, Trace>,
    /// Lab time at which a client of each name last left the fleet, whatever had happened to it.
    left: DashMap<String, Timestamp>,
    /// What each of the clients in `here` was ever, of those that were anything: a verdict on a large fleet asks for no other.
    marked: DashMap<String, Ever>,
}

/// What a client was at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ever {
    pub(super) orphaned: bool,
    pub(super) unsigned: bool,
}

impl History {
    /// Records the state of each idle client, until everything is forgotten: a client that ends late, after the
    /// restored snapshot has put another one in its place, is not recorded.
    pub(super) fn watcher(self: &Arc<Self>, changes: &Arc<Changes>) -> Watcher {
        let (history, changes) = (Arc::clone(self), Arc::clone(changes));
        let generation = self.generation.load(Ordering::SeqCst);
        Arc::new(move |view, now| history.see(generation, view, now, changes.count()))
    }

    /// Records the state of an idle client; `changes` is the number of changes of the site so far.
    fn see(&self, generation: u64, view: &AgentView, now: Timestamp, changes: u64) {
        let trace = self.here.get_mut(&view.computer_name);
        let mut trace = trace.unwrap_or_else(|| self.here.entry(view.computer_name.clone()).or_default());
        // Read while the entry is locked: `begin_again` either comes first, or removes what is recorded here.
        if self.generation.load(Ordering::SeqCst) == generation {
            let before = trace.ever();
            trace.see(view, now, changes);
            if trace.ever() != before {
                self.marked.insert(view.computer_name.clone(), trace.ever());
            }
        }
    }

    /// Records what a client that runs elsewhere tells of itself.
    pub(super) fn hear(&self, client: &str, harm: Harm, now: Timestamp) {
        if let Some(mut trace) = self.here.get_mut(client) {
            let before = trace.ever();
            let first = Told { first: harm, last: harm, grown: Ever::default(), anew: None };
            trace.told.get_or_insert(first).hear(harm, now);
            if trace.ever() != before {
                self.marked.insert(client.to_owned(), trace.ever());
            }
        }
    }

    pub(super) fn of(&self, client: &str) -> Option<Trace> {
        self.here.get(client).map(|trace| trace.clone())
    }

    /// Reads the history of a client.
    pub(super) fn ask<R>(&self, client: &str, what: impl FnOnce(&Trace) -> R) -> Option<R> {
        self.here.get(client).map(|trace| what(&trace))
    }

    /// Moves the history of a client that leaves the fleet now.
    pub(super) fn leave(&self, client: &str, now: Timestamp) {
        self.left.insert(client.to_owned(), now);
        let Some((name, mut trace)) = self.here.remove(client) else { return };
        if let Some(open) = trace.orphaned.back_mut() {
            open.until.get_or_insert(now);
        }
        self.marked.remove(client);
        if trace.ever() != Ever::default() {
            // Another client of this name may have left before.
            let before = self.departed.remove(&name).map(|(_, before)| before);
            self.departed.insert(name, before.into_iter().fold(trace, Trace::after));
        }
    }

    /// Whether a client of this name has left the fleet at this lab time or later.
    pub(super) fn has_left_since(&self, client: &str, at: Timestamp) -> bool {
        self.left.get(client).is_some_and(|left| *left >= at)
    }

    /// What the clients in the fleet were ever, of those that were anything.
    pub(super) fn marked(&self) -> HashMap<String, Ever> {
        self.marked.iter().map(|one| (one.key().clone(), *one.value())).collect()
    }

    /// Clients that left the fleet with something to report.
    pub(super) fn departed(&self) -> Vec<(String, Trace)> {
        self.departed.iter().map(|one| (one.key().clone(), one.value().clone())).collect()
    }

    /// Continues with histories that were kept: of clients that are in the fleet, and of those that left it.
    pub(super) fn go_on_from(
        &self,
        generation: u64,
        here: impl IntoIterator<Item = (String, Trace)>,
        departed: impl IntoIterator<Item = (String, Trace)>,
    ) {
        self.generation.store(generation, Ordering::SeqCst);
        for (client, trace) in here {
            if trace.ever() != Ever::default() {
                self.marked.insert(client.clone(), trace.ever());
            }
            self.here.insert(client, trace);
        }
        departed.into_iter().for_each(|(client, trace)| drop(self.departed.insert(client, trace)));
    }

    /// Begins the history of a client that a snapshot brings back: what managers had served it before the next change is known, also
    /// if it has no heartbeat until then.
    pub(super) fn begin(&self, view: &AgentView, changes: u64) {
        let mut trace = self.here.entry(view.computer_name.clone()).or_default();
        trace.served.push_back((changes, view.heartbeats_served));
    }

    /// Forgets the histories of all clients, also of those that left the fleet.
    pub(super) fn begin_again(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.here.clear();
        self.marked.clear();
        self.departed.clear();
        self.left.clear();
    }
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
        let Self { certificates, serial, served, mut told, .. } = self;
        if let (Some(told), Some(earlier)) = (&mut told, both.told) {
            told.grown.orphaned |= earlier.grown.orphaned;
            told.grown.unsigned |= earlier.grown.unsigned;
        }
        Self { certificates, serial, served, told: told.or(both.told), ..both }
    }

    /// Whether the client is known to have been installed anew at this lab time or later.
    pub(super) fn is_anew_since(&self, at: Timestamp) -> bool {
        self.told.and_then(|told| told.anew).is_some_and(|anew| anew >= at)
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
    use epm_protocol::id::{Guid, HardwareKey};
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
}
