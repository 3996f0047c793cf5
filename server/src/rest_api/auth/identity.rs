//! Login, logout, token refresh and the current user.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::{get, post};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use epm_protocol::assumption::Assumptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rest_api::auth::admin_store::{Administrator, Role};
use crate::rest_api::auth::tokens::Session;
use crate::rest_api::auth::url_decoder;
use crate::rest_api::http::query_de;
use crate::rest_api::http::{ApiError, Caller, Json, JsonBody, NoContent, Query, RawBody};
use crate::rest_api::state::RestApi;
use crate::runtime::connections::Peer;
use crate::runtime::failed_attempts::{Attempt, TooMany};

/// Credentials of an administrator.
#[derive(Debug, Deserialize, JsonSchema)]
struct UserCredential {
    /// User name.
    username: String,
    /// Password.
    password: String,
    /// Name of the domain; absent or empty for the default domain.
    #[serde(default)]
    domain: Option<String>,
}

/// A token and its user.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct UserToken {
    username: String,
    full_name: String,
    domain: String,
    #[serde(rename = "domainid")]
    domain_id: String,
    /// Access token.
    token: String,
    /// Validity of the token, in seconds.
    token_expiration: u64,
    /// Token to obtain another access token with.
    refresh_token: String,
    /// Validity of the refresh token, in seconds.
    refresh_token_expiration: u64,
    role: Role,
    admin_id: String,
    client_id: String,
    client_secret: String,
    permission_set: PermissionSet,
    banner_title: Option<String>,
    banner_text: Option<String>,
    /// Current time, in milliseconds since 1970.
    server_time: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PermissionSet {
    reporting_rights: bool,
    group_rights: bool,
    site_rights: bool,
    remote_command_rights: bool,
    policy_rights: bool,
}

/// Request for a token refresh.
#[derive(Debug, Deserialize, JsonSchema)]
struct TokenRequest {
    /// Must be `refresh_token`.
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    /// Refresh token that was issued with the token.
    refresh_token: Option<String>,
}

/// A token in OAuth format.
#[derive(Debug, Serialize, JsonSchema)]
struct OAuthToken {
    access_token: String,
    token_type: &'static str,
    refresh_token: String,
    /// Validity of the token, in seconds.
    expires_in: u64,
    /// The value of `expires_in` again, for clients that read this field.
    #[serde(rename = "tokenExpiration")]
    token_expiration: u64,
}

/// OAuth client ID of the API.
const CLIENT_ID: &str = "epm-lab-rest";
/// OAuth client secret of the API; it protects nothing.
const CLIENT_SECRET: &str = "00000000-0000-4000-8000-000000000000";

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    ApiRouter::new()
        .api_route("/sepm/api/v1/identity/authenticate", post(authenticate))
        .api_route("/sepm/api/v1/identity/logout", post(logout))
        .api_route("/sepm/api/v1/sessions/currentuser", get(current_user))
        .api_route("/sepm/oauth/token", post(token).get(token))
}

async fn authenticate(
    State(api): State<Arc<RestApi>>,
    peer: Option<Extension<Peer>>,
    JsonBody(credential): JsonBody<UserCredential>,
) -> Result<Json<UserToken>, ApiError> {
    let assumed = api.assumed();
    let decoded = |text: &str| url_decoder::decode(text, assumed.rest_password_plus_is_space);
    let username = decoded(&credential.username)?;
    let password = decoded(credential.password.trim())?;
    let domain = credential.domain.as_deref().map(decoded).transpose()?;
    api.lets_log_in()?;
    let named = api.database.administrators.named(&username);
    let failed = &api.database.failed_log_ins;
    let attempt = Attempt::of(peer.map(|Extension(peer)| peer.0), named.as_ref().map(|named| named.id));
    if assumed.rest_slows_log_ins {
        failed.turn(attempt).await.map_err(|TooMany { seconds }| {
            let words = format!("Too many failed logon attempts. Try again in {seconds} seconds.");
            ApiError::assumed(StatusCode::TOO_MANY_REQUESTS.as_u16(), words)
        })?;
    }
    let Some(named) = named else {
        failed.failed(attempt);
        return Err(ApiError::Credentials);
    };
    api.lets_try(&named, &assumed)?;
    if !named.password.is(&password) || !is_default_domain(&api, domain.as_deref()) {
        failed.failed(attempt);
        api.database.store.kept().failed_log_in(named.id, api.now());
        return Err(ApiError::Credentials);
    }
    failed.succeeded(attempt);
    api.database.store.kept().failed.remove(&named.id);
    let who = named;
    let session = api.tokens.issue(who, api.lifetimes(), api.restarts(), api.now());
    Ok(Json(api.user_token(&session)))
}

/// Revokes the token in the header, whatever the body says.
async fn logout(State(api): State<Arc<RestApi>>, Caller(session): Caller) -> NoContent {
    api.tokens.end(&session.token, api.restarts());
    NoContent
}

async fn current_user(State(api): State<Arc<RestApi>>, Caller(session): Caller) -> Json<UserToken> {
    Json(api.user_token(&session))
}

async fn token(
    State(api): State<Arc<RestApi>>,
    Query(asked): Query<TokenRequest>,
    RawBody(body): RawBody,
) -> Result<Json<OAuthToken>, ApiError> {
    let form = query_de::read(form_urlencoded::parse(&body).into_owned());
    let form: TokenRequest = form.map_err(|error| ApiError::Invalid(error.to_string()))?;
    let refused =
        |error: &str, words: &str| ApiError::Grant { error: error.to_owned(), description: words.to_owned() };
    match asked.grant_type.or(form.grant_type).as_deref() {
        Some("refresh_token") => {}
        Some(_) => return Err(refused("unsupported_grant_type", "Unsupported grant type")),
        None => return Err(refused("invalid_request", "Missing grant type")),
    }
    let is_ours = |given: Option<String>, ours| given.is_none_or(|given| given == ours);
    if !is_ours(asked.client_id.or(form.client_id), CLIENT_ID)
        || !is_ours(asked.client_secret.or(form.client_secret), CLIENT_SECRET)
    {
        return Err(refused("invalid_client", "Bad client credentials"));
    }
    let refresh_token = asked.refresh_token.or(form.refresh_token);
    let refresh_token = refresh_token.ok_or_else(|| refused("invalid_request", "Missing refresh token"))?;
    let now = api.now();
    let ends = api.assumed().rest_refresh_ends_token;
    let session = api.tokens.refresh(&refresh_token, api.lifetimes(), ends, api.restarts(), now)?;
    let left = session.ends(api.lifetimes()).since(now).as_secs();
    Ok(Json(OAuthToken {
        access_token: session.token.clone(),
        token_type: "bearer",
        refresh_token,
        expires_in: left,
        token_expiration: left,
    }))
}

/// Name of the only domain.
pub(crate) const DOMAIN: &str = "Default";

/// Whether this is the site's domain: absent, its name, or its identifier.
pub(crate) fn is_default_domain(api: &RestApi, domain: Option<&str>) -> bool {
    let domain = domain.unwrap_or_default();
    domain.is_empty()
        || domain.eq_ignore_ascii_case(DOMAIN)
        || domain.eq_ignore_ascii_case(&api.site.read().domain().to_string())
}

impl RestApi {
    /// # Errors
    ///
    /// When the console's key is too long, and the API is assumed to be affected (F14).
    fn lets_log_in(&self) -> Result<(), ApiError> {
        let site = self.site.read();
        let manager = site.managers().find(|one| one.name == self.manager.name);
        let trouble = manager.and_then(|one| one.log_in_trouble(site.assumptions()));
        trouble.map_or(Ok(()), |trouble| Err(ApiError::LogIn(trouble)))
    }

    /// # Errors
    ///
    /// When failed log-ins have locked the account, and they are assumed to.
    fn lets_try(&self, who: &Administrator, assumed: &Assumptions) -> Result<(), ApiError> {
        if assumed.rest_locks_accounts && self.database.store.kept().is_locked(who.id, self.now()) {
            let words = "The account is locked after too many failed logon attempts. Try again later.";
            return Err(ApiError::assumed(assumed.rest_locked_account_status, words));
        }
        Ok(())
    }

    fn user_token(&self, session: &Session) -> UserToken {
        let (now, lasting) = (self.now(), self.lifetimes());
        UserToken {
            username: session.who.login_name.clone(),
            full_name: session.who.full_name.clone(),
            domain: DOMAIN.to_owned(),
            domain_id: self.site.read().domain().to_string(),
            token: session.token.clone(),
            token_expiration: session.ends(lasting).since(now).as_secs(),
            refresh_token: session.refresh_token.clone(),
            refresh_token_expiration: session.refresh_ends(lasting).since(now).as_secs(),
            role: session.who.role,
            admin_id: session.who.id.to_string(),
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            permission_set: PermissionSet {
                reporting_rights: true,
                group_rights: true,
                site_rights: true,
                remote_command_rights: true,
                policy_rights: true,
            },
            banner_title: None,
            banner_text: None,
            server_time: now.as_millis(),
        }
    }
}
