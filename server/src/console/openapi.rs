//! What the lab serves, described by its own types: OpenAPI 3.1, to be had without a token.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::openapi::{
    Components, Info, OpenApi, Operation, ReferenceOr, SecurityRequirement, SecurityScheme, Server,
};
use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;

use super::{Console, made};

/// Where it is. The vendor has nothing there.
pub(super) const PATH: &str = "/sepm/api/v1/openapi.json";
/// How a token is called in it.
const BEARER: &str = "bearer";

pub(super) fn routes() -> ApiRouter<Arc<Console>> {
    ApiRouter::new().route(PATH, get(document))
}

async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], made().document.clone())
}

/// The routes, and the document that describes them.
pub(super) fn finish(routes: ApiRouter<Arc<Console>>) -> (Router<Arc<Console>>, Bytes) {
    let mut api = OpenApi {
        info: Info {
            title: "epm-lab: a mock of the SEPM REST API".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: Some("For tests and labs. It protects nothing.".to_owned()),
            ..Info::default()
        },
        servers: vec![Server { url: "/".to_owned(), ..Server::default() }],
        ..OpenApi::default()
    };
    let router = routes.finish_api(&mut api);
    let scheme = SecurityScheme::Http {
        scheme: "bearer".to_owned(),
        bearer_format: None,
        description: Some("The token that identity/authenticate gives.".to_owned()),
        extensions: Default::default(),
    };
    let components = api.components.get_or_insert_with(Components::default);
    components.security_schemes.insert(BEARER.to_owned(), ReferenceOr::Item(scheme));
    let requirement = SecurityRequirement::from_iter([(BEARER.to_owned(), Vec::new())]);
    for (path, item) in api.paths.iter_mut().flat_map(|paths| &mut paths.paths) {
        let ReferenceOr::Item(item) = item else { continue };
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            finish_operation(operation, path, &requirement);
        }
    }
    let document = serde_json::to_vec(&api).unwrap_or_else(|error| {
        tracing::error!(%error, "the OpenAPI document cannot be written");
        Vec::new()
    });
    (router, Bytes::from(document))
}

fn finish_operation(operation: &mut Operation, path: &str, requirement: &SecurityRequirement) {
    if !super::gate::is_public(path) {
        operation.security = vec![requirement.clone()];
    }
}
