//! `epm-lab schema`: the JSON Schema of what a command prints as JSON.
//!
//! Commands on a running lab print what the control API returns; their schemas are those of its description.

use std::collections::BTreeSet;

use clap::Args;
use epm_client_agent::program::{Describe, schema_of, schema_text};
use epm_client_agent::rehearsal::Outcome;
use epm_client_agent::{catalogue, scenario};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::cli::cert::{CheckedCertificate, Difference as CertificateDifference, FileView, Written};
use crate::cli::config::InForce;
use crate::cli::evidence::EvidenceFile;
use crate::cli::failure::{Listed, Reproduced};
use crate::cli::fault::Explained;
use crate::cli::health::Responds;
use crate::cli::io::{Ending, Failure, say_whole};
use crate::cli::labs::LabFacts;
use crate::cli::recovery::RecoveryFacts;
use crate::cli::rehearse::{SeedsOutcome, SweepOutcome};
use crate::cli::rotate::Rotated;
use crate::cli::run::RunOutcome;
use crate::cli::scenario::{Checked, Recorded};
use crate::cli::site::SiteStatus;
use crate::cli::sylink::{Checks, Difference, Edited, Facts, Packed};
use crate::cli::up_ready::Ready;
use crate::comparison::Comparison;
use crate::control_api;
use crate::lab_export::Manifest;

/// Where the schema of an output comes from.
enum Form {
    /// An operation of the control API returns it.
    Operation(&'static str),
    /// A component of the description of the control API.
    Component(&'static str),
    /// A list of such components.
    ListOf(&'static str),
    /// A type of the command line.
    Own(Describe),
}
use Form::{Component, ListOf, Operation, Own};

/// The outputs, each with the commands that print it. A command in several rows prints one of them, as its options choose.
const OUTPUTS: &[(&[&str], Form)] = &[
    (&["assumptions"], Operation("assumptions")),
    (&["baseline list", "baseline remove"], Operation("baselines")),
    (&["baseline show", "baseline take"], Operation("baseline")),
    (&["cert check"], Own(of::<CheckedCertificate>)),
    (&["cert diff"], Own(of::<Vec<CertificateDifference>>)),
    (&["cert history"], ListOf("Update")),
    (&["cert import", "cert live", "cert renew"], Component("Certificates")),
    (&["cert issue", "cert convert"], Own(of::<Written>)),
    (&["cert live"], ListOf("Certificates")),
    (&["cert show"], Own(of::<FileView>)),
    (&["check"], Operation("find")),
    (&["check"], Operation("ifNow")),
    (&["check"], Operation("verdict")),
    (&["client add", "client resize"], Operation("setPart")),
    (&["client list"], Operation("clients")),
    (
        &[
            "client freeze",
            "client import",
            "client location",
            "client move",
            "client offline",
            "client online",
            "client poke",
            "client reimage",
            "client show",
            "client thaw",
        ],
        Operation("client"),
    ),
    (
        &[
            "clock advance",
            "clock freeze",
            "clock heartbeats",
            "clock hold",
            "clock run",
            "clock set",
            "clock show",
        ],
        Operation("clock"),
    ),
    (&["compare"], Own(of::<Comparison>)),
    (&["config show"], Own(of::<Vec<InForce>>)),
    (&["failure diagnose"], Own(schema_of::<catalogue::Diagnosis>)),
    (&["failure list"], Own(of::<Vec<Listed<'_>>>)),
    (&["failure reproduce"], Own(of::<Reproduced<'_>>)),
    (&["failure show"], Own(catalogue::schema)),
    (&["fault add"], Operation("setFault")),
    (&["fault clear", "fault list", "fault remove"], Operation("faults")),
    (&["fault explain"], Own(of::<Explained>)),
    (&["fault kinds"], Operation("faultKinds")),
    (&["health"], Operation("health")),
    (&["health"], Own(of::<Responds>)),
    (&["journal count"], Operation("countJournal")),
    (&["journal export"], Component("Archive")),
    (&["journal export", "journal tail"], Component("JournalEntry")),
    (&["journal find"], Component("Entries")),
    (&["journal near-misses"], Operation("nearMisses")),
    (&["lab export", "lab import"], Own(of::<Manifest>)),
    (&["lab ls"], Own(of::<Vec<LabFacts>>)),
    (&["lab rm"], Own(of::<LabFacts>)),
    (&["list assign", "list copy", "list edit", "list show"], Operation("list")),
    (&["list list", "list remove"], Operation("lists")),
    (
        &["manager certificate", "manager restart", "manager update", "service restart"],
        Operation("certificate"),
    ),
    (&["manager replication"], Operation("replication")),
    (&["recovery restore"], Operation("restoreManager")),
    (&["recovery save", "recovery show"], Own(of::<RecoveryFacts>)),
    (&["rehearse"], Own(of::<SeedsOutcome>)),
    (&["rehearse"], Own(of::<SweepOutcome<'_>>)),
    (&["rehearse"], Own(schema_of::<Outcome>)),
    (&["rotate multi", "rotate single"], Own(of::<Rotated>)),
    (&["run"], Own(of::<RunOutcome>)),
    (&["scenario"], Own(scenario::schema)),
    (&["scenario check"], Own(of::<Checked>)),
    (&["scenario record"], Own(of::<Recorded>)),
    (&["site manager"], Own(of::<Ready<'_>>)),
    (&["site status"], Own(of::<SiteStatus>)),
    (&["snapshot list", "snapshot remove"], Operation("snapshots")),
    (&["snapshot reset", "snapshot restore"], Operation("restoreSnapshot")),
    (&["snapshot take"], Operation("takeSnapshot")),
    (&["sylink check"], Own(of::<Vec<Checks>>)),
    (&["sylink deploy"], Operation("deployUpdatePackage")),
    (&["sylink diff"], Own(of::<Vec<Difference>>)),
    (&["sylink edit"], Own(of::<Edited>)),
    (&["sylink package"], Own(of::<Packed>)),
    (&["sylink show"], Own(of::<Facts>)),
    (&["evidence"], Own(of::<EvidenceFile>)),
    (&["up", "evidence open"], Own(of::<Ready<'_>>)),
];

/// Print the JSON Schema of what a command prints as JSON; without a command, the commands that have one
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab schema
  epm-lab schema client list > clients.schema.json
  epm-lab schema scenario > scenario.schema.json

`scenario` is the schema of scenario files. `up` and `site manager` print one line of
JSON, `journal tail` and `journal export` a line for each entry; all others print one document,
with --json.")]
pub(super) struct Schema {
    /// Command, without `epm-lab`
    command: Vec<String>,
}

impl Schema {
    pub(super) fn go(self) -> Result<Ending, Failure> {
        let names = OUTPUTS.iter().flat_map(|(commands, _)| commands.iter().copied());
        let text = schema_text(&self.command, names, schema).map_err(Failure::BadInput)?;
        say_whole(&text);
        Ok(Ending::Well)
    }
}

/// The schema of what a command prints.
fn schema(command: &str) -> Option<Value> {
    let forms = OUTPUTS.iter().filter(|(commands, _)| commands.contains(&command)).map(|(_, form)| form);
    let document = serde_json::to_value(control_api::openapi()).ok()?;
    let mut found: Vec<Value> = forms.filter_map(|form| form.schema(&document)).collect();
    if found.len() < 2 {
        return found.pop();
    }
    let mut definitions = Map::new();
    for one in found.iter_mut().filter_map(Value::as_object_mut) {
        one.remove("$schema");
        if let Some(Value::Object(own)) = one.remove("$defs") {
            definitions.extend(own);
        }
    }
    let mut schema = json!({ "$schema": DIALECT, "anyOf": found });
    if !definitions.is_empty() {
        schema["$defs"] = definitions.into();
    }
    Some(schema)
}

impl Form {
    fn schema(&self, document: &Value) -> Option<Value> {
        let schema = match self {
            Own(schema) => return Some(schema()),
            Operation(name) => {
                let paths = document["paths"].as_object()?.values();
                let mut operations = paths.filter_map(Value::as_object).flat_map(Map::values);
                let found = operations.find(|one| one["operationId"] == *name)?;
                found.pointer("/responses/200/content/application~1json/schema")?.clone()
            }
            Component(name) => json!({ "$ref": format!("{COMPONENTS}{name}") }),
            ListOf(name) => {
                json!({ "type": "array", "items": { "$ref": format!("{COMPONENTS}{name}") } })
            }
        };
        Some(complete(document, schema))
    }
}

fn of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>().to_value()
}

/// Adds the components that a schema refers to.
fn complete(document: &Value, mut schema: Value) -> Value {
    let mut needed = BTreeSet::new();
    collect(document, &schema, &mut needed);
    let definitions: Map<String, Value> = needed
        .into_iter()
        .map(|name| {
            let mut definition = document["components"]["schemas"][&name].clone();
            relocate(&mut definition);
            (name, definition)
        })
        .collect();
    relocate(&mut schema);
    schema["$schema"] = DIALECT.into();
    if !definitions.is_empty() {
        let own = schema.get("$defs").cloned().unwrap_or_else(|| json!({}));
        let own = own.as_object().cloned().unwrap_or_default();
        schema["$defs"] = own.into_iter().chain(definitions).collect::<Map<_, _>>().into();
    }
    schema
}

/// The version of JSON Schema.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_output_has_a_schema_and_definitions_of_one_name_are_the_same() {
        let document = serde_json::to_value(control_api::openapi()).unwrap();
        for (commands, form) in OUTPUTS {
            for command in *commands {
                let (one, all) = (form.schema(&document).unwrap(), schema(command).unwrap());
                for (name, definition) in one["$defs"].as_object().into_iter().flatten() {
                    assert_eq!(&all["$defs"][name], definition, "{command}: {name}");
                }
                let mut text = all.to_string();
                for name in all["$defs"].as_object().into_iter().flat_map(Map::keys) {
                    text = text.replace(&format!("\"#/$defs/{name}\""), "");
                }
                assert!(!text.contains("\"$ref\":\"#"), "{command}: a reference leads nowhere: {text}");
            }
        }
    }
}
