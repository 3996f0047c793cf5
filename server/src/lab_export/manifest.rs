//! What the file of an exported lab says of itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::store::FoundedWith;

/// Identifies the file.
pub(super) const FORM: &str = "epm-lab export";
/// Version of the form.
pub(super) const VERSION: u32 = 1;

/// What the file of an exported lab says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Manifest {
    /// Always `epm-lab export`.
    pub(super) form: String,
    /// Version of the form.
    pub(super) version: u32,
    /// Version of the program that made the file.
    pub(crate) program: String,
    /// Name of the site.
    pub(crate) site: String,
    /// Lab time of the founding.
    pub(crate) founded: String,
    /// Seed of the lab.
    pub(crate) seed: u64,
    /// Managers with the ports that the lab needs.
    pub(crate) managers: Vec<ManagerPorts>,
    /// Number of changes of the site.
    pub(crate) changes: u64,
    /// Number of registered clients.
    pub(crate) clients: u64,
    /// Certificates with foreign keys, and what stands in for them.
    pub(crate) replaced: Vec<Replaced>,
    /// Number of foreign shared secrets that another one stands in for.
    pub(crate) replaced_secrets: usize,
}

/// A manager with the ports that it listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ManagerPorts {
    /// Name of the manager.
    pub(crate) name: String,
    /// Name or address that clients are told.
    pub(crate) address: String,
    /// Port for HTTP.
    pub(crate) http: Option<u16>,
    /// Port for HTTPS.
    pub(crate) https: Option<u16>,
    /// Port of the REST API.
    pub(crate) rest: Option<u16>,
}

/// A certificate with a foreign key, and the one that stands in for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Replaced {
    /// Common name of the certificate.
    pub(crate) certificate: String,
    /// SHA-256 of the foreign certificate.
    pub(crate) original: String,
    /// SHA-256 of the certificate that stands in for it.
    pub(crate) stand_in: String,
    /// Whether the signature of the latter is one.
    pub(crate) is_signed: bool,
}

impl Manifest {
    pub(super) fn of(founded: &FoundedWith, changes: u64, clients: u64) -> Self {
        let managers = founded.managers.iter().map(|one| ManagerPorts {
            name: one.name.clone(),
            address: one.address.clone(),
            http: one.http,
            https: one.https,
            rest: one.rest,
        });
        Self {
            form: FORM.to_owned(),
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            site: founded.name.clone(),
            founded: founded.at.to_string(),
            seed: founded.seed,
            managers: managers.collect(),
            changes,
            clients,
            replaced: Vec::new(),
            replaced_secrets: 0,
        }
    }
}
