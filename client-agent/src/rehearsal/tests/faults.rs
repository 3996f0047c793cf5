//! Under faults, too, skipping and playing have the same results; and a fault is what a client logs.

use super::super::*;
use super::{options, played, same};
use crate::scenario::Scenario;

const FAULTED: &str = r#"
title = "Faults of every sort"
seed = 11
site = { managers = [{ name = "a" }, { name = "b" }] }
FLEET

[[fault]]
name = "flaky"
what = "status"
whom = { agent = "office-*" }
probability = 0.3

[[fault]]
name = "a day"
what = "expired"
where = { manager = "a" }
when = { time_to_live_seconds = 86400 }

[[fault]]
name = "some"
what = "bad-signature"
whom = { percent = 40 }
where = { route = "list" }

[[fault]]
name = "each third"
what = { kind = "reset", after_bytes = 0 }
where = { manager = "b" }
when = { every = 3 }

[[fault]]
name = "back"
what = "serial-goes-back"
whom = { version = { from = "14.3" } }

[[fault]]
name = "group"
what = "empty-priority"
whom = { group = 'My Company' }

[[step]]
title = "flaky"
faults = ["flaky"]
wait = { time = "2d" }

[[step]]
title = "an update under faults"
operator = [{ update-certificate = { manager = "a", certificate = { generate = {} } } }]
faults = ["a day", "some"]
wait = { time = "3d" }

[[step]]
title = "healed, and others"
heal = ["flaky", "some"]
faults = ["each third", "back", "group"]
wait = { time = "30h", heartbeats = 2 }

[[step]]
title = "well again"
heal = ["each third", "back", "group"]
wait = { time = "2d" }
"#;

fn faulted() -> Scenario {
    let fleet = r#"
[[fleet]]
name = "office"
count = 4
version = "14.3.8289"
presence = { office = { zone = "Europe/Berlin", from = "08:00", to = "17:00", spread = "20m" } }
[[fleet]]
name = "always"
count = 4
version = "14.2.1031"
"#;
    let (head, tail) = FAULTED.split_once("FLEET").unwrap();
    let text = format!("{head}{fleet}{tail}");
    let scenario = Scenario::parse(&text, "faulted.toml").unwrap_or_else(|error| panic!("{error}"));
    scenario.check("faulted.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    scenario
}

#[test]
fn under_faults_too_passing_over_what_is_quiet_changes_nothing_on_any_number_of_threads() {
    let scenario = faulted();
    let memoized = played(&scenario, 1);
    let full = rehearse_every_heartbeat(&scenario, &options(1), &Progress::default(), |_| ()).unwrap();
    same("faulted", &memoized, &full);
    same("faulted", &memoized, &played(&scenario, 3));
    let [_, _, update, _, last] = &memoized.outcome.steps[..] else { panic!("five steps") };
    let orphaned = |step: &StepOutcome| step.report.holdings.iter().map(|part| part.orphaned).sum::<usize>();
    assert!(orphaned(update) > 0, "a client that gets no list does not learn the new certificate");
    assert_eq!(orphaned(last), 0, "and does when the list is no longer altered");
    assert!(memoized.outcome.heartbeats_served < memoized.outcome.heartbeats);
    for (view, log) in &memoized.clients {
        let is_hit = log.iter().any(|line| line.text.contains("answered 503"));
        assert_eq!(is_hit, view.computer_name.starts_with("office-"), "{}", view.computer_name);
    }
}

/// Two clients of one manager; the fault lasts for an hour, then is healed for another.
fn under(fault: &str) -> Scenario {
    let text = format!(
        r#"
title = "One fault"
site = {{ managers = [{{ name = "a" }}] }}
fleet = [{{ name = "pc", count = 2, version = "14.3.8289" }}]
fault = [{{ name = "it", what = {fault} }}]
[[step]]
title = "something to publish"
operator = [{{ set-secure-communications = {{ group = 'My Company', on = true }} }}]
faults = ["it"]
wait = {{ time = "1h" }}
[[step]]
title = "a new policy, and the previous certificate is there"
operator = [{{ update-certificate = {{ manager = "a", certificate = {{ generate = {{}} }} }} }}]
wait = {{ time = "1h" }}
[[step]]
title = "healed"
heal = ["it"]
operator = [{{ set-secure-communications = {{ group = 'My Company', on = true }} }}]
wait = {{ time = "1h" }}
"#
    );
    let scenario = Scenario::parse(&text, fault).unwrap_or_else(|error| panic!("{error}"));
    scenario.check(fault, &text).unwrap_or_else(|error| panic!("{error}"));
    scenario
}

#[test]
fn every_kind_of_fault_is_played_the_same_with_and_without_passing_over() {
    for info in epm_protocol::fault::FaultKind::kinds() {
        let scenario = under(&format!("{:?}", info.name));
        let memoized = played(&scenario, 1);
        let full = rehearse_every_heartbeat(&scenario, &options(1), &Progress::default(), |_| ()).unwrap();
        same(info.name, &memoized, &full);
    }
}

#[test]
fn what_a_client_writes_under_a_fault_is_what_the_fault_is() {
    for (fault, expected) in [
        ("\"refuse\"", "was refused"),
        ("\"blackhole\"", "the connection was being opened"),
        ("\"accept-then-stall\"", "milliseconds during the TLS handshake"),
        ("\"reset_peer\"", "lost during the TLS handshake"),
        ("\"alert\"", "received fatal alert"),
        ("\"expired\"", "presented"),
        ("\"wrong-key\"", "BadSignature"),
        ("{ kind = \"status\", code = 418 }", "answered 418"),
        ("\"EMPTY_RESPONSE\"", "lost while the answer was awaited"),
        ("\"garbage\"", "not HTTP"),
        ("\"database-down\"", "answered 500"),
        ("\"kcs-changed\"", "with 400"),
        ("\"bad-signature\"", "Refused the"),
        ("\"truncated-body\"", "Refused the"),
        ("\"missing\"", "answered 404"),
    ] {
        let mut scenario = under(fault);
        scenario.step.truncate(1);
        let (_, log) = &played(&scenario, 1).clients[0];
        let texts: Vec<&str> = log.iter().map(|line| line.text.as_str()).collect();
        assert!(texts.iter().any(|text| text.contains(expected)), "{fault}: {texts:#?}");
        let mut well = scenario.clone();
        well.step[0].faults.clear();
        let (_, log) = &played(&well, 1).clients[0];
        assert!(log.iter().all(|line| !line.text.contains(expected)), "{fault} shows without it");
    }
}

#[test]
fn faults_that_make_no_sense_in_a_scenario_are_refused_with_their_place() {
    let text = |fault: &str, step: &str| {
        format!(
            "title = \"t\"\nsite = {{ managers = [{{ name = \"a\" }}] }}\n\
             fleet = [{{ name = \"pc\", count = 1, version = \"14.3\" }}]\n\
             fault = [{{ name = \"slow\", {fault} }}]\n\
             step = [{{ title = \"s\", wait = {{ time = \"1h\" }}, {step} }}]\n"
        )
    };
    for (fault, step, line, expected) in [
        ("what = \"latnecy\"", "faults = []", 4, "did you mean \"latency\"?"),
        ("what = \"latency\", wen = 1", "faults = []", 4, "did you mean \"when\"?"),
        ("what = \"expired\", where = { listener = \"http\" }", "faults = []", 4, "HTTP has no TLS"),
        ("what = \"latency\", where = { manager = \"b\" }", "faults = []", 4, "there is no manager \"b\""),
        (
            "what = \"latency\"",
            "faults = [\"slwo\"]",
            5,
            "there is no fault \"slwo\"; did you mean \"slow\"?",
        ),
        ("what = \"latency\"", "heal = [\"slow\"]", 5, "no fault \"slow\" is set at this step"),
    ] {
        let text = text(fault, step);
        let error = Scenario::parse(&text, "x.toml").and_then(|one| one.check("x.toml", &text)).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.problem.contains(expected), "{error}");
    }
}
