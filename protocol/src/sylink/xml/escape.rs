//! Which characters an XML file can hold as they are, and which must be written as references.

use crate::excerpt::excerpt;

/// A reference or character that cannot be read: its offset in the text, what was expected, what was found.
pub(super) type Unreadable = (usize, &'static str, String);

/// Whether XML 1.0 allows a character in a file, as itself or as a reference.
pub(super) fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{FFFE}' | '\u{FFFF}'))
}

/// Whether XML counts a character as white space.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Escapes the text between two tags. A character that XML cannot hold at all becomes U+FFFD.
pub(super) fn text(plain: &str) -> String {
    escape(plain, |c| c == '\r')
}

/// Escapes the value of an attribute between two of `quote`. Line ends and tabs become references, since
/// readers turn plain ones into spaces.
pub(super) fn attribute(plain: &str, quote: char) -> String {
    escape(plain, |c| c == quote || matches!(c, '\t' | '\n' | '\r'))
}

fn escape(plain: &str, also: impl Fn(char) -> bool) -> String {
    let mut written = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' if also(c) => written.push_str("&quot;"),
            '\'' if also(c) => written.push_str("&apos;"),
            c if !is_allowed(c) => written.push('\u{FFFD}'),
            c if also(c) => written.push_str(&format!("&#{};", u32::from(c))),
            c => written.push(c),
        }
    }
    written
}

/// Reads the value of an attribute: references replaced, and white space normalised as in XML 1.0, 3.3.3.
pub(super) fn read_attribute(written: &str) -> Result<String, Unreadable> {
    read(written, ' ')
}

/// Reads the text between two tags: references replaced, every line end a line feed.
pub(super) fn read_text(written: &str) -> Result<String, Unreadable> {
    read(written, '\n')
}

fn read(written: &str, line_end: char) -> Result<String, Unreadable> {
    let mut plain = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        match c {
            '&' => {
                let (character, reference) = reference(rest)
                    .map_err(|(expected, found)| (written.len() - rest.len(), expected, found))?;
                plain.push(character);
                length = reference;
            }
            '\r' => {
                plain.push(line_end);
                length += usize::from(rest[1..].starts_with('\n'));
            }
            '\n' => plain.push(line_end),
            '\t' if line_end == ' ' => plain.push(' '),
            c => plain.push(c),
        }
        rest = &rest[length..];
    }
    Ok(plain)
}

/// Reads the reference at the start of a text: its character, and its length.
///
/// Knows only the five that XML itself defines, and numbers: a file without a DOCTYPE can define no others.
fn reference(text: &str) -> Result<(char, usize), (&'static str, String)> {
    const KNOWN: &str = "&amp; &lt; &gt; &quot; &apos; or a character's number";
    let body = &text[1..];
    let end = body.find(|c| c == ';' || c == '&' || c == '<' || is_space(c)).unwrap_or(body.len());
    let name = &body[..end];
    if !body[end..].starts_with(';') {
        return Err(("; after the reference", excerpt(&format!("&{name}"))));
    }
    let character = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => number(name).and_then(char::from_u32).filter(|&c| is_allowed(c)),
    };
    character.map(|c| (c, end + 2)).ok_or_else(|| (KNOWN, excerpt(&format!("&{name};"))))
}

fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix('#')?;
    let (digits, radix) = digits.strip_prefix('x').map_or((digits, 10), |digits| (digits, 16));
    // `from_str_radix` would accept a sign.
    digits.chars().all(|c| c.is_digit(radix)).then(|| u32::from_str_radix(digits, radix).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_references_and_numbers_are_read_and_nothing_else_is() {
        assert_eq!(read_text("&lt;&#65;&#x42;&amp;amp;&quot;&apos;&gt;").unwrap(), "<AB&amp;\"'>");
        for bad in ["&nbsp;", "&#0;", "&#x;", "&#+65;", "&#xD800;", "&#99999999999;", "&;"] {
            let (at, _, found) = read_text(&format!("ab{bad}")).unwrap_err();
            assert_eq!((at, found.as_str()), (2, bad));
        }
        assert_eq!(read_text("a&amp b").unwrap_err().1, "; after the reference");
    }

    #[test]
    fn a_line_end_is_a_space_in_an_attribute_and_a_line_feed_in_a_text() {
        assert_eq!(read_attribute("a\r\nb\tc\nd\re").unwrap(), "a b c d e");
        assert_eq!(read_text("a\r\nb\tc\nd\re").unwrap(), "a\nb\tc\nd\ne");
    }

    #[test]
    fn what_is_escaped_reads_as_it_was() {
        let plain = "a<b>&\"c'\r\n\td é 😀";
        for quote in ['"', '\''] {
            let written = attribute(plain, quote);
            assert!(!written.contains(quote) && !written.contains('<') && !written.contains('\n'));
            assert_eq!(read_attribute(&written).unwrap(), plain);
        }
        assert_eq!(read_text(&text(plain)).unwrap(), plain);
        assert_eq!(text("a\u{1}b"), "a\u{FFFD}b");
    }
}
