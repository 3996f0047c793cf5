//! The character encoding of a communications file.

use std::borrow::Cow;

use super::error::SylinkError;
use super::xml::{Position, end_of};

/// The character encoding of a file. Windows tools often write UTF-16; the published sample is UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// UTF-16, little-endian.
    Utf16Le,
    /// UTF-16, big-endian.
    Utf16Be,
}

impl Encoding {
    /// Detects the encoding by the byte order mark, or by the bytes of the first `<`. The declaration in the file
    /// does not count: an editor that changes the encoding often leaves it.
    pub(super) fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0xFF, 0xFE, ..] | [b'<', 0, ..] => Self::Utf16Le,
            [0xFE, 0xFF, ..] | [0, b'<', ..] => Self::Utf16Be,
            _ => Self::Utf8,
        }
    }

    pub(super) fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, SylinkError> {
        let unit = match self {
            Self::Utf8 => return utf8(bytes).map(Cow::Borrowed),
            Self::Utf16Le => u16::from_le_bytes,
            Self::Utf16Be => u16::from_be_bytes,
        };
        let (pairs, rest) = bytes.as_chunks::<2>();
        let mut text = String::with_capacity(pairs.len());
        let broken = |text: &str, found: String| {
            let Position { line, column } = end_of(text);
            SylinkError::NotUtf16 { line, column, found }
        };
        for read in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
            match read {
                Ok(character) => text.push(character),
                Err(error) => {
                    return Err(broken(
                        &text,
                        format!("an unpaired surrogate, 0x{:04X}", error.unpaired_surrogate()),
                    ));
                }
            }
        }
        if let [byte] = rest {
            return Err(broken(&text, format!("an incomplete character, the byte 0x{byte:02X}")));
        }
        Ok(Cow::Owned(text))
    }

    /// Encodes this text.
    pub fn encode(self, text: &str) -> Vec<u8> {
        let bytes = match self {
            Self::Utf8 => return text.as_bytes().to_vec(),
            Self::Utf16Le => u16::to_le_bytes,
            Self::Utf16Be => u16::to_be_bytes,
        };
        text.encode_utf16().flat_map(bytes).collect()
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, SylinkError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let (text, rest) = bytes.split_at(error.valid_up_to());
        let Position { line, column } = end_of(&String::from_utf8_lossy(text));
        SylinkError::NotUtf8 { line, column, found: rest.first().copied().unwrap_or_default() }
    })
}
