//! The outcome of a rehearsal: what clients held after each step, and how trust, orphans and load went over time.
//!
//! Integers and names only, so that it is the same on every machine and for any number of threads.

use std::collections::BTreeMap;

use epm_protocol::assumption::Assumption;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use serde::Serialize;

use crate::agent::TrustLayer;
use crate::scenario::{StepReport, Verdict};

/// The outcome of a rehearsal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The scenario's description; its title is in the verdict.
    pub about: String,
    /// When the rehearsal began, in lab time.
    pub began: Timestamp,
    /// When the rehearsal ended, in lab time.
    pub ended: Timestamp,
    /// Whether the rehearsal was broken off: then this is the outcome up to that moment.
    pub is_partial: bool,
    /// The certificates that managers showed to clients, in the order in which they came into force.
    pub certificates: Vec<InForce>,
    /// The outcome of each step; the first one is the installation of the fleet.
    pub steps: Vec<StepOutcome>,
    /// Trust, orphans and load, hour by hour.
    pub course: Course,
    /// How many heartbeats the clients began.
    pub heartbeats: u64,
    /// In how many heartbeats a manager served the client.
    pub heartbeats_served: u64,
    /// The assumptions in force.
    pub assumptions: Vec<Assumption>,
    /// The state of the fleet at the end.
    pub verdict: Verdict,
}

/// A certificate, and when it came into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InForce {
    /// The manager that shows it to clients.
    pub manager: String,
    /// The certificate.
    pub fingerprint: Fingerprint,
    /// When the certificate came into force.
    pub since: Timestamp,
}

/// The outcome of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepOutcome {
    /// What the clients of each part held after the step.
    #[serde(flatten)]
    pub report: StepReport,
    /// When the step ended: its wait was over.
    pub ended: Timestamp,
    /// The actions of the step, a line each.
    pub actions: Vec<String>,
    /// How many machines were on when the step ended.
    pub online: usize,
    /// Which clients would be orphaned if the next step were taken at this moment; none after the last step.
    pub if_next_now: Option<AtRisk>,
}

/// The clients that would be orphaned by a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AtRisk {
    /// The step's title.
    pub step: String,
    /// How many clients would be orphaned.
    pub clients: usize,
    /// How many clients each layer of trust would fail.
    pub by_layer: BTreeMap<TrustLayer, usize>,
    /// How many clients of each part would be orphaned.
    pub by_part: BTreeMap<String, usize>,
    /// The names of the first of these clients.
    pub examples: Vec<String>,
}

/// Trust, orphans and load over time. Every row has a number for each hour: the state at the end of that hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Course {
    /// When the first hour begins.
    pub origin: Timestamp,
    /// How many clients trust only certificates that were in force at the beginning.
    pub old_only: Vec<u32>,
    /// How many clients trust certificates of the beginning and newer ones.
    pub both: Vec<u32>,
    /// How many clients trust only newer certificates.
    pub new_only: Vec<u32>,
    /// How many clients trust no certificate that was ever in force.
    pub none: Vec<u32>,
    /// How many clients are orphaned.
    pub orphaned: Vec<u32>,
    /// How many machines are on.
    pub online: Vec<u32>,
    /// How many heartbeats connected to each manager during the hour, served or not.
    pub load: BTreeMap<String, Vec<u32>>,
}
