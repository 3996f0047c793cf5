//! Records that a lab keeps: snapshots, certificate updates, and which shared documents were read.

use std::collections::BTreeMap;
use std::sync::Arc;

use epm_client_agent::scenario::PartPlan;
use epm_client_agent::wire::AgentCopy;
use epm_protocol::assumption::Assumptions;
use epm_protocol::fault::FaultRule;
use epm_protocol::site::Site;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;

use crate::lab::present_machines::PresentMachines;
use crate::runtime::action_log::LogPosition;
use crate::runtime::clients::ClientStatus;
use crate::runtime::updates::{Update, Updates};
use crate::store::{DocumentKey, Kind};

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
    pub(super) agents: Vec<(String, AgentCopy, bool)>,
    pub(super) parts: Vec<PartPlan>,
    pub(super) present: PresentMachines,
    pub(super) updates: Updates,
    /// The position in the log of what was done.
    pub(super) logged: LogPosition,
}

/// Documents that the processes of a site share.
#[derive(Default)]
pub(super) struct Documents {
    /// Number of each that was read, by kind and name.
    pub(super) known: BTreeMap<(Kind, String), i64>,
    /// What is wrong with each that cannot be read, by the name of the kind and its own.
    pub(super) damaged: BTreeMap<DocumentKey, String>,
}
