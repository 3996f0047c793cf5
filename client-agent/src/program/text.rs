//! Texts from outside, as they are printed: names and log lines must not control the terminal.

use std::borrow::Cow;

/// The text without characters that a terminal acts on: names and logs come from outside, and an escape sequence in one of
/// them could hide or forge a line. Control characters but line feed, tab and the carriage return before a line feed, and
/// characters that turn the direction of a text, are replaced by `\\uXXXX`, which JSON reads as the same character.
pub fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmful = |(at, one): (usize, char)| match one {
        '\n' | '\t' => false,
        '\r' => !text[at + 1..].starts_with('\n'),
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        other => other.is_control(),
    };
    if !text.char_indices().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for (at, one) in text.char_indices() {
        if is_harmful((at, one)) {
            shown.push_str(&format!("\\u{:04x}", u32::from(one)));
        } else {
            shown.push(one);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_from_outside_reaches_a_terminal_as_a_command_and_json_stays_the_same_value() {
        assert!(matches!(harmless("a\tb\r\nGrüße 🦀\n"), Cow::Borrowed(_)));
        let name = "pc\u{1b}[2J\u{9b}1m\u{202e}\u{7f}";
        assert_eq!(harmless("a\rb\u{1b}[31m\u{9b}"), r"a\u000db\u001b[31m\u009b");
        let json = serde_json::json!({ "name": name }).to_string();
        let shown = harmless(&json);
        assert!(!shown.chars().any(|one| one.is_control() || one == '\u{202e}'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["name"], name);
    }
}
