//! `epm-lab up` over an installation folder with files that a service cannot use.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Running, program, run, said, until};

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

#[test]
fn a_port_that_another_program_took_while_the_web_server_was_down_keeps_it_down_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("sepm");
    let (lab, ready) = up(root.to_str().unwrap());
    let control = ready["control_api"].as_str().unwrap();
    let restart = || said(&run(&["service", "restart", "semwebsrv", "--lab", control]));
    let key = root.join("apache/conf/ssl/server.key");
    let good = fs::read(&key).unwrap();
    fs::write(&key, "no key\n").unwrap();
    let (code, text) = restart();
    assert!(code == Some(1) && text.contains("AH02564"), "{code:?} {text}");
    let https = ready["managers"][0]["https"].as_str().unwrap().strip_prefix("https://").unwrap();
    let taken = until("the port of the web server", || TcpListener::bind(https).ok());
    fs::write(&key, good).unwrap();
    let (code, text) = restart();
    let why = format!("AH00072: make_sock: could not bind to address {https}");
    assert!(code == Some(1) && text.contains(&why), "{code:?} {text}");
    let logs = fs::read_dir(root.join("apache/logs")).unwrap().map(|one| one.unwrap().path());
    let has = |one: &PathBuf| fs::read_to_string(one).unwrap().contains(&why);
    assert!(logs.filter(|one| one.to_string_lossy().contains("error-")).any(|one| has(&one)));
    let (_, text) = said(&run(&["health", "--lab", control]));
    assert!(text.contains(&why), "{text}");
    // A recovery file brings the files back, and not the port.
    let zip = folder.path().join("recovery.zip");
    let zip = zip.to_str().unwrap();
    assert_eq!(run(&["recovery", "save", "--out", zip, "--lab", control]).status.code(), Some(0));
    let (code, text) = said(&run(&["recovery", "restore", zip, "--database", "--lab", control]));
    assert!(code == Some(1) && text.contains("was reinstalled") && text.contains(&why), "{code:?} {text}");
    taken.set_nonblocking(true).unwrap();
    until("clients without their manager", || {
        // The other program hangs up.
        while taken.accept().is_ok() {}
        let (_, text) = said(&run(&["check", "--lab", control]));
        (text.contains("F29 (Another program holds the HTTPS port)") && text.contains(&why)).then_some(())
    });
    drop(taken);
    let (code, text) = restart();
    assert!(code == Some(0), "{code:?} {text}");
    let (code, text) = said(&run(&["health", "--lab", control]));
    assert!(code == Some(0), "{code:?} {text}");
    assert_eq!(lab.interrupt(), Some(0));
}
