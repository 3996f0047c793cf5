//! HTTP basics of the REST API: checks, extractors, responses, errors, pages, and the OpenAPI document.

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
pub(super) mod summaries;
pub(super) mod throttle;
pub(super) mod unknown_objects;

pub(crate) use error::ApiError;
pub(crate) use extract::{
    Caller, GroupPath, Id, IdPath, JsonBody, LocationKey, LocationPath, OptionalJsonBody, Path, Query,
    RawBody, XmlBody,
};
pub(crate) use page::{Order, Page, Paging, Slice, Sort};
pub(crate) use response::{Blank, Created, File, Json, NoContent, Several};
