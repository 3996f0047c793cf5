//! The clients of a part of a fleet, counted by what they hold.

use std::collections::{BTreeMap, BTreeSet};

use epm_protocol::policy::Protocol;
use epm_protocol::trust::Fingerprint;
use serde::Serialize;

use crate::agent::{AgentView, Health, TrustLayer};

/// The clients of a part of the fleet, counted by what they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct PartHolding {
    /// The name of the part.
    pub part: String,
    /// The number of clients in the part.
    pub clients: usize,
    /// The number of clients that are served.
    pub connected: usize,
    /// The number of clients that are out of touch for reasons other than trust.
    pub disconnected: usize,
    /// The number of clients that are orphaned.
    pub orphaned: usize,
    /// The number of clients that were orphaned and were brought back by an imported communications file.
    pub brought_back: usize,
    /// The number of clients that are served and authenticate their manager.
    pub secure: usize,
    /// The number of clients that connect to their manager over HTTPS.
    pub https: usize,
    /// The number of clients that hold each certificate.
    pub certificates: BTreeMap<Fingerprint, usize>,
    /// The number of clients that hold each management server list.
    pub lists: BTreeMap<String, usize>,
    /// The number of orphaned clients for each layer of trust that failed.
    pub layers: BTreeMap<TrustLayer, usize>,
    /// The addresses and ports at which clients of the part are served over HTTP.
    #[serde(skip)]
    pub served_over_http: BTreeSet<(String, u16)>,
}

impl PartHolding {
    /// Makes empty counts for a part.
    pub fn of(part: &str) -> Self {
        Self { part: part.to_owned(), ..Self::default() }
    }

    /// Counts this many clients with this view.
    pub fn add(&mut self, view: &AgentView, clients: usize) {
        self.clients += clients;
        match &view.health {
            Health::Connected { .. } => {
                self.connected += clients;
                self.secure += if view.secure_communications { clients } else { 0 };
                let over_http = view.server.iter().filter(|server| server.protocol == Protocol::Http);
                self.served_over_http.extend(over_http.map(|server| (server.address.clone(), server.port)));
            }
            Health::Orphaned { because, .. } => {
                self.orphaned += clients;
                *self.layers.entry(because.layer()).or_default() += clients;
            }
            Health::New | Health::Disconnected { .. } => self.disconnected += clients,
        }
        let is_https = view.server.as_ref().is_some_and(|server| server.protocol == Protocol::Https);
        self.brought_back += if view.brought_back { clients } else { 0 };
        self.https += if is_https { clients } else { 0 };
        *self.lists.entry(view.list.clone()).or_default() += clients;
        for certificate in &view.certificates {
            *self.certificates.entry(*certificate).or_default() += clients;
        }
    }

    /// Adds the counts of another thread.
    pub fn merge(&mut self, other: &Self) {
        self.clients += other.clients;
        self.connected += other.connected;
        self.disconnected += other.disconnected;
        self.orphaned += other.orphaned;
        self.brought_back += other.brought_back;
        self.secure += other.secure;
        self.https += other.https;
        self.served_over_http.extend(other.served_over_http.iter().cloned());
        for (certificate, count) in &other.certificates {
            *self.certificates.entry(*certificate).or_default() += count;
        }
        for (name, count) in &other.lists {
            *self.lists.entry(name.clone()).or_default() += count;
        }
        for (layer, count) in &other.layers {
            *self.layers.entry(*layer).or_default() += count;
        }
    }
}
