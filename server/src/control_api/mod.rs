//! The control API: what the product offers only in its console and wizards, and what only a lab has.
//!
//! Plain HTTP, JSON under `/v1`, described by `/v1/openapi.json`. Faults and certificates never affect it, so it
//! cannot lock users out. Every change names its object, returns the resulting state, and can be repeated. [`Lab`]
//! decides; nothing here does.

mod baselines;
mod certificates;
mod clock;
mod error;
mod extract;
mod faults;
mod fleet;
mod journal;
mod packages;
mod site;
mod snapshots;
mod verdict;
mod view;

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::openapi::{Info, OpenApi};
use aws_lc_rs::constant_time::verify_slices_are_equal as is_same;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use epm_protocol::time::{Clock, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Addresses;
use crate::lab::Lab;
use crate::wire::serve_plain;
pub(crate) use clock::LONGEST_HOLD;
pub(crate) use error::DROPPED;
use error::Problem;
use extract::{LabState, Routes, doc};

/// Default port of the control API.
pub const DEFAULT_PORT: u16 = 8015;
/// Maximum size of a request body, except for packages.
const LARGEST: usize = 1024 * 1024;

/// Serves the control API until it is stopped, then ends its connections. With a token, requests without it are
/// refused.
pub async fn serve(listener: TcpListener, lab: Arc<Lab>, token: Option<String>, stopping: CancellationToken) {
    serve_plain(listener, router(lab, token.map(Arc::from)), stopping).await;
}

/// The OpenAPI document of the control API.
pub fn openapi() -> OpenApi {
    let mut api = description();
    let _: Router<Arc<Lab>> = describe(&mut api);
    api
}

/// Describes all routes; each may respond with a problem.
fn describe(api: &mut OpenApi) -> Router<Arc<Lab>> {
    routes().finish_api_with(api, |api| api.default_response::<Problem>())
}

fn description() -> OpenApi {
    OpenApi {
        info: Info {
            title: "epm-lab control API".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: Some(
                "Controls a running lab: what the product offers only in its console and wizards (certificates, management server lists, groups, packages), and what only a lab has (fleet, clock, faults, journal, verdict). This is a mock.".to_owned(),
            ),
            ..Info::default()
        },
        ..OpenApi::default()
    }
}

fn routes() -> Routes {
    ApiRouter::new()
        .api_route("/v1", get_with(index, doc("index", "Show name, version and addresses of the lab")))
        .api_route("/v1/health", get_with(health, doc("health", "Show whether the lab is ready")))
        .merge(site::routes())
        .merge(certificates::routes())
        .merge(clock::routes())
        .merge(fleet::routes())
        .merge(faults::routes())
        .merge(journal::routes())
        .merge(packages::routes())
        .merge(verdict::routes())
        .merge(snapshots::routes())
        .merge(baselines::routes())
}

fn router(lab: Arc<Lab>, token: Option<Arc<str>>) -> Router {
    let mut api = description();
    let routes: Router<Arc<Lab>> = describe(&mut api);
    let described = serde_json::to_value(&api).unwrap_or_default();
    routes
        .route("/v1/openapi.json", get(move || std::future::ready(Json(described.clone()))))
        .fallback(|| {
            std::future::ready(Problem::unknown("unknown path: /v1/openapi.json describes every path"))
        })
        .method_not_allowed_fallback(|| {
            let detail = "method not allowed for this path: /v1/openapi.json describes its methods";
            std::future::ready(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail))
        })
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(middleware::from_fn(move |request, next| guard(token.clone(), request, next)))
        .with_state(lab)
}

/// Refuses requests without the token or from a foreign web page, and marks every response as a mock's.
async fn guard(token: Option<Arc<str>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer "));
    let is_health = request.uri().path() == "/v1/health";
    let mut response = match token {
        _ if is_of_a_foreign_page(request.headers()) => {
            let detail = "request refused: without a token, the control API answers only at an IP address or localhost, and never to web pages of another origin";
            Problem::new(StatusCode::FORBIDDEN, "origin", detail).into_response()
        }
        Some(token)
            if !is_health
                && given.is_none_or(|given| is_same(given.as_bytes(), token.as_bytes()).is_err()) =>
        {
            let detail = "missing or wrong token: expected the header `Authorization: Bearer TOKEN`";
            Problem::new(StatusCode::UNAUTHORIZED, "token", detail).into_response()
        }
        _ => next.run(request).await,
    };
    response.headers_mut().insert("x-epm-lab", HeaderValue::from_static("mock"));
    response
}

/// Whether a browser sends the request for a page of another origin: either its `Origin` differs, or its host is a
/// name, which DNS rebinding could make point here. Only addresses and localhost are accepted.
fn is_of_a_foreign_page(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(&header::HOST).unwrap_or_default();
    let foreign =
        text(&header::ORIGIN).is_some_and(|origin| origin.split_once("://").map(|(_, at)| at) != Some(host));
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_plain = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() || name == "localhost";
    foreign || (!is_plain && !headers.contains_key(header::AUTHORIZATION))
}

/// Name, version and addresses of the lab.
#[derive(Debug, Serialize, JsonSchema)]
struct Index {
    /// Name of the program.
    name: &'static str,
    /// Version of the program.
    version: &'static str,
    /// What the program is, and what it is not.
    about: &'static str,
    /// Name of the site.
    site: String,
    /// Path of the OpenAPI document.
    openapi: &'static str,
    /// Addresses of each manager.
    addresses: Vec<Addresses>,
}

/// Readiness of the lab.
#[derive(Debug, Serialize, JsonSchema)]
struct Health {
    /// Whether the lab is ready; always true in a response.
    ready: bool,
    /// Lab time.
    #[schemars(with = "String")]
    now: Timestamp,
}

async fn index(State(lab): LabState) -> Json<Index> {
    Json(Index {
        name: "epm-lab",
        version: env!("CARGO_PKG_VERSION"),
        about: "a mock of an endpoint protection manager for tests and labs; it protects nothing",
        site: lab.site.look(|site| site.name().to_owned()),
        openapi: "/v1/openapi.json",
        addresses: lab.site.addresses().to_vec(),
    })
}

async fn health(State(lab): LabState) -> Json<Health> {
    Json(Health { ready: true, now: lab.clock().now() })
}
