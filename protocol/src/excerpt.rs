//! The beginning of a text that a file or a peer has sent, for an error.
//!
//! A file may have a name, a kind or an alias as long as itself, which must fill neither a terminal nor a log.

/// The longest excerpt in characters, without the dots.
const LONGEST: usize = 100;

/// The text if it is short, otherwise its beginning and `...`.
pub fn excerpt(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// A name in quotes, for a message: as Rust writes it, but a group's path with single backslashes, so that it can be copied.
pub fn quoted(name: &str) -> String {
    let escaped =
        |c: char| if matches!(c, '\\' | '\'') { c.to_string() } else { c.escape_debug().to_string() };
    format!("\"{}\"", name.chars().map(escaped).collect::<String>())
}

/// The names that a message expects, in quotes: `expected "a"`, `expected one of "a", "b"`, or that there are none.
pub fn expected_one_of(names: &[String]) -> String {
    let quoted = names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    match names {
        [] => "there are none".to_owned(),
        [_] => format!("expected {quoted}"),
        _ => format!("expected one of {quoted}"),
    }
}

/// The first texts of a list, each as an excerpt, and the number of the others.
pub fn excerpts<'a>(texts: impl ExactSizeIterator<Item = &'a str>, write: impl Fn(&str) -> String) -> String {
    const MOST: usize = 20;
    let more = texts.len().saturating_sub(MOST);
    let mut shown: Vec<String> = texts.take(MOST).map(|text| write(&excerpt(text))).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_characters_and_a_short_one_is_whole() {
        assert_eq!(excerpt("äöü"), "äöü");
        assert_eq!(excerpt(&"ä".repeat(100)), "ä".repeat(100));
        assert_eq!(excerpt(&"ä".repeat(101)), format!("{}...", "ä".repeat(100)));
    }

    #[test]
    fn a_path_is_quoted_as_it_is_and_what_would_disturb_is_escaped() {
        assert_eq!(quoted(r"My Company\Servers"), r#""My Company\Servers""#);
        assert_eq!(quoted("a\"b\u{1b}"), r#""a\"b\u{1b}""#);
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(expected_one_of(&names), r#"expected one of "a", "b""#);
        assert_eq!(expected_one_of(&names[..1]), r#"expected "a""#);
        assert_eq!(expected_one_of(&[]), "there are none");
    }

    #[test]
    fn a_long_list_is_counted() {
        let names: Vec<String> = (1..=22).map(|number| number.to_string()).collect();
        let shown = excerpts(names.iter().map(String::as_str), |name| format!("{name:?}"));
        assert!(shown.starts_with("\"1\", \"2\"") && shown.ends_with("\"20\", 2 more"), "{shown}");
        assert_eq!(excerpts(["a", "b"].into_iter(), str::to_owned), "a, b");
    }
}
