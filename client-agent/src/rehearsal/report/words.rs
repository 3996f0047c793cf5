//! Numbers and counted things, as people write them.

use std::fmt::Display;

/// A whole number in groups of three digits: `100,000`.
pub(super) fn grouped(number: impl Display) -> String {
    let written = number.to_string();
    let (sign, digits) = written.strip_prefix('-').map_or(("", written.as_str()), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many clients: `1 client`, `2,000 clients`.
pub(super) fn clients(number: usize) -> String {
    let noun = if number == 1 { "client" } else { "clients" };
    format!("{} {noun}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let numbers = [0, 7, 999, 1000, 100_000, 2_600_000_000_u64];
        assert_eq!(numbers.map(grouped), ["0", "7", "999", "1,000", "100,000", "2,600,000,000"]);
        assert_eq!(grouped(-1000), "-1,000");
        assert_eq!((clients(1), clients(0)), ("1 client".to_owned(), "0 clients".to_owned()));
    }
}
