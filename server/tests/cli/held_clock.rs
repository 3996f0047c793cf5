//! Tools that know nothing of the lab's clock rotate a lab with a held clock: the careful ones pass, the careless ones are
//! caught, in seconds.
//!
//! Each runs once; `EPM_TESTS_ROUNDS=20` runs each twenty times, and `--nocapture` shows how long each took.

use std::path::Path;
use std::process::Command;
use std::thread;

use epm_client_agent::wire::LabClock;

use crate::harness::{RunningLab, junit_cases, needs, output, root, said, well};

/// Clients that are always on: one that is not can miss a sleep of three heartbeats.
const QUICK: [&str; 4] = ["--heartbeat", "1", "--agents", "4"];
/// The default fleet, with a heartbeat every second.
const HELD: [&str; 4] = ["--heartbeat", "1", "--hold", "1s"];
const TOOLS: [(&str, &str); 2] = [("bash", "rotate.sh"), ("python3", "rotate.py")];

/// Runs a tool against a new lab, and returns the exit code of the judgement and what it printed.
fn judged(up: &[&str], (interpreter, tool): (&str, &str), way: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready.json");
    let clock = LabClock::wall();
    let lab = RunningLab::up(&[up, &["--ready-file", ready.to_str().unwrap()]].concat());
    let file = root().join("server/tests/cli/tools").join(tool);
    well(&rotate(interpreter, &file, way, &ready));
    well(&lab.run(&["clock", "heartbeats", "3"]));
    let junit = folder.path().join("rotation.xml");
    let (code, text) = said(&lab.run(&["check", "--since", "--json", "--junit", junit.to_str().unwrap()]));
    // The file says the same, also where there is no judgement.
    let cases = junit_cases(&junit);
    let has = |what: &str| cases.iter().any(|one| one.contains(what));
    let (fails, unknown) =
        (has("| failure "), has("| error unknown unknown, since not everything was watched: "));
    assert_eq!((fails, !fails && unknown), (code == Some(1), code == Some(4)), "{code:?} {cases:#?}");
    println!("{tool} {way}: {code:?} after {:.1} s", clock.read().real.as_secs_f32());
    assert_eq!(lab.interrupt(), Some(0));
    (code, text)
}

fn rotate(interpreter: &str, tool: &Path, way: &str, ready: &Path) -> std::process::Output {
    output(Command::new(interpreter).arg(tool).arg(way).arg(ready).env("NO_PROXY", "*"))
}

/// Runs each tool in each of these ways, side by side, as often as the environment says.
fn each(up: &[&str], ways: &[&str], check: impl Fn(Option<i32>, &str) -> bool + Sync) {
    let rounds = std::env::var("EPM_TESTS_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    thread::scope(|scope| {
        for (tool, way) in TOOLS.iter().flat_map(|tool| ways.iter().map(move |way| (*tool, *way))) {
            let check = &check;
            scope.spawn(move || {
                for round in 1..=rounds {
                    let (code, text) = judged(up, tool, way);
                    assert!(check(code, &text), "{} {way}, round {round}: {code:?}\n{text}", tool.1);
                }
            });
        }
    });
}

#[needs(bash, curl, jq, python3)]
#[test]
fn a_tool_that_sleeps_or_polls_passes_on_a_held_clock() {
    each(&HELD, &["sleep", "poll"], |code, text| {
        code == Some(0) && text.contains("longest pauses between changes: ")
    });
}

#[needs(bash, curl, jq, python3)]
#[test]
fn a_tool_that_does_not_wait_is_caught_on_a_held_clock_however_slow_it_is() {
    // On a busy machine a step can take longer than the hold: then it is unknown whether that was a wait.
    let slow = "the tool may have waited, or be as slow as that";
    each(&HELD, &["careless"], |code, text| match code {
        Some(1) => text.contains("a heartbeat in between") || text.contains(slow),
        Some(4) => text.contains(slow),
        _ => false,
    });
}

#[needs(bash, curl, jq, python3)]
#[test]
fn without_a_hold_a_slow_tool_is_not_told_from_one_that_sleeps() {
    each(&QUICK, &["sleep"], |code, text| code == Some(4) && text.contains("start the lab with `--hold 1s`"));
    each(&QUICK, &["careless"], |code, _| matches!(code, Some(1 | 4)));
}

#[test]
fn a_hold_is_refused_that_is_none_or_too_long_or_has_a_pace_alone() {
    let refused = |arguments: &[&str], expected: &str| {
        let out = crate::harness::run(&[&["up", "--http-port", "0"], arguments].concat());
        crate::harness::refused(&out, &[expected]);
    };
    refused(&["--hold", "0s"], "expected from 1ms to 1h, found 0s");
    refused(&["--hold", "2h"], "expected from 1ms to 1h, found 2h");
    refused(&["--hold", "soon"], "invalid duration \"soon\"");
    refused(&["--pace", "3"], "--hold <DURATION>");
}
