//! Checks JSON against the schemas that `epm-lab schema` prints. It knows the keywords that they have, and refuses others, so
//! that nothing counts as checked that is not.

use std::collections::HashMap;
use std::process::Output;
use std::sync::OnceLock;

use epm_fixtures::{output, root};
use parking_lot::Mutex;
use serde_json::Value;

/// Keywords that say nothing about a value.
const NOTES: &[&str] = &[
    "$schema",
    "$id",
    "$defs",
    "$ref",
    "title",
    "description",
    "default",
    "format",
    "examples",
    "example",
    "deprecated",
];

/// Checks what a run printed, if it was asked for JSON and its command has a schema.
#[track_caller]
pub(crate) fn check_output(arguments: &[&str], output: &Output) {
    if !arguments.contains(&"--json") || output.stdout.is_empty() {
        return;
    }
    let Some((command, schema)) = schema_of(arguments) else { return };
    let value: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    if let Err(problem) = check(&schema, &schema, &value, "") {
        panic!("{arguments:?}: not as `epm-lab schema {command}` says: {problem}\n{value:#}");
    }
}

/// Checks that each line is a JSON document as `epm-lab schema` says of this command, and returns them.
#[track_caller]
pub(crate) fn check_lines(command: &[&str], text: &str) -> Vec<Value> {
    let (command, schema) = schema_of(command).expect("the command has a schema");
    let mut lines = Vec::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        if let Err(problem) = check(&schema, &schema, &value, "") {
            panic!("not as `epm-lab schema {command}` says: {problem}\n{line}");
        }
        lines.push(value);
    }
    lines
}

/// The schema of the command in these arguments.
fn schema_of(arguments: &[&str]) -> Option<(String, Value)> {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    static SCHEMAS: OnceLock<Mutex<HashMap<String, Value>>> = OnceLock::new();
    let ask = |words: &[&str]| {
        let mut ask = std::process::Command::new(env!("CARGO_BIN_EXE_epm-lab"));
        let found = output(ask.arg("schema").args(words).current_dir(root()));
        assert!(found.status.success(), "{words:?}: {}", String::from_utf8_lossy(&found.stderr));
        String::from_utf8(found.stdout).unwrap()
    };
    let names = NAMES.get_or_init(|| ask(&[]).lines().map(str::to_owned).collect());
    let words: Vec<&str> = arguments.iter().copied().take_while(|word| !word.starts_with('-')).collect();
    let command =
        (1..=words.len()).rev().map(|count| words[..count].join(" ")).find(|one| names.contains(one))?;
    let schemas = SCHEMAS.get_or_init(Mutex::default);
    let known = schemas.lock().get(&command).cloned();
    let schema = known.unwrap_or_else(|| {
        let schema: Value = serde_json::from_str(&ask(&command.split(' ').collect::<Vec<_>>())).unwrap();
        schemas.lock().insert(command.clone(), schema.clone());
        schema
    });
    Some((command, schema))
}

/// Checks a value; the error says where it differs, and how.
fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let fields = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Object(fields) => fields,
        _ => return Err(format!("{at}: nothing is allowed here")),
    };
    if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
        let target = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        check(root, target.ok_or_else(|| format!("{at}: {} leads nowhere", fields["$ref"]))?, value, at)?;
    }
    let list = |keyword: &str| fields[keyword].as_array().cloned().unwrap_or_default();
    let passing =
        |keyword: &str| list(keyword).iter().filter(|one| check(root, one, value, at).is_ok()).count();
    for (keyword, says) in fields {
        let holds = match keyword.as_str() {
            "type" => match says {
                Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
                kind => is(kind, value),
            },
            "enum" => list("enum").contains(value),
            "const" => says == value,
            "oneOf" => passing("oneOf") == 1,
            "anyOf" => passing("anyOf") > 0,
            "allOf" => passing("allOf") == list("allOf").len(),
            "minimum" => value.as_f64().is_none_or(|it| it >= says.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|it| it <= says.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|it| it.len() as u64 >= says.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|it| it.len() as u64 <= says.as_u64().unwrap()),
            "minLength" => {
                value.as_str().is_none_or(|it| it.chars().count() as u64 >= says.as_u64().unwrap())
            }
            // The patterns are those of types whose values the program writes itself.
            "pattern" | "uniqueItems" => true,
            "required" => value
                .as_object()
                .is_none_or(|it| list("required").iter().all(|key| it.contains_key(key.as_str().unwrap()))),
            "items" => {
                let skipped = fields.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                for (number, item) in value.as_array().into_iter().flatten().enumerate().skip(skipped) {
                    check(root, says, item, &format!("{at}/{number}"))?;
                }
                true
            }
            "prefixItems" => {
                for (number, (item, says)) in
                    value.as_array().into_iter().flatten().zip(list("prefixItems")).enumerate()
                {
                    check(root, &says, item, &format!("{at}/{number}"))?;
                }
                true
            }
            "properties" => {
                for (key, says) in says.as_object().unwrap() {
                    if let Some(found) = value.get(key) {
                        check(root, says, found, &format!("{at}/{key}"))?;
                    }
                }
                true
            }
            "additionalProperties" | "unevaluatedProperties" => {
                let known = fields.get("properties").and_then(Value::as_object);
                for (key, found) in value.as_object().into_iter().flatten() {
                    if !known.is_some_and(|known| known.contains_key(key)) {
                        check(root, says, found, &format!("{at}/{key}"))?;
                    }
                }
                true
            }
            note if NOTES.contains(&note) => true,
            other => panic!("{at}: the keyword {other:?} is not checked: teach it to {}", file!()),
        };
        if !holds {
            return Err(format!("{at}: {keyword}: expected {says}, found {value}"));
        }
    }
    Ok(())
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no such type: {other}"),
    }
}

#[test]
fn what_local_commands_print_as_json_is_as_their_schemas_say() {
    let sylink = ["fixtures/sylink/exported.xml", "fixtures/sylink/hand-edited.xml"];
    for (arguments, code) in [
        (&["sylink", "diff", sylink[0], sylink[1], "--json"][..], 1),
        (&["sylink", "check", sylink[0], sylink[1], "--json"], 0),
        (&["scenario", "check", "fixtures/scenarios/single-manager.toml", "--json"], 0),
        (&["config", "show", "--json"], 0),
        (&["assumptions", "--json"], 0),
        (&["fault", "kinds", "--json"], 0),
    ] {
        assert!(schema_of(arguments).is_some(), "{arguments:?}");
        let found = crate::harness::run(arguments);
        assert_eq!(found.status.code(), Some(code), "{arguments:?}");
        assert!(!found.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_value_that_is_not_as_its_schema_says_is_found_with_its_place() {
    let (command, schema) = schema_of(&["clock", "show", "--json"]).unwrap();
    assert_eq!(command, "clock show");
    let wrong = check(&schema, &schema, &serde_json::json!({ "speed": "fast" }), "").unwrap_err();
    assert!(wrong.contains("speed") || wrong.contains("required"), "{wrong}");
    let (_, schema) = schema_of(&["sylink", "diff"]).unwrap();
    let fine = serde_json::json!([{ "what": "a", "before": "b", "after": "c" }]);
    assert_eq!(check(&schema, &schema, &fine, ""), Ok(()));
    let wrong = serde_json::json!([{ "what": 1, "before": "b", "after": "c" }]);
    assert!(check(&schema, &schema, &wrong, "").unwrap_err().starts_with("/0/what: type"));
}
