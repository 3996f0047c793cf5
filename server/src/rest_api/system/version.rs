//! `GET /version`: which product this is. It wants no token.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use crate::rest_api::http::Json;
use crate::rest_api::state::RestApi;

/// What the manager is, as a recorded one said.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct VersionInfo {
    /// The sequence of the API.
    #[serde(rename = "API_SEQUENCE")]
    sequence: &'static str,
    /// Its version.
    #[serde(rename = "API_VERSION")]
    api: &'static str,
    /// The version of the manager.
    version: &'static str,
}

/// The manager's version [R of the REST notes].
pub(crate) const MANAGER_VERSION: &str = "14.3.25029.9000";

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    ApiRouter::new().api_route("/sepm/api/v1/version", get(version))
}

async fn version() -> Json<VersionInfo> {
    Json(VersionInfo { sequence: "240604011", api: "14.3.9000", version: MANAGER_VERSION })
}
