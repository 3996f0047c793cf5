//! Reads Java's binary data (`java.io.DataInput`): big-endian numbers, and texts after their length.

use super::refusal::StoreError;

/// The part of a file that has not been read yet. No memory is reserved for a length that the file only claims.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], StoreError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(|| {
            broken(&format!("it ends within {what}: {length} bytes expected, {} left", self.0.len()))
        })?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self, what: &str) -> Result<u8, StoreError> {
        Ok(self.take(1, what)?.iter().fold(0, |_, byte| *byte))
    }

    /// An unsigned number of two bytes.
    pub(super) fn short(&mut self, what: &str) -> Result<u16, StoreError> {
        Ok(self.take(2, what)?.iter().fold(0, |number, byte| (number << 8) | u16::from(*byte)))
    }

    pub(super) fn number(&mut self, what: &str) -> Result<u32, StoreError> {
        Ok(self.take(4, what)?.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte)))
    }

    pub(super) fn bytes(&mut self, what: &str) -> Result<&'a [u8], StoreError> {
        let length = self.number(what)?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX), what)
    }

    pub(super) fn text(&mut self, what: &str) -> Result<String, StoreError> {
        let length = usize::from(self.short(what)?);
        Ok(from_java(self.take(length, what)?))
    }
}

/// Decodes Java's UTF-8, which has letters beyond the basic plane as two surrogates, and U+0000 as two bytes.
fn from_java(bytes: &[u8]) -> String {
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, more)) = rest.split_first() {
        let low = |place: usize| {
            more.get(place).filter(|byte| **byte & 0xC0 == 0x80).map(|byte| u16::from(byte & 0x3F))
        };
        let (unit, used) = match (first, low(0), low(1)) {
            (0..=0x7F, ..) => (u16::from(first), 0),
            (0xC0..=0xDF, Some(a), _) => ((u16::from(first & 0x1F) << 6) | a, 1),
            (0xE0..=0xEF, Some(a), Some(b)) => ((u16::from(first & 0x0F) << 12) | (a << 6) | b, 2),
            _ => (0xFFFD, 0),
        };
        units.push(unit);
        rest = &more[used..];
    }
    String::from_utf16_lossy(&units)
}

/// Encodes a text as Java's UTF-8.
pub(super) fn to_java(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for unit in text.encode_utf16() {
        let low = |shift: u16| 0x80 | ((unit >> shift) & 0x3F).to_be_bytes()[1];
        let high = |shift: u16| (unit >> shift).to_be_bytes()[1];
        match unit {
            1..=0x7F => bytes.push(high(0)),
            0 | 0x80..=0x7FF => bytes.extend([0xC0 | high(6), low(0)]),
            _ => bytes.extend([0xE0 | high(12), low(6), low(0)]),
        }
    }
    bytes
}

fn broken(detail: &str) -> StoreError {
    StoreError::Damaged { detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_emoji_is_two_surrogates_of_three_bytes() {
        let bytes = [b's', 0xC3, 0xBC, 0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80, 0xC0, 0x80, 0xE2, 0x82, 0xAC];
        assert_eq!(from_java(&bytes), "sü😀\0€");
        assert_eq!(to_java("sü😀\0€"), bytes);
        assert_eq!(from_java(&[0xC3, b'a', 0xF0, 0xE2, 0x82]), "\u{FFFD}a\u{FFFD}\u{FFFD}\u{FFFD}");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(text: String) {
            prop_assert_eq!(from_java(&to_java(&text)), text);
        }
    }
}
