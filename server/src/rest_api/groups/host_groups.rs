//! `policy-objects/hostgroups`: named groups of hosts for firewall rules, listed, shown and created.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::{get, post};
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::rest_api::groups::{policy_names, room};
use crate::rest_api::http::{ApiError, Created, IdPath, Json, JsonBody, Page, Paging, Path, Query};
use crate::rest_api::state::RestApi;
use crate::rest_api::system::store::{HostGroup, MOST_OBJECTS};

/// Summary of a host group.
#[derive(Debug, Serialize, JsonSchema)]
struct HostGroupSummary {
    /// Identifier of the host group.
    id: String,
    /// Name of the host group.
    name: String,
    /// Identifier of the domain.
    domainid: String,
    /// Time of the last change, in milliseconds since 1970.
    lastmodifiedtime: i64,
}

/// A host group.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "HostGroup")]
struct HostGroupBody {
    /// Name of the host group.
    #[schemars(length(min = 1, max = 255))]
    name: String,
    /// Hosts of the group: addresses, ranges, subnets or names.
    hosts: Option<Vec<Map<String, Value>>>,
}

/// The created host group.
#[derive(Debug, Serialize, JsonSchema)]
struct CreatedHostGroup {
    /// Identifier of the host group.
    id: String,
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    let at = |path| format!("/sepm/api/v1/policies/policy-objects/hostgroups{path}");
    ApiRouter::new()
        .api_route(&at(""), post(add))
        .api_route(&at("/summary"), get(summary))
        .api_route(&at("/{id}"), get(show))
}

/// Pages the list, although the vendor's description has no such parameters.
async fn summary(
    State(api): State<Arc<RestApi>>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<HostGroupSummary>>, ApiError> {
    let assumed = api.assumed();
    let domainid = api.site.read().domain().to_string();
    let slice = paging.slice(assumed.rest_usual_page, &assumed)?;
    let kept = api.database.store.kept();
    let rows = kept.host_groups.iter().map(|(id, one)| HostGroupSummary {
        id: id.to_string(),
        name: one.name.clone(),
        domainid: domainid.clone(),
        lastmodifiedtime: one.modified.as_millis(),
    });
    Ok(Json(slice.of(rows.collect(), None)))
}

async fn show(
    State(api): State<Arc<RestApi>>,
    Path(IdPath { id }): Path<IdPath>,
) -> Result<Json<HostGroupBody>, ApiError> {
    let kept = api.database.store.kept();
    let found = kept.host_groups.get(&id.0).ok_or_else(|| ApiError::gone("host groups", id))?;
    Ok(Json(HostGroupBody { name: found.name.clone(), hosts: Some(found.hosts.clone()) }))
}

/// Clients look the identifier up in the list; whether the product also answers with it is not recorded.
async fn add(
    State(api): State<Arc<RestApi>>,
    JsonBody(HostGroupBody { name, hosts }): JsonBody<HostGroupBody>,
) -> Result<Created<CreatedHostGroup>, ApiError> {
    policy_names::check(&name)?;
    let (modified, taken_status) = (api.now(), api.assumed().rest_policy_name_taken_status);
    let mut kept = api.database.store.kept();
    if kept.host_groups.values().any(|one| one.name == name) {
        let words = format!("The host group {name} already exists.");
        return Err(ApiError::assumed(taken_status, words));
    }
    if kept.host_groups.len() >= MOST_OBJECTS {
        return Err(ApiError::Invalid(format!("There are already {MOST_OBJECTS} host groups.")));
    }
    let group = HostGroup { name, hosts: hosts.unwrap_or_default(), modified };
    room::check(&kept, &group)?;
    let id = kept.make("host group");
    kept.host_groups.insert(id, group);
    Ok(Created(CreatedHostGroup { id: id.to_string() }))
}
