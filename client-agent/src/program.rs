//! What the programs `epm-lab` and `epm-agent` have in common on the command line: arguments, standard output, the log,
//! completions, the exit codes in the help, and whether a folder may be written to.
//!
//! A program whose results could not be written has failed. A closed pipe is no failure: its reader has seen enough.

mod messages;
mod prose;
mod schema;
mod text;

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::error::{ContextKind, ContextValue};
use clap::{ArgMatches, Command};
use clap_complete::Shell;
pub use messages::{Messages, complain, error, is_quiet, notice, warning};
pub use prose::width;
pub use schema::{Describe, schema_of, schema_text};
pub use text::harmless;

/// The first failed write to standard output.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// The command line of a program. The help of every command has its exit codes, these if it does not name its own.
pub fn command_line<C: clap::CommandFactory>(codes: &str) -> Command {
    messages::with_environment(with_exit_codes(C::command(), codes))
}

/// Lets every option of a command below this one be set by an environment variable too: `--http-port` of `epm-lab` by
/// `EPM_LAB_HTTP_PORT`. Options that name a variable keep it.
#[must_use]
pub fn with_variables(command: Command, path: &[&str]) -> Command {
    let prefix = messages::prefix(&command);
    below(command, path, &|command| {
        command.mut_args(|one| {
            if one.get_env().is_some() {
                return one;
            }
            let variable = messages::variable(&prefix, one.get_id().as_str());
            let is_flag = matches!(one.get_action(), clap::ArgAction::SetTrue);
            let one = if is_flag { one.value_parser(clap::builder::BoolishValueParser::new()) } else { one };
            one.env(variable).hide_env(true)
        })
    })
}

/// Lets an error about a value name the environment variable that it comes from; clap names the option alone.
#[must_use]
pub fn naming_variable(mut error: clap::Error, mut command: Command) -> clap::Error {
    use clap::error::ErrorKind;
    command.build();
    let text = |error: &clap::Error, kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidUtf8 if std::env::args_os().all(|given| given.to_str().is_some()) => {
            let variable = variable_where(&command, &|_, value| value.to_str().is_none());
            let variable = variable.unwrap_or_else(|| "a variable".to_owned());
            return command.error(error.kind(), format!("the value of {variable} is not text in UTF-8"));
        }
        ErrorKind::ArgumentConflict => {
            for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
                let Some(option) = text(&error, kind) else { continue };
                let is_it = |arg: &clap::Arg, _: &OsStr| arg.to_string() == option && !is_given(arg);
                name_variable(&mut error, kind, &option, variable_where(&command, &is_it));
            }
        }
        _ => {
            let [option, value] =
                [ContextKind::InvalidArg, ContextKind::InvalidValue].map(|kind| text(&error, kind));
            if let (Some(option), Some(value)) = (option, value) {
                let is_it = |arg: &clap::Arg, set: &OsStr| arg.to_string() == option && *set == *value;
                let variable = variable_where(&command, &is_it);
                name_variable(&mut error, ContextKind::InvalidArg, &option, variable);
            }
        }
    }
    error
}

fn name_variable(error: &mut clap::Error, kind: ContextKind, option: &str, variable: Option<String>) {
    if let Some(variable) = variable {
        let named = format!("{variable}, the variable of {option}");
        error.insert(kind, ContextValue::String(named));
    }
}

/// Whether the option is on the command line.
fn is_given(arg: &clap::Arg) -> bool {
    let Some(long) = arg.get_long().map(|name| format!("--{name}")) else { return false };
    std::env::args().any(|given| given.split_once('=').map_or(given.as_str(), |(name, _)| name) == long)
}

/// The first environment variable of an option, of this command or below, that is set and is such a one.
fn variable_where(command: &Command, is_such: &dyn Fn(&clap::Arg, &OsStr) -> bool) -> Option<String> {
    let own = command.get_arguments().find_map(|arg| {
        let name = arg.get_env()?;
        let value = std::env::var_os(name)?;
        is_such(arg, &value).then(|| name.to_string_lossy().into_owned())
    });
    own.or_else(|| command.get_subcommands().find_map(|below| variable_where(below, is_such)))
}

fn below(command: Command, path: &[&str], change: &dyn Fn(Command) -> Command) -> Command {
    match path {
        [] => change(command),
        [name, rest @ ..] => command.mut_subcommand(name, |one| below(one, rest, change)),
    }
}

/// Reads the arguments, or prints what is wrong with them, the help or the version.
///
/// # Errors
///
/// The exit code of the program: 0 after the help or the version, 1 when they could not be written, 2 for wrong arguments.
pub fn arguments<C: clap::FromArgMatches>(matches: Result<ArgMatches, clap::Error>) -> Result<C, ExitCode> {
    matches.and_then(|matches| C::from_arg_matches(&matches)).map_err(|shown| {
        if shown.use_stderr() {
            let _ = shown.print();
            return ExitCode::from(2);
        }
        note(shown.print().and_then(|()| io::stdout().flush()));
        match unwritten() {
            None => ExitCode::SUCCESS,
            Some(why) => {
                error("error", &why);
                ExitCode::from(1)
            }
        }
    })
}

/// Largest input that is read, in bytes: every file that a program expects is much smaller.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Reads a file of at most 64 MiB.
///
/// # Errors
///
/// When it cannot be read, or is larger; the file is not in the error.
pub fn read_file(file: &Path) -> io::Result<Vec<u8>> {
    std::fs::File::open(file).and_then(read_all)
}

/// Reads at most 64 MiB to the end.
///
/// # Errors
///
/// When it cannot be read, or there is more.
pub fn read_all(from: impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    from.take(MOST_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MOST_BYTES {
        let why = format!("it is larger than the {} MiB that are read at most", MOST_BYTES / 1024 / 1024);
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(content)
}

/// Writes a text for people to standard output; on a terminal, in lines that fit it. Otherwise as [`say_whole`].
pub fn say(text: &str) {
    say_whole(&prose::wrapped(text, width(&io::stdout())));
}

/// Writes to standard output, control characters as [`harmless`] has them. [`unwritten`] says whether a write failed.
pub fn say_whole(text: &str) {
    let mut out = io::stdout().lock();
    note(out.write_all(harmless(text).as_bytes()).and_then(|()| out.flush()));
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

/// The largest number of a folder's entries that a message names.
const NAMED: usize = 3;

/// The script that completes the commands and options of this program in a shell.
pub fn completions(mut command: Command, shell: Shell) -> String {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, &name, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    if shell != Shell::Bash {
        return script;
    }
    // clap_complete finds a command under `epm__lab__subcmd__up`, and looks it up under `epm__subcmd__lab__subcmd__up`.
    script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"))
}

/// Adds these exit codes to the help of every command that does not name its own.
pub fn with_exit_codes(mut command: Command, codes: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    for name in &names {
        command = command.mut_subcommand(name, |one| with_exit_codes(one, codes));
    }
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if help.contains("xit code") {
        return command.after_help(with_whole_lines(&help));
    }
    if !names.is_empty() {
        return command;
    }
    let between = if help.is_empty() { "" } else { "\n\n" };
    command.after_help(format!("{help}{between}{codes}"))
}

/// The text with each paragraph about exit codes in one line, which clap wraps at the terminal's width.
fn with_whole_lines(help: &str) -> String {
    let whole = |paragraph: &str| match paragraph.starts_with("Exit code") {
        true => paragraph.lines().collect::<Vec<_>>().join(" "),
        false => paragraph.to_owned(),
    };
    help.split("\n\n").map(whole).collect::<Vec<_>>().join("\n\n")
}

/// The reason not to write into a folder: it has entries which are not the program's own; none if it does not exist, is no
/// folder, or has no other entries. `is_own` says of a name whether it is.
pub fn foreign(folder: &Path, is_own: impl Fn(&str) -> bool) -> Option<String> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return None,
        Err(error) => return Some(format!("cannot read the folder {}: {error}", folder.display())),
    };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name != "lost+found" && !is_own(name)).collect();
    names.sort();
    let shown = names.iter().take(NAMED).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    let more = if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
    (!names.is_empty()).then(|| format!("the folder {} has other files: {shown}{more}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_other_files_is_foreign_and_an_absent_or_empty_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let ours = |name: &str| name == "ours";
        assert_eq!(foreign(&folder.path().join("absent"), ours), None);
        assert_eq!(foreign(folder.path(), ours), None);
        std::fs::write(folder.path().join("ours"), "").unwrap();
        assert_eq!(foreign(folder.path(), ours), None);
        std::fs::write(folder.path().join("letter.txt"), "").unwrap();
        assert!(foreign(folder.path(), ours).unwrap().ends_with("has other files: \"letter.txt\""));
    }
}
