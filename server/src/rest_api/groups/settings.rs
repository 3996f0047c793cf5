//! The settings of a location, which a rotation works with.
//!
//! Communication settings belong to the location; all others belong to the group and are the same in all its
//! locations. Settings that the site does not model are stored in a policy of the group named [`OTHERS`], so that
//! they are inherited, published, and advance the serial number like any other.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use axum::extract::State;
use epm_protocol::assumption::RestLocation;
use epm_protocol::policy::{CommunicationChange, CommunicationSettings};
use epm_protocol::site::{Command, CommandError, DEFAULT_LOCATION, GroupSettings, Location, Site};
use epm_protocol::sylink::CommunicationMode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::rest_api::groups::group::find;
use crate::rest_api::groups::locations::find_location;
use crate::rest_api::groups::shape;
use crate::rest_api::http::{ApiError, Blank, Json, JsonBody, LocationPath, Path};
use crate::rest_api::state::RestApi;
use crate::runtime::redact;

/// Name of the policy that stores settings which the site does not model.
pub(crate) const OTHERS: &str = "Other settings";

/// Settings of a location; in a change, absent or null fields stay as they are.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
struct Settings {
    configuration: Option<Configuration>,
    lockedoptions: Option<Map<String, Value>>,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
struct Configuration {
    communication_settings: Option<Communication>,
    general_settings: Option<General>,
    password_protection: Option<Map<String, Value>>,
    client_log: Option<Map<String, Value>>,
    live_update_content_settings: Option<Map<String, Value>>,
    external_communication_settings: Option<Map<String, Value>>,
}

/// Communication settings of clients in the location.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
struct Communication {
    mode: Option<Mode>,
    #[schemars(range(min = 1))]
    pull_mode_heartbeat_freq_in_seconds: Option<u32>,
    upload_op_state_heartbeat_freq_in_seconds: Option<u32>,
    upload_log_heartbeat_freq_in_seconds: Option<u32>,
    upload_cmd_state_heartbeat_freq_in_seconds: Option<u32>,
    /// Management server list in effect; in a change, the list to assign.
    sem_server: Option<ServerList>,
    download_profile: Option<bool>,
    connect_to_server: Option<bool>,
    app_upload: Option<bool>,
    randomization_enabled: Option<bool>,
    randomization_range: Option<u32>,
    randomization_frequency: Option<u32>,
    remember_current_group: Option<bool>,
    remember_current_policy_mode: Option<bool>,
    allow_client_upload_critical_event_immediately: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Mode {
    Pull,
    Push,
}

/// A management server list by name.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
struct ServerList {
    name: Option<String>,
    description: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
struct General {
    restart: Option<Map<String, Value>>,
    security_settings: Option<Security>,
    tamper_protection: Option<TamperProtection>,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
struct Security {
    /// Whether clients authenticate their manager.
    secure_communications: Option<bool>,
    stopped_mode: Option<StoppedMode>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum StoppedMode {
    Allow,
    Block,
    AllowStartupOnly,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
struct TamperProtection {
    enabled: Option<bool>,
    action: Option<TamperAction>,
    log_action: Option<i32>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum TamperAction {
    Allow,
    Block,
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    ApiRouter::new().api_route(
        "/sepm/api/v1/groups/{groupId}/locations/{locationId}/settings",
        get(settings).patch(change),
    )
}

async fn settings(
    State(api): State<Arc<RestApi>>,
    Path(LocationPath { group_id, location_id }): Path<LocationPath>,
) -> Result<Json<Settings>, ApiError> {
    let site = api.site.read();
    let (path, _, location) = find_location(&site, group_id, location_id)?;
    let mut known = in_force(site.groups().effective(path)?, location, &site.assumptions().rest_settings);
    known["configuration"]["password_protection"]["password"] = Value::Null; // never returned
    serde_json::from_value(known).map(Json).map_err(|error| ApiError::Invalid(error.to_string()))
}

async fn change(
    State(api): State<Arc<RestApi>>,
    Path(LocationPath { group_id, location_id }): Path<LocationPath>,
    JsonBody(wanted): JsonBody<Settings>,
) -> Result<Blank, ApiError> {
    check(&wanted)?;
    api.site.decide(|site| {
        let (path, name, location) = find_location(site, group_id, location_id)?;
        let wanted = Wanted::of(&wanted)?;
        if wanted.is_nothing() {
            return Ok((Vec::new(), ()));
        }
        let owner = site.groups().owner(path)?;
        if owner != path {
            let (group, from) = (path.to_owned(), owner.to_owned());
            let status = site.assumptions().rest_inheriting_group_status;
            return Err(ApiError::from(CommandError::Inherits { group, from }).with(status));
        }
        let (_, group) = find(site, group_id)?;
        let shared = site.assumptions().rest_location_settings == RestLocation::OfTheGroup;
        // Clients use the default location unless told otherwise, so it stands for its group's settings.
        let shared = shared || name == DEFAULT_LOCATION;
        let place = if location.own.is_none() && shared { None } else { Some(name.to_owned()) };
        Ok((wanted.commands(path, place, location, &group.own, site)?, ()))
    })?;
    Ok(Blank)
}

/// Requested changes, by the place that stores them.
struct Wanted {
    change: CommunicationChange,
    list: Option<String>,
    secure_communications: Option<bool>,
    /// Communication settings that the site does not model.
    of_location: Value,
    /// Other settings that the site does not model.
    of_group: Value,
}

impl Wanted {
    fn of(settings: &Settings) -> Result<Self, ApiError> {
        let none = Configuration::default();
        let configuration = settings.configuration.as_ref().unwrap_or(&none);
        let none = Communication::default();
        let communication = configuration.communication_settings.as_ref().unwrap_or(&none);
        let security = configuration.general_settings.as_ref().and_then(|one| one.security_settings.as_ref());
        let mut rest =
            serde_json::to_value(settings).map_err(|error| ApiError::Invalid(error.to_string()))?;
        without_null(&mut rest);
        let mut of_location = take(&mut rest, &["configuration", "communication_settings"]);
        for known in KNOWN {
            take(&mut of_location, &[known]);
        }
        take(&mut rest, &["configuration", "general_settings", "security_settings", "secure_communications"]);
        without_empty(&mut rest);
        without_empty(&mut of_location);
        Ok(Self {
            change: CommunicationChange {
                connect: communication.connect_to_server,
                mode: communication.mode.map(|mode| match mode {
                    Mode::Pull => CommunicationMode::Pull,
                    Mode::Push => CommunicationMode::Push,
                }),
                heartbeat_seconds: communication.pull_mode_heartbeat_freq_in_seconds,
                download_profile: communication.download_profile,
                randomization_enabled: communication.randomization_enabled,
                randomization_range: communication.randomization_range,
            },
            list: communication.sem_server.as_ref().and_then(|list| list.name.clone()),
            secure_communications: security.and_then(|one| one.secure_communications),
            of_location,
            of_group: rest,
        })
    }

    fn is_nothing(&self) -> bool {
        self.change == CommunicationChange::default()
            && self.list.is_none()
            && self.secure_communications.is_none()
            && is_empty(&self.of_location)
            && is_empty(&self.of_group)
    }

    /// Commands for the changes; values that are already set need none.
    fn commands(
        mut self,
        path: &str,
        place: Option<String>,
        location: &Location,
        own: &GroupSettings,
        site: &Site,
    ) -> Result<Vec<Command>, ApiError> {
        let (communication, list) = match &location.own {
            Some(own) => (&own.communication, own.list.as_str()),
            None => (&own.communication, own.list.as_str()),
        };
        let known = in_force(own, location, &site.assumptions().rest_settings);
        let secret = site.kcs().to_string();
        [&mut self.of_group, &mut self.of_location].into_iter().for_each(|one| redact::digest(one, &secret));
        without_same(&mut self.of_group, &known);
        without_same(&mut self.of_location, &known["configuration"]["communication_settings"]);
        let group = path.to_owned();
        let mut commands = Vec::new();
        if self.change.applied_to(communication) != *communication {
            let (group, location) = (group.clone(), place.clone());
            commands.push(Command::SetCommunication { group, location, change: self.change });
        }
        if let Some(wanted) = self.list {
            if !site.lists().any(|known| known.name == wanted) {
                let words = format!("The management server list {wanted} does not exist.");
                return Err(ApiError::assumed(site.assumptions().rest_unknown_list_status, words));
            }
            if wanted != list {
                commands.push(Command::AssignList { list: wanted, group: group.clone(), location: place });
            }
        }
        if let Some(on) = self.secure_communications.filter(|on| *on != own.secure_communications) {
            commands.push(Command::SetSecureCommunications { group: group.clone(), on });
        }
        let before = others(own);
        let mut after = before.clone();
        if !is_empty(&self.of_group) {
            merge(&mut after["group"], &self.of_group);
        }
        if !is_empty(&self.of_location) {
            let id = location.id.to_string();
            merge(&mut after["locations"][id], &self.of_location);
        }
        if after != before {
            let (policy, content) = (OTHERS.to_owned(), after.to_string());
            commands.push(Command::SetPolicy { group, policy, content });
        }
        Ok(commands)
    }
}

/// Communication settings that the site models.
const KNOWN: &[&str] = &[
    "mode",
    "pull_mode_heartbeat_freq_in_seconds",
    "sem_server",
    "download_profile",
    "connect_to_server",
    "randomization_enabled",
    "randomization_range",
];

/// All settings in effect for a location.
fn in_force(own: &GroupSettings, location: &Location, assumed: &Value) -> Value {
    let (communication, list) = match &location.own {
        Some(own) => (&own.communication, &own.list),
        None => (&own.communication, &own.list),
    };
    let others = others(own);
    let mut known = all_of(communication, list, own.secure_communications, assumed);
    merge(&mut known, &others["group"]);
    if let Some(of_location) = others["locations"].get(location.id.to_string()) {
        merge(&mut known["configuration"]["communication_settings"], of_location);
    }
    known
}

/// All settings, with assumed values for those that the site does not model.
fn all_of(
    communication: &CommunicationSettings,
    list: &str,
    secure_communications: bool,
    assumed: &Value,
) -> Value {
    let known = json!({
        "configuration": {
            "communication_settings": {
                "mode": communication.mode.as_str(),
                "pull_mode_heartbeat_freq_in_seconds": communication.heartbeat_seconds,
                "sem_server": { "name": list, "description": null },
                "download_profile": communication.download_profile,
                "connect_to_server": communication.connect,
                "randomization_enabled": communication.randomization_enabled,
                "randomization_range": communication.randomization_range,
            },
            "general_settings": { "security_settings": { "secure_communications": secure_communications } },
            "password_protection": {},
        },
    });
    let mut all = assumed.clone();
    merge(&mut all, &known);
    all
}

/// Settings of a group that the site does not model.
fn others(own: &GroupSettings) -> Value {
    let kept = own.policies.get(OTHERS).and_then(|text| serde_json::from_str(text).ok());
    kept.unwrap_or_else(|| json!({ "group": {}, "locations": {} }))
}

/// Checks that the types do not express.
fn check(settings: &Settings) -> Result<(), ApiError> {
    let Some(sent) = &settings.configuration else { return Ok(()) };
    let restart = sent.general_settings.as_ref().and_then(|one| one.restart.as_ref());
    let free = [
        ("general_settings.restart.", "Restart", restart),
        ("password_protection.", "PasswordProtection", sent.password_protection.as_ref()),
        ("client_log.", "ClientLog", sent.client_log.as_ref()),
        (
            "live_update_content_settings.",
            "LiveUpdateContentSettings",
            sent.live_update_content_settings.as_ref(),
        ),
        (
            "external_communication_settings.",
            "ExternalCommunicationSettings",
            sent.external_communication_settings.as_ref(),
        ),
    ];
    free.iter()
        .try_for_each(|(place, schema, sent)| sent.map_or(Ok(()), |sent| shape::check(schema, place, sent)))
}

/// Merges changes into a value.
fn merge(base: &mut Value, change: &Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (name, value) in change {
                merge(base.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (base, change) => *base = change.clone(),
    }
}

/// Removes and returns the value at this place.
fn take(value: &mut Value, place: &[&str]) -> Value {
    let Some((last, above)) = place.split_last() else { return Value::Null };
    let inner = above.iter().try_fold(value, |value, name| value.get_mut(*name));
    inner.and_then(Value::as_object_mut).and_then(|object| object.remove(*last)).unwrap_or_default()
}

/// Removes everything that equals the known value.
fn without_same(value: &mut Value, known: &Value) {
    if value == known {
        *value = Value::Null;
    } else if let (Value::Object(value), Value::Object(known)) = (value, known) {
        for (name, value) in value.iter_mut() {
            known.get(name).into_iter().for_each(|known| without_same(value, known));
        }
        value.retain(|_, value| !is_empty(value));
    }
}

fn without_null(value: &mut Value) {
    if let Value::Object(object) = value {
        object.values_mut().for_each(without_null);
        object.retain(|_, value| !value.is_null());
    }
}

fn without_empty(value: &mut Value) {
    if let Value::Object(object) = value {
        object.values_mut().for_each(without_empty);
        object.retain(|_, value| !is_empty(value));
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}
