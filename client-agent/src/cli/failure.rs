//! The reason why a command of `epm-agent` failed.

/// The reason why a command failed.
pub(super) enum Failure {
    /// The input is invalid; exit code 2.
    BadInput(String),
    /// The command failed; exit code 1.
    Failed(String),
}
