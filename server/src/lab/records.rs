//! Records that a lab keeps: snapshots and certificate updates.

use std::collections::BTreeMap;
use std::sync::Arc;

use epm_client_agent::agent::Agent;
use epm_client_agent::scenario::PartPlan;
use epm_protocol::assumption::Assumptions;
use epm_protocol::fault::FaultRule;
use epm_protocol::site::{Site, Stores};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::Serialize;

use crate::lab::present_machines::PresentMachines;
use crate::runtime::clients::ClientStatus;
use crate::schema::BridgedSchema;

/// The assumptions that were requested of a lab.
#[derive(Debug)]
pub(super) struct RequestedAssumptions {
    /// The assumptions that the lab was started with.
    pub(super) start: Arc<Assumptions>,
    /// The assumptions from the next reset on.
    pub(super) next: Assumptions,
}

impl RequestedAssumptions {
    pub(super) fn new(start: Arc<Assumptions>) -> Self {
        Self { next: Assumptions::clone(&start), start }
    }
}

/// A named update of a manager's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Update {
    /// Name of the update.
    pub update: String,
    /// Lab time of the update.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Stores that were updated.
    #[schemars(with = "BridgedSchema<Stores>")]
    pub stores: Stores,
    /// SHA-256 fingerprint of the certificate.
    #[schemars(with = "String")]
    pub fingerprint: Fingerprint,
    /// Digest of the request, by which its repetition is recognised.
    #[serde(skip)]
    pub(crate) request: Fingerprint,
}

/// Another request than the one of a known update.
#[derive(Debug, thiserror::Error)]
#[error(
    "the update {name:?} of {at} installed the certificate {fingerprint} with another request: repeat that request, \
    or choose another name"
)]
pub(crate) struct UpdateDiffers {
    name: String,
    at: Timestamp,
    fingerprint: Fingerprint,
}

impl UpdateDiffers {
    pub(super) fn from(known: &Update) -> Self {
        Self { name: known.update.clone(), at: known.at, fingerprint: known.fingerprint }
    }
}

/// A snapshot of a lab.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) at: Timestamp,
    pub(super) site: Site,
    pub(super) client_statuses: Vec<ClientStatus>,
    pub(super) faults: Vec<FaultRule>,
    pub(super) agents: Vec<(String, Agent, bool)>,
    pub(super) parts: Vec<PartPlan>,
    pub(super) present: PresentMachines,
    pub(super) updates: BTreeMap<String, Vec<Update>>,
}
