//! `command-queue`: commands to clients, and their results.
//!
//! Targets come in the query or in the body, in any of the formats that real clients send.
//! [`crate::runtime::client_commands`] decides on delivery and results.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::{get, post};
use axum::extract::State;
use epm_protocol::assumption::Assumptions;
use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::heartbeat::{CommandKind, CommandState};
use epm_protocol::id::{AgentId, CommandId, GroupId, HardwareKey};
use epm_protocol::site::{CommandRow, GivenCommand, RegisteredClient, agent_id};
use epm_protocol::sylink::xml::{Document, Element};
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rest_api::auth::identity::DOMAIN;
use crate::rest_api::clients::computer::{LOGON_USER, ip_address, mac_address};
use crate::rest_api::clients::files::{content_of, file_of};
use crate::rest_api::http::{
    ApiError, Id, Json, OptionalJsonBody, Order, Page, Paging, Path, Query, Sort, XmlBody,
};
use crate::rest_api::http::{json_de, query_de};
use crate::rest_api::state::RestApi;

/// Targets of a command. Clients repeat these parameters, join values by commas or spaces, or leave them empty.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Targets {
    /// Computers by `uniqueId`.
    computer_ids: Vec<Id>,
    /// Groups by identifier.
    group_ids: Vec<Id>,
    /// Computers by hardware key, or by MAC address.
    hardware_ids: Vec<HardwareId>,
    /// For a quarantine: whether to end it.
    undo: Option<bool>,
}

/// A computer by its hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HardwareId {
    /// The hardware key.
    Key(Id),
    /// A MAC address.
    Mac([u8; 6]),
}

impl<'de> Deserialize<'de> for HardwareId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits: String = text.trim().chars().filter(|c| !matches!(c, '-' | ':' | '.')).collect();
        match data_encoding::HEXUPPER_PERMISSIVE.decode(digits.as_bytes()).map(<[u8; 6]>::try_from) {
            Ok(Ok(mac)) => Ok(Self::Mac(mac)),
            _ => Id::deserialize(serde::de::value::StringDeserializer::new(text)).map(Self::Key),
        }
    }
}

impl JsonSchema for HardwareId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HardwareId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{2}([-:]?[0-9A-Fa-f]{2}){5})$",
        })
    }
}

/// Files whose reputation clients are to forget.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
struct ReputationEntries {
    /// `MD5`, `SHA1` or `SHA256`, in any case.
    hash_type: Option<String>,
    /// Hashes of the files; all files when absent or empty.
    data: Option<Vec<String>>,
}

/// The file to fetch.
#[derive(Debug, Deserialize, JsonSchema)]
struct FileWanted {
    /// Path of the file.
    file_path: String,
    /// SHA-256 checksum of the file.
    sha256: Option<String>,
    /// SHA-1 checksum of the file.
    sha1: Option<String>,
    /// MD5 checksum of the file.
    md5: Option<String>,
}

/// Identifiers of the issued commands.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct CommandIds {
    /// Identifier of the command to computers.
    #[serde(rename = "commandID_computer", skip_serializing_if = "Option::is_none")]
    computer: Option<String>,
    /// Identifier of the command to groups.
    #[serde(rename = "commandID_group", skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Identifier of the command, for operations that issue only one.
    #[serde(rename = "commandID", skip_serializing_if = "Option::is_none")]
    only: Option<String>,
}

/// Path parameter for a command.
#[derive(Debug, Deserialize, JsonSchema)]
struct CommandPath {
    /// Identifier of the command.
    command_id: Id,
}

/// Sort order of the rows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Sorting {
    /// `ASC` or `DESC`.
    order: Option<String>,
}

/// State of a command for one client.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CommandStatus {
    /// Time of the client's first report on the command; null before.
    begin_time: Option<String>,
    /// Time of the client's last report on the command; null before.
    last_update_time: Option<String>,
    /// Computer name of the client.
    computer_name: String,
    /// IP address of the computer.
    computer_ip: Option<String>,
    /// Name of the domain.
    domain_name: &'static str,
    /// User logged on to the computer.
    current_login_user_name: Option<&'static str>,
    /// 0 initial, 1 received, 2 in progress, 3 completed, 4 rejected, 5 cancelled, 6 error.
    state_id: i64,
    /// -1 unknown, 0 success, 1 not executed.
    sub_state_id: i64,
    /// Description of the sub-state; null before the client's first report.
    sub_state_desc: Option<&'static str>,
    /// Identifier of the file that the client delivered.
    binary_file_id: Option<String>,
    /// Result of the command as XML.
    #[serde(rename = "resultInXML")]
    result_in_xml: Option<String>,
    /// Identifier of the computer.
    computer_id: String,
    /// Hardware key of the computer.
    hardware_key: String,
}

/// Default page size [R].
const USUAL_PAGE: u32 = 20;

macro_rules! commands {
    ($($handler:ident = $kind:ident;)*) => {$(
        async fn $handler(
            State(api): State<Arc<RestApi>>,
            Query(targets): Query<Targets>,
            OptionalJsonBody(body, _): OptionalJsonBody<Targets>,
        ) -> Result<Json<CommandIds>, ApiError> {
            api.command(CommandKind::$kind, "", targets.with_body(&body)?)
        }
    )*};
}

commands! {
    update_content = UpdateContent;
    active_scan = ActiveScan;
    full_scan = FullScan;
    baseline = Baseline;
    restart = Restart;
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    let at = |path| format!("/sepm/api/v1/command-queue/{path}");
    ApiRouter::new()
        .api_route(&at("updatecontent"), post(update_content))
        .api_route(&at("quarantine"), post(quarantine))
        .api_route(&at("activescan"), post(active_scan))
        .api_route(&at("fullscan"), post(full_scan))
        .api_route(&at("baseline"), post(baseline))
        .api_route(&at("restart"), post(restart))
        .api_route(&at("eoc"), post(evidence_scan))
        .api_route(&at("files"), post(files))
        .api_route(&at("ironcache"), post(clear_reputation))
        .api_route(&at("{command_id}"), get(status))
        .api_route(&at("{command_id}/cancel"), post(cancel))
}

async fn quarantine(
    State(api): State<Arc<RestApi>>,
    Query(targets): Query<Targets>,
    OptionalJsonBody(body, _): OptionalJsonBody<Targets>,
) -> Result<Json<CommandIds>, ApiError> {
    let targets = targets.with_body(&body)?;
    let ends = targets.undo == Some(true);
    let kind = if ends { CommandKind::EndQuarantine } else { CommandKind::Quarantine };
    api.command(kind, "", targets)
}

/// The body describes what to search for, as XML, whatever its content type.
async fn evidence_scan(
    State(api): State<Arc<RestApi>>,
    Query(targets): Query<Targets>,
    XmlBody(body): XmlBody,
) -> Result<Json<CommandIds>, ApiError> {
    let wanted = String::from_utf8_lossy(&body);
    // Some clients send the XML as a JSON string.
    let wanted = serde_json::from_slice::<String>(&body).unwrap_or_else(|_| wanted.into_owned());
    if Document::parse(wanted.trim()).is_err() {
        return Err(ApiError::Invalid("The body is not the XML of an evidence of compromise scan.".into()));
    }
    api.command(CommandKind::EvidenceScan, &wanted, targets)
}

/// Makes clients forget what they know of the reputation of files.
async fn clear_reputation(
    State(api): State<Arc<RestApi>>,
    Query(targets): Query<Targets>,
    OptionalJsonBody(body, _): OptionalJsonBody<ReputationEntries>,
) -> Result<Json<CommandIds>, ApiError> {
    let entries: Option<ReputationEntries> = match body.trim_ascii() {
        b"" => None,
        body => json_de::read(body).map_err(|error| ApiError::Invalid(error.to_string()))?,
    };
    let ReputationEntries { hash_type, data } = entries.unwrap_or_default();
    let digits = match hash_type.map(|kind| kind.to_ascii_uppercase().replace('-', "")).as_deref() {
        None => None,
        Some("MD5") => Some(32),
        Some("SHA1") => Some(40),
        Some("SHA256") => Some(64),
        Some(_) => {
            let words = "The hash type is invalid. Expected one of MD5, SHA1, SHA256.";
            return Err(ApiError::Invalid(words.to_owned()));
        }
    };
    for hash in data.iter().flatten() {
        let is_hash = digits.map_or(matches!(hash.len(), 32 | 40 | 64), |digits| hash.len() == digits);
        if !is_hash || !hash.bytes().all(|one| one.is_ascii_hexdigit()) {
            let found: String = hash.chars().take(80).collect();
            return Err(ApiError::Invalid(format!("The hash {found} is not valid.")));
        }
    }
    api.command(CommandKind::ClearReputation, &data.unwrap_or_default().join("\n"), targets)
}

async fn files(
    State(api): State<Arc<RestApi>>,
    Query(wanted): Query<FileWanted>,
    Query(targets): Query<Targets>,
    OptionalJsonBody(body, _): OptionalJsonBody<Targets>,
) -> Result<Json<CommandIds>, ApiError> {
    let FileWanted { file_path, sha256, sha1, md5 } = wanted;
    if file_path.trim().is_empty() {
        return Err(ApiError::Invalid(
            "The parameter file_path is empty; expected the path of a file.".into(),
        ));
    }
    let checksum = sha256.or(sha1).or(md5).unwrap_or_else(|| sha256_hex(content_of(&file_path).as_bytes()));
    let targets = targets.with_body(&body)?;
    let particulars = format!("{checksum}\n{file_path}");
    let Json(ids) = api.command(CommandKind::Files, &particulars, targets)?;
    Ok(Json(CommandIds { only: ids.computer.or(ids.group), ..CommandIds::default() }))
}

async fn status(
    State(api): State<Arc<RestApi>>,
    Path(CommandPath { command_id }): Path<CommandPath>,
    Query(paging): Query<Paging>,
    Query(Sorting { order }): Query<Sorting>,
) -> Result<Json<Page<CommandStatus>>, ApiError> {
    let slice = paging.slice(USUAL_PAGE, &api.assumed())?;
    let given = api.clients.commands.get(CommandId(command_id.0));
    let assumed = api.assumed();
    let mut given = given.ok_or_else(|| ApiError::gone("commands", command_id))?;
    let is_down = order.is_some_and(|order| order.trim().eq_ignore_ascii_case("desc"));
    let order = if is_down { Order::Desc } else { Order::Asc };
    given.rows.sort_by_key(|row| row.begun);
    if is_down {
        given.rows.reverse();
    }
    let rows = given.rows.iter().skip(slice.start()).take(slice.size());
    let content = rows.map(|row| status_of(&given, row, &assumed)).collect();
    Ok(Json(slice.page(content, given.rows.len(), Sort::by("Begintime", order))))
}

async fn cancel(
    State(api): State<Arc<RestApi>>,
    Path(CommandPath { command_id }): Path<CommandPath>,
) -> Result<Json<CommandIds>, ApiError> {
    let cancelled = api.clients.commands.cancel(CommandId(command_id.0), api.now());
    cancelled.ok_or_else(|| ApiError::gone("commands", command_id))?;
    Ok(Json(CommandIds { only: Some(command_id.to_string()), ..CommandIds::default() }))
}

impl Targets {
    /// Adds the targets in the body, which is a form or JSON.
    fn with_body(mut self, body: &[u8]) -> Result<Self, ApiError> {
        let pairs: Vec<(String, String)> = match serde_json::from_slice::<serde_json::Value>(body) {
            Ok(serde_json::Value::Object(fields)) => {
                let listed = |value: serde_json::Value| match value {
                    serde_json::Value::Array(values) => values,
                    one => vec![one],
                };
                let text = |value: &serde_json::Value| match value {
                    serde_json::Value::Null => String::new(),
                    serde_json::Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                let named = |(name, value): (String, serde_json::Value)| {
                    listed(value).iter().map(|value| (name.clone(), text(value))).collect::<Vec<_>>()
                };
                fields.into_iter().flat_map(named).collect()
            }
            Ok(_) => Vec::new(),
            Err(_) => form_urlencoded::parse(body).into_owned().collect(),
        };
        let said: Self = query_de::read(pairs).map_err(|error| ApiError::Invalid(error.to_string()))?;
        self.computer_ids.extend(said.computer_ids);
        self.group_ids.extend(said.group_ids);
        self.hardware_ids.extend(said.hardware_ids);
        self.undo = self.undo.or(said.undo);
        Ok(self)
    }
}

impl RestApi {
    /// Issues a command, one for the computers and one for the groups.
    fn command(
        &self,
        kind: CommandKind,
        particulars: &str,
        targets: Targets,
    ) -> Result<Json<CommandIds>, ApiError> {
        let Targets { computer_ids, group_ids, hardware_ids, .. } = targets;
        if computer_ids.is_empty() && group_ids.is_empty() && hardware_ids.is_empty() {
            let words =
                "The parameters computer_ids and group_ids are empty; expected at least one identifier.";
            return Err(ApiError::Invalid(words.to_owned()));
        }
        let computer = |id: &Id| {
            let client_status = self.clients.status(AgentId(id.0));
            client_status
                .or_else(|| self.clients.status(agent_id(HardwareKey(id.0))))
                .map(|client_status| client_status.client)
        };
        let machine = |id: &HardwareId| match id {
            HardwareId::Key(id) => {
                self.clients.status(agent_id(HardwareKey(id.0))).map(|client_status| client_status.client)
            }
            HardwareId::Mac(mac) => self.client_with(*mac),
        };
        let computers: Vec<RegisteredClient> =
            computer_ids.iter().filter_map(computer).chain(hardware_ids.iter().filter_map(machine)).collect();
        let members = self.members(&group_ids);
        if computers.is_empty()
            && members.is_none()
            && self.site.read().assumptions().unknown_command_targets_are_refused
        {
            return Err(ApiError::Invalid("The parameters name no known computer or group.".to_owned()));
        }
        let give = |clients: &[RegisteredClient]| {
            self.clients.command(kind, particulars, clients, self.now()).to_string()
        };
        Ok(Json(CommandIds {
            computer: (!computers.is_empty()).then(|| give(&computers)),
            group: members.map(|members| give(&members)),
            only: None,
        }))
    }

    /// The client of the computer with this MAC address.
    fn client_with(&self, mac: [u8; 6]) -> Option<RegisteredClient> {
        let wanted = mac.map(|byte| format!("{byte:02X}")).join("-");
        let mut found = None;
        self.clients.each(|status| {
            if mac_address(status.client.hardware_key) == wanted {
                found = Some(status.client.clone());
            }
        });
        found
    }

    /// Clients of these groups; none if the site has none of the groups.
    fn members(&self, groups: &[Id]) -> Option<Vec<RegisteredClient>> {
        let site = self.site.read();
        let below = site.assumptions().group_commands_reach_subgroups;
        let is_named = |id: GroupId| groups.iter().any(|group| group.0 == id.0);
        let named: Vec<&str> =
            site.groups().iter().filter(|(_, group)| is_named(group.id)).map(|(path, _)| path).collect();
        if named.is_empty() {
            return None;
        }
        let is_below = |path: &str| {
            named.iter().any(|top| path.strip_prefix(top).is_some_and(|rest| rest.starts_with('\\')))
        };
        let reached = |(path, group): &(&str, &epm_protocol::site::Group)| {
            is_named(group.id) || below && is_below(path)
        };
        let reached: std::collections::HashSet<GroupId> =
            site.groups().iter().filter(reached).map(|(_, group)| group.id).collect();
        Some(site.clients().filter(|client| reached.contains(&client.group)).cloned().collect())
    }
}

fn status_of(given: &GivenCommand, row: &CommandRow, assumed: &Assumptions) -> CommandStatus {
    let is_told = row.state != CommandState::Initial;
    let has_found = given.command.kind == CommandKind::EvidenceScan && row.state == CommandState::Completed;
    CommandStatus {
        begin_time: row.begun.map(shown),
        last_update_time: row.updated.map(shown),
        computer_name: row.computer_name.clone(),
        computer_ip: Some(ip_address(row.hardware_key)),
        domain_name: DOMAIN,
        current_login_user_name: Some(LOGON_USER),
        state_id: row.state.number(),
        sub_state_id: if is_told { row.state.sub_state() } else { assumed.rest_initial_sub_state },
        sub_state_desc: is_told.then_some(""),
        binary_file_id: file_of(given, row).map(|id| id.to_string()),
        result_in_xml: has_found.then(|| found_nothing(&given.particulars)).flatten(),
        computer_id: row.agent.to_string(),
        hardware_key: row.hardware_key.to_string(),
    }
}

/// Result of an evidence scan on an emulated machine: the search itself, with the result "no match" for every file,
/// in the format of a recorded result. Clients read it once the scan is completed.
fn found_nothing(wanted: &str) -> Option<String> {
    fn note(element: &mut Element) {
        if element.name() == "File" {
            element.push(Element::new("Matched").with("result", "NO_MATCH"));
        }
        element.elements_mut().for_each(note);
    }
    let mut found = Document::parse(wanted.trim()).ok()?.into_root();
    note(&mut found);
    Some(found.to_string())
}

/// A time in the format of a command's rows: `2019-06-06T10:50:35Z` [R].
fn shown(at: Timestamp) -> String {
    at.civil().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_command_is_for_is_read_from_a_form_and_from_json() {
        let (one, two) = ("0A041471".repeat(4), "ac1485d1".repeat(4));
        for body in [
            format!("computer_ids={one},{two}"),
            format!("computer_ids={one}&computer_ids={two}&group_ids=&undo=True"),
            format!("computer_ids=%22{one}%22+%22{two}%22"),
            format!(r#"{{"computer_ids":["{one}","{two}"],"group_ids":null,"undo":true}}"#),
            format!(r#"{{"computer_ids":"{one} {two}"}}"#),
        ] {
            let targets = Targets::default().with_body(body.as_bytes()).unwrap();
            let read: Vec<String> = targets.computer_ids.iter().map(ToString::to_string).collect();
            assert_eq!(read, [one.clone(), two.to_uppercase()], "{body}");
            assert!(targets.group_ids.is_empty());
        }
        for nothing in ["", "{}", "[]", "null", "\u{1}"] {
            assert!(Targets::default().with_body(nothing.as_bytes()).unwrap().computer_ids.is_empty());
        }
        assert!(Targets::default().with_body(b"computer_ids=7").is_err());
    }
}
