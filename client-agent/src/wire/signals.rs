//! Signals that end a process.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C, SIGTERM, or the end of the terminal (SIGHUP) unless the process was started to outlive it, as by `nohup`.
///
/// # Errors
///
/// When signals cannot be received.
pub async fn interrupted() -> io::Result<()> {
    let mut asked_to_end = signal(SignalKind::terminate())?;
    let mut terminal = if outlives_terminal() { None } else { Some(signal(SignalKind::hangup())?) };
    let terminal_ended = async {
        match &mut terminal {
            Some(terminal) => terminal.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminal_ended => Ok(()),
        result = tokio::signal::ctrl_c() => result,
        _ = asked_to_end.recv() => Ok(()),
    }
}

/// Whether SIGHUP was ignored when the process was started.
fn outlives_terminal() -> bool {
    static IGNORED: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        ignored.is_some_and(|mask| mask & 1 == 1)
    });
    *IGNORED
}

/// Lets a write beyond the limit of a file's size (`ulimit -f`) fail like one on a full disk. Without it the system ends the process.
/// To be called within a runtime.
pub fn outlive_the_file_limit() {
    // The handler stays when the stream of signals is dropped.
    if let Err(error) = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())) {
        tracing::debug!(%error, "a limit of file sizes would end the process");
    }
}
