//! Named updates of certificates: a caller that repeats its request is told what the first one did.

use std::collections::BTreeMap;

use epm_protocol::site::Stores;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::Serialize;

use crate::schema::BridgedSchema;

/// Number of updates that are kept per manager.
pub(crate) const MOST_UPDATES: usize = 1000;

/// The updates of each manager, oldest first.
pub(crate) type Updates = BTreeMap<String, Vec<Update>>;

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
