//! What both programs print besides results: `-v`, `--quiet`, `--color`, and the form and place of the log.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::harness::{
    Running, RunningLab, agent, json, output, program, refused, root, run, stderr, stdout, well,
};

#[test]
fn a_log_in_json_is_appended_to_its_file_one_object_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lab.log");
    let name = file.to_str().unwrap();
    let lab = RunningLab::up(&["--agents", "1", "-vv", "--log-format", "json", "--log-file", name]);
    well(&lab.run(&["check"]));
    assert_eq!(lab.interrupt(), Some(0));
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let is = |line: &Value, message: &str| line["fields"]["message"] == message && line["level"] == "DEBUG";
    let exchange = lines.iter().find(|line| is(line, "exchange") && line["fields"]["action"] == "register");
    assert_eq!(exchange.unwrap()["fields"]["status"], 200);
    assert!(exchange.unwrap()["timestamp"].is_string() && exchange.unwrap()["target"].is_string());

    let before = text.len();
    well(&run(&["-vvv", "assumptions", "--log-file", name]));
    let again = fs::read_to_string(&file).unwrap();
    assert!(again.starts_with(&text) && again.len() >= before);

    std::os::unix::fs::symlink(&file, folder.path().join("link")).unwrap();
    let in_folder = |log: &str| {
        let mut show = program();
        output(show.args(["assumptions", "--log-file", log]).current_dir(folder.path()))
    };
    refused(&in_folder("link"), &["link", "symbolic link"]);
    refused(&in_folder("no/lab.log"), &["no/lab.log", "its folder does not exist"]);
    refused(&in_folder("."), &["--log-file"]);
}

#[test]
fn verbose_is_a_short_form_of_a_level_for_both_programs() {
    let sylink = root().join("fixtures/sylink/exported.xml");
    let doctor = |level: &[&str]| {
        let mut doctor = agent();
        doctor
            .arg("doctor")
            .arg("--sylink")
            .arg(&sylink)
            .args(["--server", "http://127.0.0.1:9"])
            .args(level);
        stderr(&output(&mut doctor))
    };
    assert_eq!(doctor(&[]), "");
    assert!(doctor(&["-vv"]).contains(" DEBUG "));
    assert_eq!(doctor(&["-v"]), "");
    let lines = doctor(&["-vv", "--log-format", "json"]);
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{lines}");
    // What is asked for now counts before the environment.
    let mut check = program();
    check.args(["check", "--lab", "http://127.0.0.1:9", "-q"]).env("EPM_LAB_LOG", "error");
    assert!(stderr(&output(&mut check)).starts_with("error: no lab responds"));
    refused(&run(&["assumptions", "-q", "-v"]), &["cannot be used with"]);
}

#[test]
fn with_quiet_a_lab_prints_the_line_that_it_is_ready_and_nothing_else() {
    let mut up = Running::start(program().args(["up", "--http-port", "0", "--agents", "0", "--quiet"]));
    up.says("\"ready\":true");
    up.signal("INT");
    let (code, said) = up.ends();
    assert_eq!(code, Some(0));
    assert!(!said.contains("epm-lab: a mock") && !said.contains("Stopping"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let issue = ["cert", "issue", "--name", "x", "--out", "c.pem", "--key-out", "k.pem", "-q"];
    let issued = output(program().args(issue).current_dir(folder.path()));
    well(&issued);
    assert_eq!(stderr(&issued), "");
}

#[test]
fn colors_come_when_asked_for_and_not_through_a_pipe() {
    let error =
        |command: &mut Command| stderr(&output(command.args(["check", "--lab", "http://127.0.0.1:9"])));
    let help = |command: &mut Command| stdout(&output(command.args(["up", "--help"])));
    type Case<'a> = (&'a [&'a str], Option<(&'a str, &'a str)>, bool);
    let cases: [Case<'_>; 5] = [
        (&[], None, false),
        (&["--color", "always"], None, true),
        (&["--color=always"], Some(("NO_COLOR", "1")), true),
        (&["--color", "never"], Some(("EPM_LAB_COLOR", "always")), false),
        (&[], Some(("EPM_LAB_COLOR", "always")), true),
    ];
    for (arguments, variable, colored) in cases {
        let lab = || {
            let mut lab = program();
            lab.args(arguments).envs(variable);
            lab
        };
        assert_eq!(error(&mut lab()).starts_with("\u{1b}[1;31merror\u{1b}[0m: "), colored, "{arguments:?}");
        assert_eq!(help(&mut lab()).contains('\u{1b}'), colored, "{arguments:?} {variable:?}");
    }
    let shown = json(&output(program().args(["assumptions", "--json", "--color", "always"])));
    assert!(shown.is_array() || shown.is_object());
}
