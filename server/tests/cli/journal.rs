//! The journal of a running lab: what came close, what is exported, and that no secret is.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::control::Control;
use crate::harness::{RunningLab, needs, output, said, stdout, well};

/// Reads an HTTP archive as HAR 1.2 says.
const READER: &str = include_str!("../../../tests/clients/har.py");
/// Validates an archive by the published schema of HAR 1.2, in Debian's package node-har-validator.
const VALIDATOR: &str = r#"
const har = JSON.parse(require("fs").readFileSync(0));
require("har-validator").har(har).then(
  () => console.log(`valid: ${har.log.entries.length} entries`),
  (error) => { console.error(JSON.stringify(error.errors ?? String(error))); process.exit(1); });
"#;
/// The body of a log-in, with the password of the lab.
const LOG_IN: &str = r#"{"username":"admin","password":"epm-lab","domain":""}"#;

/// Calls the REST API: status and body.
fn call(lab: &RunningLab, path: &str, more: &[&str]) -> (String, String) {
    let url = format!("{}{path}", lab.ready["managers"][0]["rest"].as_str().unwrap());
    let mut curl = Command::new("curl");
    let output = output(curl.args(["-sk", "--max-time", "20", "-w", "\n%{http_code}", &url]).args(more));
    let text = stdout(&output);
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

/// Exports an archive, which a strict reader reads.
fn har(lab: &RunningLab, more: &[&str]) -> Vec<Value> {
    let text = well(&lab.run(&[&["journal", "export", "--har"], more].concat()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lab.har");
    std::fs::write(&file, &text).unwrap();
    let read = output(Command::new("python3").args(["-c", READER, file.to_str().unwrap()]));
    let (code, words) = said(&read);
    assert_eq!(code, Some(0), "{words}\n{text}");
    let archive: Value = serde_json::from_str(&text).unwrap();
    archive["log"]["entries"].as_array().unwrap().clone()
}

fn pairs(of: &Value) -> Vec<(String, String)> {
    let word = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    of.as_array().unwrap().iter().map(|one| (word(one, "name"), word(one, "value"))).collect()
}

#[test]
fn a_handshake_that_a_client_ends_has_the_time_of_the_client() {
    let lab = RunningLab::frozen(&["--agents", "20"]);
    well(&lab.run(&["manager", "update", "sepm-1"]));
    well(&lab.run(&["clock", "advance", "20m"]));
    let control = Control(lab.url().to_owned());
    let closed = control.get("/v1/journal?kind=connection-closed&limit=100000");
    let closed = closed["entries"].as_array().unwrap();
    assert!(closed.len() > 100, "{}", closed.len());
    let clients: BTreeSet<&str> = closed.iter().map(|one| one["client"].as_str().unwrap()).collect();
    for client in clients {
        let log = control.get(&format!("/v1/clients/{client}/log?limit=10000"));
        let logged: BTreeSet<&str> =
            log["lines"].as_array().unwrap().iter().filter_map(|line| line["at"].as_str()).collect();
        for one in closed.iter().filter(|one| one["client"] == client) {
            assert!(logged.contains(one["at"].as_str().unwrap()), "{one} is at no time of {log}");
        }
    }
}

#[needs(curl)]
#[test]
fn a_call_is_listed_with_what_the_identifiers_in_it_stand_for() {
    let lab = RunningLab::frozen(&["--agents", "1"]);
    let headers = ["-H", "Content-Type: application/json", "-d", LOG_IN];
    let (_, answer) = call(&lab, "/sepm/api/v1/identity/authenticate", &headers);
    let token = serde_json::from_str::<Value>(&answer).unwrap()["token"].as_str().unwrap().to_owned();
    let bearer = format!("Authorization: Bearer {token}");
    let groups: Value = serde_json::from_str(&call(&lab, "/sepm/api/v1/groups", &["-H", &bearer]).1).unwrap();
    let all = groups["content"].as_array().unwrap();
    let group = all.iter().find(|one| one["name"] == "Default Group").unwrap_or_else(|| panic!("{groups}"));
    let path = format!("/sepm/api/v1/groups/{}", group["id"].as_str().unwrap());
    assert_eq!(call(&lab, &path, &["-H", &bearer]).0, "200");
    let words = lab.words(&["journal", "find", "--kind", "call"], 0);
    let flat = words.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("(group My Company\\Default Group)"), "{words}");
    assert!(!flat.contains("authenticate ("), "{words}");
}

#[needs(curl, python3)]
#[test]
fn an_archive_has_exchanges_and_calls_with_their_headers_sizes_times_and_bodies_and_without_secrets() {
    let lab = RunningLab::frozen(&["--agents", "1"]);
    let (status, answer) = call(
        &lab,
        "/sepm/api/v1/identity/authenticate",
        &["-H", "Content-Type: application/json", "-d", LOG_IN],
    );
    assert_eq!(status, "200");
    let token = serde_json::from_str::<Value>(&answer).unwrap()["token"].as_str().unwrap().to_owned();
    let bearer = format!("Authorization: Bearer {token}");
    assert_eq!(call(&lab, "/sepm/api/v1/groups?pageSize=3&token=hush", &["-H", &bearer]).0, "200");

    let calls = har(&lab, &["--kind", "call"]);
    assert_eq!(calls.len(), 2, "{calls:?}");
    let (log_in, groups) = (&calls[0], &calls[1]);
    assert_eq!((&log_in["request"]["method"], &log_in["response"]["status"]), (&json!("POST"), &json!(200)));
    let sent: Value = serde_json::from_str(log_in["request"]["postData"]["text"].as_str().unwrap()).unwrap();
    assert_eq!((&sent["username"], &sent["password"]), (&json!("admin"), &json!("[redacted]")));
    assert_eq!(log_in["request"]["bodySize"], LOG_IN.len());
    assert!(log_in["time"].as_f64().unwrap() > 0.0 && log_in["response"]["content"]["size"] == answer.len());
    assert!(groups["request"]["url"].as_str().unwrap().ends_with("/groups?pageSize=3&token=redacted"));
    assert!(pairs(&groups["request"]["queryString"]).contains(&("pageSize".into(), "3".into())));
    assert!(pairs(&groups["request"]["headers"]).contains(&("authorization".into(), "[redacted]".into())));
    assert!(groups["response"]["content"]["text"].as_str().unwrap().contains("My Company"));

    let entries = lab.json(&["journal", "find", "--kind", "call"], 0);
    let entry = &entries["entries"][1];
    assert_eq!(
        (&entry["query"], &entry["path"]),
        (&json!("pageSize=3&token=redacted"), &json!("/sepm/api/v1/groups"))
    );
    assert!(entry["duration_ms"].as_f64().unwrap() > 0.0, "{entry}");
    assert!(entries["entries"][0]["body"].as_str().unwrap().contains("\"username\":\"admin\""), "{entries}");

    let all = har(&lab, &[]);
    let of =
        |action: &str| all.iter().find(|one| one["comment"].as_str().unwrap().ends_with(action)).unwrap();
    let (registered, list) = (of(", register"), of(", list"));
    assert_eq!(registered["request"]["method"], "GET");
    assert!(
        pairs(&registered["request"]["queryString"])
            .iter()
            .any(|(name, value)| name == "action" && value == "register")
    );
    assert!(list["response"]["content"]["text"].as_str().unwrap().contains("<"), "{list}");
    assert!(pairs(&list["response"]["headers"]).iter().any(|(name, _)| name == "content-type"));
    // The last ones, of all or of a kind.
    let last = |more: &[&str]| har(&lab, &[more, &["--limit", "1"]].concat());
    assert_eq!((last(&[]).len(), &last(&["--kind", "call"])[..]), (1, &calls[1..]));
    let lines = well(&lab.run(&["journal", "export", "--limit", "2"]));
    assert_eq!(lines.lines().count(), 2, "{lines}");

    let kcs = lab.secret();
    let everything =
        well(&lab.run(&["journal", "export"])) + &well(&lab.run(&["journal", "export", "--har"]));
    for secret in [token.as_str(), "hush", r#"\"password\":\"epm-lab"#, &kcs, &kcs.to_lowercase()] {
        assert!(!everything.contains(secret), "{secret} in the export");
    }
}

#[needs(curl)]
#[test]
fn what_a_fault_refused_came_not_close_to_anything() {
    let lab = RunningLab::frozen(&["--agents", "1"]);
    let misses = || {
        let found = lab.json(&["journal", "near-misses"], 0);
        found.as_array().unwrap().iter().map(|one| one["entry"]["action"].clone()).collect::<Vec<_>>()
    };
    well(&lab.run(&["fault", "add", "busy", "status", "--set", "code=503", "--route", "index"]));
    well(&lab.run(&["clock", "heartbeats", "2"]));
    well(&lab.run(&["fault", "clear"]));
    let refused = lab.json(&["journal", "find", "--status", "503"], 0);
    assert!(refused["total"].as_u64().unwrap() > 1 && refused["entries"][0]["faulted"] == true, "{refused}");
    assert_eq!(misses(), [Value::Null; 0], "of an exchange");

    well(&lab.run(&["fault", "add", "foreign", "self-signed"]));
    well(&lab.run(&["clock", "heartbeats", "2"]));
    well(&lab.run(&["fault", "clear"]));
    let closed = lab.json(&["journal", "find", "--kind", "connection-closed"], 0);
    assert_eq!(closed["entries"][0]["faulted"], true, "{closed}");
    assert_eq!(misses(), [Value::Null; 0], "of a connection");

    // What missed by itself is listed as before.
    let url = format!("{}/secars/other.dll", lab.http());
    output(Command::new("curl").args(["-s", "--max-time", "20", &url]));
    assert_eq!(misses(), ["unknown-path"]);
}

#[needs(curl, node, har_validator)]
#[test]
fn an_archive_is_valid_by_the_published_schema_and_a_trace_finds_its_requests() {
    let lab = RunningLab::frozen(&["--agents", "2"]);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let header = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01");
    let other = "traceparent: 00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-00f067aa0ba902b7-01";
    assert_eq!(call(&lab, "/sepm/api/v1/version", &["-H", &header]).0, "200");
    call(&lab, "/sepm/api/v1/version", &["-H", other]);
    let log_in = ["-H", "Content-Type: application/json", "-H", &header, "-d", LOG_IN];
    call(&lab, "/sepm/api/v1/identity/authenticate", &log_in);
    output(Command::new("curl").args(["-s", "-H", &header, &format!("{}/nothing", lab.http())]));
    // A body that is no text, one that is cut, and a response that a fault writes byte by byte.
    for body in ["\u{1}\u{2}".to_owned(), "x".repeat(20_000)] {
        output(Command::new("curl").args([
            "-s",
            "--data-binary",
            &body,
            &format!("{}/secars/secars.dll?x", lab.http()),
        ]));
    }
    well(&lab.run(&["fault", "add", "odd", "garbage"]));
    well(&lab.run(&["clock", "advance", "3m"]));

    let text = well(&lab.run(&["journal", "export", "--har"]));
    let mut node = Command::new("node");
    node.args(["-e", VALIDATOR]).env("NODE_PATH", "/usr/share/nodejs");
    let told = well(&epm_fixtures::output_of(&mut node, text.as_bytes()));
    let count: usize =
        told.trim().trim_start_matches("valid: ").trim_end_matches(" entries").parse().unwrap();
    assert!(count > 10, "{told}");

    for named in [trace, header.trim_start_matches("traceparent: ")] {
        let found = lab.json(&["journal", "find", "--traceparent", named], 0);
        let found = found["entries"].as_array().unwrap();
        let kinds: Vec<&str> = found.iter().map(|one| one["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["call", "call", "exchange"], "{found:#?}");
        assert!(found.iter().all(|one| one["traceparent"].as_str().unwrap().contains(trace)));
    }
    assert_eq!(har(&lab, &["--traceparent", trace]).len(), 3);
}
