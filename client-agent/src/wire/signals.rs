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

/// Lets a write beyond the limit of a file's size (`ulimit -f`) fail like one on a full disk. Without it the system ends the process.
/// To be called within a runtime.
pub fn outlive_the_file_limit() {
    // The handler stays when the stream of signals is dropped.
    if let Err(error) = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())) {
        tracing::debug!(%error, "a limit of file sizes would end the process");
    }
}
