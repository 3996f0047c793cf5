//! Clients that run elsewhere and are reported: one verdict over all of them, from any process of a site.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::control::Control;
use crate::harness::{
    Running, RunningLab, agent, json as json_of, needs, output, program, run, said, until, well,
};
use crate::site::{Manager, Site};

pub(crate) const CLIENTS: usize = 30;

/// Three managers of a site that wants tokens, and the files of a fleet.
pub(crate) struct Managers {
    pub(crate) site: Site,
    pub(crate) managers: Vec<Manager>,
    folder: tempfile::TempDir,
}

impl Managers {
    #[track_caller]
    pub(crate) fn start() -> Self {
        let (site, folder) = (Site::found(3), tempfile::tempdir().unwrap());
        let export = folder.path().join("lab");
        let first = Manager::of(site.manager(1).args(["--export", export.to_str().unwrap()]));
        let managers = vec![first, site.start(2), site.start(3)];
        Self { site, managers, folder }
    }

    /// A fleet that reports to the manager of this number.
    pub(crate) fn fleet(&self, number: usize) -> Command {
        let mut fleet = agent();
        fleet.args(["fleet", "--count", &CLIENTS.to_string(), "--json", "--report-every", "1s"]);
        fleet.args(["--report", &self.managers[number - 1].control.0, "--sylink"]);
        fleet.arg(self.folder.path().join("lab/sylink.xml"));
        fleet
    }

    /// What `check` says at the manager of this number: exit code and verdict.
    fn check(&self, number: usize) -> (i32, Value) {
        let checked = run(&["check", "--json", "--lab", &self.managers[number - 1].control.0]);
        (checked.status.code().unwrap(), serde_json::from_slice(&checked.stdout).unwrap_or(Value::Null))
    }

    #[track_caller]
    pub(crate) fn until(&self, number: usize, what: &str, is_so: impl Fn(i32, &Value) -> bool) -> Value {
        until(what, || {
            let (code, verdict) = self.check(number);
            is_so(code, &verdict).then_some(verdict)
        })
    }
}

fn number(verdict: &Value, list: &str) -> usize {
    verdict[list].as_array().map_or(0, Vec::len)
}

#[needs(postgres)]
#[test]
fn one_verdict_counts_a_fleet_elsewhere_and_a_rotation_of_all_managers_leaves_it_well() {
    let mut site = Managers::start();
    let (code, verdict) = site.check(1);
    assert_eq!((code, number(&verdict, "sources")), (4, 0), "{verdict:#}");
    let fleet = Running::start(&mut site.fleet(1));
    // The process that takes the reports, and another one.
    for one in [1, 3] {
        let verdict = site.until(one, "every client to be well", |code, verdict| {
            code == 0 && verdict["clients"] == CLIENTS
        });
        assert_eq!((&verdict["well"], &verdict["sources"][0]["source"]), (&json!(true), &json!("fleet-1")));
        assert_eq!(verdict["parts"][0]["secure"], CLIENTS, "{verdict:#}");
    }
    let lab = &site.managers[1].control;
    let rotated = run(&["rotate", "multi", "--heartbeats", "2", "--json", "--lab", &lab.0]);
    assert_eq!(rotated.status.code(), Some(0), "{:?}", said(&rotated));
    let rotated = json_of(&rotated);
    assert_eq!(
        (&rotated["verdict"]["well"], &rotated["judgement"]["result"]),
        (&json!(true), &json!("pass"))
    );
    assert_eq!(rotated["judgement"]["clients"], CLIENTS, "{rotated:#}");
    // So says the process that was asked in every wait, and that took the baseline, after it was killed; and any other one.
    site.managers.remove(1).running.kill();
    site.managers.insert(1, site.site.start(2));
    site.until(2, "every client to be known", |code, verdict| code == 0 && verdict["clients"] == CLIENTS);
    for one in &site.managers {
        let judged =
            one.does("POST", "/v1/expectations", &json!([{ "expect": "rotation", "since": "rotate" }]));
        assert_eq!(judged["expectations"][0]["result"], "pass", "{judged:#}");
    }
    let lab = &site.managers[1].control;
    // One more, with secure communications off in between.
    let rotated = run(&["rotate", "single", "--heartbeats", "2", "--lab", &lab.0]);
    assert_eq!(rotated.status.code(), Some(0), "{:?}", said(&rotated));
    let expected = run(&[
        "check",
        "--lab",
        &lab.0,
        "--expect",
        "no-client-was-orphaned",
        "--expect",
        "every-client-is-up-to-date",
    ]);
    well(&expected);
    // Clients that have stopped in order are off, and known.
    fleet.signal("INT");
    assert_eq!(fleet.ends().0, Some(0));
    let verdict = site.until(3, "the end of the fleet", |_, verdict| verdict["sources"][0]["ended"] == true);
    assert_eq!((&verdict["well"], number(&verdict, "unknown")), (&json!(true), 0), "{verdict:#}");
    // Until they run again, and no process reports them.
    let package = site.folder.path().join("package");
    well(&run(&["sylink", "package", "-o", package.to_str().unwrap(), "--lab", &lab.0]));
    let mut again = agent();
    again.args(["fleet", "--count", &CLIENTS.to_string(), "--sylink"]).arg(package.join("sylink.xml"));
    let _again = Running::start(&mut again);
    site.until(3, "every client to be unknown", |code, verdict| {
        code == 4 && number(verdict, "unknown") == CLIENTS
    });
}

/// How the orphaned clients of a verdict were orphaned: number of the failure and code of the cause, each once.
fn causes(verdict: &Value) -> Vec<(Value, Value, Value)> {
    // Not those of clients that a busy machine kept from their heartbeats.
    let reasons = verdict["reasons"].as_array().unwrap().iter().filter(|one| one["finding"] == "orphaned");
    let mut causes: Vec<_> =
        reasons.map(|one| (one["failure"].clone(), one["code"].clone(), one["layer"].clone())).collect();
    causes.dedup();
    causes
}

#[needs(postgres)]
#[test]
fn certificates_that_are_replaced_at_once_orphan_the_same_clients_for_the_same_reason_as_in_one_process() {
    let update = |one: u32| json!({ "update-certificate": { "manager": format!("sepm-{one}"), "certificate": { "generate": {} } } });
    let updates = json!([update(1), update(2), update(3)]);
    let site = Managers::start();
    let _fleet = Running::start(&mut site.fleet(2));
    site.until(1, "every client to be well", |code, _| code == 0);
    site.managers[0].does("POST", "/v1/commands", &updates);
    let elsewhere = site.until(3, "every client to be orphaned", |code, verdict| {
        code == 3 && number(verdict, "orphaned") == CLIENTS
    });
    let lab = RunningLab::up(&[
        "--managers",
        "3",
        "--agents",
        "3",
        "--heartbeat",
        "1",
        "--assume",
        "module_14_2_until=14.2",
    ]);
    let commands = site.folder.path().join("commands.json");
    std::fs::write(&commands, updates.to_string()).unwrap();
    let answer = lab.run(&["check", "--if", commands.to_str().unwrap()]);
    assert_eq!(answer.status.code(), Some(3), "{answer:?}");
    let control = Control(lab.url().to_owned());
    control.does("POST", "/v1/commands", &updates);
    let here = lab.until("every client to be orphaned", |verdict| number(verdict, "orphaned") == 3);
    let found = causes(&elsewhere);
    assert!(found.len() == 1 && found[0].0.is_string(), "{found:?}");
    assert_eq!(found, causes(&here));
    assert_eq!(elsewhere["orphaned"][0]["failure"], here["orphaned"][0]["failure"]);
    // Nothing is predicted for clients that the process has no copy of.
    let answer = run(&["check", "--if", commands.to_str().unwrap(), "--lab", &site.managers[0].control.0]);
    assert_eq!(answer.status.code(), Some(4), "{answer:?}");
    // A rotation does not begin.
    let rotated = run(&["rotate", "multi", "--json", "--lab", &site.managers[0].control.0]);
    let (code, text) = said(&rotated);
    assert_eq!(code, Some(3), "{text}");
    assert_eq!(text.matches("cannot be tried in advance").count(), 1, "not once for each manager: {text}");
}

#[needs(postgres)]
#[test]
fn clients_of_a_killed_fleet_are_unknown_and_never_well_until_they_are_reported_again() {
    let site = Managers::start();
    let fleet = Running::start(&mut site.fleet(1));
    site.until(2, "every client to be well", |code, _| code == 0);
    fleet.kill();
    let verdict = site.until(2, "every client to be unknown", |code, _| code == 4);
    assert_eq!((&verdict["well"], number(&verdict, "unknown")), (&Value::Null, CLIENTS), "{verdict:#}");
    assert_eq!((&verdict["clients"], &verdict["sources"][0]["silent"]), (&json!(0), &json!(true)));
    let lab = &site.managers[1].control;
    let shown = run(&["check", "--lab", &lab.0]);
    let (_, text) = said(&shown);
    assert!(
        text.contains("30 clients are unknown") && text.contains("fleet-1 reports 30 clients, silent since"),
        "{text}"
    );
    let report = site.folder.path().join("report.xml");
    for expect in [&[][..], &["--expect", "every-client-is-secure"]] {
        let checked =
            run(&[&["check", "--lab", &lab.0, "--junit", report.to_str().unwrap(), "--force"], expect]
                .concat());
        assert_eq!(checked.status.code(), Some(4), "{checked:?}");
        let report = std::fs::read_to_string(&report).unwrap();
        assert!(report.contains("type=\"unknown\""), "{report}");
    }
    let rotated = run(&["rotate", "multi", "--lab", &lab.0]);
    assert_eq!(rotated.status.code(), Some(3), "{:?}", said(&rotated));
    assert!(said(&rotated).1.contains("30 clients are unknown"), "{:?}", said(&rotated));
    let asked = json!({ "heartbeats": 1, "limit_seconds": 1 });
    let (status, answer) = lab.call("POST", "/v1/clock/heartbeats", &asked);
    assert_eq!((status, &answer["code"]), (504, &json!("unreported")), "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("fleet-1 is silent"), "{answer}");
    // Who waits for heartbeats waits for a process that comes back.
    let waiting = program().args(["clock", "heartbeats", "1", "--lab", &lab.0]).spawn().unwrap();
    // The same clients with another run of the process.
    let _fleet = Running::start(&mut site.fleet(3));
    well(&waiting.wait_with_output().unwrap());
    site.until(2, "every client to be well again", |code, verdict| {
        code == 0 && verdict["clients"] == CLIENTS
    });
    // A registered client that no process reports is unknown as well.
    let mut other = agent();
    other.args(["fleet", "--count", "1", "--name", "other", "--for", "2s", "--sylink"]);
    well(&output(other.arg(site.folder.path().join("lab/sylink.xml"))));
    let verdict = site.until(2, "a client that is not reported", |code, _| code == 4);
    assert_eq!(verdict["unknown"], json!(["other-1"]), "{verdict:#}");
    // Without the database reports are refused, and the clients become unknown.
    let mut site = site;
    site.site.database.stop();
    site.until(2, "every client to be unknown", |code, verdict| {
        code == 4 && number(verdict, "unknown") > CLIENTS
    });
    site.site.database.start_again();
    site.until(2, "the reports to come again", |_, verdict| number(verdict, "unknown") == 1);
}

#[needs(postgres)]
#[test]
fn a_token_of_the_wrong_scope_is_refused_and_each_scope_does_what_it_is_for() {
    let site = Site::found(1);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let manager = Manager::of(site.manager(1).args([
        "--token-file",
        &file("control"),
        "--read-token-file",
        &file("read"),
        "--report-token-file",
        &file("report"),
        "--export",
        &file("lab"),
    ]));
    let lab = |words: &[&str], token: &str| {
        run(&[words, &["--lab", &manager.control.0, "--token-file", &file(token)]].concat())
    };
    for (words, token, scope) in [
        (&["check"][..], "report", "`read` or `control`"),
        (&["fault", "clear"], "read", "`control`"),
        (&["fault", "clear"], "report", "`control`"),
    ] {
        let (code, text) = said(&lab(words, token));
        assert!(code == Some(2) && text.contains(&format!("needs a token of the scope {scope}")), "{text}");
    }
    let mut fleet = agent();
    fleet.args(["fleet", "--count", "2", "--report", &manager.control.0, "--report-every", "1s", "--sylink"]);
    fleet.arg(folder.path().join("lab/sylink.xml")).arg("--report-token-file");
    let mut refused =
        Running::start(Command::new(fleet.get_program()).args(fleet.get_args()).arg(file("read")));
    refused.says("needs a token of the scope `report` or `control`");
    refused.kill();
    let fleet = Running::start(fleet.arg(file("report")));
    until("the clients to be well", || (lab(&["check"], "read").status.code() == Some(0)).then_some(()));
    well(&lab(&["fault", "clear"], "control"));
    fleet.signal("INT");
    let (_, heard) = fleet.ends();
    let secrets = ["control", "read", "report"].map(|name| std::fs::read_to_string(file(name)).unwrap());
    manager.running.signal("INT");
    let (_, log) = manager.running.ends();
    for secret in &secrets {
        assert!(!heard.contains(secret.trim()) && !log.contains(secret.trim()), "a token in {heard}{log}");
    }
}

#[needs(curl)]
#[test]
fn a_client_beside_a_lab_is_judged_like_those_in_it_once_it_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("lab");
    let lab = RunningLab::up(&["--agents", "1", "--heartbeat", "1", "--export", export.to_str().unwrap()]);
    let client = |name: &str| -> Command {
        let mut client = agent();
        client.args([
            "run",
            "--computer-name",
            name,
            "--report",
            lab.url(),
            "--report-every",
            "1s",
            "--sylink",
        ]);
        client.arg(export.join("sylink.xml")).arg("--state").arg(state(folder.path(), name));
        client
    };
    let first = Running::start(&mut client("beside"));
    let verdict = lab.until("two clients", |verdict| verdict["clients"] == 2 && verdict["well"] == true);
    assert_eq!(
        (&verdict["elsewhere"], &verdict["sources"][0]["source"]),
        (&json!(0), &json!("beside")),
        "{verdict:#}"
    );
    let shown = Control(lab.url().to_owned()).get("/v1/clients/beside");
    assert_eq!(
        (&shown["reported_by"], &shown["status_detail"]),
        (&json!("beside"), &json!("served")),
        "{shown:#}"
    );
    well(&lab.run(&["clock", "heartbeats", "2"]));
    first.kill();
    let (code, text) = until("the client to be unknown", || {
        let checked = lab.run(&["check"]);
        (checked.status.code() == Some(4)).then(|| said(&checked))
    });
    assert!(code == Some(4) && text.contains("1 client is unknown"), "{text}");
    // A client that is gone for good: its record at the console goes too.
    let control = Control(lab.url().to_owned());
    control.does("DELETE", "/v1/reports/beside", &Value::Null);
    assert_eq!(lab.run(&["check"]).status.code(), Some(4), "it is registered, and no process reports it");
    let rest = |method: &str, path: &str, token: &str, body: &str| -> Value {
        let url = format!("{}/sepm/api/v1/{path}", lab.ready["managers"][0]["rest"].as_str().unwrap());
        let authorization = format!("authorization: Bearer {token}");
        let headers = ["--header", "content-type: application/json", "--header", &authorization];
        let asked = ["--silent", "--show-error", "--insecure", "--request", method, "--data-binary", body];
        let said = well(&output(Command::new("curl").args(asked).args(headers).arg(url)));
        serde_json::from_str(&said).unwrap_or(Value::Null)
    };
    let log_in = rest("POST", "identity/authenticate", "", r#"{"username":"admin","password":"epm-lab"}"#);
    let token = log_in["token"].as_str().unwrap();
    let computers = rest("GET", "computers?computerName=beside", token, "");
    let id = computers["content"][0]["uniqueId"].as_str().unwrap();
    rest("DELETE", &format!("computers/{id}"), token, "");
    well(&lab.run(&["check"]));
}

#[test]
fn there_is_no_verdict_while_a_client_elsewhere_is_off_whose_return_cannot_be_tried() {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("lab");
    let lab = RunningLab::up(&["--agents", "1", "--heartbeat", "1", "--export", export.to_str().unwrap()]);
    let mut beside = agent();
    beside.args(["run", "--computer-name", "beside", "--report", lab.url(), "--sylink"]);
    beside.arg(export.join("sylink.xml")).arg("--state").arg(state(folder.path(), "beside"));
    let beside = Running::start(&mut beside);
    lab.until("two clients", |verdict| verdict["clients"] == 2 && verdict["well"] == true);
    beside.signal("INT");
    beside.ends();
    lab.until("its end", |verdict| verdict["sources"][0]["ended"] == true && verdict["well"] == true);
    let rotate = ["rotate", "single", "--heartbeats", "1", "--leave-behind", "all"];
    let rotated = said(&lab.run(&rotate));
    assert!(rotated.0 == Some(0) && rotated.1.contains("The rotation is done. No verdict: "), "{rotated:?}");
    let (code, text) = said(&lab.run(&["check"]));
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("1 client elsewhere is off with changes to receive"), "{text}");
}

#[test]
fn of_two_fleets_under_one_name_the_earlier_one_says_so_and_its_clients_are_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("lab");
    let mut lab =
        RunningLab::up(&["--agents", "0", "--heartbeat", "1", "--export", export.to_str().unwrap()]);
    let url = lab.url().to_owned();
    let fleet = |name: &str| {
        let mut fleet = agent();
        fleet.args(["fleet", "--count", "2", "--name", name, "--report", &url, "--report-as", "fleet"]);
        Running::start(fleet.args(["--report-every", "1s", "--sylink"]).arg(export.join("sylink.xml")))
    };
    let mut earlier = fleet("desk");
    lab.until("both clients to be well", |verdict| verdict["clients"] == 2 && verdict["well"] == true);
    // With the names of the same clients: each of them would be well.
    let _later = fleet("desk");
    earlier.says("another process, started later, reports as \"fleet\"; give one of the two another name");
    lab.running.says("two processes report as \"fleet\"");
    let both = json!(["desk-1", "desk-2"]);
    lab.until("no verdict", |verdict| {
        verdict["unknown"] == both
            && verdict["reported_twice"] == both
            && verdict["clients"] == 2
            && verdict["well"] != true
    });
    // Nothing of the site has changed, which fails; that two clients were not looked at is said beside it.
    let judged = said(&lab.run(&["check", "--since", "start", "--json"])).1;
    assert!(judged.contains("desk-1: another client has its name"), "{judged}");
    earlier.signal("INT");
    earlier.ends();
    lab.until("one fleet that is well", |verdict| verdict["clients"] == 2 && verdict["well"] == true);
}

#[test]
fn clients_elsewhere_have_their_notes_by_their_records_at_the_site() {
    let lab = RunningLab::frozen(&["--agents", "2"]);
    let control = Control(lab.url().to_owned());
    let does = |method: &str, path: &str, body: Value| control.does(method, path, &body);
    let servers = r"My Company\Servers";
    let mut view = control.get("/v1/clients/desk-1")["view"].clone();
    view["preferred_group"] = json!(servers);
    does("POST", "/v1/commands", json!([{ "add-group": { "group": servers, "inherits": true } }]));
    let policy = json!([{ "set-policy": { "group": "My Company", "policy": "Firewall", "content": "allow nothing" } }]);
    does("POST", "/v1/commands", policy);
    // The lab's own clients go, and their records stay: what is reported of them is that a policy does not reach them.
    let report = |seconds: u32| {
        let at = format!("2026-01-05T08:00:{seconds:02}Z");
        let states = json!([{ "first": view, "on": true, "silent": false }]);
        let began = "2026-01-05T08:00:00Z";
        let report = json!({ "instance": "1", "began": began, "at": at, "interval_ms": 60_000, "part": 1, "parts": 1, "states": states });
        does("PUT", "/v1/reports/far", report);
        let notes = control.get("/v1/verdict")["notes"].as_array().unwrap().clone();
        let note = |one: &Value| format!("{} {}", one["code"].as_str().unwrap(), one["examples"]);
        notes.iter().map(note).collect::<Vec<_>>().join(", ")
    };
    well(&lab.run(&["clock", "advance", "1m"]));
    does("PUT", "/v1/fleet/desk", json!({ "count": 0 }));
    let placed = r#"not-in-preferred-group ["desk-1"]"#;
    assert_eq!(report(0), placed, "one heartbeat has no time for it");
    does("PUT", "/v1/fleet/desk", json!({ "count": 2 }));
    well(&lab.run(&["clock", "advance", "10m"]));
    does("PUT", "/v1/fleet/desk", json!({ "count": 0 }));
    assert_eq!(report(1), placed, "the process has not looked since the client was seen last");
    does("DELETE", "/v1/reports/far", Value::Null);
    assert_eq!(report(2), format!(r#"old-policy ["desk-1"], {placed}"#));
    // The record says in which group the client is.
    does("POST", "/v1/commands", json!([{ "move-client": { "client": "desk-1", "group": servers } }]));
    assert_eq!(report(3), r#"old-policy ["desk-1"]"#);
}

fn state(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("state-{name}"))
}

/// A report as a process sends it.
pub(crate) fn report(instance: &str, began: u32, clients: &[&str]) -> Value {
    let view = |name: &str| {
        json!({ "computer_name": name, "version": "14.3", "certificates": [], "serial": null, "policy_vouched_by": null,
                "complete": null, "group": null, "secure_communications": true, "list": "list", "server": null, "location": null,
                "health": { "state": "connected", "since": "2026-01-05T08:00:00Z" }, "brought_back": false, "quarantined": false,
                "heartbeats": 1, "heartbeats_served": 1 })
    };
    let states: Vec<Value> =
        clients.iter().map(|name| json!({ "on": true, "silent": false, "first": view(name) })).collect();
    json!({ "instance": instance, "began": format!("2026-01-05T08:00:0{began}Z"), "at": "2026-01-05T08:00:09Z",
            "interval_ms": 60_000, "part": 1, "parts": 1, "states": states })
}

#[test]
fn reports_that_are_wrong_are_refused_and_of_two_the_later_counts() {
    let lab = RunningLab::up(&["--agents", "0"]);
    let control = Control(lab.url().to_owned());
    let put = |source: &str, body: &Value| {
        let (status, answer) = control.call("PUT", &format!("/v1/reports/{source}"), body);
        (
            status,
            answer["code"].as_str().unwrap_or_default().to_owned(),
            answer["detail"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let with = |name: &str, value: Value| {
        let mut report = report("one", 1, &["a"]);
        report[name] = value;
        report
    };
    let mut many = report("one", 1, &["a"]);
    many["states"][0]["others"] = (0..5000).map(|one| json!([format!("b-{one}"), null, 1, 1])).collect();
    for (body, said) in [
        (with("interval_ms", json!(10)), "interval_ms: 10, expected 1000 to 3600000"),
        (with("part", json!(2)), "part 2 of 1"),
        (with("instance", json!("")), "name of the source or its run"),
        (report("one", 1, &["a", "b", "a"]), "the client \"a\" is in it twice"),
        (report("one", 1, &["a\nb"]), "without control characters"),
        (many, "5001 clients: expected at most 5000"),
        (with("secret", json!(1)), "secret"),
    ] {
        let (status, _, detail) = put("a", &body);
        assert!(matches!(status, 400 | 413 | 422) && detail.contains(said), "{status} {detail}");
    }
    // As many bytes as all reports together may have, in parts that are each allowed.
    let names: Vec<String> = (0..60).map(|one| format!("c-{one}")).collect();
    let mut long = report("one", 1, &names.iter().map(String::as_str).collect::<Vec<_>>());
    long["parts"] = json!(100);
    for state in long["states"].as_array_mut().unwrap() {
        state["first"]["list"] = json!("x".repeat(15_000));
    }
    let refused = (1..=100).find_map(|part| {
        long["part"] = json!(part);
        let (status, code, detail) = put("long", &long);
        (status != 200).then_some((part, status, code, detail))
    });
    let (part, status, code, detail) = refused.unwrap();
    assert_eq!((status, code.as_str()), (409, "too-many"), "{part}: {detail}");
    assert!(
        (60..90).contains(&part) && detail.contains("expected at most 1000, 200000 and 67108864"),
        "{part}: {detail}"
    );
    // Also from another source, until one is forgotten; the same part again is no more than before.
    long["part"] = json!(1);
    assert_eq!((put("other", &long).0, put("long", &long).0), (409, 200));
    control.does("DELETE", "/v1/reports/long", &Value::Null);
    assert_eq!(put("a", &report("one", 1, &["a", "b"])).0, 200);
    // The same clients from another source, and a later run of the first one.
    assert_eq!(put("other", &report("two", 1, &["b"])).0, 200);
    assert_eq!(put("a", &report("later", 2, &["a"])).0, 200);
    let (status, code, detail) = put("a", &report("one", 1, &["a", "b"]));
    assert_eq!((status, code.as_str()), (409, "replaced"), "{detail}");
    // One of the two "a" is not known, whatever the other one is.
    let verdict = control.get("/v1/verdict");
    assert_eq!((&verdict["unknown"], &verdict["reported_twice"]), (&json!(["a", "b"]), &json!(["a", "b"])));
    // Until its process ends: it is no longer one of two. Of two that were started at one moment always the same one counts.
    control.does("DELETE", "/v1/reports/a", &Value::Null);
    assert_eq!(put("a", &report("later", 2, &["a"])).0, 200);
    assert_eq!(
        (put("a", &report("earlier", 2, &["a"])).0, put("a", &report("later", 2, &["a"])).0),
        (409, 200)
    );
    control.does("DELETE", "/v1/reports/a", &Value::Null);
    assert_eq!(put("a", &report("later", 2, &["a"])).0, 200);
    let verdict = control.get("/v1/verdict");
    assert_eq!((&verdict["clients"], &verdict["well"]), (&json!(2), &json!(false)), "{verdict:#}");
    assert_eq!(put("other", &report("two", 1, &["a", "b"])).0, 200);
    let verdict = control.get("/v1/verdict");
    assert_eq!(verdict["reported_twice"], json!(["a"]), "{verdict:#}");
    assert_eq!(control.call("DELETE", "/v1/reports/unknown", &Value::Null).0, 404);
    let parts: Vec<&Value> = verdict["parts"].as_array().unwrap().iter().map(|one| &one["part"]).collect();
    assert_eq!(parts, [&json!("other")], "the latest report counts");
    // Until every part has come, those that have come are no whole.
    let half = |part: u32, client: &str| {
        let mut half = report("one", 1, &[client]);
        (half["part"], half["parts"]) = (json!(part), json!(2));
        assert_eq!(put("halves", &half).0, 200);
        let unknown = control.get("/v1/verdict")["unknown"].take();
        unknown.as_array().is_some_and(|names| names.iter().any(|name| name == "h-1"))
    };
    assert_eq!((half(1, "h-1"), half(2, "h-2")), (true, false));
}
