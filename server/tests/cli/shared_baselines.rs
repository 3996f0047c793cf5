//! Rotations that are judged by another process than the one that took their baseline, from what clients tell of themselves.

use serde_json::{Value, json};

use crate::control::Control;
use crate::harness::{Running, RunningLab, needs};
use crate::reports::{CLIENTS, Managers, report};

/// The judgement of the rotation since this baseline, and the finding of this code.
fn judged(lab: &Control, since: &str, code: &str) -> (Value, Value) {
    let rotation = json!([{ "expect": "rotation", "since": since }]);
    let mut found = lab.does("POST", "/v1/expectations", &rotation)["expectations"][0].take();
    let findings = found["findings"].take();
    let finding = findings.as_array().unwrap().iter().find(|one| one["code"] == code).unwrap().clone();
    (found, finding)
}

#[needs(postgres)]
#[test]
fn a_rotation_is_judged_by_any_process_also_after_the_one_that_took_its_baseline_was_killed() {
    let mut site = Managers::start();
    let _fleet = Running::start(&mut site.fleet(2));
    site.until(1, "every client to be well", |code, verdict| code == 0 && verdict["clients"] == CLIENTS);
    let taken = site.managers[0].does("PUT", "/v1/baselines/before", &json!({}));
    site.managers[0].does("PUT", "/v1/expectations/none", &json!({ "expect": "no-client-is-orphaned" }));
    assert_eq!(taken["clients"].as_object().unwrap().len(), CLIENTS, "{taken:#}");
    assert_eq!(site.managers[2].get("/v1/baselines/before"), taken);
    let (idle, finding) = judged(&site.managers[2], "before", "certificate-new");
    assert_eq!((&idle["result"], &finding["result"]), (&json!("fail"), &json!("fail")), "{idle:#}");
    // All at once, and the process that knows the baseline is gone.
    let update = |one: u32| json!({ "update-certificate": { "manager": format!("sepm-{one}"), "certificate": { "generate": {} } } });
    site.managers[0].does("POST", "/v1/commands", &json!([update(1), update(2), update(3)]));
    site.until(2, "every client to be orphaned", |_, verdict| {
        verdict["orphaned"].as_array().is_some_and(|all| all.len() == CLIENTS)
    });
    site.managers.remove(0).running.kill();
    site.managers.insert(0, site.site.start(1));
    site.until(1, "every client to be known", |_, verdict| verdict["clients"] == CLIENTS);
    for one in &site.managers {
        let rotation = json!([{ "expect": "rotation", "since": "before" }]);
        let found = one.does("POST", "/v1/expectations", &rotation)["expectations"][0].take();
        let findings = found["findings"].as_array().unwrap();
        let is_orphaned = |one: &Value| one["result"] == "fail" && one["against"] == CLIENTS;
        assert!(found["result"] == "fail" && findings.iter().any(is_orphaned), "{found:#}");
        let registered = one.get("/v1/expectations")["expectations"][0].clone();
        assert_eq!(
            (&registered["name"], &registered["result"]),
            (&json!("none"), &json!("fail")),
            "{registered:#}"
        );
    }
    site.managers[2].does("DELETE", "/v1/baselines/before", &json!({}));
    site.managers[2].does("DELETE", "/v1/expectations/none", &json!({}));
    assert_eq!(site.managers[0].call("GET", "/v1/baselines/before", &Value::Null).0, 404);
    assert_eq!(site.managers[0].get("/v1/expectations")["expectations"], json!([]));
    site.site.database.stop();
    for (method, path) in
        [("PUT", "/v1/baselines/after"), ("GET", "/v1/baselines"), ("GET", "/v1/expectations")]
    {
        let (status, answer) = site.managers[0].call(method, path, &json!({}));
        assert_eq!((status, &answer["code"]), (503, &json!("no-database")), "{method} {path}: {answer}");
    }
}

#[test]
fn a_client_that_tells_of_an_orphaning_between_two_reports_is_counted() {
    let lab = RunningLab::up(&["--agents", "0"]);
    let control = Control(lab.url().to_owned());
    let tell = |harm: [u8; 2], name: &str| {
        let mut report = report("one", 1, &["a", "b"]);
        report["states"][0]["first"]["harm"] = json!({ "orphaned": harm[0], "unsigned": 0 });
        report["states"][1]["first"]["harm"] = json!({ "orphaned": harm[1], "unsigned": 0 });
        control.does("PUT", &format!("/v1/reports/{name}"), &report);
    };
    let otherwise = || judged(&control, "before", "orphaned-otherwise").1;
    tell([1, 1], "fleet");
    control.does("PUT", "/v1/baselines/before", &json!({}));
    assert_eq!(otherwise()["result"], "pass");
    tell([2, 1], "fleet");
    let finding = otherwise();
    let why = finding["counter_examples"][0].as_str().unwrap_or_default();
    assert_eq!((&finding["result"], &finding["against"]), (&json!("fail"), &json!(1)), "{finding:#}");
    assert!(why.starts_with("a: it was orphaned since the baseline, as it tells"), "{why}");
    tell([1, 0], "fleet");
    let finding = otherwise();
    assert_eq!(finding["result"], "unknown", "{finding:#}");
    // Also the one whose number is that of the baseline again.
    for (place, client) in ["a", "b"].into_iter().enumerate() {
        let why = finding["counter_examples"][place].as_str().unwrap_or_default();
        assert!(why.starts_with(&format!("{client}: it was installed anew")), "{finding:#}");
    }
    tell([255, 0], "fleet");
    control.does("PUT", "/v1/baselines/before", &json!({}));
    let finding = otherwise();
    let why = finding["counter_examples"][0].as_str().unwrap_or_default();
    assert!(finding["result"] == "unknown" && why.starts_with("a: it was orphaned so often"), "{finding:#}");
}

#[test]
fn what_happened_to_a_client_is_judged_after_it_was_installed_anew_elsewhere_and_its_source_was_forgotten() {
    let lab = RunningLab::up(&["--agents", "0"]);
    let control = Control(lab.url().to_owned());
    let tell = |source: &str, report: &Value| control.does("PUT", &format!("/v1/reports/{source}"), report);
    let findings = || {
        let rotation = json!([{ "expect": "rotation", "since": "before", "never_insecure": true }]);
        control.does("POST", "/v1/expectations", &rotation)["expectations"][0]["findings"].take()
    };
    let has = |result: &str, words: &str| {
        let findings = findings();
        let mut found = findings.as_array().unwrap().iter().filter(|one| one["result"] == result);
        assert!(
            found.any(|one| one["counter_examples"].to_string().contains(words)),
            "{words}: {findings:#}"
        );
    };
    let first = report("one", 1, &["a", "b", "c"]);
    tell("fleet", &first);
    control.does("PUT", "/v1/baselines/before", &json!({}));
    // One is orphaned, one tells that it was between two reports.
    let mut worse = first;
    worse["states"][0]["first"]["health"] = json!({ "state": "orphaned", "since": "2026-01-05T08:00:05Z",
            "because": { "layer": "shared-secret", "status": 468 } });
    worse["states"][1]["first"]["harm"] = json!({ "orphaned": 1, "unsigned": 1 });
    tell("fleet", &worse);
    has("fail", "a in no group since");
    has("fail", "b: it was orphaned since the baseline, as it tells");
    has("fail", "b: it adopted a policy without");
    let past = |result: &str, words: &str| {
        let asked = json!([{ "expect": "no-client-was-orphaned" }]);
        let found = control.does("POST", "/v1/expectations", &asked)["expectations"][0].take();
        assert_eq!(found["result"], result, "{found:#}");
        let said = [&found["counter_examples"], &found["not_judged"]].map(Value::to_string).concat();
        assert!(said.contains(words), "{words}: {found:#}");
    };
    past("fail", "b: it was orphaned, as it tells");
    // Both are installed anew, and another process reports them.
    tell("other", &report("two", 1, &["a", "b"]));
    tell("fleet", &report("one", 1, &["c"]));
    has("fail", "a in no group since");
    has("unknown", "b: it was installed anew");
    has("unknown", "b: it was installed anew, so what it adopted");
    let ever = || {
        let ever = control.get("/v1/verdict")["ever_orphaned"].take();
        let mut names: Vec<String> = serde_json::from_value(ever).unwrap();
        names.sort();
        names
    };
    assert_eq!(ever(), ["a", "b"]);
    for source in ["other", "fleet"] {
        control.does("DELETE", &format!("/v1/reports/{source}"), &Value::Null);
        has("fail", "a in no group since");
        assert_eq!(ever(), ["a", "b"]);
    }
    // And after others of their names have come.
    tell("other", &report("two", 1, &["a", "b", "c"]));
    has("fail", "a in no group since");
    has("fail", "not known: c: it left the fleet, and another client has its name");
    past("fail", "b, no longer in the fleet: it was orphaned, as it tells");
}
