//! Lenient deserialisation of path and query parameters, as the product's clients need it.
//!
//! The type decides: list values may be repeated, or joined by commas or spaces; quotes and spaces around numbers,
//! booleans and list items are ignored; an empty value counts as absent.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde::Deserialize;
use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// An invalid parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(String);

/// Deserialises names and values.
///
/// # Errors
///
/// When a value does not match the type, or is missing.
pub(crate) fn read<'de, T: Deserialize<'de>>(
    pairs: impl IntoIterator<Item = (String, String)>,
) -> Result<T, Unreadable> {
    let mut fields = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in pairs {
        fields.entry(name).or_default().push(value);
    }
    let fields = fields.into_iter().map(|(name, values)| (name.clone(), Values { name, values }));
    T::deserialize(MapDeserializer::new(fields))
}

/// The values given for one name.
struct Values {
    name: String,
    values: Vec<String>,
}

impl Values {
    fn first(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }

    fn wrong(&self, expected: &str) -> Unreadable {
        let found: String = self.first().chars().take(80).collect();
        Unreadable(format!("The parameter {} is invalid: {found}. Expected {expected}.", self.name))
    }

    fn parsed<N: std::str::FromStr>(&self) -> Result<N, Unreadable> {
        bare(self.first()).parse().map_err(|_| self.wrong("a number"))
    }
}

/// Removes quotes and spaces around a value.
fn bare(value: &str) -> &str {
    value.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'')
}

impl Error for Unreadable {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self(format!("The parameter {field} is missing."))
    }
}

impl IntoDeserializer<'_, Unreadable> for Values {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
            visitor.$visit(self.parsed()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Values {
    type Error = Unreadable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        let expected = Expected(&visitor).to_string();
        let (name, value) = (self.name.clone(), self.first().to_owned());
        visitor.visit_string(value).map_err(|error: Unreadable| {
            let known = error.0.starts_with("The ");
            if known {
                error
            } else {
                Unreadable(format!("The parameter {name} is invalid: {error}. Expected {expected}."))
            }
        })
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match bare(self.first()).to_ascii_lowercase().as_str() {
            "true" | "1" => visitor.visit_bool(true),
            "false" | "0" => visitor.visit_bool(false),
            _ => Err(self.wrong("true or false")),
        }
    }

    numbers! {
        deserialize_i8 visit_i8
        deserialize_i16 visit_i16
        deserialize_i32 visit_i32
        deserialize_i64 visit_i64
        deserialize_u8 visit_u8
        deserialize_u16 visit_u16
        deserialize_u32 visit_u32
        deserialize_u64 visit_u64
        deserialize_f64 visit_f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if self.values.iter().all(String::is_empty) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        let Self { name, values } = self;
        let parts = values.iter().flat_map(|value| value.split(|c: char| c == ',' || c.is_whitespace()));
        let parts = parts.map(bare).filter(|part| !part.is_empty());
        let parts: Vec<Self> =
            parts.map(|part| Self { name: name.clone(), values: vec![part.to_owned()] }).collect();
        visitor.visit_seq(SeqDeserializer::new(parts.into_iter()))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        let given = bare(self.first());
        // Clients write them in any case.
        let meant = variants.iter().find(|one| one.eq_ignore_ascii_case(given)).copied();
        match meant {
            Some(meant) => visitor.visit_enum(StrDeserializer::<Unreadable>::new(meant)),
            None => Err(self.wrong(&format!("one of {}", variants.join(", ")))),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 f32 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier
    }
}

/// What a visitor expects, as text.
struct Expected<'a, V>(&'a V);

impl<'de, V: Visitor<'de>> Display for Expected<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "UPPERCASE")]
    enum Order {
        Asc,
        Desc,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Fields {
        #[serde(default)]
        ids: Vec<String>,
        undo: Option<bool>,
        page: Option<u32>,
        order: Option<Order>,
        name: Option<String>,
    }

    fn fields(query: &str) -> Result<Fields, Unreadable> {
        read(form_urlencoded::parse(query.as_bytes()).into_owned())
    }

    #[test]
    fn a_list_is_repeated_or_joined_by_commas_or_by_blanks_and_may_bear_quotes() {
        for query in ["ids=a&ids=b", "ids=a,b", "ids=a+b", "ids=%22a%22,%22b%22", "ids=a%2C+b&ids="] {
            assert_eq!(fields(query).unwrap().ids, ["a", "b"], "{query}");
        }
        assert_eq!(fields("ids=").unwrap().ids, [""; 0]);
        assert_eq!(fields("columns=x&domain_id=").unwrap().ids, [""; 0]);
    }

    #[test]
    fn values_are_read_as_the_type_says_and_a_wrong_one_is_named() {
        let read = fields("undo=True&page=2&order=desc&name=a,b+c").unwrap();
        assert_eq!((read.undo, read.page, read.order), (Some(true), Some(2), Some(Order::Desc)));
        assert_eq!(read.name.as_deref(), Some("a,b c"));
        assert_eq!(fields("undo=&page=&order=").unwrap(), fields("").unwrap());
        for (query, words) in [
            ("undo=maybe", "The parameter undo is invalid: maybe. Expected true or false."),
            ("page=-1", "The parameter page is invalid: -1. Expected a number."),
            ("page=99999999999", "The parameter page is invalid: 99999999999. Expected a number."),
            ("order=up", "The parameter order is invalid: up. Expected one of ASC, DESC."),
        ] {
            assert_eq!(fields(query).unwrap_err().to_string(), words);
        }
    }
}
