//! Reading the JSON of the control API: what is absent is empty.

use serde_json::Value;

/// Fields of a JSON value, by name.
pub(super) trait Fields {
    /// The text of a field; empty if it is absent or no text.
    fn text(&self, name: &str) -> &str;
    /// The number of a field; 0 if it is absent or no whole number.
    fn number(&self, name: &str) -> u64;
    /// Whether a field is true.
    fn flag(&self, name: &str) -> bool;
    /// The elements of a field; none if it is absent or no list.
    fn list(&self, name: &str) -> &[Value];
    /// The texts in a field that is a list.
    fn texts(&self, name: &str) -> impl Iterator<Item = &str>;
    /// The fields of a field that is an object, in order.
    fn entries(&self, name: &str) -> impl Iterator<Item = (&String, &Value)>;
}

impl Fields for Value {
    fn text(&self, name: &str) -> &str {
        self[name].as_str().unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        self[name].as_u64().unwrap_or_default()
    }

    fn flag(&self, name: &str) -> bool {
        self[name].as_bool().unwrap_or_default()
    }

    fn list(&self, name: &str) -> &[Value] {
        self[name].as_array().map_or(&[], Vec::as_slice)
    }

    fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.list(name).iter().filter_map(Value::as_str)
    }

    fn entries(&self, name: &str) -> impl Iterator<Item = (&String, &Value)> {
        self[name].as_object().into_iter().flatten()
    }
}
