//! The verdict, and what is expected.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use epm_protocol::site::Command;
use epm_protocol::sylink::xml::{Document, Element};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ask::{Asked, Body, Named};
use super::problem::Problem;
use super::{Answer, Routes, Seen, answer};
use crate::foreign::Described;
use crate::lab::{Expectation, Finding, Standing};

#[derive(Debug, Deserialize, JsonSchema)]
struct ExpectationName {
    /// Its name.
    expectation: String,
}

/// What would be done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Commands(#[schemars(with = "Described<Vec<Command>>")] Vec<Command>);

#[derive(Debug, Deserialize, JsonSchema)]
struct Form {
    /// `json`, or `junit` for test reports.
    #[serde(default)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Format {
    #[default]
    Json,
    Junit,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/verdict",
            get_with(verdict, |op| {
                op.id("verdict").summary("Who holds what, and who is lost, since when and why")
            }),
        )
        .api_route(
            "/v1/verdict/if-now",
            post_with(if_now, |op| {
                op.id("ifNow")
                    .summary("Who would be lost if these commands were given now; nothing is changed")
            }),
        )
        .api_route(
            "/v1/expectations",
            get_with(findings, |op| op.id("findings").summary("How all that is expected stands"))
                .post_with(find, |op| op.id("find").summary("How these expectations stand, asked now")),
        )
        .api_route(
            "/v1/expectations/{expectation}",
            put_with(expect, |op| op.id("expect").summary("Expect something from now on"))
                .delete_with(expect_no_longer, |op| op.id("expectNoLonger").summary("Expect it no longer")),
        )
}

async fn verdict(State(lab): Seen) -> Answer {
    answer(&lab.verdict().await)
}

async fn if_now(State(lab): Seen, Body(Commands(commands)): Body<Commands>) -> Answer {
    let lost = lab.if_now(&commands).await?;
    answer(&json!({ "would-be-lost": lost.len(), "clients": lost }))
}

async fn findings(State(lab): Seen, Asked(form): Asked<Form>) -> Result<Response, Problem> {
    shown(&lab.findings().await, form.format)
}

async fn find(
    State(lab): Seen,
    Asked(form): Asked<Form>,
    Body(expectations): Body<Vec<Expectation>>,
) -> Result<Response, Problem> {
    shown(&lab.find(expectations).await, form.format)
}

async fn expect(
    State(lab): Seen,
    Named(ExpectationName { expectation: name }): Named<ExpectationName>,
    Body(expectation): Body<Expectation>,
) -> Answer {
    if !lab.expect(&name, expectation).await {
        return Err(Problem::invalid("there are too many expectations: remove some"));
    }
    answer(&lab.findings().await.into_iter().find(|one| one.name == name))
}

async fn expect_no_longer(
    State(lab): Seen,
    Named(ExpectationName { expectation: name }): Named<ExpectationName>,
) -> Answer {
    lab.expect_no_longer(&name);
    answer(&lab.findings().await)
}

fn shown(findings: &[Finding], format: Format) -> Result<Response, Problem> {
    if format == Format::Junit {
        return Ok(([(header::CONTENT_TYPE, "application/xml")], junit(findings)).into_response());
    }
    let passes = findings.iter().all(|one| one.standing == Standing::Pass);
    let fails = findings.iter().any(|one| matches!(one.standing, Standing::Fail | Standing::Unknown));
    let standing = if passes {
        Standing::Pass
    } else if fails {
        Standing::Fail
    } else {
        Standing::Pending
    };
    Ok(answer(&json!({ "standing": standing, "expectations": findings }))?.into_response())
}

/// The findings as a suite of tests, a case for each.
fn junit(findings: &[Finding]) -> String {
    let failed = |one: &&Finding| matches!(one.standing, Standing::Fail | Standing::Unknown);
    let pending = findings.iter().filter(|one| one.standing == Standing::Pending).count();
    let mut suite = Element::new("testsuite")
        .with("name", "epm-lab expectations")
        .with("tests", &findings.len().to_string())
        .with("failures", &findings.iter().filter(failed).count().to_string())
        .with("errors", "0")
        .with("skipped", &pending.to_string());
    for finding in findings {
        let words = serde_json::to_string(&finding.expectation).unwrap_or_default();
        let name = format!("{}: {words}", finding.name);
        let mut case = Element::new("testcase").with("classname", "expectations").with("name", &name);
        let message = format!("{} of {} clients", finding.against, finding.clients);
        match finding.standing {
            Standing::Pass => {}
            Standing::Pending => case.push(Element::new("skipped").with("message", "there is time yet")),
            Standing::Fail | Standing::Unknown => {
                let mut failure =
                    Element::new("failure").with("type", "expectation").with("message", &message);
                failure.set_text(&finding.counter_examples.join("\n"));
                case.push(failure);
            }
        }
        suite.push(case);
    }
    let mut suites = Element::new("testsuites");
    suites.push(suite);
    Document::compose(suites).to_xml()
}
