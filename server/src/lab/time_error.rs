//! Why lab time could not pass as requested.

use std::time::Duration;

use epm_protocol::plural::{counted, either};
use epm_protocol::site::CommandError;
use epm_protocol::time::Timestamp;

/// Longest time for all clients to become idle, in real time.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Why lab time could not pass as requested.
#[derive(Debug, thiserror::Error)]
pub enum TimeError {
    /// The clients did not become idle in time.
    #[error("timed out after {PATIENCE:?} waiting for all clients to become idle (lab time {at})")]
    Restless {
        /// Current lab time.
        at: Timestamp,
    },
    /// The heartbeats were not completed in time.
    #[error(
        "timed out after {limit:?} waiting for {}: {missing} of {} not completed that, for example {example}",
        counted(heartbeats, "heartbeat"),
        either(clients, "client has", "clients have")
    )]
    Waited {
        /// Number of heartbeats that were waited for.
        heartbeats: u64,
        /// Limit in real time.
        limit: Duration,
        /// Number of clients that have not completed them.
        missing: usize,
        /// Number of clients that were waited for.
        clients: usize,
        /// One of the clients that have not completed them.
        example: String,
    },
    /// The processes that report clients have fallen silent.
    #[error(
        "nothing is known of any client that is on: {} silent; start what reports them again, or forget it (DELETE /v1/reports/NAME)",
        are(sources)
    )]
    Unreported {
        /// Names of what has reported clients.
        sources: Vec<String>,
    },
    /// A client could not be installed when it was due.
    #[error("a client cannot be installed: {0}")]
    Installation(#[from] CommandError),
}

fn are(sources: &[String]) -> String {
    let verb = if sources.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", sources.join(", "))
}
