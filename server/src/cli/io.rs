//! How a command ends, reads files, and writes to the terminal and to new files. Errors name the file.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;

/// Why a verb came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// What was asked cannot be.
    BadInput(String),
    /// It could be, and went wrong.
    Failed(String),
    /// There is no verdict: what would be needed is no longer known.
    Undecided(String),
}

/// How a verb ended that came to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Well,
    NotWell,
    ClientsOrphaned,
}

/// Runs what waits.
pub(super) fn waiting(verb: impl Future<Output = Result<Ending, Failure>>) -> Result<Ending, Failure> {
    tokio::runtime::Runtime::new()
        .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?
        .block_on(verb)
}

/// Writes to standard output. A reader that has gone away is no reason to fail.
pub(super) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard error, likewise.
pub(super) fn complain(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a value to standard output as JSON, indented.
pub(super) fn say_json(value: &(impl Serialize + ?Sized)) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Failed(error.to_string()))?;
    say(&format!("{text}\n"));
    Ok(())
}

/// Reads a file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| unreadable(file, &error))
}

/// Reads a file of text.
pub(super) fn read_text(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))
}

/// Reads a password from a file: all of it but the end of the line.
pub(super) fn read_password(file: &Path) -> Result<String, Failure> {
    Ok(read_text(file)?.trim_end_matches(['\r', '\n']).to_owned())
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::BadInput(format!("cannot read {}: {error}", file.display()))
}

/// Writes a file that is not there yet. It holds the site's secret, so nobody else may read it.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(|error| {
        let hint = if error.kind() == std::io::ErrorKind::AlreadyExists { "; name another file" } else { "" };
        Failure::BadInput(format!("cannot write {}: {error}{hint}", path.display()))
    })
}
