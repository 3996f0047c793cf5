//! What was done to the lab, as a scenario.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::control_api::error::Problem;
use crate::control_api::extract::{Answer, LabState, Query, Routes, doc};
use crate::control_api::scope::SCENARIO;
use crate::lab::{RecordedScenario, RecordingError};

/// Longest name of a folder.
const LONGEST: usize = 200;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default)]
struct RecordingQuery {
    /// Name of the folder that files of the scenario are put into, beside it; `files` when absent.
    folder: String,
}

impl Default for RecordingQuery {
    fn default() -> Self {
        Self { folder: "files".to_owned() }
    }
}

pub(super) fn routes() -> Routes {
    let summary = "Make a scenario of what was done to the lab: commands, faults and clients, with the time between them";
    ApiRouter::new().api_route(SCENARIO, get_with(scenario, doc("recordedScenario", summary)))
}

async fn scenario(State(lab): LabState, Query(query): Query<RecordingQuery>) -> Answer<RecordedScenario> {
    let folder = query.folder;
    let is_name = !folder.is_empty()
        && folder.len() <= LONGEST
        && !folder.starts_with('.')
        && !folder.contains(|c: char| c.is_control() || c == '/' || c == '\\');
    if !is_name {
        let detail = format!("`folder` is not a name of at most {LONGEST} bytes without slashes");
        return Err(Problem::invalid(detail));
    }
    Ok(Json(lab.recorded_scenario(&folder).await?))
}

impl From<RecordingError> for Problem {
    fn from(error: RecordingError) -> Self {
        let code = match error {
            RecordingError::Gap(_) => "recording-incomplete",
            RecordingError::NoClients => "no-clients",
        };
        Self::new(StatusCode::CONFLICT, code, error.to_string())
    }
}
