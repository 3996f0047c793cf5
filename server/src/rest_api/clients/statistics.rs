//! Statistics: clients online and offline, and clients by version.

use std::collections::BTreeMap;
use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use axum::extract::State;
use epm_protocol::version::ClientVersion;
use schemars::JsonSchema;
use serde::Serialize;

use crate::rest_api::clients::computers::Presence;
use crate::rest_api::http::Json;
use crate::rest_api::state::RestApi;

/// Numbers of clients online and offline.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OnlineStatus {
    /// Time of the statistics, in milliseconds since 1970.
    last_updated: i64,
    client_count_stats_list: [ClientCount; 2],
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ClientCount {
    /// `ONLINE` or `OFFLINE`.
    status: &'static str,
    clients_count: usize,
}

/// Numbers of clients by version.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ClientVersions {
    /// Number of clients per version; null if there are none, unless assumed otherwise.
    client_version_list: Option<Vec<VersionCount>>,
    /// Time of the statistics, in milliseconds since 1970.
    last_updated: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct VersionCount {
    version: String,
    clients_count: usize,
    formatted_version: String,
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    ApiRouter::new()
        .api_route("/sepm/api/v1/stats/client/onlinestatus", get(online))
        .api_route("/sepm/api/v1/stats/client/version", get(versions))
}

async fn online(State(api): State<Arc<RestApi>>) -> Json<OnlineStatus> {
    let presence = Presence::now(&api);
    let (mut all, mut online) = (0, 0);
    api.clients.each(|client_status| {
        all += 1;
        online += usize::from(presence.is_online(client_status));
    });
    let count = |status, clients_count| ClientCount { status, clients_count };
    Json(OnlineStatus {
        last_updated: api.now().as_millis(),
        client_count_stats_list: [count("ONLINE", online), count("OFFLINE", all - online)],
    })
}

async fn versions(State(api): State<Arc<RestApi>>) -> Json<ClientVersions> {
    let mut counts = BTreeMap::<ClientVersion, usize>::new();
    api.clients.each(|client_status| *counts.entry(client_status.client.version).or_default() += 1);
    let counts = counts.into_iter().map(|(version, clients_count)| VersionCount {
        version: version.to_string(),
        clients_count,
        formatted_version: formatted(version),
    });
    let client_version_list = api.listed(counts.collect());
    Json(ClientVersions { client_version_list, last_updated: api.now().as_millis() })
}

/// `14.3 (14.3) build 0000` for `14.3.558.0000` [R of the REST notes].
fn formatted(version: ClientVersion) -> String {
    let text = version.to_string();
    let mut parts = text.split('.');
    let mut part = || parts.next().unwrap_or_default();
    let (major, minor, _, revision) = (part(), part(), part(), part());
    format!("{major}.{minor} ({major}.{minor}) build {revision}")
}
