//! Both drivers have the same results: what a scenario does to each client over sockets, with the clock moved instead
//! of waited for, is what it does to it in virtual time, line by line of its log, to the millisecond.

use std::collections::BTreeMap;

use epm_client_agent::agent::{AgentView, Event, LogLine};
use epm_client_agent::rehearsal::{Progress, Rehearsal, RehearsalOptions, rehearse};
use epm_client_agent::scenario::Scenario;
use epm_protocol::fault::{FaultKind, Layer};
use epm_server::Addresses;
use epm_tests::scenario_runs::{Played, over_sockets, played, ports, scenario, scenarios};
use tokio::task::JoinSet;

fn in_virtual_time(scenario: &Scenario, places: &[Addresses]) -> Rehearsal {
    let options =
        RehearsalOptions { places: places.iter().map(ports).collect(), threads: 2, keep_logs: true };
    rehearse(scenario, &options, &Progress::default(), |_| ()).unwrap()
}

fn told(line: &LogLine) -> (epm_protocol::time::Timestamp, Event) {
    (line.at, line.event)
}

/// Plays a scenario in virtual time, and compares it with the play over sockets.
fn compare(name: &str, scenario: &Scenario, played: &Played) {
    // Faults of bytes and durations of waits are logged in the words of each driver's own libraries.
    let is_worded =
        |layer: Layer| matches!(layer, Layer::Certificate | Layer::Artifact | Layer::List | Layer::Site);
    // A refusal of some clients only is a reset.
    let in_words = scenario.fault.iter().all(|rule| match rule.get_ref().what {
        FaultKind::Refuse => rule.get_ref().is_for_all(),
        FaultKind::Status { .. } => true,
        _ => is_worded(rule.get_ref().what.layer()),
    });
    let mut logs: BTreeMap<&str, Vec<&LogLine>> = BTreeMap::new();
    for (client, line) in &played.lines {
        logs.entry(client).or_default().push(line);
    }
    let rehearsal = in_virtual_time(scenario, &played.places);
    for (view, lines) in &rehearsal.clients {
        let client = &view.computer_name;
        let there = logs.get(client.as_str()).map_or(&[][..], Vec::as_slice);
        for (place, (here, there)) in lines.iter().zip(there.iter().copied()).enumerate() {
            let same = if in_words { here == there } else { told(here) == told(there) };
            assert!(
                same,
                "{name}: line {place} of {client}: {here:?} in virtual time, {there:?} over sockets"
            );
        }
        assert!(lines.len() <= there.len(), "{name}: {client} logs more in virtual time");
        // The end of a play stops every client.
        let more: Vec<Event> = there[lines.len()..].iter().map(|line| line.event).collect();
        assert!(matches!(more[..], [] | [Event::ServiceStopped]), "{name}: {client} goes on with {more:?}");
    }
    for (here, there) in rehearsal.outcome.verdict.steps.iter().zip(&played.verdict.steps) {
        assert_eq!(here, there, "{name}: step {}, virtual time first", here.number);
    }
    assert_eq!(rehearsal.outcome.verdict, played.verdict, "{name}");
}

/// Plays changed scenarios, all at the same time, and compares each with the same in virtual time.
async fn compare_all(texts: impl IntoIterator<Item = (&'static str, String)>) {
    let compare_one = |(name, text): (&'static str, String)| async move {
        let scenario = Scenario::parse(&text, name).unwrap();
        let played = over_sockets(&scenario).await.unwrap();
        compare(name, &scenario, &played);
    };
    let mut scenario_runs: JoinSet<()> = texts.into_iter().map(compare_one).collect();
    while let Some(compared) = scenario_runs.join_next().await {
        compared.unwrap();
    }
}

#[test]
fn a_scenario_does_the_same_to_each_client_over_sockets_and_in_virtual_time() {
    std::thread::scope(|scope| {
        for name in scenarios() {
            scope.spawn(|| compare(name, &scenario(name), &played(name)));
        }
    });
}

/// A scenario in which one part of the fleet, or all of it, meets a fault, and is healed; the waits are long enough for
/// counts to matter. The requests of clients in push mode are held when it begins, and answered under it.
fn haunted(fault: &str) -> String {
    format!(
        r#"
title = "Haunted"

[site]
managers = [{{ name = "sepm-1" }}, {{ name = "sepm-2" }}]
setup = [
  {{ add-group = {{ group = 'My Company\Held', inherits = false }} }},
  {{ set-communication = {{ group = 'My Company\Held', change = {{ mode = "push" }} }} }},
]

[[fleet]]
name = "desk"
count = 4
version = "14.3.8289"

[[fleet]]
name = "old"
count = 4
version = "14.2.5323"

[[fleet]]
name = "held"
count = 4
group = 'My Company\Held'
version = "14.0.1904"

[[fault]]
name = "it"
{fault}

[[step]]
title = "It begins, and a certificate is updated"
faults = ["it"]
operator = [{{ update-certificate = {{ manager = "sepm-1", certificate = {{ generate = {{}} }} }} }}]
wait = {{ heartbeats = 6 }}

[[step]]
title = "A policy is changed under it"
operator = [{{ set-policy = {{ group = 'My Company\Held', policy = "Firewall", content = "allow" }} }}]
wait = {{ heartbeats = 2 }}

[[step]]
title = "It is healed"
heal = ["it"]
wait = {{ heartbeats = 3 }}
"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_hit_the_same_occasions_of_each_client_over_sockets_and_in_virtual_time() {
    let faults = [
        "what = 'refuse'\nwhere = { manager = 'sepm-1' }",
        "what = 'refuse'\nwhere = { manager = 'sepm-1' }\nwhen = { from = '2026-01-05T08:20:00Z', until = '2026-01-05T09:00:00Z' }",
        "what = 'blackhole'\nprobability = 0.4",
        "what = 'accept-then-stall'\nwhom = { percent = 50 }",
        "what = { kind = 'handshake-stall', stage = 'after-finished' }\nwhen = { first = 2 }",
        "what = 'no-shared-cipher'\nwhom = { version = { until = '14.3' } }\nwhen = { every = 2 }",
        "what = 'other-self-signed'\nwhom = { agent = 'desk-2' }",
        "what = 'expired'\nwhom = { percent = 40 }\nprobability = 0.5",
        "what = 'status'\nwhom = { group = 'My Company' }\nwhere = { route = 'index' }\nwhen = { after = 1, every = 3 }",
        "what = { kind = 'latency', ms = 2000 }\nprobability = 0.7",
        "what = { kind = 'latency', ms = 45000 }\nprobability = 0.5",
        "what = { kind = 'latency', ms = 20000 }\nwhere = { direction = 'both' }\nprobability = 0.5",
        "what = { kind = 'bandwidth', bytes_per_second = 2 }\nprobability = 0.5",
        "what = { kind = 'slicer', slice_bytes = 10, gap_ms = 1 }",
        "what = { kind = 'limit-data', bytes = 20 }\nwhere = { direction = 'to-manager' }\nprobability = 0.5",
        "what = 'bad-signature'\nwhere = { route = 'policy' }\nwhen = { first = 2 }",
        "what = 'dead-server'",
        "what = 'database-down'\nprobability = 0.5",
        "what = 'kcs-changed'\nwhom = { agent = 'old-*' }",
    ];
    compare_all(faults.map(|fault| (fault, haunted(fault)))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_of_one_hardware_id_meet_each_other_and_faults_alike_on_either_carrier() {
    let plan = include_str!("../../../fixtures/scenarios/cloned-image.toml");
    let faults = [
        "what = 'status'\nwhere = { route = 'index' }\nwhen = { after = 2, every = 3 }",
        "what = 'status'\nwhere = { route = 'register' }\nprobability = 0.5",
        "what = 'refuse'\nwhom = { agent = 'rolled-out-*' }\nprobability = 0.3",
    ];
    let set = "operator = [{ set-policy";
    let text = plan.replacen(set, &format!("faults = ['it']\n{set}"), 1);
    compare_all(faults.map(|fault| (fault, format!("{text}\n[[fault]]\nname = 'it'\n{fault}\n")))).await;
}

/// A plan that begins in the middle of a working day, with machines that had been on before: clients consult their lists
/// again after a day with their server, their interval changes, and the power is cut.
const IN_OPERATION: &str = r#"
title = "In operation"
clock = { start = "2026-01-06T10:20:00Z" }

[site]
managers = [{ name = "sepm-1" }, { name = "sepm-2" }]
setup = [{ set-communication = { group = 'My Company', change = { heartbeat_seconds = 1800 } } }]

[[fleet]]
name = "always"
count = 4
version = "14.3.8289"

[[fleet]]
name = "office"
count = 3
version = "14.3.8289"
presence = { office = { zone = "UTC", from = "08:00", to = "17:00" } }

[[fleet]]
name = "mostly-off"
count = 4
version = "14.3.8289"
presence = { mostly-off = { on = "2h", every = "4h" } }

[[step]]
title = "A policy"
operator = [{ set-policy = { group = 'My Company', policy = "Firewall", content = "1" } }]
wait = { time = "20m" }

[[step]]
title = "An hour between heartbeats"
operator = [{ set-communication = { group = 'My Company', change = { heartbeat_seconds = 3600 } } }]
wait = { time = "25h" }

[[step]]
title = "The power is cut"
fleet = [{ switch-off = "always" }]
wait = { time = "10m" }

[[step]]
title = "The power is back"
fleet = [{ switch-on = "always" }]
operator = [{ set-policy = { group = 'My Company', policy = "Firewall", content = "2" } }]
wait = { time = "3h" }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_that_had_been_on_before_the_start_have_heartbeats_at_the_same_times_in_both_drivers() {
    let anew =
        IN_OPERATION.replacen("[site]", "[assumptions]\nnew_interval_keeps_phase = false\n\n[site]", 1);
    compare_all([("in operation", IN_OPERATION.to_owned()), ("a new series", anew)]).await;
}

/// Clients that the operator moves by name, one of them while it is off and one in push mode, as a step adds their group.
const MOVED: &str = r#"
title = "Moved"

[site]
managers = [{ name = "sepm-1" }]
setup = [{ set-communication = { group = 'My Company', change = { mode = "push" } } }]

[[fleet]]
name = "desk"
count = 3
version = "14.3.8289"

[[fleet]]
name = "away"
count = 2
version = "14.3.8289"

[[step]]
title = "Some are switched off"
fleet = [{ switch-off = "away" }]
wait = { heartbeats = 1 }

[[step]]
title = "Two are moved to a group that speaks HTTP"
operator = [
  { copy-list = { from = "Default Management Server List for My Site", to = "HTTP" } },
  { edit-list = { list = "HTTP", protocol = "http" } },
  { add-group = { group = 'My Company\Others', inherits = false } },
  { assign-list = { list = "HTTP", group = 'My Company\Others' } },
  { move-client = { client = "desk-2", group = 'My Company\Others' } },
  { move-client = { client = "AWAY-1", group = 'My Company\Others' } },
]
wait = { heartbeats = 2 }

[[step]]
title = "All are on, and one comes back"
fleet = [{ switch-on = "away" }]
operator = [{ move-client = { client = "desk-2", group = 'My Company\Default Group' } }]
wait = { heartbeats = 2 }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_moved_by_their_names_in_both_drivers() {
    let scenario = Scenario::parse(MOVED, "moved").unwrap();
    scenario.check("moved", MOVED).unwrap();
    let rehearsal = in_virtual_time(&scenario, &[]);
    let with = |list: &str| {
        let on =
            |(view, _): &(AgentView, Vec<LogLine>)| (view.list == list).then(|| view.computer_name.clone());
        rehearsal.clients.iter().filter_map(on).collect::<Vec<_>>()
    };
    assert_eq!(with("HTTP"), ["away-1"], "the one that did not come back");
    compare_all([("moved", MOVED.to_owned())]).await;
}

#[test]
fn a_move_of_a_client_that_there_is_not_is_refused_with_its_line_and_the_nearest() {
    for (from, to, expected) in [
        ("\"desk-2\"", "\"desk-22\"", "there is no client \"desk-22\"; did you mean \"desk-2\"?"),
        (
            "\"AWAY-1\"",
            "\"0123456789ABCDEF0123456789ABCDEF\"",
            "there is no client \"0123456789ABCDEF0123456789ABCDEF\"",
        ),
        (
            "group = 'My Company\\Default Group' } }]",
            "group = 'My Company\\Default' } }]",
            "there is no group",
        ),
    ] {
        let text = MOVED.replacen(from, to, 1);
        let error = Scenario::parse(&text, "moved").unwrap().check("moved", &text).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("moved:"), "{error}");
    }
    // One that is not there yet.
    let arrives = "name = \"away\"\narrives = { between = [\"10d\", \"12d\"] }";
    let late = MOVED.replacen("name = \"away\"", arrives, 1);
    let options = RehearsalOptions { threads: 1, ..RehearsalOptions::default() };
    let scenario = Scenario::parse(&late, "moved").unwrap();
    let error = rehearse(&scenario, &options, &Progress::default(), |_| ()).unwrap_err().to_string();
    assert!(error.contains("there is no registered client \"AWAY-1\""), "{error}");
}
