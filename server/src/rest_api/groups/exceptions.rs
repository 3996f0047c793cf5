//! `policies/exceptions`: exceptions policies in both versions of the API, shown, created and changed.
//!
//! The two versions differ in the names of two lists; the store has those of version 2. A change with `PATCH` adds the
//! entries that it names, replaces those that are there already, and removes those that are marked as deleted, as a
//! public client was seen to use it. `PUT` replaces the whole policy. Values are returned as they were sent: the product
//! answers `[SYSTEM]` and `AllScans`, which are not in its own description.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::{get, post};
use axum::extract::State;
use epm_protocol::id::Guid;
use epm_protocol::site::{Command, Site};
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::rest_api::groups::policies::{DESCRIPTION, EXCEPTIONS, FIRST, in_force, policy_id};
use crate::rest_api::groups::shape;
use crate::rest_api::groups::{policy_names, room};
use crate::rest_api::http::{ApiError, Blank, Created, Id, IdPath, Json, JsonBody, Path};
use crate::rest_api::state::RestApi;
use crate::rest_api::system::store::{ExceptionsPolicy, MOST_OBJECTS, Stored};

/// Maximum size of the configuration of a policy, in bytes of JSON.
const MAX_BYTES: usize = 1024 * 1024;
/// Lists with other names in version 1: there, and in version 2.
const RENAMED: [(&str, &str); 2] =
    [("blacklistrules", "denylistrules"), ("dns_and_host_blacklistrules", "dns_and_host_denylistrules")];

/// An exceptions policy; in a change, absent or null fields stay as they are.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ExceptionsPolicy")]
struct PolicyBody {
    /// Name of the policy.
    #[schemars(length(min = 1, max = 255))]
    name: Option<String>,
    /// Description of the policy.
    #[schemars(length(max = 1024))]
    desc: Option<String>,
    /// Whether the policy is enabled.
    enabled: Option<bool>,
    /// Lists of exceptions by kind.
    configuration: Option<Map<String, Value>>,
    /// Kinds of exceptions that users of the computers may not add.
    lockedoptions: Option<Map<String, Value>>,
    /// Other sources that manage the policy.
    #[serde(skip_deserializing)]
    sources: Vec<String>,
    /// Time of the last change, in milliseconds since 1970.
    lastmodifiedtime: Option<i64>,
}

/// The created policy.
#[derive(Debug, Serialize, JsonSchema)]
struct CreatedPolicy {
    /// Identifier of the policy.
    id: String,
}

/// Version of the API.
trait Version: Send + 'static {
    const IS_FIRST: bool;
}

struct V1;
struct V2;

impl Version for V1 {
    const IS_FIRST: bool = true;
}

impl Version for V2 {
    const IS_FIRST: bool = false;
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    let all = |version| format!("/sepm/api/{version}/policies/exceptions");
    let one = |version| format!("/sepm/api/{version}/policies/exceptions/{{id}}");
    ApiRouter::new()
        .api_route(&all("v1"), post(add::<V1>))
        .api_route(&all("v2"), post(add::<V2>))
        .api_route(&one("v1"), get(show::<V1>).put(replace::<V1>).patch(change::<V1>))
        .api_route(&one("v2"), get(show::<V2>).put(replace::<V2>).patch(change::<V2>))
}

async fn show<V: Version>(
    State(api): State<Arc<RestApi>>,
    Path(IdPath { id }): Path<IdPath>,
) -> Result<Json<PolicyBody>, ApiError> {
    let site = api.site.read();
    let kept = api.database.store.kept();
    let policy = find(&site, &kept, id.0).ok_or_else(|| ApiError::gone("policies", id))?;
    let mut configuration = policy.configuration;
    if V::IS_FIRST {
        rename(&mut configuration, |(first, second)| (second, first));
    }
    Ok(Json(PolicyBody {
        name: Some(policy.name),
        desc: Some(policy.description),
        enabled: Some(policy.enabled),
        configuration: Some(configuration),
        lockedoptions: Some(policy.locked),
        sources: Vec::new(),
        lastmodifiedtime: Some(policy.modified.as_millis()),
    }))
}

/// Clients look the identifier up in the list; whether the product also answers with it is not recorded.
async fn add<V: Version>(
    State(api): State<Arc<RestApi>>,
    JsonBody(body): JsonBody<PolicyBody>,
) -> Result<Created<CreatedPolicy>, ApiError> {
    let missing = || ApiError::Invalid("The body is invalid: the field name is missing.".to_owned());
    let name = body.name.clone().ok_or_else(missing)?;
    let policy = changed::<V>(empty(&name, api.now()), body, Change::Replace)?;
    let site = api.site.read();
    let mut kept = api.database.store.kept();
    if kept.exceptions.len() >= MOST_OBJECTS {
        return Err(ApiError::Invalid(format!("There are already {MOST_OBJECTS} exceptions policies.")));
    }
    is_free(&site, &kept, &policy.name, None)?;
    room::check(&kept, &policy)?;
    let id = kept.make("exceptions policy");
    kept.exceptions.insert(id, policy);
    Ok(Created(CreatedPolicy { id: id.to_string() }))
}

async fn replace<V: Version>(
    State(api): State<Arc<RestApi>>,
    Path(IdPath { id }): Path<IdPath>,
    JsonBody(body): JsonBody<PolicyBody>,
) -> Result<Blank, ApiError> {
    api.set_exceptions::<V>(id, body, Change::Replace)
}

async fn change<V: Version>(
    State(api): State<Arc<RestApi>>,
    Path(IdPath { id }): Path<IdPath>,
    JsonBody(body): JsonBody<PolicyBody>,
) -> Result<Blank, ApiError> {
    api.set_exceptions::<V>(id, body, Change::Merge)
}

/// How a body changes a policy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Replace,
    Merge,
}

impl RestApi {
    fn set_exceptions<V: Version>(&self, id: Id, body: PolicyBody, how: Change) -> Result<Blank, ApiError> {
        let _changing = self.database.store.changing();
        let gone = || ApiError::gone("policies", id);
        let (before, after) = {
            let site = self.site.read();
            let kept = self.database.store.kept();
            let before = find(&site, &kept, id.0).ok_or_else(gone)?;
            let start = match how {
                Change::Merge => before.clone(),
                Change::Replace => {
                    ExceptionsPolicy { description: String::new(), ..empty(&before.name, before.modified) }
                }
            };
            let after = changed::<V>(start, body, how)?;
            is_free(&site, &kept, &after.name, Some(id.0))?;
            room::check(&kept, &after)?;
            (before, after)
        };
        if before == after {
            return Ok(Blank);
        }
        let after = ExceptionsPolicy { modified: self.now(), ..after };
        self.site.decide(|site| {
            let kept = self.database.store.kept();
            let content = Value::Object(after.configuration.clone()).to_string();
            let uses = |group: &epm_protocol::site::Group| {
                let mut locations = group.own.locations.values();
                locations.any(|one| in_force(site, &kept, group.id, one.id, EXCEPTIONS) == Some(id.0))
            };
            let groups = site.groups().iter().filter(|(_, group)| !group.inherits && uses(group));
            let commands = groups.map(|(path, _)| Command::SetPolicy {
                group: path.to_owned(),
                policy: format!("{EXCEPTIONS} {id}"),
                content: content.clone(),
            });
            Ok::<_, ApiError>((commands.collect(), ()))
        })?;
        self.database.store.kept().exceptions.insert(id.0, after);
        Ok(Blank)
    }
}

/// The exceptions policy with this identifier; the first one of a site is not stored until it is changed.
fn find(site: &Site, kept: &Stored, id: Guid) -> Option<ExceptionsPolicy> {
    kept.exceptions.get(&id).cloned().or_else(|| {
        (policy_id(site, FIRST) == id).then(|| ExceptionsPolicy {
            description: DESCRIPTION.to_owned(),
            ..empty(FIRST, kept.founded.unwrap_or(Timestamp::EPOCH))
        })
    })
}

/// A policy without exceptions.
fn empty(name: &str, modified: Timestamp) -> ExceptionsPolicy {
    let configuration = json!({
        "applications": [], "applications_to_monitor": [], "certificates": [], "denylistrules": [],
        "directories": [], "dns_and_host_applications": [], "dns_and_host_denylistrules": [],
        "extension_list": null, "files": [], "knownrisks": [],
        "linux": { "directories": [], "extension_list": null }, "mac": { "files": [] },
        "non_pe_rules": [], "tamper_files": [], "webdomains": [],
    });
    let locked = json!({
        "application": false, "certificate": false, "dnshostfile": false, "domain": false, "extension": false,
        "file": false, "knownrisk": false, "securityrisk": false, "sonar": false,
    });
    let object = |value: Value| if let Value::Object(object) = value { object } else { Map::new() };
    ExceptionsPolicy {
        name: name.to_owned(),
        description: String::new(),
        enabled: true,
        configuration: object(configuration),
        locked: object(locked),
        modified,
    }
}

/// The policy as the body changes it.
fn changed<V: Version>(
    mut policy: ExceptionsPolicy,
    body: PolicyBody,
    how: Change,
) -> Result<ExceptionsPolicy, ApiError> {
    if let Some(name) = body.name {
        policy_names::check(&name)?;
        policy.name = name;
    }
    if let Some(description) = body.desc {
        ApiError::unless_short("desc", &description, 1024)?;
        policy.description = description;
    }
    policy.enabled = body.enabled.unwrap_or(policy.enabled);
    for (name, value) in body.lockedoptions.into_iter().flatten() {
        match (policy.locked.get_mut(&name), value) {
            (Some(_), Value::Null) | (None, _) => {}
            (Some(known), Value::Bool(value)) => *known = Value::Bool(value),
            (Some(_), _) => return Err(wrong(&format!("lockedoptions.{name}"), "true or false")),
        }
    }
    if let Some(mut configuration) = body.configuration {
        shape::check("ExceptionsConfiguration", "configuration.", &configuration)?;
        if V::IS_FIRST {
            rename(&mut configuration, |names| names);
        }
        merge(&mut policy.configuration, configuration, "configuration", how)?;
        let size = Value::Object(policy.configuration.clone()).to_string().len();
        if size > MAX_BYTES {
            return Err(ApiError::Invalid(format!(
                "The configuration would have more than {MAX_BYTES} bytes."
            )));
        }
    }
    Ok(policy)
}

/// Renames lists between the versions of the API.
fn rename(
    configuration: &mut Map<String, Value>,
    way: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    for (from, to) in RENAMED.map(way) {
        if let Some(list) = configuration.remove(from) {
            configuration.insert(to.to_owned(), list);
        }
    }
}

/// Merges lists of entries into the configuration.
fn merge(
    known: &mut Map<String, Value>,
    sent: Map<String, Value>,
    place: &str,
    how: Change,
) -> Result<(), ApiError> {
    for (name, value) in sent {
        let place = format!("{place}.{}", name.chars().take(80).collect::<String>());
        // Unknown names are ignored, as elsewhere.
        let Some(old) = known.get_mut(&name) else { continue };
        match (old, value) {
            (_, Value::Null) => {}
            (Value::Array(old), Value::Array(entries)) => {
                for entry in entries {
                    let Value::Object(entry) = entry else { return Err(wrong(&place, "a list of objects")) };
                    let same = old
                        .iter()
                        .position(|one| one.as_object().is_some_and(|one| identity(one) == identity(&entry)));
                    let is_deleted = entry.get("deleted") == Some(&Value::Bool(true));
                    match (same, is_deleted) {
                        (Some(same), true) => drop(old.remove(same)),
                        (Some(same), false) => old[same] = Value::Object(entry),
                        (None, true) => {}
                        (None, false) => old.push(Value::Object(entry)),
                    }
                }
            }
            (old, Value::Object(object)) if name == "extension_list" => {
                let is_deleted = object.get("deleted") == Some(&Value::Bool(true));
                match (old, is_deleted, how) {
                    (old, true, _) => *old = Value::Null,
                    (Value::Object(old), false, Change::Merge) => old.extend(object),
                    (old, false, _) => *old = Value::Object(object),
                }
            }
            (Value::Object(old), Value::Object(object)) => merge(old, object, &place, how)?,
            (Value::Array(_), _) => return Err(wrong(&place, "a list")),
            (_, _) => return Err(wrong(&place, "an object")),
        }
    }
    Ok(())
}

/// What tells an entry from the others of its list.
fn identity(entry: &Map<String, Value>) -> String {
    let at = |place: &[&str]| {
        let (first, rest) = place.split_first()?;
        let value = rest.iter().try_fold(entry.get(*first)?, |value, name| value.get(name))?;
        value.as_str().map(str::to_lowercase)
    };
    let names: [&[&str]; 8] = [
        &["path"],
        &["directory"],
        &["processfile", "sha2"],
        &["file", "sha2"],
        &["signature_fingerprint", "value"],
        &["threat", "id"],
        &["domain"],
        &["name"],
    ];
    let named = names.into_iter().find_map(at);
    let variable = at(&["pathvariable"]).unwrap_or_default();
    // `NONE` and `[NONE]` are the same.
    let variable = variable.trim_matches(['[', ']']).to_owned();
    named.map_or_else(|| Value::Object(entry.clone()).to_string(), |named| format!("{variable} {named}"))
}

fn is_free(site: &Site, kept: &Stored, name: &str, own: Option<Guid>) -> Result<(), ApiError> {
    let first = policy_id(site, FIRST);
    let is_first_unchanged = !kept.exceptions.contains_key(&first);
    let taken =
        kept.exceptions.iter().find(|(id, one)| Some(**id) != own && one.name == name).map(|(id, _)| *id);
    let taken =
        taken.or_else(|| (is_first_unchanged && own != Some(first) && name == FIRST).then_some(first));
    if taken.is_none() {
        return Ok(());
    }
    let status = site.assumptions().rest_policy_name_taken_status;
    Err(ApiError::assumed(status, format!("The policy {name} already exists.")))
}

fn wrong(place: &str, expected: &str) -> ApiError {
    ApiError::Invalid(format!("The field {place} is invalid. Expected {expected}."))
}
