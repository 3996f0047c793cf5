//! Records that a lab keeps: snapshots and certificate updates.

use std::collections::BTreeMap;

use epm_client_agent::agent::Agent;
use epm_client_agent::scenario::PartPlan;
use epm_protocol::fault::FaultRule;
use epm_protocol::site::{Site, Stores};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::Serialize;

use crate::lab::present_machines::PresentMachines;
use crate::runtime::clients::ClientStatus;
use crate::schema::BridgedSchema;

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
