//! Writes a lab that is kept in a folder before the response to a request that has changed it.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::control_api::error::Problem;
use crate::control_api::scope::{COMPARE, REPORTS};
use crate::control_api::session::SESSION;
use crate::lab::Lab;

/// Path at which expectations are judged.
const JUDGEMENT: &str = "/v1/expectations";

/// Writes the lab after a request that was successful and may have changed something: what was answered outlives the process.
pub(super) async fn keep(lab: Arc<Lab>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    let (may_change, is_judgement) = (may_change(method, path), *method == Method::POST && path == JUDGEMENT);
    let response = next.run(request).await;
    if !may_change || !response.status().is_success() || !lab.is_kept() {
        return response;
    }
    match lab.keep().await {
        Ok(()) => response,
        // What was judged is so whether or not it outlives the process, and writing it is tried again.
        Err(_) if is_judgement => response,
        Err(error) => {
            let detail = format!(
                "done, but not kept, and lost if the lab ends before the folder can be written: {error}"
            );
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "not-kept", detail).into_response()
        }
    }
}

/// Whether a request may change what a store has: neither a prediction does, nor a comparison or the session of a browser. The last
/// judgement is kept.
fn may_change(method: &Method, path: &str) -> bool {
    let is_read = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let is_fault_preview = path.starts_with("/v1/faults/") && path.ends_with("/preview");
    let is_question = path == "/v1/verdict/if-now" || is_fault_preview;
    // Reports are not kept: what was reported before is not known to be so.
    let is_not_kept = [SESSION, COMPARE].contains(&path) || path.starts_with(REPORTS);
    !(is_read || is_not_kept || *method == Method::POST && is_question)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_a_comparison_a_session_and_a_report_change_nothing_that_is_kept() {
        for (method, path, expected) in [
            (Method::GET, "/v1/clock", false),
            (Method::POST, JUDGEMENT, true),
            (Method::PUT, "/v1/expectations/none-lost", true),
            (Method::DELETE, "/v1/expectations/none-lost", true),
            (Method::POST, "/v1/verdict/if-now", false),
            (Method::POST, "/v1/faults/busy/preview", false),
            (Method::PUT, "/v1/faults/preview", true),
            (Method::PUT, "/v1/faults/busy", true),
            (Method::POST, "/page/session", false),
            (Method::DELETE, "/page/session", false),
            (Method::POST, "/page/compare", false),
            (Method::PUT, "/v1/reports/fleet", false),
            (Method::PUT, "/v1/baselines/a", true),
            (Method::POST, "/v1/commands", true),
            (Method::POST, "/v1/clock/heartbeats", true),
        ] {
            assert_eq!(may_change(&method, path), expected, "{method} {path}");
        }
    }
}
