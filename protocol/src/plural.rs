//! Counted things in messages: `1 client`, `2 clients`.

use std::fmt::Display;

/// A number and what it counts, in the singular for 1 and with an `s` otherwise.
pub fn counted(number: impl Display, noun: &str) -> String {
    either(number, noun, &format!("{noun}s"))
}

/// A number, and the first text for 1 or the second one otherwise: `1 client is`, `2 clients are`.
pub fn either(number: impl Display, one: &str, several: &str) -> String {
    let number = number.to_string();
    let what = if number == "1" { one } else { several };
    format!("{number} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_in_the_singular_and_none_or_several_are_in_the_plural() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "client")), ["0 clients", "1 client", "2 clients"]);
        assert_eq!(either(1, "entry was", "entries were"), "1 entry was");
        assert_eq!(either(11, "entry was", "entries were"), "11 entries were");
    }
}
