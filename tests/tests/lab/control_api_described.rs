//! The description of the control API agrees with its behaviour: every answer has a schema, real answers fit it, and
//! `schemathesis` finds no answer outside it and no server error.

use std::process::Command as Process;

use epm_fixtures::{needs, output, output_of, python_packages};
use epm_server::MockSite;
use epm_tests::control_api::{Opened, two_managers};
use epm_tests::search_extent;
use serde_json::{Value, json};

const ANSWERS: &str = include_str!("../../clients/answers.py");
const SEARCH: &str = "[phases.coverage]\nunexpected-methods = [\"options\", \"trace\"]\n";

/// A lab of two managers with an object of every kind.
async fn furnished() -> Opened {
    let lab = Opened::of(two_managers(MockSite::builder()).rest_api(0), None).await.and_clients(3).await;
    lab.put("/v1/lists/copy", json!({ "protocol": "http" })).await;
    lab.put(
        r"/v1/groups/My%20Company%5CSales",
        json!({ "inherits": false, "communication": { "mode": "push" } }),
    )
    .await;
    lab.put(r"/v1/groups/My%20Company%5CSales/locations/Home", json!({ "list": "copy" })).await;
    lab.put(
        "/v1/faults/busy",
        json!({ "what": { "kind": "status", "code": 503 }, "where": { "route": "policy" } }),
    )
    .await;
    lab.put("/v1/managers/sepm-1/certificate/one", json!({})).await;
    lab.put("/v1/snapshots/kept", json!({})).await;
    lab.put("/v1/expectations/mine", json!({ "expect": "no-client-is-orphaned" })).await;
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 2 })).await;
    lab.post("/v1/clients/desk-3/operations", json!({ "do": "freeze" })).await;
    lab
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_in_json_has_a_schema_that_says_something() {
    let lab = Opened::with(None).await;
    let api = lab.get("/v1/openapi.json").await;
    let mut seen = 0;
    for (path, methods) in api["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            let good: Vec<&Value> =
                responses.iter().filter(|(status, _)| status.starts_with('2')).map(|(_, one)| one).collect();
            assert!(!good.is_empty(), "{method} {path} says of no good answer");
            for content in good.iter().filter_map(|one| one["content"].get("application/json")) {
                let schema = content["schema"].as_object().unwrap_or_else(|| panic!("{method} {path}"));
                let says = ["$ref", "properties", "items", "anyOf", "oneOf", "additionalProperties"];
                assert!(says.iter().any(|word| schema.contains_key(*word)), "{method} {path}: {schema:?}");
                seen += 1;
            }
            assert!(responses.contains_key("default") || method == "get", "{method} {path}: no problem");
        }
    }
    assert!(seen > 40, "{seen}");
}

#[needs(curl, python_packages)]
#[tokio::test(flavor = "multi_thread")]
async fn real_answers_fit_their_schemas() {
    let lab = furnished().await;
    let api = lab.get("/v1/openapi.json").await;
    let mut answers = Vec::new();
    for (path, methods) in api["paths"].as_object().unwrap() {
        // Endless answers are tested elsewhere, and the capture that this lab does not take.
        if methods.get("get").is_none() || ["/v1/journal/tail", "/v1/capture"].contains(&path.as_str()) {
            continue;
        }
        let names = [
            ("{list}", "copy"),
            ("{group}", r"My%20Company%5CSales"),
            ("{manager}", "sepm-1"),
            ("{client}", "desk-1"),
            ("{fault}", "busy"),
            ("{failure}", "F01"),
            ("{snapshot}", "kept"),
            ("{baseline}", "start"),
        ];
        let real = names.iter().fold(path.clone(), |path, (name, value)| path.replace(name, value));
        let queries = if path == "/v1/journal" { vec!["", "?format=har"] } else { vec![""] };
        for query in queries {
            let (status, kind, text) = lab.ask("GET", &format!("{real}{query}"), None).await;
            assert_eq!(status, 200, "{real}: {text}");
            if kind == "application/json" {
                let body: Value = serde_json::from_str(&text).unwrap();
                let (method, status) = ("get", "200");
                answers.push(
                    json!({ "method": method, "path": path, "status": status, "type": kind, "body": body }),
                );
            }
        }
    }
    // An orphaned client, and a problem.
    let command =
        json!([{ "update-certificate": { "manager": "sepm-2", "certificate": { "generate": {} } } }]);
    for (method, path, real, body) in [
        ("post", "/v1/verdict/if-now", "/v1/verdict/if-now", command.clone()),
        ("post", "/v1/commands", "/v1/commands", command),
        ("post", "/v1/clock/advance", "/v1/clock/advance", json!({ "by": "1h" })),
        ("get", "/v1/clients", "/v1/clients", Value::Null),
        ("get", "/v1/verdict", "/v1/verdict", Value::Null),
        ("get", "/v1/journal/near-misses", "/v1/journal/near-misses", Value::Null),
        ("post", "/v1/expectations", "/v1/expectations", json!([{ "expect": "no-client-was-orphaned" }])),
        ("put", "/v1/lists/{list}", "/v1/lists/none", json!({ "copy_of": "missing" })),
    ] {
        let text = (!body.is_null()).then(|| body.to_string());
        let (status, kind, text) = lab.ask(&method.to_uppercase(), real, text.as_deref()).await;
        let body: Value = serde_json::from_str(&text).unwrap();
        answers.push(json!({ "method": method, "path": path, "status": status, "type": kind, "body": body }));
    }
    assert!(answers.len() > 25, "{}", answers.len());
    let asked = json!({ "api": api, "answers": answers }).to_string();
    let mut python = Process::new(python_packages().join("python3"));
    let out = output_of(python.args(["-c", ANSWERS]), asked.as_bytes());
    assert!(out.status.success());
    assert_eq!(String::from_utf8_lossy(&out.stdout), "");
}

#[needs(curl, python_packages)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_no_server_error_and_no_answer_outside_the_schema() {
    let lab = furnished().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("schemathesis.toml"), SEARCH).unwrap();
    let mut st = Process::new(python_packages().join("st"));
    st.env("NO_PROXY", "*").current_dir(folder.path());
    st.args(["run", &format!("{}/v1/openapi.json", lab.url), "--checks"]);
    st.arg("not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance");
    // Moves of the clock and new clients take time, and the tail has no end; they are tested elsewhere.
    for path in
        ["/v1/journal/tail", "/v1/clock", "/v1/clock/advance", "/v1/clock/heartbeats", "/v1/fleet/{part}"]
    {
        st.args(["--exclude-path", path]);
    }
    st.args(["--phases", "examples,coverage,fuzzing"]).args(search_extent());
    st.args(["--seed", "1", "--workers", "1", "--no-color"]);
    let out = tokio::task::spawn_blocking(move || output(&mut st)).await.unwrap();
    let words = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{words}\n{}", String::from_utf8_lossy(&out.stderr));
    assert!(words.contains("passed"), "{words}");
}
