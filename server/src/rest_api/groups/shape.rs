//! The types of settings that the lab stores and returns without acting on them, as the vendor's description has them.
//! What a caller sends is checked here, so that no answer has a value of another type.
//!
//! `stored_settings.json` has the names, types and ranges of that description, without those that public records
//! contradict.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::rest_api::http::ApiError;

static SCHEMAS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("stored_settings.json")).unwrap_or_default());

/// Checks settings against the schema of this name. The place of a setting in an error begins with `place`.
///
/// # Errors
///
/// The first setting of another type.
pub(super) fn check(schema: &str, place: &str, settings: &Map<String, Value>) -> Result<(), ApiError> {
    fields(&SCHEMAS[schema], place, settings)
}

/// Checks the fields that the schema names; others may have any value.
fn fields(schema: &Value, place: &str, found: &Map<String, Value>) -> Result<(), ApiError> {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|name| !found.contains_key(*name)) {
        return Err(ApiError::Invalid(format!("The field {place}{missing} is missing.")));
    }
    for (name, value) in found {
        if let Some(schema) = schema["properties"].get(name) {
            check_value(schema, &format!("{place}{name}"), value)?;
        }
    }
    Ok(())
}

fn check_value(schema: &Value, place: &str, value: &Value) -> Result<(), ApiError> {
    if value.is_null() && schema["nullable"] == true {
        return Ok(());
    }
    if let Some(name) = schema["$ref"].as_str() {
        return match value {
            Value::Object(found) => fields(&SCHEMAS[name], &format!("{place}."), found),
            _ => Err(wrong(place, "an object")),
        };
    }
    let within = |least: &str, most: &str, found: i64| {
        let limit = |name: &str, otherwise: i64| schema[name].as_i64().unwrap_or(otherwise);
        let default = if schema["type"] == "integer" { i64::from(i32::MIN) } else { 0 };
        limit(least, default) <= found && found <= limit(most, i64::MAX)
    };
    let is_right = match (schema["type"].as_str().unwrap_or_default(), value) {
        ("boolean", Value::Bool(_)) | ("object", Value::Object(_)) => true,
        ("integer", Value::Number(found)) => {
            found.as_i64().is_some_and(|found| within("minimum", "maximum", found))
        }
        ("string", Value::String(found)) => {
            let length = i64::try_from(found.chars().count()).unwrap_or(i64::MAX);
            let is_listed = schema["enum"].as_array().is_none_or(|known| known.contains(value));
            within("minLength", "maxLength", length) && is_listed && is_hexadecimal(schema, found)
        }
        ("array", Value::Array(values)) => {
            return values.iter().try_for_each(|value| check_value(&schema["items"], place, value));
        }
        _ => false,
    };
    if is_right { Ok(()) } else { Err(wrong(place, &expected(schema))) }
}

/// Whether a text fits its pattern; all patterns are of hexadecimal digits, in certain lengths or in any.
fn is_hexadecimal(schema: &Value, found: &str) -> bool {
    let Some(pattern) = schema["pattern"].as_str() else { return true };
    let has_lengths = pattern.contains('{');
    found.bytes().all(|byte| byte.is_ascii_hexdigit())
        && (!has_lengths || pattern.contains(&format!("{{{}}}", found.len())))
}

/// What a schema expects, in words.
fn expected(schema: &Value) -> String {
    let range = |least: &str, most: &str, of: &str| match (&schema[least], &schema[most]) {
        (Value::Null, Value::Null) => String::new(),
        (least, Value::Null) => format!(" of {least}{of} or more"),
        (Value::Null, most) => format!(" of at most {most}{of}"),
        (least, most) => format!(" from {least} to {most}{of}"),
    };
    match schema["type"].as_str().unwrap_or_default() {
        "boolean" => "true or false".to_owned(),
        "integer" => format!("a whole number{}", range("minimum", "maximum", "")),
        "string" if schema["pattern"].is_string() => "hexadecimal digits".to_owned(),
        "string" => match schema["enum"].as_array() {
            Some(known) => {
                let known: Vec<&str> = known.iter().filter_map(Value::as_str).collect();
                format!("one of {}", known.join(", "))
            }
            None => format!("a text{}", range("minLength", "maxLength", " characters")),
        },
        "array" => "a list".to_owned(),
        _ => "an object".to_owned(),
    }
}

fn wrong(place: &str, expected: &str) -> ApiError {
    ApiError::Invalid(format!("The field {place} has a wrong value; expected {expected}."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(schema: &str, settings: &Value) -> String {
        check(schema, "", settings.as_object().unwrap())
            .map_or_else(|error| format!("{error:?}"), |()| String::new())
    }

    #[test]
    fn settings_of_the_documented_types_are_taken_and_others_are_refused_at_their_place() {
        for (schema, right) in [
            (
                "ExternalCommunicationSettings",
                json!({ "insight": null, "other": 7, "proxy": { "http_port": 8080 } }),
            ),
            ("ClientLog", json!({ "max_upload": 500, "system_upload": true })),
            ("ExceptionsConfiguration", json!({ "files": [{ "path": "a", "pathvariable": "[SYSTEM]" }] })),
            (
                "ExceptionsConfiguration",
                json!({ "denylistrules": [{ "action": "BLOCK", "processfile": { "sha2": "0A".repeat(32) } }] }),
            ),
        ] {
            assert_eq!(refused(schema, &right), "", "{right}");
        }
        for (schema, wrong, words) in [
            (
                "ExternalCommunicationSettings",
                json!({ "proxy": { "http_host": 0 } }),
                "proxy.http_host has a wrong value; expected a text",
            ),
            (
                "ExternalCommunicationSettings",
                json!({ "privatecloud": { "groups": [null] } }),
                "privatecloud.groups",
            ),
            (
                "ExternalCommunicationSettings",
                json!({ "proxy": { "http_domain": "" } }),
                "from 1 to 15 characters",
            ),
            ("ClientLog", json!({ "max_upload": 501 }), "a whole number from 1 to 500"),
            ("ClientLog", json!({ "max_upload": 1.5 }), "max_upload"),
            ("ExceptionsConfiguration", json!({ "files": {} }), "files has a wrong value; expected a list"),
            (
                "ExceptionsConfiguration",
                json!({ "files": [{ "path": "a" }] }),
                "files.pathvariable is missing",
            ),
            (
                "ExceptionsConfiguration",
                json!({ "denylistrules": [{ "action": "SHOUT", "processfile": null }] }),
                "one of BLOCK",
            ),
            (
                "ExceptionsConfiguration",
                json!({ "denylistrules": [{ "action": "BLOCK", "processfile": { "sha2": "0A" } }] }),
                "hexadecimal",
            ),
        ] {
            assert!(refused(schema, &wrong).contains(words), "{wrong}: {}", refused(schema, &wrong));
        }
    }
}
