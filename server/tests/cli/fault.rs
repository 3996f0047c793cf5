//! `epm-lab fault`, run as a user runs it.

use std::fs;
use std::process::{Command, Output};

use serde_json::json;

use crate::harness::{RunningLab, needs, output, refused, run, said, stdout, well};

fn fault(arguments: &[&str]) -> Output {
    run(&[&["fault"], arguments].concat())
}

const FLAKY: &str = r#"
[[fault]]
name = "flaky"
what = { kind = "status", code = 503 }
where = { route = "index" }
probability = 0.3
"#;

#[test]
fn every_kind_is_listed_with_its_layer_and_the_names_of_others() {
    let table = well(&fault(&["kinds"]));
    for part in ["listener", "tcp", "tls", "certificate", "http", "artifact", "reset-peer", "bad-signature"] {
        assert!(table.contains(part), "{part}");
    }
    let kinds: serde_json::Value = serde_json::from_str(&well(&fault(&["kinds", "--json"]))).unwrap();
    assert!(kinds.as_array().unwrap().len() > 40);
}

#[test]
fn what_a_fault_will_hit_can_be_said_in_advance_and_is_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faults.toml");
    fs::write(&file, FLAKY).unwrap();
    let file = file.to_str().unwrap();
    let explain = |more: &[&str]| -> serde_json::Value {
        let arguments =
            [&["explain", file, "--client", "desktop-1", "--next", "1000", "--json"], more].concat();
        serde_json::from_str(&well(&fault(&arguments))).unwrap()
    };
    let hits = explain(&[]);
    let count = hits["hits"].as_array().unwrap().len();
    assert!((200..400).contains(&count), "{count} of 1000 at a probability of 0.3");
    assert_eq!(hits, explain(&[]));
    assert_ne!(hits, explain(&["--seed", "2"]));
    assert_eq!(explain(&["--route", "policy"])["hits"].as_array().unwrap().len(), 0);
    let told = well(&fault(&["explain", file, "--client", "desktop-1"]));
    assert!(told.contains("Exchanges 1 to 20 on the route index"), "{told}");
}

#[test]
fn what_a_fault_will_hit_at_the_rest_api_can_be_said_in_advance() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faults.toml");
    let rest = FLAKY.replace(r#"route = "index""#, r#"listener = "rest""#);
    fs::write(&file, rest.replace("probability = 0.3", "when = { after = 1, first = 2 }")).unwrap();
    let file = file.to_str().unwrap();
    let told = well(&fault(&["explain", file, "--rest", "--next", "9"]));
    assert!(told.contains("Connections 1 to 9 to the REST API: 0 will be hit"), "{told}");
    assert!(told.contains("Calls 1 to 9 of the REST API: 2 will be hit"), "{told}");
    let json: serde_json::Value =
        serde_json::from_str(&well(&fault(&["explain", file, "--rest", "--json"]))).unwrap();
    assert_eq!((&json["hits"][0]["ordinal"], json["hits"].as_array().unwrap().len()), (&2.into(), 2));
    // The clients are not hit.
    let told = well(&fault(&["explain", file, "--client", "desktop-1"]));
    assert!(told.contains("0 will be hit"), "{told}");
    refused(&fault(&["explain", file, "--rest", "--route", "index"]), &["--route"]);
}

#[test]
fn a_file_that_is_not_sound_is_refused_with_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faults.toml");
    for (from, to, expected) in
        [("probability", "probabilty", "probability"), ("status", "staus", "status"), ("0.3", "1.5", "flaky")]
    {
        fs::write(&file, FLAKY.replacen(from, to, 1)).unwrap();
        refused(&fault(&["explain", file.to_str().unwrap()]), &[expected, "faults.toml"]);
    }
    assert_eq!(fault(&["explain", "missing.toml"]).status.code(), Some(2));
}

#[test]
fn a_fault_of_the_connection_for_one_client_hits_that_client_and_no_other() {
    let lab = RunningLab::frozen(&["--agents", "3"]);
    well(&lab.run(&["fault", "add", "cut", "refuse", "--agent", "desk-2"]));
    well(&lab.run(&["clock", "heartbeats", "2"]));
    let verdict = lab.json(&["check"], 1);
    assert_eq!(verdict["out_of_touch"], serde_json::json!(["desk-2"]), "{verdict}");
    let hit = lab.json(&["journal", "find", "--kind", "fault-applied"], 0);
    let clients: Vec<_> =
        hit["entries"].as_array().unwrap().iter().map(|one| one["client"].clone()).collect();
    assert!(!clients.is_empty() && clients.iter().all(|client| client == "desk-2"), "{hit}");
    // A restored lab has the same addresses.
    well(&lab.run(&["snapshot", "take", "cut"]));
    well(&lab.run(&["snapshot", "restore", "cut"]));
    well(&lab.run(&["clock", "heartbeats", "2"]));
    assert_eq!(lab.json(&["check"], 1)["out_of_touch"], serde_json::json!(["desk-2"]));
}

#[test]
fn a_fault_that_names_what_there_is_not_is_refused_with_the_nearest() {
    let lab = RunningLab::frozen(&["--agents", "3"]);
    let no = |arguments: &[&str], expected: &[&str]| {
        refused(&lab.run(&[&["fault", "add", "x", "refuse"], arguments].concat()), expected);
    };
    no(&["--agent", "desk-22"], &["there is no client \"desk-22\"", "did you mean \"desk-2\"?"]);
    no(&["--manager", "sepm1"], &["there is no manager \"sepm1\"", "did you mean \"sepm-1\"?"]);
    no(&["--group", "My Company\\Defaultgroup"], &["there is no group", "Default Group"]);
    // A fault that would be over at once, and values in the wrong form, are refused by the option.
    for option in ["--for", "--first", "--every"] {
        no(&[option, "0"], &[&format!("'{option} <"), "0 is not in 1.."]);
    }
    no(
        &["--until", "2020-01-01T00:00:00Z"],
        &["it ends at 2020-01-01T00:00:00.000Z; expected a time after "],
    );
    no(&["--version-from", "14"], &["--version-from", "expected two to four numbers with dots, like 14.3"]);
    no(&["--source", "here"], &["--source", "invalid IP address"]);
    assert_eq!(lab.json(&["fault", "list"], 0), serde_json::json!([]));
    for arguments in [["--agent", "later-*"], ["--agent", "DESK-1"], ["--group", "My Company"]] {
        well(&lab.run(&[&["fault", "add", "x", "status"][..], &arguments].concat()));
    }
}

#[test]
fn where_clients_share_an_address_a_fault_of_the_connection_for_some_is_refused_with_the_reason() {
    let lab = RunningLab::frozen(&["--agents", "2", "--address", "localhost"]);
    let add = |arguments: &[&str]| lab.run(&[&["fault", "add", "x"], arguments].concat());
    refused(&add(&["refuse", "--agent", "desk-1"]), &["localhost", "connect from one address", "127.0.0.1"]);
    refused(&add(&["other-self-signed", "--percent", "50"]), &["connect from one address"]);
    well(&add(&["refuse"]));
    well(&add(&["status", "--agent", "desk-1"]));
}

#[needs(curl)]
#[test]
fn an_orphaned_client_whose_manager_does_not_answer_either_shows_both_causes() {
    let lab = RunningLab::frozen(&["--agents", "2"]);
    well(&lab.run(&["manager", "update", "sepm-1", "--name", "careless"]));
    well(&lab.run(&["clock", "advance", "5m"]));
    assert!(lab.json(&["check"], 3)["orphaned"][0].get("also").is_none());
    well(&lab.run(&["fault", "add", "mute", "accept-then-stall"]));
    well(&lab.run(&["clock", "advance", "10m"]));
    let verdict = lab.json(&["check"], 3);
    let failures: Vec<_> = verdict["reasons"].as_array().unwrap().iter().map(|one| &one["failure"]).collect();
    assert_eq!(failures, ["F01", "F20"], "{verdict}");
    assert_eq!(
        (&verdict["orphaned"][0]["reason"], &verdict["orphaned"][0]["also"]),
        (&1.into(), &vec![2].into())
    );
    assert_eq!(verdict["out_of_touch"].as_array().map(Vec::len), Some(0), "the client is counted once");
    let page = output(Command::new("curl").args(["-s", &format!("{}/clients/desk-1", lab.url())]));
    let page = stdout(&page);
    let why = &page[page.find("Why, and what to do").unwrap()..];
    assert!(why.find("/failures/F01").unwrap() < why.find("/failures/F20").unwrap(), "{why}");
    // What is repaired is no longer said.
    well(&lab.run(&["fault", "remove", "mute"]));
    well(&lab.run(&["clock", "advance", "5m"]));
    assert!(lab.json(&["check"], 3)["orphaned"][0].get("also").is_none());
}

#[test]
fn a_fault_is_named_in_the_reason_of_clients_that_it_hit_last_and_of_no_others() {
    let lab = RunningLab::frozen(&["--agents", "6"]);
    // The faults of the reasons of orphaned clients and of those out of touch, after two more heartbeats.
    let faults = || {
        well(&lab.run(&["clock", "heartbeats", "2"]));
        let verdict: serde_json::Value =
            serde_json::from_slice(&lab.run(&["check", "--json"]).stdout).unwrap();
        let all = verdict["reasons"].as_array().unwrap().clone();
        ["orphaned", "out-of-touch"].map(|finding| {
            let of = all.iter().filter(|one| one["finding"] == finding);
            of.map(|one| one["faults"].clone()).collect::<Vec<_>>()
        })
    };
    let none = serde_json::Value::Null;
    let add = |arguments: &[&str]| well(&lab.run(&[&["fault", "add"], arguments].concat()));
    add(&["busy", "status", "--set", "code=503", "--agent", "desk-*"]);
    assert_eq!(faults(), [vec![], vec![json!(["busy"])]]);
    let shown = said(&lab.run(&["check"])).1;
    assert!(shown.contains("`epm-lab fault remove \"busy\"`"), "{shown}");
    // The others have another reason, though a fault hit one of their requests before.
    add(&["once", "status", "--set", "code=500", "--agent", "old-*", "--first", "1"]);
    well(&lab.run(&["manager", "update", "sepm-1"]));
    assert_eq!(faults(), [vec![none.clone()], vec![]], "no request comes to the fault any more");
    add(&["closed", "refuse"]);
    assert_eq!(faults(), [vec![none], vec![json!(["closed"])]]);
    well(&lab.run(&["fault", "clear"]));
    assert!(faults().concat().iter().all(serde_json::Value::is_null));
}
