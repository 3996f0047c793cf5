//! The vendor's REST API: `/sepm/api/v1` on port 8446, over HTTPS with the certificate of the console's store.
//!
//! Contains only what the vendor has; the control API has the rest. The two do not know each other.
//!
//! | room | what |
//! | module | contents |
//! | `http` | checks (`middleware`), extractors, responses, errors, pages, the OpenAPI document |
//! | `auth` | login, tokens, administrators |
//! | `clients` | computers, statistics, commands to clients |
//! | `groups` | groups, locations, policies, settings, fingerprint lists |
//! | `system` | domains, version, the manager itself, and the store of settings that clients do not see |
//!
//! Order of a request: `http::middleware` looks up the operation in `http::operations`, counts the call, checks size
//! and token; then a handler answers. A module with handlers has `pub(crate) fn routes() -> ApiRouter<Arc<RestApi>>`,
//! listed in `routes` below. Handlers take the types of `http::extract` and return those of `http::response` or an
//! `http::error::ApiError`; the OpenAPI document follows from both.

mod auth;
mod clients;
mod groups;
mod http;
mod kept;
mod state;
mod system;

use std::sync::{Arc, LazyLock};

use aide::axum::ApiRouter;
use axum::Router;
use axum::http::header;
use axum::routing::get;
use bytes::Bytes;

pub(crate) use auth::admin_store::{Administrator, DEFAULT_PASSWORD, DEFAULT_USER};
use http::middleware::OPENAPI_PATH;
pub use http::operations::operations;
pub(crate) use kept::KeptLogIns;
pub(crate) use state::{Database, RestApi};
pub(crate) use system::store::Stored;

use crate::runtime::context::ManagerContext;

/// The REST API of a manager at the URL `base`, with its router.
pub(crate) fn rest_api(
    context: &ManagerContext,
    database: &Arc<Database>,
    base: &str,
) -> (Arc<RestApi>, Router) {
    // Equal for all managers.
    static ROUTES: LazyLock<Router<Arc<RestApi>>> = LazyLock::new(|| {
        let routes = routes().into();
        // What describes the routes is collected for each thread.
        aide::generate::reset_context();
        routes
    });
    let api = Arc::new(RestApi::new(context, Arc::clone(database), base.to_owned()));
    let router = http::middleware::before(ROUTES.clone(), &api);
    (api, router)
}

/// The OpenAPI document of the API, as JSON; made when it is asked for.
pub(crate) fn document() -> Bytes {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| http::openapi::describe(routes()));
    DOCUMENT.clone()
}

/// The routes of all modules.
fn routes() -> ApiRouter<Arc<RestApi>> {
    ApiRouter::new()
        .merge(auth::identity::routes())
        .merge(system::version::routes())
        .route(OPENAPI_PATH, get(|| async { ([(header::CONTENT_TYPE, "application/json")], document()) }))
        .merge(system::domains::routes())
        .merge(groups::group::routes())
        .merge(groups::locations::routes())
        .merge(clients::computers::routes())
        .merge(clients::statistics::routes())
        .merge(groups::settings::routes())
        .merge(clients::command_queue::routes())
        .merge(groups::policies::routes())
        .merge(groups::exceptions::routes())
        .merge(groups::host_groups::routes())
        .merge(clients::attacks::routes())
        .merge(clients::files::routes())
        .merge(groups::fingerprints::routes())
        .merge(auth::admin_users::routes())
        .merge(system::server_info::routes())
        .merge(groups::external_communication::routes())
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::*;
    use crate::rest_api::http::operations::{Known, known};

    #[test]
    fn every_route_is_an_operation_of_the_product_or_no_request_would_reach_it() {
        let document: serde_json::Value = serde_json::from_slice(&document()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.len() > 30, "{}", paths.len());
        for (path, methods) in paths {
            let asked = path.replace(['{', '}'], "x");
            for method in methods.as_object().unwrap().keys() {
                let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
                assert_eq!(known(&method, &asked), Known::Operation, "{method} {path}");
                let summary =
                    document["paths"][path][method.as_str().to_ascii_lowercase()]["summary"].as_str();
                assert!(summary.is_some_and(|words| !words.is_empty()), "{method} {path} has no summary");
            }
        }
    }
}
