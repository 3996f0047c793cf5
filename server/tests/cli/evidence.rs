//! `epm-lab evidence`: one file says what happened, has no secret but those that it names, and is a lab again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json as value};

use crate::harness::{RunningLab, json, needs, output, program, refused, run, stdout, well};

const PASSWORD: &str = "hush-hush-evidence";

/// The parts of an archive.
fn parts(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(File::open(file).unwrap()).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    let mut read = |name: &String| {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        (name.clone(), bytes)
    };
    names.iter().map(&mut read).collect()
}

fn text(parts: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    let bytes = parts.get(name).unwrap_or_else(|| panic!("no {name} among {:?}", parts.keys()));
    String::from_utf8(bytes.clone()).unwrap()
}

/// Asserts that no part has one of these texts, except in the parts named.
fn assert_without(parts: &BTreeMap<String, Vec<u8>>, secrets: &[&str], except: &[&str]) {
    for (name, bytes) in parts.iter().filter(|(name, _)| !except.contains(&name.as_str())) {
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        for secret in secrets {
            assert!(!text.contains(&secret.to_lowercase()), "{name} has {secret}");
        }
    }
}

/// A log-in at the REST API: the token.
fn log_in(lab: &RunningLab) -> String {
    let rest = lab.ready["managers"][0]["rest"].as_str().unwrap();
    let who = format!(r#"{{"username":"admin","password":"{PASSWORD}","domain":""}}"#);
    let url = format!("{rest}/sepm/api/v1/identity/authenticate");
    let arguments = ["-sk", "-H", "Content-Type: application/json", "-d", &who, &url];
    let answer = output(Command::new("curl").args(arguments));
    let token = json(&answer)["token"].as_str().unwrap().to_owned();
    let bearer = format!("Authorization: Bearer {token}");
    output(Command::new("curl").args(["-sk", "-H", &bearer, &format!("{rest}/sepm/api/v1/version")]));
    token
}

fn call(lab: &RunningLab, path: &str, body: &str) {
    let url = format!("{}{path}", lab.url());
    let arguments = ["-sf", "-X", "PUT", "-H", "content-type: application/json", "-d", body, &url];
    well(&output(Command::new("curl").args(arguments)));
}

#[needs(curl, tshark)]
#[test]
fn the_evidence_of_a_careless_rotation_says_why_without_the_lab_and_is_that_lab_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, file, opened) = (path("data"), path("red.zip"), path("opened"));
    let lab =
        RunningLab::frozen(&["--data", &data, "--pcap", &path("all.pcapng"), "--rest-password", PASSWORD]);
    let (token, secret) = (log_in(&lab), lab.secret());
    call(&lab, "/v1/expectations/none-lost", r#"{"expect":"no-client-is-orphaned"}"#);
    well(&lab.run(&["fault", "add", "busy", "status", "--set", "code=503", "--agent", "old-1"]));
    well(&lab.run(&["clock", "advance", "3m"]));
    call(&lab, "/v1/managers/sepm-1/certificate/careless", "{}");
    well(&lab.run(&["clock", "advance", "10m"]));
    let verdict = lab.json(&["check"], 3);
    assert!(well(&lab.run(&["evidence", &file])).contains("unpack it and open evidence.html"));
    refused(&lab.run(&["evidence", &file]), &["already exists", "--force"]);

    let found = parts(Path::new(&file));
    let kept: Value = serde_json::from_str(&text(&found, "verdict.json")).unwrap();
    assert_eq!(kept["orphaned"], verdict["orphaned"]);
    let expectations: Value = serde_json::from_str(&text(&found, "expectations.json")).unwrap();
    assert_eq!((&expectations[0]["name"], &expectations[0]["result"]), (&"none-lost".into(), &"fail".into()));
    let page = text(&found, "evidence.html");
    let sentence = verdict["reasons"][0]["sentence"].as_str().unwrap();
    let words = page.replace("&quot;", "\"");
    let remedy = verdict["reasons"][0]["remedy"].as_str().unwrap();
    for said in [
        sentence,
        remedy,
        "desk-1",
        "none-lost",
        "fault busy:",
        "The same lab again",
        "capture.pcapng",
        "passwords and tokens",
    ] {
        assert!(words.contains(said), "{said:?} is missing in {page}");
    }
    assert!(
        !page.contains("src=") && !page.contains("href=\"http") && !page.contains("@import"),
        "it is self-contained"
    );
    for name in [
        "journal.ndjson",
        "journal.har",
        "assumptions.json",
        "lab.db",
        "lab.json",
        "certificates/sepm-1-client.pem",
        "managers/ersecreg.log",
    ] {
        assert!(found.contains_key(name), "{name}");
    }
    // The log of a client names its failure, and the capture is read as any other.
    let unpacked = |name: &str| {
        let to = path(&name.replace('/', "-"));
        fs::write(&to, &found[name]).unwrap();
        to
    };
    let log = unpacked("clients/desk-1/syslog.log");
    let number = verdict["orphaned"][0]["failure"].as_str().unwrap();
    let diagnosed = stdout(&run(&["failure", "diagnose", &log]));
    assert!(diagnosed.contains(number), "{diagnosed}");
    let capture = unpacked("capture.pcapng");
    let read = output(Command::new("tshark").args(["-n", "-r", &capture, "-Y", "tls.alert_message.desc == 46 or tls.alert_message.desc == 42 or tls.alert_message.desc == 48 or http.response.code == 503"]));
    assert!(!read.stdout.is_empty(), "a client that refuses the certificate, or the fault");
    // Played again, it orphans the same clients. The lab's clock ran while it was set up, so the times differ by the moments that took.
    let scenario = unpacked("scenario.toml");
    let again: Value = serde_json::from_str(&stdout(&run(&["rehearse", &scenario, "--json"]))).unwrap();
    let lost = |verdict: &Value| {
        let lost = |one: &Value| (one["client"].clone(), one["failure"].clone());
        verdict["orphaned"].as_array().unwrap().iter().map(lost).collect::<Vec<_>>()
    };
    assert_eq!(lost(&again["verdict"]), lost(&verdict), "{scenario}");
    let recorded = path("recorded.toml");
    let said = lab.json(&["scenario", "record", &recorded], 0);
    assert_eq!(
        (said["left_out"].as_array().unwrap().len(), &said["written"]),
        (1, &value!([recorded])),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&recorded).unwrap(), text(&found, "scenario.toml"));
    refused(&lab.run(&["scenario", "record", &recorded]), &["already exists", "--force"]);
    // The lab has its own keys and its shared secret; nothing has a password or a token.
    let encoded = [PASSWORD, &token];
    assert_without(&found, &encoded, &["capture.pcapng"]);
    assert_without(&found, &[&secret, "PRIVATE KEY-----"], &["lab.db", "capture.pcapng"]);
    let without = path("without.zip");
    well(&lab.run(&["evidence", &without, "--no-capture"]));
    assert!(!parts(Path::new(&without)).contains_key("capture.pcapng"));

    assert_eq!(lab.interrupt(), Some(0));
    let mut open = program();
    open.args(["evidence", "open", &file, &opened, "--", "--control-port", "0", "--rest-password", PASSWORD]);
    let again = RunningLab::as_it_is(&mut open);
    let verdict_again = again.json(&["check"], 3);
    let names = |verdict: &Value| -> Vec<String> {
        verdict["orphaned"].as_array().unwrap().iter().map(|one| one["client"].to_string()).collect()
    };
    assert_eq!(names(&verdict_again), names(&verdict));
    assert_eq!(verdict_again["certificates"], verdict["certificates"]);
}

#[needs(curl)]
#[test]
fn the_evidence_of_a_lab_without_a_data_folder_has_no_secret_at_all_and_says_how_to_have_the_lab_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("red.zip");
    let lab = RunningLab::frozen(&["--rest-password", PASSWORD]);
    let (token, secret) = (log_in(&lab), lab.secret());
    well(&lab.run(&["evidence", file.to_str().unwrap()]));
    let found = parts(&file);
    assert!(!found.contains_key("lab.db") && !found.contains_key("capture.pcapng"));
    assert_without(&found, &[PASSWORD, &token, &secret, "PRIVATE KEY-----"], &[]);
    let about: Value = serde_json::from_str(&text(&found, "evidence.json")).unwrap();
    assert!(about["repeat"].as_str().unwrap().contains("--seed 1"), "{about}");
    assert!(text(&found, "evidence.html").contains("has no data folder"));
    let opened = run(&["evidence", "open", file.to_str().unwrap()]);
    refused(&opened, &["has no lab.json", "`epm-lab up --data FOLDER`", "`repeat`"]);
    assert!(!folder.path().join("red-data").exists());
}

#[needs(curl, openssl)]
#[test]
fn nothing_of_a_foreign_certificate_travels_with_the_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (path("key.pem"), path("certificate.pem"));
    let request = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=foreign.example",
        "-days",
        "900",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ];
    well(&output(Command::new("openssl").args(request).args(["-keyout", &key, "-out", &certificate])));
    let shown = well(&output(Command::new("openssl").args([
        "x509",
        "-in",
        &certificate,
        "-noout",
        "-fingerprint",
        "-sha256",
    ])));
    let fingerprint = shown.trim().rsplit('=').next().unwrap().to_owned();
    let lab = RunningLab::frozen(&[
        "--data",
        &path("data"),
        "--pcap",
        &path("all.pcapng"),
        "--certificate",
        &certificate,
        "--key",
        &key,
    ]);
    assert!(lab.ready.to_string().contains(&fingerprint));
    well(&lab.run(&["evidence", &path("red.zip")]));
    let found = parts(Path::new(&path("red.zip")));
    let body = |file: &str| fs::read_to_string(file).unwrap().lines().rev().nth(2).unwrap().to_owned();
    let plain = fingerprint.replace(':', "");
    // The manifest names what was replaced, by its fingerprint.
    assert_without(&found, &[&fingerprint, &plain], &["lab.json", "README.txt"]);
    assert_without(&found, &[&body(&key), &body(&certificate), "PRIVATE KEY-----"], &[]);
    assert!(!found.contains_key("capture.pcapng"));
    let page = text(&found, "evidence.html");
    assert!(page.contains("The capture was left out") && page.contains("README.txt names them"), "{page}");
}
