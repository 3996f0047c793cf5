//! `epm-lab up` over an installation folder with files that a service cannot use.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Running, program, run, said};

/// Starts a lab over this folder, and returns it with its ready line and what it printed before.
fn up(folder: &str) -> (Running, Value) {
    let mut lab =
        Running::start(program().args(["up", "--http-port", "0", "--agents", "5", "--install-root", folder]));
    let ready = lab.says("{\"ready\":true");
    (lab, serde_json::from_str(&ready).unwrap())
}

#[test]
fn with_a_broken_store_the_lab_is_ready_and_says_which_service_is_down_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let root = path("sepm");
    let (lab, ready) = up(root.to_str().unwrap());
    assert!(ready["managers"][0]["fingerprint"].is_string() && ready["services_down"].is_null(), "{ready}");
    assert_eq!(ready["clients"].as_array().unwrap().len(), 5);
    assert_eq!(lab.interrupt(), Some(0));

    fs::write(root.join("apache/conf/ssl/server.crt"), "no certificate\n").unwrap();
    let (lab, ready) = up(root.to_str().unwrap());
    assert_eq!(ready["services_down"], json!({"sepm-1": ["semwebsrv"]}));
    assert!(
        ready["managers"][0]["fingerprint"].is_null(),
        "nothing is announced that is not served: {ready}"
    );
    let why = ready["service_errors"]["sepm-1"]["semwebsrv"].as_str().unwrap();
    assert!(why.starts_with("AH02562: ") && why.contains("apache/conf/ssl/server.crt"), "{why}");
    let control = ready["control_api"].as_str().unwrap();
    let (code, text) = said(&run(&["health", "--lab", control]));
    assert!(code == Some(1) && text.contains("sepm-1: semwebsrv is down: AH02562"), "{text}");
    let (code, text) = said(&run(&["check", "--lab", control]));
    assert!(code == Some(3) || code == Some(1), "{text}");
    assert!(text.contains("semwebsrv of sepm-1 is down"), "{text}");
    lab.signal("INT");
    let (code, heard) = lab.ends();
    assert_eq!(code, Some(0));
    assert!(heard.contains("warning: sepm-1: semwebsrv is down: AH02562"), "{heard}");
    assert!(heard.contains("warning: clients not served: 5 ("), "{heard}");

    fs::write(root.join("tomcat/etc/keystore.jks"), "no keystore").unwrap();
    let (lab, ready) = up(root.to_str().unwrap());
    assert_eq!(ready["services_down"], json!({"sepm-1": ["semsrv", "semwebsrv"]}));
    assert_eq!(lab.interrupt(), Some(0));
}
