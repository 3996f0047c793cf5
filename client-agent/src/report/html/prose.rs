//! Sentences with commands and times in them.

use epm_protocol::time::Timestamp;
use maud::{Markup, html};

use crate::report::words::instant;

/// A sentence in which what stands between backquotes is code, and every other time is one as the rest of the page writes it.
pub fn prose(sentence: &str) -> Markup {
    let pieces = sentence.split('`');
    let is_paired = sentence.matches('`').count().is_multiple_of(2);
    html! {
        @if is_paired {
            @for (place, piece) in pieces.enumerate() {
                @if place.is_multiple_of(2) { (timed(piece)) } @else { code { (piece) } }
            }
        } @else { (timed(sentence)) }
    }
}

fn timed(text: &str) -> Markup {
    html! {
        @for word in text.split_inclusive(' ') {
            @let bare = word.trim_start_matches('(').trim_end_matches([' ', ',', ';', '.', ':', ')']);
            @match bare.ends_with('Z').then(|| bare.parse::<Timestamp>()) {
                Some(Ok(at)) => {
                    @let (before, after) = word.split_once(bare).unwrap_or_default();
                    (before) time datetime=(bare) { (instant(at)) } (after)
                }
                _ => (word),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backquotes_is_code_and_all_is_escaped() {
        let shown = |sentence| prose(sentence).into_string();
        assert_eq!(shown("Try `a <b>` or `c`."), "Try <code>a &lt;b&gt;</code> or <code>c</code>.");
        assert_eq!(shown("A ` alone & <b>"), "A ` alone &amp; &lt;b&gt;");
    }

    #[test]
    fn times_outside_of_code_are_written_as_the_page_writes_them() {
        let shown = |sentence| prose(sentence).into_string();
        assert_eq!(
            shown("At 2026-01-05T08:00:00.123Z, `set 2026-01-05T08:00:00Z`; it never ends."),
            "At <time datetime=\"2026-01-05T08:00:00.123Z\">2026-01-05 08:00:00.123</time>, \
             <code>set 2026-01-05T08:00:00Z</code>; it never ends."
        );
        assert!(shown("(2026-01-05T08:00:00Z).").contains("(<time "));
        assert!(shown("(2026-01-05T08:00:00Z).").ends_with("</time>)."));
    }
}
