//! The status for an object that does not exist. The vendor's description differs by operation, and this table has the
//! operations for which it is not 410.

use axum::http::{Method, StatusCode};

use crate::rest_api::http::operations::fits;

/// Methods and paths below `/sepm/api/` for which an unknown object is 404. An empty method stands for all.
const NOT_FOUND: &[(&str, &str)] = &[
    ("", "v1/admin-users/{id}"),
    ("GET", "v1/command-queue/{id}"),
    ("POST", "v1/command-queue/{id}/cancel"),
    ("", "v1/groups/{id}/external-communication"),
    ("", "v1/groups/{id}/locations/{id}/external-communication"),
    ("", "v1/groups/{id}/locations/{id}/settings"),
    ("", "v1/groups/{id}/locations/{id}/xml"),
    ("", "v1/policies/raw/{type}/{id}"),
];
/// The same for 400.
const BAD_REQUEST: &[(&str, &str)] = &[
    ("", "v1/domains/{id}"),
    ("POST", "v1/groups/{id}"),
    ("DELETE", "v1/groups/{id}"),
    ("PATCH", "v1/groups/{id}"),
    ("", "v1/groups/{id}/computers"),
    ("PUT", "v1/groups/{id}/locations/{id}/policies/{type}"),
    ("", "v1/policies/exceptions/{id}"),
    ("", "v2/policies/exceptions/{id}"),
    ("", "v1/policies/firewall/{id}"),
    ("", "v1/policies/ips/{id}"),
    ("", "v1/policies/policy-objects/hostgroups/{id}"),
];

/// The status for an object that the path of this operation names, and that does not exist.
pub(crate) fn status(method: &Method, path: &str) -> StatusCode {
    let path = path.strip_prefix("/sepm/api/").unwrap_or(path);
    let has = |table: &[(&str, &str)]| {
        table.iter().any(|(of, template)| (of.is_empty() || *of == method.as_str()) && fits(template, path))
    };
    if has(NOT_FOUND) {
        StatusCode::NOT_FOUND
    } else if has(BAD_REQUEST) {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::GONE
    }
}
