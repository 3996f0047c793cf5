//! Faults on demand, and the catalogue of failures.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, put_with};
use axum::extract::State;
use epm_client_agent::catalogue;
use epm_protocol::fault::{BY_HAND_SECONDS, FaultKind, FaultRule, Installed};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::{Body, Named};
use super::problem::Problem;
use super::{Answer, Routes, Seen, answer};
use crate::foreign::Described;

#[derive(Debug, Deserialize, JsonSchema)]
struct Fault {
    /// Its name.
    fault: String,
}

/// What is done to whom, where, when and how often; its name may be left out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Rule(#[schemars(with = "Described<FaultRule>")] Value);

#[derive(Debug, Deserialize, JsonSchema)]
struct Failure {
    /// Its id, as F07.
    failure: String,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/faults",
            get_with(list, |op| op.id("faults").summary("The faults that are set"))
                .delete_with(clear, |op| op.id("clearFaults").summary("Take all faults away")),
        )
        .api_route("/v1/fault-kinds", get_with(kinds, |op| op.id("faultKinds").summary("What faults there are")))
        .api_route(
            "/v1/faults/{fault}",
            put_with(set, |op| {
                op.id("setFault").summary("Set a fault; one of this name is replaced. It lives for an hour unless it says otherwise")
            })
            .delete_with(remove, |op| op.id("removeFault").summary("Take a fault away")),
        )
        .api_route("/v1/failures", get_with(failures, |op| op.id("failures").summary("The catalogue of failures")))
        .api_route(
            "/v1/failures/{failure}",
            get_with(failure, |op| op.id("failure").summary("One entry of the catalogue")),
        )
}

async fn list(State(lab): Seen) -> Answer {
    let set: Vec<Value> = lab.site.faults().list().iter().map(effective).collect();
    answer(&set)
}

fn effective(one: &Installed) -> Value {
    json!({ "fault": &*one.rule, "set": one.since.to_string(), "ends": one.ends().to_string() })
}

async fn kinds() -> Answer {
    answer(&FaultKind::kinds())
}

async fn set(
    State(lab): Seen,
    Named(Fault { fault }): Named<Fault>,
    Body(Rule(mut rule)): Body<Rule>,
) -> Answer {
    let refused = |error: serde_json::Error| Problem::invalid(error.to_string());
    if let Some(table) = rule.as_object_mut() {
        if table.get("name").is_some_and(|name| name.as_str() != Some(&fault)) {
            return Err(Problem::invalid(format!("the body names another fault than the path, {fault:?}")));
        }
        table.insert("name".to_owned(), Value::String(fault.clone()));
    }
    let mut rule: FaultRule = serde_json::from_value(rule).map_err(refused)?;
    if rule.when.time_to_live_seconds.is_none() {
        rule.when.time_to_live_seconds = Some(BY_HAND_SECONDS);
    }
    lab.site.faults().add(rule)?.keep();
    lab.site.journal().did(format!("fault {fault:?} set"));
    let set = lab.site.faults().list();
    answer(&set.iter().find(|one| one.rule.name == fault).map(effective))
}

async fn remove(State(lab): Seen, Named(Fault { fault }): Named<Fault>) -> Answer {
    if lab.site.faults().remove(&fault).is_ok() {
        lab.site.journal().did(format!("fault {fault:?} taken away"));
    }
    list(State(lab)).await
}

async fn clear(State(lab): Seen) -> Answer {
    lab.site.faults().clear();
    lab.site.journal().did("all faults taken away".to_owned());
    list(State(lab)).await
}

async fn failures() -> Answer {
    answer(
        &catalogue::entries()
            .iter()
            .map(|one| json!({ "id": one.id, "title": one.title }))
            .collect::<Vec<_>>(),
    )
}

async fn failure(Named(Failure { failure }): Named<Failure>) -> Answer {
    let found = catalogue::find(&failure).map_err(|error| Problem::unknown(error.to_string()))?;
    answer(found.to_json())
}
