//! Shared by the tests of this folder: certificates made here, and files made by openssl.

use super::certificate::{ServerCertificate, Validity};
use super::issuer::{CertificateRequest, issue};
use super::pool::KeyPool;
use crate::time::Timestamp;

/// A request for 2026 to 2036, with these names and the common name `manager`.
pub(super) fn request(names: &[&str]) -> CertificateRequest {
    CertificateRequest {
        common_name: "manager".to_owned(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        validity: Validity {
            not_before: moment("2026-01-01T00:00:00Z"),
            not_after: moment("2035-12-31T23:59:59Z"),
        },
        serial: 1,
    }
}

/// The certificate of the `n`th public key.
pub(super) fn certificate(n: usize) -> ServerCertificate {
    issue(KeyPool::public().get(n), &request(&["127.0.0.1", "manager.example"])).unwrap()
}

pub(super) fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) const POOL_00: &[u8] = include_bytes!("pool/00.pem");
pub(super) const POOL_00_AS_PKCS1: &[u8] = include_bytes!("samples/rsa-pkcs1.key");
pub(super) const POOL_01: &[u8] = include_bytes!("pool/01.pem");
/// A certificate of pool key 1: three parts in the subject, four alternative names, SHA-512.
pub(super) const BY_OPENSSL: &[u8] = include_bytes!("samples/openssl.crt");
/// A certificate of pool key 0, signed with PSS.
pub(super) const PSS: &[u8] = include_bytes!("samples/pss.crt");
/// A certificate of pool key 0, signed by an authority with an elliptic curve.
pub(super) const RSA_BY_EC: &[u8] = include_bytes!("samples/rsa-by-ec.crt");
pub(super) const EC: &[u8] = include_bytes!("samples/ec.crt");
pub(super) const EC_PKCS8: &[u8] = include_bytes!("samples/ec-pkcs8.key");
pub(super) const EC_SEC1: &[u8] = include_bytes!("samples/ec-sec1.key");
pub(super) const ED25519: &[u8] = include_bytes!("samples/ed25519.key");
pub(super) const DSA_PKCS8: &[u8] = include_bytes!("samples/dsa-pkcs8.key");
pub(super) const DSA_BARE: &[u8] = include_bytes!("samples/dsa-bare.key");
pub(super) const RSA_1024: &[u8] = include_bytes!("samples/rsa-1024.key");
pub(super) const ENCRYPTED_PKCS8: &[u8] = include_bytes!("samples/encrypted-pkcs8.key");
pub(super) const ENCRYPTED_LEGACY: &[u8] = include_bytes!("samples/encrypted-legacy.key");
