//! The configuration of `epm-lab up`: flags before the environment before the file, errors with their place, and scenarios that
//! are brought up as labs.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{
    Running, RunningLab, json, output, program, refused, root, run, said, stdout, until, well,
};

const FILE: &str = "\
http_port = 0
agents = 2
heartbeat = 60
rest_password = \"hush-hush\"
keystore = \"keys/store.jks\"
alias = \"tomcat\"
export = \"out\"

[assume]
rest_throttle_calls = 7
";

/// `epm-lab` in a folder.
fn program_in(folder: &Path) -> Command {
    let mut command = program();
    command.current_dir(folder);
    command
}

/// Value and source of an option, as `config show --json` has them.
fn option<'a>(shown: &'a Value, name: &str) -> (&'a Value, &'a Value) {
    let all = shown.as_array().unwrap();
    let one = all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} in {shown}"));
    (&one["value"], &one["source"])
}

#[test]
fn a_flag_counts_before_a_variable_and_a_variable_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("lab")).unwrap();
    fs::write(folder.path().join("lab/my.toml"), FILE).unwrap();
    let mut show = program_in(folder.path());
    show.args(["config", "show", "--config", "lab/my.toml", "--json", "--agents", "9"]);
    show.env("EPM_LAB_AGENTS", "8").env("EPM_LAB_HEARTBEAT", "3").env("EPM_LAB_NO_REST", "on");
    let out = output(&mut show);
    well(&out);
    assert!(!stdout(&out).contains("hush-hush"), "{}", stdout(&out));
    let shown = json(&out);
    let file = |line: usize| serde_json::json!({ "kind": "file", "file": "lab/my.toml", "line": line });
    assert_eq!(option(&shown, "agents"), (&9.into(), &serde_json::json!({ "kind": "flag" })));
    let variable = serde_json::json!({ "kind": "environment", "variable": "EPM_LAB_HEARTBEAT" });
    assert_eq!(option(&shown, "heartbeat"), (&3.into(), &variable));
    assert_eq!(option(&shown, "http_port"), (&0.into(), &file(1)));
    assert_eq!(option(&shown, "rest_password"), (&Value::Null, &file(4)));
    // A path is relative to the folder of the file.
    assert_eq!(option(&shown, "export"), (&"lab/out".into(), &file(7)));
    assert_eq!(option(&shown, "assume").0, &serde_json::json!(["rest_throttle_calls=7"]));
    assert_eq!(option(&shown, "no_rest").0, &Value::Bool(true));
    assert_eq!(option(&shown, "managers").1["kind"], "default");

    // What a flag excludes does not count, nor what belongs to it.
    let certificate =
        ["config", "show", "--config", "lab/my.toml", "--json", "--certificate", "c", "--key", "k"];
    let shown = json(&output(program_in(folder.path()).args(certificate)));
    assert_eq!(option(&shown, "keystore").0, &Value::Null, "{shown}");
    assert_eq!(option(&shown, "alias").0, &Value::Null, "{shown}");

    // Without `--config`, the variable names the file, and without it, it is the one in the working directory.
    let shown = json(&output(
        program_in(folder.path()).args(["config", "show", "--json"]).env("EPM_LAB_CONFIG", "lab/my.toml"),
    ));
    assert_eq!(option(&shown, "agents").1, &file(2));
    fs::write(folder.path().join("epm-lab.toml"), "agents = 4\n").unwrap();
    let shown = well(&output(program_in(folder.path()).args(["config", "show"])));
    let line = shown.lines().find(|line| line.starts_with("agents ")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["agents", "4", "epm-lab.toml:1"]);
}

#[test]
fn what_is_wrong_in_the_file_is_named_with_its_line_and_column_and_nothing_is_started() {
    let folder = tempfile::tempdir().unwrap();
    for (text, expected) in [
        (
            "seed = 1\nagnets = 3\n",
            &["epm-lab.toml:2:1: unknown option \"agnets\"; did you mean \"agents\"?"][..],
        ),
        ("agents = \"3\"\n", &["epm-lab.toml:1:10: agents: expected an integer, found a string"]),
        ("agents = 200000\n", &["epm-lab.toml:1:10: agents: 200000 is not in 0..=100000"]),
        (
            "log_format = \"jsn\"\n",
            &["epm-lab.toml:1:14:", "expected one of text, json", "did you mean \"json\"?"],
        ),
        ("no_rest = 1\n", &["epm-lab.toml:1:11: no_rest: expected true or false"]),
        ("hold = \"2h\"\n", &["epm-lab.toml:1:8: hold: expected from 1ms to 1h, found 2h"]),
        ("[assume]\nrest_throtle_calls = 1\n", &["epm-lab.toml:2:1: assume:", "rest_throttle_calls"]),
        ("allow_host = [1]\n", &["epm-lab.toml:1:15: allow_host: expected a string, found an integer"]),
        ("agents = 3\nagents = 4\n", &["epm-lab.toml:2:1"]),
        ("config = \"x\"\n", &["epm-lab.toml:1:1: unknown option \"config\""]),
        ("certificate = \"c\"\n", &["--key <FILE>", "options were also read from epm-lab.toml"]),
    ] {
        fs::write(folder.path().join("epm-lab.toml"), text).unwrap();
        refused(&output(program_in(folder.path()).args(["up", "--http-port", "0"])), expected);
    }
    refused(&run(&["up", "--config", "missing.toml"]), &["cannot read missing.toml"]);
    refused(
        &output(program().arg("up").env("EPM_LAB_AGENTS", "many")),
        &["'EPM_LAB_AGENTS, the variable of --agents <COUNT>'", "many"],
    );
    refused(
        &output(program().args(["up", "--rest-port", "0"]).env("EPM_LAB_NO_REST", "1")),
        &["EPM_LAB_NO_REST, the variable of --no-rest", "cannot be used with", "'--rest-port <PORT>'"],
    );
    let no_text = OsStr::from_bytes(b"\xFF");
    for variable in ["EPM_LAB_AGENTS", "EPM_LAB_LOG", "EPM_LAB_REST_PASSWORD"] {
        refused(
            &output(program().arg("up").env(variable, no_text)),
            &["the value of", variable, "is not text in UTF-8"],
        );
    }
}

#[test]
fn a_lab_starts_as_its_file_says_and_says_where_its_options_are_from() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("epm-lab.toml"), "http_port = 0\nagents = 1\nready_file = \"ready.json\"\nseed = 5\n")
        .unwrap();
    let lab = RunningLab::as_it_is(program_in(at).arg("up").env("EPM_LAB_HEARTBEAT", "60"));
    assert_eq!(lab.ready["clients"].as_array().unwrap().len(), 1);
    assert_eq!(lab.ready["seed"], 5);
    until("the ready file", || at.join("ready.json").is_file().then_some(()));
    lab.kill();
    let mut up = Running::start(program_in(at).args(["up", "--agents", "0"]).env("EPM_LAB_HEARTBEAT", "60"));
    up.says("Options are also from epm-lab.toml, EPM_LAB_HEARTBEAT.");
    assert_eq!(up.interrupt(), Some(0));
}

#[test]
fn the_schema_has_every_option_of_up_with_a_key_and_takes_what_the_program_takes() {
    let schema = json(&run(&["config", "schema"]));
    let shown = json(&run(&["config", "show", "--json"]));
    let names: Vec<&str> =
        shown.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    let properties = schema["properties"].as_object().unwrap();
    assert_eq!(properties.len(), names.len());
    for name in names {
        assert!(properties[name]["description"].as_str().unwrap().len() > 10, "{name}");
    }
    assert_eq!(properties["agents"]["type"], "integer");
    assert_eq!(properties["allow_host"]["type"], "array");
    assert_eq!(properties["log_format"]["enum"], serde_json::json!(["text", "json"]));
}

#[test]
fn a_scenario_is_brought_up_as_a_lab_that_stays() {
    let scenario = "fixtures/scenarios/single-manager.toml";
    let lab = RunningLab::as_it_is(program().args(["up", scenario, "--http-port", "0"]));
    assert_eq!(lab.ready["seed"], 7);
    let clients = lab.json(&["client", "list"], 0);
    assert_eq!(clients["clients"].as_array().unwrap().len(), 11, "{clients}");
    let clock = lab.json(&["clock", "show"], 0);
    assert!(clock["speed"].as_u64().unwrap() > 1, "{clock}");
    let verdict = lab.json(&["check"], 0);
    // No step has been executed, and lab time began where the scenario says.
    assert_eq!(verdict["well"], true, "{verdict}");
    assert!(verdict["orphaned"].as_array().unwrap().is_empty(), "{verdict}");
    assert_eq!(lab.interrupt(), Some(0));
    refused(&run(&["up", scenario, "--agents", "3"]), &["cannot be used with '--agents <COUNT>'"]);
    // Where a scenario has the managers listen is checked as the option is.
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(root().join(scenario)).unwrap();
    let open = text.replacen("name = \"sepm-1\"", "name = \"sepm-1\", address = \"0.0.0.0\"", 1);
    assert_ne!(open, text);
    fs::write(folder.path().join("open.toml"), open).unwrap();
    refused(
        &output(program_in(folder.path()).args(["up", "open.toml"])),
        &["0.0.0.0 can be reached", "`--lab`"],
    );
}

#[test]
fn a_scenario_is_read_from_standard_input_under_that_name() {
    let file = root().join("fixtures/scenarios/single-manager.toml");
    let text = fs::read_to_string(&file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.toml");
    fs::write(&wrong, text.replacen("title", "titel", 1)).unwrap();
    let from = |file: &Path, arguments: &[&str]| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$0\" \"$@\" < \"$SCENARIO\""]).arg(program().get_program());
        output(shell.args(arguments).env("SCENARIO", file).current_dir(root()))
    };
    for arguments in [&["run", "-", "--moved"][..], &["rehearse", "-"], &["scenario", "check", "-"]] {
        let (code, shown) = said(&from(&file, arguments));
        assert_eq!(code, Some(0), "{arguments:?}: {shown}");
        refused(&from(&wrong, arguments), &["<stdin>:", "did you mean \"title\"?"]);
    }
    let outcome = json(&from(&file, &["rehearse", "-", "--json"]));
    assert_eq!(outcome["run"]["scenario_file"], "<stdin>", "{outcome}");
    refused(&from(&wrong, &["up", "-"]), &["<stdin>:"]);
}

#[test]
fn every_scenario_names_its_schema_which_is_the_one_that_the_program_prints() {
    let printed = json(&run(&["scenario", "schema"]));
    assert!(printed["$id"].as_str().unwrap().ends_with("/scenario.schema.json"), "{}", printed["$id"]);
    let folder = root().join("fixtures/scenarios");
    let mut count = 0;
    for scenario in fs::read_dir(&folder).unwrap() {
        let path = scenario.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let named = text.lines().next().and_then(|line| line.strip_prefix("#:schema "));
        let schema = folder.join(named.unwrap_or_else(|| panic!("{path:?} begins with no `#:schema` line")));
        let schema =
            fs::read_to_string(&schema).unwrap_or_else(|error| panic!("{path:?}: {schema:?}: {error}"));
        assert_eq!(serde_json::from_str::<Value>(&schema).unwrap(), printed, "{path:?}");
        count += 1;
    }
    assert!(count >= 20, "{count}");
}
