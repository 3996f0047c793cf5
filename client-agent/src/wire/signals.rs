//! Signals that end a process.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C or SIGTERM.
///
/// # Errors
///
/// When signals cannot be received.
pub async fn interrupted() -> io::Result<()> {
    let mut asked_to_end = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = asked_to_end.recv() => Ok(()),
    }
}
