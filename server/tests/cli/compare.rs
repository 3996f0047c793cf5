//! `epm-lab compare`, run as a user runs it, on verdicts and on evidence.

use std::fs;

use serde_json::{Value, json as value};

use crate::harness::{RunningLab, json, output, program, refused, run, said, stdout, well};

/// What a rehearsal of a scenario of the project prints as JSON, in a file.
fn rehearsed(folder: &tempfile::TempDir, scenario: &str) -> String {
    let file = folder.path().join(format!("{scenario}.json"));
    let output = run(&["rehearse", &format!("fixtures/scenarios/{scenario}.toml"), "--json"]);
    fs::write(&file, &output.stdout).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn what_differs_between_two_runs_is_who_is_lost_why_and_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let (green, red) = (rehearsed(&folder, "single-manager"), rehearsed(&folder, "single-manager-no-wait"));
    let (code, words) = said(&run(&["compare", &green, &red]));
    assert_eq!(code, Some(1), "{words}");
    for expected in [
        "single-manager.json: 11 clients, none orphaned",
        "single-manager-no-wait.json: 11 clients, 9 ORPHANED",
        "9 clients: well in ",
        "Failure: F03",
        "  Step 3: Update the server certificate (vendor's step 9); the others return",
        "To do: ",
        "The desktops are switched on again",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    let narrow = stdout(&output(program().args(["compare", &green, &red]).env("COLUMNS", "80")));
    assert!(narrow.lines().all(|line| line.chars().count() <= 80 || line.contains(".json:")), "{narrow}");
    let output = run(&["compare", &red, &green, "--json"]);
    let compared = json(&output);
    assert_eq!((output.status.code(), &compared["same"]), (Some(1), &value!(false)));
    assert_eq!(compared["clients"].as_array().unwrap().len(), 9);
    assert_eq!(compared["clients"][0]["second"], "well");
    assert_eq!(compared["causes_of_second"], value!([]));
    assert_eq!(compared["causes_of_first"].as_array().unwrap().len(), 2);
    let step = |title: &str| {
        let steps = compared["steps"].as_array().unwrap();
        steps.iter().find(|one| one["title"].as_str().unwrap().contains(title)).unwrap().clone()
    };
    let both = step("the original list again");
    assert!(both["first_ms"].is_u64() && both["second_ms"].is_u64(), "{both}");
    assert_eq!(step("switched on again").get("second_ms"), None);
    assert_eq!(compared["assumptions"], value!([]));

    assert!(well(&run(&["compare", &green, &green])).contains("The clients end alike."));
}

#[test]
fn evidence_is_compared_by_what_was_done_to_the_lab() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (green, red) = (path("green.zip"), path("red.zip"));
    let lab = RunningLab::frozen(&[]);
    well(&lab.run(&["clock", "advance", "1h"]));
    well(&lab.run(&["evidence", &green]));
    well(&lab.run(&["manager", "update", "sepm-1"]));
    well(&lab.run(&["clock", "advance", "1h"]));
    well(&lab.run(&["evidence", &red]));
    let compared = run(&["compare", &green, &red]);
    let words = stdout(&compared);
    assert_eq!(compared.status.code(), Some(1), "{words}");
    assert!(words.contains("well in ") && words.contains("Failure: F01"), "{words}");
    assert!(words.contains("ORPHANED (My Site)\n"), "a lab has no title, and its site has a name: {words}");
    let update = words.lines().find(|line| line.contains("Update the server certificate of sepm-1"));
    let update: Vec<&str> =
        update.unwrap_or_else(|| panic!("{words}")).split_whitespace().rev().take(2).collect();
    assert_eq!(update, ["1h", "-"], "{words}");
}

#[test]
fn a_file_alone_is_compared_with_the_lab_as_it_is_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (green, verdict) = (path("green.zip"), path("green.json"));
    let lab = RunningLab::frozen(&[]);
    well(&lab.run(&["clock", "advance", "1h"]));
    well(&lab.run(&["evidence", &green]));
    fs::write(&verdict, lab.json(&["check"], 0).to_string()).unwrap();
    assert!(well(&lab.run(&["compare", &green])).contains("The clients end alike."));
    well(&lab.run(&["manager", "update", "sepm-1"]));
    well(&lab.run(&["clock", "advance", "1h"]));
    let words = lab.words(&["compare", &green], 1);
    for expected in
        [&format!("Only in {}, ", lab.url()), "Update the server certificate of sepm-1", "(My Site)"]
    {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    let compared = lab.json(&["compare", &verdict], 1);
    assert_eq!(compared["second"]["file"], lab.url());
    assert_eq!((compared.get("steps"), compared.get("assumptions")), (None, None));
    let why = format!("What was done: not compared, since {verdict} does not have it.");
    assert_eq!(compared["not_compared"][0], why);
}

#[test]
fn where_a_run_has_no_verdict_the_clients_do_not_end_alike() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, verdict: &Value| {
        let file = folder.path().join(name);
        fs::write(&file, verdict.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let green = rehearsed(&folder, "single-manager");
    let verdict: Value = serde_json::from_slice(&fs::read(&green).unwrap()).unwrap();
    let mut verdict = verdict["verdict"].clone();
    verdict["well"] = Value::Null;
    let unjudged = write("unjudged.json", &verdict);
    let (code, words) = said(&run(&["compare", &unjudged, &unjudged]));
    assert_eq!((code, words.contains("end alike")), (Some(4), false), "{words}");
    assert!(words.contains("unjudged.json has no verdict"), "{words}");
    verdict["unknown"] = value!(["desktop-1"]);
    let unknown = write("unknown.json", &verdict);
    let (code, words) = said(&run(&["compare", &green, &unknown]));
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("1 client: well in ") && words.contains("unknown in "), "{words}");
}

#[test]
fn what_is_no_run_is_refused_with_what_it_would_take() {
    let folder = tempfile::tempdir().unwrap();
    let green = rehearsed(&folder, "single-manager");
    let write = |name: &str, text: &[u8]| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    for (file, expected) in [
        ("fixtures/scenarios/single-manager.toml".to_owned(), "neither evidence nor JSON"),
        (write("other.json", b"{\"verdict\":{}}"), "it has no verdict"),
        (write("broken.zip", b"PK\x03\x04"), "broken.zip"),
        ("nowhere.json".to_owned(), "nowhere.json"),
    ] {
        refused(&run(&["compare", &green, &file]), &[expected]);
    }
}
