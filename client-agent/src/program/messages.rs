//! What the programs print besides results: the log, errors, warnings and notices; where it goes, how much of it, and in which
//! form. The options are the same in every command of both programs.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::{ArgAction, Args, ColorChoice, Command, ValueEnum};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::prose::{width, wrapped};

/// The levels of the log, from the fewest messages to the most.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// The section of the help with the options of every command.
const HEADING: &str = "Global options";
/// The options that can be set by environment variables too.
const IN_ENVIRONMENT: [&str; 4] = ["log", "log_format", "log_file", "color"];

/// How messages are printed, as the options say.
static STYLE: OnceLock<Style> = OnceLock::new();

#[derive(Clone, Copy, Debug, Default)]
struct Style {
    quiet: bool,
    color: bool,
}

/// The options about messages.
#[derive(Clone, Debug, Args)]
pub struct Messages {
    /// Log more on standard error: -v info (operator's actions, REST calls), -vv debug (every exchange), -vvv trace
    #[arg(long, short, global = true, action = ArgAction::Count, help_heading = HEADING, display_order = 993)]
    verbose: u8,
    /// Print results and errors only: no progress, no warnings
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = HEADING, display_order = 994)]
    quiet: bool,
    /// What to log: off, error, warn, info, debug or trace, or MODULE=LEVEL, several of them with commas between; -v and -vv
    /// count before it. Defaults to warn, with --quiet to error
    #[arg(long, global = true, value_name = "LEVEL", help_heading = HEADING, display_order = 995)]
    log: Option<LogFilter>,
    /// Form of a line of the log: text, or one JSON object
    #[arg(
        long,
        global = true,
        default_value = "text",
        value_name = "FORMAT",
        help_heading = HEADING,
        display_order = 996
    )]
    log_format: LogFormat,
    /// Append the log to this file instead of writing it to standard error
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING, display_order = 997)]
    log_file: Option<PathBuf>,
    /// Color messages and help; auto does so on a terminal, unless NO_COLOR is set
    #[arg(
        long,
        global = true,
        default_value = "auto",
        value_name = "WHEN",
        help_heading = HEADING,
        display_order = 998
    )]
    color: Color,
}

/// The form of the log's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// When to color what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl Messages {
    /// Starts the log, and prints messages as the options say from now on.
    ///
    /// # Errors
    ///
    /// When the file of the log cannot be opened.
    pub fn start(&self) -> Result<(), String> {
        let color = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stderr().is_terminal() && !is_set("NO_COLOR") && !is_dumb(),
        };
        let _ = STYLE.set(Style { quiet: self.quiet, color });
        let writer = match &self.log_file {
            Some(file) => BoxMakeWriter::new(open(file)?),
            None => BoxMakeWriter::new(io::stderr),
        };
        let lines = tracing_subscriber::fmt::layer();
        let lines = match self.log_format {
            LogFormat::Text => lines.with_ansi(color && self.log_file.is_none()).with_writer(writer).boxed(),
            LogFormat::Json => {
                lines.json().with_current_span(false).with_span_list(false).with_writer(writer).boxed()
            }
        };
        tracing_subscriber::registry().with(lines).with(self.filter()).init();
        Ok(())
    }

    fn filter(&self) -> Targets {
        use tracing_subscriber::filter::LevelFilter;
        let level = match (self.verbose, &self.log) {
            (0, Some(filter)) => return filter.0.clone(),
            (0, None) if self.quiet => LevelFilter::ERROR,
            (0, None) => LevelFilter::WARN,
            (1, _) => LevelFilter::INFO,
            (2, _) => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        };
        Targets::new().with_default(level)
    }
}

/// Opens the file of the log to append to it; a symbolic link is not followed.
fn open(file: &Path) -> Result<File, String> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits();
    let opened = File::options()
        .append(true)
        .create(true)
        .custom_flags(i32::try_from(flags).unwrap_or_default())
        .open(file);
    opened.map_err(|error| {
        let why = match error.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => {
                "it is a symbolic link".to_owned()
            }
            _ if error.kind() == io::ErrorKind::NotFound => "its folder does not exist".to_owned(),
            _ => error.to_string(),
        };
        format!("cannot write the log to {}: {why}; give --log-file the name of a file", file.display())
    })
}

/// Names the environment variables of the options about messages, and colors the help as they say.
pub(super) fn with_environment(mut command: Command) -> Command {
    let prefix = prefix(&command);
    for id in IN_ENVIRONMENT {
        command = command.mut_arg(id, |one| one.env(variable(&prefix, id)));
    }
    // The help is printed while the arguments are read.
    let arguments: Vec<String> = std::env::args_os().map(|one| one.to_string_lossy().into_owned()).collect();
    let after =
        arguments.iter().position(|one| one == "--color").and_then(|at| arguments.get(at + 1).cloned());
    let given = arguments.iter().find_map(|one| one.strip_prefix("--color=").map(str::to_owned)).or(after);
    let color = given.or_else(|| std::env::var(variable(&prefix, "color")).ok()).unwrap_or_default();
    command.color(match color.as_str() {
        "always" => ColorChoice::Always,
        "never" => ColorChoice::Never,
        _ => ColorChoice::Auto,
    })
}

/// The beginning of the names of a program's environment variables, such as `EPM_LAB`.
pub(super) fn prefix(command: &Command) -> String {
    command.get_name().to_uppercase().replace('-', "_")
}

/// The environment variable of an option. Its name is needed as long as the program runs.
pub(super) fn variable(prefix: &str, option: &str) -> &'static str {
    format!("{prefix}_{}", option.to_uppercase()).leak()
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Whether the terminal takes no escape sequences.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|value| value == "dumb")
}

fn style() -> Style {
    STYLE.get().copied().unwrap_or_default()
}

/// Whether only results and errors are printed.
pub fn is_quiet() -> bool {
    style().quiet
}

/// Writes a text to standard error, control characters as [`super::harmless`] has them. A closed pipe is no error.
pub fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(super::text::harmless(text).as_bytes());
}

/// Writes a text about progress to standard error; nothing with `--quiet`.
pub fn notice(text: &str) {
    if !is_quiet() {
        complain(&wrapped(text, width(&io::stderr())));
    }
}

/// Writes a warning to standard error; nothing with `--quiet`.
pub fn warning(why: &str) {
    if !is_quiet() {
        labelled("warning", "\u{1b}[1;33m", why);
    }
}

/// Writes to standard error why the program failed, after this label.
pub fn error(label: &str, why: &str) {
    labelled(label, "\u{1b}[1;31m", why);
}

fn labelled(label: &str, color: &str, why: &str) {
    let (on, off) = if style().color { (color, "\u{1b}[0m") } else { ("", "") };
    let text = wrapped(&format!("{label}: {}\n", super::text::harmless(why)), width(&io::stderr()));
    let text = text.replacen(label, &format!("{on}{label}{off}"), 1);
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// What the log contains: a level, or `MODULE=LEVEL`, several of them with commas between.
#[derive(Clone, Debug)]
struct LogFilter(Targets);

impl std::str::FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        for part in text.split(',') {
            let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
            // A word without a level would name a module that does not exist, and the log would stay empty.
            if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
                let hint = epm_protocol::suggest::hint(level, LEVELS);
                return Err(format!(
                    "expected one of {}, or MODULE=LEVEL such as epm_server=debug, found {part:?}{hint}",
                    LEVELS.join(", ")
                ));
            }
        }
        text.parse().map(Self).map_err(|error: tracing_subscriber::filter::ParseError| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_a_module_with_one_is_taken_and_a_word_that_is_neither_is_refused() {
        for text in ["warn", "DEBUG", "off", "epm_server=debug", "warn,epm_server::wire=trace"] {
            assert!(text.parse::<LogFilter>().is_ok(), "{text}");
        }
        for text in ["debgu", "", "epm_server", "epm_server=debgu", "warn,", "a=b=c"] {
            assert!(text.parse::<LogFilter>().is_err(), "{text:?}");
        }
        assert!("debgu".parse::<LogFilter>().unwrap_err().contains("did you mean \"debug\"?"));
    }
}
