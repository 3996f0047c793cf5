//! The lab's clock: shown, stopped, set and advanced.

use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State;
use epm_client_agent::scenario::Span;
use epm_protocol::time::{Clock, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control_api::extract::JsonBody;
use crate::control_api::extract::{Answer, LabState, Problem, Routes, doc};
use crate::lab::Lab;

/// Changes of the clock.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClockSetting {
    /// New lab time, such as 2026-01-05T08:00:00Z; certificates and heartbeats follow it at once.
    #[schemars(with = "Option<String>")]
    now: Option<Timestamp>,
    /// Speed as a multiple of real time; 0 stops the clock.
    speed: Option<u32>,
}

/// How far to advance the clock.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClockAdvance {
    /// Duration, such as 90m, 24h or 30d.
    #[schemars(with = "String")]
    by: Span,
}

/// Heartbeats to wait for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Heartbeats {
    /// Number of heartbeats of every client that is on.
    heartbeats: u64,
    /// Longest wait in seconds of real time; 60 when absent.
    limit_seconds: Option<u64>,
}

/// State of the clock.
#[derive(Debug, Serialize, JsonSchema)]
struct ClockView {
    /// Lab time.
    #[schemars(with = "String")]
    now: Timestamp,
    /// Lab time in milliseconds since 1970.
    now_ms: i64,
    /// Speed as a multiple of real time; 0 while the clock is stopped.
    speed: u32,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/clock",
            get_with(show, doc("clock", "Show lab time and the speed of the clock"))
                .put_with(set, doc("setClock", "Stop, set or speed up the clock")),
        )
        .api_route(
            "/v1/clock/advance",
            post_with(
                advance,
                doc(
                    "advanceClock",
                    "Advance the clock, with everything due in between in order; responds once all clients are idle",
                ),
            ),
        )
        .api_route(
            "/v1/clock/heartbeats",
            post_with(
                heartbeats,
                doc("passHeartbeats", "Wait until every client that is on has completed this many more heartbeats"),
            ),
        )
}

async fn show(State(lab): LabState) -> Json<ClockView> {
    effective(&lab)
}

async fn set(State(lab): LabState, JsonBody(setting): JsonBody<ClockSetting>) -> Answer<ClockView> {
    if setting.speed.is_some_and(|speed| speed > 1_000_000) {
        return Err(Problem::invalid("speed: expected at most 1000000"));
    }
    lab.set_clock(setting.speed, setting.now).await;
    Ok(effective(&lab))
}

async fn advance(
    State(lab): LabState,
    JsonBody(ClockAdvance { by }): JsonBody<ClockAdvance>,
) -> Answer<ClockView> {
    lab.advance(by.0).await?;
    Ok(effective(&lab))
}

async fn heartbeats(State(lab): LabState, JsonBody(asked): JsonBody<Heartbeats>) -> Answer<ClockView> {
    let limit = Duration::from_secs(asked.limit_seconds.unwrap_or(60).min(3600));
    lab.pass_heartbeats(asked.heartbeats, limit).await?;
    Ok(effective(&lab))
}

fn effective(lab: &Lab) -> Json<ClockView> {
    let (now, speed) = (lab.clock().now(), lab.clock().speed());
    Json(ClockView { now, now_ms: now.as_millis(), speed })
}
