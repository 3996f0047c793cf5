//! Third-party clients, unmodified, against the REST API: `sepm-api` through all its calls, with TLS verified, and
//! `schemathesis` with the lab's own description and with the vendor's.
//!
//! Both come from PyPI: see `fixtures/needs/python.txt`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command as Process, Output};

use epm_fixtures::{needs, output, python_packages};
use epm_protocol::assumption::Assumptions;
use epm_server::MockSite;
use epm_tests::rest_curl::Rest;
use epm_tests::search_extent;
use epm_tests::{MANAGER, TestSite};
use serde_json::Value;

const CALLS: &str = include_str!("../../clients/sepm_api.py");

/// Prepares the vendor's description for a search.
const VENDOR: &str = include_str!("../../clients/vendor_description.py");
/// Names and types of the vendor's description, of the served operations.
const DESCRIPTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vendor/rest-api.json");
/// The page that lists where the lab's answers are outside of the vendor's description.
const PAGE: &str = include_str!("../../../docs/rest-api.md");

/// Options of `schemathesis`. Methods that the vendor has and the lab does not are answered with 501 on purpose.
const SEARCH: &str = "[phases.coverage]\nunexpected-methods = [\"options\", \"trace\"]\n";

/// Runs a program of the environment, whose requests verify the manager's certificate.
fn run(lab: &TestSite, program: &Path, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, lab.site().certificate(MANAGER).unwrap().to_pem()).unwrap();
    std::fs::write(folder.path().join("schemathesis.toml"), SEARCH).unwrap();
    let mut process = Process::new(program);
    process.env("REQUESTS_CA_BUNDLE", &authority).env("NO_PROXY", "*").current_dir(folder.path());
    output(process.args(arguments))
}

/// A lab in which log-ins that fail delay no further ones: a search makes hundreds, and would wait for minutes.
async fn lab() -> (TestSite, epm_client_agent::wire::Fleet, Rest) {
    let assumptions = Assumptions { rest_slows_log_ins: false, ..Assumptions::default() };
    let lab = TestSite::of(MockSite::builder().rest_api(0).assumptions(assumptions)).await;
    let fleet = lab.fleet(vec![lab.client("one", "14.3"), lab.client("two", "14.3")]).await;
    let rest = Rest::log_in(lab.site());
    (lab, fleet, rest)
}

/// Calls that end neither with success nor with 501, the status of operations that the lab does not serve.
const OTHERWISE: &[(&str, &str)] = &[
    // Mistakes of the client: it never uses `PATCH`, and has unknown names and paths.
    ("computers.moveClients", "\"AttributeError\""),
    ("groups.patchGroup", "\"AttributeError\""),
    ("groups.patchGroupExternalCommunicationSettings", "\"AttributeError\""),
    ("groups.patchGroupLocationExternalCommunication", "\"AttributeError\""),
    ("groups.patchGroupSettings", "\"AttributeError\""),
    ("policies.updateExceptionsPolicy", "\"AttributeError\""),
    ("policies.updateHIDPolicy", "\"AttributeError\""),
    ("policies.updateMEMPolicy", "\"AttributeError\""),
    ("policies.updateTDADPolicy", "\"AttributeError\""),
    ("threat_defense_for_active_directory.patchPolicy", "\"AttributeError\""),
    ("groups.deleteGroup", "\"NameError\""),
    ("groups.getGroupDetailFromSAEPGroupID", "\"NameError\""),
    ("groups.unsynchronizeGroups", "\"NameError\""),
    ("policies.getPolicySummaryWithType", "\"NameError\""),
    ("statistics.getClientContentDownloadSources", "404"),
    // It can send only objects, no lists and no XML.
    ("computers.deleteClients", "400"),
    ("commands.eocCommand", "400"),
    // No file was uploaded, and there is no partner.
    ("commands.getBinaryFileContent", "410"),
    ("commands.getBinaryFileDetails", "410"),
    ("replication.replicateNow", "400"),
];
/// The number of calls, and the number of those that the lab serves.
const CALLS_IN_ALL: usize = 147;
const SERVED: usize = 67;

#[needs(curl, python_packages)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sepm_api_goes_through_all_its_calls() {
    let (lab, _fleet, rest) = lab().await;
    let out = run(&lab, &python_packages().join("python3"), &["-c", CALLS, &rest.base]);
    let said = String::from_utf8_lossy(&out.stdout);
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let outcomes: BTreeMap<String, String> = lines
        .filter_map(|line| Some((line["call"].as_str()?.to_owned(), line["outcome"].to_string())))
        .collect();
    let failed = || String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{}", failed());
    let otherwise: Vec<(&str, &str)> = outcomes
        .iter()
        .map(|(call, outcome)| (call.as_str(), outcome.as_str()))
        .filter(|(_, outcome)| !matches!(*outcome, "\"ok\"" | "501"))
        .collect();
    let mut known = OTHERWISE.to_vec();
    known.sort_unstable();
    assert_eq!(otherwise, known);
    let served = outcomes.values().filter(|outcome| *outcome == "\"ok\"").count();
    assert_eq!((outcomes.len(), served), (CALLS_IN_ALL, SERVED), "{outcomes:#?}");
}

#[needs(curl, python_packages)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sepm_api_is_not_logged_in_where_it_does_not_believe_the_certificate() {
    let (lab, _fleet, rest) = lab().await;
    let other = TestSite::of(MockSite::builder().seed(2)).await;
    other.update(epm_protocol::site::Stores::Both);
    let out = run(&other, &python_packages().join("python3"), &["-c", CALLS, &rest.base]);
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && words.contains("CERTIFICATE_VERIFY_FAILED"), "{words}");
    drop(lab);
}

#[needs(curl, python_packages)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_no_server_error_and_no_answer_outside_the_schema() {
    let (lab, _fleet, rest) = lab().await;
    let document = format!("{}/sepm/api/v1/openapi.json", rest.base);
    let bearer = format!("Authorization: Bearer {}", rest.token());
    let out = search(&lab, &document, &[], &bearer);
    found_nothing(&out);
}

/// Searches for answers outside of a description.
fn search(lab: &TestSite, document: &str, more: &[&str], bearer: &str) -> Output {
    let checks =
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    let mut arguments = vec!["run", document, "--header", bearer, "--checks", checks];
    // Logging out would end the token that all the others need.
    arguments.extend(["--exclude-path", "/sepm/api/v1/identity/logout"]);
    arguments.extend(["--phases", "examples,coverage,fuzzing", "--seed", "1"]);
    arguments.extend(search_extent());
    // Python before 3.11.10 counts the depth of a syntax tree once for all threads, and two that parse at once end with
    // "AST constructor recursion depth mismatch" (CPython issue 106905).
    arguments.extend(["--workers", "1", "--no-color", "--output-truncate", "false"]);
    arguments.extend(more);
    run(lab, &python_packages().join("st"), &arguments)
}

#[track_caller]
fn found_nothing(out: &Output) {
    let words = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{words}\n{}", String::from_utf8_lossy(&out.stderr));
    assert!(words.contains("passed"), "{words}");
}

#[needs(curl, python_packages)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_no_answer_outside_the_vendors_description_but_the_listed_ones() {
    let (lab, _fleet, rest) = lab().await;
    let folder = tempfile::tempdir().unwrap();
    let prepared = folder.path().join("prepared.json");
    let prepared = prepared.to_str().unwrap();
    let arguments = ["-c", VENDOR, DESCRIPTION, &rest.base, rest.token(), prepared];
    let out = run(&lab, &python_packages().join("python3"), &arguments);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let listed = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(listed.lines().count() > 3, "{listed}");
    for contradiction in listed.lines() {
        assert!(PAGE.contains(contradiction), "docs/rest-api.md does not list {contradiction}");
    }
    let bearer = format!("Authorization: Bearer {}", rest.token());
    found_nothing(&search(&lab, prepared, &["--url", &rest.base], &bearer));
}
