//! Decodes credentials as the product does, with Java's `URLDecoder`.
//!
//! User name, password and domain of a log-in are decoded, and where that fails the answer is 400 with the decoder's own
//! message [C S47].

use crate::rest_api::http::ApiError;

/// Decodes `%` sequences, and `+` as a space if asked to.
///
/// # Errors
///
/// When a `%` is not followed by two hexadecimal digits. The message is that of Java's `URLDecoder`.
pub(super) fn decode(text: &str, plus_is_space: bool) -> Result<String, ApiError> {
    let letters: Vec<char> = text.chars().collect();
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        match letter {
            '%' => {
                let (Some(&high), Some(&low)) = (letters.get(at + 1), letters.get(at + 2)) else {
                    return Err(refused("Incomplete trailing escape (%) pattern"));
                };
                bytes.push(byte([high, low])?);
                at += 3;
                continue;
            }
            '+' if plus_is_space => bytes.push(b' '),
            other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        at += 1;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A byte from two digits. Java also accepts a sign as the first of them.
fn byte(digits: [char; 2]) -> Result<u8, ApiError> {
    let first = usize::from(matches!(digits[0], '+' | '-'));
    let mut value = 0;
    for (at, digit) in digits.iter().enumerate().skip(first) {
        let Some(digit) = digit.to_digit(16) else {
            let [high, low] = digits;
            let words = format!(
                "Illegal hex characters in escape (%) pattern - Error at index {at} in: \"{high}{low}\""
            );
            return Err(refused(&words));
        };
        value = value * 16 + digit;
    }
    if digits[0] == '-' && value > 0 {
        return Err(refused("Illegal hex characters in escape (%) pattern - negative value"));
    }
    Ok(u8::try_from(value).unwrap_or_default())
}

fn refused(words: &str) -> ApiError {
    ApiError::Invalid(format!("URLDecoder: {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_decoded_as_java_does() {
        for (given, decoded) in [
            ("Passw0rd", "Passw0rd"),
            ("Passwo%5d", "Passwo]"),
            ("Passwo%255d", "Passwo%5d"),
            ("a+b %26x", "a+b &x"),
            ("%C3%BCü", "üü"),
            ("%+f", "\u{f}"),
            ("", ""),
        ] {
            assert_eq!(decode(given, false).unwrap(), decoded, "{given}");
        }
        assert_eq!(decode("a+b%2B", true).unwrap(), "a b+");
        let illegal = "URLDecoder: Illegal hex characters in escape (%) pattern - ";
        let incomplete = "URLDecoder: Incomplete trailing escape (%) pattern".to_owned();
        for (given, words) in [
            ("Passw0%rd", format!("{illegal}Error at index 0 in: \"rd\"")),
            ("%5g", format!("{illegal}Error at index 1 in: \"5g\"")),
            ("%-1", format!("{illegal}negative value")),
            ("Passw0rd%", incomplete.clone()),
            ("Passw0rd%5", incomplete),
        ] {
            assert_eq!(decode(given, false).unwrap_err().to_string(), words, "{given}");
        }
    }
}
