//! What was done to a lab is recorded as a scenario; played again, it gives the same verdict.

use std::time::Duration;

use epm_client_agent::rehearsal::{Progress, RehearsalOptions, rehearse};
use epm_client_agent::scenario::Scenario;
use epm_fixtures::needs;
use epm_protocol::trust::Validity;
use epm_server::MockSite;
use epm_server::lab::scenario_run::{run_scenario_moved, silent};
use epm_tests::control_api::{Opened, two_managers};
use epm_tests::rest_curl::Rest;
use epm_tests::scenario_runs::ports;
use epm_tests::{START, identity_of, import};
use serde_json::{Value, json};

/// The orphaned clients of a verdict in JSON: name and time.
fn orphaned(verdict: &Value) -> Vec<(String, String)> {
    let all = verdict["orphaned"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut orphaned: Vec<_> = all.map(|one| (text(&one["client"]), text(&one["since"]))).collect();
    orphaned.sort();
    orphaned
}

/// How many clients of each part hold each certificate and list. Certificates that the site makes follow from all that it
/// has drawn, also from what was undone, so they differ.
fn held(verdict: &Value) -> Vec<Value> {
    let parts = verdict["parts"].as_array().unwrap().iter();
    let counts = |of: &Value| {
        let mut counts: Vec<_> = of.as_object().unwrap().values().map(|one| one.as_u64().unwrap()).collect();
        counts.sort_unstable();
        counts
    };
    parts.map(|part| json!([part["part"], counts(&part["certificates"]), part["lists"]])).collect()
}

/// The scenario of what was done, and what is said of it.
async fn recorded(lab: &Opened) -> (Scenario, Value) {
    let mut answer = lab.get("/v1/scenario").await;
    let text = answer["scenario"].as_str().unwrap().to_owned();
    let mut scenario =
        Scenario::parse(&text, "recorded.toml").unwrap_or_else(|error| panic!("{error}\n{text}"));
    let files = answer["files"].as_array().unwrap();
    let steps = scenario.step.iter_mut().flat_map(|step| &mut step.operator);
    for material in steps.flat_map(|command| command.get_mut().materials_mut()) {
        let file = files.iter().find(|one| one["name"] == *material.file).unwrap_or_else(|| panic!("{text}"));
        let content = file["content"].as_str().unwrap();
        material.content = data_encoding::BASE64.decode(content.as_bytes()).unwrap().into();
    }
    scenario.check("recorded.toml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    answer["scenario"] = Value::Null;
    (scenario, answer)
}

/// Plays the scenario both ways, and compares with the lab, whose clock must stand.
async fn same_verdict(lab: &Opened, scenario: &Scenario) {
    let expected = lab.get("/v1/verdict").await;
    let moved = run_scenario_moved(scenario, &silent(), None, |_| ()).await.unwrap();
    let options = RehearsalOptions {
        places: lab.lab.site.addresses().iter().map(ports).collect(),
        threads: 1,
        keep_logs: false,
    };
    let rehearsed = rehearse(scenario, &options, &Progress::default(), |_| ()).unwrap();
    for (how, verdict) in [("over sockets", moved), ("rehearsed", rehearsed.outcome.verdict)] {
        let verdict = serde_json::to_value(&verdict).unwrap();
        assert_eq!(orphaned(&verdict), orphaned(&expected), "{how}");
        assert_eq!(held(&verdict), held(&expected), "{how}");
    }
}

async fn pass(lab: &Opened, seconds: u64) {
    lab.post("/v1/clock/advance", json!({ "by": format!("{seconds}s") })).await;
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_session_played_again_orphans_the_same_clients_at_the_same_time() {
    let lab = Opened::of(two_managers(MockSite::builder()).rest_api(0), None).await;
    let sales = r"/v1/groups/My%20Company%5CSales";
    lab.put(sales, json!({ "inherits": false, "communication": { "heartbeat_seconds": 240 } })).await;
    let lab = lab.and_clients(12).await;
    let part = json!({ "count": 3, "version": "12.1.6", "group": r"My Company\Sales" });
    lab.put("/v1/fleet/sales", part).await;
    pass(&lab, 100).await;
    lab.put("/v1/snapshots/before", json!({})).await;
    // What is undone is not in the scenario.
    for manager in ["sepm-1", "sepm-2"] {
        lab.put(&format!("/v1/managers/{manager}/certificate/wrong"), json!({})).await;
    }
    pass(&lab, 4000).await;
    assert_ne!(orphaned(&lab.get("/v1/verdict").await), []);
    lab.post("/v1/snapshots/before/restore", json!({})).await;

    for client in ["desk-2", "desk-3", "sales-1"] {
        lab.post(&format!("/v1/clients/{client}/operations"), json!({ "do": "offline" })).await;
    }
    let busy = json!({ "what": { "kind": "status", "code": 503 }, "whom": { "agent": "desk-1*" } });
    lab.put("/v1/faults/busy", busy).await;
    let rest = Rest::log_in(&lab.lab.site);
    let groups = rest.get("groups").json;
    let top = groups["content"].as_array().unwrap().iter().find(|one| one["name"] == "My Company").unwrap();
    let made = rest.with(
        "POST",
        &format!("groups/{}", top["id"].as_str().unwrap()),
        r#"{"name":"Of REST","inherits":true}"#,
    );
    assert_eq!(made.status, 201, "{}", made.json);
    lab.put("/v1/lists/http", json!({ "protocol": "http" })).await;
    lab.put("/v1/lists/http/assignments", json!({ "group": "My Company" })).await;
    pass(&lab, 200).await;
    lab.put(sales, json!({ "secure_communications": false })).await;
    lab.well("DELETE", "/v1/faults/busy", None).await;
    lab.put(r"/v1/groups/My%20Company", json!({ "secure_communications": false })).await;
    pass(&lab, 100).await;
    assert_eq!(rest.get("replication/is_replicated").json, true);
    // Imported with its key, which the scenario has in files.
    let validity = Validity { not_before: START, not_after: START + Duration::from_secs(365 * 86_400) };
    let identity = identity_of(1, validity);
    lab.lab.site.apply(&import(&identity)).unwrap();
    pass(&lab, 250).await;
    lab.put("/v1/managers/sepm-2/certificate/two", json!({})).await;
    for client in ["desk-2", "desk-3"] {
        lab.post(&format!("/v1/clients/{client}/operations"), json!({ "do": "online" })).await;
    }
    pass(&lab, 1800).await;
    lab.post("/v1/clients/desk-2/operations", json!({ "do": "import" })).await;
    pass(&lab, 700).await;

    let (scenario, answer) = recorded(&lab).await;
    assert_eq!(answer["left_out"], json!([]), "{answer}");
    assert_eq!((answer["clients"].as_u64(), answer.get("refused")), (Some(15), None), "{answer}");
    assert!(scenario.step.iter().any(|step| step.title.contains("desk-3") && step.title.contains("sales-1")));
    assert!(
        scenario.step.iter().any(|step| step.title == r"Add the group My Company\Of REST"),
        "through REST"
    );
    let lost = orphaned(&lab.get("/v1/verdict").await);
    assert_eq!(lost.iter().map(|one| one.0.as_str()).collect::<Vec<_>>(), ["desk-3"]);
    same_verdict(&lab, &scenario).await;
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_scenario_cannot_do_is_named() {
    let lab = Opened::with_clients(2).await;
    lab.post("/v1/clients/desk-1/operations", json!({ "do": "freeze" })).await;
    lab.post("/v1/managers/sepm-1/restart", json!({})).await;
    lab.put("/v1/clock", json!({ "now": "2027-01-05T08:00:00Z" })).await;
    lab.put("/v1/fleet/later", json!({ "count": 1, "version": "14.3" })).await;
    lab.put("/v1/fleet/later", json!({ "count": 2, "version": "14.3" })).await;
    lab.put("/v1/assumptions", json!({ "rest_throttle_calls": 50 })).await;
    pass(&lab, 60).await;
    let (scenario, answer) = recorded(&lab).await;
    let left_out: Vec<&str> =
        answer["left_out"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for what in [
        "desk-1 was frozen",
        "services of sepm-1 restarted",
        "the clock was set",
        "got 2 clients",
        "rest_throttle",
    ] {
        assert_eq!(left_out.iter().filter(|one| one.contains(what)).count(), 1, "{what}: {left_out:?}");
    }
    let waits: u128 =
        scenario.step.iter().filter_map(|step| step.wait?.time).map(|time| time.0.as_millis()).sum();
    assert_eq!(waits, 60_000, "the clock that is set is no wait");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn without_clients_there_is_no_scenario() {
    let lab = Opened::with(None).await;
    for (path, status, code) in [
        ("/v1/scenario", 409, "no-clients"),
        ("/v1/scenario?folder=../up", 422, "invalid"),
        ("/v1/scenario?folder=", 422, "invalid"),
    ] {
        let (found, _, text) = lab.ask("GET", path, None).await;
        assert_eq!(found, status, "{text}");
        assert!(text.contains(code), "{text}");
    }
}
