//! `admin-users`: who may ask, shown, added and changed. No password is ever shown.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use axum::extract::State;
use epm_protocol::assumption::Assumptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rest_api::auth::admin_store::{Administrator, Password, Role};
use crate::rest_api::http::json_de;
use crate::rest_api::http::{ApiError, IdPath, Json, JsonBody, OptionalJsonBody, Path};
use crate::rest_api::state::RestApi;
use crate::rest_api::system::store::{Lock, MOST_ADMINISTRATORS};

/// An administrator.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AdminSummary {
    /// Which.
    id: String,
    /// What he logs in with.
    login_name: String,
    /// What he is called.
    full_name: String,
    /// Where he gets mail.
    email: String,
    /// 1 for a system administrator, 2 for one of a domain, 3 for a limited one.
    admin_type: i32,
    /// 0: a password.
    authentication_method: i32,
    /// His company.
    company_name: &'static str,
    /// Whether he may log in.
    enabled: bool,
    /// After how many wrong passwords he is locked out.
    attempt_threshold: String,
    /// For how many minutes.
    lock_time_threshold: i32,
    /// Whether he is at all.
    lock_account: bool,
    /// Whether he is now.
    lock_status: bool,
    /// Whether he is told.
    notify_admin_of_locked_state: bool,
    /// Wrong passwords since the last right one.
    failed_login_count: i32,
    /// When he was made, in milliseconds.
    creation_time: Option<i64>,
    /// When he logged in last.
    last_login_time: Option<i64>,
    /// From where.
    #[serde(rename = "lastLogonIP")]
    last_logon_ip: Option<String>,
    /// When his password was changed.
    last_password_changed: Option<i64>,
    /// In how many days it ends; -1 for never.
    password_expires_in: i32,
    /// Whether he is there now.
    online_status: bool,
}

/// What can be changed of an administrator; what is absent stays.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
struct AdminEntry {
    /// Where he gets mail.
    email_address: Option<String>,
    /// What he is called.
    full_name: Option<String>,
    /// Whether wrong passwords lock him out.
    lock_account: Option<bool>,
    /// For how many minutes.
    lock_time_threshold: Option<i32>,
    /// After how many.
    login_attempt_threshold: Option<i32>,
    /// Whether he is told.
    notify_admin_of_locked_state: Option<bool>,
}

/// A new administrator.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AddAdminEntry {
    /// What he logs in with.
    login_name: String,
    /// With which password.
    password: String,
    /// 1 for a system administrator, 2 for one of a domain, 3 for a limited one.
    admin_type: Option<i32>,
    /// The rest.
    #[serde(flatten)]
    entry: AdminEntry,
}

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    ApiRouter::new()
        .api_route("/sepm/api/v1/admin-users", get(all).post(add))
        .api_route("/sepm/api/v1/admin-users/{id}", get(one).put(change))
}

async fn all(State(api): State<Arc<RestApi>>) -> Json<Vec<AdminSummary>> {
    Json(api.database.administrators.all().iter().map(|one| api.summary(one)).collect())
}

async fn one(
    State(api): State<Arc<RestApi>>,
    Path(IdPath { id }): Path<IdPath>,
) -> Result<Json<AdminSummary>, ApiError> {
    let all = api.database.administrators.all();
    let found = all.iter().find(|one| one.id == id.0);
    found.map(|one| Json(api.summary(one))).ok_or_else(|| ApiError::gone("administrators", id))
}

async fn add(
    State(api): State<Arc<RestApi>>,
    JsonBody(sent): JsonBody<AddAdminEntry>,
) -> Result<Json<AdminSummary>, ApiError> {
    let AddAdminEntry { login_name, password, admin_type, entry } = sent;
    let is_bad = |c: char| c.is_whitespace() || "\"\\/[]:;|=,+*?<>".contains(c);
    if !(1..=64).contains(&login_name.chars().count()) || login_name.contains(is_bad) {
        let words = "The field loginName has 1 to 64 characters, no blanks, and none of \"\\/[]:;|=,+*?<>.";
        return Err(ApiError::Invalid(words.to_owned()));
    }
    if !(8..=1024).contains(&password.chars().count()) {
        return Err(ApiError::Invalid("The field password has 8 to 1024 characters.".to_owned()));
    }
    let assumed = api.assumed();
    let types = types(&assumed);
    let wrong = || {
        let known = types.map(|(number, _)| number.to_string()).join(", ");
        ApiError::Invalid(format!("The administrator type is invalid; expected one of {known}."))
    };
    let admin_type = admin_type.unwrap_or(assumed.rest_system_administrator_type);
    let role = types.into_iter().find(|(number, _)| *number == admin_type);
    let role = role.and_then(|(_, mask)| Role::of(mask)).ok_or_else(wrong)?;
    let lock = entry.lock(Lock::default())?;
    let id = api.database.store.kept().make("administrator");
    let administrator = Administrator {
        id,
        full_name: entry.full_name.unwrap_or_default(),
        email: entry.email_address.unwrap_or_default(),
        role,
        password: Password::new(&password),
        login_name,
    };
    let administrator = Arc::new(administrator);
    api.database.administrators.change(|all| {
        if all.len() >= MOST_ADMINISTRATORS {
            return Err(ApiError::Invalid(format!(
                "There are {MOST_ADMINISTRATORS} administrators already."
            )));
        }
        if all.iter().any(|one| one.login_name == administrator.login_name) {
            let words = format!("The administrator {:?} is there already.", administrator.login_name);
            return Err(ApiError::assumed(assumed.rest_administrator_taken_status, words));
        }
        all.push(Arc::clone(&administrator));
        Ok(())
    })?;
    api.database.store.kept().locks.insert(id, lock);
    Ok(Json(api.summary(&administrator)))
}

async fn change(
    State(api): State<Arc<RestApi>>,
    Path(IdPath { id }): Path<IdPath>,
    OptionalJsonBody(body, _): OptionalJsonBody<AdminEntry>,
) -> Result<Json<AdminEntry>, ApiError> {
    // A client sends no body at all.
    let entry: Option<AdminEntry> = match body.trim_ascii() {
        b"" => None,
        body => json_de::read(body).map_err(|error| ApiError::Invalid(error.to_string()))?,
    };
    let entry = entry.unwrap_or_default();
    let before = api.database.store.kept().locks.get(&id.0).copied().unwrap_or_default();
    let lock = entry.lock(before)?;
    let changed = api.database.administrators.change(|all| {
        let one = all.iter_mut().find(|one| one.id == id.0)?;
        let administrator = Arc::make_mut(one);
        if let Some(full_name) = entry.full_name {
            administrator.full_name = full_name;
        }
        if let Some(email) = entry.email_address {
            administrator.email = email;
        }
        Some(Arc::clone(one))
    });
    let changed = changed.ok_or_else(|| ApiError::gone("administrators", id))?;
    api.database.store.kept().locks.insert(id.0, lock);
    Ok(Json(AdminEntry {
        email_address: Some(changed.email.clone()),
        full_name: Some(changed.full_name.clone()),
        lock_account: Some(lock.locks),
        lock_time_threshold: Some(lock.minutes),
        login_attempt_threshold: Some(lock.attempts),
        notify_admin_of_locked_state: Some(lock.notifies),
    }))
}

/// The numbers of the kinds of administrators, and the masks of their roles.
fn types(assumed: &Assumptions) -> [(i32, u32); 3] {
    [
        (assumed.rest_system_administrator_type, 8),
        (assumed.rest_domain_administrator_type, 4),
        (assumed.rest_limited_administrator_type, 2),
    ]
}

impl AdminEntry {
    fn lock(&self, before: Lock) -> Result<Lock, ApiError> {
        let lock = Lock {
            attempts: self.login_attempt_threshold.unwrap_or(before.attempts),
            minutes: self.lock_time_threshold.unwrap_or(before.minutes),
            locks: self.lock_account.unwrap_or(before.locks),
            notifies: self.notify_admin_of_locked_state.unwrap_or(before.notifies),
        };
        let within = |name: &str, value: i32, most: i32| match value {
            value if (1..=most).contains(&value) => Ok(()),
            value => Err(ApiError::Invalid(format!("The field {name} is {value}; expected 1 to {most}."))),
        };
        within("loginAttemptThreshold", lock.attempts, 10)?;
        within("lockTimeThreshold", lock.minutes, 60)?;
        let is_bad = |c: char| c.is_control() || "\"%<>&/".contains(c);
        let name = self.full_name.as_deref().unwrap_or_default();
        if name.chars().count() > 50 || name.contains(is_bad) {
            let words = "The field fullName has at most 50 characters, and none of \"%<>&/.";
            return Err(ApiError::Invalid(words.to_owned()));
        }
        Ok(lock)
    }
}

impl RestApi {
    fn summary(&self, one: &Administrator) -> AdminSummary {
        let lock = self.database.store.kept().locks.get(&one.id).copied().unwrap_or_default();
        let types = types(&self.assumed());
        let admin_type = types.into_iter().find(|(_, mask)| *mask == one.role.bit_mask);
        let admin_type = admin_type.map_or(0, |(number, _)| number);
        AdminSummary {
            id: one.id.to_string(),
            login_name: one.login_name.clone(),
            full_name: one.full_name.clone(),
            email: one.email.clone(),
            admin_type,
            authentication_method: 0,
            company_name: "",
            enabled: true,
            attempt_threshold: lock.attempts.to_string(),
            lock_time_threshold: lock.minutes,
            lock_account: lock.locks,
            lock_status: false,
            notify_admin_of_locked_state: lock.notifies,
            failed_login_count: 0,
            creation_time: None,
            last_login_time: None,
            last_logon_ip: None,
            last_password_changed: None,
            password_expires_in: -1,
            online_status: false,
        }
    }
}
