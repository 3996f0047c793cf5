//! Faults at the REST API: a status, a reset, slow bytes, a closed port, in the journal, and nothing of it for clients.

use std::process::Command as Process;

use epm_fixtures::{needs, output};
use epm_protocol::fault::{FaultKind, FaultRule, Listener, Moment};
use epm_protocol::time::Clock;
use epm_server::MockSite;
use epm_tests::{TestSite, eventually};
use serde_json::json;

/// How a call ends: curl's exit code, the status, and the seconds that it takes.
fn call(lab: &TestSite, path: &str) -> (i32, u16, f64) {
    let base = lab.site().addresses()[0].rest.clone().unwrap();
    let out = output(Process::new("curl").args([
        "-sS",
        "--insecure",
        "--max-time",
        "20",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{time_total}",
        &format!("{base}/sepm/api/v1/{path}"),
    ]));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let (status, time) = said.split_once(' ').unwrap();
    (out.status.code().unwrap(), status.parse().unwrap(), time.parse().unwrap())
}

/// Stands for each exit code of curl after a connection that ends in its beginning.
const LOST: i32 = 35;

fn rule(name: &str, what: serde_json::Value) -> FaultRule {
    let what: FaultKind = serde_json::from_value(what).unwrap();
    let mut rule = FaultRule::new(name, what);
    rule.place.listener = Listener::Rest;
    rule
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_hit_as_the_rule_says_and_the_clients_are_not() {
    let lab = TestSite::of(MockSite::builder().rest_api(0)).await;
    let fleet = lab.fleet(vec![lab.client("one", "14.3")]).await;
    for (what, exit, status) in [
        (json!({ "kind": "status", "code": 429, "retry_after_seconds": 60 }), 0, 429),
        (json!({ "kind": "status", "code": 503 }), 0, 503),
        (json!("reset"), LOST, 0),
        (json!("empty"), 52, 0),
        (json!("garbage"), 1, 0),
        (json!({ "kind": "truncated", "percent": 50 }), 18, 200),
        (json!({ "kind": "accept-then-stall", "close_after_ms": 10 }), LOST, 0),
        (json!({ "kind": "slicer", "slice_bytes": 1, "gap_ms": 1 }), 0, 200),
        (json!({ "kind": "latency", "delay": { "distribution": "constant", "ms": 5 } }), 0, 200),
        (json!({ "kind": "slow-headers", "total_ms": 5 }), 0, 200),
        (json!({ "kind": "wrong-type", "content_type": "text/plain" }), 0, 200),
        (json!({ "kind": "slow-close", "delay_ms": 1 }), 0, 200),
    ] {
        let guard = lab.site().faults().add(rule("it", what.clone())).unwrap();
        let before = lab.site().journal().faults_applied().len();
        let (found, answered, _) = call(&lab, "version");
        // A reset may come before curl has noticed that it is connected.
        let found = if [7, 35, 56].contains(&found) { LOST } else { found };
        assert_eq!((found, answered), (exit, status), "{what}");
        let applied = lab.site().journal().faults_applied();
        assert_eq!(applied.len(), before + 1, "{what}");
        assert_eq!((applied[before].route, applied[before].agent), (None, None));
        lab.heartbeat(&fleet).await;
        assert_eq!(lab.site().journal().faults_applied().len(), before + 1, "{what} hit a client");
        drop(guard);
        assert_eq!(call(&lab, "version").1, 200);
    }
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_counted_by_address_and_a_refused_port_is_closed() {
    let lab = TestSite::of(MockSite::builder().rest_api(0)).await;
    let mut third = rule("third", json!({ "kind": "status", "code": 429 }));
    (third.when.after, third.when.every) = (Some(1), Some(3));
    let guard = lab.site().faults().add(third).unwrap();
    let set = lab.site().faults().set();
    let source = "127.0.0.1".parse().unwrap();
    let foretold = set.explain_rest(Moment::Exchange, source, "sepm-1", 1, 8, lab.clock().now());
    let foretold: Vec<u16> =
        foretold.iter().map(|one| if one.verdict.is_pass() { 200 } else { 429 }).collect();
    let found: Vec<u16> = (0..8).map(|_| call(&lab, "version").1).collect();
    assert_eq!(found, foretold);
    assert_eq!(found, [200, 200, 200, 429, 200, 200, 429, 200]);
    drop(guard);
    let closed = lab.site().faults().add(rule("closed", json!("refuse"))).unwrap();
    eventually("the closed port", || call(&lab, "version").0 == 7).await;
    let hello = lab.site().addresses()[0].hello.clone();
    assert!(output(Process::new("curl").args(["-sS", "--max-time", "20", &hello])).status.success());
    drop(closed);
    eventually("the open port", || call(&lab, "version").1 == 200).await;
}

#[test]
fn a_rule_that_cannot_be_at_the_rest_api_is_refused() {
    let no = |change: &dyn Fn(&mut FaultRule), what: serde_json::Value| {
        let mut rule = rule("it", what);
        change(&mut rule);
        rule.check().unwrap_err().to_string()
    };
    assert!(no(&|_| {}, json!("expired")).contains("only faults of the layers listener, TCP and HTTP"));
    assert!(no(&|_| {}, json!("bad-signature")).contains("REST API"));
    assert!(no(&|rule| rule.whom.agent = Some("desk-1".to_owned()), json!("status")).contains("`source`"));
    assert!(
        no(&|rule| rule.place.route = Some(epm_protocol::fault::Route::Index), json!("status"))
            .contains("route")
    );
}
