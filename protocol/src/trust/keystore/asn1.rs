//! The few ASN.1 types in keystores, and the conversion of BER to DER.
//!
//! Some programs write PKCS#12 with indefinite lengths; [`canonical`] makes DER of it, for the parser of the
//! strict encoding.

use der::asn1::{Any, ObjectIdentifier, OctetString};
use der::{Decode, Encode, Reader as _, Sequence, SliceReader, Tag, Tagged as _};

use super::super::tlv;
use super::refusal::StoreError;

/// An algorithm and its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct Algorithm {
    pub(super) oid: ObjectIdentifier,
    pub(super) parameters: Option<Any>,
}

/// A PKCS#8 key, encrypted with a password.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct EncryptedKey {
    pub(super) algorithm: Algorithm,
    pub(super) data: OctetString,
}

/// Salt and rounds, the parameters of every password-based scheme before PBES2.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct SaltAndRounds {
    pub(super) salt: OctetString,
    pub(super) rounds: u32,
}

/// The library's errors mention positions and tags, never content.
impl From<der::Error> for StoreError {
    fn from(error: der::Error) -> Self {
        Self::Damaged { detail: format!("its ASN.1 is malformed: {error}") }
    }
}

/// Reads exactly one value.
pub(super) fn read<'a, T: Decode<'a, Error = der::Error>>(der: &'a [u8]) -> Result<T, StoreError> {
    Ok(T::from_der(der)?)
}

/// Reads values one after the other, as in a SEQUENCE OF without its own tag.
pub(super) fn read_all<'a, T: Decode<'a, Error = der::Error>>(
    content: &'a [u8],
) -> Result<Vec<T>, StoreError> {
    let mut reader = SliceReader::new(content)?;
    let mut all = Vec::new();
    while !reader.is_finished() {
        all.push(T::decode(&mut reader)?);
    }
    Ok(all)
}

/// Writes a value.
pub(super) fn write(value: &impl Encode) -> Result<Vec<u8>, StoreError> {
    Ok(value.to_der()?)
}

/// The content of a value of this tag.
pub(super) fn content(any: &Any, tag: Tag) -> Result<&[u8], StoreError> {
    if any.tag() == tag {
        return Ok(any.value());
    }
    Err(StoreError::Damaged { detail: format!("expected {tag}, found {}", any.tag()) })
}

/// Converts a value to DER: definite lengths, OCTET STRINGs in one piece.
pub(super) fn canonical(ber: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut out = Vec::with_capacity(ber.len());
    let mut rest = ber;
    while !rest.is_empty() {
        rest = one(rest, &mut out, DEPTH)?;
    }
    Ok(out)
}

/// The deepest nesting of a file that is read.
const DEPTH: u32 = 24;
const CONSTRUCTED: u8 = 0x20;
const OCTETS: u8 = 0x04;
const END: &[u8] = &[0, 0];

fn broken(what: &str) -> StoreError {
    StoreError::Damaged { detail: what.to_owned() }
}

/// Rewrites the first value, and returns the bytes after it.
fn one<'a>(ber: &'a [u8], out: &mut Vec<u8>, depth: u32) -> Result<&'a [u8], StoreError> {
    let depth = depth.checked_sub(1).ok_or_else(|| broken("it is nested too deeply"))?;
    let (&tag, rest) = ber.split_first().ok_or_else(|| broken("it ends before a tag"))?;
    if tag & 0x1F == 0x1F {
        return Err(broken("it has a tag of more than one byte"));
    }
    let (length, rest) = length(rest)?;
    let mut content = Vec::new();
    let rest = match length {
        Some(length) => {
            let (body, rest) =
                rest.split_at_checked(length).ok_or_else(|| broken("it ends within a value"))?;
            if tag & CONSTRUCTED == 0 {
                content.extend_from_slice(body);
            } else {
                let mut body = body;
                while !body.is_empty() {
                    body = one(body, &mut content, depth)?;
                }
            }
            rest
        }
        None if tag & CONSTRUCTED == 0 => return Err(broken("a primitive value has an indefinite length")),
        None => {
            let mut rest = rest;
            loop {
                if let Some(behind) = rest.strip_prefix(END) {
                    break behind;
                }
                rest = one(rest, &mut content, depth)?;
            }
        }
    };
    // An OCTET STRING in pieces becomes one; its pieces are primitive by now.
    if tag == OCTETS | CONSTRUCTED {
        out.extend(tlv::value(OCTETS, &joined(&content)?));
    } else {
        out.extend(tlv::value(tag, &content));
    }
    Ok(rest)
}

/// The content of consecutive OCTET STRINGs.
pub(super) fn joined(pieces: &[u8]) -> Result<Vec<u8>, StoreError> {
    let pieces: Vec<OctetString> = read_all(pieces)?;
    Ok(pieces.iter().flat_map(|piece| piece.as_bytes()).copied().collect())
}

fn length(bytes: &[u8]) -> Result<(Option<usize>, &[u8]), StoreError> {
    let off = || broken("it ends within a length");
    let (&first, rest) = bytes.split_first().ok_or_else(off)?;
    match first {
        0..=0x7F => Ok((Some(usize::from(first)), rest)),
        0x80 => Ok((None, rest)),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F)).ok_or_else(off)?;
            let length = digits.iter().fold(0_usize, |length, digit| (length << 8) | usize::from(*digit));
            Ok((Some(length), rest))
        }
        _ => Err(broken("a length is longer than any file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_were_not_said_are_said_and_pieces_are_joined() {
        let ber = [0x30, 0x80, 0x24, 0x80, 0x04, 1, b'a', 0x04, 2, b'b', b'c', 0, 0, 0x02, 1, 7, 0, 0];
        assert_eq!(canonical(&ber).unwrap(), [0x30, 8, 0x04, 3, b'a', b'b', b'c', 0x02, 1, 7]);
        let der = [0x30, 3, 0x02, 1, 7];
        assert_eq!(canonical(&der).unwrap(), der);
        let long = [&[0x04, 0x82, 0, 0x90][..], &[1; 0x90]].concat();
        assert_eq!(canonical(&long).unwrap()[..4], [0x04, 0x81, 0x90, 1]);
    }

    #[test]
    fn what_breaks_off_or_nests_without_end_is_refused() {
        for ber in [&[0x30][..], &[0x30, 0x80], &[0x30, 5, 1], &[0x04, 0x80, 0, 0], &[0x1F, 1, 1], &[4, 0x89]]
        {
            assert!(canonical(ber).is_err(), "{ber:?}");
        }
        let deep = [0x30, 0x80].repeat(10_000);
        assert!(canonical(&deep).unwrap_err().to_string().contains("nested too deeply"));
    }
}
