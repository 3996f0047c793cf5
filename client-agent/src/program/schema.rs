//! What `schema` prints, which both programs have: the commands whose output has a JSON Schema, or the schema of one.

use epm_protocol::suggest::hint;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// Makes the JSON Schema of an output.
pub type Describe = fn() -> Value;

/// The JSON Schema of what a type is written as.
pub fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of one of these commands, indented; their names, one on a line, if none is asked for.
///
/// # Errors
///
/// When no command of this name has a schema.
pub fn schema_text<'a>(
    command: &[String],
    names: impl IntoIterator<Item = &'a str>,
    describe: impl FnOnce(&str) -> Option<Value>,
) -> Result<String, String> {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    if command.is_empty() {
        return Ok(format!("{}\n", names.join("\n")));
    }
    let name = command.join(" ");
    match describe(&name) {
        Some(schema) => Ok(format!("{schema:#}\n")),
        None => {
            let hint = hint(&name, names);
            Err(format!("no schema for {name:?}{hint}; `schema` alone lists the commands that have one"))
        }
    }
}
