//! What a lab was founded with: the inputs from which its site is replayed, and the options that it was first started with.

use std::collections::BTreeMap;

use epm_client_agent::scenario::ManagerPlan;
use epm_protocol::assumption::Assumptions;
use epm_protocol::site::{Founding, ManagerPorts};
use epm_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What a lab was founded with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FoundedWith {
    /// Version of the program.
    pub(crate) version: String,
    /// Lab time of the founding.
    pub(crate) at: Timestamp,
    /// Name of the site.
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) managers: Vec<FoundedManager>,
    pub(crate) assumptions: Assumptions,
    /// Options of `epm-lab up` that make a lab what it is, by name, as they were at the first start.
    pub(crate) options: BTreeMap<String, String>,
    /// The command of the first start, which starts the same lab anew; none if an earlier version founded the lab, or if its site is
    /// shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repeat: Option<String>,
    /// Whether the first start was completed: what was kept before is of no use.
    pub(crate) is_complete: bool,
}

/// A manager with the ports that it opened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FoundedManager {
    pub(crate) name: String,
    /// Name or address that is published to clients.
    pub(crate) address: String,
    pub(crate) http: Option<u16>,
    pub(crate) https: Option<u16>,
    /// Port of the REST API, if it is served.
    pub(crate) rest: Option<u16>,
}

impl FoundedWith {
    /// Whether a manager has a REST API.
    pub(crate) fn has_rest_api(&self) -> bool {
        self.managers.iter().any(|one| one.rest.is_some())
    }

    /// The founding of the site.
    pub(crate) fn founding(&self) -> Founding {
        let manager = |one: &FoundedManager| {
            let ports = ManagerPorts { address: one.address.clone(), http: one.http, https: one.https };
            (one.name.clone(), ports)
        };
        Founding {
            name: self.name.clone(),
            seed: self.seed,
            managers: self.managers.iter().map(manager).collect(),
            assumptions: self.assumptions.clone().into(),
        }
    }
}

impl FoundedManager {
    /// The plan by which the manager opens the ports again that it had.
    pub(crate) fn plan(&self) -> ManagerPlan {
        ManagerPlan {
            name: self.name.clone(),
            address: self.address.clone(),
            http_port: self.http.unwrap_or_default(),
            https_port: self.https.filter(|https| self.http != Some(*https)),
        }
    }
}

/// Founds a site of this many managers for a unit test; returns it with the time of its founding.
#[cfg(test)]
pub(crate) fn test_site(managers: usize) -> (epm_protocol::site::Site, Timestamp) {
    let ports = ManagerPorts { address: "127.0.0.1".to_owned(), http: Some(1), https: Some(1) };
    let founding = Founding {
        name: "My Site".to_owned(),
        seed: 1,
        managers: (1..=managers).map(|number| (format!("sepm-{number}"), ports.clone())).collect(),
        assumptions: std::sync::Arc::default(),
    };
    let now = Timestamp::from_seconds(1_767_600_000);
    (epm_protocol::site::Site::found(founding, now).unwrap(), now)
}
