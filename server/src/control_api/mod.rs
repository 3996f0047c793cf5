//! The control API: what the product has only in its console and its wizards, and what only a lab has.
//!
//! Plain HTTP, JSON under `/v1`, described by `/v1/openapi.json`. No fault and no certificate touches it, so nobody locks
//! himself out. Every mutation names what it makes, says what is in force afterwards, and may be repeated. It decides
//! nothing: [`Lab`] does.

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
pub(crate) use error::DROPPED;
use error::Problem;
use extract::{LabState, Routes, doc};

/// The port of the control API.
pub const DEFAULT_PORT: u16 = 8015;
/// No body is larger than this, packages aside.
const LARGEST: usize = 1024 * 1024;

/// Serves the control API until it is told to stop; then connections are ended. With a token, nobody without it is let in.
pub async fn serve(listener: TcpListener, lab: Arc<Lab>, token: Option<String>, stopping: CancellationToken) {
    serve_plain(listener, router(lab, token.map(Arc::from)), stopping).await;
}

/// What describes the control API.
pub fn openapi() -> OpenApi {
    let mut api = description();
    let _: Router<Arc<Lab>> = describe(&mut api);
    api
}

/// Describes all routes; each may be answered with a problem.
fn describe(api: &mut OpenApi) -> Router<Arc<Lab>> {
    routes().finish_api_with(api, |api| api.default_response::<Problem>())
}

fn description() -> OpenApi {
    OpenApi {
        info: Info {
            title: "epm-lab, the control API".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: Some(
                "What the product has only in its console and its wizards, and what only a lab has. This is a mock.".to_owned(),
            ),
            ..Info::default()
        },
        ..OpenApi::default()
    }
}

fn routes() -> Routes {
    ApiRouter::new()
        .api_route("/v1", get_with(index, doc("index", "What is here")))
        .api_route("/v1/health", get_with(health, doc("health", "Whether the lab is ready")))
        .merge(site::routes())
        .merge(certificates::routes())
        .merge(clock::routes())
        .merge(fleet::routes())
        .merge(faults::routes())
        .merge(journal::routes())
        .merge(packages::routes())
        .merge(verdict::routes())
        .merge(snapshots::routes())
}

fn router(lab: Arc<Lab>, token: Option<Arc<str>>) -> Router {
    let mut api = description();
    let routes: Router<Arc<Lab>> = describe(&mut api);
    let described = serde_json::to_value(&api).unwrap_or_default();
    routes
        .route("/v1/openapi.json", get(move || std::future::ready(Json(described.clone()))))
        .fallback(|| {
            std::future::ready(Problem::unknown("there is nothing at this path; /v1 says what there is"))
        })
        .method_not_allowed_fallback(|| {
            let detail = "this path has other methods; /v1/openapi.json says which";
            std::future::ready(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail))
        })
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(middleware::from_fn(move |request, next| guard(token.clone(), request, next)))
        .with_state(lab)
}

/// Lets in who has the token and is no page of somebody else's, and says of every answer that this is a mock.
async fn guard(token: Option<Arc<str>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer "));
    let is_health = request.uri().path() == "/v1/health";
    let mut response = match token {
        _ if is_of_a_foreign_page(request.headers()) => {
            let detail = "this door answers no page of another origin, and without a token only by an address or localhost";
            Problem::new(StatusCode::FORBIDDEN, "origin", detail).into_response()
        }
        Some(token)
            if !is_health
                && given.is_none_or(|given| is_same(given.as_bytes(), token.as_bytes()).is_err()) =>
        {
            let detail = "this door wants the header Authorization: Bearer TOKEN";
            Problem::new(StatusCode::UNAUTHORIZED, "token", detail).into_response()
        }
        _ => next.run(request).await,
    };
    response.headers_mut().insert("x-epm-lab", HeaderValue::from_static("mock"));
    response
}

/// Whether a browser sends it for a page that does not come from the control API: it names where the page comes from. A name that was
/// made to point here is the other way in; so the control API is asked by an address, or as localhost.
fn is_of_a_foreign_page(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(&header::HOST).unwrap_or_default();
    let foreign =
        text(&header::ORIGIN).is_some_and(|origin| origin.split_once("://").map(|(_, at)| at) != Some(host));
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_plain = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() || name == "localhost";
    foreign || (!is_plain && !headers.contains_key(header::AUTHORIZATION))
}

/// What is here.
#[derive(Debug, Serialize, JsonSchema)]
struct Index {
    /// What this is.
    name: &'static str,
    /// Its version.
    version: &'static str,
    /// What it is, and what it is not.
    about: &'static str,
    /// The site's name.
    site: String,
    /// Where the description of the control API is.
    openapi: &'static str,
    /// The addresses of each manager.
    addresses: Vec<Addresses>,
}

/// Whether the lab is ready.
#[derive(Debug, Serialize, JsonSchema)]
struct Health {
    /// It is, if it answers.
    ready: bool,
    /// The lab's time.
    #[schemars(with = "String")]
    now: Timestamp,
}

async fn index(State(lab): LabState) -> Json<Index> {
    Json(Index {
        name: "epm-lab",
        version: env!("CARGO_PKG_VERSION"),
        about: "a mock of an endpoint protection manager, for tests and labs; it protects nothing",
        site: lab.site.look(|site| site.name().to_owned()),
        openapi: "/v1/openapi.json",
        addresses: lab.site.addresses().to_vec(),
    })
}

async fn health(State(lab): LabState) -> Json<Health> {
    Json(Health { ready: true, now: lab.clock().now() })
}
