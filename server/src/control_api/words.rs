//! What an operation says of itself in the journal.

use serde_json::{Value, json};

/// Fields of a command for the journal, as `name=value`, without those that are null or empty.
pub(super) fn in_words(fields: &Value) -> String {
    let fields = fields
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null() && **value != json!({}));
    fields.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}
