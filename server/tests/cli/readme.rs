//! Every command in the README is run, as it stands there.
//!
//! The `sh` blocks are one script. Only three things are another way than for a reader: `cargo run --release` starts the
//! program that this test was built with, `cargo test` is not begun within itself, and the product's port is
//! replaced by one that is free, so that the test can run beside a lab.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::harness::{agent, needs, output, program, root, said};

/// What stands in front of the README's script: where programs are, and what ends the ones left in the background.
const BEFORE: &str = r#"
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
cargo() {
  local program=() # in the background, the program takes the place of the shell, so that it is the one to be ended
  [[ $BASHPID == "$$" ]] || program=(exec)
  case "$*" in
    "test --workspace" | "bench -p epm-server") echo "not here: cargo $*" ;;
    "run --release -p epm-client-agent -- "*) "${program[@]}" "$EPM_AGENT" "${@:6}" ;;
    "run --release -- "*) "${program[@]}" "$EPM_LAB" "${@:4}" ;;
    *) echo "unknown: cargo $*" >&2; exit 9 ;;
  esac
}
"#;

#[needs(bash, curl, openssl, timeout)]
#[test]
fn every_command_in_the_readme_works_as_it_stands_there() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("fixtures"), folder.path().join("fixtures")).unwrap();

    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let blocks: Vec<&str> = readme.split("```").skip(1).step_by(2).collect();
    let script: String = blocks.iter().filter_map(|block| block.strip_prefix("sh\n")).collect();
    assert!(script.contains(" up ") && script.contains("8014"), "{script}");
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let (clients, door, rest) = (free(), free(), free());
    let up = format!(" up --http-port {clients} --control-port {door} --rest-port {rest} ");
    let script =
        script.replace("8014", &clients).replace("8015", &door).replace("8446", &rest).replace(" up ", &up);
    let mut bash = Command::new("timeout");
    bash.args(["110", "bash", "-c", &format!("{BEFORE}{script}")]).current_dir(folder.path());
    bash.env("EPM_LAB", program().get_program()).env("EPM_AGENT", agent().get_program());
    bash.env("EPM_LAB_URL", format!("http://127.0.0.1:{door}"));
    let (code, out) = said(&output(&mut bash));
    assert_eq!(code, Some(0), "{script}\n--- out\n{out}");
    for expected in [
        "Verdict: all 11 clients are secure",
        "healthy",
        "OK",
        "sha256 Fingerprint=",
        "hello_answer",
        "connected",
        "The recovery is as described",
        "All is well.",
        "\"result\":\"pass\"",
    ] {
        assert!(out.contains(expected), "expected {expected:?} in:\n{out}");
    }
}
