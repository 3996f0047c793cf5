//! `admin-users`: administrators, listed, added and changed. Passwords are never returned.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use axum::extract::State;
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
    /// Identifier of the administrator.
    id: String,
    /// User name for logging in.
    login_name: String,
    /// Display name.
    full_name: String,
    /// E-mail address.
    email: String,
    /// 1 for a system administrator, 2 for a domain administrator, 3 for a limited one.
    admin_type: i32,
    /// 0 for a password, 1 for RSA SecurID, 2 for a directory.
    authentication_method: i32,
    /// Name of the company.
    company_name: &'static str,
    /// Whether the administrator may log in.
    enabled: bool,
    /// Number of failed logins before the account is locked.
    attempt_threshold: String,
    /// Duration of a lock, in minutes.
    lock_time_threshold: i32,
    /// Whether failed logins lock the account.
    lock_account: bool,
    /// Whether the account is locked now.
    lock_status: bool,
    /// Whether the administrator is notified of a lock.
    notify_admin_of_locked_state: bool,
    /// Number of failed logins since the last successful one.
    failed_login_count: i32,
    /// Creation time, in milliseconds since 1970.
    creation_time: Option<i64>,
    /// Time of the last login, in milliseconds since 1970.
    last_login_time: Option<i64>,
    /// Address of the last login.
    #[serde(rename = "lastLogonIP")]
    last_logon_ip: Option<String>,
    /// Time of the last password change, in milliseconds since 1970.
    last_password_changed: Option<i64>,
    /// Days until the password expires; -1 for never.
    password_expires_in: i32,
    /// Whether the administrator is logged in now.
    online_status: bool,
}

/// Maximum number of characters in an administrator's texts.
const LONGEST_TEXT: usize = 256;

/// Changes of an administrator; absent fields stay as they are.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
struct AdminEntry {
    /// E-mail address.
    email_address: Option<String>,
    /// Display name.
    full_name: Option<String>,
    /// Whether failed logins lock the account.
    lock_account: Option<bool>,
    /// Duration of a lock, in minutes.
    lock_time_threshold: Option<i32>,
    /// Number of failed logins before the account is locked.
    login_attempt_threshold: Option<i32>,
    /// Whether the administrator is notified of a lock.
    notify_admin_of_locked_state: Option<bool>,
}

/// A new administrator.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AddAdminEntry {
    /// User name for logging in.
    login_name: String,
    /// Password for logging in.
    password: String,
    /// 1 for a system administrator, 2 for a domain administrator, 3 for a limited one.
    admin_type: Option<i32>,
    /// 0 for a password, 1 for RSA SecurID, 2 for a directory; 0 when absent.
    authentication_method: Option<i32>,
    /// Other settings.
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
    let AddAdminEntry { login_name, password, admin_type, authentication_method, entry } = sent;
    let is_bad = |c: char| c.is_whitespace() || "\"\\/[]:;|=,+*?<>".contains(c);
    if !(1..=64).contains(&login_name.chars().count()) || login_name.contains(is_bad) {
        let words =
            "The field loginName must have 1 to 64 characters, no spaces, and none of \"\\/[]:;|=,+*?<>.";
        return Err(ApiError::Invalid(words.to_owned()));
    }
    if !(8..=1024).contains(&password.chars().count()) {
        return Err(ApiError::Invalid("The field password must have 8 to 1024 characters.".to_owned()));
    }
    let assumed = api.assumed();
    let wrong = |words: &str| ApiError::Invalid(words.to_owned());
    let role = Role::of_type(admin_type.unwrap_or(1));
    let role = role.ok_or_else(|| wrong("The administrator type is invalid; expected 1, 2 or 3."))?;
    let authentication_method = authentication_method.unwrap_or(0);
    if !(0..=2).contains(&authentication_method) {
        return Err(wrong("The authentication method is invalid; expected 0, 1 or 2."));
    }
    let lock = entry.lock(Lock::default())?;
    let id = api.database.store.kept().make("administrator");
    let administrator = Administrator {
        id,
        full_name: entry.full_name.unwrap_or_default(),
        email: entry.email_address.unwrap_or_default(),
        role,
        password: Password::new(&password),
        authentication_method,
        login_name,
    };
    let administrator = Arc::new(administrator);
    api.database.administrators.change(|all| {
        if all.len() >= MOST_ADMINISTRATORS {
            return Err(ApiError::Invalid(format!(
                "There are already {MOST_ADMINISTRATORS} administrators."
            )));
        }
        if all.iter().any(|one| one.login_name == administrator.login_name) {
            let words = format!("The administrator {} already exists.", administrator.login_name);
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
    // Some clients send no body.
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
        full_name: Some(changed.full_name.clone()).filter(|name| !name.is_empty()),
        lock_account: Some(lock.locks),
        lock_time_threshold: Some(lock.minutes),
        login_attempt_threshold: Some(lock.attempts),
        notify_admin_of_locked_state: Some(lock.notifies),
    }))
}

impl AdminEntry {
    /// The account's lock with these changes; checks the texts too.
    fn lock(&self, before: Lock) -> Result<Lock, ApiError> {
        for (field, text) in [("emailAddress", &self.email_address), ("fullName", &self.full_name)] {
            ApiError::unless_short(field, text.as_deref().unwrap_or_default(), LONGEST_TEXT)?;
        }
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
            let words = "The field fullName must have at most 50 characters, and none of \"%<>&/.";
            return Err(ApiError::Invalid(words.to_owned()));
        }
        Ok(lock)
    }
}

impl RestApi {
    fn summary(&self, one: &Administrator) -> AdminSummary {
        let locks_accounts = self.assumed().rest_locks_accounts;
        let kept = self.database.store.kept();
        let lock = kept.locks.get(&one.id).copied().unwrap_or_default();
        let failed = kept.failed.get(&one.id).map_or(0, |failed| failed.count);
        AdminSummary {
            id: one.id.to_string(),
            login_name: one.login_name.clone(),
            full_name: one.full_name.clone(),
            email: one.email.clone(),
            admin_type: one.role.admin_type(),
            authentication_method: one.authentication_method,
            company_name: "",
            enabled: true,
            attempt_threshold: lock.attempts.to_string(),
            lock_time_threshold: lock.minutes,
            lock_account: lock.locks,
            lock_status: locks_accounts && kept.is_locked(one.id, self.now()),
            notify_admin_of_locked_state: lock.notifies,
            failed_login_count: failed,
            creation_time: None,
            last_login_time: None,
            last_logon_ip: None,
            last_password_changed: None,
            password_expires_in: -1,
            online_status: false,
        }
    }
}
