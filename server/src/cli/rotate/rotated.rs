//! The JSON of `epm-lab rotate`.

use std::collections::{BTreeMap, BTreeSet};

use epm_client_agent::scenario::Verdict;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::lab::Finding;
use crate::schema::BridgedSchema;

/// A rotation that has ended, or was stopped.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Rotated {
    /// Name of the rotation, which its certificate updates carry.
    pub(super) rotation: String,
    /// Completed steps, in order.
    pub(super) done: Vec<String>,
    /// SHA-256 of the new certificate of each updated manager.
    pub(super) certificates: BTreeMap<String, String>,
    /// Clients that were no longer waited for.
    pub(super) left_behind: BTreeSet<String>,
    /// Why the rotation was stopped; null if it was not.
    pub(super) stopped: Option<Stopped>,
    /// The lab's verdict at the end.
    #[schemars(with = "BridgedSchema<Verdict>")]
    pub(super) verdict: Value,
    /// The lab's judgement of the rotation; null if it was stopped, or cannot be judged.
    #[schemars(with = "Option<Finding>")]
    pub(super) judgement: Value,
    /// The command that repeats it.
    pub(super) repeat: String,
}

/// Why a rotation was stopped.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Stopped {
    /// The reasons in one line.
    pub(super) why: String,
    /// Whether nothing of the site had been changed yet.
    pub(super) before_any_change: bool,
    /// The reasons, one by one.
    pub(super) obstacles: Vec<StoppedBy>,
    /// The clients of all reasons.
    pub(super) clients: Vec<StoppedFor>,
}

/// A reason why a rotation was stopped.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StoppedBy {
    /// Sentence that says why the rotation was stopped.
    pub(super) why: String,
    /// What the operator can do, with the option that helps.
    pub(super) help: &'static str,
    /// The clients that it is about; none if it is about the site.
    pub(super) clients: Vec<StoppedFor>,
}

/// A client for which a rotation was stopped.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct StoppedFor {
    /// Name of the client.
    pub(super) client: String,
    /// Why it cannot be rotated.
    pub(super) why: String,
}

/// Clients with the reason for each.
pub(super) fn stopped_for(clients: &[(String, String)]) -> Vec<StoppedFor> {
    clients.iter().cloned().map(|(client, why)| StoppedFor { client, why }).collect()
}
