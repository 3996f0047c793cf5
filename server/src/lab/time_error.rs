//! Why the lab's clock could not be moved.

use std::time::Duration;

use epm_protocol::site::CommandError;
use epm_protocol::time::Timestamp;

/// How long all clients may take to become idle, in real time.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Why the lab's clock could not be moved, or what was waited for did not come.
#[derive(Debug, thiserror::Error)]
pub enum TimeError {
    /// The clients do not become idle.
    #[error("timed out after {PATIENCE:?} waiting for all clients to become idle (lab time {at})")]
    Restless {
        /// The lab's time.
        at: Timestamp,
    },
    /// The heartbeats that were waited for did not come.
    #[error(
        "after {limit:?} of real time, {missing} of {clients} clients had not ended {heartbeats} heartbeats, {example} among them"
    )]
    Waited {
        /// How many heartbeats were waited for.
        heartbeats: u64,
        /// The limit.
        limit: Duration,
        /// How many clients are behind.
        missing: usize,
        /// How many there are.
        clients: usize,
        /// One of them.
        example: String,
    },
    /// A client that was due could not be installed.
    #[error("a client cannot be installed: {0}")]
    Installation(#[from] CommandError),
}
