//! `epm-lab evidence`: one file says what happened, has no secret but those that it names, and is a lab again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use epm_client_agent::wire::machine_date;
use serde_json::{Value, json as value};

use crate::harness::{RunningLab, json, needs, output, program, refused, run, stdout, well};

const PASSWORD: &str = "hush-hush-evidence";

/// The parts of an archive, which are in one folder and have the date of this day or of the one before.
pub(crate) fn parts(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(File::open(file).unwrap()).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    let folder = format!("{}/", names[0].split_once('/').unwrap().0);
    assert!(folder.starts_with("evidence-My_Site-20"), "{folder}");
    let now = machine_date();
    let days = [now, now - Duration::from_secs(24 * 60 * 60)]
        .map(|one| one.civil().strftime("%Y-%m-%d").to_string());
    let mut read = |name: &String| {
        let mut entry = archive.by_name(name).unwrap();
        let made = entry.last_modified().unwrap();
        let made = format!("{}-{:02}-{:02}", made.year(), made.month(), made.day());
        assert!(days.contains(&made), "{name}: {made}");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (name.strip_prefix(&folder).unwrap().to_owned(), bytes)
    };
    names.iter().map(&mut read).collect()
}

/// The same archive without a folder, as earlier versions wrote it.
fn without_folder(parts: &BTreeMap<String, Vec<u8>>, to: &Path) {
    let mut archive = zip::ZipWriter::new(File::create(to).unwrap());
    for (name, bytes) in parts {
        archive.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
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
    let ask = |more: &[&str], path: &str| {
        let url = format!("{rest}/sepm/api/v1/{path}");
        output(
            Command::new("curl").args(["-sk", "-H", "Content-Type: application/json"]).args(more).arg(&url),
        )
    };
    ask(&["-H", &bearer], "version");
    // What a tool sends by mistake, and passwords in settings.
    let groups = json(&ask(&["-H", &bearer], "groups"));
    let settings =
        format!("groups/{}/locations/default/settings", groups["content"][0]["id"].as_str().unwrap());
    let body =
        r#"{"configuration":{"password_protection":{"installation":true,"password":"HIDDENuninstall"}}}"#;
    let set = ask(&["-H", &bearer, "-X", "PATCH", "-d", body, "-w", "%{http_code}"], &settings);
    assert!(stdout(&set).ends_with("200"), "{}", stdout(&set));
    let refused = stdout(&ask(&["-H", "Authorization: Bearer HIDDENtoken"], "computers"));
    assert!(refused.contains("HIDDENtoken"), "the answer repeats the token: {refused}");
    let hello = format!("{}/secars/secars.dll?hello,secars&password=HIDDENquery", lab.http());
    output(Command::new("curl").args(["-s", "-H", "Authorization: Bearer HIDDENheader", &hello]));
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
    let facts = lab.json(&["evidence", &file, "--force"], 0);
    assert_eq!(facts, value!({ "file": file, "bytes": std::fs::metadata(&file).unwrap().len() }));

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
    // Identifiers in calls have names: in the list, in the journal, and in the timeline of the page.
    let settings = "/locations/default/settings (group My Company)";
    assert!(words.contains(settings), "{words}");
    let named = text(&found, "journal.ndjson");
    assert!(named.contains(r#""names":{""#) && named.contains(r#":"group My Company""#), "{named}");
    let timeline = output(Command::new("curl").args(["-s", &format!("{}/timeline?kind=call", lab.url())]));
    assert!(stdout(&timeline).contains("(group My Company)"), "{}", stdout(&timeline));
    // Nothing asked for the judgement: it is made for the file.
    let judged: Value = serde_json::from_str(&text(&found, "rotation.json")).unwrap();
    assert_eq!((&judged["asked"], &judged["since"]), (&value!(false), &value!("start")));
    assert_eq!(judged["finding"]["result"], "fail", "{judged}");
    let old: Value = serde_json::from_str(&text(&found, "old-certificates.json")).unwrap();
    let clients = verdict["clients"].as_u64();
    assert_eq!((old[0]["clients"].as_u64(), &old[0]["managers"]), (clients, &value!(["sepm-1"])), "{old}");
    assert_eq!(old[0]["without_new"].as_u64(), clients, "{old}");
    for said in
        ["Judgement of the rotation", "epm-lab check --since start", "Old certificates that clients hold"]
    {
        assert!(words.contains(said), "{said}");
    }
    let events = &words[words.find("What happened").unwrap()..];
    assert!(
        events.contains("desk-1") && events.contains("operator") && !events.contains(">127.64."),
        "{events}"
    );
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
    let encoded = [PASSWORD, &token, "HIDDEN"];
    assert_without(&found, &encoded, &["capture.pcapng"]);
    assert_without(&found, &[&secret, "PRIVATE KEY-----"], &["lab.db", "capture.pcapng"]);
    let without = path("without.zip");
    well(&lab.run(&["evidence", &without, "--no-capture"]));
    assert!(!parts(Path::new(&without)).contains_key("capture.pcapng"));

    assert_eq!(lab.interrupt(), Some(0));
    // Evidence of an earlier version has no folder.
    let flat = path("flat.zip");
    without_folder(&found, Path::new(&flat));
    well(&run(&["lab", "import", &flat, &path("of-flat")]));
    well(&run(&["compare", &flat, &file]));
    let mut open = program();
    open.args(["evidence", "open", &file, &opened, "--", "--control-port", "0", "--rest-password", PASSWORD]);
    let again = RunningLab::as_it_is(&mut open);
    let verdict_again = again.json(&["check"], 3);
    let names = |verdict: &Value| -> Vec<String> {
        verdict["orphaned"].as_array().unwrap().iter().map(|one| one["client"].to_string()).collect()
    };
    assert_eq!(names(&verdict_again), names(&verdict));
    assert_eq!(verdict_again["certificates"], verdict["certificates"]);
    assert!(again.json(&["journal", "count"], 0)["total"].as_u64() > Some(0), "no entry was lost on the way");
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
    assert_without(&found, &[PASSWORD, &token, &secret, "HIDDEN", "PRIVATE KEY-----"], &[]);
    let about: Value = serde_json::from_str(&text(&found, "evidence.json")).unwrap();
    assert!(about["repeat"].as_str().unwrap().contains("--seed 1"), "{about}");
    assert!(text(&found, "evidence.html").contains("has no data folder"));
    let opened = run(&["evidence", "open", file.to_str().unwrap()]);
    refused(&opened, &["has no lab.json", "`epm-lab up --data FOLDER`", "`repeat`"]);
    assert!(!folder.path().join("red-data").exists());
}

#[test]
fn the_evidence_of_a_rotation_has_the_judgement_that_it_was_given_before_a_kill_and_that_of_a_lab_without_one_has_none()
 {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let lab = RunningLab::frozen(&["--agents", "2", "--data", &path("data")]);
    well(&lab.run(&["evidence", &path("before.zip")]));
    let before = parts(Path::new(&path("before.zip")));
    assert!(!before.contains_key("rotation.json") && !before.contains_key("old-certificates.json"));
    assert!(!text(&before, "evidence.html").contains("Judgement of the rotation"));

    let judged = lab.json(&["rotate", "single"], 0)["judgement"].clone();
    lab.kill();
    let lab = RunningLab::up(&["--data", &path("data")]);
    well(&lab.run(&["clock", "advance", "1h"]));
    well(&lab.run(&["evidence", &path("after.zip")]));
    let after = parts(Path::new(&path("after.zip")));
    let kept: Value = serde_json::from_str(&text(&after, "rotation.json")).unwrap();
    assert_eq!(
        (&kept["asked"], &kept["since"], &kept["finding"]),
        (&value!(true), &value!("rotate"), &judged)
    );
    let page = text(&after, "evidence.html");
    let title = judged["findings"][0]["title"].as_str().unwrap();
    assert!(page.contains("compared with the baseline rotate") && page.contains(title), "{page}");
    well(&lab.run(&["snapshot", "reset"]));
    well(&lab.run(&["evidence", &path("reset.zip")]));
    assert!(!parts(Path::new(&path("reset.zip"))).contains_key("rotation.json"));
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
