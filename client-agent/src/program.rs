//! What the programs share: arguments, and standard output.
//!
//! A program whose results could not be written has failed. A closed pipe is no failure: its reader has seen enough.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

/// The first failed write to standard output.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// Reads the arguments, or prints what is wrong with them, the help or the version.
///
/// # Errors
///
/// The exit code of the program: 0 after the help or the version, 1 when they could not be written, 2 for wrong arguments.
pub fn arguments<C: clap::Parser>() -> Result<C, ExitCode> {
    C::try_parse().map_err(|shown| {
        if shown.use_stderr() {
            let _ = shown.print();
            return ExitCode::from(2);
        }
        note(shown.print().and_then(|()| io::stdout().flush()));
        match unwritten() {
            None => ExitCode::SUCCESS,
            Some(why) => {
                let _ = writeln!(io::stderr(), "error: {why}");
                ExitCode::from(1)
            }
        }
    })
}

/// Writes to standard output. [`unwritten`] says whether a write failed.
pub fn say(text: &str) {
    let mut out = io::stdout().lock();
    note(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Whether standard output still takes what is written to it. What writes without end should stop when it does not.
pub fn is_heard() -> bool {
    FAILED.get().is_none()
}

/// Why the results are incomplete, if a write to standard output failed for another reason than a closed pipe.
pub fn unwritten() -> Option<String> {
    let error = FAILED.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)?;
    Some(format!("cannot write to standard output: {error}"))
}

fn note(written: io::Result<()>) {
    if let Err(error) = written {
        let _ = FAILED.set(error);
    }
}
