//! How a command ends, and what its exit code comes from.

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
    ClientsLost,
}

/// Runs what waits.
pub(super) fn waiting(verb: impl Future<Output = Result<Ending, Failure>>) -> Result<Ending, Failure> {
    tokio::runtime::Runtime::new()
        .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?
        .block_on(verb)
}
