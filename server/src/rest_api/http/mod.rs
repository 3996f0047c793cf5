//! What every request meets: the checks before a handler, extractors, answers, errors, pages, and the OpenAPI document.

pub(super) mod error;
pub(super) mod extract;
pub(super) mod json_de;
pub(super) mod middleware;
pub(super) mod normalize_path;
pub(super) mod openapi;
pub(super) mod operations;
pub(super) mod page;
pub(super) mod query_de;
pub(super) mod response;
pub(super) mod throttle;
