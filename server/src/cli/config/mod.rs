//! `epm-lab config`: which options of `epm-lab up` are in force and whence, and the schema of the configuration file.
//!
//! Each option is declared once, in `cli/up.rs` and `cli/up_plan.rs`. Its key, its environment variable, its line of `config show`
//! and its property in the schema come from that.

mod file;
pub(super) mod in_force;

use clap::{Command, Subcommand};
use serde_json::{Map, Value, json};

use crate::cli::io::{Ending, Failure, say, say_json};
use crate::cli::table::Table;
use crate::cli::up::Up;
use file::{Form, form, keys};
pub(crate) use in_force::{InForce, Source};
pub(super) use in_force::{Unreadable, given};

/// Commands on the configuration of `epm-lab up`.
#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Print each option of `epm-lab up` as it is in force, and where it comes from; takes the options of `up`
    #[command(after_help = "\
Examples:
  epm-lab config show
  epm-lab config show --config lab/epm-lab.toml --json

A secret is not printed, only where it comes from.
Exit codes: 0 success; 2 the file, a variable or an option is wrong.")]
    Show {
        #[command(flatten)]
        up: Box<Up>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of the configuration file
    #[command(after_help = "Example:\n  epm-lab config schema > epm-lab.schema.json")]
    Schema,
}

impl Config {
    pub(super) fn go(self, options: &[InForce], program: &Command) -> Result<Ending, Failure> {
        match self {
            Self::Show { up: _, json } if json => say_json(options)?,
            Self::Show { .. } => say(&shown(options)),
            Self::Schema => say_json(&schema(program))?,
        }
        Ok(Ending::Well)
    }
}

fn shown(options: &[InForce]) -> String {
    let mut table = Table::new(&["option", "value", "from"]);
    for option in options {
        let value = match &option.value {
            Value::Null if option.secret && option.source != Source::Default => "(secret)".to_owned(),
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            other => other.to_string(),
        };
        let from = match &option.source {
            Source::Flag => "flag".to_owned(),
            Source::Environment { variable } => format!("environment {variable}"),
            Source::File { file, line } => format!("{file}:{line}"),
            Source::Default => "default".to_owned(),
        };
        table.add_row(vec![option.name.clone(), value, from]);
    }
    format!("{table}\n-: none, or a default that depends on other options, as `epm-lab up --help` says.\n")
}

/// The JSON Schema of the configuration file.
pub(super) fn schema(program: &Command) -> Value {
    let mut program = program.clone();
    program.build();
    let properties: Map<String, Value> = match program.find_subcommand("up") {
        Some(up) => keys(up).map(|option| (option.get_id().to_string(), property(option))).collect(),
        None => Map::new(),
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.invalid/epm-lab/config.schema.json",
        "title": "Config",
        "description": "Options of `epm-lab up`, as epm-lab.toml has them. Files and folders are relative to its own folder.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn property(option: &clap::Arg) -> Value {
    let mut property = match form(option) {
        Form::Flag => json!({ "type": "boolean" }),
        Form::Number => json!({ "type": "integer", "minimum": 0 }),
        Form::Text | Form::Path => json!({ "type": "string" }),
        Form::List => json!({ "type": "array", "items": { "type": "string" } }),
        Form::Table => json!({ "type": "object" }),
    };
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    property["description"] = help.into();
    let words: Vec<String> =
        option.get_possible_values().iter().map(|one| one.get_name().to_owned()).collect();
    if !words.is_empty() && form(option) == Form::Text {
        property["enum"] = words.into();
    }
    let default = option.get_default_values().first().map(|one| one.to_string_lossy().into_owned());
    match (form(option), default) {
        (Form::Number, Some(number)) => {
            property["default"] = number.parse::<u64>().unwrap_or_default().into();
        }
        (Form::Text, Some(text)) => property["default"] = text.into(),
        (Form::Flag, _) => property["default"] = false.into(),
        _ => {}
    }
    property
}
