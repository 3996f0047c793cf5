//! Who holds what after a step, who was lost, since when, and because of which layer of trust.

use std::collections::BTreeMap;

use epm_protocol::policy::Protocol;
use epm_protocol::statement::Statement;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use serde::Serialize;

use crate::agent::{AgentView, Health};

/// What the clients of one part of the fleet hold, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct PartHolding {
    /// The part.
    pub part: String,
    /// How many clients it has.
    pub clients: usize,
    /// How many are served.
    pub connected: usize,
    /// How many are out of touch for reasons other than trust.
    pub disconnected: usize,
    /// How many are orphaned.
    pub orphaned: usize,
    /// How many were orphaned, and brought back by a communications file that was imported.
    pub brought_back: usize,
    /// How many authenticate their manager.
    pub secure: usize,
    /// How many turn to their manager over HTTPS.
    pub https: usize,
    /// How many hold each certificate.
    pub certificates: BTreeMap<Fingerprint, usize>,
    /// How many hold each management server list.
    pub lists: BTreeMap<String, usize>,
    /// How many of the orphaned lost their trust in each layer.
    pub layers: BTreeMap<String, usize>,
}

/// A client that was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Its computer's name.
    pub client: String,
    /// The part of the fleet that it belongs to.
    pub part: String,
    /// Since when.
    pub since: Timestamp,
    /// The step during which it was lost, from 1; 0 is before the first.
    pub step: usize,
    /// That step's title.
    pub step_title: String,
    /// The layer of trust that broke.
    pub layer: String,
    /// What was expected, and what was found.
    pub because: String,
}

/// What a step has led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// Its number, from 1; 0 is the start.
    pub number: usize,
    /// What was done.
    pub title: String,
    /// The statements of the documented procedure that the step follows or breaks.
    pub statements: Vec<Statement>,
    /// When it began, in the lab's time.
    pub began: Timestamp,
    /// Who holds what after it.
    pub holdings: Vec<PartHolding>,
}

/// What became of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The scenario's title.
    pub scenario: String,
    /// The seed with which it can be played again.
    pub seed: u64,
    /// The certificates that were in force, in order.
    pub certificates: Vec<Fingerprint>,
    /// Every step.
    pub steps: Vec<StepReport>,
    /// Who was lost, and is at the end.
    pub lost: Vec<Lost>,
    /// Who is neither lost nor served at the end.
    pub out_of_touch: Vec<String>,
    /// Who is served at the end, but does not authenticate its manager.
    pub not_secure: Vec<String>,
    /// Who is served at the end, but does not hold every certificate that is in force.
    pub behind: Vec<String>,
    /// Whose machine is off at the end, and who is not lost, but not well either.
    pub away: Vec<String>,
    /// How many clients there are.
    pub clients: usize,
}

/// How a client stands at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is served, secure, and holds every certificate in force.
    Well,
    /// It is orphaned.
    Lost,
    /// It is neither orphaned nor served.
    OutOfTouch,
    /// It is served, and does not authenticate its manager.
    NotSecure,
    /// It is served and secure, and lacks a certificate in force.
    Behind,
}

impl Standing {
    /// Of this client; `in_force` are the certificates that the managers show now.
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
    /// How many clients were orphaned, and are back by a communications file that was imported.
    pub fn brought_back(&self) -> usize {
        self.steps.last().map_or(0, |step| step.holdings.iter().map(|part| part.brought_back).sum())
    }

    /// Whether every client is secure, with the certificates in force, and none lost or out of touch.
    pub fn is_well(&self) -> bool {
        let failings = [&self.out_of_touch, &self.not_secure, &self.behind];
        self.lost.is_empty() && failings.iter().all(|clients| clients.is_empty())
    }

    /// Adds what became of a client; `in_force` are the certificates that the managers show now, `is_on` is whether
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
    /// A part in which nobody has been counted.
    pub fn of(part: &str) -> Self {
        Self { part: part.to_owned(), ..Self::default() }
    }

    /// Counts so many clients that look like this.
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

    /// Counts whom somebody else has counted.
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

/// Who holds what, part by part; a part whose clients are all still to come is there, with nobody in it.
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

/// The entry of this client in the list of the lost, if it is; `steps` are those that have begun.
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
