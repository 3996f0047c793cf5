//! The lab's clock: shown, stopped, set, held and advanced.

use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State;
use epm_client_agent::scenario::{FASTEST, Span};
use epm_protocol::time::{Clock, Timestamp};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::control_api::extract::JsonBody;
use crate::control_api::extract::{Answer, LabState, Problem, Routes, doc};
use crate::lab::Lab;
use crate::runtime::pauses::Pause;

/// Longest hold of the clock.
pub(crate) const LONGEST_HOLD: Duration = Duration::from_secs(3600);

/// Latest lab time that can be set: certificates made then have dates after it.
const LATEST: Timestamp = Timestamp::from_seconds(32_503_680_000); // 3000-01-01

/// Changes of the clock.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClockSetting {
    /// New lab time, such as 2026-01-05T08:00:00Z; certificates and heartbeats follow it at once.
    #[schemars(with = "Option<String>")]
    #[serde(default, deserialize_with = "moment")]
    now: Option<Timestamp>,
    /// Speed as a multiple of real time, at most 300; 0 stops the clock. A held clock runs on at once.
    speed: Option<u32>,
    /// Real time, such as 1s, for which the clock stands after each change of the site; 0s ends the hold.
    #[schemars(with = "Option<String>")]
    hold: Option<Span>,
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
    /// Lab time at the moment of the answer.
    #[schemars(with = "String")]
    now: Timestamp,
    /// Lab time in milliseconds since 1970.
    now_ms: i64,
    /// Speed as a multiple of real time; 0 while the clock is stopped.
    speed: u32,
    /// Real time for which the clock stands after each change of the site; absent without a hold.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<Span>,
    /// Milliseconds of real time for which the clock still stands after the last change of the site.
    held_ms: u64,
    /// The longest pauses between two changes of the site, the longest first.
    longest_pauses: Vec<PauseView>,
}

/// Pause between two changes of the site.
#[derive(Debug, Serialize, JsonSchema)]
struct PauseView {
    /// Lab time of the change before the pause.
    #[schemars(with = "String")]
    from: Timestamp,
    /// Lab time of the change after the pause.
    #[schemars(with = "String")]
    to: Timestamp,
    /// Length of the pause in milliseconds of real time.
    lasted_ms: u64,
    /// Milliseconds of real time in the pause for which the clock ran by itself.
    ran_ms: u64,
    /// Number of heartbeats that the managers answered in the pause; absent on a site of several processes, where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeats: Option<u64>,
}

impl PauseView {
    fn of(pause: &Pause) -> Self {
        Self {
            from: pause.from,
            to: pause.to,
            lasted_ms: millis(pause.lasted),
            ran_ms: millis(pause.ran),
            heartbeats: pause.heartbeats,
        }
    }
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/clock",
            get_with(show, doc("clock", "Show lab time, the clock's speed and hold, and the longest pauses"))
                .put_with(set, doc("setClock", "Stop, set, speed up or hold the clock")),
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
    if let Some(speed) = setting.speed.filter(|speed| *speed > FASTEST) {
        return Err(Problem::invalid(format!(
            "speed: {speed}, expected at most {FASTEST}: a faster clock ends exchanges before a manager can answer; \
             `clock advance` (POST /v1/clock/advance) passes any time"
        )));
    }
    if setting.hold.is_some_and(|hold| hold.0 > LONGEST_HOLD) {
        return Err(Problem::invalid("hold: expected at most 1h"));
    }
    if let Some(now) = setting.now {
        in_range(now).map_err(|why| Problem::invalid(format!("now: {why}")))?;
    }
    if let Some(hold) = setting.hold {
        lab.clock().set_hold(hold.0);
    }
    lab.set_clock(setting.speed, setting.now).await;
    Ok(effective(&lab))
}

async fn advance(
    State(lab): LabState,
    JsonBody(ClockAdvance { by }): JsonBody<ClockAdvance>,
) -> Answer<ClockView> {
    in_range(lab.clock().now() + by.0).map_err(|why| Problem::invalid(format!("by: {why}")))?;
    lab.advance(by.0).await?;
    Ok(effective(&lab))
}

/// Refuses a lab time for which no certificate can be made, or that nothing else can tell.
fn in_range(time: Timestamp) -> Result<(), String> {
    let why = || format!("lab time would be {time}, expected one from {} to {LATEST}", Timestamp::EPOCH);
    if (Timestamp::EPOCH..=LATEST).contains(&time) { Ok(()) } else { Err(why()) }
}

/// Reads a lab time that the clock can be set to.
///
/// # Errors
///
/// When it is no time, or out of range; the message names the range.
pub(crate) fn lab_time(text: &str) -> Result<Timestamp, String> {
    let time: Timestamp = read_time(text)?;
    in_range(time).map(|()| time)
}

/// A year of more than four digits is no time either.
fn read_time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error| format!("{error}, from {} to {LATEST}", Timestamp::EPOCH))
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| read_time(&text).map_err(D::Error::custom)).transpose()
}

async fn heartbeats(State(lab): LabState, JsonBody(asked): JsonBody<Heartbeats>) -> Answer<ClockView> {
    let limit = Duration::from_secs(asked.limit_seconds.unwrap_or(60).min(3600));
    lab.pass_heartbeats(asked.heartbeats, limit).await?;
    Ok(effective(&lab))
}

fn effective(lab: &Lab) -> Json<ClockView> {
    let clock = lab.clock();
    let (now, hold) = (clock.now(), clock.read().hold);
    Json(ClockView {
        now,
        now_ms: now.as_millis(),
        speed: clock.speed(),
        hold: (!hold.is_zero()).then_some(Span(hold)),
        held_ms: millis(clock.held_for()),
        longest_pauses: lab.site.pauses().longest().iter().map(PauseView::of).collect(),
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
