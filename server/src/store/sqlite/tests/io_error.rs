//! A store whose disk fails: each system call that writes or syncs fails in turn, and the process ends without closing the store.

use std::fs;
use std::path::Path;
use std::process::Command as Process;

use epm_fixtures::needs;

use super::damage::{change, content};
use super::*;

/// Number of changes that are written.
const CHANGES: i64 = 4;
/// The folder of the process whose calls fail.
const FOLDER: &str = "EPM_TESTS_IO_ERROR";

/// The process whose calls fail: writes changes into the store, says of each whether it was written, and ends as if it were killed.
#[test]
fn writes_changes() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    if let Ok(store) = SqliteStore::open(Path::new(&folder)) {
        for number in 0..CHANGES {
            let written =
                store.append(&change(number), GivenBy::ControlApi, Timestamp::EPOCH, &Batch::default());
            eprintln!("{} {number}.", if written.is_ok() { "done" } else { "refused" });
            // What follows a refused change would cover up what it has left.
            if written.is_err() && number % 2 == 0 {
                std::process::exit(0);
            }
        }
    }
    std::process::exit(0);
}

#[needs(strace)]
#[test]
fn a_change_that_an_input_output_error_refuses_is_not_there_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (mut tried, mut refused) = (0, 0);
    for call in ["pwrite64", "fsync"] {
        for number in 1.. {
            let data = folder.path().join(format!("{call}-{number}"));
            let out = Process::new("strace")
                .args(["-f", "-qq", "-e", &format!("trace={call}"), "-o"])
                .arg(folder.path().join("calls"))
                .args(["-e", &format!("inject={call}:error=EIO:when={number}")])
                .arg(std::env::current_exe().unwrap())
                .args(["--nocapture", "--exact", "store::sqlite::tests::io_error::writes_changes"])
                .env(FOLDER, &data)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&out.stderr);
            if said.contains("PTRACE") {
                eprintln!("not tried: {said}");
                return;
            }
            assert!(out.status.success(), "{call} {number}: {said}");
            let expected: Vec<Change> =
                (0..CHANGES).filter(|number| said.contains(&format!("done {number}."))).map(change).collect();
            let found = content(&data).unwrap_or_else(|error| panic!("{call} {number}: {error}: {said}"));
            let found: Vec<Change> = found.log.into_iter().map(|(_, _, change)| change).collect();
            assert_eq!(found, expected, "{call} {number}: {said}");
            (tried, refused) = (tried + 1, refused + usize::from(said.contains("refused")));
            let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
            if !calls.contains("INJECTED") {
                break;
            }
        }
    }
    assert!(tried > 20 && refused > 10, "{tried} calls failed, {refused} of them in a change");
}
