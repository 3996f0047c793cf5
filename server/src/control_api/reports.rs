//! Reports of clients that run elsewhere: taken, listed and forgotten.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, put_with};
use axum::Json;
use axum::extract::State;
use epm_client_agent::agent::ClientReport;
use epm_client_agent::scenario::ReportSource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control_api::extract::{Answer, JsonBody, LabState, Path, Routes, doc};
use crate::schema::BridgedSchema;

#[derive(Debug, Deserialize, JsonSchema)]
struct SourceName {
    /// Name of the source.
    source: String,
}

/// A report of clients.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Report(#[schemars(with = "BridgedSchema<ClientReport>")] ClientReport);

/// A source of reports.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
struct Source(#[schemars(with = "BridgedSchema<ReportSource>")] ReportSource);

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/reports",
            get_with(list, doc("reportSources", "List the processes that report clients which run elsewhere")),
        )
        .api_route(
            "/v1/reports/{source}",
            put_with(
                take,
                doc(
                    "reportClients",
                    "Report what the clients of a process hold, in the place of its earlier reports; a token of the scope report is enough",
                ),
            )
            .delete_with(forget, doc("forgetSource", "Forget the reports of a process")),
        )
}

async fn list(State(lab): LabState) -> Answer<Vec<Source>> {
    // Without the database: those that are known, which fall silent.
    let _ = lab.read_reports();
    Ok(Json(lab.sources().into_iter().map(Source).collect()))
}

async fn take(
    State(lab): LabState,
    Path(SourceName { source }): Path<SourceName>,
    JsonBody(Report(report)): JsonBody<Report>,
) -> Answer<Source> {
    Ok(Json(Source(lab.take_report(&source, report)?)))
}

async fn forget(State(lab): LabState, Path(SourceName { source }): Path<SourceName>) -> Answer<Vec<Source>> {
    lab.forget_source(&source)?;
    lab.site.journal().operator_action(format!("reports of {source:?}: forgotten"));
    Ok(Json(lab.sources().into_iter().map(Source).collect()))
}
