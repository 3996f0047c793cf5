//! The outcome of a rehearsal: what clients held after each step, and trust, orphaned clients and load over time.
//!
//! Only integers and names, so that it is the same on every machine and for any number of threads.

use std::collections::BTreeMap;

use epm_protocol::assumption::Assumption;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::Serialize;

use crate::agent::TrustLayer;
use crate::scenario::{StepReport, Verdict};

/// The outcome of a rehearsal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Outcome {
    /// The description of the scenario; its title is in the verdict.
    pub about: String,
    /// The time at which the rehearsal began, in lab time.
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// The time at which the rehearsal ended, in lab time.
    #[schemars(with = "String")]
    pub ended: Timestamp,
    /// Whether the rehearsal was interrupted: then this is the outcome up to that moment.
    pub is_partial: bool,
    /// The certificates that managers showed to clients, in the order in which they came into force.
    pub certificates: Vec<InForce>,
    /// The outcome of each step; the first one is the installation of the fleet.
    pub steps: Vec<StepOutcome>,
    /// Trust, orphaned clients and load, hour by hour.
    pub course: Course,
    /// The number of heartbeats that the clients began.
    pub heartbeats: u64,
    /// The number of heartbeats in which a manager served the client.
    pub heartbeats_served: u64,
    /// The assumptions in force.
    pub assumptions: Vec<Assumption>,
    /// The state of the fleet at the end.
    pub verdict: Verdict,
    /// How to have the same outcome again, if a program knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunInfo>,
}

/// How an outcome was made: enough to have it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RunInfo {
    /// The version of epm-lab.
    pub version: String,
    /// The scenario file.
    pub scenario_file: String,
    /// The command with every flag that changes the outcome, the seed among them.
    pub command: String,
}

/// A certificate, and the time at which it came into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InForce {
    /// The name of the manager that shows it to clients.
    pub manager: String,
    /// The fingerprint of the certificate.
    #[schemars(with = "String")]
    pub fingerprint: Fingerprint,
    /// The time at which the certificate came into force.
    #[schemars(with = "String")]
    pub since: Timestamp,
}

/// The outcome of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StepOutcome {
    /// What the clients of each part held after the step.
    #[serde(flatten)]
    pub report: StepReport,
    /// The time at which the wait of the step ended.
    #[schemars(with = "String")]
    pub ended: Timestamp,
    /// The actions of the step, one per line.
    pub actions: Vec<String>,
    /// The number of machines that were on when the step ended.
    pub online: usize,
    /// The clients that the next step would orphan if it were taken at this moment; none after the last step.
    pub if_next_now: Option<AtRisk>,
}

/// The clients that a step would orphan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AtRisk {
    /// The title of the step.
    pub step: String,
    /// The number of clients that would be orphaned.
    pub clients: usize,
    /// The number of clients whose trust would fail in each layer.
    pub by_layer: BTreeMap<TrustLayer, usize>,
    /// The number of clients of each part that would be orphaned.
    pub by_part: BTreeMap<String, usize>,
    /// The names of the first of these clients.
    pub examples: Vec<String>,
}

/// Trust, orphaned clients and load over time. Every series has a number for each hour: the state at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Course {
    /// The time at which the first hour begins.
    #[schemars(with = "String")]
    pub origin: Timestamp,
    /// The number of clients that trust only certificates that were in force at the beginning.
    pub old_only: Vec<u32>,
    /// The number of clients that trust both certificates of the beginning and newer ones.
    pub both: Vec<u32>,
    /// The number of clients that trust only newer certificates.
    pub new_only: Vec<u32>,
    /// The number of clients that trust no certificate that was ever in force.
    pub none: Vec<u32>,
    /// The number of clients that are orphaned.
    pub orphaned: Vec<u32>,
    /// The number of machines that are on.
    pub online: Vec<u32>,
    /// The number of heartbeats that connected to each manager during the hour, served or not.
    pub load: BTreeMap<String, Vec<u32>>,
}
