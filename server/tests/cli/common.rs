//! A lab that is up, and its command line.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// `epm-lab`, which is told nothing on its standard input.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epm-lab"));
    command.stdin(Stdio::null());
    command
}

/// A lab that is up, until dropped.
pub(crate) struct Lab {
    child: Child,
    /// What it printed when it was ready.
    pub(crate) ready: Value,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lab {
    /// A lab whose clock stands: each heartbeat that is waited for happens at once.
    pub(crate) fn up(arguments: &[&str]) -> Self {
        let mut command = program();
        command.args(["up", "--http-port", "0", "--heartbeat", "60"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        let lab = Self { child, ready };
        assert!(lab.run(&["clock", "freeze"]).status.success());
        lab
    }

    /// Where its own door is.
    pub(crate) fn url(&self) -> &str {
        self.ready["door"].as_str().unwrap()
    }

    /// Runs a verb of the command line against it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        program().args(arguments).env("EPM_LAB_URL", self.url()).output().unwrap()
    }
}
