//! What became of each client, moment by moment: seen whenever a client has come to rest. Bounded for each client.

use std::collections::VecDeque;

use dashmap::DashMap;
use epm_client_agent::agent::{AgentView, Distrust, Health, TrustLayer};
use epm_protocol::policy::PolicySerial;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::Serialize;

use crate::schema::BridgedSchema;

/// How many things of one sort are remembered of a client.
const REMEMBERED: usize = 32;

/// What was seen of one client.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Trace {
    /// When it was orphaned, the first time first.
    #[schemars(with = "Vec<Orphaning>")]
    pub orphaned: VecDeque<Orphaning>,
    /// The policies that it adopted without authentication.
    #[schemars(with = "Vec<Unsigned>")]
    pub unsigned: VecDeque<Unsigned>,
    /// Since which of its heartbeats it has held each of its certificates.
    #[schemars(with = "Vec<(String, u64)>")]
    pub certificates: Vec<(Fingerprint, u64)>,
    /// How much is no longer remembered; of each sort, the last are.
    pub forgotten: u64,
    #[serde(skip)]
    serial: Option<PolicySerial>,
}

/// A time in which a client did not believe its managers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Orphaning {
    /// Since when.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// Until when it was seen to be over; none if it is not.
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// The code of the trust layer that broke.
    #[schemars(with = "BridgedSchema<TrustLayer>")]
    pub layer: TrustLayer,
    /// The title of that layer, for people.
    pub layer_title: &'static str,
    /// What was expected, and what was found.
    #[schemars(with = "BridgedSchema<Distrust>")]
    pub because: Distrust,
}

/// A policy that was adopted without authentication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unsigned {
    /// When that was seen.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The policy.
    #[schemars(with = "String")]
    pub serial: PolicySerial,
}

/// What was seen of all clients.
#[derive(Debug, Default)]
pub(super) struct History {
    here: DashMap<String, Trace>,
    /// Of those who have left the fleet, whoever was lost or adopted something unsigned: what was is not undone by it.
    departed: DashMap<String, Trace>,
}

impl History {
    /// Sees a client that has come to rest.
    pub(super) fn see(&self, view: &AgentView, now: Timestamp) {
        match self.here.get_mut(&view.computer_name) {
            Some(mut trace) => trace.see(view, now),
            None => self.here.entry(view.computer_name.clone()).or_default().see(view, now),
        }
    }

    pub(super) fn of(&self, client: &str) -> Option<Trace> {
        self.here.get(client).map(|trace| trace.clone())
    }

    /// Asks something of what was seen of a client.
    pub(super) fn ask<R>(&self, client: &str, what: impl FnOnce(&Trace) -> R) -> Option<R> {
        self.here.get(client).map(|trace| what(&trace))
    }

    /// A client leaves the fleet.
    pub(super) fn leave(&self, client: &str) {
        let Some((name, trace)) = self.here.remove(client) else { return };
        if !trace.orphaned.is_empty() || !trace.unsigned.is_empty() {
            self.departed.insert(name, trace);
        }
    }

    /// Those who have left, and of whom there is something to say.
    pub(super) fn departed(&self) -> Vec<(String, Trace)> {
        self.departed.iter().map(|one| (one.key().clone(), one.value().clone())).collect()
    }

    /// Nobody has ever been here.
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
