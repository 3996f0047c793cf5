//! JSON without duplicate keys: serde_json keeps the last value of a key that an object has twice, where the target is a map.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Maximum number of characters of a key in an error.
const SHOWN: usize = 80;

/// Deserialises JSON without duplicate keys.
///
/// # Errors
///
/// When the text is not JSON, does not match the type, or has an object with a duplicate key.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    check(text)?;
    serde_json::from_slice(text)
}

/// Checks that no object in a JSON text has a key twice.
///
/// # Errors
///
/// When the text is not JSON, or an object has a key twice; the message names the object, the key, line and column.
pub(crate) fn check(text: &[u8]) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    Unique { place: &mut String::new() }.deserialize(&mut reader)?;
    reader.end()
}

/// A value whose objects must not have a key twice. Its place is written as in the other errors of a body: `a.b[0].c`.
struct Unique<'a> {
    place: &'a mut String,
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let outer = self.place.len();
        let mut at = 0_usize;
        loop {
            self.place.push_str(&format!("[{at}]"));
            let more = values.next_element_seed(Unique { place: self.place })?;
            self.place.truncate(outer);
            if more.is_none() {
                return Ok(());
            }
            at += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let outer = self.place.len();
        let mut keys = BTreeSet::new();
        while let Some(key) = fields.next_key::<String>()? {
            let shown: String = key.chars().take(SHOWN).collect();
            if !keys.insert(key) {
                let place = if outer == 0 { String::new() } else { format!("{}: ", self.place) };
                return Err(A::Error::custom(format!("{place}duplicate field `{}`", shown.escape_debug())));
            }
            if outer > 0 {
                self.place.push('.');
            }
            self.place.push_str(&shown);
            fields.next_value_seed(Unique { place: self.place })?;
            self.place.truncate(outer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_error_names_the_duplicate_key_and_its_place() {
        for (text, words) in [
            (r#"{"a":1,"a":2}"#, "duplicate field `a` at line 1 column 10"),
            (
                r#"[{"a":[{},{"b":{"c":1,"d":0,"c":1}}]}]"#,
                "[0].a[1].b: duplicate field `c` at line 1 column 31",
            ),
            // Two spellings of one key.
            ("{\"a\":1,\n\"\\u0061\":1}", "duplicate field `a` at line 2 column 8"),
            (r#"{"a\n":1,"a\n":1}"#, r"duplicate field `a\n` at line 1 column 14"),
            ("{}x", "trailing characters at line 1 column 3"),
        ] {
            assert_eq!(read::<Value>(text.as_bytes()).unwrap_err().to_string(), words);
        }
        let text = br#"[{"a":{"a":null},"b":{"a":-1.5,"b":[true,"a","a",1,-1]}},{"a":"\u00e9"}]"#;
        let same = json!([
            { "a": { "a": null }, "b": { "a": -1.5, "b": [true, "a", "a", 1, -1] } },
            { "a": "é" },
        ]);
        assert_eq!(read::<Value>(text).unwrap(), same);
    }
}
