//! `epm-agent fleet` against a lab: who is served and who is not, and how it says so.

use std::process::Output;

use serde_json::Value;

use crate::harness::{Running, RunningLab, agent, output, refused, said, stdout, well};

/// The clients of a fleet; `EPM_TESTS_CLIENTS` sets another number.
fn clients() -> u32 {
    std::env::var("EPM_TESTS_CLIENTS").map_or(120, |number| number.parse().unwrap())
}

/// A lab without clients of its own, and the communications file that it exports.
fn lab(arguments: &[&str]) -> (RunningLab, tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("lab");
    let lab = RunningLab::up(&[&["--agents", "0", "--export", export.to_str().unwrap()], arguments].concat());
    let sylink = export.join("sylink.xml").to_str().unwrap().to_owned();
    (lab, folder, sylink)
}

/// Runs a fleet to its end.
fn fleet(sylink: &str, arguments: &[&str]) -> Output {
    output(agent().args(["fleet", "--sylink", sylink]).args(arguments))
}

/// The lines of JSON in a text.
fn lines_of(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines of a kind.
fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

#[test]
fn of_a_fleet_exactly_the_clients_with_a_tampered_signature_say_so_and_all_others_resume_their_sessions() {
    let (lab, _folder, sylink) = lab(&[]);
    let count = clients();
    // The clients are not registered yet, so only a pattern finds them.
    let tampered = [count - 3, count / 2 + 10].map(|number| format!("fleet-{number}"));
    for name in &tampered {
        let pattern = format!("{name}*");
        let fault = ["fault", "add", name, "bad-signature", "--agent", &pattern, "--route", "policy"];
        well(&lab.run(&fault));
    }
    assert!((count / 2 + 10) * 10 > count, "each pattern fits one client");
    let count_text = count.to_string();
    let arguments = ["--count", &count_text, "--heartbeat", "2s", "--for", "20s", "--every", "1s", "--json"];
    let ended = fleet(&sylink, &arguments);
    assert_eq!(ended.status.code(), Some(1), "{:?}", said(&ended));
    let lines = lines_of(&stdout(&ended));
    assert_eq!(lines[0]["kind"], "plan", "{}", lines[0]);
    let mut told: Vec<(&str, &str)> = of_kind(&lines, "client")
        .into_iter()
        .map(|line| (line["client"].as_str().unwrap(), line["cause"].as_str().unwrap()))
        .collect();
    told.sort_unstable();
    let mut expected: Vec<(&str, &str)> =
        tampered.iter().map(|name| (name.as_str(), "signature-not-by-a-pinned-certificate")).collect();
    expected.sort_unstable();
    assert_eq!(told, expected, "each says so once");
    let end = lines.last().unwrap();
    assert_eq!(end["kind"], "end");
    let served = u64::from(count) - 2;
    assert_eq!((&end["served"], &end["orphaned"]), (&served.into(), &2.into()), "{end}");
    let causes: Vec<&String> = end["causes"].as_object().unwrap().keys().collect();
    assert_eq!(causes, ["signature-not-by-a-pinned-certificate"], "{end}");
    // Each client makes one full handshake, in its first heartbeat, and has a ticket of its own from then on.
    assert_eq!(end["full_handshakes"], count, "{end}");
    assert!(end["resumed_handshakes"].as_u64().unwrap() >= u64::from(count), "{end}");
    assert!(end["states"].as_u64().unwrap() < 20, "clients in equal states share it: {end}");
    let at_the_manager = lab.json(&["client", "list"], 0);
    assert_eq!(at_the_manager["total"], 0, "they are no clients of the lab's process: {at_the_manager}");
}

#[test]
fn a_fleet_that_is_started_again_with_its_file_continues_as_it_was_also_in_shards() {
    let (_lab, folder, sylink) = lab(&[]);
    let state = folder.path().join("fleet.jsonl");
    let run = |more: &[&str]| {
        let arguments = ["--count", "20", "--heartbeat", "1s", "--for", "6s", "--json", "--state"];
        let ended = fleet(&sylink, &[&arguments[..], &[state.to_str().unwrap()], more].concat());
        let lines = lines_of(&well(&ended));
        lines.last().unwrap().clone()
    };
    let first = run(&[]);
    assert!(first["exchanges"].as_u64() >= first["heartbeats"].as_u64().map(|all| all + 3 * 20), "{first}");
    let again = run(&[]);
    assert_eq!(
        again["exchanges"], again["heartbeats"],
        "no client registers or fetches anything anew: {again}"
    );
    let shard = run(&["--shard", "2/3"]);
    assert_eq!((&shard["clients"], &shard["exchanges"]), (&7.into(), &shard["heartbeats"]), "{shard}");
    let other = fleet(&sylink, &["--count", "1", "--seed", "2", "--state", state.to_str().unwrap()]);
    refused(&other, &["has the clients of the fleet \"fleet\" with the seed 1"]);
}

#[test]
fn an_interrupted_fleet_ends_in_order_and_says_whether_all_were_served() {
    let (_lab, _folder, sylink) = lab(&[]);
    let mut program = agent();
    program.args(["fleet", "--sylink", &sylink, "--count", "5", "--heartbeat", "1s", "--every", "1s"]);
    let mut running = Running::start(&mut program);
    running.says("5 served, coverage 100.0 %");
    assert_eq!(running.interrupt(), Some(0));
    // The port is closed.
    let text = std::fs::read_to_string(&sylink).unwrap();
    let file = sylink.replace("sylink.xml", "closed.xml");
    let port = text.split("HttpsPort=\"").nth(1).unwrap().split('"').next().unwrap();
    std::fs::write(&file, text.replace(&format!("\"{port}\""), "\"1\"")).unwrap();
    let ended = fleet(&file, &["--count", "3", "--heartbeat", "1s", "--for", "2s"]);
    let (code, printed) = said(&ended);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("3 not served") && printed.contains("connection-refused"), "{printed}");
}
