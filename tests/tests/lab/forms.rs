//! The forms of the project's data, held against the files of `fixtures/forms`, so that a change of form is seen in review:
//! both OpenAPI documents, the JSON Schema of scenarios, and a verdict of each kind.
//!
//! With `EPM_TESTS_WRITE_GOLDEN=1` the files are written instead.

use std::fs;
use std::path::Path;
use std::process::Command as Process;

use epm_client_agent::rehearsal::{Progress, RehearsalOptions, rehearse};
use epm_client_agent::scenario::schema;
use epm_fixtures::{needs, output};
use epm_server::MockSite;
use epm_tests::control_api::Opened;
use epm_tests::scenario_runs::scenario;
use serde_json::{Value, json};

/// Compares a document with the file of that name, line by line, and checks the case of its keys.
#[track_caller]
fn form(name: &str, found: &Value) {
    let text = format!("{found:#}\n");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/forms").join(name);
    if std::env::var_os("EPM_TESTS_WRITE_GOLDEN").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).position(|(kept, now)| kept != now);
    let line = differs.unwrap_or_else(|| kept.lines().count().min(text.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("(nothing)").trim().to_owned();
    assert!(kept == text, "{name}, line {}: it was {}, it is now {}", line + 1, at(&kept), at(&text));
}

/// Whether a key is a field in `snake_case`.
fn is_snake_case(key: &str) -> bool {
    key.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_')
}

/// Collects the properties of every schema in a document that are neither fields in `snake_case` nor, as the keys of a
/// tagged command, listed in `codes`.
fn odd_properties(document: &Value, codes: &[&str], odd: &mut Vec<String>) {
    if let Some(properties) = document.get("properties").and_then(Value::as_object) {
        let keys = properties.keys().filter(|key| !is_snake_case(key) && !codes.contains(&key.as_str()));
        odd.extend(keys.cloned());
    }
    match document {
        Value::Object(fields) => fields.values().for_each(|one| odd_properties(one, codes, odd)),
        Value::Array(items) => items.iter().for_each(|one| odd_properties(one, codes, odd)),
        _ => {}
    }
}

/// The names of commands, fleet actions and presences: the keys that say which variant a value is.
fn variants(schema: &Value) -> Vec<&str> {
    let mut names = Vec::new();
    let mut open = vec![schema];
    while let Some(one) = open.pop() {
        match one {
            Value::Object(fields) => {
                let variants = ["oneOf", "anyOf"].into_iter().filter_map(|key| fields.get(key)?.as_array());
                for variant in variants.flatten() {
                    let properties = variant.get("properties").and_then(Value::as_object);
                    names.extend(
                        properties
                            .filter(|all| all.len() == 1)
                            .into_iter()
                            .flatten()
                            .map(|(key, _)| key.as_str()),
                    );
                }
                open.extend(fields.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    names
}

#[track_caller]
fn keys_are_snake_case(document: &Value) {
    let mut odd = Vec::new();
    odd_properties(document, &variants(document), &mut odd);
    assert!(odd.is_empty(), "keys that are not in snake_case: {odd:?}");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn both_apis_describe_themselves_as_before() {
    let lab = Opened::of(MockSite::builder().rest_api(0), None).await;
    let control = lab.get("/v1/openapi.json").await;
    form("control-api.openapi.json", &control);
    keys_are_snake_case(&control);
    let rest = lab.lab.site.addresses()[0].rest.clone().expect("the REST API is served");
    let url = format!("{rest}/sepm/api/v1/openapi.json");
    let document = output(Process::new("curl").args(["-sSfk", &url])).stdout;
    form("rest-api.openapi.json", &serde_json::from_slice(&document).expect("JSON"));
}

#[test]
fn a_scenario_has_the_schema_that_it_had() {
    let schema = schema();
    form("scenario.schema.json", &schema);
    keys_are_snake_case(&schema);
}

#[test]
fn a_rehearsal_gives_the_verdict_that_it_gave() {
    let plan = scenario("several-managers-142");
    let rehearsal = rehearse(&plan, &RehearsalOptions::default(), &Progress::default(), |_| ()).unwrap();
    form("verdict-of-a-scenario.json", &serde_json::to_value(&rehearsal.outcome.verdict).unwrap());
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_lab_gives_the_verdict_that_it_gave() {
    let lab = Opened::with_clients(3).await;
    lab.put("/v1/managers/sepm-1/certificate/careless", json!({})).await;
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 2 })).await;
    let verdict = lab.get("/v1/verdict").await;
    assert_eq!(verdict["orphaned"].as_array().unwrap().len(), 3, "{verdict}");
    form("verdict-of-a-lab.json", &verdict);
}
