//! Being asked to end.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C, or for SIGTERM.
///
/// # Errors
///
/// When the system gives no signals.
pub async fn interrupted() -> io::Result<()> {
    let mut asked_to_end = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = asked_to_end.recv() => Ok(()),
    }
}
