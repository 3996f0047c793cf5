//! The text in the bytes of a log: UTF-8, UTF-16, or a code page of Windows.
//!
//! The meaning of the text is not known here.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::error::LogError;

/// The number of bytes that are looked at to tell UTF-16 without a byte order mark.
const SAMPLE: usize = 4096;

/// The text of a log, and the encoding that it was in.
#[derive(Clone, Debug)]
pub(super) struct Decoded {
    pub(super) text: String,
    pub(super) encoding: &'static Encoding,
}

/// Decodes the bytes of a log. An encoding that is given is used, UTF-16 in the order of a byte order mark; otherwise such a mark
/// decides, then the zero bytes of UTF-16, then whether the bytes are UTF-8. What is left is read as windows-1252, in which every byte is a character.
pub(super) fn decode(bytes: &[u8], given: Option<&'static Encoding>) -> Result<Decoded, LogError> {
    let marked = Encoding::for_bom(bytes).map(|(found, _)| found);
    let is_utf_16 = |one: Option<&Encoding>| one == Some(UTF_16LE) || one == Some(UTF_16BE);
    let given = if is_utf_16(given) && is_utf_16(marked) { marked } else { given };
    let encoding = given.or(marked).or_else(|| utf_16(bytes));
    if encoding.is_none()
        && let Some(place) = bytes.iter().position(|byte| *byte == 0)
    {
        // A file that was allocated in advance ends in zero bytes.
        if bytes[place..].iter().any(|byte| *byte != 0) {
            let line = 1 + bytes[..place].iter().filter(|byte| **byte == b'\n').count();
            return Err(LogError::NotText { line, byte: 0 });
        }
        return decode(&bytes[..place], given);
    }
    let encoding = encoding.unwrap_or_else(|| {
        let is_utf_8 = std::str::from_utf8(bytes).is_ok();
        if is_utf_8 { UTF_8 } else { WINDOWS_1252 }
    });
    let (text, _) = encoding.decode_with_bom_removal(bytes);
    Ok(Decoded { text: text.trim_end_matches('\0').to_owned(), encoding })
}

/// Finds the encoding with this name, such as `windows-1251` or `utf-16le`.
pub(super) fn named(name: &str) -> Result<&'static Encoding, LogError> {
    Encoding::for_label(name.as_bytes()).ok_or_else(|| LogError::Encoding { name: name.to_owned() })
}

/// UTF-16 without a byte order mark: in a log, which is mostly ASCII, every other byte is zero.
fn utf_16(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    let zeros = |odd: usize| sample.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    let most = sample.len() / 2 * 3 / 4;
    match (first, second) {
        _ if sample.len() < 8 => None,
        (0, second) if second > most => Some(UTF_16LE),
        (first, 0) if first > most => Some(UTF_16BE),
        _ => None,
    }
}

/// The number of bytes of a character in this encoding.
pub(super) fn width(encoding: &'static Encoding, one: char) -> usize {
    if encoding == UTF_8 {
        one.len_utf8()
    } else if encoding == UTF_16LE || encoding == UTF_16BE {
        2 * one.len_utf16()
    } else if encoding.is_single_byte() || one.is_ascii() {
        1
    } else {
        2
    }
}
