//! Faults, and the failure catalogue.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::Json;
use axum::extract::State;
use epm_client_agent::catalogue;
use epm_protocol::fault::{FaultKind, FaultRule, InstalledFault, KindInfo};
use epm_protocol::plain::plain;
use epm_protocol::time::{Clock, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::control_api::extract::{Answer, LabState, Problem, Routes, doc};
use crate::control_api::extract::{JsonBody, Path};
use crate::control_api::words::in_words;
use crate::lab::{FaultHits, Lab};
use crate::schema::BridgedSchema;

/// Number of occasions of each client that a preview asks about.
const ASKED: u64 = 20;
/// Number of clients that a preview names.
const EXAMPLES: usize = 20;

#[derive(Debug, Deserialize, JsonSchema)]
struct Fault {
    /// Name of the fault.
    fault: String,
}

/// Rule of a fault: what it does, to which clients, where, when and how often. Its name may be left out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Rule(#[schemars(with = "BridgedSchema<FaultRule>")] Value);

#[derive(Debug, Deserialize, JsonSchema)]
struct Failure {
    /// ID of the failure, such as F07.
    failure: String,
}

/// An active fault.
#[derive(Debug, Serialize, JsonSchema)]
struct SetFault {
    /// Rule of the fault.
    #[schemars(with = "BridgedSchema<FaultRule>")]
    fault: Arc<FaultRule>,
    /// Lab time at which the fault was added.
    #[schemars(with = "String")]
    set_at: Timestamp,
    /// Lab time at which the fault expires.
    #[schemars(with = "String")]
    ends_at: Timestamp,
    /// Managers at which the fault has no effect yet, because nothing was replaced there.
    without_effect: Vec<WithoutEffect>,
}

/// A manager at which a fault has no effect yet.
#[derive(Debug, Serialize, JsonSchema)]
struct WithoutEffect {
    /// Name of the manager.
    manager: String,
    /// What the fault needs and the manager does not have.
    lacks: &'static str,
}

impl SetFault {
    fn of(one: &InstalledFault, without_effect: &[(String, &'static str)]) -> Self {
        let without_effect = without_effect
            .iter()
            .map(|(manager, lacks)| WithoutEffect { manager: manager.clone(), lacks })
            .collect();
        Self { fault: Arc::clone(&one.rule), set_at: one.since, ends_at: one.ends(), without_effect }
    }
}

/// What a fault would hit.
#[derive(Debug, Serialize, JsonSchema)]
struct FaultPreview {
    /// Number of clients that were asked about.
    clients: usize,
    /// Number of clients that would be hit.
    hit: usize,
    /// Number of occasions of each client that were asked about: connections, or exchanges on the route of the fault, else the index.
    asked: u64,
    /// The first clients that would be hit.
    examples: Vec<PreviewedClient>,
}

/// A client that a fault would hit.
#[derive(Debug, Serialize, JsonSchema)]
struct PreviewedClient {
    /// Computer name of the client.
    client: String,
    /// Ordinals of the occasions that would be hit, from 1.
    ordinals: Vec<u64>,
}

/// Kinds of faults.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
struct Kinds(#[schemars(with = "BridgedSchema<Vec<KindInfo>>")] &'static [KindInfo]);

/// ID and title of a known failure.
#[derive(Debug, Serialize, JsonSchema)]
struct FailureTitle {
    /// ID of the failure, such as F07.
    id: String,
    /// Title of the failure.
    title: String,
}

/// A known failure, as in its file in the catalogue.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
struct Whole(Map<String, Value>);

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/faults",
            get_with(list, doc("faults", "List the active faults"))
                .delete_with(clear, doc("clearFaults", "Remove all faults")),
        )
        .api_route("/v1/fault-kinds", get_with(kinds, doc("faultKinds", "List the kinds of faults with their parameters")))
        .api_route(
            "/v1/faults/{fault}",
            put_with(set, doc("setFault", "Add a fault, or replace the one of this name; it expires after an hour unless its rule says otherwise"))
            .delete_with(remove, doc("removeFault", "Remove a fault")),
        )
        .api_route(
            "/v1/faults/{fault}/preview",
            post_with(preview, doc("previewFault", "Predict which clients a fault would hit if it were set now; changes nothing")),
        )
        .api_route("/v1/failures", get_with(failures, doc("failures", "List the known failures")))
        .api_route(
            "/v1/failures/{failure}",
            get_with(failure, doc("failure", "Show a known failure")),
        )
}

async fn list(State(lab): LabState) -> Json<Vec<SetFault>> {
    Json(in_force(&lab))
}

fn in_force(lab: &Lab) -> Vec<SetFault> {
    let idle = lab.site.faults_without_effect();
    let of = |one: &InstalledFault| SetFault::of(one, idle.get(&one.rule.name).map_or(&[], Vec::as_slice));
    lab.site.faults().list().iter().map(of).collect()
}

async fn kinds() -> Json<Kinds> {
    Json(Kinds(FaultKind::kinds()))
}

/// The rule of a fault of this name, if the lab has what it names.
async fn checked(lab: &Lab, fault: &str, mut rule: Value) -> Result<FaultRule, Problem> {
    let refused = |error: serde_json::Error| Problem::invalid(plain(&error.to_string()));
    if let Some(table) = rule.as_object_mut() {
        if table.get("name").is_some_and(|name| name.as_str() != Some(fault)) {
            return Err(Problem::invalid(format!("name: expected {fault:?} as in the path")));
        }
        table.insert("name".to_owned(), Value::String(fault.to_owned()));
    }
    let rule: FaultRule = serde_json::from_value(rule).map_err(refused)?;
    lab.check_fault(&rule).await.map_err(|error| Problem::invalid(error.to_string()))?;
    let now = lab.clock().now();
    if let Some(until) = rule.when.until.filter(|until| *until <= now) {
        let why =
            format!("fault {fault:?}: it ends at {until}; expected a time after {now}, the lab's time now");
        return Err(Problem::invalid(why));
    }
    Ok(rule)
}

async fn preview(
    State(lab): LabState,
    Path(Fault { fault }): Path<Fault>,
    JsonBody(Rule(rule)): JsonBody<Rule>,
) -> Answer<FaultPreview> {
    let rule = checked(&lab, &fault, rule).await?;
    let mut hits = lab.preview_fault(rule, ASKED).await?;
    let clients = hits.len();
    hits.retain(|one| !one.ordinals.is_empty());
    let hit = hits.len();
    let example = |FaultHits { client, ordinals }| PreviewedClient { client, ordinals };
    let examples = hits.into_iter().take(EXAMPLES).map(example).collect();
    Ok(Json(FaultPreview { clients, hit, asked: ASKED, examples }))
}

async fn set(
    State(lab): LabState,
    Path(Fault { fault }): Path<Fault>,
    JsonBody(Rule(rule)): JsonBody<Rule>,
) -> Answer<SetFault> {
    let rule = checked(&lab, &fault, rule).await?;
    let told = in_words(&serde_json::to_value(&rule).unwrap_or_default());
    tokio::task::block_in_place(|| lab.site.set_fault(rule.with_default_lifetime()))?;
    lab.site.journal().operator_action(format!("fault {fault:?} added: {told}"));
    let set = in_force(&lab).into_iter().find(|one| one.fault.name == fault);
    set.map(Json).ok_or_else(|| Problem::unknown(format!("the fault {fault:?} was removed meanwhile")))
}

async fn remove(State(lab): LabState, Path(Fault { fault }): Path<Fault>) -> Answer<Vec<SetFault>> {
    if tokio::task::block_in_place(|| lab.site.remove_faults(Some(&fault)))? {
        lab.site.journal().operator_action(format!("fault {fault:?} removed"));
    }
    Ok(Json(in_force(&lab)))
}

async fn clear(State(lab): LabState) -> Answer<Vec<SetFault>> {
    tokio::task::block_in_place(|| lab.site.remove_faults(None))?;
    lab.site.journal().operator_action("all faults removed".to_owned());
    Ok(Json(in_force(&lab)))
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
