//! What a lab remembers of clients that run elsewhere, and of those that have left.

use std::path::Path;
use std::time::Duration;

use epm_protocol::time::Timestamp;
use serde_json::{Value, json};

use crate::control::Control;
use crate::harness::{RunningLab, needs, program, until, well};
use crate::reports::report;
use crate::site::Site;

/// A report of clients that hold the certificates in force, and are orphaned or well.
fn told(lab: &Control, instance: (&str, u32), clients: &[(&str, bool)]) -> Value {
    let names: Vec<&str> = clients.iter().map(|(name, _)| *name).collect();
    let mut report = report(instance.0, instance.1, &names);
    let certificates = lab.get("/v1/verdict")["certificates"].as_object().unwrap().clone();
    let certificates: Vec<Value> = certificates.into_values().collect();
    for (state, (_, is_orphaned)) in report["states"].as_array_mut().unwrap().iter_mut().zip(clients) {
        let first = &mut state["first"];
        first["certificates"] = json!(certificates);
        if *is_orphaned {
            let because = json!({ "layer": "shared-secret", "status": 468 });
            first["health"] =
                json!({ "state": "orphaned", "since": "2026-01-05T08:00:05Z", "because": because });
            first["harm"] = json!({ "orphaned": 1, "unsigned": 0 });
        }
    }
    report
}

/// Puts a report, which must be taken.
#[track_caller]
fn put(lab: &Control, source: &str, report: &Value) {
    lab.does("PUT", &format!("/v1/reports/{source}"), report);
}

/// The result of an expectation of the past, or of another one.
#[track_caller]
fn result(lab: &Control, expectation: &Value) -> (String, String) {
    let judged = lab.does("POST", "/v1/expectations", &json!([expectation]))["expectations"][0].take();
    (judged["result"].as_str().unwrap().to_owned(), judged.to_string())
}

fn never_orphaned(lab: &Control) -> String {
    result(lab, &json!({ "expect": "no-client-was-orphaned" })).0
}

const REPLACED: &str = "it left the fleet, and another client has its name";

#[test]
fn what_happened_to_a_client_is_not_forgotten_when_its_source_no_longer_reports_it() {
    let running = RunningLab::up(&["--agents", "0"]);
    let lab = Control(running.url().to_owned());
    let (well, orphaned) = (("a", false), ("b", true));
    put(&lab, "x", &told(&lab, ("one", 1), &[well, orphaned]));
    put(&lab, "y", &told(&lab, ("one", 1), &[("c", true)]));
    assert_eq!(lab.get("/v1/verdict")["ever_orphaned"], json!(["b", "c"]));
    // From the same run of its process, and of sources that are forgotten.
    put(&lab, "x", &told(&lab, ("one", 1), &[well]));
    // A process that has been started again names its clients one after the other.
    put(&lab, "y", &told(&lab, ("two", 2), &[]));
    assert_eq!(lab.get("/v1/verdict")["unknown"], json!(["c"]));
    lab.does("DELETE", "/v1/reports/y", &Value::Null);
    put(&lab, "z", &told(&lab, ("one", 1), &[("d", true)]));
    lab.does("DELETE", "/v1/reports/z", &Value::Null);
    let verdict = lab.get("/v1/verdict");
    assert_eq!(
        (&verdict["well"], &verdict["ever_orphaned"]),
        (&json!(true), &json!(["b", "c", "d"])),
        "{verdict:#}"
    );
    assert_eq!(never_orphaned(&lab), "fail");
}

#[test]
fn a_client_has_left_once_every_part_of_its_source_has_come_without_it() {
    let running = RunningLab::up(&["--agents", "0"]);
    let lab = Control(running.url().to_owned());
    let part = |instance: (&str, u32), number: u32, clients: &[(&str, bool)]| {
        let mut part = told(&lab, instance, clients);
        (part["part"], part["parts"]) = (json!(number), json!(2));
        put(&lab, "x", &part);
    };
    let judged = || result(&lab, &json!({ "expect": "rotation", "since": "before" })).1;
    part(("one", 1), 1, &[("a", false)]);
    part(("one", 1), 2, &[("b", false)]);
    lab.does("PUT", "/v1/baselines/before", &json!({}));
    // The process is started anew, and its clients are in other parts.
    part(("two", 2), 1, &[("b", false)]);
    assert_eq!(lab.get("/v1/verdict")["unknown"], json!(["a", "b"]));
    part(("two", 2), 2, &[("a", false)]);
    assert_eq!(lab.get("/v1/verdict")["well"], true);
    assert!(!judged().contains("it left the fleet"), "{}", judged());
    part(("two", 2), 2, &[]);
    assert!(judged().contains("a: it left the fleet"), "{}", judged());
    part(("two", 2), 2, &[("a", false)]);
    assert!(judged().contains(&format!("a: {REPLACED}")), "{}", judged());
}

#[needs(postgres)]
#[test]
fn each_process_of_a_site_remembers_the_clients_of_a_source_that_another_one_forgets() {
    let site = Site::found(2);
    let (first, second) = (site.start(1), site.start(2));
    put(&first, "x", &told(&first, ("one", 1), &[("a", false), ("b", true)]));
    until("both to know", || (second.get("/v1/verdict")["ever_orphaned"] == json!(["b"])).then_some(()));
    put(&second, "x", &told(&second, ("one", 1), &[("a", false)]));
    for lab in [&first, &second] {
        assert_eq!(lab.get("/v1/verdict")["ever_orphaned"], json!(["b"]));
    }
    put(&first, "y", &told(&first, ("one", 1), &[("c", true)]));
    second.does("DELETE", "/v1/reports/y", &Value::Null);
    for lab in [&first, &second] {
        assert_eq!(lab.get("/v1/verdict")["ever_orphaned"], json!(["b", "c"]));
        assert_eq!(never_orphaned(lab), "fail");
    }
}

/// A lab with so many clients that goes on from this folder.
fn up(data: &Path, agents: &str) -> (RunningLab, Control) {
    let mut up = program();
    up.args(["up", "--http-port", "0", "--heartbeat", "1", "--agents", agents, "--data"]).arg(data);
    let lab = RunningLab::as_it_is(&mut up);
    let control = Control(lab.url().to_owned());
    (lab, control)
}

#[test]
fn a_rotation_during_which_clients_were_replaced_is_unknown_after_a_restart_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let judged = |lab: &RunningLab| {
        let judged = lab.json(&["check", "--since"], 4).to_string();
        assert!(judged.contains(&format!("desk-1: {REPLACED}")), "{judged}");
    };
    let (lab, control) = up(&data, "2");
    control.does("PUT", "/v1/fleet/desk", &json!({ "count": 0 }));
    well(&lab.run(&["manager", "update", "sepm-1"]));
    control.does("PUT", "/v1/fleet/desk", &json!({ "count": 2 }));
    well(&lab.run(&["clock", "heartbeats", "2"]));
    judged(&lab);
    assert_eq!(lab.interrupt(), Some(0));
    judged(&up(&data, "2").0);
}

#[test]
fn what_happened_to_reported_clients_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (lab, control) = up(&data, "0");
    let report = |clients| told(&control, ("one", 1), clients);
    // One tells between two reports that it was orphaned, and is served again: why was not seen.
    let grown = |mut report: Value| {
        report["states"][0]["first"]["harm"] = json!({ "orphaned": 1, "unsigned": 0 });
        report
    };
    let (first, second) = ([("a", false), ("b", true)], [("c", false), ("d", true)]);
    for (source, clients) in [("x", &first), ("y", &second)] {
        put(&control, source, &report(clients));
        put(&control, source, &grown(report(clients)));
    }
    let (again, without) = (grown(report(&second)), report(&[]));
    // The source of two of the four is forgotten before the restart, that of the others reports after it.
    control.does("DELETE", "/v1/reports/x", &Value::Null);
    assert_eq!(lab.interrupt(), Some(0));

    let (_lab, control) = up(&data, "0");
    let are_known = || {
        let ever = control.get("/v1/verdict")["ever_orphaned"].take();
        let mut ever: Vec<String> = serde_json::from_value(ever).unwrap();
        ever.sort();
        assert_eq!((ever.join(" ").as_str(), never_orphaned(&control).as_str()), ("a b c d", "fail"));
    };
    are_known();
    for report in [&again, &without] {
        put(&control, "y", report);
        are_known();
    }
}

#[test]
fn the_time_at_which_a_client_was_orphaned_stays_while_clocks_are_moved() {
    let lab = RunningLab::frozen(&["--agents", "0"]);
    let control = Control(lab.url().to_owned());
    let time = |text: &Value| text.as_str().unwrap().parse::<Timestamp>().unwrap();
    let now = || time(&control.get("/v1/clock")["now"]);
    // The process has another date, at which a second passes before each of its reports.
    let tell = |instance: &str, second: u32, clients: &[(&str, u32)]| {
        let names: Vec<_> = clients.iter().map(|(name, _)| (*name, true)).collect();
        let mut report = told(&control, (instance, 1), &names);
        let date = |second: u32| json!(format!("2020-01-05T08:00:{second:02}Z"));
        (report["began"], report["at"]) = (date(0), date(second));
        for (state, (_, since)) in report["states"].as_array_mut().unwrap().iter_mut().zip(clients) {
            state["first"]["health"]["since"] = date(*since);
        }
        put(&control, "x", &report);
        let verdict = control.get("/v1/verdict");
        verdict["orphaned"].as_array().unwrap().iter().map(|one| time(&one["since"])).collect::<Vec<_>>()
    };
    let seconds = Duration::from_secs;
    let first = now() - seconds(3);
    assert_eq!(tell("one", 10, &[("a", 7)]), [first]);
    well(&lab.run(&["clock", "advance", "1h"]));
    let second = now() - seconds(2);
    assert_eq!(tell("one", 11, &[("a", 7), ("b", 9)]), [first, second]);
    well(&lab.run(&["clock", "advance", "1h"]));
    // No time is later than the report that tells it.
    let third = now();
    assert_eq!(tell("one", 12, &[("a", 7), ("b", 9), ("c", 13)]), [first, second, third]);
    // The same clients in a later run of the process.
    well(&lab.run(&["clock", "advance", "1h"]));
    assert_eq!(tell("two", 13, &[("b", 9), ("a", 7)]), [second, first]);
}

#[test]
fn reports_with_times_that_cannot_be_and_clients_that_are_on_without_a_process_are_refused() {
    let lab = RunningLab::up(&["--agents", "0"]);
    let control = Control(lab.url().to_owned());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut report = report("one", 1, &["a"]);
        change(&mut report);
        let (status, answer) = control.call("PUT", "/v1/reports/x", &report);
        assert!(matches!(status, 400 | 422), "{status} {answer}");
        answer["detail"].as_str().unwrap().to_owned()
    };
    let since = |time: &'static str| {
        move |report: &mut Value| report["states"][0]["first"]["health"]["since"] = json!(time)
    };
    for (said, expected) in [
        (with(&|report| report["began"] = json!("2026-01-05T08:00:10Z")), "the first not after the second"),
        (with(&|report| report["at"] = json!("never")), "at: never: expected times from 1970-01-01"),
        (with(&|report| report["began"] = json!("1969-01-05T08:00:10Z")), "expected times from 1970-01-01"),
        (with(&since("never")), "the client \"a\" is in its state since never"),
        (with(&since("3500-01-01T00:00:00Z")), "expected a time from 1970-01-01 to 3000-01-01"),
        (with(&|report| report["is_last"] = json!(true)), "the client \"a\" is on in a last report"),
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_report_of_another_client_changes_nothing_of_the_lab_s_own_one_of_its_name() {
    let lab = RunningLab::frozen(&["--agents", "1"]);
    let control = Control(lab.url().to_owned());
    let history = || control.get("/v1/clients/desk-1")["history"].clone();
    control.does("PUT", "/v1/baselines/before", &json!({}));
    let (before, judged) =
        (history(), || result(&control, &json!({ "expect": "rotation", "since": "before" })).1);
    let mut same = told(&control, ("one", 1), &[("desk-1", false)]);
    same["states"][0]["first"]["heartbeats_served"] = json!(1000);
    put(&control, "x", &same);
    let verdict = control.get("/v1/verdict");
    assert_eq!(
        (&verdict["well"], &verdict["reported_twice"]),
        (&json!(true), &json!(["desk-1"])),
        "{verdict:#}"
    );
    control.does("DELETE", "/v1/reports/x", &Value::Null);
    assert!(!judged().contains("it left the fleet"), "{}", judged());
    put(&control, "x", &told(&control, ("two", 2), &[("desk-1", true)]));
    assert_eq!(history(), before);
    // Which of the two is orphaned is for the report to tell, and the lab's own one is well.
    let verdict = control.get("/v1/verdict");
    assert_eq!(
        (&verdict["well"], &verdict["unknown"], &verdict["ever_orphaned"]),
        (&Value::Null, &json!(["desk-1"]), &json!([])),
        "{verdict:#}"
    );
}

#[test]
fn a_client_that_two_sources_report_is_well_only_if_both_say_so() {
    let lab = RunningLab::up(&["--agents", "0"]);
    let control = Control(lab.url().to_owned());
    put(&control, "x", &told(&control, ("one", 1), &[("a", true)]));
    put(&control, "y", &told(&control, ("one", 1), &[("a", false)]));
    let verdict = control.get("/v1/verdict");
    assert_eq!((&verdict["well"], &verdict["unknown"]), (&Value::Null, &json!(["a"])), "{verdict:#}");
    put(&control, "x", &told(&control, ("one", 1), &[("a", false)]));
    let verdict = control.get("/v1/verdict");
    assert_eq!((&verdict["well"], &verdict["reported_twice"]), (&json!(true), &json!(["a"])), "{verdict:#}");
}
