//! Baselines: states of the lab that a rotation is judged against.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, put_with};
use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::control_api::extract::Path;
use crate::control_api::extract::{Answer, LabState, Routes, doc};
use crate::lab::{Baseline, BaselineInfo};

#[derive(Debug, Deserialize, JsonSchema)]
struct BaselineName {
    /// Name of the baseline: 1 to 128 characters, none of them a control character. `start` can only be shown.
    baseline: String,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route("/v1/baselines", get_with(list, doc("baselines", "List the baselines")))
        .api_route(
            "/v1/baselines/{baseline}",
            put_with(
                take,
                doc("takeBaseline", "Take a baseline of the lab, replacing another one of that name"),
            )
            .get_with(show, doc("baseline", "Show a baseline"))
            .delete_with(remove, doc("removeBaseline", "Remove a baseline")),
        )
}

async fn list(State(lab): LabState) -> Answer<Vec<BaselineInfo>> {
    Ok(Json(lab.baselines()?))
}

async fn take(State(lab): LabState, Path(BaselineName { baseline }): Path<BaselineName>) -> Answer<Baseline> {
    Ok(Json(lab.take_baseline(&baseline).await?))
}

async fn show(State(lab): LabState, Path(BaselineName { baseline }): Path<BaselineName>) -> Answer<Baseline> {
    Ok(Json(lab.baseline(&baseline)?))
}

async fn remove(
    State(lab): LabState,
    Path(BaselineName { baseline }): Path<BaselineName>,
) -> Answer<Vec<BaselineInfo>> {
    lab.remove_baseline(&baseline)?;
    Ok(Json(lab.baselines()?))
}
