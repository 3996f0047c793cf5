//! What a lab keeps of its past: snapshots, and the updates of certificates.

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

/// An update of a manager's certificate, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Update {
    /// Its name.
    pub update: String,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Which stores it reached.
    #[schemars(with = "BridgedSchema<Stores>")]
    pub stores: Stores,
    /// The certificate.
    #[schemars(with = "String")]
    pub fingerprint: Fingerprint,
}

/// The lab as it was.
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
