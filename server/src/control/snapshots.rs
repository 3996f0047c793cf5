//! Snapshots of the lab, and back to the start.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ask::Named;
use super::{Answer, Routes, Seen, answer};

#[derive(Debug, Deserialize, JsonSchema)]
struct Snapshot {
    /// Its name.
    snapshot: String,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/snapshots",
            get_with(list, |op| op.id("snapshots").summary("What snapshots there are")),
        )
        .api_route(
            "/v1/snapshots/{snapshot}",
            put_with(take, |op| op.id("takeSnapshot").summary("Keep the lab as it is"))
                .delete_with(remove, |op| op.id("removeSnapshot").summary("Forget a snapshot")),
        )
        .api_route(
            "/v1/snapshots/{snapshot}/restore",
            post_with(restore, |op| op.id("restoreSnapshot").summary("The lab becomes what it was")),
        )
        .api_route(
            "/v1/reset",
            post_with(reset, |op| op.id("reset").summary("The lab becomes what it was when it had started")),
        )
}

async fn list(State(lab): Seen) -> Answer {
    answer(&lab.snapshots())
}

async fn take(State(lab): Seen, Named(Snapshot { snapshot }): Named<Snapshot>) -> Answer {
    lab.take_snapshot(&snapshot).await?;
    answer(&lab.snapshots().into_iter().find(|one| one.name == snapshot))
}

async fn remove(State(lab): Seen, Named(Snapshot { snapshot }): Named<Snapshot>) -> Answer {
    lab.remove_snapshot(&snapshot);
    answer(&lab.snapshots())
}

async fn restore(State(lab): Seen, Named(Snapshot { snapshot }): Named<Snapshot>) -> Answer {
    lab.restore_snapshot(&snapshot).await?;
    lab.site.journal().did(format!("snapshot {snapshot:?} restored"));
    answer(&json!({ "restored": snapshot }))
}

async fn reset(State(lab): Seen) -> Answer {
    lab.reset().await?;
    lab.site.journal().did("reset".to_owned());
    answer(&json!({ "restored": "start" }))
}
