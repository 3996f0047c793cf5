//! What clients hold after a step, and which are orphaned, since when, and by which layer of trust.

use std::collections::BTreeMap;

use epm_protocol::policy::Protocol;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use serde::Serialize;

use crate::agent::{AgentView, Health};

/// The clients of a part of the fleet, counted by what they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct PartHolding {
    /// The name of the part.
    pub part: String,
    /// The number of clients in the part.
    pub clients: usize,
    /// The number of clients that are served.
    pub connected: usize,
    /// The number of clients that are out of touch for reasons other than trust.
    pub disconnected: usize,
    /// The number of clients that are orphaned.
    pub orphaned: usize,
    /// The number of clients that were orphaned and were brought back by an imported communications file.
    pub brought_back: usize,
    /// The number of clients that authenticate their manager.
    pub secure: usize,
    /// The number of clients that connect to their manager over HTTPS.
    pub https: usize,
    /// The number of clients that hold each certificate.
    pub certificates: BTreeMap<Fingerprint, usize>,
    /// The number of clients that hold each management server list.
    pub lists: BTreeMap<String, usize>,
    /// The number of orphaned clients by the layer of trust that failed.
    pub layers: BTreeMap<String, usize>,
}

/// A client that is orphaned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The name of the client's computer.
    pub client: String,
    /// The part of the fleet that the client belongs to.
    pub part: String,
    /// The time since when the client has been orphaned.
    pub since: Timestamp,
    /// The number of the step in which the client was orphaned, from 1; 0 is before the first.
    pub step: usize,
    /// The title of that step.
    pub step_title: String,
    /// The layer of trust that failed.
    pub layer: String,
    /// What was expected, and what was found.
    pub because: String,
}

/// The state of the fleet after a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// The number of the step, from 1; 0 is the installation.
    pub number: usize,
    /// The title of the step.
    pub title: String,
    /// The statements of the documented procedure that the step is about.
    pub statements: Vec<String>,
    /// The time at which the step began, in lab time.
    pub began: Timestamp,
    /// What clients hold after the step, for each part.
    pub holdings: Vec<PartHolding>,
}

/// The final state of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The title of the scenario.
    pub scenario: String,
    /// The seed of the run, with which it can be repeated.
    pub seed: u64,
    /// The certificates that are in force, in order.
    pub certificates: Vec<Fingerprint>,
    /// The state of the fleet after each step.
    pub steps: Vec<StepReport>,
    /// The clients that are orphaned at the end.
    pub lost: Vec<Lost>,
    /// The names of clients that are neither orphaned nor served at the end.
    pub out_of_touch: Vec<String>,
    /// The names of clients that are served at the end, but do not authenticate their manager.
    pub not_secure: Vec<String>,
    /// The names of clients that are served at the end, but do not hold every certificate in force.
    pub behind: Vec<String>,
    /// The names of clients whose machine is off at the end, and which are not orphaned, but have another problem.
    pub away: Vec<String>,
    /// The number of clients in the fleet.
    pub clients: usize,
}

/// The state of a client at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The client is served and secure, and holds every certificate in force.
    Well,
    /// The client is orphaned.
    Lost,
    /// The client is neither orphaned nor served.
    OutOfTouch,
    /// The client is served, but does not authenticate its manager.
    NotSecure,
    /// The client is served and secure, but lacks a certificate in force.
    Behind,
}

impl Standing {
    /// The state of this client; `in_force` are the certificates that the managers show now.
    pub fn of(view: &AgentView, in_force: &[Fingerprint]) -> Self {
        if view.health.orphaned().is_some() {
            Self::Lost
        } else if !view.health.is_connected() {
            Self::OutOfTouch
        } else if !view.secure_communications {
            Self::NotSecure
        } else if !in_force.iter().all(|one| view.certificates.contains(one)) {
            Self::Behind
        } else {
            Self::Well
        }
    }
}

impl Verdict {
    /// The number of clients that were orphaned and were brought back by an imported communications file.
    pub fn brought_back(&self) -> usize {
        self.steps.last().map_or(0, |step| step.holdings.iter().map(|part| part.brought_back).sum())
    }

    /// Whether every client is secure, holds the certificates in force, and is neither orphaned nor out of touch.
    pub fn is_well(&self) -> bool {
        let failings = [&self.out_of_touch, &self.not_secure, &self.behind];
        self.lost.is_empty() && failings.iter().all(|clients| clients.is_empty())
    }

    /// Adds the state of a client; `in_force` are the certificates that the managers show now, `is_on` is whether
    /// its machine is on.
    pub fn add(&mut self, part: &str, view: &AgentView, in_force: &[Fingerprint], is_on: bool) {
        let names = match Standing::of(view, in_force) {
            Standing::Well => return,
            Standing::Lost => return self.lost.extend(lost(part, view, &self.steps)),
            _ if !is_on => &mut self.away,
            Standing::OutOfTouch => &mut self.out_of_touch,
            Standing::NotSecure => &mut self.not_secure,
            Standing::Behind => &mut self.behind,
        };
        names.push(view.computer_name.clone());
    }
}

impl PartHolding {
    /// Makes empty counts for a part.
    pub fn of(part: &str) -> Self {
        Self { part: part.to_owned(), ..Self::default() }
    }

    /// Counts this many clients with this view.
    pub fn add(&mut self, view: &AgentView, clients: usize) {
        self.clients += clients;
        match &view.health {
            Health::Connected { .. } => self.connected += clients,
            Health::Orphaned { because, .. } => {
                self.orphaned += clients;
                *self.layers.entry(because.layer().to_owned()).or_default() += clients;
            }
            Health::New | Health::Disconnected { .. } => self.disconnected += clients,
        }
        let is_https = view.server.as_ref().is_some_and(|server| server.protocol == Protocol::Https);
        self.brought_back += if view.brought_back { clients } else { 0 };
        self.secure += if view.secure_communications { clients } else { 0 };
        self.https += if is_https { clients } else { 0 };
        *self.lists.entry(view.list.clone()).or_default() += clients;
        for certificate in &view.certificates {
            *self.certificates.entry(*certificate).or_default() += clients;
        }
    }

    /// Adds the counts of another thread.
    pub fn merge(&mut self, other: &Self) {
        self.clients += other.clients;
        self.connected += other.connected;
        self.disconnected += other.disconnected;
        self.orphaned += other.orphaned;
        self.brought_back += other.brought_back;
        self.secure += other.secure;
        self.https += other.https;
        for (certificate, count) in &other.certificates {
            *self.certificates.entry(*certificate).or_default() += count;
        }
        for (mine, theirs) in [(&mut self.lists, &other.lists), (&mut self.layers, &other.layers)] {
            for (name, count) in theirs {
                *mine.entry(name.clone()).or_default() += count;
            }
        }
    }
}

/// Counts what clients hold, part by part; a part whose clients are all still to come has empty counts.
pub fn holdings<'a>(
    parts: impl IntoIterator<Item = &'a str>,
    clients: impl IntoIterator<Item = (&'a str, AgentView)>,
) -> Vec<PartHolding> {
    let mut parts: Vec<PartHolding> = parts.into_iter().map(PartHolding::of).collect();
    for (part, view) in clients {
        if let Some(counts) = parts.iter_mut().find(|one| one.part == part) {
            counts.add(&view, 1);
        }
    }
    parts
}

/// The entry of this client in the list of orphaned clients, if it is one; `steps` are those that have begun.
fn lost(part: &str, view: &AgentView, steps: &[StepReport]) -> Option<Lost> {
    let (since, because) = view.health.orphaned()?;
    let step = steps.iter().rev().find(|step| step.began <= since).or(steps.first())?;
    Some(Lost {
        client: view.computer_name.clone(),
        part: part.to_owned(),
        since,
        step: step.number,
        step_title: step.title.clone(),
        layer: because.layer().to_owned(),
        because: because.to_string(),
    })
}
