//! Checks that every request passes before it reaches a handler.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use epm_client_agent::wire::Stopwatch;
use epm_protocol::assumption::{Assumptions, UnknownObjects};
use epm_protocol::heartbeat::http::MOCK_HEADER;
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use crate::rest_api::auth::tokens::{self, Session};
use crate::rest_api::http::error::{ApiError, Gone};
use crate::rest_api::http::extract::{MAX_BODY, PATIENCE, read_body};
use crate::rest_api::http::operations::{Known, known};
use crate::rest_api::http::{normalize_path, unknown_objects};
use crate::rest_api::state::RestApi;
use crate::runtime::connections::Peer;
use crate::runtime::journal::Call;
use crate::runtime::redact;
use crate::runtime::transfer::{KeptBody, KeptResponse, Transfer};

/// Path of the OpenAPI document, which the vendor does not have.
pub(crate) const OPENAPI_PATH: &str = "/sepm/api/v1/openapi.json";
/// Paths that need no token.
const PUBLIC: &[&str] =
    &["/sepm/api/v1/identity/authenticate", "/sepm/api/v1/version", "/sepm/oauth/token", OPENAPI_PATH];
/// Paths to which credentials are sent.
const LOG_INS: &[&str] = &["/sepm/api/v1/identity/authenticate", "/sepm/oauth/token"];
/// Maximum size of a body without a token.
const MAX_PUBLIC_BODY: usize = 64 * 1024;
/// Number of bytes of an oversized body that are read, so that its sender receives the response.
const DRAINED: usize = 4 * MAX_BODY;

/// Number of bytes above which a body is not read as a whole for the journal.
const LONG: usize = 64 * 1024;

/// Adds the checks in front of the routes.
pub(crate) fn before(routes: Router<Arc<RestApi>>, api: &Arc<RestApi>) -> Router {
    // A request that passes the checks is for an operation of the vendor.
    let not_served = || async { ApiError::NotServed };
    let served =
        routes.fallback(not_served).method_not_allowed_fallback(not_served).with_state(Arc::clone(api));
    // Routing happens after the checks, which may have removed slashes from the path.
    Router::new().fallback_service(served).layer(from_fn_with_state(Arc::clone(api), pass))
}

/// Checks a request, and records it in the journal.
async fn pass(State(api): State<Arc<RestApi>>, mut request: Request, next: Next) -> Response {
    let (method, asked) = (request.method().clone(), request.uri().path().to_owned());
    let watch = Stopwatch::start();
    let (mut transfer, mut sent) = (Transfer::seen(&request, api.now()), Bytes::new());
    let assumed = api.assumed();
    let is_refused = assumed.rest_double_slash_is_refused && asked.contains("//");
    if assumed.rest_slashes_do_not_count
        && !is_refused
        && let Some(plain) = normalize_path::without(request.uri())
    {
        *request.uri_mut() = plain;
    }
    let path = request.uri().path().to_owned();
    let read = redact::uri(request.uri()).to_string();
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let token = bearer(&request).map(str::to_owned);
    let mut who = None;
    let admitted = match is_refused {
        true => Err(ApiError::Rejected),
        false => admit(&api, &assumed, &method, &path, &request),
    };
    let mut response = match admitted {
        Ok(session) => {
            if let Some(session) = session {
                who = Some(session.who.login_name.clone());
                request.extensions_mut().insert(session);
            }
            // An unread body would cost the connection.
            let (head, body) = request.into_parts();
            let most = if is_public(&path) { MAX_PUBLIC_BODY } else { MAX_BODY };
            match read_body(body, most).await {
                Ok(body) => {
                    sent = body.clone();
                    next.run(Request::from_parts(head, Body::from(body))).await
                }
                Err(refusal) => refusal.into_response(),
            }
        }
        Err(refusal) => {
            let _ = timeout(PATIENCE, drain(request.into_body())).await;
            refusal.into_response()
        }
    };
    if assumed.rest_unknown_objects == UnknownObjects::AsDescribed
        && let Some(Gone(words)) = response.extensions_mut().remove()
    {
        let status = unknown_objects::status(&method, &path);
        if status != response.status() {
            response = ApiError::assumed(status.as_u16(), words).into_response();
        }
    }
    let name = HeaderName::from_static(MOCK_HEADER.0);
    response.headers_mut().insert(name, HeaderValue::from_static(MOCK_HEADER.1));
    let (mut head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    transfer.took = watch.elapsed();
    transfer.request_body = kept(&sent);
    if LOG_INS.contains(&path.as_str()) && !head.status.is_success() {
        let is_known = |name: &str| {
            let name = percent_decode_str(name).decode_utf8_lossy();
            api.database.administrators.named(&name).is_some()
        };
        transfer.request_body.bytes = redact::user_name(&transfer.request_body.bytes, is_known);
    }
    let mut headers = head.headers.clone();
    redact::headers(&mut headers);
    let shown = redact::repeated(&body, token.as_deref());
    transfer.response = Some(KeptResponse { headers, body: kept(&shown) });
    let is_of_computers = path.split('/').any(|part| part == "computers");
    if method == Method::GET && head.status == StatusCode::OK && is_of_computers {
        api.site.clients_read(&read);
    }
    api.journal.call(Call {
        at: api.now(),
        manager: api.manager.number,
        peer,
        method: method.to_string(),
        path: redact::address(&asked),
        status: head.status.as_u16(),
        who,
        transfer: Arc::new(transfer),
    });
    head.extensions.clear();
    Response::from_parts(head, Body::from(body))
}

/// The beginning of a body, without passwords and tokens, and the length of the body as it was sent.
fn kept(body: &Bytes) -> KeptBody {
    let (length, is_long) = (body.len(), body.len() > LONG);
    // Of a long body only what is kept is looked at.
    let redacted = redact::body(&if is_long { KeptBody::received(body).bytes } else { body.clone() });
    let kept = KeptBody::received(&redacted);
    KeptBody { length, is_cut: kept.is_cut || is_long, ..kept }
}

/// The session of the caller, for operations that need one.
fn admit(
    api: &RestApi,
    assumed: &Assumptions,
    method: &Method,
    path: &str,
    request: &Request,
) -> Result<Option<Arc<Session>>, ApiError> {
    let known = if path == OPENAPI_PATH { Known::Operation } else { known(method, path) };
    if known == Known::Nothing {
        return Err(ApiError::NoPath);
    }
    let now = api.now();
    api.throttle.count(assumed, now)?;
    if request.body().size_hint().lower() > MAX_BODY as u64 {
        return Err(ApiError::TooLarge { most: MAX_BODY });
    }
    let session = match bearer(request) {
        _ if is_public(path) => None,
        Some(token) => Some(api.tokens.find(token, api.lifetimes(), api.restarts(), now)?),
        None => return Err(tokens::none(&assumed.rest_no_token_error)),
    };
    if known == Known::Path {
        let words = format!("The method {method} is not allowed here.");
        return Err(ApiError::assumed(assumed.rest_wrong_method_status, words));
    }
    Ok(session)
}

/// The bearer token in the header.
fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Reads the rest of a body up to a limit, since a sender does not read the response while sending.
async fn drain(mut body: Body) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, |data| data.len());
        if read > DRAINED {
            break;
        }
    }
}

/// Whether a path needs no token.
pub(crate) fn is_public(path: &str) -> bool {
    PUBLIC.contains(&path)
}
