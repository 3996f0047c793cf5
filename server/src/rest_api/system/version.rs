//! `GET /version`: version of the product, available without a token.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use crate::rest_api::http::Json;
use crate::rest_api::state::RestApi;

/// Version of the manager, as recorded.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct VersionInfo {
    /// Sequence number of the API.
    #[serde(rename = "API_SEQUENCE")]
    sequence: &'static str,
    /// Version of the API.
    #[serde(rename = "API_VERSION")]
    api: &'static str,
    /// Version of the manager.
    version: &'static str,
}

/// Version of the manager [R of the REST notes].
pub(crate) const MANAGER_VERSION: &str = "14.3.25029.9000";

pub(crate) fn routes() -> ApiRouter<Arc<RestApi>> {
    ApiRouter::new().api_route("/sepm/api/v1/version", get(version))
}

async fn version() -> Json<VersionInfo> {
    Json(VersionInfo { sequence: "240604011", api: "14.3.9000", version: MANAGER_VERSION })
}
