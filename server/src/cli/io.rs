//! How a command ends, and how it reads and writes files and the terminal. Errors name the file.

use std::path::Path;

use epm_client_agent::program::read_file;
pub(super) use epm_client_agent::program::{complain, is_heard, is_quiet, notice, say, say_whole, warning};
use epm_client_agent::wire::outlive_the_file_limit;
use epm_protocol::trust::Password;
use serde::Serialize;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The input is invalid: exit code 2.
    BadInput(String),
    /// The input is valid, and the command failed: exit code 1.
    Failed(String),
    /// There is no verdict, because what it needs is no longer known: exit code 4.
    Undecided(String),
}

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Well,
    NotWell,
    ClientsOrphaned,
}

impl Ending {
    /// How a command ends that has printed a verdict: whether clients are orphaned, and whether all is well.
    ///
    /// # Errors
    ///
    /// When the verdict says neither, because there was no client to judge.
    pub(super) fn of_verdict(
        has_orphaned: bool,
        well: Option<bool>,
        no_verdict: Option<&str>,
    ) -> Result<Self, Failure> {
        match (has_orphaned, well) {
            (true, _) => Ok(Self::ClientsOrphaned),
            (false, Some(true)) => Ok(Self::Well),
            (false, Some(false)) => Ok(Self::NotWell),
            (false, None) => Err(Failure::Undecided(format!(
                "there is no verdict: {}",
                no_verdict.unwrap_or("not everything could be judged")
            ))),
        }
    }
}

/// Runs an asynchronous command to its end.
pub(super) fn waiting(verb: impl Future<Output = Result<Ending, Failure>>) -> Result<Ending, Failure> {
    // The runtime would panic without room for its own.
    std::os::unix::net::UnixStream::pair()
        .and_then(|_| tokio::runtime::Runtime::new())
        .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?
        .block_on(async {
            outlive_the_file_limit();
            verb.await
        })
}

/// Writes a value to standard output as JSON, indented.
pub(super) fn say_json(value: &(impl Serialize + ?Sized)) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Failed(error.to_string()))?;
    say_whole(&format!("{text}\n"));
    Ok(())
}

/// Reads a file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    read_file(file).map_err(|error| unreadable(file, &error))
}

/// Reads a text file.
pub(super) fn read_text(file: &Path) -> Result<String, Failure> {
    let invalid = |_| Failure::BadInput(format!("cannot read {}: it is not text in UTF-8", file.display()));
    String::from_utf8(read(file)?).map_err(invalid)
}

/// Reads a password from the first line of a file, as a keystore's.
pub(super) fn read_password(file: &Path) -> Result<String, Failure> {
    let password = Password::from_file(&read(file)?);
    let password = password.map_err(|error| Failure::BadInput(format!("{}: {error}", file.display())))?;
    Ok(password.reveal().to_owned())
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::BadInput(format!("cannot read {}: {error}", file.display()))
}
