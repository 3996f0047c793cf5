//! The control API: what the product offers only in its console and wizards, and what only a lab has.
//!
//! Plain HTTP, JSON under `/v1`, described by `/v1/openapi.json`. Faults and certificates never affect it, so it
//! cannot lock users out. Every change names its object, returns the resulting state, and can be repeated. [`Lab`]
//! decides; nothing here does. Other paths are those of the lab's page, whose views are in `crate::page`.

mod answers;
mod baselines;
mod board;
mod call_limits;
mod certificates;
mod client_log;
mod client_query;
mod clock;
mod error;
mod evidence;
pub(crate) mod extract;
mod faults;
mod fleet;
mod guard;
mod har;
mod journal;
mod journal_entry;
mod kept;
mod metrics;
mod metrics_text;
mod packages;
mod page;
mod recording;
mod reports;
mod scope;
mod session;
mod several_processes;
mod site;
mod snapshot_changes;
mod snapshots;
mod verdict;
mod view;
mod words;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::openapi::{Info, OpenApi};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{get, post};
use axum::{Json, Router};
use epm_protocol::time::{Clock, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::lab::Lab;
use crate::page::LARGEST_COMPARED;
use crate::schema::name_tuples;
use crate::wire::serve_plain;
use crate::{Addresses, Service};
use board::Board;
use call_limits::{CallLimits, limit};
pub(crate) use clock::{LONGEST_HOLD, lab_time};
pub(crate) use error::DROPPED;
use error::Problem;
use extract::{LabState, Routes, doc};
pub(crate) use guard::MARK;
use guard::guard;
pub use guard::{Access, InvalidHost};
use kept::keep;
use page::Pages;
use scope::COMPARE;
pub(crate) use scope::Scope;
use several_processes::refuse;

/// Default port of the control API.
pub const DEFAULT_PORT: u16 = 8015;
/// Maximum size of a request body, except for packages and files to compare.
const LARGEST: usize = 1024 * 1024;

/// Serves the control API until it is stopped, then ends its connections. `access` is the token that requests need, if
/// any, or an [`Access`] with several.
pub async fn serve(
    listener: TcpListener,
    lab: Arc<Lab>,
    access: impl Into<Access>,
    stopping: CancellationToken,
) {
    let board = Board::new(Arc::clone(&lab));
    tokio::spawn(Arc::clone(&board).watch(stopping.clone()));
    serve_plain(listener, pages(lab, access.into(), board), stopping).await;
}

/// The OpenAPI document of the control API: each operation may respond with a problem.
pub fn openapi() -> OpenApi {
    let mut api = description();
    let _: Router<Arc<Lab>> = routes().finish_api_with(&mut api, |api| api.default_response::<Problem>());
    answers::describe(&mut api);
    for component in api.components.iter_mut().flat_map(|all| all.schemas.values_mut()) {
        component
            .json_schema
            .as_object_mut()
            .into_iter()
            .flat_map(|fields| fields.values_mut())
            .for_each(name_tuples);
    }
    api
}

/// The same as JSON, made when it is asked for: at few labs it is.
fn described() -> &'static Value {
    static DESCRIBED: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(openapi()).unwrap_or_default());
    &DESCRIBED
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
        .merge(client_log::routes())
        .merge(faults::routes())
        .merge(journal::routes())
        .merge(packages::routes())
        .merge(reports::routes())
        .merge(verdict::routes())
        .merge(snapshots::routes())
        .merge(snapshot_changes::routes())
        .merge(baselines::routes())
        .merge(evidence::routes())
        .merge(recording::routes())
}

/// The control API as a service in this process, without a socket. Its page tells of no change by itself.
pub fn router(lab: Arc<Lab>, access: Access) -> Router {
    let board = Board::new(Arc::clone(&lab));
    pages(lab, access, board)
}

fn pages(lab: Arc<Lab>, access: Access, board: Arc<Board>) -> Router {
    let (access, limits) = (Arc::new(access), Arc::new(CallLimits::new()));
    let routes: Router<Arc<Lab>> = routes().into();
    // What describes the routes is collected for each thread.
    aide::generate::reset_context();
    let (kept, shared) = (Arc::clone(&lab), Arc::clone(&lab));
    let asked = routes.clone().with_state(Arc::clone(&lab));
    let pages = Arc::new(Pages { api: asked, described, board, access: Arc::clone(&access) });
    let comparing = Arc::clone(&pages);
    let compare = post(move |query, headers, file| comparing.compare(query, headers, file));
    routes
        .route("/v1/openapi.json", get(|| std::future::ready(Json(described()))))
        .route("/metrics", get(metrics::metrics))
        .route(COMPARE, compare.layer(DefaultBodyLimit::max(LARGEST_COMPARED)))
        .fallback(move |request| Arc::clone(&pages).answer(request))
        .method_not_allowed_fallback(|| {
            let detail = "method not allowed for this path: /v1/openapi.json describes its methods";
            std::future::ready(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail))
        })
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(middleware::from_fn(move |request, next| refuse(Arc::clone(&shared), request, next)))
        .layer(middleware::from_fn(move |request, next| keep(Arc::clone(&kept), request, next)))
        .layer(middleware::from_fn(move |request, next| limit(Arc::clone(&limits), request, next)))
        .layer(middleware::from_fn(move |request, next| guard(Arc::clone(&access), request, next)))
        .with_state(lab)
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
    /// Lab time at the moment of the answer.
    #[schemars(with = "String")]
    now: Timestamp,
    /// Name of this lab that no other one has, as in its ready file.
    instance: String,
    /// Services that are down, by manager.
    services_down: BTreeMap<String, Vec<Service>>,
    /// Why each of them is down.
    service_errors: BTreeMap<String, BTreeMap<Service, String>>,
}

async fn index(State(lab): LabState) -> Json<Index> {
    Json(Index {
        name: "epm-lab",
        version: env!("CARGO_PKG_VERSION"),
        about: "a mock of an endpoint protection manager for tests and labs; it protects nothing",
        site: lab.site.look(|site| site.name().to_owned()),
        openapi: "/v1/openapi.json",
        addresses: lab.site.addresses_now(),
    })
}

/// The services in these errors, by manager, as a verdict names them.
pub(crate) fn services_down(
    errors: &BTreeMap<String, BTreeMap<Service, String>>,
) -> BTreeMap<String, Vec<Service>> {
    errors.iter().map(|(manager, errors)| (manager.clone(), errors.keys().copied().collect())).collect()
}

async fn health(State(lab): LabState) -> Json<Health> {
    let service_errors = lab.site.service_errors();
    Json(Health {
        ready: true,
        now: lab.clock().now(),
        instance: lab.instance().to_owned(),
        services_down: services_down(&service_errors),
        service_errors,
    })
}
