//! The verdict, and what is expected.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::Json;
use axum::extract::State;
use epm_client_agent::rehearsal::WouldBeOrphaned;
use epm_client_agent::report::{TestCase, TestResult, TestSuite};
use epm_client_agent::scenario::Verdict;
use epm_protocol::site::Command;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control_api::extract::{Answer, LabState, Problem, Routes, doc};
use crate::control_api::extract::{Format, JsonBody, OtherForm, Path, Query, Written};
use crate::lab::{Expectation, Finding, FindingResult};
use crate::schema::BridgedSchema;

/// No more expectations are judged at once.
const MOST: usize = 1000;

#[derive(Debug, Deserialize, JsonSchema)]
struct ExpectationName {
    /// Its name.
    expectation: String,
}

/// What would be done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Commands(#[schemars(with = "BridgedSchema<Vec<Command>>")] Vec<Command>);

#[derive(Debug, Deserialize, JsonSchema)]
struct VerdictQuery {
    /// `json`, or `junit` for test reports.
    #[serde(default)]
    format: Format,
}

/// The verdict, described for the control API.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
struct ShownVerdict(#[schemars(with = "BridgedSchema<Verdict>")] Verdict);

/// Who would be lost.
#[derive(Debug, Serialize, JsonSchema)]
struct Foreseen {
    /// How many.
    would_be_orphaned: usize,
    /// Who, and why.
    #[schemars(with = "BridgedSchema<Vec<WouldBeOrphaned>>")]
    clients: Vec<WouldBeOrphaned>,
}

/// How what is expected stands.
#[derive(Debug, Serialize, JsonSchema)]
struct Findings {
    /// All of it together: fail if one fails, pending if one has time yet, or else pass.
    result: FindingResult,
    /// Each.
    expectations: Vec<Finding>,
}

impl OtherForm for Findings {
    const MEDIA_TYPE: &'static str = "application/xml";
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/verdict",
            get_with(verdict, doc("verdict", "Who holds what, and who is lost, since when and why")),
        )
        .api_route(
            "/v1/verdict/if-now",
            post_with(
                if_now,
                doc("ifNow", "Who would be lost if these commands were given now; nothing is changed"),
            ),
        )
        .api_route(
            "/v1/expectations",
            get_with(findings, doc("findings", "How all that is expected stands"))
                .post_with(find, doc("find", "How these expectations stand, asked now")),
        )
        .api_route(
            "/v1/expectations/{expectation}",
            put_with(expect, doc("expect", "Expect something from now on"))
                .delete_with(expect_no_longer, doc("expectNoLonger", "Expect it no longer")),
        )
}

async fn verdict(State(lab): LabState) -> Json<ShownVerdict> {
    Json(ShownVerdict(lab.verdict().await))
}

async fn if_now(State(lab): LabState, JsonBody(Commands(commands)): JsonBody<Commands>) -> Answer<Foreseen> {
    let clients = lab.if_now(&commands).await?;
    Ok(Json(Foreseen { would_be_orphaned: clients.len(), clients }))
}

async fn findings(
    State(lab): LabState,
    Query(form): Query<VerdictQuery>,
) -> Result<Written<Findings>, Problem> {
    shown(lab.findings().await, form.format)
}

async fn find(
    State(lab): LabState,
    Query(form): Query<VerdictQuery>,
    JsonBody(expectations): JsonBody<Vec<Expectation>>,
) -> Result<Written<Findings>, Problem> {
    if expectations.len() > MOST {
        return Err(Problem::invalid(format!("at most {MOST} expectations at once")));
    }
    shown(lab.find(expectations).await, form.format)
}

async fn expect(
    State(lab): LabState,
    Path(ExpectationName { expectation: name }): Path<ExpectationName>,
    JsonBody(expectation): JsonBody<Expectation>,
) -> Answer<Finding> {
    if !lab.expect(&name, expectation).await {
        return Err(Problem::invalid("there are too many expectations: remove some"));
    }
    let found = lab.findings().await.into_iter().find(|one| one.name == name);
    found.map(Json).ok_or_else(|| Problem::unknown(format!("the expectation {name:?} is gone again")))
}

async fn expect_no_longer(
    State(lab): LabState,
    Path(ExpectationName { expectation: name }): Path<ExpectationName>,
) -> Json<Vec<Finding>> {
    lab.expect_no_longer(&name);
    Json(lab.findings().await)
}

/// What came of it; or a refusal, where one of them cannot be judged.
fn shown(expectations: Vec<Finding>, format: Format) -> Result<Written<Findings>, Problem> {
    let unknown = expectations.iter().filter(|one| one.result == FindingResult::Unknown);
    let why: Vec<String> =
        unknown.map(|one| format!("{}: {}", one.name, one.counter_examples.join(", "))).collect();
    if !why.is_empty() {
        return Err(Problem::dropped(format!("there is no verdict: {}", why.join("; "))));
    }
    match format {
        Format::Junit => Ok(Written::Other(junit(&expectations))),
        Format::Json => {
            let any = |result: FindingResult| expectations.iter().any(|one| one.result == result);
            let result = if any(FindingResult::Fail) {
                FindingResult::Fail
            } else if any(FindingResult::Pending) {
                FindingResult::Pending
            } else {
                FindingResult::Pass
            };
            Ok(Written::Json(Findings { result, expectations }))
        }
        Format::Ndjson | Format::Har => Err(format.refused()),
    }
}

/// The findings as a suite of tests, a case for each.
fn junit(findings: &[Finding]) -> String {
    let cases = findings.iter().map(|finding| TestCase {
        class: "expectations",
        name: format!(
            "{}: {}",
            finding.name,
            serde_json::to_string(&finding.expectation).unwrap_or_default()
        ),
        lasted: None,
        result: match finding.result {
            // What cannot be judged is refused before.
            FindingResult::Pass | FindingResult::Unknown => TestResult::Passed,
            FindingResult::Pending => TestResult::Skipped { message: "there is time yet".to_owned() },
            FindingResult::Fail => TestResult::Failed {
                kind: "expectation".to_owned(),
                message: format!("{} against, of {} clients", finding.against, finding.clients),
                text: finding.counter_examples.join("\n"),
            },
        },
    });
    TestSuite { name: "epm-lab expectations", run: None, cases: cases.collect() }.to_xml()
}
