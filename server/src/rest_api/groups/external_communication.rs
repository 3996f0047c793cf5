//! `external-communication` of a group and of a location: proxies, private cloud, insight, telemetry. It is kept and shown,
//! and its change is a change of the policy; no emulated client goes by it.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use axum::extract::State;
use epm_protocol::id::{GroupId, LocationId};
use epm_protocol::site::Command;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::rest_api::Console;
use crate::rest_api::http::error::Refusal;
use crate::rest_api::http::extract::{At, GroupPath, Id, LocationPath, Sent};
use crate::rest_api::http::response::{Blank, Reply};

/// External communication.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct ExternalCommunication {
    /// What holds: `proxy`, `mac_proxy`, `lowbandwidth`, `privatecloud`, `insight`, `telemetry`.
    configuration: Option<Map<String, Value>>,
    /// What groups below may not change.
    lockedoptions: Option<Map<String, Value>>,
}

/// What there is to set.
const KEYS: &[&str] = &["proxy", "mac_proxy", "lowbandwidth", "privatecloud", "insight", "telemetry"];

/// How large it may be, as JSON.
const MOST_BYTES: usize = 64 * 1024;

/// Whether what is absent goes or stays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Replace,
    Amend,
}

pub(crate) fn routes() -> ApiRouter<Arc<Console>> {
    let location = "/sepm/api/v1/groups/{groupId}/locations/{locationId}/external-communication";
    ApiRouter::new()
        .api_route(
            "/sepm/api/v1/groups/{groupId}/external-communication",
            get(of_group).put(replace_of_group).patch(amend_of_group),
        )
        .api_route(location, get(of_location).put(replace_of_location).patch(amend_of_location))
}

async fn of_group(
    State(console): State<Arc<Console>>,
    At(GroupPath { group_id }): At<GroupPath>,
) -> Result<Reply<ExternalCommunication>, Refusal> {
    console.external(group_id, None)
}

async fn of_location(
    State(console): State<Arc<Console>>,
    At(LocationPath { group_id, location_id }): At<LocationPath>,
) -> Result<Reply<ExternalCommunication>, Refusal> {
    let (_, location, _) = console.place(group_id, location_id)?;
    console.external(group_id, Some(location))
}

macro_rules! changes {
    ($($group:ident $location:ident = $way:ident;)*) => {$(
        async fn $group(
            State(console): State<Arc<Console>>,
            At(GroupPath { group_id }): At<GroupPath>,
            Sent(sent): Sent<ExternalCommunication>,
        ) -> Result<Blank, Refusal> {
            console.set_external(group_id, None, sent, Way::$way)
        }

        async fn $location(
            State(console): State<Arc<Console>>,
            At(LocationPath { group_id, location_id }): At<LocationPath>,
            Sent(sent): Sent<ExternalCommunication>,
        ) -> Result<Blank, Refusal> {
            let (_, location, _) = console.place(group_id, location_id)?;
            console.set_external(group_id, Some(location), sent, Way::$way)
        }
    )*};
}

changes! {
    replace_of_group replace_of_location = Replace;
    amend_of_group amend_of_location = Amend;
}

impl Console {
    fn external(
        &self,
        group: Id,
        location: Option<LocationId>,
    ) -> Result<Reply<ExternalCommunication>, Refusal> {
        let owner = {
            let site = self.shared.site();
            let found = site.groups().iter().find(|(_, one)| one.id.0 == group.0);
            let (path, _) = found.ok_or_else(|| Refusal::gone("groups", group))?;
            site.groups().find(site.groups().owner(path)?)?.id
        };
        let kept = self.database.keepings.kept();
        let set = kept.external.get(&(owner, location)).or_else(|| kept.external.get(&(owner, None)));
        let mut configuration: Map<String, Value> =
            KEYS.iter().map(|key| ((*key).to_owned(), Value::Null)).collect();
        configuration.extend(set.cloned().unwrap_or_default());
        Ok(Reply(ExternalCommunication {
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
    ) -> Result<Blank, Refusal> {
        let wanted = sent.configuration.unwrap_or_default();
        check(&wanted)?;
        let group = GroupId(group.0);
        let _changing = self.database.keepings.changing();
        let path = self.own_settings(group)?;
        let (before, after) = {
            let kept = self.database.keepings.kept();
            let before = kept.external.get(&(group, location)).cloned().unwrap_or_default();
            let mut after = if way == Way::Amend { before.clone() } else { Map::new() };
            merge(&mut after, wanted);
            (before, after)
        };
        if before == after {
            return Ok(Blank);
        }
        let place = location.map_or_else(|| "the group".to_owned(), |one| one.to_string());
        let content = Value::Object(after.clone()).to_string();
        if content.len() > MOST_BYTES {
            return Err(Refusal::Invalid(format!("There would be more than {MOST_BYTES} bytes of it.")));
        }
        let policy = format!("external communication of {place}");
        self.shared.apply(&Command::SetPolicy { group: path, policy, content })?;
        self.database.keepings.kept().external.insert((group, location), after);
        Ok(Blank)
    }
}

fn check(wanted: &Map<String, Value>) -> Result<(), Refusal> {
    for (key, value) in wanted {
        let is_right = match key.as_str() {
            "insight" => value.is_boolean() || value.is_null(),
            known if KEYS.contains(&known) => value.is_object() || value.is_null(),
            unknown => {
                let shown: String = unknown.chars().take(80).collect();
                let words = format!("The field {shown:?} is unknown; expected one of {}.", KEYS.join(", "));
                return Err(Refusal::Invalid(words));
            }
        };
        if !is_right {
            return Err(Refusal::Invalid(format!("The field {key} is not what it should be.")));
        }
    }
    Ok(())
}

/// What is sent replaces what is there, field by field.
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
