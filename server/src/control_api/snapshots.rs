//! Snapshots of the lab, and its reset.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control_api::extract::Path;
use crate::control_api::extract::{Answer, LabState, Problem, Routes, doc};
use crate::lab::SnapshotInfo;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Snapshot {
    /// Name of the snapshot: 1 to 128 characters, none of them a control character. `start` is that of the lab's start.
    pub(super) snapshot: String,
}

/// State that the lab has returned to.
#[derive(Debug, Serialize, JsonSchema)]
struct RestoredSnapshot {
    /// Name of the restored snapshot.
    restored: String,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route("/v1/snapshots", get_with(list, doc("snapshots", "List the snapshots")))
        .api_route(
            "/v1/snapshots/{snapshot}",
            put_with(take, doc("takeSnapshot", "Take a snapshot of the lab"))
                .delete_with(remove, doc("removeSnapshot", "Remove a snapshot")),
        )
        .api_route(
            "/v1/snapshots/{snapshot}/restore",
            post_with(restore, doc("restoreSnapshot", "Return the lab to a snapshot")),
        )
        .api_route(
            "/v1/reset",
            post_with(reset, doc("reset", "Return the lab to its state right after its start")),
        )
}

async fn list(State(lab): LabState) -> Json<Vec<SnapshotInfo>> {
    Json(lab.snapshots())
}

async fn take(State(lab): LabState, Path(Snapshot { snapshot }): Path<Snapshot>) -> Answer<SnapshotInfo> {
    lab.take_snapshot(&snapshot).await?;
    let taken = lab.snapshots().into_iter().find(|one| one.name == snapshot);
    taken.map(Json).ok_or_else(|| Problem::unknown("the snapshot was removed meanwhile"))
}

async fn remove(
    State(lab): LabState,
    Path(Snapshot { snapshot }): Path<Snapshot>,
) -> Answer<Vec<SnapshotInfo>> {
    lab.remove_snapshot(&snapshot)?;
    Ok(Json(lab.snapshots()))
}

async fn restore(
    State(lab): LabState,
    Path(Snapshot { snapshot }): Path<Snapshot>,
) -> Answer<RestoredSnapshot> {
    lab.restore_snapshot(&snapshot).await?;
    lab.site.journal().operator_action(format!("snapshot {snapshot:?} restored"));
    Ok(Json(RestoredSnapshot { restored: snapshot }))
}

async fn reset(State(lab): LabState) -> Answer<RestoredSnapshot> {
    lab.reset().await?;
    lab.site.journal().operator_action("reset".to_owned());
    Ok(Json(RestoredSnapshot { restored: "start".to_owned() }))
}
