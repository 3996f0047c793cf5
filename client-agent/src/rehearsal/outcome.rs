//! What a rehearsal has found: who held what after each step, and how trust, orphans and load went over time.
//!
//! Integers and names only, so that it is the same on every machine, whatever number of threads counted it.

use std::collections::BTreeMap;

use epm_protocol::assumption::Assumption;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use serde::Serialize;

use crate::scenario::{StepReport, Verdict};

/// What a rehearsal has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// More about the scenario; its title is in the verdict.
    pub about: String,
    /// When it began, in the lab's time.
    pub began: Timestamp,
    /// When it ended, in the lab's time.
    pub ended: Timestamp,
    /// Whether it was broken off: then this is what was known by then.
    pub is_partial: bool,
    /// The certificates that managers showed, in the order in which they came into force.
    pub certificates: Vec<InForce>,
    /// What came of each step, the installation of the fleet first.
    pub steps: Vec<StepOutcome>,
    /// How it went, hour by hour.
    pub course: Course,
    /// How many heartbeats the clients began.
    pub heartbeats: u64,
    /// In how many of them a manager served the client.
    pub heartbeats_served: u64,
    /// What was assumed.
    pub assumptions: Vec<Assumption>,
    /// What became of the fleet.
    pub verdict: Verdict,
}

/// A certificate, and when it came into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InForce {
    /// The manager that shows it to clients.
    pub manager: String,
    /// The certificate.
    pub fingerprint: Fingerprint,
    /// Since when.
    pub since: Timestamp,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepOutcome {
    /// Who held what after it.
    #[serde(flatten)]
    pub report: StepReport,
    /// When it ended: the wait was over.
    pub ended: Timestamp,
    /// What was done, a line for each action.
    pub actions: Vec<String>,
    /// How many clients' machines were on when it ended.
    pub online: usize,
    /// Who would be lost if the next step were taken at this moment, and nothing waited for; none after the last.
    pub if_next_now: Option<AtRisk>,
}

/// Who would be lost by a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AtRisk {
    /// The step's title.
    pub step: String,
    /// How many clients would be lost.
    pub clients: usize,
    /// Of these, how many by each layer of trust.
    pub by_layer: BTreeMap<String, usize>,
    /// Of these, how many in each part of the fleet.
    pub by_part: BTreeMap<String, usize>,
    /// The first of them, by name.
    pub examples: Vec<String>,
}

/// How it went over time. Every row has a number for each hour, and shows the state when that hour ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Course {
    /// When the first hour begins.
    pub origin: Timestamp,
    /// How many clients believe only certificates that were in force at the beginning.
    pub old_only: Vec<u32>,
    /// How many believe such ones, and newer ones too.
    pub both: Vec<u32>,
    /// How many believe newer ones only.
    pub new_only: Vec<u32>,
    /// How many believe none that was ever in force.
    pub none: Vec<u32>,
    /// How many are orphaned.
    pub orphaned: Vec<u32>,
    /// How many are switched on.
    pub online: Vec<u32>,
    /// How many clients turned to each manager during the hour, heartbeat by heartbeat; served or not.
    pub load: BTreeMap<String, Vec<u32>>,
}
