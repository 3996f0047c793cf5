//! `epm-lab failure`, run as a user runs it.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use epm_client_agent::wire::Stopwatch;

use crate::control::Control;
use crate::harness::{Running, agent, needs, output, program, root, run, said, stdout};

fn failure(arguments: &[&str]) -> Output {
    run(&[&["failure"], arguments].concat())
}

/// What was printed by a run that went well.
#[track_caller]
fn printed(arguments: &[&str]) -> String {
    crate::harness::well(&failure(arguments))
}

#[track_caller]
fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&printed(arguments)).unwrap()
}

#[track_caller]
fn refused(arguments: &[&str], expected: &[&str]) {
    crate::harness::refused(&failure(arguments), expected);
}

#[test]
fn the_list_names_every_failure_and_how_it_stands_in_the_lab() {
    let list = json(&["list", "--json"]);
    let ids: Vec<&str> = list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), ids[0], ids[44]), (45, "F01", "F45"));
    let text = printed(&["list"]);
    assert!(ids.iter().all(|id| text.contains(id)), "{text}");
    assert!(text.contains("REST calls") && text.contains("not reproducible"), "{text}");
}

#[test]
fn a_failure_is_shown_with_its_marks_its_lookalikes_and_its_repair() {
    let text = printed(&["show", "f15"]);
    for expected in ["4 Bad format. [C]", "F18: ", "Repair:", "C read in a source"] {
        assert!(text.contains(expected), "expected {expected:?} in: {text}");
    }
    assert_eq!(json(&["show", "F15", "--json"])["play"]["managers"]["log"][0], "4 Bad format.");
}

#[test]
fn a_failure_is_shown_with_its_statements_and_with_the_assumptions_that_it_rests_on() {
    let text = printed(&["show", "F07"]);
    let rests = "rests on: module_14_2 = learns-only-the-sending-manager (U)";
    for expected in
        [rests, "module_14_2_until = 14.3.0.0000 (I)", "Procedure: P17 Clients of 14.2 cannot learn this way"]
    {
        assert!(text.contains(expected), "expected {expected:?} in: {text}");
    }
    let shown = json(&["show", "F07", "--json"]);
    let statement = serde_json::json!({"number": "P17", "title": "Clients of 14.2 cannot learn this way"});
    assert_eq!(shown["statements"][0], statement);
    let rests = &shown["rests_on"][0];
    assert_eq!((&rests["assumption"], &rests["mark"]), (&"module_14_2".into(), &"U".into()));
    assert_eq!(rests["value"], "learns-only-the-sending-manager");
    // Of what is set otherwise for the entry, the value that it is played with.
    assert_eq!(json(&["show", "F14", "--json"])["rests_on"][0]["value"], "true");
}

#[test]
fn a_failure_is_brought_about_and_repaired_on_either_driver() {
    for (driver, arguments) in [
        ("virtual-time", &["reproduce", "F07", "--json"][..]),
        ("sockets", &["reproduce", "F07", "--json", "--sockets"][..]),
    ] {
        let seen = json(arguments);
        assert_eq!((seen["driver"].as_str(), &seen["is_as_described"]), (Some(driver), &true.into()));
        let states = |act: &str| {
            let clients = seen[act]["clients"].as_array().unwrap();
            clients.iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(states("failure"), ["connected", "connected", "orphaned", "orphaned"], "{driver}");
        assert_eq!(states("repair"), ["connected"; 4], "{driver}");
        let log = seen["failure"]["clients"][2]["log"].as_array().unwrap();
        assert!(log.iter().any(|line| line["event"] == "120B0001"), "{driver}: {log:?}");
        assert_eq!((&seen["reason"]["failure"], &seen["reason"]["clients"]), (&"F07".into(), &2.into()));
        assert!(seen["reason"]["remedy"].as_str().unwrap().contains("new communications file"), "{seen}");
        assert!(seen["repeat"].as_str().unwrap().starts_with("epm-lab failure reproduce F07"), "{seen}");
    }
}

#[test]
fn both_sides_of_a_failure_stand_beside_each_other() {
    let text = printed(&["reproduce", "F18"]);
    for expected in [
        "answers 400",
        "12070303",
        "mixed-up-1 is orphaned",
        "The symptom is as described",
        "mixed-up-1 is connected",
        "The recovery is as described",
    ] {
        assert!(text.contains(expected), "expected {expected:?} in: {text}");
    }
}

#[test]
fn what_a_manager_refuses_is_told_in_its_words() {
    for arguments in [&["reproduce", "F13"][..], &["reproduce", "F13", "--sockets"]] {
        let text = printed(arguments);
        assert!(
            text.contains("invalid certificate signature algorithm") && text.contains("corrected: accepted")
        );
    }
}

#[test]
fn what_a_tool_meets_at_the_rest_api_is_told_visit_by_visit_and_is_the_same_on_either_driver() {
    for (id, expected) in [("F41", "200, then 429"), ("F42", "not-pinned"), ("F14", "503")] {
        let text = printed(&["reproduce", id]);
        assert!(text.contains(expected), "{text}");
        assert_eq!(
            json(&["reproduce", id, "--json"])["visits"],
            json(&["reproduce", id, "--json", "--sockets"])["visits"]
        );
    }
}

#[test]
fn a_failure_that_does_not_show_its_symptom_ends_with_1_and_says_what_was_missed() {
    for (arguments, expected) in [
        (
            &["reproduce", "F25", "--assume", "identity_conflicts=0"][..],
            "expected \"index 470\", found \"no\"",
        ),
        (
            &["reproduce", "F14", "--assume", "console_longest_key_bits=4096"],
            "NOT AS DESCRIBED: expected 503",
        ),
        (&["reproduce", "F09", "--sockets", "--assume", "certificate_dates=ignored"], "NOT AS DESCRIBED"),
    ] {
        let output = failure(arguments);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
    refused(
        &["reproduce", "F25", "--assume", "identity_conflict=0"],
        &["did you mean \"identity_conflicts\"?"],
    );
    refused(&["reproduce", "F25", "--assume", "identity_conflicts=many"], &["--assume", "many"]);
    refused(&["reproduce", "F25", "--assume", "x"], &["expected NAME=VALUE"]);
    refused(&["reproduce", "F13", "--assume", "x=1"], &["F13 is not run as a scenario"]);
}

#[test]
fn what_there_is_not_is_refused_with_the_nearest_and_what_cannot_be_with_the_reason() {
    refused(&["show", "F77"], &["F77", "did you mean"]);
    refused(&["reproduce", "G7"], &["there is no failure \"G7\""]);
    refused(&["reproduce", "F13", "--live"], &["`--live` does not apply to F13"]);
    refused(&["reproduce", "F23"], &["cannot be reproduced by this lab", "proxy settings"]);
}

#[test]
fn the_log_of_a_failure_that_was_brought_about_leads_back_to_it() {
    let seen = json(&["reproduce", "F02", "--json"]);
    let mut log = String::new();
    for line in seen["failure"]["clients"][0]["log"].as_array().unwrap() {
        let word = |name: &str| line[name].as_str().unwrap();
        log.push_str(&format!("{} {} {}\n", word("at"), word("event"), word("text")));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client.log");
    std::fs::write(&file, &log).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(json(&["diagnose", file, "--json"])["candidates"][0]["id"], "F02");
    let text = printed(&["diagnose", file]);
    assert!(text.contains("1. F02") && text.contains("$ epm-agent doctor"), "{text}");
    std::fs::write(file, log + "what is this\n").unwrap();
    let text = printed(&["diagnose", file]);
    assert!(text.contains("1. F02") && text.contains("1 line not known:"), "{text}");
}

#[test]
fn a_line_or_a_number_is_diagnosed_and_a_file_that_is_not_there_is_refused() {
    assert!(printed(&["diagnose", "--line", "4 Bad format."]).contains("F15"));
    assert!(printed(&["diagnose", "12070308"]).contains("F02"));
    refused(&["diagnose", "/nowhere/at.log"], &["/nowhere/at.log", "cannot read"]);
    let expected = ["expected a log", "an event's eight digits", "`epm-lab failure show F15`"];
    refused(&["diagnose", "f15"], &expected);
    refused(&["diagnose", "4 Bad format."], &["expected a log", "follow `--line`"]);
    refused(&["diagnose", "--line", " "], &["empty"]);
}

#[test]
fn a_log_of_a_real_client_is_diagnosed_at_once_and_what_is_not_known_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("syslog.log");
    // A record of three lines, with an umlaut of Windows in it.
    let record = |event: &str, severity: u8, text: &str, source: &str| {
        let rest =
            format!("\t01D45F6A30F2A02B\t{event}\t{severity:08X}\t00000000\t00000000\t{text}\t{source}\t");
        format!("{:08X}{rest}\r\n", 8 + rest.chars().count())
    };
    let text = record("1207030c", 0, "Downloaded new content. \r\n\r\nPath: C:\\\u{dc}bung\\a.dax", "CVE")
        + &record("12070303", 2, "server connection failed", "Smc");
    std::fs::write(&file, text.chars().map(|one| one as u8).collect::<Vec<_>>()).unwrap();
    let watch = Stopwatch::start();
    let text = printed(&["diagnose", file.to_str().unwrap()]);
    // On a busy machine; the catalogue is not reproduced, which takes ten seconds in a build for tests.
    assert!(watch.elapsed() < std::time::Duration::from_secs(5), "{:?}", watch.elapsed());
    assert!(text.contains("2 records read as windows-1252.") && text.contains("12070303"), "{text}");
    for (arguments, code, expected) in [
        (
            &["diagnose", "--line", "[ssl:emerg] AH02565: Certificate and private key a and b do not match"]
                [..],
            0,
            "F12",
        ),
        (&["diagnose", "--line", "The client already has the newest policy."], 0, "healthy"),
        (&["diagnose", "--line", "something else"], 1, "not known"),
        (&["diagnose", "--encoding", "latin-17", file.to_str().unwrap()], 2, "latin-17"),
    ] {
        let output = failure(arguments);
        let (ended, text) = said(&output);
        assert_eq!(ended, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn the_page_of_the_documentation_is_what_the_catalogue_says() {
    let page = printed(&["page"]);
    let kept = std::fs::read_to_string(root().join("docs/failures.md")).unwrap();
    assert!(kept == page, "docs/failures.md is behind; run: epm-lab failure page > docs/failures.md");
}

#[needs(bash, curl)]
#[test]
fn a_failure_that_is_left_standing_is_a_whole_lab_and_shows_itself_to_every_tool() {
    // One that all clients have, and one that a fault of the connection causes for one part.
    for (id, client) in [("F01", "desktop-1"), ("F24", "desktop-1")] {
        let folder = tempfile::tempdir().unwrap();
        let export = folder.path().to_str().unwrap();
        let mut lab =
            Running::start(program().args(["failure", "reproduce", id, "--live", "--export", export]));
        // What clients do in a step follows its heading.
        for said in ["Step 0 of ", "has been started.", "Step 1 of ", "Failed to connect"] {
            lab.says(said);
        }
        let url = lab.says("control API: ").split_once("control API: ").unwrap().1.to_owned();
        let rest = lab.says("REST API ").split_once("REST API ").unwrap().1.to_owned();
        let rest = rest.split(',').next().unwrap();
        let hello =
            lab.says("curl -sv '").split_once("curl -sv '").unwrap().1.trim_end_matches('\'').to_owned();
        let commands = ["epm-agent doctor ", "epm-lab sylink check ", "epm-lab failure diagnose "];
        let commands = commands.map(|command| lab.says(command).trim().to_owned());
        if id == "F01" {
            lab.says("and 1 more that fail: `epm-lab client list` has all");
        }
        lab.says("Ctrl-C stops.");
        let curl = |url: &str| stdout(&output(Command::new("curl").args(["-sk", "--max-time", "10", url])));
        assert_eq!(curl(&hello).trim(), "OK", "{hello}");
        assert!(curl(&format!("{rest}/version")).contains("API_VERSION"), "{rest}");
        let verdict = output(program().args(["check", "--json"]).env("EPM_LAB_URL", &url));
        let verdict: serde_json::Value = serde_json::from_str(&stdout(&verdict)).unwrap();
        assert!(verdict["orphaned"].to_string().contains(client), "{verdict}");
        // The page leads from the cause to the act, and from each row to its details.
        let acts = curl(&format!("{url}/timeline?show=acts"));
        assert!(acts.contains("step 0: The fleet is installed"), "{acts}");
        if id == "F01" {
            let home = curl(&url);
            let (_, link) = home.split_once("href=\"/timeline?show=acts&amp;from=").unwrap();
            let (from, _) = link.split_once('"').unwrap();
            let acts = curl(&format!("{url}/timeline?show=acts&from={from}"));
            assert!(acts.contains("commands applied: Update the server certificate of sepm-1"), "{acts}");
        } else {
            assert!(acts.contains("fault &quot;"), "{acts}");
        }
        let journal = output(program().args(["journal", "count", "--json"]).env("EPM_LAB_URL", &url));
        assert!(stdout(&journal).contains("exchange index 200"), "{}", stdout(&journal));
        let bin = [program(), agent()]
            .map(|one| std::path::Path::new(one.get_program()).parent().unwrap().to_owned());
        let path = std::env::join_paths(
            bin.into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        for (command, expected) in
            commands.iter().zip(["certificate   FAILED", "Wrong: the certificates", "not-pinned"])
        {
            assert!(command.contains(client), "{command}");
            let (code, text) =
                said(&output(Command::new("bash").args(["-c", command]).env("PATH", path.as_ref().unwrap())));
            assert_eq!(code, Some(i32::from(!command.contains("diagnose"))), "{command}: {text}");
            assert!(text.contains(expected), "{command}: {text}");
        }
        assert!(folder.path().join("sepm-1.pem").is_file() && folder.path().join("sylink.xml").is_file());
        // The clients go on, and still do not believe their manager.
        while !lab.says(" 12070303 ").contains(client) {}
        lab.signal("TERM");
        lab.says("has been stopped");
        assert_eq!(lab.ends().0, Some(0));
    }
}

#[test]
fn the_journal_tells_apart_clients_that_share_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().to_str().unwrap();
    let mut lab =
        Running::start(program().args(["failure", "reproduce", "F25", "--live", "--export", export]));
    let url = lab.says("control API: ").split_once("control API: ").unwrap().1.to_owned();
    lab.says("Ctrl-C stops.");
    let journal = Control(url).get("/v1/journal?kind=exchange&limit=100000");
    let text = |one: &serde_json::Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let address = |one| text(one, "peer").split(':').next().unwrap().to_owned();
    let entries = journal["entries"].as_array().unwrap();
    let clients: BTreeSet<_> = entries.iter().map(|one| (address(one), text(one, "client"))).collect();
    let names: BTreeSet<&String> = clients.iter().map(|one| &one.1).collect();
    assert!(
        clients.len() > 1 && names.len() == clients.len(),
        "each address is that of one client: {clients:?}"
    );
    lab.signal("TERM");
    assert_eq!(lab.ends().0, Some(0));
}

#[needs(curl)]
#[test]
fn a_failure_of_a_tool_that_is_left_standing_can_be_met_with_curl() {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().to_str().unwrap();
    let mut lab =
        Running::start(program().args(["failure", "reproduce", "F41", "--live", "--export", export]));
    lab.says("REST API, with its certificate");
    let url = lab.says("curl -sv ").split_once("curl -sv ").unwrap().1.to_owned();
    lab.says("Ctrl-C stops.");
    let pem = folder.path().join("console.pem");
    let curl = |more: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-s", "-w", "%{http_code} ", "--max-time", "20"]).args(more);
        let output = output(&mut command);
        (output.status.code(), stdout(&output))
    };
    assert_eq!(curl(&["-o", "/dev/null", &url]).0, Some(60), "F42: nobody trusts that certificate");
    let urls: Vec<&str> = std::iter::repeat_n(["-o", "/dev/null", url.as_str()], 51).flatten().collect();
    let with_pem = [&["--cacert", pem.to_str().unwrap()][..], &urls].concat();
    let (code, statuses) = curl(&with_pem);
    let statuses: Vec<&str> = statuses.split_whitespace().collect();
    assert_eq!((code, statuses.len()), (Some(0), 51));
    assert_eq!((statuses[0], statuses[49], statuses[50]), ("200", "200", "429"));
    lab.signal("TERM");
    assert_eq!(lab.ends().0, Some(0));
}
