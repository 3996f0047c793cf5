//! Actions through the control API: replication stopped and restored, and answers that need entries that the journal
//! has dropped.

use epm_fixtures::needs;
use epm_protocol::time::{Clock, Timestamp};
use epm_server::MockSite;
use epm_tests::control_api::{Opened, two_managers};
use epm_tests::rest_curl::Rest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OF_TWO: &str = "/v1/managers/sepm-2/replication";

/// The number of clients of the part desk that hold each certificate.
fn held(verdict: &Value) -> Value {
    verdict["parts"][0]["certificates"].clone()
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_exported_while_the_stores_differ_leaves_the_same_cause_and_goes_to_who_is_there() {
    let lab = Opened::with_clients(2).await;
    lab.put("/v1/managers/sepm-1/certificate/half", json!({ "stores": "console" })).await;
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 3 })).await;
    let reasons = || async { lab.get("/v1/verdict").await["reasons"].take() };
    let found = reasons().await;
    assert_eq!(
        (&found[0]["code"], &found[0]["layer"]),
        (&json!("stores-differ"), &json!("signature")),
        "{found}"
    );

    let given = lab.post("/v1/groups/My%20Company/package", json!({})).await;
    assert_eq!(given["delivered"], json!([]));
    lab.post("/v1/groups/My%20Company%5CDefault%20Group/package", json!({})).await;
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 2 })).await;
    let found = reasons().await;
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!((&found[0]["code"], &found[0]["layer"]), (&json!("stores-differ"), &json!("tls")), "{found}");
    assert_eq!(found[0]["failure"], "F10");
    assert!(
        found[0]["sentence"].as_str().unwrap().contains("lists and communications files have the other"),
        "{found}"
    );

    lab.put("/v1/managers/sepm-1/certificate/whole", json!({})).await;
    lab.post("/v1/groups/My%20Company%5CDefault%20Group/package", json!({})).await;
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 2 })).await;
    assert_eq!(lab.get("/v1/verdict").await["well"], true);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_serves_no_client_of_the_lab_since_before_the_lab() {
    let lab = Opened::with(None).await;
    let began = lab.lab.clock().now();
    let lab = lab.and_clients(4).await;
    let mut earlier = 0;
    for number in 1..=4 {
        let name = format!("desk-{number}");
        let client = lab.get(&format!("/v1/clients/{name}")).await;
        let since: Timestamp = client["last_server"]["since"].as_str().unwrap().parse().unwrap();
        assert!(since >= began, "{client}");
        let member = lab.lab.member(&name).await.unwrap();
        let own = member.handle.agent().cache().state.last_server.clone().unwrap().since;
        earlier += usize::from(own < began);
    }
    assert!(earlier > 0, "their machines were on before the lab");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_reaches_no_client_of_the_other_manager_until_replication_is_restored() {
    let site = two_managers(MockSite::builder()).rest_api(0);
    let lab = Opened::of(site, None).await;
    let list = json!({ "priorities": [[{ "manager": "sepm-1" }], [{ "manager": "sepm-2" }]] });
    lab.put("/v1/lists/one-then-two", list).await;
    lab.put("/v1/lists/one-then-two/assignments", json!({ "group": "My Company" })).await;
    let lab = lab.and_clients(3).await;
    let rest = Rest::log_in(&lab.lab.site);
    assert_eq!(rest.get("replication/is_replicated").json, true);
    let partners = rest.get("replication/status").json["replicationStatus"][0].clone();
    assert_eq!(partners["replicationPartnerStatusList"][0]["name"], "sepm-2");

    let broken = lab.put(OF_TWO, json!({ "replicates": false })).await;
    assert_eq!((&broken["replicates"], &broken["partners"]), (&json!(false), &json!([])), "{broken}");
    assert_eq!(lab.put(OF_TWO, json!({ "replicates": false })).await, broken);
    assert_eq!(rest.get("replication/is_replicated").json, false);

    let update = lab.put("/v1/managers/sepm-2/certificate/new", json!({})).await;
    let new = update["stores"]["client"]["fingerprint"].as_str().unwrap();
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 3 })).await;
    let verdict = lab.get("/v1/verdict").await;
    assert_eq!(verdict["orphaned"], json!([]), "sepm-1 serves them: {verdict}");
    assert_eq!(held(&verdict)[new], Value::Null, "they were not told: {verdict}");

    let restored = lab.put(OF_TWO, json!({ "replicates": true })).await;
    assert_eq!(restored["partners"], json!(["sepm-1"]));
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 3 })).await;
    let verdict = lab.get("/v1/verdict").await;
    assert_eq!((&held(&verdict)[new], &verdict["well"]), (&json!(3), &json!(true)), "{verdict}");

    let (status, _, text) =
        lab.ask("PUT", "/v1/managers/none/replication", Some(r#"{"replicates":false}"#)).await;
    assert_eq!(status, 404, "{text}");
}

/// Sends a manager more hellos than the journal remembers.
async fn flood(lab: &Opened) {
    let socket = lab.lab.site.addresses()[0].sockets()[0];
    let hello = "GET /secars/secars.dll?hello,secars HTTP/1.1\r\nHost: x\r\n";
    let many = format!("{hello}\r\n").repeat(499) + hello + "Connection: close\r\n\r\n";
    for _ in 0..21 {
        let mut stream = TcpStream::connect(socket).await.unwrap();
        stream.write_all(many.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
    }
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn where_the_journal_has_dropped_what_an_answer_needs_it_is_refused() {
    let lab = Opened::with_clients(1).await;
    let turned_away = json!([{ "expect": "no-client-was-turned-away" }]);
    assert_eq!(lab.post("/v1/expectations", turned_away.clone()).await["result"], "pass");
    assert_eq!(lab.get("/v1/journal").await["complete"], true);
    flood(&lab).await;

    assert_eq!(lab.get("/v1/journal").await["complete"], false);
    let refused = [
        ("GET", "/v1/journal/count"),
        ("GET", "/v1/journal/count?action=hello"),
        ("GET", "/v1/journal/near-misses"),
    ];
    for (method, path) in refused {
        let (status, kind, text) = lab.ask(method, path, None).await;
        assert_eq!((status, kind.as_str()), (409, "application/problem+json"), "{path}: {text}");
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["code"], "dropped", "{path}: {text}");
        assert!(problem["detail"].as_str().unwrap().contains("entries of the kind exchange"), "{text}");
    }
    // Of several expectations, the others are judged, and this one is not met.
    let asked = json!([turned_away[0], { "expect": "every-client-is-secure" }]);
    let found = lab.post("/v1/expectations", asked).await;
    let of = |name: &str| json!([0, 1].map(|one| found["expectations"][one][name].clone()));
    assert_eq!((&found["result"], of("result")), (&json!("unknown"), json!(["unknown", "pass"])), "{found}");
    let why = of("not_judged");
    assert!(why[0][0].as_str().unwrap().contains("entries of the kind exchange"), "{found}");
    assert_eq!(why[1], json!([]));
    // A failure decides, and is judged.
    let held = json!({ "expect": "every-client-holds", "fingerprint": "00".repeat(32) });
    let found = lab.post("/v1/expectations", json!([turned_away[0], held])).await;
    assert_eq!((&found["result"], &found["expectations"][1]["not_judged"]), (&json!("fail"), &json!([])));
    // The file for CI says that the result is unknown.
    let junit = Some(turned_away.to_string());
    let (status, kind, text) = lab.ask("POST", "/v1/expectations?format=junit", junit.as_deref()).await;
    assert_eq!((status, kind.as_str()), (200, "application/xml"), "{text}");
    assert!(
        text.contains("<error type=\"unknown\"") && text.contains("entries of the kind exchange"),
        "{text}"
    );
    // Questions about what was not dropped are answered: another kind, later entries, or the rest.
    lab.get("/v1/journal/count?kind=connection-closed").await;
    let next = lab.get("/v1/journal").await["next"].to_string();
    lab.get(&format!("/v1/journal/count?since={next}")).await;
    assert_eq!(lab.get("/v1/journal/count?partial=true&action=hello").await["total"], 10_000);
    lab.put("/v1/expectations/from-now-on", json!({ "expect": "no-client-was-turned-away" })).await;
    let found = lab.get("/v1/expectations").await;
    assert_eq!(found["result"], "pass", "{found}");

    // A refused client is found in the rest, and then the verdict is certain.
    let (status, _, _) = lab.ask("GET", "/v1/journal?kind=nothing", None).await;
    assert_eq!(status, 400);
    let update =
        json!([{ "update-certificate": { "manager": "sepm-1", "certificate": { "generate": {} } } }]);
    lab.post("/v1/commands", update).await;
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 1 })).await;
    let found = lab.get("/v1/expectations").await;
    assert_eq!(found["result"], "fail", "{found}");
    let why = found["expectations"][0]["counter_examples"][0].as_str().unwrap();
    assert!(why.contains("handshake aborted"), "{why}");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn who_was_lost_and_has_left_the_fleet_was_lost_all_the_same() {
    let lab = Opened::with_clients(2).await;
    let update =
        json!([{ "update-certificate": { "manager": "sepm-1", "certificate": { "generate": {} } } }]);
    lab.post("/v1/commands", update).await;
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 1 })).await;
    lab.put("/v1/fleet/desk", json!({ "count": 0 })).await;
    let verdict = lab.get("/v1/verdict").await;
    assert_eq!((&verdict["clients"], &verdict["orphaned"]), (&json!(0), &json!([])));
    assert_eq!(verdict["ever_orphaned"].as_array().unwrap().len(), 2, "{verdict}");
    let found = lab.post("/v1/expectations", json!([{ "expect": "no-client-was-orphaned" }])).await;
    let why = found["expectations"][0]["counter_examples"][0].as_str().unwrap();
    assert!(found["result"] == "fail" && why.contains("no longer in the fleet"), "{found}");
    lab.post("/v1/reset", json!({})).await;
    assert_eq!(lab.get("/v1/verdict").await["ever_orphaned"], json!([]));
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_no_location_goes_by_the_settings_of_the_default_one() {
    let lab = Opened::with_clients(1).await;
    lab.put("/v1/lists/http", json!({ "protocol": "http" })).await;
    lab.put("/v1/groups/My%20Company/locations/Default", json!({ "list": "http" })).await;
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 2 })).await;
    let client = lab.get("/v1/clients/desk-1").await;
    assert_eq!((&client["view"]["location"], &client["view"]["list"]), (&Value::Null, &json!("http")));
    lab.post("/v1/clients/desk-1/operations", json!({ "do": "freeze" })).await;
    assert_eq!(lab.get("/v1/clients").await["clients"][0]["frozen"], true);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn of_several_updates_of_one_name_at_once_one_is_made() {
    let lab = Opened::with_clients(0).await;
    let before = lab.get("/v1/managers/sepm-1/certificate").await["stores"]["client"].clone();
    let once = || lab.put("/v1/managers/sepm-1/certificate/new", json!({}));
    let (one, two, three, four) = tokio::join!(once(), once(), once(), once());
    assert_ne!(one["stores"]["client"], before);
    assert_eq!(one["history"].as_array().unwrap().len(), 1, "{one}");
    assert!([two, three, four].iter().all(|other| *other == one));
}
