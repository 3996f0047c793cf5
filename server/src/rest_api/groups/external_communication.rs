//! `external-communication` of groups and locations: proxies, private cloud, insight, telemetry. Stored, returned,
//! and part of the policy; emulated clients ignore it.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use axum::extract::State;
use epm_protocol::id::{GroupId, LocationId};
use epm_protocol::site::Command;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::rest_api::groups::shape;
use crate::rest_api::http::{ApiError, Blank, GroupPath, Id, Json, JsonBody, LocationPath, Path};
use crate::rest_api::state::RestApi;
use crate::runtime::redact;

/// External communication settings.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct ExternalCommunication {
    /// Settings: `proxy`, `mac_proxy`, `lowbandwidth`, `privatecloud`, `insight`, `telemetry`.
    configuration: Option<Map<String, Value>>,
    /// Settings that groups below may not change.
    lockedoptions: Option<Map<String, Value>>,
}

/// Known settings.
const KEYS: &[&str] = &["proxy", "mac_proxy", "lowbandwidth", "privatecloud", "insight", "telemetry"];

/// Maximum size as JSON, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// Whether absent settings are removed or kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Replace,
    Amend,
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    let location = "/sepm/api/v1/groups/{groupId}/locations/{locationId}/external-communication";
    ApiRouter::new()
        .api_route(
            "/sepm/api/v1/groups/{groupId}/external-communication",
            get(of_group).put(replace_of_group).patch(amend_of_group),
        )
        .api_route(location, get(of_location).put(replace_of_location).patch(amend_of_location))
}

async fn of_group(
    State(api): State<Arc<RestApi>>,
    Path(GroupPath { group_id }): Path<GroupPath>,
) -> Result<Json<ExternalCommunication>, ApiError> {
    api.external(group_id, None)
}

async fn of_location(
    State(api): State<Arc<RestApi>>,
    Path(LocationPath { group_id, location_id }): Path<LocationPath>,
) -> Result<Json<ExternalCommunication>, ApiError> {
    let (_, location, _) = api.location(group_id, location_id)?;
    api.external(group_id, Some(location))
}

macro_rules! changes {
    ($($group:ident $location:ident = $way:ident;)*) => {$(
        async fn $group(
            State(api): State<Arc<RestApi>>,
            Path(GroupPath { group_id }): Path<GroupPath>,
            JsonBody(sent): JsonBody<ExternalCommunication>,
        ) -> Result<Blank, ApiError> {
            api.set_external(group_id, None, sent, Way::$way)
        }

        async fn $location(
            State(api): State<Arc<RestApi>>,
            Path(LocationPath { group_id, location_id }): Path<LocationPath>,
            JsonBody(sent): JsonBody<ExternalCommunication>,
        ) -> Result<Blank, ApiError> {
            let (_, location, _) = api.location(group_id, location_id)?;
            api.set_external(group_id, Some(location), sent, Way::$way)
        }
    )*};
}

changes! {
    replace_of_group replace_of_location = Replace;
    amend_of_group amend_of_location = Amend;
}

impl RestApi {
    fn external(
        &self,
        group: Id,
        location: Option<LocationId>,
    ) -> Result<Json<ExternalCommunication>, ApiError> {
        let owner = {
            let site = self.site.read();
            let found = site.groups().iter().find(|(_, one)| one.id.0 == group.0);
            let (path, _) = found.ok_or_else(|| ApiError::gone("groups", group))?;
            site.groups().find(site.groups().owner(path)?)?.id
        };
        let kept = self.database.store.kept();
        let set = kept.external.get(&(owner, location)).or_else(|| kept.external.get(&(owner, None)));
        let mut configuration: Map<String, Value> =
            KEYS.iter().map(|key| ((*key).to_owned(), Value::Null)).collect();
        configuration.extend(set.cloned().unwrap_or_default());
        Ok(Json(ExternalCommunication {
            configuration: Some(configuration),
            lockedoptions: Some(Map::new()),
        }))
    }

    fn set_external(
        &self,
        group: Id,
        location: Option<LocationId>,
        sent: ExternalCommunication,
        way: Way,
    ) -> Result<Blank, ApiError> {
        let wanted = sent.configuration.unwrap_or_default();
        check(&wanted)?;
        let mut wanted = Value::Object(wanted);
        redact::digest(&mut wanted, &self.site.read().kcs().to_string());
        let group = GroupId(group.0);
        let _changing = self.database.store.changing();
        let path = self.own_settings(group)?;
        let (before, after) = {
            let kept = self.database.store.kept();
            let before = kept.external.get(&(group, location)).cloned().unwrap_or_default();
            let mut after = if way == Way::Amend { before.clone() } else { Map::new() };
            if let Value::Object(wanted) = wanted {
                merge(&mut after, wanted);
            }
            (before, after)
        };
        if before == after {
            return Ok(Blank);
        }
        let place = location.map_or_else(|| "the group".to_owned(), |one| one.to_string());
        let content = Value::Object(after.clone()).to_string();
        if content.len() > MOST_BYTES {
            return Err(ApiError::Invalid(format!("The settings exceed {MOST_BYTES} bytes.")));
        }
        let policy = format!("external communication of {place}");
        self.site.apply(&Command::SetPolicy { group: path, policy, content })?;
        self.database.store.kept().external.insert((group, location), after);
        Ok(Blank)
    }
}

fn check(wanted: &Map<String, Value>) -> Result<(), ApiError> {
    if let Some(unknown) = wanted.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let shown: String = unknown.chars().take(80).collect();
        let words = format!("The field {shown} is unknown; expected one of {}.", KEYS.join(", "));
        return Err(ApiError::Invalid(words));
    }
    shape::check("ExternalCommunicationSettings", "", wanted)
}

/// Replaces existing settings by the given ones, field by field.
fn merge(into: &mut Map<String, Value>, sent: Map<String, Value>) {
    for (key, value) in sent {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(there)), Value::Object(value)) => merge(there, value),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}
