//! The history of each client, recorded whenever a client becomes idle. Bounded per client.

use std::collections::VecDeque;

use dashmap::DashMap;
use epm_client_agent::agent::{AgentView, Distrust, Health, TrustLayer};
use epm_protocol::policy::PolicySerial;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::Serialize;

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
    serial: Option<PolicySerial>,
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
    here: DashMap<String, Trace>,
    /// Clients that left the fleet after they had been orphaned or had adopted an unsigned policy.
    departed: DashMap<String, Trace>,
}

impl History {
    /// Records the state of an idle client.
    pub(super) fn see(&self, view: &AgentView, now: Timestamp) {
        match self.here.get_mut(&view.computer_name) {
            Some(mut trace) => trace.see(view, now),
            None => self.here.entry(view.computer_name.clone()).or_default().see(view, now),
        }
    }

    pub(super) fn of(&self, client: &str) -> Option<Trace> {
        self.here.get(client).map(|trace| trace.clone())
    }

    /// Reads the history of a client.
    pub(super) fn ask<R>(&self, client: &str, what: impl FnOnce(&Trace) -> R) -> Option<R> {
        self.here.get(client).map(|trace| what(&trace))
    }

    /// Moves the history of a client that leaves the fleet.
    pub(super) fn leave(&self, client: &str) {
        let Some((name, trace)) = self.here.remove(client) else { return };
        if !trace.orphaned.is_empty() || !trace.unsigned.is_empty() {
            self.departed.insert(name, trace);
        }
    }

    /// Clients that left the fleet with something to report.
    pub(super) fn departed(&self) -> Vec<(String, Trace)> {
        self.departed.iter().map(|one| (one.key().clone(), one.value().clone())).collect()
    }

    /// Forgets everything.
    pub(super) fn begin_again(&self) {
        self.here.clear();
        self.departed.clear();
    }
}

impl Trace {
    fn see(&mut self, view: &AgentView, now: Timestamp) {
        let open = self.orphaned.back_mut().filter(|one| one.until.is_none());
        match (&view.health, open) {
            (Health::Orphaned { .. }, Some(_)) => {}
            (Health::Orphaned { since, because }, None) => {
                let one = Orphaning {
                    since: *since,
                    until: None,
                    layer: because.layer(),
                    layer_title: because.layer().title(),
                    because: because.clone(),
                };
                remember(&mut self.orphaned, one, &mut self.forgotten);
            }
            (_, Some(open)) => open.until = Some(now),
            (_, None) => {}
        }
        if self.serial != view.serial {
            self.serial = view.serial;
            if let (Some(serial), None) = (view.serial, view.policy_vouched_by) {
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
