//! Writes a lab that is kept in a folder before the response to a request that has changed it.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::control_api::error::Problem;
use crate::control_api::scope::REPORTS;
use crate::lab::Lab;

/// Writes the lab after a request that was successful and may have changed something: what was answered outlives the process.
pub(super) async fn keep(lab: Arc<Lab>, request: Request, next: Next) -> Response {
    // Reports are not kept: what was reported before is not known to be so.
    let may_change = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
        && !request.uri().path().starts_with(REPORTS);
    let response = next.run(request).await;
    if !may_change || !response.status().is_success() || !lab.is_kept() {
        return response;
    }
    match lab.keep().await {
        Ok(()) => response,
        Err(error) => {
            let detail = format!(
                "done, but not kept, and lost if the lab ends before the folder can be written: {error}"
            );
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "not-kept", detail).into_response()
        }
    }
}
