//! `epm-lab up --data`: a lab goes on after it was stopped or killed, and a folder that cannot be used is refused.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

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
        let asked = ["--silent", "--show-error", "--write-out", "\n%{http_code}", "--request", method];
        let body = ["--header", "content-type: application/json", "--data-binary", &body.to_string()];
        let url = format!("{}{path}", self.url());
        let said = stdout(&output(Command::new("curl").args(asked).args(body).arg(url)));
        let (answer, status) = said.rsplit_once('\n').unwrap();
        (status.parse().unwrap_or(0), serde_json::from_str(answer).unwrap_or_default())
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
        let verdict = self.done("GET", "/v1/verdict", &json!({}));
        let one = |one: &Value| [&one["client"], &one["since"]].map(Value::to_string);
        verdict["orphaned"].as_array().unwrap().iter().map(one).collect()
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
    let lab = up(&data, &FOUR);
    assert_eq!(lab.is_to_clients(), before);
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

#[needs(curl)]
#[test]
fn tokens_commands_settings_and_the_journal_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let rest = |lab: &RunningLab, method: &str, path: &str, token: &str, body: &str| -> Value {
        let url = format!("{}/sepm/api/v1/{path}", lab.ready["managers"][0]["rest"].as_str().unwrap());
        let asked = ["--silent", "--show-error", "--insecure", "--request", method, "--data-binary", body];
        let headers = format!("authorization: Bearer {token}");
        let headers = ["--header", "content-type: application/json", "--header", &headers];
        let said = stdout(&output(Command::new("curl").args(asked).args(headers).arg(url)));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{method} {path}: {error}: {said}"))
    };
    let lab = up(&data, &["--agents", "2", "--heartbeat", "60"]);
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
    ] {
        refused(&output(&mut up_with(&data, more)), &[expected, "founded with"]);
    }
    // The same options, and none, go on.
    for more in [&["--seed", "7", "--agents", "0", "--assume", "rest_throttle_calls=50"][..], &[]] {
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

#[needs(curl, prlimit, bash)]
#[test]
fn without_room_on_the_disk_a_change_is_refused_heartbeats_go_on_and_it_recovers_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut starting = Command::new("bash");
    starting.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_epm-lab")]);
    starting.args(["up", "--http-port", "0", "--heartbeat", "1", "--data", data.to_str().unwrap()]);
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
