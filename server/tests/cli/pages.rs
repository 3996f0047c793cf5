//! Every command in the README and in `docs/` is run as it stands there, and prints what the page says.
//!
//! The `sh` blocks of a page are one script, with the programs on the path. `cargo run` runs `epm-lab`; other calls of `cargo`, and the
//! fuzzer, do nothing in it, and 127.0.0.1 is
//! replaced by an address of the page's own, so that it can run beside other labs. Each line of a `text` block must be
//! a part of the output.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{STALE, agent, needs, output, program, root, said};

/// Stands before the script of a page: ends what the page leaves in the background, and does nothing for commands that take long.
const BEFORE: &str = r#"
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
cargo() {
  case "$*" in
    "test --workspace" | "install --locked --path "* | "bench -p epm-"*) ;;
    "run -- "*) shift 2; epm-lab "$@" ;;
    *) echo "unknown: cargo $*" >&2; exit 9 ;;
  esac
}
tests/fuzz/run.sh() {
  case "$*" in
    "all --seconds 60" | "self-check" | "sylink list --runs 1000000" | "figures" | "keep all") ;;
    *) echo "unknown: tests/fuzz/run.sh $*" >&2; exit 9 ;;
  esac
}
"#;
/// Pages whose commands other tests run.
const ELSEWHERE: &[(&str, &str)] = &[
    ("ci.md", "action.rs runs its script, and the action"),
    ("failures.md", "failure.rs reproduces each entry"),
    ("install.md", ".ci/release runs its commands with the files that it makes"),
    ("many-machines.md", "site.rs runs them, with a database"),
    ("python.md", "python/tests/test_page.py runs each example"),
    ("test-your-rotation-tool.md", "docs.rs runs each example by itself"),
];

macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        const PAGES: &[&str] = &[$($page),*];
        $(
            #[needs(bash, curl, openssl, timeout)]
            #[test]
            fn $test() {
                run($page);
            }
        )*
    };
}

pages! {
    readme_runs: "README.md",
    careless_tool_runs: "docs/careless-tool.md",
    capture_runs: "docs/capture.md",
    certificates_runs: "docs/certificates.md",
    configuration_runs: "docs/configuration.md",
    clients_runs: "docs/clients.md",
    control_api_runs: "docs/control-api.md",
    data_runs: "docs/data.md",
    evidence_runs: "docs/evidence.md",
    faults_runs: "docs/faults.md",
    first_rotation_runs: "docs/first-rotation.md",
    from_a_log_line_runs: "docs/from-a-log-line.md",
    fuzzing_runs: "docs/fuzzing.md",
    large_fleets_runs: "docs/large-fleets.md",
    limits_runs: "docs/limits.md",
    metrics_runs: "docs/metrics.md",
    page_runs: "docs/page.md",
    performance_runs: "docs/performance.md",
    reproduce_a_failure_runs: "docs/reproduce-a-failure.md",
    rest_api_runs: "docs/rest-api.md",
    scenarios_runs: "docs/scenarios.md",
    several_managers_runs: "docs/several-managers.md",
}

#[track_caller]
fn run(page: &str) {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("fixtures"), folder.path().join("fixtures")).unwrap();
    // A lab that was killed has left its file behind.
    fs::write(folder.path().join("ready.json"), STALE).unwrap();
    // Scenarios with faults have the addresses from 127.64.0.0 to 127.127.255.255.
    let [.., high, low] = std::process::id().to_be_bytes();
    let number = PAGES.iter().position(|one| *one == page).unwrap() + 1;
    let address = format!("127.{}.{low}.{number}", high | 0x80);
    let script = blocks(&text, "sh\n").concat().replace("127.0.0.1", &address);
    let script = script.replace("epm-lab up ", &format!("epm-lab up --bind {address} "));
    let bin = [program(), agent()].map(|one| Path::new(one.get_program()).parent().unwrap().to_owned());
    let path = std::env::var_os("PATH").unwrap();
    let mut bash = Command::new("timeout");
    bash.args(["110", "bash", "-c", &format!("{BEFORE}{script}")]).current_dir(folder.path());
    bash.env("PATH", std::env::join_paths(bin.into_iter().chain(std::env::split_paths(&path))).unwrap());
    bash.env("EPM_LAB_URL", format!("http://{address}:8015"));
    let (code, out) = said(&output(&mut bash));
    assert_eq!(code, Some(0), "{page}: {script}\n--- output\n{out}");
    for expected in blocks(&text, "text\n").iter().flat_map(|block| block.lines()).map(str::trim) {
        assert!(out.contains(expected), "{page} says that {expected:?} is printed; output:\n{out}");
    }
}

/// The fenced blocks that begin so.
pub(crate) fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix(language)).collect()
}

#[test]
fn the_commands_of_every_page_are_run() {
    for page in fs::read_dir(root().join("docs")).unwrap() {
        let page = page.unwrap();
        let name = page.file_name().into_string().unwrap();
        let is_run = PAGES.iter().any(|one| one.strip_prefix("docs/") == Some(&name))
            || ELSEWHERE.iter().any(|(one, _)| *one == name);
        let has_commands =
            name.ends_with(".md") && fs::read_to_string(page.path()).unwrap().contains("```sh\n");
        assert_eq!(has_commands, is_run, "docs/{name}: list it in {} where it has commands", file!());
    }
}
