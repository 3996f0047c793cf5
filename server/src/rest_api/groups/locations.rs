//! Locations of a group: a list of their URLs, and one location as XML.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use axum::extract::State;
use epm_protocol::site::{DEFAULT_LOCATION, Location, Site};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rest_api::groups::group::find;
use crate::rest_api::http::{ApiError, GroupPath, Id, Json, LocationKey, LocationPath, Path, Query};
use crate::rest_api::state::RestApi;

/// Format of a list of locations.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Naming {
    /// Whether each URL is preceded by the location's name and a colon.
    has_name: Option<bool>,
}

/// A location.
#[derive(Debug, Serialize, JsonSchema)]
struct LocationDetails {
    location_id: String,
    location_name: String,
    location_rules_xml: String,
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    ApiRouter::new()
        .api_route("/sepm/api/v1/groups/{groupId}/locations", get(locations))
        .api_route("/sepm/api/v1/groups/{groupId}/locations/{locationId}/xml", get(xml))
}

async fn locations(
    State(api): State<Arc<RestApi>>,
    Path(GroupPath { group_id }): Path<GroupPath>,
    Query(Naming { has_name }): Query<Naming>,
) -> Result<Json<Vec<String>>, ApiError> {
    let site = api.site.read();
    let (path, _) = find(&site, group_id)?;
    let base = format!("{}/sepm/api/v1/groups/{group_id}/locations", api.base);
    let all = site.groups().effective(path)?.locations.iter().map(|(name, one)| {
        let address = format!("{base}/{}", one.id);
        if has_name == Some(true) { format!("{name}:{address}") } else { address }
    });
    Ok(Json(all.collect()))
}

async fn xml(
    State(api): State<Arc<RestApi>>,
    Path(LocationPath { group_id, location_id }): Path<LocationPath>,
) -> Result<Json<LocationDetails>, ApiError> {
    let site = api.site.read();
    let (_, name, location) = find_location(&site, group_id, location_id)?;
    Ok(Json(LocationDetails {
        location_id: location.id.to_string(),
        location_name: name.to_owned(),
        location_rules_xml: site.assumptions().rest_location_rules.clone(),
    }))
}

/// A location of a group, with the group's path and the location's name.
pub(crate) fn find_location(
    site: &Site,
    group: Id,
    location: LocationKey,
) -> Result<(&str, &str, &Location), ApiError> {
    let (path, _) = find(site, group)?;
    let is_meant = |name: &str, one: &Location| match location {
        LocationKey::Default => name == DEFAULT_LOCATION,
        LocationKey::Id(id) => one.id.0 == id,
    };
    let mut all = site.groups().effective(path)?.locations.iter();
    let found = all.find(|(name, one)| is_meant(name, one));
    let shown = match location {
        LocationKey::Default => "default".to_owned(),
        LocationKey::Id(id) => id.to_string(),
    };
    let found = found.map(|(name, one)| (path, name.as_str(), one));
    found.ok_or_else(|| ApiError::gone("locations", shown))
}
