//! Values of assumptions: read, and described in words where they are refused. [`crate::assumption`] has the table.

use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a value cannot be assumed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssumeError {
    /// There is no assumption of that name.
    #[error("there is no assumption `{found}`{hint}; `epm-lab assumptions` lists them")]
    Unknown {
        /// The name that was not found.
        found: String,
        /// The nearest known name, in words.
        hint: String,
    },
    /// The value is of another kind, or out of range.
    #[error("invalid value for the assumption {name}: expected {expected}, found {found}")]
    Value {
        /// The name of the assumption.
        name: String,
        /// The value that was found, as JSON.
        found: String,
        /// The accepted values, in words.
        expected: String,
    },
}

/// Whether an assumption takes effect in a running lab at once: the REST API reads its own with every call.
pub(crate) fn is_at_once(name: &str) -> bool {
    name.starts_with("rest_")
}

/// The HTTP statuses that an answer may have.
const STATUSES: std::ops::RangeInclusive<u64> = 200..=599;

fn is_status(name: &str) -> bool {
    name.ends_with("_status")
}

/// Reads the value of an assumption.
///
/// # Errors
///
/// When the value is of another kind, or out of range.
pub(crate) fn read<T: DeserializeOwned + JsonSchema>(name: &str, value: &Value) -> Result<T, AssumeError> {
    let refused = || AssumeError::Value {
        name: name.to_owned(),
        found: value.to_string().chars().take(80).collect(),
        expected: accepted::<T>(name),
    };
    if is_status(name) && value.as_u64().is_none_or(|status| !STATUSES.contains(&status)) {
        return Err(refused());
    }
    serde_json::from_value(value.clone()).map_err(|_| refused())
}

/// The accepted values of a type, in words.
pub(crate) fn accepted<T: JsonSchema>(name: &str) -> String {
    if is_status(name) {
        return format!("an HTTP status from {} to {}", STATUSES.start(), STATUSES.end());
    }
    let schema = T::json_schema(&mut SchemaGenerator::default());
    let words = |list: &Value, of: fn(&Value) -> &Value| {
        let words = list.as_array().into_iter().flatten().filter_map(|one| of(one).as_str());
        words.collect::<Vec<_>>().join(", ")
    };
    if let Some(variants) = schema.get("oneOf") {
        return format!("one of {}", words(variants, |one| &one["const"]));
    }
    if let Some(names) = schema.get("enum") {
        return format!("one of {}", words(names, |one| one));
    }
    if let Some(first) = schema.get("examples").and_then(|examples| examples.get(0)).and_then(Value::as_str) {
        return format!("a text like {first}");
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => match schema.get("format").and_then(Value::as_str) {
            Some("uint8") => format!("a whole number from 0 to {}", u8::MAX),
            Some("uint16") => format!("a whole number from 0 to {}", u16::MAX),
            Some("uint32") => format!("a whole number from 0 to {}", u32::MAX),
            Some("int32") => format!("a whole number from {} to {}", i32::MIN, i32::MAX),
            _ => "a whole number".to_owned(),
        },
        Some("string") => "a text".to_owned(),
        _ => "a JSON value".to_owned(),
    }
}
