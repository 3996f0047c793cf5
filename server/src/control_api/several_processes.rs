//! What needs a site in one process, and is refused where its managers are in several.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use epm_protocol::site::CommandError;

use crate::control_api::error::Problem;
use crate::lab::Lab;

const ONE_CLOCK: &str = "each process has its machine's clock, which none can stop or set for all";
const ONE_FLEET: &str = "clients run in processes of their own (`epm-agent run`, `epm-agent fleet`), of which this one sees only what they ask and report";
const ONE_STATE: &str =
    "a state of the site that is put back would have to put back every client, wherever it runs";
const ONE_START: &str = "the assumptions are those that the site was founded with";

/// Paths, the way to change something there, what it is, and why it is refused. A path stands for those below it.
const REFUSED: &[(&str, &[Method], &str, &str)] = &[
    ("/v1/clock/advance", &[Method::POST], "moving the clock", ONE_CLOCK),
    ("/v1/clock", &[Method::PUT], "moving the clock", ONE_CLOCK),
    ("/v1/assumptions", &[Method::PUT], "setting assumptions", ONE_START),
    ("/v1/snapshots", &[Method::PUT, Method::POST, Method::DELETE], "a snapshot", ONE_STATE),
    ("/v1/reset", &[Method::POST], "a reset", ONE_STATE),
    ("/v1/fleet", &[Method::PUT, Method::POST], "a part of the fleet", ONE_FLEET),
    ("/v1/clients", &[Method::POST], "an operation on a client", ONE_FLEET),
];

/// Refuses what needs a site in one process.
pub(super) async fn refuse(lab: Arc<Lab>, request: Request, next: Next) -> Response {
    if lab.site.is_shared()
        && let Some((what, why)) = refusal(request.method(), request.uri().path())
    {
        return Problem::from(CommandError::SeveralProcesses { what, why }).into_response();
    }
    next.run(request).await
}

fn refusal(method: &Method, path: &str) -> Option<(&'static str, &'static str)> {
    let is_below =
        |base: &str| path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let (.., what, why) =
        REFUSED.iter().find(|(base, methods, ..)| is_below(base) && methods.contains(method))?;
    Some((what, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_clock_or_the_fleet_is_refused_and_what_only_looks_is_not() {
        for (method, path, is_refused) in [
            (Method::GET, "/v1/clock", false),
            (Method::PUT, "/v1/clock", true),
            (Method::POST, "/v1/clock/advance", true),
            (Method::POST, "/v1/clock/heartbeats", false),
            (Method::POST, "/v1/clients/desk-1/operations", true),
            (Method::PUT, "/v1/snapshots/a", true),
            (Method::POST, "/v1/verdict/if-now", false),
            (Method::PUT, "/v1/baselines/a", false),
            (Method::POST, "/v1/expectations", false),
            (Method::PUT, "/v1/reports/a", false),
            (Method::GET, "/v1/verdict", false),
            (Method::PUT, "/v1/faults/a", false),
            (Method::POST, "/v1/commands", false),
            (Method::PUT, "/v1/clockwork", false),
        ] {
            assert_eq!(refusal(&method, path).is_some(), is_refused, "{method} {path}");
        }
    }
}
