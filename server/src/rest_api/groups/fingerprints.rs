//! `policy-objects/fingerprints`: file fingerprint lists, and the groups locked down to them.
//!
//! The two versions differ only in the format of a hash: strings in `v1`, objects with `MD5` and `SHA256` in `v2`.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::{get, put};
use axum::extract::State;
use epm_protocol::id::{GroupId, Guid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rest_api::http::{ApiError, Blank, Id, IdPath, Json, JsonBody, Path, Query};
use crate::rest_api::state::RestApi;
use crate::rest_api::system::store::{
    Fingerprint, FingerprintList, HashType, MOST_FINGERPRINTS, MOST_LISTS, Stored,
};

/// Maximum number of characters in a list's name.
const LONGEST_NAME: usize = 256;
/// Maximum number of characters in a list's description.
const LONGEST_DESCRIPTION: usize = 1024;

/// Selects a list.
#[derive(Debug, Deserialize, JsonSchema)]
struct ByName {
    /// Name of the list.
    name: String,
}

/// Path parameters for a group and a list.
#[derive(Debug, Deserialize, JsonSchema)]
struct LockdownPath {
    /// Identifier of the group.
    #[serde(rename = "groupId")]
    group: Id,
    /// Identifier of the list.
    fingerprint_id: Id,
}

/// A list as sent by a client.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Payload<D> {
    /// Name of the list.
    name: Option<String>,
    /// Description of the list.
    description: Option<String>,
    /// `MD5` or `SHA256`.
    hash_type: Option<String>,
    /// Hashes of the list.
    data: Option<Vec<D>>,
}

/// A fingerprint list.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Shown<D> {
    /// Identifier of the list.
    id: String,
    /// Name of the list.
    name: String,
    /// Description of the list.
    description: Option<String>,
    /// `MD5` or `SHA256`.
    hash_type: &'static str,
    /// Source of the list.
    source: &'static str,
    /// Identifiers of the groups that are locked down to the list.
    group_ids: Vec<String>,
    /// Hashes of the list, in upper case.
    data: Vec<D>,
}

/// The created object.
#[derive(Debug, Serialize, JsonSchema)]
struct Made {
    /// Identifier of the object.
    id: String,
}

/// Hashes of one file.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Hashes {
    /// MD5 hash.
    #[serde(rename = "MD5", skip_serializing_if = "Option::is_none")]
    md5: Option<String>,
    /// SHA-256 hash.
    #[serde(rename = "SHA256", skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// Format of a hash in one version of the API.
trait Form: Sized {
    fn read(self, kind: HashType) -> Fingerprint;
    fn show(of: &Fingerprint) -> Option<Self>;
}

impl Form for String {
    fn read(self, kind: HashType) -> Fingerprint {
        match kind {
            HashType::Md5 => Fingerprint { md5: Some(self), sha256: None },
            HashType::Sha256 => Fingerprint { md5: None, sha256: Some(self) },
        }
    }

    fn show(of: &Fingerprint) -> Option<Self> {
        of.md5.clone().or_else(|| of.sha256.clone())
    }
}

impl Form for Hashes {
    fn read(self, _: HashType) -> Fingerprint {
        Fingerprint { md5: self.md5, sha256: self.sha256 }
    }

    fn show(of: &Fingerprint) -> Option<Self> {
        Some(Self { md5: of.md5.clone(), sha256: of.sha256.clone() })
    }
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    let lists = |version| format!("/sepm/api/{version}/policy-objects/fingerprints");
    let list = |version| format!("/sepm/api/{version}/policy-objects/fingerprints/{{id}}");
    let lockdown = "/sepm/api/v1/groups/{groupId}/system-lockdown/fingerprints/{fingerprint_id}";
    ApiRouter::new()
        .api_route(&lists("v1"), get(by_name::<String>).post(add::<String>))
        .api_route(&lists("v2"), get(by_name::<Hashes>).post(add::<Hashes>))
        .api_route(&list("v1"), get(show::<String>).post(update::<String>).delete(remove))
        .api_route(&list("v2"), get(show::<Hashes>).post(update::<Hashes>).delete(remove))
        .api_route(lockdown, put(lock_down))
}

async fn by_name<D: Form>(
    State(api): State<Arc<RestApi>>,
    Query(ByName { name }): Query<ByName>,
) -> Result<Json<Shown<D>>, ApiError> {
    let kept = api.database.store.kept();
    let found = kept.fingerprints.iter().find(|(_, list)| list.name == name);
    found.map(|(id, list)| Json(shown(*id, list))).ok_or_else(|| gone(&name))
}

async fn show<D: Form>(
    State(api): State<Arc<RestApi>>,
    Path(IdPath { id }): Path<IdPath>,
) -> Result<Json<Shown<D>>, ApiError> {
    let kept = api.database.store.kept();
    kept.fingerprints.get(&id.0).map(|list| Json(shown(id.0, list))).ok_or_else(|| gone(&id))
}

async fn add<D: Form>(
    State(api): State<Arc<RestApi>>,
    JsonBody(payload): JsonBody<Payload<D>>,
) -> Result<Json<Made>, ApiError> {
    let name = payload.name.clone().filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| ApiError::Invalid("The name is empty.".to_owned()))?;
    let hash_type = payload.hash_type()?.unwrap_or(HashType::Md5);
    let list = FingerprintList {
        name,
        description: payload.description.clone(),
        hash_type,
        entries: payload.entries(hash_type)?.unwrap_or_default(),
        groups: Default::default(),
    };
    let mut kept = api.database.store.kept();
    if kept.fingerprints.len() >= MOST_LISTS {
        return Err(ApiError::Invalid(format!("There are already {MOST_LISTS} fingerprint lists.")));
    }
    room(&kept, None, &list)?;
    let id = kept.make("fingerprint list");
    kept.fingerprints.insert(id, list);
    Ok(Json(Made { id: id.to_string() }))
}

/// Absent fields stay as they are.
async fn update<D: Form>(
    State(api): State<Arc<RestApi>>,
    Path(IdPath { id }): Path<IdPath>,
    JsonBody(payload): JsonBody<Payload<D>>,
) -> Result<Blank, ApiError> {
    let mut kept = api.database.store.kept();
    let mut list = kept.fingerprints.get(&id.0).cloned().ok_or_else(|| gone(&id))?;
    list.hash_type = payload.hash_type()?.unwrap_or(list.hash_type);
    if let Some(name) = &payload.name {
        if name.trim().is_empty() {
            return Err(ApiError::Invalid("The name is empty.".to_owned()));
        }
        list.name.clone_from(name);
    }
    if payload.description.is_some() {
        list.description.clone_from(&payload.description);
    }
    let hash_type = list.hash_type;
    if let Some(entries) = payload.entries(hash_type)? {
        list.entries = entries;
    }
    // A taken name is 409 for a new list only.
    room(&kept, Some(id.0), &list).map_err(|refusal| match refusal {
        ApiError::Taken { words, .. } => ApiError::Invalid(words),
        other => other,
    })?;
    kept.fingerprints.insert(id.0, list);
    Ok(Blank)
}

/// 200, because a connector accepts no other status.
async fn remove(
    State(api): State<Arc<RestApi>>,
    Path(IdPath { id }): Path<IdPath>,
) -> Result<Blank, ApiError> {
    let mut kept = api.database.store.kept();
    kept.fingerprints.remove(&id.0).map(|_| Blank).ok_or_else(|| gone(&id))
}

async fn lock_down(
    State(api): State<Arc<RestApi>>,
    Path(LockdownPath { group, fingerprint_id }): Path<LockdownPath>,
) -> Result<Blank, ApiError> {
    let group = GroupId(group.0);
    if !api.site.read().groups().iter().any(|(_, one)| one.id == group) {
        return Err(ApiError::gone("groups", group));
    }
    let assumed = api.assumed();
    let mut kept = api.database.store.kept();
    let list = kept.fingerprints.get_mut(&fingerprint_id.0).ok_or_else(|| gone(&fingerprint_id))?;
    let status = assumed.rest_lockdown_again_status;
    if !list.groups.insert(group) && status != 200 {
        let words = "The group is already locked down to this fingerprint list.";
        return Err(ApiError::assumed(status, words));
    }
    Ok(Blank)
}

impl<D: Form> Payload<D> {
    fn hash_type(&self) -> Result<Option<HashType>, ApiError> {
        match self.hash_type.as_deref().map(|text| text.to_ascii_uppercase().replace('-', "")).as_deref() {
            None => Ok(None),
            Some("MD5") => Ok(Some(HashType::Md5)),
            Some("SHA256") => Ok(Some(HashType::Sha256)),
            Some(_) => Err(ApiError::Invalid("The hash type is invalid; expected MD5 or SHA256.".to_owned())),
        }
    }

    /// The hashes without duplicates, in upper case; none if the field is absent.
    fn entries(self, kind: HashType) -> Result<Option<Vec<Fingerprint>>, ApiError> {
        let checked = |hash: Option<String>, kind: HashType| match hash {
            None => Ok(None),
            Some(hash) => {
                let hash = hash.trim().to_ascii_uppercase();
                // Some clients send an empty hash instead of none.
                if hash.is_empty() {
                    return Ok(None);
                }
                let is_hash = hash.len() == kind.digits() && hash.bytes().all(|one| one.is_ascii_hexdigit());
                let found: String = hash.chars().take(80).collect();
                let words = format!("The hash {found} is not a valid {} hash.", kind.name());
                if is_hash { Ok(Some(hash)) } else { Err(ApiError::Invalid(words)) }
            }
        };
        let read = |one: D| {
            let Fingerprint { md5, sha256 } = one.read(kind);
            if md5.is_none() && sha256.is_none() {
                return Err(ApiError::Invalid("An entry has neither MD5 nor SHA256.".to_owned()));
            }
            let one =
                Fingerprint { md5: checked(md5, HashType::Md5)?, sha256: checked(sha256, HashType::Sha256)? };
            Ok(Some(one).filter(|one| *one != Fingerprint::default()))
        };
        let Some(data) = self.data else { return Ok(None) };
        let mut seen = std::collections::BTreeSet::new();
        let entries = data.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(entries.into_iter().flatten().filter(|one| seen.insert(one.clone())).collect()))
    }
}

/// Fails if the list cannot be stored, in place of another one if given.
fn room(kept: &Stored, place: Option<Guid>, list: &FingerprintList) -> Result<(), ApiError> {
    ApiError::unless_short("name", &list.name, LONGEST_NAME)?;
    ApiError::unless_short(
        "description",
        list.description.as_deref().unwrap_or_default(),
        LONGEST_DESCRIPTION,
    )?;
    let mut others = kept.fingerprints.iter().filter(|(id, _)| Some(**id) != place);
    if let Some((id, _)) = others.find(|(_, one)| one.name == list.name) {
        let words = format!("The fingerprint list {} already exists.", list.name);
        // A client continues with the list that the error names.
        return Err(ApiError::Taken { words, id: Some(id.to_string()) });
    }
    let all: usize = kept.fingerprints.values().map(|list| list.entries.len()).sum();
    if all + list.entries.len() > MOST_FINGERPRINTS {
        return Err(ApiError::Invalid(format!(
            "The lists would have more than {MOST_FINGERPRINTS} fingerprints in total."
        )));
    }
    Ok(())
}

fn shown<D: Form>(id: Guid, list: &FingerprintList) -> Shown<D> {
    Shown {
        id: id.to_string(),
        name: list.name.clone(),
        description: list.description.clone(),
        hash_type: list.hash_type.name(),
        source: "WEBSERVICE",
        group_ids: list.groups.iter().map(ToString::to_string).collect(),
        data: list.entries.iter().filter_map(D::show).collect(),
    }
}

fn gone(id: &impl ToString) -> ApiError {
    ApiError::gone("fingerprint lists", id.to_string())
}
