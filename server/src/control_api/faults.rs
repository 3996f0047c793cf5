//! Faults on demand, and the catalogue of failures.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, put_with};
use axum::Json;
use axum::extract::State;
use epm_client_agent::catalogue;
use epm_protocol::fault::{FaultKind, FaultRule, InstalledFault, KindInfo};
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::control_api::extract::{Answer, LabState, Problem, Routes, doc};
use crate::control_api::extract::{JsonBody, Path};
use crate::lab::Lab;
use crate::schema::BridgedSchema;

#[derive(Debug, Deserialize, JsonSchema)]
struct Fault {
    /// Its name.
    fault: String,
}

/// What is done to whom, where, when and how often; its name may be left out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Rule(#[schemars(with = "BridgedSchema<FaultRule>")] Value);

#[derive(Debug, Deserialize, JsonSchema)]
struct Failure {
    /// Its id, as F07.
    failure: String,
}

/// A fault that is set.
#[derive(Debug, Serialize, JsonSchema)]
struct SetFault {
    /// What is done to whom, where, when and how often.
    #[schemars(with = "BridgedSchema<FaultRule>")]
    fault: Arc<FaultRule>,
    /// Since when.
    #[schemars(with = "String")]
    set_at: Timestamp,
    /// Until when.
    #[schemars(with = "String")]
    ends_at: Timestamp,
}

impl SetFault {
    fn of(one: &InstalledFault) -> Self {
        Self { fault: Arc::clone(&one.rule), set_at: one.since, ends_at: one.ends() }
    }
}

/// What faults there are.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
struct Kinds(#[schemars(with = "BridgedSchema<Vec<KindInfo>>")] &'static [KindInfo]);

/// An entry of the catalogue, by its name.
#[derive(Debug, Serialize, JsonSchema)]
struct FailureTitle {
    /// Its id, as F07.
    id: String,
    /// What it is about.
    title: String,
}

/// An entry of the catalogue, as its file has it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
struct Whole(Map<String, Value>);

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/faults",
            get_with(list, doc("faults", "The faults that are set"))
                .delete_with(clear, doc("clearFaults", "Take all faults away")),
        )
        .api_route("/v1/fault-kinds", get_with(kinds, doc("faultKinds", "What faults there are")))
        .api_route(
            "/v1/faults/{fault}",
            put_with(set, doc("setFault", "Set a fault; one of this name is replaced. It lives for an hour unless it says otherwise"))
            .delete_with(remove, doc("removeFault", "Take a fault away")),
        )
        .api_route("/v1/failures", get_with(failures, doc("failures", "The catalogue of failures")))
        .api_route(
            "/v1/failures/{failure}",
            get_with(failure, doc("failure", "One entry of the catalogue")),
        )
}

async fn list(State(lab): LabState) -> Json<Vec<SetFault>> {
    Json(in_force(&lab))
}

fn in_force(lab: &Lab) -> Vec<SetFault> {
    lab.site.faults().list().iter().map(SetFault::of).collect()
}

async fn kinds() -> Json<Kinds> {
    Json(Kinds(FaultKind::kinds()))
}

async fn set(
    State(lab): LabState,
    Path(Fault { fault }): Path<Fault>,
    JsonBody(Rule(mut rule)): JsonBody<Rule>,
) -> Answer<SetFault> {
    let refused = |error: serde_json::Error| Problem::invalid(error.to_string());
    if let Some(table) = rule.as_object_mut() {
        if table.get("name").is_some_and(|name| name.as_str() != Some(&fault)) {
            return Err(Problem::invalid(format!("the body names another fault than the path, {fault:?}")));
        }
        table.insert("name".to_owned(), Value::String(fault.clone()));
    }
    let rule: FaultRule = serde_json::from_value(rule).map_err(refused)?;
    lab.site.faults().add(rule.with_default_lifetime())?.keep();
    lab.site.journal().operator_action(format!("fault {fault:?} set"));
    let set = in_force(&lab).into_iter().find(|one| one.fault.name == fault);
    set.map(Json).ok_or_else(|| Problem::unknown(format!("the fault {fault:?} is gone again")))
}

async fn remove(State(lab): LabState, Path(Fault { fault }): Path<Fault>) -> Json<Vec<SetFault>> {
    if lab.site.faults().remove(&fault).is_ok() {
        lab.site.journal().operator_action(format!("fault {fault:?} taken away"));
    }
    Json(in_force(&lab))
}

async fn clear(State(lab): LabState) -> Json<Vec<SetFault>> {
    lab.site.faults().clear();
    lab.site.journal().operator_action("all faults taken away".to_owned());
    Json(in_force(&lab))
}

async fn failures() -> Json<Vec<FailureTitle>> {
    let titles =
        catalogue::entries().iter().map(|one| FailureTitle { id: one.id.clone(), title: one.title.clone() });
    Json(titles.collect())
}

async fn failure(Path(Failure { failure }): Path<Failure>) -> Answer<Whole> {
    let found = catalogue::find(&failure).map_err(|error| Problem::unknown(error.to_string()))?;
    Ok(Json(Whole(found.to_json().as_object().cloned().unwrap_or_default())))
}
