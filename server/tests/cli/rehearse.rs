//! `epm-lab rehearse`, run as a user runs it: what it prints, what it writes, what it refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::harness::{Running, json, junit_cases, needs, program, refused, root, run, said, stdout, well};

fn rehearse(arguments: &[&str]) -> Output {
    run(&[&["rehearse"], arguments].concat())
}

fn scenario(name: &str) -> String {
    format!("fixtures/scenarios/{name}.toml")
}

/// A scenario of the project with one thing changed, in a file of its own.
fn changed(folder: &Path, name: &str, from: &str, to: &str) -> PathBuf {
    let before = fs::read_to_string(root().join(scenario(name))).unwrap();
    assert!(before.contains(from), "{from:?} in {name}");
    let file = folder.join("changed.toml");
    fs::write(&file, before.replacen(from, to, 1)).unwrap();
    file
}

#[test]
fn a_plan_that_loses_nobody_ends_with_0_and_one_that_does_with_3_and_their_names() {
    let well = well(&rehearse(&[&scenario("single-manager")]));
    assert!(well.contains("Verdict: all 11 clients are secure"));
    let lost = rehearse(&[&scenario("several-managers-142")]);
    assert_eq!(lost.status.code(), Some(3));
    let printed = stdout(&lost);
    assert!(printed.contains("Verdict: 4 of 11 clients are ORPHANED."), "{printed}");
    assert!(printed.contains("If the next step were taken now, 4 clients would be orphaned"), "{printed}");
    assert!(printed.contains("P17 Clients of 14.2 cannot learn this way"), "{printed}");
    assert!(printed.contains("desktop-142-1, desktop-142-2, laptop-142-1, laptop-142-2"), "{printed}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads_and_another_seed_others() {
    let printed = |more: &[&str]| {
        let file = scenario("single-manager-no-wait");
        rehearse(&[&[file.as_str(), "--json"], more].concat()).stdout
    };
    assert_eq!(printed(&["--threads", "1"]), printed(&["--threads", "3"]));
    assert_ne!(printed(&[]), printed(&["--seed", "8"]));
    let outcome: serde_json::Value = serde_json::from_slice(&printed(&[])).unwrap();
    assert_eq!(outcome["verdict"]["orphaned"].as_array().unwrap().len(), 9);
}

#[needs(python3)]
#[test]
fn a_foreign_reader_finds_every_client_and_why_it_failed_in_the_junit_file_of_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let cases = |name: &str, code: i32| {
        let report = folder.path().join(name);
        let ended = rehearse(&[&scenario(name), "--report", report.to_str().unwrap()]);
        assert_eq!(ended.status.code(), Some(code), "{}", said(&ended).1);
        junit_cases(&report.join("junit.xml"))
    };
    let bad =
        |cases: &[String]| cases.iter().filter(|one| !one.ends_with("| passed")).cloned().collect::<Vec<_>>();
    let well = cases("single-manager", 0);
    assert!(!well.is_empty() && bad(&well).is_empty(), "{well:#?}");
    let lost = bad(&cases("several-managers-142", 3));
    assert!(!lost.is_empty() && lost.iter().all(|one| one.contains("| failure ")), "{lost:#?}");
    assert!(lost.iter().any(|one| one.contains("desktop-142")), "{lost:#?}");
}

#[test]
fn a_report_is_a_page_and_files_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/folder");
    let ended = rehearse(&[&scenario("several-managers-142"), "--report", out.to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(3), "{}", said(&ended).1);
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    assert!(read("report.html").starts_with("<!DOCTYPE html>"));
    assert!(read("course.csv").lines().count() >= 2);
    assert_eq!(read("orphaned.csv").lines().count(), 1 + 4);
    let outcome: serde_json::Value = serde_json::from_str(&read("outcome.json")).unwrap();
    assert_eq!(outcome["verdict"]["clients"], 11);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_refused_before_anything_is_rehearsed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let output = rehearse(&[&scenario("single-manager"), "--report", file.join("below").to_str().unwrap()]);
    refused(&output, &["cannot write into the folder", "below"]);
    assert!(stdout(&output).is_empty(), "nothing was rehearsed");
}

#[test]
fn a_fleet_grows_in_proportion() {
    let outcome = json(&rehearse(&[&scenario("single-manager"), "--agents", "1100", "--json"]));
    assert_eq!(outcome["verdict"]["clients"], 1100);
    let parts = outcome["steps"][0]["holdings"].as_array().unwrap();
    let counts: Vec<u64> = parts.iter().map(|part| part["clients"].as_u64().unwrap()).collect();
    assert_eq!(counts, [300, 200, 200, 200, 200]);
}

#[test]
fn several_seeds_give_the_spread_and_a_sweep_the_shortest_wait_that_loses_nobody() {
    let seeds = rehearse(&[&scenario("single-manager-no-wait"), "--seeds", "3"]);
    assert_eq!(seeds.status.code(), Some(3));
    assert!(stdout(&seeds).contains("3 seeds: minimum 9 orphaned, median 9, maximum 9."));
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let out = report.to_str().unwrap();
    let file = changed(folder.path(), "single-manager", "heartbeat_seconds = 5 ", "heartbeat_seconds = 600 ");
    let arguments = [file.to_str().unwrap(), "--sweep", "wait=1m..1d", "--points", "4", "--report", out];
    let swept = rehearse(&arguments);
    let printed = well(&swept);
    assert!(printed.contains("Shortest wait tried that orphans no client"), "{printed}");
    let swept: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(report.join("sweep.json")).unwrap()).unwrap();
    let waits: Vec<&str> =
        swept["points"].as_array().unwrap().iter().map(|one| one["wait"].as_str().unwrap()).collect();
    let rows = printed.lines().skip_while(|line| !line.contains("orphaned: min")).skip(1);
    let rows: Vec<&str> = rows.map_while(|line| line.split_whitespace().next()).collect();
    assert!(waits.len() > 4, "some lie between those that were asked for: {waits:?}");
    assert_eq!(rows, waits, "rows are sorted by the wait");
    assert!(fs::read_to_string(report.join("sweep.csv")).unwrap().starts_with("wait,"));
    assert!(fs::read_to_string(report.join("sweep.html")).unwrap().contains("<svg"));
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let name = "single-manager";
    for (from, to, expected) in [
        ("count = 3", "count = 0", vec!["changed.toml:", "count of 0", "expected at least 1"]),
        ("wait = { heartbeats = 3 }", "wait = { time = \"-1h\" }", vec!["changed.toml:", "-1h"]),
        ("wait = { heartbeats = 3 }", "wait = { }", vec!["changed.toml:", "an empty wait"]),
        ("count = 3", "count = 3\npresence = { ofice = {} }", vec!["changed.toml:", "ofice", "office"]),
        (
            r"group = 'My Company\Desktops'",
            r"group = 'My Company\Desktop'",
            vec!["changed.toml:", "Desktops"],
        ),
    ] {
        let file = changed(folder.path(), name, from, to);
        refused(&rehearse(&[file.to_str().unwrap()]), &expected);
    }
    refused(
        &rehearse(&[&scenario(name), "--sweep", "wait=2h..1h"]),
        &["2h is longer than 1h", "the shorter wait first"],
    );
    refused(&rehearse(&[&scenario(name), "--sweep", "9=1h..2h"]), &["no step 9", "has 4"]);
}

#[test]
fn an_interrupt_prints_what_is_known_so_far_and_says_that_it_is_partial() {
    let folder = tempfile::tempdir().unwrap();
    let wait = "wait = { heartbeats = 3 }";
    let file = changed(folder.path(), "single-manager", wait, "wait = { time = \"3000d\" }");
    let arguments = ["rehearse", file.to_str().unwrap(), "--agents", "200000", "--threads", "1"];
    let mut rehearsal = Running::start(program().args(arguments));
    // The first step has ended when something is printed about it.
    rehearsal.says("If the next step");
    rehearsal.signal("INT");
    let (code, printed) = rehearsal.ends();
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("PARTIAL: interrupted"), "{printed}");
}

/// The command of the line that says how to repeat a run.
fn again(printed: &str) -> Vec<String> {
    let line = printed
        .lines()
        .find(|line| line.contains("epeat with epm-lab "))
        .unwrap_or_else(|| panic!("{printed}"));
    let command = line.split_once(": epm-lab ").unwrap_or_else(|| panic!("{line}")).1;
    command.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn what_repeats_a_run_repeats_it_with_every_flag_that_changes_the_outcome() {
    let file = scenario("several-managers-142");
    for arguments in [
        &["rehearse", &file, "--agents", "40", "--threads", "1"][..],
        &["rehearse", &file, "--agents", "40", "--seeds", "2"],
        &["rehearse", &file, "--sweep", "2=1h..2d", "--points", "2"],
        &["run", &file, "--moved"],
    ] {
        let printed = |arguments: &[&str]| stdout(&run(arguments));
        let first = printed(arguments);
        let again = again(&first);
        assert!(
            again.contains(&"--seed".to_owned()) && !again.contains(&"--threads".to_owned()),
            "{again:?}"
        );
        let again: Vec<&str> = again.iter().map(String::as_str).collect();
        // Ports differ from run to run.
        let plain = |text: &str| {
            text.lines()
                .filter(|line| !line.contains("127.0.0.1") && !line.contains("epeat with"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(plain(&first), plain(&printed(&again)), "{again:?}");
    }
}

#[test]
fn a_report_names_the_scenario_file_the_version_and_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let file = scenario("several-managers-142");
    let command = format!("epm-lab rehearse {file} --agents 22 --seed 4");
    rehearse(&[&file, "--agents", "22", "--seed", "4", "--report", out]);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    for name in ["report.html", "outcome.json", "junit.xml"] {
        let text = read(name);
        for expected in [file.as_str(), env!("CARGO_PKG_VERSION"), &command] {
            assert!(text.contains(expected), "{expected} in {name}");
        }
    }
    let verdict = json(&run(&["run", &file, "--moved", "--json"]));
    assert_eq!(verdict["run"]["command"], format!("epm-lab run {file} --moved --seed {}", verdict["seed"]));
}

#[test]
fn a_verdict_ends_with_why_the_failure_what_to_do_and_the_command_that_repeats_it() {
    for (name, failure, cause, remedy) in [
        (
            "single-manager-no-wait",
            "F03",
            "without a wait after step 2 had switched secure communications off",
            "Give the late clients a new communications file",
        ),
        (
            "single-manager-group-forgotten",
            "F04",
            "secure communications were still on in My Company\\Laptops",
            "Give that group's clients a new communications file.",
        ),
        (
            "recovery-wrong-file",
            "F15",
            "by that of the recovery file \"recovery of another site\"",
            "Restore again with the right recovery file",
        ),
    ] {
        let file = scenario(name);
        let printed = stdout(&rehearse(&[&file]));
        let verdict = printed.split_once("Verdict: ").unwrap().1;
        let repeat = format!("epm-lab rehearse {file} --seed 7");
        for part in [cause, &format!("Failure: {failure} ("), &format!("To do: {remedy}"), &repeat] {
            assert!(verdict.contains(part), "expected {part:?} in: {verdict}");
        }
        let outcome: serde_json::Value =
            serde_json::from_slice(&rehearse(&[&file, "--json"]).stdout).unwrap();
        let verdict = &outcome["verdict"];
        let reason = &verdict["reasons"][0];
        assert!(reason["sentence"].as_str().unwrap().contains(cause), "{reason}");
        assert!(reason["remedy"].as_str().unwrap().contains(remedy), "{reason}");
        assert_eq!(
            (&reason["failure"], &verdict["orphaned"][0]["failure"]),
            (&failure.into(), &failure.into())
        );
        assert_eq!(verdict["repeat"], repeat);
    }
}

#[test]
fn clients_that_have_not_been_installed_by_the_end_are_not_judged_and_do_not_pass_for_well() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("late.toml");
    let part = |name: &str, more: &str| {
        format!(
            "[[fleet]]\nname = \"{name}\"\ncount = 2\nversion = \"14.3.8289\"\ngroup = \"My Company\"\n{more}\n"
        )
    };
    let plan = |parts: &str| {
        format!(
            "title = \"late\"\nseed = 7\n[site]\nname = \"S\"\nmanagers = [{{ name = \"m\" }}]\n{parts}\
             [[step]]\ntitle = \"again\"\nwait = {{ heartbeats = 3 }}\n[[step]]\ntitle = \"end\"\nwait = {{ heartbeats = 1 }}\n"
        )
    };
    let late = part("late", "arrives = { between = [\"90d\", \"91d\"] }");
    std::fs::write(&file, plan(&late)).unwrap();
    let file = file.to_str().unwrap();
    for arguments in [
        &["rehearse", file][..],
        &["run", file, "--moved"],
        &["rehearse", file, "--seeds", "2"],
        &["rehearse", file, "--sweep", "1=1h..2h", "--points", "2"],
    ] {
        let (code, text) = said(&run(arguments));
        assert_eq!(code, Some(4), "{arguments:?}: {text}");
        assert!(text.contains("been installed"), "{arguments:?}: {text}");
    }
    std::fs::write(file, plan(&(part("here", "") + &late))).unwrap();
    for arguments in [&["rehearse", file][..], &["run", file, "--moved"]] {
        let (code, text) = said(&run(arguments));
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
        assert!(text.contains("all 2 clients are secure"), "{arguments:?}: {text}");
        assert!(text.contains("2 more clients have not been installed yet"), "{arguments:?}: {text}");
    }
}
