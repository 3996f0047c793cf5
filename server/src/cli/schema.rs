//! `epm-lab schema`: the JSON Schema of what a command prints with `--json`.
//!
//! Commands on a running lab print what the control API returns; their schemas are those of its description.

use std::collections::BTreeSet;

use clap::Args;
use epm_client_agent::scenario;
use epm_protocol::suggest::hint;
use schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value, json};

use crate::cli::config::InForce;
use crate::cli::io::{Ending, Failure, say, say_json};
use crate::cli::labs::LabFacts;
use crate::cli::recovery::RecoveryFacts;
use crate::cli::scenario::Checked;
use crate::cli::sylink::{Checks, Difference};
use crate::control_api;
use crate::lab_export::Manifest;

/// Commands that print what an operation of the control API returns, and the operation.
const OPERATIONS: &[(&str, &str)] = &[
    ("assumptions", "assumptions"),
    ("baseline list", "baselines"),
    ("baseline show", "baseline"),
    ("baseline take", "takeBaseline"),
    ("client list", "clients"),
    ("client show", "client"),
    ("clock advance", "advanceClock"),
    ("clock freeze", "setClock"),
    ("clock set", "setClock"),
    ("clock show", "clock"),
    ("fault kinds", "faultKinds"),
    ("fault list", "faults"),
    ("list list", "lists"),
    ("list show", "list"),
    ("snapshot list", "snapshots"),
    ("snapshot take", "takeSnapshot"),
];

/// Makes the schema of a form.
type Describe = fn() -> Value;

/// Commands with a form of their own.
const OWN: &[(&str, Describe)] = &[
    ("config show", of::<Vec<InForce>>),
    ("lab export", of::<Manifest>),
    ("lab import", of::<Manifest>),
    ("lab ls", of::<Vec<LabFacts>>),
    ("recovery save", of::<RecoveryFacts>),
    ("recovery show", of::<RecoveryFacts>),
    ("scenario", scenario::schema),
    ("scenario check", of::<Checked>),
    ("sylink check", of::<Vec<Checks>>),
    ("sylink diff", of::<Vec<Difference>>),
];

/// Prints the JSON Schema of what a command prints with `--json`; without a command, the commands that have one
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab schema
  epm-lab schema client list > clients.schema.json
  epm-lab schema scenario > scenario.schema.json

`scenario` is the schema of scenario files.")]
pub(super) struct Schema {
    /// Command, without `epm-lab`
    command: Vec<String>,
}

impl Schema {
    pub(super) fn go(self) -> Result<Ending, Failure> {
        let mut names: Vec<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
        names.extend(OWN.iter().map(|(name, _)| *name));
        names.sort_unstable();
        if self.command.is_empty() {
            say(&format!("{}\n", names.join("\n")));
            return Ok(Ending::Well);
        }
        let name = self.command.join(" ");
        let own = OWN.iter().find(|(known, _)| *known == name).map(|(_, schema)| schema());
        let operation = OPERATIONS.iter().find(|(known, _)| *known == name);
        let Some(schema) = own.or_else(|| described(operation?.1)) else {
            let hint = hint(&name, names);
            return Err(Failure::BadInput(format!(
                "no schema for {name:?}{hint}; `epm-lab schema` lists the commands that have one"
            )));
        };
        say_json(&schema)?;
        Ok(Ending::Well)
    }
}

fn of<T: JsonSchema>() -> Value {
    schema_for!(T).to_value()
}

/// The schema of what an operation of the control API returns.
fn described(operation: &str) -> Option<Value> {
    let document = serde_json::to_value(control_api::openapi()).ok()?;
    let mut operations =
        document["paths"].as_object()?.values().filter_map(Value::as_object).flat_map(Map::values);
    let found = operations.find(|one| one["operationId"] == operation)?;
    let mut schema = found.pointer("/responses/200/content/application~1json/schema")?.clone();
    let mut needed = BTreeSet::new();
    collect(&document, &schema, &mut needed);
    let definitions: Map<String, Value> = needed
        .into_iter()
        .map(|name| {
            let mut definition = document["components"]["schemas"][&name].clone();
            relocate(&mut definition);
            (name, definition)
        })
        .collect();
    relocate(&mut schema);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    if !definitions.is_empty() {
        let own = schema.get("$defs").cloned().unwrap_or_else(|| json!({}));
        let own = own.as_object().cloned().unwrap_or_default();
        schema["$defs"] = own.into_iter().chain(definitions).collect::<Map<_, _>>().into();
    }
    Some(schema)
}

/// Where the description of the control API has its schemas.
const COMPONENTS: &str = "#/components/schemas/";

/// Collects the names of the schemas that a schema refers to, directly or not.
fn collect(document: &Value, schema: &Value, needed: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let name =
                fields.get("$ref").and_then(Value::as_str).and_then(|one| one.strip_prefix(COMPONENTS));
            if let Some(name) = name.filter(|name| needed.insert((*name).to_owned())) {
                collect(document, &document["components"]["schemas"][name], needed);
            }
            fields.values().for_each(|one| collect(document, one, needed));
        }
        Value::Array(items) => items.iter().for_each(|one| collect(document, one, needed)),
        _ => {}
    }
}

/// Lets references lead to the definitions of the schema itself.
fn relocate(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "$ref" => *text = text.replace(COMPONENTS, "#/$defs/"),
                    other => relocate(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(relocate),
        _ => {}
    }
}
