//! The OpenAPI 3.1 document of the REST API, generated from the types and available without a token.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::openapi::{
    Components, Info, OpenApi, Operation, ReferenceOr, SecurityRequirement, SecurityScheme, Server,
    StatusCode as ApiStatus,
};
use axum::Router;
use axum::http::{Method, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::rest_api::http::middleware::is_public;
use crate::rest_api::http::summaries::summary;
use crate::rest_api::http::unknown_objects;
use crate::rest_api::state::RestApi;

/// Name of the security scheme.
const BEARER: &str = "bearer";

/// The document that describes these routes.
pub(crate) fn describe(routes: ApiRouter<Arc<RestApi>>) -> Bytes {
    let mut api = OpenApi {
        info: Info {
            title: "epm-lab: a mock of the SEPM REST API".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: Some("Mock of the REST API of Symantec Endpoint Protection Manager, for tests and labs. It protects nothing.".to_owned()),
            ..Info::default()
        },
        servers: vec![Server { url: "/".to_owned(), ..Server::default() }],
        ..OpenApi::default()
    };
    let _: Router<Arc<RestApi>> = routes.finish_api(&mut api);
    let scheme = SecurityScheme::Http {
        scheme: "bearer".to_owned(),
        bearer_format: None,
        description: Some("Access token from identity/authenticate.".to_owned()),
        extensions: Default::default(),
    };
    let components = api.components.get_or_insert_with(Components::default);
    components.security_schemes.insert(BEARER.to_owned(), ReferenceOr::Item(scheme));
    let requirement = SecurityRequirement::from_iter([(BEARER.to_owned(), Vec::new())]);
    for (path, item) in api.paths.iter_mut().flat_map(|paths| &mut paths.paths) {
        let ReferenceOr::Item(item) = item else { continue };
        let operations = [
            ("GET", &mut item.get),
            ("PUT", &mut item.put),
            ("POST", &mut item.post),
            ("DELETE", &mut item.delete),
            ("PATCH", &mut item.patch),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            operation.summary = summary(method, path).map(ToOwned::to_owned);
            describe_unknown_object(operation, method, path);
            finish_operation(operation, path, &requirement);
        }
    }
    let document = serde_json::to_value(&api).and_then(|mut document| {
        with_errors(&mut document);
        serde_json::to_vec(&document)
    });
    let document = document.unwrap_or_else(|error| {
        tracing::error!(%error, "cannot serialise the OpenAPI document");
        Vec::new()
    });
    Bytes::from(document)
}

/// Adds the errors of the checks and extractors to every operation that does not describe them.
fn with_errors(document: &mut Value) {
    let error = |schema: &str, words: &str| {
        let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
        json!({ "description": words, "content": { "application/json": { "schema": schema } } })
    };
    // Token refresh reports errors in OAuth format.
    for method in ["get", "post"] {
        let place = format!("/paths/~1sepm~1oauth~1token/{method}/responses/400");
        let Some(at) = document.pointer_mut(&place) else { continue };
        *at = json!({ "description": "The request is invalid or refused.", "content": { "application/json": { "schema": { "anyOf": [
            { "$ref": "#/components/schemas/OAuthError" }, { "$ref": "#/components/schemas/ApiError" },
        ] } } } });
    }
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let items = paths.into_iter().flat_map(|paths| paths.values_mut()).filter_map(Value::as_object_mut);
    let operations = items.flat_map(|item| item.values_mut());
    for responses in operations.filter_map(|one| one.get_mut("responses")).filter_map(Value::as_object_mut) {
        for status in ["400", "408", "413", "429"] {
            let described = error("ApiError", "The request is invalid or refused.");
            responses.entry(status).or_insert(described);
        }
        let described = error("OAuthError", "The token is missing or not valid.");
        responses.entry("401").or_insert(described);
    }
}

/// Describes the status for an unknown object where it is 404: like 410, which another assumption gives.
fn describe_unknown_object(operation: &mut Operation, method: &str, path: &str) {
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    let Some(responses) = &mut operation.responses else { return };
    if unknown_objects::status(&method, path) == StatusCode::NOT_FOUND
        && let Some(gone) = responses.responses.get(&ApiStatus::Code(410)).cloned()
    {
        responses.responses.insert(ApiStatus::Code(404), gone);
    }
}

fn finish_operation(operation: &mut Operation, path: &str, requirement: &SecurityRequirement) {
    if !is_public(path) {
        operation.security = vec![requirement.clone()];
    }
}
