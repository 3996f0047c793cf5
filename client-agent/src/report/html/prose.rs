//! Sentences with commands in them.

use maud::{Markup, html};

/// A sentence in which what stands between backquotes is code.
pub fn prose(sentence: &str) -> Markup {
    let pieces = sentence.split('`');
    let is_paired = sentence.matches('`').count().is_multiple_of(2);
    html! {
        @if is_paired {
            @for (place, piece) in pieces.enumerate() {
                @if place.is_multiple_of(2) { (piece) } @else { code { (piece) } }
            }
        } @else { (sentence) }
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
}
