//! The control API, called with curl: changes take effect on clients, questions are answered, and invalid requests
//! change nothing.

use std::process::Stdio;
use std::time::Duration;

use epm_client_agent::wire::Stopwatch;
use epm_fixtures::needs;
use epm_tests::START;
use epm_tests::control_api::Opened;
use serde_json::{Value, json};

const TOKEN: &str = "a-token-for-tests";
const GROUP: &str = "/v1/groups/My%20Company";

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn the_single_manager_procedure_through_the_door_loses_nobody() {
    let lab = Opened::with_clients(4).await;
    let list = lab.put("/v1/lists/http", json!({ "protocol": "http" })).await;
    assert_eq!(list["protocol"], "http");
    let used = lab.put("/v1/lists/http/assignments", json!({ "group": "My Company" })).await;
    assert_eq!(used["used_by"], json!([{ "group": "My Company" }]));
    lab.put(GROUP, json!({ "secure_communications": false })).await;
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 3 })).await;
    let verdict = lab.get("/v1/verdict").await;
    assert_eq!(verdict["parts"][0]["secure"], 0, "{verdict}");
    assert_eq!(verdict["parts"][0]["https"], 0);

    let update = lab.put("/v1/managers/sepm-1/certificate/the-new-one", json!({})).await;
    let new = update["stores"]["client"]["fingerprint"].clone();
    let expected = json!({ "expect": "every-client-holds", "fingerprint": new, "within_heartbeats": 3 });
    assert_eq!(lab.put("/v1/expectations/new", expected.clone()).await["result"], "pending");
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 3 })).await;
    assert_eq!(lab.put("/v1/expectations/new", expected).await["result"], "pass");

    lab.put(GROUP, json!({ "secure_communications": true })).await;
    lab.put(
        "/v1/lists/Default%20Management%20Server%20List%20for%20My%20Site/assignments",
        json!({ "group": "My Company" }),
    )
    .await;
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 3 })).await;
    let verdict = lab.get("/v1/verdict").await;
    assert_eq!(verdict["well"], true, "{verdict}");
    assert_eq!(verdict["ever_orphaned"], json!([]));
    assert_eq!(
        verdict["ever_unsigned"].as_array().unwrap().len(),
        4,
        "with the switch off no signature was checked"
    );
    let junit = lab.get("/v1/expectations?format=junit").await;
    assert!(junit.as_str().unwrap().contains("<testsuite "), "{junit}");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn who_would_be_lost_is_said_in_advance_and_nothing_is_changed() {
    let lab = Opened::with_clients(3).await;
    let command =
        json!([{ "update-certificate": { "manager": "sepm-1", "certificate": { "generate": {} } } }]);
    let before = lab.get("/v1/site").await;
    let foreseen = lab.post("/v1/verdict/if-now", command.clone()).await;
    assert_eq!(foreseen["would_be_orphaned"], 3, "{foreseen}");
    assert_eq!(lab.get("/v1/site").await, before);
    assert_eq!(lab.get("/v1/verdict").await["well"], true);

    lab.post("/v1/commands", command).await;
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 1 })).await;
    let verdict = lab.get("/v1/verdict").await;
    assert_eq!(verdict["orphaned"].as_array().unwrap().len(), 3, "{verdict}");
    let found = lab.post("/v1/expectations", json!([{ "expect": "no-client-was-orphaned" }])).await;
    assert_eq!(found["result"], "fail");
    assert!(
        found["expectations"][0]["counter_examples"][0].as_str().unwrap().starts_with("desk-"),
        "{found}"
    );
    let misses = lab.get("/v1/journal/near-misses").await;
    assert!(misses[0]["why"].as_str().unwrap().contains("handshake"), "{misses}");

    // A present communications file brings one client back; the first snapshot brings back all.
    lab.post("/v1/clients/desk-1/operations", json!({ "do": "import" })).await;
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 1 })).await;
    assert_eq!(lab.get("/v1/verdict").await["orphaned"].as_array().unwrap().len(), 2);
    lab.post("/v1/reset", json!({})).await;
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 1 })).await;
    let verdict = lab.get("/v1/verdict").await;
    assert_eq!((&verdict["well"], &verdict["clients"]), (&json!(true), &json!(3)), "{verdict}");
    assert_eq!(lab.get("/v1/site").await["managers"], before["managers"]);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn time_that_passes_brings_every_heartbeat_that_is_due() {
    let lab = Opened::with_clients(3).await;
    let beats = |client: Value| client["view"]["heartbeats"].as_u64().unwrap();
    let before = beats(lab.get("/v1/clients/desk-2").await);
    let clock = lab.post("/v1/clock/advance", json!({ "by": "1h" })).await;
    assert_eq!(clock["now_ms"], START.as_millis() + 3_600_000);
    let after = beats(lab.get("/v1/clients/desk-2").await);
    assert!((11..=13).contains(&(after - before)), "one in five minutes: {before} to {after}");

    lab.post("/v1/clients/desk-2/operations", json!({ "do": "freeze" })).await;
    lab.post("/v1/clients/desk-3/operations", json!({ "do": "offline" })).await;
    let off = beats(lab.get("/v1/clients/desk-3").await);
    lab.post("/v1/clock/advance", json!({ "by": "1h" })).await;
    assert_eq!(beats(lab.get("/v1/clients/desk-2").await), after, "a frozen one does nothing");
    assert_eq!(beats(lab.get("/v1/clients/desk-3").await), off);
    lab.post("/v1/clients/desk-2/operations", json!({ "do": "thaw" })).await;
    lab.post("/v1/clients/desk-3/operations", json!({ "do": "online" })).await;
    lab.post("/v1/clock/advance", json!({ "by": "6m" })).await;
    assert!(beats(lab.get("/v1/clients/desk-2").await) > after);
    assert!(beats(lab.get("/v1/clients/desk-3").await) > off);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_set_through_the_door_strikes_and_the_journal_says_so() {
    let lab = Opened::with_clients(2).await;
    let set = lab
        .put(
            "/v1/faults/busy",
            json!({ "what": { "kind": "status", "code": 503 }, "where": { "route": "index" } }),
        )
        .await;
    assert!(set["ends_at"].as_str().unwrap().starts_with("2026-01-05T09:00:00"), "an hour: {set}");
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 2 })).await;
    assert_eq!(lab.get("/v1/verdict").await["out_of_touch"].as_array().unwrap().len(), 2);
    let faults_applied = lab.get("/v1/journal?kind=fault-applied&client=desk-1").await;
    assert_eq!(faults_applied["entries"][0]["fault"], "busy", "{faults_applied}");
    let ndjson = lab.ask("GET", "/v1/journal?format=ndjson&kind=fault-applied", None).await.2;
    assert!(
        ndjson.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["kind"] == "fault-applied")
    );
    let har = lab.get("/v1/journal?format=har").await;
    assert_eq!(har["log"]["version"], "1.2");
    assert_eq!(lab.well("DELETE", "/v1/faults", None).await, json!([]));
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 1 })).await;
    assert_eq!(lab.get("/v1/verdict").await["well"], true);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_preview_says_is_what_the_fault_then_hits() {
    let lab = Opened::with_clients(2).await;
    for (whom, hit) in [(json!({ "source": "127.0.0.1" }), 2), (json!({ "source": "127.64.0.1" }), 0)] {
        let rule = json!({ "what": "status", "whom": whom, "when": { "from": "2026-01-05T08:10:00Z" } });
        assert_eq!(lab.post("/v1/faults/it/preview", rule.clone()).await["hit"], hit, "{rule}");
        lab.put("/v1/faults/it", rule.clone()).await;
        lab.post("/v1/clock/advance", json!({ "by": "30m" })).await;
        let verdict = lab.get("/v1/verdict").await;
        assert_eq!(verdict["out_of_touch"].as_array().unwrap().len(), hit, "{rule}");
        lab.well("DELETE", "/v1/faults", None).await;
        lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 1 })).await;
    }
    let caller =
        json!({ "what": "status", "whom": { "source": "127.0.0.9" }, "where": { "listener": "rest" } });
    assert_eq!(lab.post("/v1/faults/it/preview", caller).await["hit"], 1);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_twice_changes_nothing_the_second_time() {
    let lab = Opened::with_clients(1).await;
    let asked = [
        ("/v1/lists/copy", json!({ "protocol": "http" })),
        (r"/v1/groups/My%20Company%5CSales", json!({ "inherits": false, "secure_communications": false })),
        (r"/v1/groups/My%20Company%5CSales/locations/Home", json!({ "list": "copy" })),
        (r"/v1/groups/My%20Company%5CSales/policies/av", json!({ "content": "strict" })),
        ("/v1/managers/sepm-1/certificate/one", json!({ "common_name": "one" })),
        ("/v1/fleet/desk", json!({ "count": 2, "at_once": true })),
    ];
    for (path, body) in asked {
        let first = lab.put(path, body.clone()).await;
        let groups = lab.get("/v1/groups").await;
        assert_eq!(lab.put(path, body).await, first, "{path}");
        assert_eq!(lab.get("/v1/groups").await, groups, "{path}: a serial went on");
    }
    assert_eq!(lab.well("DELETE", "/v1/faults/none", None).await, json!([]));
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_a_problem_with_a_code_and_changes_nothing() {
    let lab = Opened::with_clients(1).await;
    let before = lab.get("/v1/groups").await;
    let long = format!("{{\"content\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    let cases = [
        ("GET", "/v1/nothing", None, 404, "unknown"),
        ("POST", "/v1/site", Some("{}"), 405, "method"),
        ("GET", "/v1/lists/none", None, 404, "unknown"),
        ("GET", "/v1/clients/desk-9", None, 404, "unknown"),
        ("PUT", GROUP, Some("{"), 400, "malformed"),
        ("PUT", GROUP, Some(r#"{"secure_communications":"yes"}"#), 422, "malformed"),
        ("PUT", GROUP, Some(r#"{"secure":true}"#), 422, "malformed"),
        ("PUT", GROUP, Some(r#"{"list":"none","secure_communications":false}"#), 404, "unknown"),
        ("PUT", GROUP, Some(r#"{"communication":{"heartbeat_seconds":0}}"#), 422, "invalid"),
        ("PUT", "/v1/groups/Elsewhere", Some("{}"), 422, "invalid"),
        (
            "PUT",
            r"/v1/groups/My%20Company%5CDefault%20Group",
            Some(r#"{"secure_communications":false}"#),
            409,
            "inherits",
        ),
        ("PUT", r"/v1/groups/My%20Company/policies/p", Some(&long), 413, "too-large"),
        (
            "PUT",
            "/v1/lists/Default%20Management%20Server%20List%20for%20My%20Site",
            Some(r#"{"protocol":"http"}"#),
            409,
            "default-list",
        ),
        ("PUT", "/v1/managers/none/certificate/x", Some("{}"), 404, "unknown"),
        ("PUT", "/v1/managers/sepm-1/certificate/x", Some(r#"{"certificate":"x"}"#), 422, "invalid"),
        (
            "PUT",
            "/v1/managers/sepm-1/certificate/x",
            Some(r#"{"certificate":"x","key":"y"}"#),
            422,
            "keystore",
        ),
        ("PUT", "/v1/faults/f", Some(r#"{"what":"stauts"}"#), 422, "invalid"),
        ("PUT", "/v1/faults/f", Some(r#"{"what":"expired","where":{"listener":"http"}}"#), 422, "fault"),
        ("POST", "/v1/clock/advance", Some(r#"{"by":"soon"}"#), 422, "malformed"),
        ("POST", "/v1/clients/desk-1/operations", Some(r#"{"do":"dance"}"#), 422, "malformed"),
        ("POST", "/v1/clients/desk-1/operations", Some(r#"{"do":"move","group":"x"}"#), 404, "unknown"),
        ("POST", "/v1/snapshots/none/restore", Some("{}"), 404, "unknown"),
        ("DELETE", "/v1/snapshots/start", None, 409, "name-taken"),
        ("PUT", "/v1/snapshots/start", None, 409, "name-taken"),
        ("GET", "/v1/journal?status=many", None, 400, "malformed"),
        ("PUT", "/v1/fleet/desk", Some(r#"{"count":200000}"#), 422, "too-many"),
    ];
    for (method, path, body, status, code) in cases {
        let (found, kind, text) = lab.ask(method, path, body).await;
        assert_eq!((found, kind.as_str()), (status, "application/problem+json"), "{method} {path}: {text}");
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["code"], code, "{method} {path}: {text}");
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
    for (method, path, body, named) in [
        (
            "PUT",
            "/v1/faults/f",
            r#"{"what":{"kind":"status","code":503,"code":500}}"#,
            "what: duplicate field `code` at line 1 column 42",
        ),
        (
            "PUT",
            "/v1/faults/f",
            r#"{"what":"reset","probability":0,"probability":1}"#,
            "duplicate field `probability`",
        ),
        (
            "PUT",
            "/v1/assumptions",
            r#"{"hello_answer":"x","hello_answer":"y"}"#,
            "duplicate field `hello_answer`",
        ),
        ("POST", "/v1/commands", r#"[{"add-group":{"group":"a","group":"b"}}]"#, "duplicate field `group`"),
        ("PUT", "/v1/fleet/desk", r#"{"count":1,"count":2}"#, "duplicate field `count`"),
    ] {
        let (status, _, text) = lab.ask(method, path, Some(body)).await;
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &problem["code"]), (422, &"malformed".into()), "{method} {path}: {text}");
        assert!(problem["detail"].as_str().unwrap().contains(named), "{method} {path}: {text}");
    }
    let (status, _, text) = lab.ask("POST", "/v1/clock/advance", None).await;
    assert_eq!(status, 415, "{text}");
    // A time that is refused leaves the hold as it was.
    for (body, code) in [
        (r#"{"now":"3000-01-02T00:00:00Z","hold":"1h"}"#, "invalid"),
        (r#"{"now":"1969-12-31T23:59:59Z","hold":"1h"}"#, "invalid"),
        (r#"{"now":"12000-01-01T00:00:00Z","hold":"1h"}"#, "malformed"),
    ] {
        let (status, _, text) = lab.ask("PUT", "/v1/clock", Some(body)).await;
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &problem["code"]), (422, &code.into()), "{body}: {text}");
        assert!(text.contains("from 1970-01-01T00:00:00.000Z to 3000-01-01T00:00:00.000Z"), "{body}: {text}");
    }
    assert_eq!(lab.get("/v1/clock").await.get("hold"), None);
    assert_eq!(lab.get("/v1/groups").await, before);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_door_with_a_token_lets_nobody_in_without_it() {
    let mut lab = Opened::with(Some(TOKEN)).await;
    lab.get("/v1/site").await;
    for token in [None, Some("a-token-for-testz"), Some("a-token")] {
        lab.token = token;
        assert_eq!(lab.ask("GET", "/v1/site", None).await.0, 401);
        assert_eq!(lab.ask("GET", "/v1/openapi.json", None).await.0, 401);
        assert_eq!(lab.ask("GET", "/v1/health", None).await.0, 200, "whether it is there may be asked");
    }
    // A missing token is no guess. Four were wrong; after one more each waits, and the right one does not.
    lab.token = Some("a-token-for-testz");
    assert_eq!(lab.ask("GET", "/v1/site", None).await.0, 401);
    let slow = Stopwatch::start();
    for _ in 0..3 {
        assert_eq!(lab.ask("GET", "/v1/site", None).await.0, 401);
    }
    assert!(slow.elapsed() >= Duration::from_millis(250 + 500 + 1000), "{:?}", slow.elapsed());
    lab.token = Some(TOKEN);
    lab.get("/v1/site").await;
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn the_description_names_every_path_and_says_what_it_takes() {
    let lab = Opened::with(None).await;
    let api = lab.get("/v1/openapi.json").await;
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"), "{}", api["openapi"]);
    for path in [
        "/v1/lists/{list}",
        "/v1/verdict",
        "/v1/clock/advance",
        "/v1/faults/{fault}",
        "/v1/snapshots/{snapshot}",
    ] {
        assert!(api["paths"][path].is_object(), "{path}");
    }
    let ids: Vec<&str> = api["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    let unique: std::collections::BTreeSet<&&str> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn the_journal_can_be_followed_from_the_next_entry_on() {
    let lab = Opened::with_clients(1).await;
    let mut curl = tokio::process::Command::new("curl")
        .args([
            "--silent",
            "--no-buffer",
            "--max-time",
            "30",
            &format!("{}/v1/journal/tail?kind=exchange", lab.url),
        ])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(curl.stdout.take().unwrap()));
    // Nothing tells when it begins to listen: heartbeats continue until it has seen one.
    let heard = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            tokio::select! {
                line = lines.next_line() => {
                    if let Some(data) = line.unwrap().unwrap().strip_prefix("data: ") {
                        return serde_json::from_str::<Value>(data).unwrap();
                    }
                }
                passed = lab.lab.pass_heartbeats(1, Duration::from_secs(20)) => passed.unwrap(),
            }
        }
    })
    .await
    .unwrap();
    assert_eq!((&heard["kind"], &heard["client"]), (&json!("exchange"), &json!("desk-1")), "{heard}");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_does_nothing_in_a_browser_of_the_machine() {
    const TOKEN: &str = "right-token-0123456";
    for token in [None, Some(TOKEN)] {
        let lab = Opened::with(token).await;
        let port = lab.url.rsplit_once(':').unwrap().1;
        let own = format!("Origin: {}", lab.url);
        let (rebound, named) = (format!("Host: evil.example:{port}"), format!("Host: localhost:{port}"));
        // What a page has no right to is refused with any header for a token, even with the right token.
        for right in ["Authorization: x", "Authorization: Bearer right-token-0123456"] {
            let wrong = (token.is_some() && !right.ends_with(TOKEN)).then_some("401");
            for (headers, expected) in [
                (vec!["Origin: http://evil.example"], "403"),
                (vec!["Origin: null"], "403"),
                (vec![rebound.as_str()], "403"),
                (vec![&rebound, &format!("Origin: http://evil.example:{port}")], "403"),
                (vec!["Sec-Fetch-Site: cross-site"], "403"),
                (vec!["Content-Type: text/plain"], "415"),
                (vec![&own, "Sec-Fetch-Site: same-origin"], wrong.unwrap_or("404")),
                (vec![named.as_str()], wrong.unwrap_or("404")),
            ] {
                let headers: Vec<&str> = headers.into_iter().chain([right]).collect();
                assert_eq!(posted(&lab.url, &headers).await.0, expected, "{token:?} {headers:?}");
            }
        }
    }
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_can_be_framed_sniffed_cached_or_read_by_another_origin() {
    let lab = Opened::with(None).await;
    for (headers, expected) in [(vec![], "404"), (vec!["Origin: http://evil.example"], "403")] {
        let (status, head) = posted(&lab.url, &headers).await;
        assert_eq!(status, expected);
        for expected in [
            "x-epm-lab: mock",
            "content-security-policy: default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "x-frame-options: deny",
            "x-content-type-options: nosniff",
            "cross-origin-resource-policy: same-origin",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(head.contains(expected), "expected {expected:?} in: {head}");
        }
        assert!(!head.contains("access-control-"), "{head}");
    }
}

/// Posts with curl; returns the status and the head in lower case.
async fn posted(url: &str, headers: &[&str]) -> (String, String) {
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["--silent", "--output", "/dev/null", "--dump-header", "-", "--write-out", "\n%{http_code}"]);
    curl.args(["--request", "POST"]).args(headers.iter().flat_map(|header| ["--header", header]));
    let output = curl.arg(format!("{url}/v1/nothing")).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap().to_lowercase();
    let (head, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), head.to_owned())
}
