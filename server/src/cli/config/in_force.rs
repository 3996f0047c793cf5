//! Which options of `epm-lab up` are in force, and whence: the command line, the environment, a configuration file or a default.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::file::{Form, Setting, form, keys, read};
use crate::cli::io::Failure;

/// The configuration file without `--config`.
const FILE: &str = "epm-lab.toml";
/// The commands that read a configuration file.
const READERS: &[&[&str]] = &[&["up"], &["config", "show"]];

/// Where the value of an option comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Source {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment {
        /// Name of the variable.
        variable: String,
    },
    /// A configuration file.
    File {
        /// Path of the file.
        file: String,
        /// Line of the file, from 1.
        line: usize,
    },
    /// No source sets the option: its default is in force.
    Default,
}

/// An option of `epm-lab up` with the value that is in force.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct InForce {
    /// Name of the option, as it is a key of the configuration file.
    pub(crate) name: String,
    /// The value; null if there is none, or it depends on other options, or is a secret.
    pub(crate) value: Value,
    /// Whether the value is a secret, which is not printed.
    pub(crate) secret: bool,
    /// Where the value comes from.
    pub(crate) source: Source,
}

/// Where options that were not given on the command line come from, in a line of text; empty if there are none.
pub(crate) fn elsewhere(options: &[InForce]) -> String {
    let mut places: Vec<String> = Vec::new();
    for option in options {
        let place = match &option.source {
            Source::File { file, .. } => file.clone(),
            Source::Environment { variable } => variable.clone(),
            Source::Flag | Source::Default => continue,
        };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    if places.is_empty() { String::new() } else { format!("Options are also from {}.\n", places.join(", ")) }
}

/// The arguments of a program that reads a configuration file.
pub(crate) struct Given {
    pub(crate) matches: ArgMatches,
    pub(crate) options: Vec<InForce>,
}

/// Why the arguments cannot be read.
pub(crate) enum Unreadable {
    /// The command line is wrong, or help was asked for.
    Arguments(clap::Error),
    /// The configuration file is wrong.
    File(Failure),
}

/// Reads the arguments, with a configuration file where the command reads one.
pub(crate) fn given(mut command: Command, arguments: &[OsString]) -> Result<Given, Unreadable> {
    // What is wrong with the arguments is said once the file has been read: one can lack what the other has.
    let first = command.clone().ignore_errors(true).try_get_matches_from(arguments);
    let found = first.ok().and_then(|first| {
        let path = READERS.iter().find(|path| below(&first, path).is_some())?;
        Some((below(&first, path)?.clone(), *path))
    });
    let Some((first, path)) = found else {
        let matches = command.try_get_matches_from(arguments).map_err(Unreadable::Arguments)?;
        return Ok(Given { matches, options: Vec::new() });
    };
    command.build();
    let reader = path.iter().fold(&command, |command, name| command.find_subcommand(name).unwrap_or(command));
    let file = first.get_one::<PathBuf>("config").cloned();
    let file = file.or_else(|| Some(PathBuf::from(FILE)).filter(|file| file.exists()));
    let settings = match &file {
        Some(file) => read(file, reader).map_err(Unreadable::File)?,
        None => Vec::new(),
    };
    let settings = unless_given(reader, &first, settings);
    let mut all = arguments.to_vec();
    let end = all.iter().position(|one| one == "--").unwrap_or(all.len());
    all.splice(end..end, settings.iter().flat_map(|one| words(reader, one)));
    let reader = reader.clone();
    let matches = command
        .try_get_matches_from(all)
        .map_err(|error| Unreadable::Arguments(told(error, file.as_deref(), &settings)))?;
    let lines = settings.into_iter().map(|one| (one.id, one.line)).collect();
    let file = file.map(|file| file.display().to_string()).unwrap_or_default();
    let options = match below(&matches, path) {
        Some(found) => keys(&reader).map(|option| in_force(option, found, &lines, &file)).collect(),
        None => Vec::new(),
    };
    Ok(Given { matches, options })
}

/// Says which file has options too, in an error that can be about them.
fn told(mut error: clap::Error, file: Option<&Path>, settings: &[Setting]) -> clap::Error {
    use clap::error::{ContextKind, ContextValue};
    if let Some(file) = file.filter(|_| !settings.is_empty() && error.use_stderr()) {
        let note = format!("options were also read from {}", file.display());
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![note.into()]));
    }
    error
}

/// The arguments of a command below this one, if it is the one that was given.
fn below<'a>(matches: &'a ArgMatches, path: &[&str]) -> Option<&'a ArgMatches> {
    path.iter().try_fold(matches, |matches, name| matches.subcommand_matches(name))
}

/// The settings of a file that count: neither they nor what excludes them is given by an argument or the environment.
fn unless_given(reader: &Command, first: &ArgMatches, settings: Vec<Setting>) -> Vec<Setting> {
    let is_given = |option: &Arg| {
        let source = first.value_source(option.get_id().as_str());
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let given: Vec<&Arg> = reader.get_arguments().filter(|option| is_given(option)).collect();
    let excludes = |one: &Arg, other: &Arg| {
        reader.get_arg_conflicts_with(one).iter().any(|it| it.get_id() == other.get_id())
    };
    let counts = |setting: &Setting| {
        let option = reader.get_arguments().find(|option| option.get_id().as_str() == setting.id);
        option.is_some_and(|option| {
            !given
                .iter()
                .any(|one| one.get_id() == option.get_id() || excludes(one, option) || excludes(option, one))
        })
    };
    settings.into_iter().filter(counts).collect()
}

/// A setting as it would be on the command line.
fn words(reader: &Command, setting: &Setting) -> Vec<OsString> {
    let option = reader.get_arguments().find(|option| option.get_id().as_str() == setting.id);
    match option.and_then(Arg::get_long) {
        None => setting.values.iter().map(OsString::from).collect(),
        Some(long) if option.is_some_and(|option| form(option) == Form::Flag) => {
            vec![format!("--{long}").into()]
        }
        Some(long) => setting.values.iter().map(|value| format!("--{long}={value}").into()).collect(),
    }
}

fn in_force(option: &Arg, found: &ArgMatches, lines: &BTreeMap<String, usize>, file: &str) -> InForce {
    let id = option.get_id().as_str();
    let source = match (found.value_source(id), lines.get(id)) {
        (Some(ValueSource::CommandLine), Some(line)) => Source::File { file: file.to_owned(), line: *line },
        (Some(ValueSource::CommandLine), None) => Source::Flag,
        (Some(ValueSource::EnvVariable), _) => {
            let variable = option.get_env().unwrap_or_default().to_string_lossy().into_owned();
            Source::Environment { variable }
        }
        _ => Source::Default,
    };
    let raw = found.get_raw(id).into_iter().flatten();
    let mut values: Vec<String> = raw.map(|one| one.to_string_lossy().into_owned()).collect();
    let secret = option.is_hide_env_values_set();
    let value = match (form(option), values.pop()) {
        _ if secret => Value::Null,
        (_, None) => Value::Null,
        (Form::Flag, Some(_)) => found.get_flag(id).into(),
        (Form::Number, Some(one)) => one.parse::<u64>().map_or(Value::String(one), Value::from),
        (Form::List | Form::Table, Some(last)) => {
            values.push(last);
            values.into()
        }
        (Form::Text | Form::Path, Some(one)) => one.into(),
    };
    InForce { name: id.to_owned(), value, secret, source }
}
