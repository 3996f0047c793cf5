//! Just enough DER to replace one part of a certificate and keep every other byte.

use ::der::{Decode as _, Header, Reader as _, SliceReader};
use aws_lc_rs::digest;

use crate::time::Timestamp;
use crate::trust::tlv::integer;
pub(super) use crate::trust::tlv::value;

pub(super) const SEQUENCE: u8 = 0x30;
/// The tag of the extensions of a certificate.
pub(super) const EXTENSIONS: u8 = 0xA3;
const SET: u8 = 0x31;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const UTF8_STRING: u8 = 0x0C;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The extension `subjectAltName`, 2.5.29.17.
pub(super) const ALTERNATIVE_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x1D, 0x11];
/// The extension `authorityKeyIdentifier`, 2.5.29.35.
pub(super) const AUTHORITY_KEY: [u8; 5] = [0x06, 0x03, 0x55, 0x1D, 0x23];
/// `commonName`, 2.5.4.3.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
/// The critical extension `basicConstraints` of an authority.
const IS_AUTHORITY: [u8; 17] =
    [0x30, 0x0F, 0x06, 0x03, 0x55, 0x1D, 0x13, 0x01, 0x01, 0xFF, 0x04, 0x05, 0x30, 0x03, 0x01, 0x01, 0xFF];
/// `sha256WithRSAEncryption`, without parameters.
pub(super) const SHA256_WITH_RSA: [u8; 15] =
    [0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0B, 0x05, 0x00];

/// Encodes values one after the other under one tag.
pub(super) fn all(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    value(tag, &parts.concat())
}

/// Returns the content of a value.
pub(super) fn content(der: &[u8]) -> Option<&[u8]> {
    let mut reader = SliceReader::new(der).ok()?;
    let header = Header::decode(&mut reader).ok()?;
    reader.read_slice(header.length()).ok()
}

/// Splits a value into the values in it, each with its tag and length.
pub(super) fn parts(der: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut reader = SliceReader::new(content(der)?).ok()?;
    let mut parts = Vec::new();
    while !reader.is_finished() {
        parts.push(reader.tlv_bytes().ok()?.to_vec());
    }
    Some(parts)
}

/// Encodes a serial number of 63 bits, the hash of these bytes.
pub(super) fn serial(of: &[u8]) -> Vec<u8> {
    let mut number = digest::digest(&digest::SHA256, of).as_ref()[..8].to_vec();
    number[0] &= 0x7F;
    integer(&number)
}

/// Encodes a distinguished name of one common name.
pub(super) fn name(common_name: &str) -> Vec<u8> {
    let text = value(UTF8_STRING, common_name.as_bytes());
    value(SEQUENCE, &value(SET, &all(SEQUENCE, &[COMMON_NAME.to_vec(), text])))
}

/// Encodes the validity between two moments.
pub(super) fn validity(not_before: Timestamp, not_after: Timestamp) -> Vec<u8> {
    all(SEQUENCE, &[moment(not_before), moment(not_after)])
}

/// Encodes a moment: UTCTime until 2049, as RFC 5280 demands.
fn moment(moment: Timestamp) -> Vec<u8> {
    let civil = moment.civil();
    let (tag, form) = match civil.year() {
        1950..=2049 => (UTC_TIME, "%y%m%d%H%M%SZ"),
        _ => (GENERALIZED_TIME, "%Y%m%d%H%M%SZ"),
    };
    value(tag, civil.strftime(form).to_string().as_bytes())
}

/// Encodes the extension that names the host of a certificate.
pub(super) fn alternative_name(host: &str) -> Vec<u8> {
    const DNS_NAME: u8 = 0x82;
    let names = value(SEQUENCE, &value(DNS_NAME, host.as_bytes()));
    all(SEQUENCE, &[ALTERNATIVE_NAME.to_vec(), value(OCTET_STRING, &names)])
}

/// Encodes the extensions of an authority.
pub(super) fn extensions_of_an_authority() -> Vec<u8> {
    value(EXTENSIONS, &value(SEQUENCE, &IS_AUTHORITY))
}

/// Encodes a signature as at the end of a certificate.
pub(super) fn signature(bytes: &[u8]) -> Vec<u8> {
    value(BIT_STRING, &[&[0], bytes].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_apart_is_put_together_the_same() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let der = value(SEQUENCE, &value(OCTET_STRING, &vec![7; length]));
            assert_eq!(all(SEQUENCE, &parts(&der).unwrap()), der);
        }
    }

    #[test]
    fn what_breaks_off_is_no_value() {
        for bad in [&[][..], &[0x30], &[0x30, 5, 1], &[0x30, 0x84, 1], &[0x30, 0x80], &[0x30, 0x88, 255]] {
            assert!(parts(bad).is_none(), "{bad:?}");
        }
    }
}
