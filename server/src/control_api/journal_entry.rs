//! An entry of the journal as the control API shows it, with names for the identifiers in calls.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use epm_protocol::fault::{Moment, Route};
use epm_protocol::id::{AgentId, Guid};
use epm_protocol::site::Site;
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::lab::Lab;
use crate::runtime::journal::Kind;
use crate::schema::BridgedSchema;

/// An entry of the journal; fields that do not apply to its kind are absent.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct JournalEntry {
    /// Number of the entry; entries of all kinds are numbered together, from 1.
    pub(super) number: u64,
    /// Lab time of the entry.
    #[schemars(with = "String")]
    pub(super) at: Timestamp,
    /// Kind of the entry.
    pub(super) kind: Kind,
    /// Name of the manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manager: Option<String>,
    /// Computer name of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<String>,
    #[serde(flatten)]
    pub(super) more: More,
}

/// Fields of some kinds of entries.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct More {
    /// Address of the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(super) peer: Option<SocketAddr>,
    /// Identifier of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(super) agent: Option<AgentId>,
    /// For an exchange: whether it used TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<bool>,
    /// For an exchange: what was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) action: Option<&'static str>,
    /// For an exchange or a call: status of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    /// For a closed connection: silent, stalled, handshake or http.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    /// Description of the entry for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    /// For an applied fault: name of the fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<String>,
    /// For an applied fault: what the fault does; for an operator action: what was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) what: Option<String>,
    /// For an applied fault: ordinal of the client's connection or exchange, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ordinal: Option<u64>,
    /// For an applied fault: route of the exchange; absent for a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BridgedSchema<Route>>")]
    pub(super) route: Option<Route>,
    /// For an applied fault: whether a connection or an exchange was hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BridgedSchema<Moment>>")]
    pub(super) moment: Option<Moment>,
    /// For a call: HTTP method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<String>,
    /// For a call: path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    /// For a call: query, without passwords and tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) query: Option<String>,
    /// For a call: body of the request, without passwords and tokens, at most 8 KiB of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
    /// For an exchange or a call: real time from the request to its response, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration_ms: Option<f64>,
    /// For an exchange or a closed connection: whether a fault acted on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) faulted: Option<bool>,
    /// For an exchange or a call: header `traceparent` of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) traceparent: Option<String>,
    /// For a call: user of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    /// For a call: what the identifiers in its path, query and body stand for, as far as the site has it now: groups, locations and
    /// clients, by identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) names: Option<BTreeMap<String, String>>,
}

impl JournalEntry {
    /// The identifiers in a call.
    fn identifiers(&self) -> BTreeSet<Guid> {
        let More { path, query, body, .. } = &self.more;
        let texts = [path, query, body].into_iter().flatten();
        let words = texts.flat_map(|text| text.split(|c: char| !c.is_ascii_hexdigit()));
        words.filter_map(|word| word.parse().ok()).collect()
    }

    /// What the call is about, for people: each name once.
    pub(super) fn named(&self) -> Option<String> {
        let names: BTreeSet<&str> = self.more.names.as_ref()?.values().map(String::as_str).collect();
        Some(format!("({})", names.into_iter().collect::<Vec<_>>().join(", ")))
    }
}

/// Gives the calls among these entries names for their identifiers.
pub(super) fn name_identifiers(lab: &Lab, entries: &mut [JournalEntry]) {
    let calls: Vec<(&mut JournalEntry, BTreeSet<Guid>)> = entries
        .iter_mut()
        .filter(|one| one.kind == Kind::Call)
        .map(|one| {
            let found = one.identifiers();
            (one, found)
        })
        .filter(|(_, found)| !found.is_empty())
        .collect();
    if calls.is_empty() {
        return;
    }
    let wanted: BTreeSet<Guid> = calls.iter().flat_map(|(_, found)| found.iter().copied()).collect();
    let names = lab.site.look(|site| names_of(site, &wanted));
    for (entry, found) in calls {
        let known = found.iter().filter_map(|id| Some((id.to_string(), names.get(id)?.clone())));
        let known: BTreeMap<String, String> = known.collect();
        entry.more.names = (!known.is_empty()).then_some(known);
    }
}

/// Names for these identifiers, of what the site has.
fn names_of(site: &Site, wanted: &BTreeSet<Guid>) -> BTreeMap<Guid, String> {
    let mut names = BTreeMap::new();
    for id in wanted {
        if let Some(client) = site.client(AgentId(*id)) {
            names.insert(*id, format!("client {}", client.computer_name));
        }
    }
    for (path, group) in site.groups().iter() {
        if wanted.contains(&group.id.0) {
            names.insert(group.id.0, format!("group {path}"));
        }
        for (name, location) in &group.own.locations {
            if wanted.contains(&location.id.0) {
                // The default location has one identifier in all groups.
                let named =
                    names.entry(location.id.0).or_insert_with(|| format!("location {name} of {path}"));
                if !named.ends_with(&format!(" of {path}")) {
                    *named = format!("location {name}");
                }
            }
        }
    }
    names
}
