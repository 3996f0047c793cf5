//! `epm-lab up --data`: a lab goes on after it was stopped or killed, and a folder that cannot be used is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::control::Control;
use crate::harness::{RunningLab, needs, output, program, refused, run, stdout, until, well};

/// How often a lab is killed while it is rotated; `EPM_TESTS_ROUNDS` for more.
const ROUNDS: u64 = 10;
/// How often before a new lab takes its place: groups only become more, and each makes every change slower.
const ROUNDS_OF_A_LAB: u64 = 20;
/// Four clients that are always on.
const FOUR: [&str; 4] = ["--heartbeat", "1", "--agents", "4"];
/// A heartbeat each second.
const FAST: [&str; 2] = ["--heartbeat", "1"];

fn up(data: &Path, more: &[&str]) -> RunningLab {
    RunningLab::as_it_is(&mut up_with(data, more))
}

fn up_with(data: &Path, more: &[&str]) -> Command {
    let mut up = program();
    up.args(["up", "--http-port", "0", "--data", data.to_str().unwrap()]).args(more);
    up
}

impl RunningLab {
    /// What the control API answers, and its status.
    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        Control(self.url().to_owned()).call(method, path, body)
    }

    #[track_caller]
    fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// The site with its groups and lists.
    fn objects(&self) -> Value {
        json!(["/v1/site", "/v1/groups", "/v1/lists"].map(|path| self.done("GET", path, &json!({}))))
    }

    /// The clients that are orphaned, and since when.
    fn orphaned(&self) -> Vec<[String; 2]> {
        orphaned(&self.done("GET", "/v1/verdict", &json!({})))
    }

    /// What a lab is to clients: identity, addresses, certificates, settings, registered clients.
    fn is_to_clients(&self) -> Value {
        let site = self.objects();
        let ready = &self.ready;
        let certificate = self.done("GET", "/v1/managers/sepm-1/certificate", &json!({}));
        let [http, rest] = ["http", "rest"].map(|one| &ready["managers"][0][one]);
        json!([ready["seed"], self.secret(), ready["domain"], http, rest, site, certificate])
    }
}

/// The clients that are orphaned in a verdict, and since when.
fn orphaned(verdict: &Value) -> Vec<[String; 2]> {
    let one = |one: &Value| [&one["client"], &one["since"]].map(Value::to_string);
    verdict["orphaned"].as_array().unwrap().iter().map(one).collect()
}

#[needs(curl)]
#[test]
fn a_lab_that_was_killed_goes_on_with_everything_that_it_answered_for() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let lab = up(&data, &FOUR);
    lab.done("PUT", "/v1/groups/My%20Company%5CSales", &json!({ "inherits": false }));
    lab.done("PUT", "/v1/managers/sepm-1/certificate/first", &json!({}));
    let taken = lab.done("PUT", "/v1/baselines/before", &json!({}));
    lab.done("PUT", "/v1/fleet/sales", &json!({ "count": 2, "group": r"My Company\Sales" }));
    lab.done("PUT", "/v1/snapshots/midway", &json!({}));
    lab.done("PUT", "/v1/managers/sepm-1/certificate/second", &json!({}));
    lab.done("PUT", "/v1/faults/busy", &json!({ "what": "status", "where": { "route": "policy" } }));
    lab.done("PUT", "/v1/expectations/secure", &json!({ "expect": "every-client-is-secure" }));
    let certificate = lab.done("PUT", "/v1/managers/sepm-1/certificate/second", &json!({}));
    lab.done("PUT", "/v1/fleet/sales", &json!({ "count": 1, "at_once": true }));
    lab.done("POST", "/v1/clock/heartbeats", &json!({ "heartbeats": 2 }));
    let repeat = |lab: &RunningLab| lab.done("GET", "/v1/verdict", &json!({}))["repeat"].clone();
    let first_start = repeat(&lab);
    assert!(first_start.as_str().is_some_and(|command| !command.contains("--data")), "{first_start}");
    let asked = |lab: &RunningLab| {
        let of = |path| lab.done("GET", path, &json!({}));
        [of("/v1/baselines"), of("/v1/snapshots"), of("/v1/faults")]
    };
    // The updates were careless, and what they did to each client is remembered, with the time.
    let was_orphaned = lab.orphaned();
    assert_eq!(was_orphaned.len(), 5, "{was_orphaned:?}");
    let (before, clients, objects) =
        (lab.is_to_clients(), lab.done("GET", "/v1/clients", &json!({})), asked(&lab));
    lab.kill();

    let lab = up(&data, &FOUR);
    assert_eq!(lab.is_to_clients(), before);
    assert_eq!(asked(&lab), objects);
    // The same clients in the same order, none with fewer heartbeats.
    let again = lab.done("GET", "/v1/clients", &json!({}));
    let names = |all: &Value| -> Vec<String> {
        all["clients"].as_array().unwrap().iter().map(|one| one["client"].to_string()).collect()
    };
    assert_eq!(names(&again), names(&clients), "{again}");
    // An update that is repeated by its name is not done twice.
    let repeated = lab.done("PUT", "/v1/managers/sepm-1/certificate/second", &json!({}));
    assert_eq!(repeated["stores"], certificate["stores"]);
    assert_eq!(lab.done("GET", "/v1/baselines/before", &json!({}))["settings"], taken["settings"]);
    lab.done("POST", "/v1/clock/heartbeats", &json!({ "heartbeats": 2 }));
    assert_eq!(lab.orphaned(), was_orphaned);

    // A restored snapshot outlives the process, too, and no key comes again.
    lab.done("POST", "/v1/snapshots/midway/restore", &json!({}));
    let third = lab.done("PUT", "/v1/managers/sepm-1/certificate/third", &json!({}));
    assert_ne!(third["stores"], certificate["stores"]);
    let before = lab.is_to_clients();
    assert_eq!(lab.interrupt(), Some(0));
    let lab = up(&data, &[]);
    assert_eq!(lab.is_to_clients(), before);
    assert_eq!(repeat(&lab), first_start);
    assert_eq!(lab.done("GET", "/v1/faults", &json!({})), json!([]));
    assert_eq!(
        names(&lab.done("GET", "/v1/clients", &json!({}))).iter().filter(|one| one.contains("sales")).count(),
        2
    );

    // The start of the lab is still there, with clients that are served.
    lab.done("POST", "/v1/reset", &json!({}));
    lab.done("POST", "/v1/clock/heartbeats", &json!({ "heartbeats": 1 }));
    assert!(lab.orphaned().is_empty());
}

/// What the rotation since the start is judged as: the exit code, and findings and notes.
#[track_caller]
fn judged(lab: &RunningLab) -> (Option<i32>, Value) {
    let out = lab.run(&["check", "--since", "--json"]);
    let found: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
    (out.status.code(), found["expectations"][0].clone())
}

#[test]
fn a_rotation_that_has_passed_or_failed_is_judged_so_after_a_restart() {
    for (way, code) in [(&["single"][..], 0), (&["single", "--no-wait", "--force"], 1)] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let lab = up(&data, &FOUR);
        let rotated = lab.run(&[&["rotate"], way].concat());
        assert_eq!(rotated.status.success(), code == 0, "{way:?}: {}", stdout(&rotated));
        well(&lab.run(&["clock", "heartbeats", "3"]));
        let (before, first) = judged(&lab);
        assert_eq!(before, Some(code), "{way:?}: {first:#}");
        lab.kill();
        let lab = up(&data, &FOUR);
        let (after, found) = judged(&lab);
        assert_eq!(after, Some(code), "{way:?}, killed: {found:#}");
        assert_eq!(found["notes"], first["notes"]);
        // A pause that the restart lies in is judged as well.
        well(&lab.run(&["manager", "update", "sepm-1"]));
        well(&lab.run(&["clock", "heartbeats", "3"]));
        let (before, first) = judged(&lab);
        let notes = |found: &Value| found["notes"].to_string();
        assert!(!notes(&first).contains("no longer known"), "{first:#}");
        assert_eq!(lab.interrupt(), Some(0));
        let (after, found) = judged(&up(&data, &FOUR));
        assert_eq!((after, notes(&found)), (before, notes(&first)), "{way:?}, stopped: {found:#}");
    }
}

#[needs(curl)]
#[test]
fn a_change_just_before_a_kill_leaves_the_pauses_of_a_rotation_known() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let lab = up(&data, &FOUR);
    well(&lab.run(&["rotate", "single"]));
    well(&lab.run(&["clock", "heartbeats", "3"]));
    // Nothing is written after this change.
    let who = r#"{"username":"admin","password":"epm-lab"}"#;
    let token = rest(&lab, "POST", "identity/authenticate", "", who)["token"].as_str().unwrap().to_owned();
    let groups = rest(&lab, "GET", "groups", &token, "");
    let top = format!("groups/{}", groups["content"][0]["id"].as_str().unwrap());
    rest(&lab, "POST", &top, &token, r#"{"name":"Of REST","inherits":true}"#);
    lab.kill();
    let lab = up(&data, &FOUR);
    assert!(lab.objects().to_string().contains("Of REST"));
    let (code, found) = judged(&lab);
    assert_eq!(code, Some(0), "{found:#}");
}

#[needs(curl)]
#[test]
fn a_fault_that_hits_three_times_hits_no_more_after_a_kill_also_where_other_clients_have_left() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let lab = up(&data, &FOUR);
    lab.done("PUT", "/v1/fleet/sales", &json!({ "count": 2 }));
    lab.done("PUT", "/v1/fleet/desk", &json!({ "count": 0, "at_once": true }));
    let fault = json!({
        "what": "status",
        "where": { "route": "index" },
        "when": { "first": 3 },
    });
    lab.done("PUT", "/v1/faults/thrice", &fault);
    let hits = |lab: &RunningLab| {
        let found = lab.done("GET", "/v1/journal/count?kind=fault-applied&partial=true", &json!({}));
        found["total"].as_u64().unwrap()
    };
    let all = until("each client is hit three times", || Some(hits(&lab)).filter(|hits| *hits >= 9));
    lab.done("POST", "/v1/clock/heartbeats", &json!({ "heartbeats": 4 }));
    lab.kill();
    let lab = up(&data, &FOUR);
    lab.done("POST", "/v1/clock/heartbeats", &json!({ "heartbeats": 4 }));
    assert_eq!(hits(&lab), all);
    // A fault that takes its place begins anew.
    lab.done("DELETE", "/v1/faults/thrice", &json!({}));
    lab.done("PUT", "/v1/faults/thrice", &fault);
    until("each client is hit again", || (hits(&lab) != all).then_some(()));
}

#[needs(curl)]
#[test]
fn a_service_that_is_down_for_its_files_is_down_after_a_kill_and_starts_once_they_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let (data, root) = (folder.path().join("data"), folder.path().join("sepm"));
    let options = ["--agents", "1", "--heartbeat", "1", "--install-root", root.to_str().unwrap()];
    let file = root.join("apache/conf/ssl/server.crt");
    let lab = up(&data, &options);
    let health = |lab: &RunningLab| lab.call("GET", "/v1/health", &json!({})).1;
    let before = lab.is_to_clients();
    let right = std::fs::read(&file).unwrap();
    std::fs::write(&file, "no certificate").unwrap();
    lab.done("POST", "/v1/managers/sepm-1/restart", &json!({ "service": "semwebsrv" }));
    let down = health(&lab);
    let why = down["service_errors"]["sepm-1"]["semwebsrv"].as_str().unwrap();
    assert!(why.contains("apache/conf/ssl/server.crt"), "{down}");
    lab.kill();
    let lab = up(&data, &options);
    let again = health(&lab);
    assert_eq!(
        [&again["services_down"], &again["service_errors"]],
        [&down["services_down"], &down["service_errors"]]
    );
    // Of the other service nothing was wrong.
    assert_eq!(lab.is_to_clients()[5], before[5]);
    // Without its folder a manager has no files.
    lab.kill();
    let lab = up(&data, &options[..4]);
    assert_eq!(health(&lab)["services_down"], json!({}));
    // A machine that starts reads files that no service had read before.
    std::fs::write(&file, right).unwrap();
    lab.kill();
    let lab = up(&data, &options);
    let well = health(&lab);
    assert_eq!([&well["services_down"], &well["service_errors"]], [&json!({}), &json!({})]);
    assert_eq!(lab.is_to_clients(), before);
}

#[needs(curl)]
#[test]
fn what_was_done_before_kills_and_restarts_is_recorded_and_played_gives_the_same_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let lab = up(&data, &["--agents", "0", "--heartbeat", "60"]);
    let pass = |lab: &RunningLab, by: &str| lab.done("POST", "/v1/clock/advance", &json!({ "by": by }));
    let update = |lab: &RunningLab, name: &str| {
        lab.done("PUT", &format!("/v1/managers/sepm-1/certificate/{name}"), &json!({}))
    };
    let switch = |lab: &RunningLab, client: &str, to: &str| {
        lab.done("POST", &format!("/v1/clients/{client}/operations"), &json!({ "do": to }))
    };
    let secure = |lab: &RunningLab, on: bool| {
        lab.done("PUT", "/v1/groups/My%20Company", &json!({ "secure_communications": on }))
    };
    lab.done("PUT", "/v1/clock", &json!({ "speed": 0 }));
    lab.done("PUT", "/v1/fleet/desk", &json!({ "count": 3 }));
    lab.done("PUT", "/v1/fleet/sales", &json!({ "count": 2 }));
    pass(&lab, "100s");
    // What a snapshot undoes is not recorded.
    lab.done("PUT", "/v1/snapshots/before", &json!({}));
    update(&lab, "wrong");
    switch(&lab, "desk-3", "offline");
    pass(&lab, "10m");
    lab.done("POST", "/v1/snapshots/before/restore", &json!({}));
    switch(&lab, "sales-1", "offline");
    lab.done("PUT", "/v1/faults/busy", &json!({ "what": "status", "whom": { "agent": "desk-1" } }));
    pass(&lab, "200s");
    lab.kill();

    let lab = up(&data, &[]);
    secure(&lab, false);
    pass(&lab, "100s");
    update(&lab, "right");
    pass(&lab, "200s");
    lab.done("PUT", "/v1/snapshots/midway", &json!({}));
    secure(&lab, true);
    let who = r#"{"username":"admin","password":"epm-lab"}"#;
    let token = rest(&lab, "POST", "identity/authenticate", "", who)["token"].as_str().unwrap().to_owned();
    let groups = rest(&lab, "GET", "groups", &token, "");
    let top = format!("groups/{}", groups["content"][0]["id"].as_str().unwrap());
    rest(&lab, "POST", &top, &token, r#"{"name":"Of REST","inherits":true}"#);
    lab.kill();

    let lab = up(&data, &[]);
    let recorded = |lab: &RunningLab| {
        let path = folder.path().join("recorded.toml");
        let said = lab.json(&["scenario", "record", path.to_str().unwrap(), "--force"], 0);
        let played = run(&["rehearse", path.to_str().unwrap(), "--json"]);
        let played: Value = serde_json::from_str(&stdout(&played)).unwrap();
        (fs::read_to_string(&path).unwrap(), said["left_out"].to_string(), orphaned(&played["verdict"]))
    };
    let (text, ..) = recorded(&lab);
    assert!(text.contains("Of REST"), "only the log has it: {text}");
    // A snapshot of an earlier run undoes what was done in it.
    lab.done("POST", "/v1/snapshots/midway/restore", &json!({}));
    pass(&lab, "1m");
    lab.done("DELETE", "/v1/faults/busy", &json!({}));
    secure(&lab, true);
    switch(&lab, "sales-1", "online");
    pass(&lab, "10m");
    let lost = lab.orphaned();
    assert_eq!(lab.interrupt(), Some(0));

    let lab = up(&data, &[]);
    assert_eq!(lab.orphaned(), lost);
    let (text, left_out, played) = recorded(&lab);
    assert_eq!(played, lost, "{text}");
    assert!(lost.iter().any(|one| one[0].contains("sales-1")), "{lost:?}");
    assert!(!text.contains("Of REST") && !text.contains("desk-3"), "{text}");
    let restarts = ["was ended", "was stopped"].map(|one| left_out.matches(one).count());
    assert_eq!(restarts, [1, 1], "the second kill was undone: {left_out}");
}

/// A call of the REST API.
fn rest(lab: &RunningLab, method: &str, path: &str, token: &str, body: &str) -> Value {
    let url = format!("{}/sepm/api/v1/{path}", lab.ready["managers"][0]["rest"].as_str().unwrap());
    let asked = ["--silent", "--show-error", "--insecure", "--request", method, "--data-binary", body];
    let headers = format!("authorization: Bearer {token}");
    let headers = ["--header", "content-type: application/json", "--header", &headers];
    let said = stdout(&output(Command::new("curl").args(asked).args(headers).arg(url)));
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{method} {path}: {error}: {said}"))
}

#[needs(curl)]
#[test]
fn a_lab_that_was_killed_knows_its_last_changes_from_its_log_and_keeps_a_frozen_client_still() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let lab = up(&data, &["--agents", "3", "--heartbeat", "1"]);
    let client = |lab: &RunningLab, name: &str| lab.done("GET", &format!("/v1/clients/{name}"), &json!({}));
    until("a heartbeat", || {
        (client(&lab, "old-1")["view"]["heartbeats_served"].as_u64() > Some(1)).then_some(())
    });
    lab.done("POST", "/v1/clients/old-1/operations", &json!({ "do": "freeze" }));
    let still = client(&lab, "old-1")["view"]["heartbeats"].clone();
    assert_eq!(lab.interrupt(), Some(0));
    let lab = up(&data, &[]);
    // What a call of the control API changes is written at once, the rest every four seconds: until then only the log has it.
    let who = r#"{"username":"admin","password":"epm-lab"}"#;
    let token = rest(&lab, "POST", "identity/authenticate", "", who)["token"].as_str().unwrap().to_owned();
    let groups = rest(&lab, "GET", "groups", &token, "");
    let settings =
        format!("groups/{}/locations/default/settings", groups["content"][0]["id"].as_str().unwrap());
    let off =
        r#"{"configuration":{"general_settings":{"security_settings":{"secure_communications":false}}}}"#;
    rest(&lab, "PATCH", &settings, &token, off);
    lab.kill();
    let lab = up(&data, &[]);
    let verdict = until("a client that has received it", || {
        let verdict = lab.done("GET", "/v1/verdict", &json!({}));
        verdict["not_secure"].to_string().contains("desk-1").then_some(verdict)
    });
    let reasons = verdict["reasons"].to_string();
    assert!(reasons.contains("switched secure communications off in"), "{reasons}");
    assert_eq!(client(&lab, "old-1")["view"]["heartbeats"], still, "a frozen client sends nothing");
    assert_eq!(lab.interrupt(), Some(0));
}

#[needs(curl)]
#[test]
fn tokens_commands_settings_and_the_journal_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let lab = up(&data, &["--agents", "3", "--heartbeat", "60"]);
    lab.done("PUT", "/v1/fleet/desk", &json!({ "count": 1 }));
    let log_in = r#"{"username":"admin","password":"epm-lab"}"#;
    let token = rest(&lab, "POST", "identity/authenticate", "", log_in)["token"].as_str().unwrap().to_owned();
    let kim = r#"{"loginName":"kim","password":"A long one 1!","adminType":1,"fullName":"Kim","emailAddress":"k@k.example"}"#;
    rest(&lab, "POST", "admin-users", &token, kim);
    let list = r#"{"name":"bad","hashType":"MD5","data":["582F9B6A582F9B6A582F9B6A582F9B6A"]}"#;
    let list =
        rest(&lab, "POST", "policy-objects/fingerprints", &token, list)["id"].as_str().unwrap().to_owned();
    let agent = lab.ready["clients"][0]["agent"].as_str().unwrap().to_owned();
    let command = format!("command-queue/fullscan?computer_ids={agent}");
    let command = rest(&lab, "POST", &command, &token, "")["commandID_computer"].as_str().unwrap().to_owned();
    lab.done("PUT", "/v1/faults/busy", &json!({ "what": "status", "where": { "route": "package" } }));
    let journal = |lab: &RunningLab| lab.done("GET", "/v1/journal?kind=call", &json!({}))["entries"].clone();
    let facts = |lab: &RunningLab| {
        let get = |path: &str| rest(lab, "GET", path, &token, "");
        json!([get(&format!("command-queue/{command}")), get(&format!("policy-objects/fingerprints/{list}"))])
    };
    let (before, calls) = (facts(&lab), journal(&lab));
    assert!(before[1]["name"] == "bad" && calls.as_array().unwrap().len() >= 6, "{before} {calls}");
    assert_eq!(lab.interrupt(), Some(0));

    let lab = up(&data, &[]);
    let again = journal(&lab);
    assert_eq!(again.as_array().unwrap()[..calls.as_array().unwrap().len()], calls.as_array().unwrap()[..]);
    assert_eq!(facts(&lab), before);
    // A client that was removed from the fleet has run nowhere since.
    let verdict = lab.done("GET", "/v1/verdict", &json!({}));
    assert_eq!((&verdict["unknown"], &verdict["elsewhere"]), (&Value::Null, &json!(0)), "{verdict}");
    // Nor was a client silent while there was no lab.
    assert_eq!((&verdict["silent"], &verdict["well"]), (&json!([]), &json!(true)), "{verdict}");
    let log_in = r#"{"username":"kim","password":"A long one 1!"}"#;
    assert!(rest(&lab, "POST", "identity/authenticate", "", log_in)["token"].is_string());
    // Numbers go on, and a kill leaves what was written.
    let last = |entries: &Value| entries.as_array().unwrap().last().unwrap()["number"].as_u64().unwrap();
    assert!(last(&journal(&lab)) > last(&calls));
    lab.done("PUT", "/v1/faults/busy", &json!({ "what": "status", "where": { "route": "list" } }));
    let calls = journal(&lab);
    lab.kill();
    let lab = up(&data, &[]);
    assert_eq!(journal(&lab), calls);
    assert_eq!(lab.interrupt(), Some(0));
}

#[test]
fn options_that_contradict_the_lab_in_the_folder_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let assumed = |calls: u32| {
        let file = folder.path().join(format!("{calls}.toml"));
        fs::write(&file, format!("rest_throttle_calls = {calls}\n")).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (other, same) = (assumed(51), assumed(50));
    let in_use = {
        let lab = up(&data, &["--seed", "7", "--agents", "0", "--assume", "rest_throttle_calls=50"]);
        let refused = output(&mut up_with(&data, &[]));
        assert_eq!(lab.ready["seed"], 7);
        assert_eq!(lab.interrupt(), Some(0));
        refused
    };
    refused(&in_use, &["is in use by another lab, process"]);
    for (more, expected) in [
        (&["--seed", "8"][..], "`--seed` contradicts"),
        (&["--managers", "2"], "`--managers` contradicts"),
        (&["--heartbeat", "3"], "`--heartbeat` contradicts"),
        (&["--agents", "5"], "`--agents` contradicts"),
        (&["--no-rest"], "`--no-rest` contradicts"),
        (&["--address", "manager.example"], "`--address` contradicts"),
        (&["--assume", "rest_throttle_calls=51"], "assumption rest_throttle_calls contradicts"),
        (&["--assumptions", &other], "assumption rest_throttle_calls contradicts"),
    ] {
        refused(&output(&mut up_with(&data, more)), &[expected, "founded with"]);
    }
    // The same options, and none, go on.
    for more in [
        &["--seed", "7", "--agents", "0", "--assume", "rest_throttle_calls=50"][..],
        &["--assumptions", &same],
        &[],
    ] {
        let lab = up(&data, more);
        assert_eq!(lab.ready["seed"], 7);
        assert_eq!(lab.interrupt(), Some(0));
    }
}

#[needs(python3)]
#[test]
fn a_folder_that_cannot_be_used_is_refused_and_the_database_can_be_read_by_people() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let lab = up(&data, &["--agents", "1"]);
    assert_eq!(lab.interrupt(), Some(0));
    let file = data.join("lab.db");
    let reader = "import sqlite3, sys; lab = sqlite3.connect(sys.argv[1]); \
        print('\\n'.join('|'.join(map(str, row)) for row in lab.execute(sys.argv[2]))); lab.commit()";
    let sql = |text: &str| {
        well(&output(Command::new("python3").args(["-c", reader]).arg(&file).arg(text))).trim().to_owned()
    };
    assert!(sql("SELECT command FROM commands").contains("set-communication"));
    assert_eq!(sql("SELECT given_by FROM commands GROUP BY 1"), "up");
    assert!(sql("SELECT computer, last_seen FROM clients").starts_with("desk-1|20"));
    sql("PRAGMA user_version = 99");
    refused(&output(&mut up_with(&data, &[])), &["version 99 of the data", "reads up to version 1"]);
    sql("PRAGMA user_version = 1");
    let whole = std::fs::read(&file).unwrap();
    sql("DROP TABLE written");
    sql("CREATE VIEW written AS WITH RECURSIVE n(steps) AS (SELECT 0 UNION ALL SELECT steps + 1 FROM n) \
         SELECT max(steps) AS steps FROM n");
    refused(&output(&mut up_with(&data, &[])), &["its tables and views are not those of epm-lab"]);
    std::fs::write(&file, whole).unwrap();
    sql("CREATE TRIGGER more AFTER INSERT ON log BEGIN DELETE FROM log; END");
    refused(&output(&mut up_with(&data, &[])), &["its tables and views are not those of epm-lab"]);
    sql("DROP TRIGGER more");
    sql("UPDATE log SET given_by = 'files' WHERE sequence = 1");
    refused(&output(&mut up_with(&data, &[])), &["is damaged (entry 1 of the log is not what was written)"]);
    sql("DELETE FROM log WHERE sequence = 1");
    refused(&output(&mut up_with(&data, &[])), &["is damaged (entry 1 of the log is missing)"]);
    sql("PRAGMA application_id = 5");
    refused(&output(&mut up_with(&data, &[])), &["no database of epm-lab"]);
    std::fs::write(
        &file,
        "no database at all, and longer than the header of one, which has a hundred bytes in all. "
            .repeat(50),
    )
    .unwrap();
    for name in ["lab.db-wal", "lab.db-shm"] {
        let _ = std::fs::remove_file(data.join(name));
    }
    refused(&output(&mut up_with(&data, &[])), &["is damaged"]);
    let foreign = folder.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("photo.jpg"), "").unwrap();
    refused(&run(&["up", "--http-port", "0", "--data", foreign.to_str().unwrap()]), &["photo.jpg"]);
}

#[needs(curl)]
#[test]
fn what_was_answered_outlives_a_kill_at_any_moment_of_a_rotation() {
    let rounds =
        std::env::var("EPM_TESTS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let folder = tempfile::tempdir().unwrap();
    let mut data = folder.path().join("data");
    let mut answered: Vec<String> = Vec::new();
    let mut lab = up(&data, &FAST);
    for round in 0..rounds {
        if round > 0 && round % ROUNDS_OF_A_LAB == 0 {
            drop(lab);
            data = folder.path().join(format!("data-{round}"));
            answered.clear();
            lab = up(&data, &FAST);
        }
        // The rotation runs beside updates of one kind that are asked for one after another.
        let mut rotation = lab.program();
        let mut rotation = rotation
            .args(["rotate", "single", "--no-wait", "--force"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for number in 0..=(round * 17 + 3) % 40 {
            let (group, on) = (format!("My%20Company%5Cround-{round}-{number}"), number % 2 == 0);
            let (status, _) = lab.call("PUT", &format!("/v1/groups/{group}"), &json!({ "inherits": on }));
            assert_eq!(status, 200);
            answered.push(group);
        }
        lab.kill();
        let _ = rotation.kill();
        let _ = rotation.wait();
        lab = up(&data, &FAST);
        let site = lab.objects().to_string();
        for group in &answered {
            let name = group.replace("%20", " ").replace("%5C", r"\\");
            assert!(site.contains(&name), "{name} was answered in an earlier round than {round}: {site}");
        }
        // The stores of a manager never differ: an update is there as a whole or not at all.
        let stores = lab.done("GET", "/v1/managers/sepm-1/certificate", &json!({}))["stores"].clone();
        assert_eq!(stores["console"]["fingerprint"], stores["client"]["fingerprint"], "round {round}");
    }
}

#[test]
fn a_data_folder_that_every_user_can_write_is_warned_of_and_one_of_a_group_is_not() {
    for (mode, warnings) in [(0o777, 1), (0o770, 0)] {
        let folder = tempfile::tempdir().unwrap();
        let [data, log] = ["data", "log"].map(|name| folder.path().join(name));
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(mode)).unwrap();
        let lab = RunningLab::as_it_is(up_with(&data, &["--agents", "0"]).env("EPM_LAB_LOG_FILE", &log));
        assert_eq!(lab.interrupt(), Some(0));
        let said = fs::read_to_string(&log).unwrap_or_default();
        let advice = format!("`chmod o-w {}`", data.display());
        assert_eq!(said.matches(&advice).count(), warnings, "{mode:o}: {said}");
    }
}

#[needs(curl, prlimit, bash)]
#[test]
fn without_room_on_the_disk_a_change_is_refused_heartbeats_go_on_and_it_recovers_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut starting = Command::new("bash");
    starting.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_epm-lab")]);
    starting.args(["up", "--http-port", "0", "--heartbeat", "1", "--data", data.to_str().unwrap()]);
    let log = folder.path().join("log");
    starting.env("EPM_LAB_LOG_FILE", &log);
    let lab = RunningLab::as_it_is(&mut starting);
    let process = lab.ready["pid"].to_string();
    let limit = |bytes: &str| {
        well(&output(Command::new("prlimit").args([
            "--pid",
            &process,
            &format!("--fsize={bytes}:unlimited"),
        ])));
    };
    limit("4096");
    let group = |name: &str| {
        lab.call("PUT", &format!("/v1/groups/My%20Company%5C{name}"), &json!({ "inherits": true }))
    };
    let (status, problem) = group("full");
    assert_eq!((status, &problem["code"]), (507, &json!("not-written")), "{problem}");
    for _ in 0..20 {
        assert_eq!(group("full").0, 507);
    }
    let said = fs::read_to_string(&log).unwrap();
    assert_eq!(said.matches("changes were refused").count(), 1, "{said}");
    let total = |lab: &RunningLab| {
        let all = lab.done("GET", "/v1/clients", &json!({}));
        all["clients"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["view"]["heartbeats_served"].as_u64().unwrap_or(0))
            .sum::<u64>()
    };
    let before = total(&lab);
    until("heartbeats go on", || (total(&lab) > before).then_some(()));
    // What keeps nothing is answered, and evidence is made of what is in memory.
    let expected = json!([{ "expect": "no-client-is-orphaned" }]);
    assert_eq!(lab.done("POST", "/v1/expectations", &expected)["result"], "pass");
    assert_eq!(lab.done("POST", "/v1/verdict/if-now", &json!([]))["would_be_orphaned"], 0);
    let (status, problem) = lab.call("PUT", "/v1/baselines/full", &json!({}));
    assert_eq!((status, &problem["code"]), (507, &json!("not-kept")), "{problem}");
    let evidence = folder.path().join("evidence.zip");
    well(&lab.run(&["evidence", evidence.to_str().unwrap()]));
    let found = crate::evidence::parts(&evidence);
    assert!(found.contains_key("verdict.json") && !found.contains_key("lab.db"));
    let page = String::from_utf8(found["evidence.html"].clone()).unwrap();
    assert!(page.contains("the data folder could not be written"), "{page}");
    assert!(!lab.done("GET", "/v1/site", &json!({})).to_string().contains(r"\\full"));
    limit("unlimited");
    assert_eq!(group("again").0, 200);
    lab.kill();
    let lab = up(&data, &FAST);
    let site = lab.objects().to_string();
    assert!(site.contains(r"\\again") && !site.contains(r"\\full"), "{site}");
    // The clients go on where they were, and are served.
    let resumed = total(&lab);
    assert!(resumed >= before, "{resumed} heartbeats, {before} before");
    until("heartbeats go on", || (total(&lab) > resumed + 5).then_some(()));
    assert!(lab.orphaned().is_empty());
}
