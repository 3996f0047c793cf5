//! In which bytes a communications file is written.

use std::borrow::Cow;

use super::error::SylinkError;
use super::xml::{Position, end_of};

/// How the characters of a file become bytes. Tools of Windows like UTF-16; the published sample is UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// UTF-16, the lower byte first.
    Utf16Le,
    /// UTF-16, the higher byte first.
    Utf16Be,
}

impl Encoding {
    /// Of a file with these bytes: by its byte order mark, or by how it writes the `<` that it begins with. What it
    /// declares does not count: an editor that changes the one often leaves the other.
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
                    return Err(broken(&text, format!("half a pair, 0x{:04X}", error.unpaired_surrogate())));
                }
            }
        }
        if let [byte] = rest {
            return Err(broken(&text, format!("half a character, the byte 0x{byte:02X}")));
        }
        Ok(Cow::Owned(text))
    }

    /// This text in bytes.
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
