//! `epm-lab failure diagnose`: ranks the failures that a client's log may come from.

use std::fmt::Write;
use std::path::PathBuf;

use crate::cli::io::{Ending, Failure, say, say_json};
use clap::Args;
use epm_client_agent::catalogue::{Candidate, Condition, Diagnosis, Form, Log, UnknownLine, diagnose, find};
use epm_client_agent::program::{read_all, read_file};
use epm_protocol::plural::counted;

/// Number of candidates that are described in full.
const IN_FULL: usize = 3;
/// Number of clues shown for each candidate.
const CLUES: usize = 4;
/// Number of lines shown, of those that are known and of those that are not.
const LINES: usize = 5;
/// Number of characters shown of a line.
const SHOWN: usize = 60;

/// Ranks the failures that fit a client's log.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab failure diagnose state/syslog.log
  epm-agent run --state state/ | epm-lab failure diagnose -
  epm-lab failure diagnose 12070308
  epm-lab failure diagnose --line '4 Bad format.'
  epm-lab failure diagnose --encoding windows-1251 syslog.log

A log is a client's syslog.log, its export by a manager, the output of
`epm-agent run`, or lines of Apache, keytool, curl, OpenSSL and others.
Exit codes: 0 failures fit, or the log is healthy; 1 what it says is not known;
2 it cannot be read.")]
pub(crate) struct Diagnose {
    /// Log file, `-` for standard input, or, if no such file exists, an event number
    #[arg(value_name = "FILE|-|EVENT", required_unless_present = "line", conflicts_with = "line")]
    file: Option<PathBuf>,
    /// Single line of a log
    #[arg(long, value_name = "TEXT")]
    line: Option<String>,
    /// Encoding of the log, such as windows-1251; by default UTF-8, UTF-16 or windows-1252, as its bytes suggest
    #[arg(long, value_name = "NAME", conflicts_with = "line")]
    encoding: Option<String>,
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
        diagnosis.without_trace.truncate(self.most);
        if self.json {
            say_json(&diagnosis)?;
        } else {
            say(&told(&diagnosis));
        }
        Ok(match diagnosis.condition {
            Condition::Healthy | Condition::Recovered | Condition::Failing => Ending::Well,
            Condition::Unexplained | Condition::Unknown => Ending::NotWell,
        })
    }

    fn read(&self) -> Result<Log, Failure> {
        if let Some(line) = &self.line {
            return Log::line(line).map_err(|error| Failure::BadInput(error.to_string()));
        }
        let file = self.file.clone().unwrap_or_default();
        let name = file.display().to_string();
        let bad = |error: &dyn std::fmt::Display| Failure::BadInput(format!("{name}: {error}"));
        let bytes = if name == "-" {
            read_all(std::io::stdin().lock()).map_err(|error| bad(&error))?
        } else {
            let digits = name.strip_prefix("0x").unwrap_or(&name);
            let is_number = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            match read_file(&file) {
                Err(_) if is_number => return Log::line(&name).map_err(|error| bad(&error)),
                Err(error) => return Err(bad(&unread(&name, &error))),
                Ok(bytes) => bytes,
            }
        };
        Log::read(&bytes, self.encoding.as_deref()).map_err(|error| bad(&error))
    }
}

/// What is wrong with a file that cannot be read; its name may be a failure's number, or words of a log.
fn unread(name: &str, error: &std::io::Error) -> String {
    let instead = match find(name) {
        Ok(entry) => format!("{0} is a failure, which `epm-lab failure show {0}` describes", entry.id),
        Err(_) => "words of a log follow `--line`".to_owned(),
    };
    format!(
        "cannot read the file: {error}; expected a log, `-`, or an event's eight digits, such as 12070303; {instead}"
    )
}

fn told(diagnosis: &Diagnosis) -> String {
    let what = if diagnosis.form == Form::SystemLog { "record" } else { "line" };
    let mut text = format!("{} read", counted(diagnosis.lines, what));
    if diagnosis.encoding != "UTF-8" {
        let _ = write!(text, " as {}", diagnosis.encoding);
    }
    text.push('.');
    if !diagnosis.hosts.is_empty() {
        let _ = write!(
            text,
            " Clients: {}; what is said of one may not hold for another.",
            diagnosis.hosts.join(", ")
        );
    }
    if !diagnosis.servers.is_empty() {
        let _ = write!(text, " Servers that failed: {}.", diagnosis.servers.join(", "));
    }
    text.push('\n');
    for one in diagnosis.known_lines.iter().take(LINES) {
        let _ = writeln!(text, "line {}, {}: {}", one.line, one.program, one.meaning);
    }
    more(&mut text, diagnosis.known_lines.len());
    unknown(&mut text, &diagnosis.unknown_lines, what);
    text.push_str(match diagnosis.condition {
        Condition::Healthy => "healthy: no line reports a failure.\n",
        Condition::Recovered => "At the end of the log a manager serves the client. What was before:\n",
        Condition::Failing => "",
        Condition::Unexplained => "A failure is reported, but none in the catalogue fits.\n",
        Condition::Unknown => "Whether this reports a failure is not known.\n",
    });
    for (place, one) in diagnosis.candidates.iter().enumerate() {
        let _ = writeln!(text, "\n{}. {} {}  (fit {:.0} %)", place + 1, one.id, one.title, one.fit * 100.0);
        if place < IN_FULL {
            candidate(&mut text, one);
        }
    }
    if !diagnosis.without_trace.is_empty() {
        text.push_str("\nFailures that leave no more trace than this in a client's log:\n");
    }
    for one in &diagnosis.without_trace {
        let _ = writeln!(text, "  {} {}", one.id, one.title);
    }
    text
}

/// Names the lines that are not known: first those that may report a failure.
fn unknown(text: &mut String, lines: &[UnknownLine], what: &str) {
    if lines.is_empty() {
        return;
    }
    let of_failures = lines.iter().filter(|one| one.may_be_trouble()).count();
    let _ = write!(text, "{} not known", counted(lines.len(), what));
    text.push_str(match of_failures {
        0 => ", for information only according to the log:\n",
        all if all == lines.len() => ":\n",
        _ => ", some for information only according to the log:\n",
    });
    for one in lines.iter().take(LINES) {
        let event = one.event.as_ref().map(|event| format!("{event} ")).unwrap_or_default();
        let said: String = one.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown: String = said.chars().take(SHOWN).collect();
        let rest = if said.chars().count() > SHOWN { " ..." } else { "" };
        let _ = writeln!(text, "  line {}: {event}{shown}{rest}", one.line);
    }
    more(text, lines.len());
}

fn more(text: &mut String, lines: usize) {
    if lines > LINES {
        let _ = writeln!(text, "  and {} more", lines - LINES);
    }
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
