//! Errors of deserialisers in words that do not take knowledge of Rust.

/// Rust's types as errors name what they expected, and what that is.
const TYPES: &[(&str, &str)] = &[
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number from 0"),
    ("usize", "a whole number from 0"),
    ("nonzero u16", "a whole number from 1 to 65535"),
    ("nonzero u32", "a whole number from 1 to 4294967295"),
    ("nonzero u64", "a whole number from 1"),
    ("nonzero usize", "a whole number from 1"),
    ("i32", "a whole number"),
    ("i64", "a whole number"),
    ("f32", "a number"),
    ("f64", "a number"),
    ("variant identifier", "a name"),
    ("field identifier", "a name"),
];

/// Other words of deserialisers and of the standard library.
const WORDS: &[(&str, &str)] = &[
    ("floating point `", "number `"),
    ("number too large to fit in target type", "the number is too large"),
    ("number too small to fit in target type", "the number is too small"),
    ("invalid digit found in string", "expected a whole number"),
    ("cannot parse integer from empty string", "expected a whole number, found nothing"),
    ("invalid float literal", "expected a number"),
    ("wanted string or table", NAME_OR_TABLE),
    ("expected string or map", NAME_OR_TABLE),
    ("wanted exactly 1 element, more than 1 element", "expected one name in the table, found several"),
    ("wanted exactly 1 element, found 0 elements", "expected one name in the table, found none"),
    ("invalid value: map, expected map with a single key", "expected one name in the table"),
    ("invalid type: unit variant, expected newtype variant", VALUES_OF_NAME),
    ("invalid type: unit variant, expected named values", VALUES_OF_NAME),
];

/// What a choice is that may have values.
const NAME_OR_TABLE: &str = "expected a name, or a table with one name and its values";
/// What a name is that stands alone where it needs values.
const VALUES_OF_NAME: &str = "expected the values of this name too, as in { NAME = { KEY = VALUE } }";

/// The message without the names of Rust's types.
pub fn plain(message: &str) -> String {
    const EXPECTED: &str = "expected ";
    let mut parts = message.split(EXPECTED);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(EXPECTED);
        let ends = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        let known = TYPES
            .iter()
            .find_map(|(name, words)| Some((*words, part.strip_prefix(name).filter(|rest| ends(rest))?)));
        let named = part.strip_prefix("struct ").or_else(|| part.strip_prefix("internally tagged enum "));
        match (known, named) {
            (Some((words, rest)), _) => plain.extend([words, rest]),
            (None, Some(named)) => {
                plain.push_str("named values");
                let named = named.strip_prefix("variant ").unwrap_or(named);
                let rest =
                    named.trim_start_matches(|one: char| one.is_alphanumeric() || one == '_' || one == ':');
                let counted = rest.strip_prefix(" with ").and_then(|rest| rest.split_once(" element"));
                plain.push_str(counted.map_or(rest, |(_, rest)| rest.strip_prefix('s').unwrap_or(rest)));
            }
            (None, None) => plain.push_str(part),
        }
    }
    for (words, instead) in WORDS {
        plain = plain.replace(words, instead);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_rust_become_words_and_the_rest_stays() {
        for (message, expected) in [
            (
                "invalid value: integer `-5`, expected u32 at line 1",
                "invalid value: integer `-5`, expected a whole number from 0 to 4294967295 at line 1",
            ),
            (
                "invalid type: floating point `1.5`, expected usize",
                "invalid type: number `1.5`, expected a whole number from 0",
            ),
            ("invalid type: null, expected struct NewPart", "invalid type: null, expected named values"),
            ("expected struct Judged with 15 elements at line 1", "expected named values at line 1"),
            ("expected struct variant NewCertificate::Generate", "expected named values"),
            ("invalid type: unit variant, expected struct variant", VALUES_OF_NAME),
            ("invalid type: unit variant, expected newtype variant", VALUES_OF_NAME),
            (
                "wanted exactly 1 element, more than 1 element",
                "expected one name in the table, found several",
            ),
            ("limit: invalid digit found in string", "limit: expected a whole number"),
            ("expected u32x, or expected one of `a`", "expected u32x, or expected one of `a`"),
            ("unknown field `u32`", "unknown field `u32`"),
        ] {
            assert_eq!(plain(message), expected);
        }
    }
}
