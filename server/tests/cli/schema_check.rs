//! Every command that prints facts has `--json`, and a schema of what it prints. Each run of a test is checked against it:
//! `epm_fixtures::output`.

use std::path::Path;

use clap::Command;
use epm_fixtures::commands_with_schema;

use crate::harness::{json, program, run};

/// Commands that print no facts: the others have `--json`.
const NO_FACTS: &[&str] = &[
    "completions",
    // JSON Schemas.
    "config schema",
    "scenario schema",
    "schema",
    // A page of the documentation.
    "failure page",
    // Does what it is told, and has nothing to tell but that.
    "site found",
    // One line of JSON, asked for or not.
    "site manager",
    "up",
];

/// Names of the commands below this one that have none below them, with whether each has `--json`.
fn leaves(command: &Command, above: &str, found: &mut Vec<(String, bool)>) {
    for one in command.get_subcommands().filter(|one| one.get_name() != "help") {
        let name = format!("{above} {}", one.get_name()).trim().to_owned();
        if one.get_subcommands().any(|below| below.get_name() != "help") {
            leaves(one, &name, found);
        } else {
            let has_json = one.get_arguments().any(|option| option.get_long() == Some("json"));
            found.push((name, has_json));
        }
    }
}

#[test]
fn every_command_that_prints_facts_has_json_and_a_schema() {
    let mut all = epm_server::cli::command();
    all.build();
    let mut found = Vec::new();
    leaves(&all, "", &mut found);
    assert!(found.len() > 70, "{found:?}");
    let known = commands_with_schema(Path::new(program().get_program()));
    for (name, has_json) in &found {
        assert_eq!(
            *has_json,
            !NO_FACTS.contains(&name.as_str()),
            "{name}: give it --json, or list it in NO_FACTS"
        );
        assert!(!has_json || known.contains(name), "{name} has --json, and no schema");
    }
    // A scenario is a file, and `evidence` has a command below it.
    for name in known.iter().filter(|name| !["scenario", "evidence"].contains(&name.as_str())) {
        assert!(found.iter().any(|(one, _)| one == name), "{name} has a schema, and is no command");
    }
}

#[test]
fn what_local_commands_print_as_json_is_as_their_schemas_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [one, other] = ["fixtures/sylink/exported.xml", "fixtures/sylink/hand-edited.xml"];
    let scenario = "fixtures/scenarios/single-manager-no-wait.toml";
    let made = [&path("a.crt"), &path("a.key"), &path("a.der"), &path("new.xml")];
    for (arguments, code, place) in [
        (&["sylink", "diff", one, other][..], 1, "/0/what"),
        (&["sylink", "check", one, other], 0, "/0/file"),
        (&["sylink", "show", one], 0, "/kcs_sha256"),
        (&["sylink", "edit", one, "--secure", "off", "--out", made[3]], 0, "/changed/0/what"),
        (&["scenario", "check", scenario], 0, "/steps"),
        (&["config", "show"], 0, "/0/name"),
        (&["assumptions"], 0, "/0/name"),
        (&["fault", "kinds"], 0, "/0/name"),
        (&["failure", "list"], 0, "/0/layer"),
        (&["failure", "diagnose", "--line", "4 Bad format."], 0, "/candidates/0/id"),
        (&["cert", "issue", "--name", "a", "--out", made[0], "--key-out", made[1]], 0, "/key_file"),
        (
            &["cert", "convert", made[0], "--key", made[1], "--to", "der", "--out", made[2]],
            0,
            "/certificates/0/sha256",
        ),
        (&["cert", "show", made[0]], 0, "/refusal"),
        (&["cert", "check", made[0], "--key", made[1]], 0, "/well"),
        (&["cert", "diff", made[0], made[0]], 0, ""),
        (&["run", scenario, "--moved"], 3, "/run/command"),
        (&["rehearse", scenario], 3, "/verdict/reasons/0/code"),
        (&["rehearse", scenario, "--seeds", "2"], 3, "/seeds/1/orphaned"),
        (&["rehearse", scenario, "--sweep", "wait=1h..2h", "--points", "2"], 3, "/points/0/wait"),
    ] {
        let found = run(&[arguments, &["--json"]].concat());
        assert_eq!(found.status.code(), Some(code), "{arguments:?}: {found:?}");
        assert!(json(&found).pointer(place).is_some(), "{arguments:?}: {place}: {found:?}");
    }
}

#[test]
fn each_failure_that_is_shown_or_reproduced_is_as_the_schema_says() {
    for line in json(&run(&["failure", "list", "--json"])).as_array().unwrap() {
        let id = line["id"].as_str().unwrap();
        assert_eq!(json(&run(&["failure", "show", id, "--json"]))["id"], id);
        if line["lab"] != "not reproducible" {
            assert_eq!(json(&run(&["failure", "reproduce", id, "--json"]))["is_as_described"], true, "{id}");
        }
    }
}
