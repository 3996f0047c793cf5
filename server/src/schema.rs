//! Hands schemas of schemars 1.x, which the lower crates derive, to aide, which takes 0.9.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use schemars1::generate::SchemaSettings;
use serde_json::Value;

/// Describes `T` in the OpenAPI document of the control API.
pub(crate) struct BridgedSchema<T>(PhantomData<T>);

impl<T: schemars1::JsonSchema> JsonSchema for BridgedSchema<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        if generator.contract().is_serialize() {
            settings = settings.for_serialize();
        }
        let mut schema = settings.into_generator().into_root_schema_for::<T>();
        schema.remove("$schema");
        Schema::try_from(schema.to_value()).unwrap_or_default()
    }
}

/// Puts the members of tuples under `prefixItems`, as the JSON Schema of OpenAPI 3.1 has it: aide writes the form of draft 7.
pub(crate) fn name_tuples(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(members @ Value::Array(_)) = fields.get("items").cloned() {
                fields.remove("items");
                fields.insert("prefixItems".to_owned(), members);
            }
            fields.values_mut().for_each(name_tuples);
        }
        Value::Array(items) => items.iter_mut().for_each(name_tuples),
        _ => {}
    }
}
