//! What has changed since a snapshot: the site's objects field by field, and the clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State;
use epm_client_agent::agent::AgentView;
use epm_client_agent::wire::ByState;
use epm_protocol::site::Site;
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::control_api::extract::{Answer, LabState, Path, Routes, doc};
use crate::control_api::snapshots::Snapshot;
use crate::control_api::view::{GroupView, ListView};

/// Number of clients that are named.
const NAMED: usize = 100;

/// Differences between a snapshot and now.
#[derive(Debug, Serialize, JsonSchema)]
struct SnapshotChanges {
    /// Name of the snapshot.
    snapshot: String,
    /// Lab time of the snapshot.
    #[schemars(with = "String")]
    at: Timestamp,
    /// Changed fields of managers, groups and lists.
    site: Vec<ChangedField>,
    /// Number of clients that have changed, have come, or have gone.
    clients: usize,
    /// The first of these clients.
    examples: Vec<ChangedClient>,
}

/// A field of the site that has changed.
#[derive(Debug, Serialize, JsonSchema)]
struct ChangedField {
    /// Object and field, such as `groups/My Company/list`.
    field: String,
    /// Value in the snapshot; null if there was none.
    before: Value,
    /// Value now; null if there is none.
    now: Value,
}

/// A client that has changed.
#[derive(Debug, Serialize, JsonSchema)]
struct ChangedClient {
    /// Computer name of the client.
    client: String,
    /// State in the snapshot; absent if the client was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    /// State now; absent if the client is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<String>,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new().api_route(
        "/v1/snapshots/{snapshot}/changes",
        get_with(
            changes,
            doc("snapshotChanges", "Show what has changed since a snapshot: the site and the clients"),
        ),
    )
}

async fn changes(
    State(lab): LabState,
    Path(Snapshot { snapshot }): Path<Snapshot>,
) -> Answer<SnapshotChanges> {
    let (mut now, mut states) = (BTreeMap::<String, Arc<str>>::new(), ByState::<Arc<str>>::default());
    lab.look_at_clients(|member, glance| {
        now.insert(member.name.clone(), Arc::clone(states.of(&glance.common, state)));
    })
    .await;
    let (at, before, clients_before) = lab.look_at_snapshot(&snapshot, |at, site, agents| {
        let clients: BTreeMap<String, Arc<str>> = agents
            .iter()
            .map(|(_, agent, _)| {
                let name = agent.profile().computer_name.clone();
                (name, Arc::clone(states.of(&agent.common_view(), state)))
            })
            .collect();
        (at, objects(site), clients)
    })?;
    let mut site = Vec::new();
    compare("", &before, &lab.site.look(objects), &mut site);
    let gone = clients_before.keys().filter(|name| !now.contains_key(*name));
    let text = |state: Option<&Arc<str>>| state.map(|state| String::from(&**state));
    let mut changed: Vec<ChangedClient> = now
        .keys()
        .chain(gone)
        .map(|name| (name, clients_before.get(name), now.get(name)))
        .filter(|(_, before, now)| before != now)
        .map(|(name, before, now)| ChangedClient {
            client: name.clone(),
            before: text(before),
            now: text(now),
        })
        .collect();
    let clients = changed.len();
    changed.truncate(NAMED);
    Ok(Json(SnapshotChanges { snapshot, at, site, clients, examples: changed }))
}

/// What of a client counts as a change: its contact, what it trusts, and its settings.
fn state(view: &AgentView) -> Arc<str> {
    let health = serde_json::to_value(&view.health).unwrap_or_default();
    let short = |one: String| one.chars().filter(|digit| *digit != ':').take(8).collect::<String>();
    let mut held: Vec<String> = view.certificates.iter().map(|one| short(one.to_string())).collect();
    held.sort_unstable();
    let group = view.group.as_deref().unwrap_or("no group");
    let secure =
        if view.secure_communications { "secure communications on" } else { "secure communications off" };
    format!(
        "{}, {secure}, {group}, list {}, holds {}",
        health["state"].as_str().unwrap_or("unknown"),
        view.list,
        held.join(" and ")
    )
    .into()
}

/// Managers, groups and lists by name.
fn objects(site: &Site) -> Value {
    let by_name = |all: Value, key: &str| -> Map<String, Value> {
        let all = all.as_array().cloned().unwrap_or_default().into_iter();
        all.map(|one| (one[key].as_str().unwrap_or_default().to_owned(), one)).collect()
    };
    let managers: Map<String, Value> = site
        .managers()
        .map(|one| {
            let console = one.console.certificate().fingerprint().to_string();
            let fields = json!({
                "console_certificate": console,
                "client_certificate": one.client.certificate().fingerprint().to_string(),
                "address": one.ports.address,
                "broken_since": site.replication_stopped_since(&one.name),
            });
            (one.name.clone(), fields)
        })
        .collect();
    let groups = serde_json::to_value(GroupView::all(site)).unwrap_or_default();
    let lists = serde_json::to_value(ListView::all(site, site.lists())).unwrap_or_default();
    json!({ "managers": managers, "groups": by_name(groups, "group"), "lists": by_name(lists, "name") })
}

/// Adds each field that differs.
fn compare(at: &str, before: &Value, now: &Value, found: &mut Vec<ChangedField>) {
    if before == now {
        return;
    }
    if let (Value::Object(old), Value::Object(new)) = (before, now) {
        let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let field = if at.is_empty() { name.clone() } else { format!("{at}/{name}") };
            compare(&field, &before[name.as_str()], &now[name.as_str()], found);
        }
        return;
    }
    found.push(ChangedField { field: at.to_owned(), before: before.clone(), now: now.clone() });
}
