//! Reads a configuration file: TOML with the options of `epm-lab up` as keys. Errors name line and column.

use std::any::TypeId;
use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};
use epm_client_agent::scenario::ScenarioError;
use epm_protocol::assumption::Assumptions;
use epm_protocol::suggest::hint;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::io::{Failure, read_text};

/// Options that have no key: they concern one run, or the file itself.
const NOT_KEYS: &[&str] = &["config", "help", "json", "verbose", "version"];

/// What a value of an option is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Flag,
    Number,
    Text,
    /// A file or folder, relative to the folder of the configuration file.
    Path,
    /// An array of strings, of an option that can be repeated.
    List,
    /// Several pairs of a name and a value.
    Table,
}

/// An option as a configuration file sets it.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// Name of the option.
    pub(super) id: String,
    /// Values of the option as the command line has them. A flag that is set has none.
    pub(super) values: Vec<String>,
    /// The line of the file.
    pub(super) line: usize,
}

/// The options of `epm-lab up` that have a key, in the order of the help.
pub(super) fn keys(up: &Command) -> impl Iterator<Item = &Arg> {
    up.get_arguments().filter(|one| !NOT_KEYS.contains(&one.get_id().as_str()))
}

/// The form of an option's value.
pub(super) fn form(option: &Arg) -> Form {
    let is = |one: TypeId| option.get_value_parser().type_id() == one;
    let is_pair =
        option.get_value_names().is_some_and(|names| names.iter().any(|name| *name == "NAME=VALUE"));
    match option.get_action() {
        ArgAction::SetTrue => Form::Flag,
        ArgAction::Append if is_pair => Form::Table,
        ArgAction::Append => Form::List,
        _ if is(TypeId::of::<u16>()) || is(TypeId::of::<u32>()) || is(TypeId::of::<u64>()) => Form::Number,
        _ if is(TypeId::of::<PathBuf>()) => Form::Path,
        _ => Form::Text,
    }
}

/// Reads the options in a file.
pub(super) fn read(file: &Path, up: &Command) -> Result<Vec<Setting>, Failure> {
    let text = read_text(file)?;
    let name = file.display().to_string();
    let bad = |error: ScenarioError| Failure::BadInput(error.to_string());
    let table = DeTable::parse(&text).map_err(|error| bad(ScenarioError::of(&error, &text, &name)))?;
    let reader = Reader { text: &text, folder: file.parent().unwrap_or(Path::new("")) };
    let mut settings = Vec::new();
    for (key, value) in table.get_ref() {
        let at = |span, problem: String| bad(ScenarioError::at(&name, &text, span, problem));
        let id: &str = key.get_ref();
        let Some(option) = keys(up).find(|one| one.get_id().as_str() == id) else {
            let hint = hint(id, keys(up).map(|one| one.get_id().as_str()));
            let problem = format!("unknown option {id:?}{hint}; `epm-lab config schema` lists all");
            return Err(at(key.span(), problem));
        };
        let values = reader.values(option, value).map_err(|(span, problem)| at(span, problem))?;
        if let Some(values) = values {
            let line = ScenarioError::at(&name, &text, key.span(), "").line;
            settings.push(Setting { id: id.to_owned(), values, line });
        }
    }
    Ok(settings)
}

/// A problem and where it is.
type Misplaced = (std::ops::Range<usize>, String);

struct Reader<'a> {
    text: &'a str,
    folder: &'a Path,
}

impl Reader<'_> {
    /// The values of an option; none for a flag that is not set.
    fn values(&self, option: &Arg, found: &Spanned<DeValue<'_>>) -> Result<Option<Vec<String>>, Misplaced> {
        let id = option.get_id();
        let expected =
            |what: &str| (found.span(), format!("{id}: expected {what}, found {}", kind(found.get_ref())));
        let values = match (form(option), found.get_ref()) {
            (Form::Flag, DeValue::Boolean(is_set)) => return Ok(is_set.then(Vec::new)),
            (Form::Flag, _) => return Err(expected("true or false")),
            (Form::List, DeValue::Array(all)) => {
                all.iter().map(|one| self.scalar(option, Form::Text, one)).collect::<Result<_, _>>()?
            }
            (Form::List, _) => return Err(expected("an array of strings")),
            (Form::Table, DeValue::Table(all)) => {
                let pair = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                    let span = name.span();
                    let name: &std::borrow::Cow<'_, str> = name.get_ref();
                    let value = match value.get_ref() {
                        DeValue::String(text) => text.to_string(),
                        _ => self.text.get(value.span()).unwrap_or_default().to_owned(),
                    };
                    let is_known = Assumptions::default().set_text(name, &value);
                    is_known.map_err(|error| (span, format!("{id}: {error}")))?;
                    Ok(format!("{name}={value}"))
                };
                all.iter().map(pair).collect::<Result<_, _>>()?
            }
            (Form::Table, _) => return Err(expected("a table of NAME = VALUE")),
            (form, _) => vec![self.scalar(option, form, found)?],
        };
        Ok(Some(values))
    }

    fn scalar(&self, option: &Arg, form: Form, found: &Spanned<DeValue<'_>>) -> Result<String, Misplaced> {
        let id = option.get_id();
        let wrong = |problem: String| (found.span(), format!("{id}: {problem}"));
        let text = match (form, found.get_ref()) {
            (Form::Number, DeValue::Integer(number)) => {
                let number = i128::from_str_radix(number.as_str(), number.radix());
                number.map_err(|error| wrong(error.to_string()))?.to_string()
            }
            (Form::Number, other) => {
                return Err(wrong(format!("expected an integer, found {}", kind(other))));
            }
            (_, DeValue::String(text)) => text.to_string(),
            (_, other) => return Err(wrong(format!("expected a string, found {}", kind(other)))),
        };
        check(option.get_value_parser(), &text).map_err(wrong)?;
        let path = Path::new(&text);
        if form == Form::Path && text != "-" && path.is_relative() && self.folder != Path::new(".") {
            return Ok(self.folder.join(path).display().to_string());
        }
        Ok(text)
    }
}

/// A value in words.
fn kind(value: &DeValue<'_>) -> String {
    let article = if value.is_integer() || value.is_array() { "an" } else { "a" };
    format!("{article} {}", value.type_str())
}

/// Checks a value as the command line does.
fn check(parser: &ValueParser, text: &str) -> Result<(), String> {
    let option = Arg::new("value").long("value").value_parser(parser.clone());
    let command = Command::new("value").no_binary_name(true).disable_help_flag(true).arg(option);
    let Err(error) = command.try_get_matches_from([format!("--value={text}")]) else { return Ok(()) };
    if let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue)
        && !valid.is_empty()
    {
        let hint = hint(text, valid.iter().map(String::as_str));
        return Err(format!("expected one of {}, found {text:?}{hint}", valid.join(", ")));
    }
    let why = std::error::Error::source(&error).map(ToString::to_string);
    Err(why.unwrap_or_else(|| format!("invalid value {text:?}")))
}
