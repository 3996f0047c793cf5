//! `epm-lab fault`, run as a user runs it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs;
use std::process::{Command, Output, Stdio};

fn fault(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_epm-lab"))
        .arg("fault")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
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
    let table = stdout(&fault(&["kinds"]));
    for part in ["listener", "tcp", "tls", "certificate", "http", "artifact", "reset-peer", "bad-signature"] {
        assert!(table.contains(part), "{part}");
    }
    let kinds: serde_json::Value = serde_json::from_str(&stdout(&fault(&["kinds", "--json"]))).unwrap();
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
        serde_json::from_str(&stdout(&fault(&arguments))).unwrap()
    };
    let hits = explain(&[]);
    let count = hits["hits"].as_array().unwrap().len();
    assert!((200..400).contains(&count), "{count} of 1000 at a probability of 0.3");
    assert_eq!(hits, explain(&[]));
    assert_ne!(hits, explain(&["--seed", "2"]));
    assert_eq!(explain(&["--route", "policy"])["hits"].as_array().unwrap().len(), 0);
    let told = stdout(&fault(&["explain", file, "--client", "desktop-1"]));
    assert!(told.contains("Of the exchanges 1 to 20 on the route index"), "{told}");
}

#[test]
fn a_file_that_is_not_sound_is_refused_with_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faults.toml");
    for (from, to, expected) in
        [("probability", "probabilty", "probability"), ("status", "staus", "status"), ("0.3", "1.5", "flaky")]
    {
        fs::write(&file, FLAKY.replacen(from, to, 1)).unwrap();
        let output = fault(&["explain", file.to_str().unwrap()]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(expected) && error.contains("faults.toml"), "{error}");
    }
    assert_eq!(fault(&["explain", "missing.toml"]).status.code(), Some(2));
}
