//! Faults that delay clients, met while the lab's clock is stopped and moved: moving it takes no real time, and each
//! client finds the same failure at the same moment through the control API, in a scenario, and in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use epm_client_agent::agent::{Event, LogLine};
use epm_client_agent::rehearsal::{self, RehearsalOptions, rehearse};
use epm_client_agent::scenario::Scenario;
use epm_protocol::fault::{FaultKind, KindInfo, Layer};
use epm_protocol::site::ManagerPorts;
use epm_protocol::time::{Clock, Timestamp};
use epm_server::lab::scenario_run::{ProgressEvent, run_scenario_moved};
use epm_tests::control_api::Opened;
use epm_tests::{Lines, START, collect_into};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A delay that no client waits for, in milliseconds.
const TOO_LONG_MS: u64 = 45_000;
/// The real time that a move of the clock may take; a client waits for 30 s of lab time.
const AT_ONCE: Duration = Duration::from_secs(20);
/// The number of labs that are open at the same time.
const TOGETHER: usize = 4;

/// The log of each client.
type Logs = BTreeMap<String, Vec<LogLine>>;

/// Every kind of fault of the connection, the handshake and the answer, with defaults and with each parameter that
/// prolongs it; those of the connection also on a route, where they affect only the answer.
fn faults() -> Vec<Value> {
    let layers = [Layer::Listener, Layer::Tcp, Layer::Tls, Layer::Http];
    let mut faults = Vec::new();
    for info in FaultKind::kinds().iter().filter(|info| layers.contains(&info.layer)) {
        let mut variants = vec![json!({ "kind": info.name })];
        for parameter in info.parameters {
            let values = match parameter.name {
                "delay" => vec![json!({ "distribution": "constant", "ms": TOO_LONG_MS })],
                "stage" => {
                    ["after-client-hello", "in-server-flight", "after-finished"].map(Value::from).to_vec()
                }
                "bytes_per_second" => vec![json!(2)],
                name if name.ends_with("-ms") => vec![json!(TOO_LONG_MS)],
                _ => Vec::new(),
            };
            variants
                .extend(values.into_iter().map(|value| json!({ "kind": info.name, parameter.name: value })));
        }
        for what in variants {
            if info.layer == Layer::Tcp {
                faults.push(json!({ "what": what, "where": { "route": "index" } }));
            }
            faults.push(json!({ "what": what }));
        }
    }
    faults
}

/// The documentation of a fault's kind.
fn info(fault: &Value) -> &'static KindInfo {
    FaultKind::kinds().iter().find(|info| info.name == fault["what"]["kind"]).unwrap()
}

/// Whether the clients log a timeout, in words of their own.
fn is_timeout(fault: &Value) -> bool {
    info(fault).virtual_time.contains("timed-out")
}

/// Whether a client may be delayed, or held up for ever.
fn lasts(fault: &Value) -> bool {
    let has_time = info(fault).parameters.iter().any(|parameter| parameter.name.ends_with("-ms"));
    is_timeout(fault) || info(fault).virtual_time.contains("a delay") || has_time
}

fn by_client(lines: &Lines) -> Logs {
    let mut logs = Logs::new();
    for (client, line) in lines.lock().unwrap().iter() {
        logs.entry(client.clone()).or_default().push(line.clone());
    }
    logs
}

/// Sets the fault through the control API, and lets ten minutes pass there.
async fn through_the_control_api(fault: &Value) -> Logs {
    let lab = Opened::with_clients(2).await;
    lab.put("/v1/faults/it", fault.clone()).await;
    let passed = timeout(AT_ONCE, lab.post("/v1/clock/advance", json!({ "by": "10m" }))).await;
    assert!(passed.is_ok(), "{fault}: moving the clock took more than {AT_ONCE:?}");
    assert_eq!(passed.unwrap()["now_ms"], START.as_millis() + 600_000, "{fault}");
    by_client(&lab.lines)
}

/// The same fault in a scenario.
fn scenario(fault: &Value) -> Scenario {
    let rule = fault.as_object().unwrap().iter().map(|(key, value)| format!("{key} = {}\n", toml(value)));
    let text = format!(
        r#"
title = "Held"
site = {{ managers = [{{ name = "sepm-1" }}] }}
fleet = [{{ name = "desk", count = 2, version = "14.3" }}]

[[fault]]
name = "it"
{}
[[step]]
title = "It begins"
faults = ["it"]
wait = {{ time = "10m" }}
"#,
        rule.collect::<String>()
    );
    Scenario::parse(&text, "held.toml").unwrap()
}

fn toml(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

async fn in_a_scenario(scenario: &Scenario) -> (Logs, Vec<ManagerPorts>) {
    let lines = Lines::default();
    let mut places = Vec::new();
    run_scenario_moved(scenario, &collect_into(&lines), None, |progress| {
        if let ProgressEvent::Up(addresses) = progress {
            let port = addresses[0].sockets()[0].port();
            places.push(ManagerPorts {
                address: "127.0.0.1".to_owned(),
                http: Some(port),
                https: Some(port),
            });
        }
    })
    .await
    .unwrap();
    let mut logs = by_client(&lines);
    // The end of a scenario stops every client.
    for lines in logs.values_mut() {
        assert_eq!(lines.pop().map(|line| line.event), Some(Event::ServiceStopped));
    }
    (logs, places)
}

fn moments(logs: &Logs) -> BTreeMap<&str, Vec<(Timestamp, Event)>> {
    logs.iter()
        .map(|(client, lines)| (client.as_str(), lines.iter().map(|line| (line.at, line.event)).collect()))
        .collect()
}

async fn compare(fault: Value) {
    let scenario = scenario(&fault);
    let (here, places) = in_a_scenario(&scenario).await;
    let options = RehearsalOptions { places, threads: 1, keep_logs: true };
    let rehearsal = rehearse(&scenario, &options, &rehearsal::Progress::default(), |_| ()).unwrap();
    let expected: Logs =
        rehearsal.clients.into_iter().map(|(view, lines)| (view.computer_name, lines)).collect();
    if lasts(&fault) {
        assert_eq!(moments(&here), moments(&expected), "{fault}: over sockets, and in virtual time");
    }
    let there = through_the_control_api(&fault).await;
    assert_eq!(moments(&there), moments(&here), "{fault}: through the control API, and in a scenario");
    if is_timeout(&fault) {
        // Each manager has a port of its own.
        let words = |logs: &Logs| -> Vec<String> {
            let texts =
                logs.values().flatten().filter_map(|line| line.text.split_once("Timeout was reached"));
            texts.map(|(_, waited)| waited.to_owned()).collect()
        };
        assert_eq!(words(&there), words(&here), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_a_fault_holds_up_keeps_no_clock_that_is_moved() {
    let (mut under_way, mut failed) = (JoinSet::new(), 0);
    for fault in faults() {
        if under_way.len() == TOGETHER {
            failed += usize::from(under_way.join_next().await.is_some_and(|compared| compared.is_err()));
        }
        under_way.spawn(compare(fault));
    }
    while let Some(compared) = under_way.join_next().await {
        failed += usize::from(compared.is_err());
    }
    assert_eq!(failed, 0, "each says above what is wrong");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_held_up_when_a_running_clock_is_moved_keeps_it_no_longer() {
    for fault in [
        json!({ "what": "blackhole" }),
        json!({ "what": { "kind": "latency", "delay": { "distribution": "constant", "ms": 20_000 } } }),
        json!({ "what": { "kind": "latency", "delay": { "distribution": "constant", "ms": TOO_LONG_MS } } }),
        json!({ "what": { "kind": "accept-then-stall", "close_after_ms": 20_000 } }),
        json!({ "what": "slow-headers", "where": { "route": "index" } }),
    ] {
        let lab = Opened::with_clients(2).await;
        lab.put("/v1/faults/it", fault.clone()).await;
        lab.put("/v1/clock", json!({ "speed": 1 })).await;
        lab.post("/v1/clients/desk-1/operations", json!({ "do": "poke" })).await;
        let passed = timeout(AT_ONCE, lab.post("/v1/clock/advance", json!({ "by": "10m" }))).await;
        assert!(passed.is_ok(), "{fault}: moving the clock took more than {AT_ONCE:?}");
        assert_eq!(lab.lab.clock().speed(), 1, "{fault}");
        assert!(lab.lab.clock().now() >= START + Duration::from_secs(600), "{fault}");
    }
}
