//! `epm-lab rotate` against a running lab: both procedures orphan no client, also when they are interrupted; the verdict
//! finds careless runs; and no step is taken while it would orphan a client.

use std::path::Path;
use std::process::Command;

use epm_protocol::heartbeat::http::encode;
use epm_protocol::heartbeat::{AgentRequest, Registration};
use epm_protocol::id::{Guid, HardwareKey};
use serde_json::{Value, json};

use crate::harness::{Running, RunningLab, needs, output, program, said, stderr, stdout, well};

impl RunningLab {
    /// Asks the control API.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let asked = ["--silent", "--show-error", "--fail-with-body", "--request", method];
        let body = ["--header", "content-type: application/json", "--data-binary", &body.to_string()];
        let url = format!("{}{path}", self.url());
        serde_json::from_str(&well(&output(Command::new("curl").args(asked).args(body).arg(url)))).unwrap()
    }

    /// Runs the tool, and takes what it reports; the exit code must be this.
    #[track_caller]
    fn rotate(&self, arguments: &[&str], code: i32) -> Value {
        let out = self.run(&[&["rotate"], arguments, &["--json"]].concat());
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {}", said(&out).1);
        serde_json::from_slice(&out.stdout).unwrap_or_default()
    }

    /// What the verdict says some heartbeats later, and the exit code of `epm-lab check`.
    fn check_later(&self) -> (Option<i32>, Value) {
        self.ask("POST", "/v1/clock/heartbeats", &json!({ "heartbeats": 2 }));
        let out = self.run(&["check", "--json"]);
        (out.status.code(), crate::harness::json(&out))
    }

    /// Clients of a group that does not inherit, and in a location with settings of its own.
    fn people_the_corners(&self) {
        self.ask("PUT", r"/v1/groups/My%20Company%5CSales", &json!({ "inherits": false }));
        let sales = json!({ "count": 1, "group": r"My Company\Sales" });
        self.ask("PUT", "/v1/fleet/sales", &sales);
        let list = "Default Management Server List for My Site";
        self.ask("PUT", "/v1/groups/My%20Company/locations/Home", &json!({ "list": list }));
        self.ask("PUT", "/v1/fleet/home", &json!({ "count": 1, "location": "Home" }));
    }

    fn certificate(&self, manager: &str) -> String {
        self.json(&["manager", "certificate", manager], 0)["stores"]["client"]["fingerprint"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

fn names(of: &Value) -> Vec<&str> {
    of.as_array().unwrap().iter().map(|one| one["client"].as_str().unwrap()).collect()
}

#[needs(curl)]
#[test]
fn the_single_way_loses_nobody_in_any_group_or_location_and_puts_everything_back() {
    let lab = RunningLab::frozen(&["--agents", "3"]);
    lab.people_the_corners();
    let (lists, groups) = (lab.run(&["list", "list", "--json"]).stdout, lab.certificate("sepm-1"));
    let found = lab.rotate(&["single"], 0);
    assert_eq!(found["verdict"]["well"], true, "{found}");
    assert_eq!(found["verdict"]["clients"], 5);
    assert_eq!((&found["verdict"]["ever_orphaned"], &found["left_behind"]), (&json!([]), &json!([])));
    assert_ne!(lab.certificate("sepm-1"), groups);
    assert_eq!(
        lab.run(&["list", "list", "--json"]).stdout,
        lists,
        "the copies are gone, the old lists are back"
    );
    assert_eq!(lab.check_later().0, Some(0));
}

/// Runs a program on a terminal of its own, and ends as it does.
const TERMINAL: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

#[needs(python3)]
#[test]
fn on_a_terminal_it_shows_how_many_clients_are_covered_and_elsewhere_it_says_so_in_lines() {
    let lab = RunningLab::frozen(&["--agents", "2"]);
    let mut terminal = Command::new("python3");
    terminal.args(["-c", TERMINAL, env!("CARGO_BIN_EXE_epm-lab"), "rotate", "single"]);
    let shown = well(&output(terminal.env("EPM_LAB_URL", lab.url())));
    assert!(shown.contains("2 of 2 clients (") && shown.contains("2 of 2 clients are ready"), "{shown}");
    assert!(!shown.contains("0 of 0 clients"), "nothing is counted before the first wait: {shown}");
    let said = stderr(&lab.run(&["rotate", "single"]));
    assert!(!said.contains("clients (") && said.contains("2 of 2 clients are ready"), "{said}");
}

#[needs(curl)]
#[test]
fn the_multi_way_loses_nobody_and_changes_every_manager() {
    let lab = RunningLab::frozen(&["--agents", "2", "--managers", "3"]);
    let managers = ["sepm-1", "sepm-2", "sepm-3"];
    let before = managers.map(|one| lab.certificate(one));
    let found = lab.rotate(&["multi"], 0);
    assert_eq!(found["verdict"]["well"], true, "{found}");
    assert_eq!(found["verdict"]["ever_orphaned"], json!([]));
    for (manager, old) in managers.iter().zip(before) {
        assert_ne!(lab.certificate(manager), old, "{manager}");
    }
    assert_eq!(lab.check_later().0, Some(0));
}

/// Breaks the rotation off at every step, once after it is written down and once before; the next run goes on.
fn broken_off_everywhere(lab: &RunningLab, way: &str, state: &Path, steps: &[&str]) {
    let file = state.to_str().unwrap();
    for step in steps {
        lab.rotate(&[way, "--state", file, "--stop-within", step], 1);
        lab.rotate(&[way, "--state", file, "--stop-after", step], 1);
    }
    let found = lab.rotate(&[way, "--state", file], 0);
    assert_eq!(found["verdict"]["well"], true, "{found}");
    assert_eq!(found["verdict"]["ever_orphaned"], json!([]), "{found}");
    assert_eq!(found["done"], json!(steps), "each once");
    assert_eq!(lab.check_later().0, Some(0));
}

#[needs(curl)]
#[test]
fn the_single_way_goes_on_where_it_was_broken_off_and_updates_once() {
    let lab = RunningLab::frozen(&["--agents", "2"]);
    lab.people_the_corners();
    let folder = tempfile::tempdir().unwrap();
    let steps = [
        "inventory",
        "preconditions",
        "copy-lists",
        "switch-off",
        "wait-for-policy",
        "update-certificate",
        "wait-for-certificate",
        "switch-on",
        "wait-for-end",
        "remove-copies",
    ];
    broken_off_everywhere(&lab, "single", &folder.path().join("state.json"), &steps);
    let history = lab.json(&["manager", "certificate"], 0);
    assert_eq!(history["history"].as_array().unwrap().len(), 1, "{history}");
    let other = folder.path().join("state.json");
    let refused = lab.run(&["rotate", "multi", "--state", other.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    let single = ["rotate", "single", "--state", other.to_str().unwrap()];
    let (code, words) = said(&lab.run(&single));
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("Nothing was done: ") && words.contains("to begin a new rotation"), "{words}");
    assert!(!words.contains("continues after") && words.contains("All is well."), "{words}");
    std::fs::write(&other, "{").unwrap();
    let (code, words) = said(&lab.run(&single));
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("state.json: it is no state of a rotation"), "{words}");
}

#[needs(curl)]
#[test]
fn the_multi_way_goes_on_where_it_was_broken_off() {
    let lab = RunningLab::frozen(&["--agents", "2", "--managers", "2"]);
    let folder = tempfile::tempdir().unwrap();
    let steps = ["preconditions", "update sepm-1", "wait after sepm-1", "update sepm-2", "wait after sepm-2"];
    broken_off_everywhere(&lab, "multi", &folder.path().join("state.json"), &steps);
}

#[test]
fn killed_at_any_moment_it_goes_on_and_loses_nobody() {
    let lab = RunningLab::frozen(&["--agents", "2"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let arguments = ["rotate", "single", "--state", file.to_str().unwrap()];
    for lines in 1..12 {
        let mut rotation = Running::start(lab.program().args(arguments));
        rotation.hear(lines); // it is in the midst of what it has just announced
        rotation.kill();
    }
    let found = lab.rotate(&["single", "--state", file.to_str().unwrap()], 0);
    assert_eq!((&found["verdict"]["well"], &found["verdict"]["ever_orphaned"]), (&json!(true), &json!([])));
}

#[needs(curl)]
#[test]
fn who_does_not_wait_loses_clients_and_the_verdict_names_them() {
    let lab = RunningLab::frozen(&["--agents", "3"]);
    lab.rotate(&["single", "--no-wait"], 1);
    let (code, verdict) = lab.check_later();
    assert_eq!(code, Some(3), "{verdict}");
    assert_eq!(names(&verdict["orphaned"]), ["desk-1", "desk-2", "old-1"]);
    let lab = RunningLab::frozen(&["--agents", "2", "--managers", "2"]);
    lab.rotate(&["multi", "--no-wait"], 1);
    let (code, verdict) = lab.check_later();
    assert_eq!(code, Some(3), "{verdict}");
    assert_eq!(names(&verdict["orphaned"]), ["desk-1", "desk-2"]);
}

#[needs(curl)]
#[test]
fn who_forgets_groups_and_locations_loses_exactly_their_clients() {
    let lab = RunningLab::frozen(&["--agents", "2"]);
    lab.people_the_corners();
    let found = lab.rotate(&["single", "--skip-inheritance"], 3);
    assert_eq!(names(&found["verdict"]["orphaned"]), ["sales-1", "home-1"], "{found}");
    assert!(
        found["verdict"]["orphaned"][0]["why"].as_str().unwrap().contains("; the client trusts "),
        "{found}"
    );
    assert_eq!(lab.check_later().0, Some(3));
    // The verdict, the judgement, and the words for people name the failure, what to do, and how to repeat it.
    let verdict = &found["verdict"];
    assert_eq!(verdict["orphaned"][0]["failure"], "F04", "{found}");
    assert!(verdict["repeat"].as_str().unwrap().starts_with("epm-lab up "), "{found}");
    let people = stdout(&lab.run(&["check", "--since", "rotate"]));
    for part in ["group-forgotten is F04; to do: Give that group's clients", "The same lab again: epm-lab up"]
    {
        assert!(people.contains(part), "expected {part:?} in: {people}");
    }
    let folder = tempfile::tempdir().unwrap();
    for (more, parts) in [
        (&["check"][..], ["Failure: F04 (", "To do: Give that group", "Repeat: epm-lab up "]),
        (&["check", "--since", "rotate"], ["Failure: F04", "To do: Give that group", "Repeat: epm-lab up "]),
    ] {
        let file = folder.path().join(more.join(""));
        let ended = lab.run(&[more, &["--junit", file.to_str().unwrap()]].concat());
        assert!(matches!(ended.status.code(), Some(1 | 3)), "{}", said(&ended).1);
        let junit = std::fs::read_to_string(&file).unwrap();
        parts.iter().for_each(|part| assert!(junit.contains(part), "expected {part:?} in: {junit}"));
    }
    let people = stdout(&lab.run(&["check"]));
    for part in ["while secure communications were still on in", "Failure: F04 (", "To do: Give that group's"]
    {
        assert!(people.contains(part), "expected {part:?} in: {people}");
    }
}

#[test]
fn it_refuses_while_somebody_would_be_lost_and_names_them() {
    let lab = RunningLab::frozen(&["--agents", "3", "--managers", "2"]);
    let old = lab.certificate("sepm-1");
    let found = lab.rotate(&["multi"], 3);
    assert_eq!(names(&found["stopped"]["clients"]), ["old-1"], "14.2 cannot go this way: {found}");
    assert_eq!(lab.certificate("sepm-1"), old, "nothing was done");
    let lab = RunningLab::frozen(&["--agents", "2"]);
    let found = lab.rotate(&["multi"], 3);
    assert_eq!(names(&found["stopped"]["clients"]), ["desk-1", "desk-2"], "nobody to fail over to: {found}");
    let (code, words) = said(&lab.run(&["rotate", "multi"]));
    assert_eq!(code, Some(3), "{words}");
    assert!(words.contains("otherwise all is well") && !words.contains("Not all is well"), "{words}");
    // Forced, it does what it was told, and says what came of it.
    let found = lab.rotate(&["multi", "--force"], 3);
    assert_eq!(names(&found["verdict"]["orphaned"]), ["desk-1", "desk-2"], "{found}");
}

#[needs(curl)]
#[test]
fn who_is_away_stops_it_until_he_is_left_behind_or_back() {
    let lab = RunningLab::frozen(&["--agents", "3"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let single = ["single", "--state", file.to_str().unwrap()];
    lab.ask("POST", "/v1/clients/desk-2/operations", &json!({ "do": "offline" }));
    let old = lab.certificate("sepm-1");
    for _ in 0..2 {
        let found = lab.rotate(&single, 3);
        assert_eq!(names(&found["stopped"]["clients"]), ["desk-2"], "{found}");
        assert_eq!(lab.certificate("sepm-1"), old);
    }
    let found = lab.rotate(&[&single[..], &["--leave-behind", "desk-1"]].concat(), 3);
    assert_eq!(names(&found["stopped"]["clients"]), ["desk-2"], "{found}");
    lab.ask("POST", "/v1/clients/desk-2/operations", &json!({ "do": "online" }));
    assert_eq!(lab.rotate(&single, 0)["verdict"]["well"], true);

    lab.ask("POST", "/v1/clients/desk-1/operations", &json!({ "do": "offline" }));
    let (code, words) = said(&lab.run(&["rotate", "single", "--leave-behind", "all"]));
    assert!(code == Some(0) && words.contains("Left behind: desk-1"), "{code:?} {words}");
    assert!(
        words.contains("Only what was left behind is not well.") && !words.contains("All is well"),
        "{words}"
    );
    lab.ask("POST", "/v1/clients/desk-1/operations", &json!({ "do": "online" }));
    let (code, verdict) = lab.check_later();
    assert_eq!((code, names(&verdict["orphaned"])), (Some(3), vec!["desk-1"]), "what leaving behind means");
}

/// All of the site that a rotation changes.
fn site(lab: &RunningLab) -> Value {
    let ask = |path: &str| lab.ask("GET", path, &json!({}));
    let certificate = ask("/v1/managers/sepm-1/certificate");
    json!([ask("/v1/groups"), ask("/v1/lists"), certificate["stores"], certificate["history"]])
}

/// Rotates single against an obstacle: it must refuse, name these clients and this option, and change nothing.
#[track_caller]
fn refuses_before_any_change(lab: &RunningLab, clients: &[&str], why: &str, option: &str) {
    let before = site(lab);
    let found = lab.rotate(&["single"], 3);
    let stopped = &found["stopped"];
    assert_eq!((names(&stopped["clients"]), &stopped["before_any_change"]), (clients.to_vec(), &json!(true)));
    let obstacle = &stopped["obstacles"][0];
    assert!(obstacle["why"].as_str().unwrap().contains(why), "{found}");
    assert!(obstacle["help"].as_str().unwrap().contains(option), "{found}");
    assert_eq!(site(lab), before, "nothing of the site has changed");
    let text = said(&lab.run(&["rotate", "single"])).1;
    assert!(text.contains("Nothing of the site was changed") && text.contains(option), "{text}");
}

#[needs(curl)]
#[test]
fn an_examination_leaves_no_client_over_which_a_rotation_stops() {
    let lab = RunningLab::frozen(&["--agents", "2"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sylink.xml");
    let exported = ["--silent", "--fail", "--output", file.to_str().unwrap()];
    let url = format!("{}/v1/groups/My%20Company%5CDefault%20Group/sylink", lab.url());
    well(&output(Command::new("curl").args(exported).arg(url)));
    well(&lab.run(&["sylink", "check", file.to_str().unwrap(), "--against", lab.http()]));
    assert_eq!(lab.ask("GET", "/v1/verdict", &json!({}))["elsewhere"], 0);
    let found = lab.rotate(&["single"], 0);
    assert_eq!(found["verdict"]["well"], true, "{found}");
}

#[needs(curl)]
#[test]
fn a_rotation_whose_baseline_is_gone_is_not_judged_and_not_said_to_be_right() {
    let lab = RunningLab::frozen(&["--agents", "2"]);
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let rotate = ["rotate", "single", "--state", state.to_str().unwrap()];
    lab.run(&[&rotate[..], &["--stop-after", "wait-for-policy"]].concat());
    lab.ask("DELETE", "/v1/baselines/rotate", &json!({}));
    let (code, text) = said(&lab.run(&rotate));
    assert!(
        code == Some(4) && text.contains("it cannot be judged: the process that had its baseline"),
        "{code:?} {text}"
    );
}

#[needs(curl)]
#[test]
fn an_obstacle_stops_it_before_anything_of_the_site_has_changed() {
    let lab = RunningLab::frozen(&["--agents", "2"]);
    let operate = |what: &str| lab.ask("POST", "/v1/clients/desk-2/operations", &json!({ "do": what }));
    operate("offline");
    refuses_before_any_change(&lab, &["desk-2"], "1 client is away", "--leave-behind");
    operate("online");
    operate("freeze");
    refuses_before_any_change(&lab, &["desk-2"], "cannot be judged", "--max-wait");
    operate("thaw");
    // A machine elsewhere that registered, and never came again.
    let kcs = lab.secret().parse().unwrap();
    let ghost = AgentRequest::Register(Registration {
        domain: lab.ready["domain"].as_str().unwrap().parse().unwrap(),
        hardware_key: HardwareKey(Guid::from_bytes([7; 16])),
        computer_name: "ghost".to_owned(),
        version: "14.3".parse().unwrap(),
        preferred_group: None,
    });
    let url = format!("{}{}", lab.http(), encode(&ghost, &kcs).target);
    well(&output(Command::new("curl").args(["--silent", "--fail"]).arg(url)));
    refuses_before_any_change(&lab, &["ghost"], "1 client is unknown", "--leave-behind");
    let found = lab.rotate(&["single", "--leave-behind", "ghost"], 0);
    assert_eq!((&found["left_behind"], &found["verdict"]["well"]), (&json!(["ghost"]), &Value::Null));
    let lab = RunningLab::frozen(&["--agents", "2", "--managers", "2"]);
    well(&lab.run(&["manager", "replication", "sepm-2", "--break"]));
    refuses_before_any_change(&lab, &[], "the replication of sepm-2 is broken", "--force");
}

#[needs(curl)]
#[test]
fn a_service_that_is_down_stops_it_before_anything_of_the_site_has_changed() {
    for (file, service) in
        [("apache/conf/ssl/server.key", "semwebsrv"), ("tomcat/etc/keystore.jks", "semsrv")]
    {
        let folder = tempfile::tempdir().unwrap();
        let lab = RunningLab::frozen(&["--agents", "2", "--install-root", folder.path().to_str().unwrap()]);
        std::fs::write(folder.path().join(file), "not to be read").unwrap();
        lab.run(&["manager", "restart", "sepm-1"]);
        let why = format!("the service {service} of sepm-1 is down");
        refuses_before_any_change(&lab, &[], &why, "epm-lab manager restart");
    }
}

#[needs(curl)]
#[test]
fn after_the_longest_wait_it_goes_on_without_who_is_missing() {
    let lab = RunningLab::frozen(&["--agents", "2"]);
    lab.ask("POST", "/v1/clients/desk-2/operations", &json!({ "do": "offline" }));
    let found = lab.rotate(&["single", "--max-wait", "10m"], 0);
    assert_eq!(found["left_behind"], json!(["desk-2"]), "{found}");
}

#[test]
fn a_manager_that_is_not_the_one_it_was_told_to_believe_is_not_talked_to() {
    let (lab, other) =
        (RunningLab::frozen(&["--agents", "0"]), RunningLab::frozen(&["--agents", "0", "--seed", "2"]));
    well(&other.run(&["manager", "update"]));
    let found = other.json(&["manager", "certificate"], 0);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, found["stores"]["console"]["pem"].as_str().unwrap()).unwrap();
    let out = lab.run(&["rotate", "single", "--ca", file.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out).1);
    assert!(stderr(&out).contains("certificate"), "{}", stderr(&out));
}

#[needs(curl)]
#[test]
fn what_somebody_else_has_changed_in_between_is_seen_before_it_does_harm() {
    let lab = RunningLab::frozen(&["--agents", "2"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let single = ["single", "--state", file.to_str().unwrap()];
    lab.rotate(&[&single[..], &["--stop-after", "wait-for-policy"]].concat(), 1);
    let back = json!({ "secure_communications": true, "list": "Default Management Server List for My Site" });
    lab.ask("PUT", "/v1/groups/My%20Company", &back);
    lab.ask("POST", "/v1/clock/heartbeats", &json!({ "heartbeats": 2 }));
    let old = lab.certificate("sepm-1");
    let found = lab.rotate(&single, 3);
    assert_eq!(names(&found["stopped"]["clients"]), ["desk-1", "desk-2"], "{found}");
    assert!(
        found["stopped"]["why"].as_str().unwrap().contains("update-certificate would orphan 2"),
        "{found}"
    );
    assert_eq!((lab.certificate("sepm-1"), lab.check_later().0), (old, Some(0)), "nothing has happened");
}

#[needs(curl)]
#[test]
fn a_snapshot_restored_under_a_rotation_stops_it_with_the_reason() {
    let lab = RunningLab::frozen(&["--agents", "2", "--managers", "2"]);
    well(&lab.run(&["snapshot", "take", "before"]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let multi = ["multi", "--state", file.to_str().unwrap()];
    for due in ["wait after sepm-1", "update sepm-2"] {
        let last = if due == "update sepm-2" { "wait after sepm-1" } else { "update sepm-1" };
        lab.rotate(&[&multi[..], &["--stop-after", last]].concat(), 1);
        well(&lab.run(&["snapshot", "restore", "before"]));
        let began = lab.ask("GET", "/v1/clock", &json!({}))["now_ms"].as_i64();
        let found = lab.rotate(&multi, 3);
        let why = found["stopped"]["why"].as_str().unwrap_or_default();
        assert!(why.starts_with("sepm-1 no longer has the certificate that rotation-"), "{due}: {found}");
        let passed = lab.ask("GET", "/v1/clock", &json!({}))["now_ms"]
            .as_i64()
            .zip(began)
            .map(|(now, began)| now - began);
        assert!(passed.is_some_and(|passed| passed < 3_600_000), "it does not wait in vain: {passed:?}");
        std::fs::remove_file(&file).unwrap();
    }
}

#[needs(curl)]
#[test]
fn the_default_fleet_has_a_client_of_each_kind_that_a_careless_rotation_forgets() {
    let lab = RunningLab::frozen(&[]);
    let clients = lab.ask("GET", "/v1/clients", &json!({}));
    let one = |name: &str| {
        clients["clients"].as_array().unwrap().iter().find(|one| one["client"] == name).unwrap().clone()
    };
    assert_eq!(clients["clients"].as_array().unwrap().len(), 5, "{clients}");
    assert_eq!(one("desk-1")["on"], true);
    assert_eq!(one("old-1")["view"]["version"], "14.2.0.0000");
    assert_eq!(one("server-1")["view"]["group"], r"My Company\Servers");
    assert_eq!(one("branch-1")["view"]["location"], "Branch");
    let mostly_off = one("mostly-off-1");
    assert!(mostly_off["on"] == false && !mostly_off["view"]["serial"].is_null(), "{mostly_off}");
    assert_eq!(lab.check_later().0, Some(0), "all is well before a rotation");

    let found = lab.rotate(&["single"], 0);
    assert_eq!(found["verdict"]["well"], true, "{found}");
    let found = lab.rotate(&["single", "--skip-inheritance"], 3);
    assert_eq!(names(&found["verdict"]["orphaned"]), ["server-1", "branch-1"], "{found}");

    let several = RunningLab::frozen(&["--managers", "2"]);
    let found = several.rotate(&["multi"], 0);
    assert_eq!((&found["verdict"]["well"], &found["verdict"]["clients"]), (&json!(true), &json!(5)));
}

#[needs(script)]
#[test]
fn on_a_terminal_nothing_of_the_progress_stays_beside_the_result() {
    let lab = RunningLab::frozen(&["--agents", "2"]);
    let command = format!("{} rotate single --no-wait", program().get_program().display());
    let out =
        output(Command::new("script").args(["-qec", &command, "/dev/null"]).env("EPM_LAB_URL", lab.url()));
    let shown = stdout(&out);
    let (before, _) = shown.split_once("Why:").unwrap_or_else(|| panic!("{shown:?}"));
    let (_, after_progress) = before.rsplit_once("s)").unwrap_or_else(|| panic!("no progress: {shown:?}"));
    assert!(after_progress.contains("\u{1b}[2K"), "{before:?}");
}
