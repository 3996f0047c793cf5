//! PEM as found in practice: with comments, Windows line ends, several blocks, and pieces missing.
//!
//! Parsed by hand because of the line numbers: an error says in which line half a file ends.

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::{Engine as _, alphabet};

use crate::excerpt::excerpt;

/// A block from `BEGIN` to `END`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The words after BEGIN.
    pub(super) label: String,
    /// The line of the BEGIN, from 1.
    pub(super) line: usize,
    /// The decoded bytes.
    pub(super) contents: Vec<u8>,
    /// The encryption of the contents (`Proc-Type: 4,ENCRYPTED`) according to `DEK-Info`; empty if no header names it.
    pub(super) cipher: Option<String>,
}

/// An error in a PEM text, and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PemError {
    /// A BEGIN without its END.
    Truncated { label: String, line: usize },
    /// An END without its BEGIN.
    StrayEnd { label: String, line: usize },
    /// Lines between BEGIN and END that are not base64; `line` is that with the defect.
    NotBase64 { label: String, line: usize, detail: String },
}

/// Whether these bytes look like PEM: a line begins or ends a block.
pub(super) fn looks_like_pem(bytes: &[u8]) -> bool {
    lines(bytes).any(|(_, line)| boundary(line).is_some())
}

/// Reads all blocks of a text. Everything outside of blocks is comment.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Block>, PemError> {
    let mut blocks = Vec::new();
    let mut lines = lines(bytes);
    while let Some((line, text)) = lines.next() {
        match boundary(text) {
            Some(Boundary::Begin(label)) => blocks.push(read_block(label, line, &mut lines)?),
            Some(Boundary::End(label)) => return Err(PemError::StrayEnd { label: excerpt(label), line }),
            None => {}
        }
    }
    Ok(blocks)
}

/// Writes a block with lines of 64 digits, as openssl does.
pub(super) fn write(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = STANDARD.encode(der);
    while !rest.is_empty() {
        let after = rest.split_off(rest.len().min(64));
        text.push_str(&rest);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn read_block<'a>(
    label: &str,
    line: usize,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Result<Block, PemError> {
    let mut digits = String::new();
    let mut cipher = None;
    let not_base64 = |line, detail| PemError::NotBase64 { label: excerpt(label), line, detail };
    for (number, text) in lines {
        match boundary(text) {
            Some(Boundary::End(end)) if end == label => {
                let contents = BASE64.decode(&digits).map_err(|_| not_base64(line, why_not(&digits)))?;
                return Ok(Block { label: label.to_owned(), line, contents, cipher });
            }
            Some(_) => break,
            None if text.contains(':') => {
                if let Some(with) = text.strip_prefix("DEK-Info:") {
                    cipher = Some(with.trim().to_owned());
                } else if text.contains("ENCRYPTED") && cipher.is_none() {
                    cipher = Some(String::new());
                }
            }
            None => {
                let is_digit = |c: char| c.is_ascii_alphanumeric() || "+/= \t".contains(c);
                if let Some(other) = text.chars().find(|c| !is_digit(*c)) {
                    return Err(not_base64(number, format!("it has the character {other:?}")));
                }
                digits.extend(text.split_ascii_whitespace());
            }
        }
    }
    Err(PemError::Truncated { label: excerpt(label), line })
}

/// Base64 as programs write it: the unused bits of the last digit are not always zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// What is wrong with digits that cannot be decoded, all of them in the alphabet.
fn why_not(digits: &str) -> String {
    match digits.trim_end_matches('=').find('=') {
        Some(_) => "it has an equals sign before its end".to_owned(),
        None => format!("its digits are {}, not a multiple of four: a part is missing", digits.len()),
    }
}

enum Boundary<'a> {
    Begin(&'a str),
    End(&'a str),
}

fn boundary(line: &str) -> Option<Boundary<'_>> {
    let inner = line.strip_prefix("-----")?.strip_suffix("-----")?;
    if inner.contains("-----") {
        return None; // a whole block on one line
    }
    inner
        .strip_prefix("BEGIN ")
        .map(Boundary::Begin)
        .or_else(|| inner.strip_prefix("END ").map(Boundary::End))
}

/// The numbered and trimmed lines; one that is not UTF-8 is a replacement character. A file without line feeds has
/// carriage returns between its lines, as on old Macs.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &str)> {
    let without_mark = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let end = if without_mark.contains(&b'\n') { b'\n' } else { b'\r' };
    without_mark
        .split(move |byte| *byte == end)
        .enumerate()
        .map(|(index, line)| (index + 1, std::str::from_utf8(line).unwrap_or("\u{FFFD}").trim()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_are_found_between_comments_and_windows_line_ends() {
        let text = "\u{FEFF}-----BEGIN A-----\r\nAQID\r\n-----END A-----\r\nsubject=x\r\n\
            -----BEGIN B-----\nBA==\n-----END B-----";
        let blocks = read(text.as_bytes()).unwrap();
        let seen: Vec<_> = blocks.iter().map(|b| (b.label.as_str(), b.line, b.contents.clone())).collect();
        assert_eq!(seen, [("A", 1, vec![1, 2, 3]), ("B", 5, vec![4])]);
    }

    #[test]
    fn a_block_that_breaks_off_is_named_by_its_beginning() {
        let truncated = |line| Err(PemError::Truncated { label: "A".into(), line });
        assert_eq!(read(b"\n-----BEGIN A-----\nAQID\n"), truncated(2));
        assert_eq!(
            read(b"-----BEGIN A-----\nAQID\n-----BEGIN B-----\nAQID\n-----END B-----\n"),
            truncated(1)
        );
        assert_eq!(read(b"-----BEGIN A-----\nAQID\n-----END B-----\n"), truncated(1));
        assert_eq!(read(b"AQID\n-----END A-----\n"), Err(PemError::StrayEnd { label: "A".into(), line: 2 }));
        let broken = read(b"x\n-----BEGIN A-----\n!!!!\n-----END A-----\n");
        assert!(matches!(broken, Err(PemError::NotBase64 { line: 3, .. })), "{broken:?}");
    }

    #[test]
    fn headers_tell_that_a_block_is_encrypted() {
        let text =
            b"-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAQID\n-----END A-----\n";
        assert_eq!(read(text).unwrap()[0].cipher.as_deref(), Some("AES-128-CBC,00"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(der in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = write("CERTIFICATE", &der);
            prop_assert!(text.lines().all(|line| line.len() <= 64));
            prop_assert_eq!(&read(text.as_bytes()).unwrap()[0].contents, &der);
        }

        #[test]
        fn nothing_makes_the_reader_panic(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just(b"-----BEGIN A-----\n".to_vec()),
                    Just(b"-----END A-----\n".to_vec()),
                    Just(b"-----".to_vec()),
                    proptest::collection::vec(any::<u8>(), 0..40),
                ],
                0..8,
            )
        ) {
            let _ = looks_like_pem(&pieces.concat());
            let _ = read(&pieces.concat());
        }
    }
}
