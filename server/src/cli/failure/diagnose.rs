//! `epm-lab failure diagnose`: ranks the failures that a client's log may come from.

use std::fmt::Write;
use std::io::Read;
use std::path::PathBuf;

use crate::cli::io::{Ending, Failure, say, say_json};
use clap::Args;
use epm_client_agent::catalogue::{Candidate, Diagnosis, Log, diagnose};
use epm_protocol::plural::counted;

/// Number of candidates that are described in full.
const IN_FULL: usize = 3;
/// Number of clues shown for each candidate.
const CLUES: usize = 4;

/// Ranks the failures that fit a client's log.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab failure diagnose state/syslog.log
  epm-agent run --state state/ | epm-lab failure diagnose -
  epm-lab failure diagnose 12070308
  epm-lab failure diagnose --line '4 Bad format.'

A log is the output of `epm-agent run` or a client's syslog.log.
Exit codes: 0 it could be read; 2 it could not.")]
pub(crate) struct Diagnose {
    /// Log file, `-` for standard input, or, if no such file exists, an event number
    #[arg(value_name = "FILE|-|EVENT", required_unless_present = "line", conflicts_with = "line")]
    file: Option<PathBuf>,
    /// Single line of a log
    #[arg(long, value_name = "TEXT")]
    line: Option<String>,
    /// Number of candidates to list
    #[arg(long, default_value_t = 6, value_name = "COUNT")]
    most: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Diagnose {
    pub(crate) fn go(&self) -> Result<Ending, Failure> {
        let mut diagnosis = diagnose(&self.read()?);
        diagnosis.candidates.truncate(self.most);
        if self.json {
            say_json(&diagnosis)?;
        } else {
            say(&told(&diagnosis));
        }
        Ok(Ending::Well)
    }

    fn read(&self) -> Result<Log, Failure> {
        if let Some(line) = &self.line {
            return Log::line(line).map_err(|error| Failure::BadInput(error.to_string()));
        }
        let file = self.file.clone().unwrap_or_default();
        let name = file.display().to_string();
        let bad = |error: &dyn std::fmt::Display| Failure::BadInput(format!("{name}: {error}"));
        let bytes = if name == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).map_err(|error| bad(&error))?;
            bytes
        } else {
            let digits = name.strip_prefix("0x").unwrap_or(&name);
            let is_number = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            match std::fs::read(&file) {
                Err(_) if is_number => return Log::line(&name).map_err(|error| bad(&error)),
                read => read.map_err(|error| bad(&format!("cannot read the file: {error}")))?,
            }
        };
        Log::read(&bytes).map_err(|error| bad(&error))
    }
}

fn told(diagnosis: &Diagnosis) -> String {
    let mut text = format!("{} read.", counted(diagnosis.lines, "line"));
    if !diagnosis.servers.is_empty() {
        let _ = write!(text, " Servers that failed: {}.", diagnosis.servers.join(", "));
    }
    if !diagnosis.shows_trouble {
        text.push_str(" No line reports a failure.");
    }
    text.push('\n');
    if diagnosis.candidates.is_empty() {
        text.push_str("No failure in the catalogue fits.\n");
    }
    for (place, one) in diagnosis.candidates.iter().enumerate() {
        let _ = writeln!(text, "\n{}. {} {}  (fit {:.0} %)", place + 1, one.id, one.title, one.fit * 100.0);
        if place < IN_FULL {
            candidate(&mut text, one);
        }
    }
    text
}

fn candidate(text: &mut String, one: &Candidate) {
    for clue in one.because.iter().take(CLUES) {
        let _ = writeln!(text, "   found:   {clue}");
    }
    for clue in one.lacks.iter().take(CLUES / 2) {
        let _ = writeln!(text, "   missing: {clue}");
    }
    for apart in &one.differences {
        let _ = writeln!(text, "   differs from {} in: {}", apart.from, apart.by);
    }
    for command in &one.commands {
        let _ = writeln!(text, "   $ {command}");
    }
}
