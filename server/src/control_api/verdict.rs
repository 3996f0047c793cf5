//! The verdict and expectations.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use epm_client_agent::rehearsal::WouldBeOrphaned;
use epm_client_agent::report::{TestCase, TestResult, TestSuite, verdict_junit};
use epm_client_agent::scenario::Verdict;
use epm_protocol::name::check_name;
use epm_protocol::plural::counted;
use epm_protocol::site::Command;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control_api::extract::{Answer, LabState, Problem, Routes, doc, origin};
use crate::control_api::extract::{Format, JsonBody, OtherForm, Path, Query, Written};
use crate::lab::{Expectation, Finding, FindingResult, RotationCode, RotationFinding};
use crate::page;
use crate::schema::BridgedSchema;

/// Maximum number of expectations per request.
const MOST: usize = 1000;

#[derive(Debug, Deserialize, JsonSchema)]
struct ExpectationName {
    /// Name of the expectation.
    expectation: String,
}

/// Commands to predict.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Commands(#[schemars(with = "BridgedSchema<Vec<Command>>")] Vec<Command>);

#[derive(Debug, Deserialize, JsonSchema)]
struct VerdictQuery {
    /// Format of the response: `json`, or `junit` for a test report.
    #[serde(default)]
    format: Format,
}

/// The verdict, described for the control API.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
struct ShownVerdict(#[schemars(with = "BridgedSchema<Verdict>")] Verdict);

/// Clients that would be orphaned.
#[derive(Debug, Serialize, JsonSchema)]
struct Foreseen {
    /// Number of clients that would be orphaned.
    would_be_orphaned: usize,
    /// Number of clients of the lab's process: the commands were tried on copies of them.
    predicted: usize,
    /// Number of clients that nothing was predicted for: they run outside of the lab's process, which has no copy of them.
    not_predicted: usize,
    /// Clients that would be orphaned, each with the reason.
    #[schemars(with = "BridgedSchema<Vec<WouldBeOrphaned>>")]
    clients: Vec<WouldBeOrphaned>,
}

/// Results of expectations.
#[derive(Debug, Serialize, JsonSchema)]
struct Findings {
    /// Overall outcome: fail if one expectation fails, unknown if one cannot be judged or without any, pending if one can still be
    /// met, otherwise pass.
    result: FindingResult,
    /// Result of each expectation.
    expectations: Vec<Finding>,
    /// Command that starts the same lab again; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat: Option<String>,
}

impl OtherForm for ShownVerdict {
    const MEDIA_TYPE: &'static str = "application/xml";
}

impl OtherForm for Findings {
    const MEDIA_TYPE: &'static str = "application/xml";
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/verdict",
            get_with(verdict, doc("verdict", "Show the verdict: what the clients hold, which are orphaned, since when and why")),
        )
        .api_route(
            "/v1/verdict/if-now",
            post_with(
                if_now,
                doc("ifNow", "Predict which clients would be orphaned if these commands were applied now; changes nothing"),
            ),
        )
        .api_route(
            "/v1/expectations",
            get_with(findings, doc("findings", "Show the results of all registered expectations"))
                .post_with(find, doc("find", "Judge these expectations now, without registering them")),
        )
        .api_route(
            "/v1/expectations/{expectation}",
            put_with(expect, doc("expect", "Register an expectation from now on"))
                .delete_with(expect_no_longer, doc("expectNoLonger", "Remove a registered expectation")),
        )
}

async fn verdict(
    State(lab): LabState,
    Query(form): Query<VerdictQuery>,
    headers: HeaderMap,
) -> Result<Written<ShownVerdict>, Problem> {
    let verdict = lab.verdict().await;
    match form.format {
        Format::Json => Ok(Written::Json(ShownVerdict(verdict))),
        Format::Junit => {
            let client = verdict.orphaned.first().map(|one| page::path_of_client(&one.client));
            let link = format!("{}{}", origin(&headers), client.as_deref().unwrap_or("/"));
            Ok(Written::Other(verdict_junit(&verdict, Some(&link))))
        }
        Format::Ndjson | Format::Har => Err(form.format.refused()),
    }
}

async fn if_now(State(lab): LabState, JsonBody(Commands(commands)): JsonBody<Commands>) -> Answer<Foreseen> {
    let clients = lab.if_now(&commands).await?;
    let not_predicted = lab.not_predicted().await;
    let predicted = lab.size().await;
    Ok(Json(Foreseen { would_be_orphaned: clients.len(), predicted, not_predicted, clients }))
}

async fn findings(
    State(lab): LabState,
    Query(form): Query<VerdictQuery>,
    headers: HeaderMap,
) -> Result<Written<Findings>, Problem> {
    shown(lab.findings().await?, form.format, lab.repeat(), &headers)
}

async fn find(
    State(lab): LabState,
    Query(form): Query<VerdictQuery>,
    headers: HeaderMap,
    JsonBody(expectations): JsonBody<Vec<Expectation>>,
) -> Result<Written<Findings>, Problem> {
    if expectations.is_empty() {
        return Err(Problem::invalid("expected at least one expectation"));
    }
    if expectations.len() > MOST {
        return Err(Problem::invalid(format!("expected at most {MOST} expectations")));
    }
    lab.check_expectations(&expectations)?;
    shown(lab.find(expectations).await, form.format, lab.repeat(), &headers)
}

async fn expect(
    State(lab): LabState,
    Path(ExpectationName { expectation: name }): Path<ExpectationName>,
    JsonBody(expectation): JsonBody<Expectation>,
) -> Answer<Finding> {
    check_name("an expectation", &name)?;
    lab.check_expectations(std::slice::from_ref(&expectation))?;
    let found = lab.expect(&name, expectation).await?;
    found.map(Json).ok_or_else(|| Problem::invalid("too many registered expectations: remove some"))
}

async fn expect_no_longer(
    State(lab): LabState,
    Path(ExpectationName { expectation: name }): Path<ExpectationName>,
) -> Answer<Vec<Finding>> {
    lab.expect_no_longer(&name)?;
    Ok(Json(lab.findings().await?))
}

/// The results as a response.
fn shown(
    expectations: Vec<Finding>,
    format: Format,
    repeat: Option<String>,
    headers: &HeaderMap,
) -> Result<Written<Findings>, Problem> {
    if format == Format::Junit {
        return Ok(Written::Other(junit(&expectations, repeat.as_deref(), &format!("{}/", origin(headers)))));
    }
    match format {
        Format::Json => {
            let result = expectations.iter().map(|one| one.result).reduce(FindingResult::worse);
            let result = result.unwrap_or(FindingResult::Unknown);
            Ok(Written::Json(Findings { result, expectations, repeat }))
        }
        Format::Junit | Format::Ndjson | Format::Har => Err(format.refused()),
    }
}

/// The results as a JUnit test suite: a case for each expectation, and for each finding of a rotation.
fn junit(findings: &[Finding], repeat: Option<&str>, link: &str) -> String {
    let cases = findings.iter().flat_map(|finding| -> Vec<TestCase> {
        if finding.findings.is_empty() {
            let Finding { expectation, against, clients, counter_examples, .. } = finding;
            let message = format!("not met by {against} of {}", counted(clients, "client"));
            return vec![TestCase {
                class: "expectations",
                name: expectation.title().to_owned(),
                lasted: None,
                result: test_result(finding.result, "expectation", message, counter_examples, Vec::new()),
            }];
        }
        let case = |one: &RotationFinding| TestCase {
            class: "rotation",
            name: one.title.to_string(),
            lasted: None,
            result: test_result(
                one.result,
                &code_of(one.code),
                format!("counter-examples: {}", one.against),
                &one.counter_examples,
                ending(one, repeat),
            ),
        };
        finding.findings.iter().map(case).collect()
    });
    let mut cases: Vec<TestCase> = cases.collect();
    if cases.is_empty() {
        let message = "no expectation is registered: nothing was judged".to_owned();
        let result = TestResult::Error { kind: "unknown", message };
        cases.push(TestCase {
            class: "expectations",
            name: "an expectation is registered".to_owned(),
            lasted: None,
            result,
        });
    }
    TestSuite { name: "epm-lab expectations", run: None, cases, said: String::new() }
        .with_page(Some(link))
        .to_xml()
}

/// How the text of a failed finding ends: the failures of the catalogue, what to do, and the command that repeats it.
fn ending(finding: &RotationFinding, repeat: Option<&str>) -> Vec<String> {
    let failures =
        (!finding.failures.is_empty()).then(|| format!("Failure: {}", finding.failures.join(" and ")));
    let failures = failures.unwrap_or_else(|| "Failure: not known from this finding alone".to_owned());
    let remedy = finding.remedy.as_ref().map(|remedy| format!("To do: {remedy}"));
    let repeat = repeat.map(|command| format!("Repeat: {command}"));
    std::iter::once(failures).chain(remedy).chain(repeat).collect()
}

fn test_result(
    result: FindingResult,
    kind: &str,
    message: String,
    examples: &[String],
    ending: Vec<String>,
) -> TestResult {
    match result {
        FindingResult::Pass => TestResult::Passed,
        FindingResult::Pending => {
            TestResult::Skipped { message: "not met yet, but still possible".to_owned() }
        }
        FindingResult::Unknown => {
            let message = format!("unknown, since not everything was watched: {}", examples.join("; "));
            TestResult::Error { kind: "unknown", message }
        }
        FindingResult::Fail => {
            let text = examples.iter().cloned().chain(ending).collect::<Vec<_>>().join("\n");
            TestResult::Failed { kind: kind.to_owned(), message, text }
        }
    }
}

/// The code of a finding, as in JSON.
fn code_of(code: RotationCode) -> String {
    serde_json::to_value(code).ok().and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default()
}
