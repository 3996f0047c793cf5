//! Locations of a group: their addresses, and one as XML.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use axum::extract::State;
use epm_protocol::site::{DEFAULT_LOCATION, Location, Site};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rest_api::Console;
use crate::rest_api::groups::groups::find;
use crate::rest_api::http::error::Refusal;
use crate::rest_api::http::extract::{Asked, At, GroupPath, Id, LocationKey, LocationPath};
use crate::rest_api::http::response::Reply;

/// How locations are asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Naming {
    /// Whether each address has the name of its location and a colon before it.
    has_name: Option<bool>,
}

/// A location.
#[derive(Debug, Serialize, JsonSchema)]
struct LocationDetails {
    location_id: String,
    location_name: String,
    location_rules_xml: String,
}

pub(crate) fn routes() -> ApiRouter<Arc<Console>> {
    ApiRouter::new()
        .api_route("/sepm/api/v1/groups/{groupId}/locations", get(locations))
        .api_route("/sepm/api/v1/groups/{groupId}/locations/{locationId}/xml", get(xml))
}

async fn locations(
    State(console): State<Arc<Console>>,
    At(GroupPath { group_id }): At<GroupPath>,
    Asked(Naming { has_name }): Asked<Naming>,
) -> Result<Reply<Vec<String>>, Refusal> {
    let site = console.shared.site();
    let (path, _) = find(&site, group_id)?;
    let base = format!("{}/sepm/api/v1/groups/{group_id}/locations", console.base);
    let all = site.groups().effective(path)?.locations.iter().map(|(name, one)| {
        let address = format!("{base}/{}", one.id);
        if has_name == Some(true) { format!("{name}:{address}") } else { address }
    });
    Ok(Reply(all.collect()))
}

async fn xml(
    State(console): State<Arc<Console>>,
    At(LocationPath { group_id, location_id }): At<LocationPath>,
) -> Result<Reply<LocationDetails>, Refusal> {
    let site = console.shared.site();
    let (_, name, location) = find_location(&site, group_id, location_id)?;
    Ok(Reply(LocationDetails {
        location_id: location.id.to_string(),
        location_name: name.to_owned(),
        location_rules_xml: site.assumptions().rest_location_rules.clone(),
    }))
}

/// A location of a group, with the path of the group and its own name.
pub(crate) fn find_location(
    site: &Site,
    group: Id,
    location: LocationKey,
) -> Result<(&str, &str, &Location), Refusal> {
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
    let status = site.assumptions().rest_unknown_location_status;
    let found = found.map(|(name, one)| (path, name.as_str(), one));
    found.ok_or_else(|| Refusal::gone("locations", shown).with(status))
}
