//! The ready file of a lab, and labs that do not respond.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Output;

use crate::harness::{Running, RunningLab, needs, output, program, refused, said, until, well};

/// Runs a verb on the lab of this ready file.
#[track_caller]
fn at(file: &Path, arguments: &[&str]) -> Output {
    output(program().env("EPM_LAB_READY_FILE", file).args(arguments))
}

#[track_caller]
fn failed(output: &Output, expected: &[&str]) {
    let (code, words) = said(output);
    assert_eq!(code, Some(1), "{words}");
    for part in expected {
        assert!(words.contains(part), "expected {part:?} in: {words}");
    }
}

#[test]
fn a_ready_file_leads_to_its_lab_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ready.json");
    let name = file.to_str().unwrap();
    refused(&at(&file, &["check"]), &["there is no", "not ready yet, or has ended", "up --ready-file"]);
    let up = |more: &[&str]| RunningLab::up(&[&["--agents", "0", "--ready-file", name], more].concat());
    let lab = up(&[]);
    until("the file is there", || file.exists().then_some(()));
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600, "it holds the shared secret");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    well(&at(&file, &["clock", "show"]));
    let written: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["kcs"], lab.secret());
    let (port, pid) = (lab.url().rsplit(':').next().unwrap().to_owned(), lab.ready["pid"].to_string());
    lab.kill();
    let old = fs::read_to_string(&file).unwrap();
    failed(&at(&file, &["check"]), &["no lab responds", "is stale", &pid, "remove the file"]);
    // Another lab takes the same port, and the same file: what was read before is of the other one.
    let other = up(&["--control-port", &port]);
    until("its own file is there", || fs::read_to_string(&file).is_ok_and(|text| text != old).then_some(()));
    let kept = folder.path().join("kept.json");
    fs::write(&kept, &old).unwrap();
    failed(&at(&kept, &["check"]), &["kept.json is stale", &pid, "is another one"]);
    failed(&at(&kept, &["clock", "freeze"]), &["is another one"]);
    well(&at(&file, &["clock", "show"]));
    fs::write(&kept, "{}").unwrap();
    refused(&at(&kept, &["check"]), &["is no ready file", "control_api"]);
    assert_eq!(other.interrupt(), Some(0));
    assert!(!file.exists(), "a lab that has ended is not ready");
}

#[test]
fn what_a_lab_prints_has_no_secret_and_says_which_command_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ready.json");
    let arguments = ["up", "--http-port", "0", "--agents", "1", "--log", "debug", "--ready-file"];
    let mut up = Running::start(program().args(arguments).arg(&file));
    up.says("\"ready\":true");
    let written = until("the file is there", || fs::read(&file).ok());
    let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
    let secret = written["kcs"].as_str().unwrap();
    up.signal("INT");
    let (_, printed) = up.ends();
    assert!(secret.len() == 32 && !printed.to_lowercase().contains(&secret.to_lowercase()), "{printed}");
    assert!(printed.contains("epm-lab sylink show sylink/sylink.xml --show-secret"), "{printed}");
}

#[test]
fn a_lab_removes_the_ready_file_of_an_earlier_one_first_and_never_that_of_a_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ready.json");
    fs::write(&file, "{\"ready\":true}").unwrap();
    let arguments = ["up", "--http-port", "0", "--bind", "192.0.2.1", "--ready-file", file.to_str().unwrap()];
    refused(&output(program().args(arguments)), &["192.0.2.1"]);
    assert!(!file.exists(), "this lab is not ready");
    let lab = RunningLab::up(&["--agents", "0", "--ready-file", file.to_str().unwrap()]);
    until("the file is there", || file.exists().then_some(()));
    // A start that cannot be leaves the file of a lab that runs.
    refused(&output(program().args(arguments)), &["ready.json is that of the lab of process", "which runs"]);
    assert!(file.exists());
    fs::write(&file, "of another lab").unwrap();
    assert_eq!(lab.interrupt(), Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), "of another lab");
    // A link is written through, and stays.
    let link = folder.path().join("link");
    symlink("/dev/null", &link).unwrap();
    let lab = RunningLab::up(&["--agents", "0", "--ready-file", link.to_str().unwrap()]);
    assert_eq!(lab.interrupt(), Some(0));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[needs(bash)]
#[test]
fn every_call_of_a_stopped_lab_ends_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ready.json");
    let lab = RunningLab::up(&["--agents", "1", "--ready-file", file.to_str().unwrap()]);
    until("the file is there", || file.exists().then_some(()));
    let pid = lab.ready["pid"].to_string();
    // A long call goes on, since the lab responds to others meanwhile.
    well(&lab.run(&["clock", "heartbeats", "1", "--timeout", "1"]));
    let signal = |name: &str| {
        well(&output(std::process::Command::new("bash").args(["-c", &format!("kill -{name} {pid}")])))
    };
    signal("STOP");
    let rest = lab.ready["managers"][0]["rest"].as_str().unwrap();
    for arguments in [
        &["check", "--timeout", "1"][..],
        &["clock", "advance", "1h", "--timeout", "1"],
        &["journal", "tail", "--timeout", "1"],
        &["rotate", "single", "--timeout", "1", "--rest", rest],
    ] {
        failed(&lab.run(arguments), &["does not respond", "answered nothing for 1 s", "kill -CONT PID"]);
    }
    failed(&at(&file, &["check", "--timeout", "1"]), &[&format!("kill -CONT {pid}")]);
    failed(&lab.run(&["health", "--lab", lab.url(), "--seconds", "1"]), &["did not respond within 1 second"]);
    signal("CONT");
    well(&lab.run(&["check"]));
}
