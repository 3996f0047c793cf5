//! Hostile and extreme input to the built programs: refused with a clear message, and nothing outside of its place is written.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::control::Control;
use crate::harness::{Running, RunningLab, agent, output, program, refused, root, run, said, until, well};

/// The answer of the control API, whatever its status.
pub(crate) fn ask(lab: &RunningLab, method: &str, path: &str, body: &Value) -> Value {
    Control(lab.url().to_owned()).call(method, path, body).1
}

fn scenario(folder: &Path, from: &str, to: &str) -> String {
    let text = fs::read_to_string(root().join("fixtures/scenarios/single-manager.toml")).unwrap();
    assert!(text.contains(from), "{from}");
    let file = folder.join("scenario.toml");
    fs::write(&file, text.replacen(from, to, 1)).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn the_name_of_a_manager_is_no_path() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["../m1", "/m1", "a/b", "..", ".hidden", "a\\\\b"] {
        let file = scenario(folder.path(), "name = \"sepm-1\"", &format!("name = \"{name}\""));
        refused(&run(&["rehearse", &file]), &["manager", "a name without / and \\"]);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_scenario_before_1970_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = scenario(folder.path(), "[clock]\n", "[clock]\nstart = \"1969-12-31T23:00:00Z\"\n");
    for command in ["rehearse", "run"] {
        refused(&run(&[command, &file]), &["start: 1969-12-31T23:00:00", "expected a time from 1970-01-01"]);
    }
}

#[test]
fn links_in_a_data_folder_are_not_followed() {
    for name in ["lab.steps", "lab.db"] {
        let folder = tempfile::tempdir().unwrap();
        let (data, victim) = (folder.path().join("data"), folder.path().join("victim"));
        fs::create_dir(&data).unwrap();
        fs::write(&victim, "precious, and longer than sixteen bytes").unwrap();
        symlink(&victim, data.join(name)).unwrap();
        refused(&run(&["up", "--http-port", "0", "--data", data.to_str().unwrap()]), &[name, "is a link"]);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious, and longer than sixteen bytes");
    }
}

#[test]
fn links_in_a_folder_that_a_command_fills_are_replaced_and_lead_to_no_file_with_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let [export, victim, ready] = ["export", "victim", "ready.json"].map(|name| folder.path().join(name));
    fs::create_dir(&export).unwrap();
    fs::write(&victim, "precious").unwrap();
    symlink("../victim", export.join("sylink.xml")).unwrap();
    fs::write(folder.path().join("old.json"), "").unwrap();
    symlink("old.json", &ready).unwrap();
    let (export, name) = (export.to_str().unwrap(), ready.to_str().unwrap());
    let lab = RunningLab::up(&["--agents", "0", "--export", export, "--force", "--ready-file", name]);
    until("the ready file is there", || fs::read(&ready).is_ok_and(|text| !text.is_empty()).then_some(()));
    for (link, target, content) in [
        (Path::new(export).join("sylink.xml"), &victim, "precious"),
        (ready, &folder.path().join("old.json"), ""),
    ] {
        assert_eq!(fs::read_to_string(target).unwrap(), content);
        assert!(fs::symlink_metadata(&link).unwrap().is_file(), "{}", link.display());
    }
    assert_eq!(lab.interrupt(), Some(0));
}

#[test]
fn without_its_database_a_lab_answers_for_nothing_that_it_cannot_keep() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let lab = RunningLab::up(&["--agents", "0", "--data", data.to_str().unwrap()]);
    let add = |group: &str| ask(&lab, "PUT", &format!("/v1/groups/My%20Company%5C{group}"), &json!({}));
    assert_eq!(add("before")["code"], Value::Null);
    fs::remove_dir_all(&data).unwrap();
    let refused = add("after");
    assert!(refused.to_string().contains("was removed or replaced while the lab ran"), "{refused}");
    assert!(!ask(&lab, "GET", "/v1/groups", &json!({})).to_string().contains("after"));
}

#[test]
fn a_pipe_without_a_reader_is_an_error_for_the_ready_file() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    well(&output(Command::new("mkfifo").arg(&pipe)));
    let (code, text) = said(&run(&["up", "--http-port", "0", "--ready-file", pipe.to_str().unwrap()]));
    assert!(code == Some(2) && text.contains("cannot write"), "{code:?} {text}");
}

#[test]
fn a_write_beyond_the_limit_of_a_file_is_an_error_and_no_end_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let script = "ulimit -f 4; exec \"$0\" rehearse fixtures/scenarios/single-manager.toml --report \"$1\"";
    let mut limited = Command::new("bash");
    limited.args(["-c", script]).arg(program().get_program()).arg(&report).current_dir(root());
    let (code, text) = said(&output(&mut limited));
    assert!(code == Some(1) && text.contains("File too large"), "{code:?} {text}");
}

#[test]
fn a_manager_that_sends_interim_answers_without_end_costs_a_client_its_time_limit_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, met) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = sender.send(());
                let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
                while stream.write_all(&interim).is_ok() {}
            });
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("lab");
    let lab = RunningLab::up(&["--agents", "0", "--export", export.to_str().unwrap()]);
    let file = fs::read_to_string(export.join("sylink.xml")).unwrap();
    let own = lab.http().rsplit_once(':').unwrap().1.to_owned();
    let hostile = folder.path().join("hostile.xml");
    fs::write(&hostile, file.replace(&own, &port.to_string()).replace("HttpsPort", "NoPort")).unwrap();
    let mut client = agent();
    client.arg("run").arg("--sylink").arg(&hostile).arg("--state").arg(folder.path().join("state"));
    let client = Running::start(&mut client);
    met.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(client.interrupt(), Some(0), "it heeds a signal meanwhile");
}

#[test]
fn what_another_server_answers_is_no_file_of_a_lab_and_no_line_without_an_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                let read = stream.read(&mut head).unwrap_or_default();
                let asks_for = |path: &[u8]| head[..read].windows(path.len()).any(|one| one == path);
                if asks_for(b"/v1/verdict") || asks_for(b"/v1/expectations") {
                    let _ = stream.write_all(
                        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{\"well\":true}",
                    );
                } else if asks_for(b"tail") {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx-epm-lab: mock\r\n\r\ndata: ");
                    while stream.write_all(&[b'a'; 65_536]).is_ok() {}
                } else {
                    let _ = stream.write_all(
                        b"HTTP/1.1 200 OK\r\nx-epm-lab: mock\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi",
                    );
                }
            });
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.zip");
    let file = file.to_str().unwrap();
    for call in [&["evidence", file][..], &["recovery", "save", "--out", file]] {
        let (code, text) = said(&output(program().args(call).args(["--lab", &url])));
        assert!(code == Some(1) && text.contains("is text/html, not application/zip"), "{code:?} {text}");
    }
    for call in [&["check"][..], &["check", "--expect", "every-client-is-served"]] {
        let (code, text) = said(&output(program().args(call).args(["--lab", &url])));
        let why = format!("no lab answers at {url}: what is there does not say that it is one");
        assert!(code == Some(1) && text.contains(&why), "{code:?} {text}");
    }
    for call in [&["health", "--lab", &url][..], &["clock", "show", "--lab", &url]] {
        let (code, text) = said(&run(call));
        assert!(
            code == Some(1) && text.contains(&format!("no lab answers at {url}: what is there responds")),
            "{code:?} {text}"
        );
    }
    assert!(!std::path::Path::new(file).exists());
    let (code, text) = said(&output(program().args(["journal", "tail", "--lab", &url])));
    assert!(code == Some(1) && text.contains("a line of more than 16 MiB"), "{code:?} {text}");
}

#[test]
fn extreme_numbers_and_times_are_refused_and_nothing_panics() {
    let lab = RunningLab::up(&["--agents", "1", "--heartbeat", "1"]);
    let most = json!({ "heartbeats": u64::MAX, "limit_seconds": 1 });
    until("an ended heartbeat", || {
        (ask(&lab, "GET", "/v1/clients/desk-1", &json!({}))["view"]["heartbeats_served"].as_u64() > Some(1))
            .then_some(())
    });
    let waited = ask(&lab, "POST", "/v1/clock/heartbeats", &most);
    assert!(waited.to_string().contains("timed out after 1s"), "{waited}");
    for (method, path, body, why) in [
        ("PUT", "/v1/clock", json!({ "now": "0000-01-01T00:00:00Z" }), "expected one from 1970-01-01"),
        ("PUT", "/v1/clock", json!({ "now": "3000-01-02T00:00:00Z" }), "to 3000-01-01"),
        ("POST", "/v1/clock/advance", json!({ "by": "1000000000000000000ms" }), "to 3000-01-01"),
        ("POST", "/v1/expectations", json!([]), "at least one expectation"),
        ("POST", "/v1/expectations", json!([{ "expect": "rotation", "rotates": [] }]), "rotates no manager"),
    ] {
        let answer = ask(&lab, method, path, &body);
        assert!(answer.to_string().contains(why), "{method} {path} {body}: {answer}");
    }
    // Nothing is registered: that is no success.
    let (code, text) = said(&lab.run(&["check", "--expected"]));
    assert!(code == Some(4) && text.contains("no expectation is registered"), "{code:?} {text}");
    let large = json!({
        "instance": "x", "began": "2026-01-05T08:00:00Z", "at": "2026-01-05T08:00:09Z", "interval_ms": 60_000, "part": 1, "parts": 1,
        "states": [{ "on": true, "silent": false, "first": {
            "computer_name": "pc", "version": "14.3", "certificates": [], "serial": null, "policy_vouched_by": null,
            "complete": null, "group": "g".repeat(100_000), "secure_communications": true, "list": "list", "server": null,
            "location": null, "health": { "state": "connected", "since": "2026-01-05T08:00:00Z" }, "brought_back": false,
            "quarantined": false, "heartbeats": 1, "heartbeats_served": 1 } }]
    });
    let answer = ask(&lab, "PUT", "/v1/reports/evil", &large);
    assert!(answer.to_string().contains("expected at most 16384"), "{answer}");
}

#[test]
fn what_was_not_looked_at_is_not_said_to_be_well() {
    let lab = RunningLab::up(&["--agents", "2", "--heartbeat", "1"]);
    well(&lab.run(&["snapshot", "take", "before"]));
    for client in ["desk-1", "desk-2"] {
        well(&lab.run(&["client", "offline", client]));
    }
    well(&lab.run(&["check"]));
    well(&lab.run(&["manager", "update", "sepm-1", "--name", "first"]));
    // Both are off, and would be orphaned.
    let (code, text) = said(&lab.run(&["check"]));
    assert!(
        code == Some(1) && text.contains("F01") && text.contains("2 clients, orphaned on return: "),
        "{code:?} {text}"
    );
    for client in ["desk-1", "desk-2"] {
        well(&lab.run(&["client", "online", client]));
    }
    let orphaned = || said(&lab.run(&["check"]));
    until("both to be orphaned", || (orphaned().0 == Some(3)).then_some(()));
    // A later certificate, that they do not know either, is no other reason.
    well(&lab.run(&["manager", "update", "sepm-1", "--name", "second"]));
    well(&lab.run(&["clock", "heartbeats", "3"]));
    let (code, text) = orphaned();
    assert!(code == Some(3) && text.contains("F01") && !text.contains("F24"), "{code:?} {text}");
    // What happened before a snapshot was restored is not known any more.
    let past = ["check", "--expect", "no-client-was-orphaned"];
    assert_eq!(lab.run(&past).status.code(), Some(1));
    well(&lab.run(&["snapshot", "restore", "before"]));
    let (code, text) = said(&lab.run(&past));
    assert!(code == Some(4) && text.contains("a snapshot was restored"), "{code:?} {text}");
}
