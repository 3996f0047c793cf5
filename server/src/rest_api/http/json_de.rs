//! Strict JSON deserialisation. Unlike serde's default, a list never stands for an object, as in the product. Errors
//! name the place in the body.

use std::fmt::Display;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use crate::runtime::redact::is_secret;

/// Deserialises a body.
///
/// # Errors
///
/// When the body is not JSON, or does not match the type.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Misread> {
    let value = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let words = format!("The body is not valid JSON at line {line}, column {column}.");
        Misread { words, has_place: true }
    })?;
    T::deserialize(Strict { value, place: String::new() })
}

/// An error in a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub(crate) struct Misread {
    words: String,
    has_place: bool,
}

impl Misread {
    /// Adds the place of the error.
    fn at(self, place: &str) -> Self {
        if self.has_place {
            return self;
        }
        let words = self.words.trim_end_matches('.');
        let words = match place {
            "" => format!("The body is invalid: {words}."),
            place => format!("The field {place} is invalid: {words}."),
        };
        Self { words, has_place: true }
    }

    /// Says what was expected without the number that was found.
    fn without_number(self) -> Self {
        let expected = self.words.split_once(". Expected ").map_or("another value", |(_, expected)| expected);
        Self::new(format!("a number. Expected {expected}"))
    }

    fn new(words: String) -> Self {
        Self { words, has_place: false }
    }
}

/// A found value, as part of a message.
fn found(value: Unexpected<'_>) -> String {
    match value {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(value) => value.to_string(),
        Unexpected::Char(value) => value.to_string(),
        Unexpected::Str(value) => value.chars().take(80).collect(),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Other(value) => value.to_owned(),
        _ => "a value of another kind".to_owned(),
    }
}

/// An expected value, as part of a message; deserialisers name Rust's types.
fn wanted(expected: &dyn Expected) -> String {
    let words = expected.to_string();
    match words.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" => "a text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        words if words.starts_with("struct ") => "an object".to_owned(),
        words => words.to_owned(),
    }
}

impl Error for Misread {
    fn custom<T: Display>(words: T) -> Self {
        Self::new(words.to_string())
    }

    fn invalid_type(value: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("{}. Expected {}", found(value), wanted(expected)))
    }

    fn invalid_value(value: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(value, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let variant: String = variant.chars().take(80).collect();
        Self::new(format!("{variant}. Expected one of {}", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the field {field} is missing"))
    }
}

/// A value with its place, such as `configuration.proxy`.
struct Strict {
    value: Value,
    place: String,
}

impl Strict {
    /// A value inside this one.
    fn inner(place: &str, name: &str, value: Value) -> Self {
        // Names come from the sender, so they are shortened.
        let name: String = name.chars().take(80).collect();
        let place = if place.is_empty() { name } else { format!("{place}.{name}") };
        Self { value, place }
    }
}

impl IntoDeserializer<'_, Misread> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Other("null"),
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(_) => Unexpected::Other("a number"),
        Value::String(_) => Unexpected::Other("a text"),
        Value::Array(_) => Unexpected::Other("a list"),
        Value::Object(_) => Unexpected::Other("an object"),
    }
}

impl<'de> Deserializer<'de> for Strict {
    type Error = Misread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        let Self { value, place } = self;
        let read = match value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => {
                let read = if let Some(number) = number.as_u64() {
                    visitor.visit_u64(number)
                } else if let Some(number) = number.as_i64() {
                    visitor.visit_i64(number)
                } else {
                    visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
                };
                // Answers are kept, and a password of digits may have been sent without quotes.
                read.map_err(|error: Misread| if is_secret(&place) { error.without_number() } else { error })
            }
            Value::String(text) => visitor.visit_string(text),
            Value::Array(values) => {
                let values = values.into_iter().enumerate();
                let values = values.map(|(at, value)| Self::inner(&place, &at.to_string(), value));
                visitor.visit_seq(SeqDeserializer::new(values))
            }
            Value::Object(fields) => {
                let fields = fields.into_iter();
                let fields = fields.map(|(name, value)| {
                    let inner = Self::inner(&place, &name, value);
                    (name, inner)
                });
                visitor.visit_map(MapDeserializer::new(fields))
            }
        };
        read.map_err(|error: Misread| error.at(&place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misread> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misread> {
        match self.value {
            Value::String(text) => visitor.visit_enum(text.into_deserializer()),
            other => Err(Misread::invalid_type(unexpected(&other), &"a text")),
        }
        .map_err(|error: Misread| error.at(&self.place))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misread> {
        self.deserialize_map(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        if self.value.is_object() {
            return self.deserialize_any(visitor);
        }
        Err(Misread::invalid_type(unexpected(&self.value), &"an object").at(&self.place))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "UPPERCASE")]
    enum Mode {
        Pull,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner {
        mode: Option<Mode>,
        seconds: Option<u32>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Outer {
        inner: Option<Inner>,
        names: Option<Vec<String>>,
        password: Option<String>,
    }

    #[test]
    fn what_the_type_says_is_read() {
        let read =
            read::<Outer>(br#"{"inner":{"mode":"PULL","seconds":3},"names":["a"],"more":[{}]}"#).unwrap();
        let inner = Inner { mode: Some(Mode::Pull), seconds: Some(3) };
        assert_eq!(read, Outer { inner: Some(inner), names: Some(vec!["a".to_owned()]), password: None });
    }

    #[test]
    fn a_list_stands_for_no_object_and_what_is_wrong_is_said_with_its_place() {
        for (body, words) in [
            ("[null,null]", "The body is invalid: a list. Expected an object."),
            (r#"{"inner":[null,7]}"#, "The field inner is invalid: a list. Expected an object."),
            (r#"{"inner":{"mode":"PUSH"}}"#, "The field inner.mode is invalid: PUSH. Expected one of PULL."),
            (
                r#"{"inner":{"seconds":-1}}"#,
                "The field inner.seconds is invalid: -1. Expected a whole number that is not negative.",
            ),
            (r#"{"names":["a",1]}"#, "The field names.1 is invalid: 1. Expected a text."),
            (r#"{"password":1e5}"#, "The field password is invalid: a number. Expected a text."),
            (r#"{"password":20261130}"#, "The field password is invalid: a number. Expected a text."),
            (r#"{"names":{}}"#, "The field names is invalid: an object. Expected a list."),
            ("", "The body is not valid JSON at line 1, column 0."),
        ] {
            assert_eq!(read::<Outer>(body.as_bytes()).unwrap_err().to_string(), words);
        }
    }
}
