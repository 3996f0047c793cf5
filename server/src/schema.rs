//! Hands schemas of schemars 1.x, which the lower crates derive, to aide, which takes 0.9.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use schemars1::generate::SchemaSettings;

/// Describes `T` in the OpenAPI document of the control API.
pub(crate) struct BridgedSchema<T>(PhantomData<T>);

impl<T: schemars1::JsonSchema> JsonSchema for BridgedSchema<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<T>();
        schema.remove("$schema");
        Schema::try_from(schema.to_value()).unwrap_or_default()
    }
}
