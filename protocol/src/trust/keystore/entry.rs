//! The entries that every keystore format has, their keys still encrypted.

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

/// An entry of a keystore, under its alias.
pub(super) struct KeystoreEntry {
    pub(super) alias: String,
    pub(super) content: EntryContent,
}

pub(super) enum EntryContent {
    Key {
        key: ProtectedKey,
        /// The manager's certificate first; all of the store's if not `linked`.
        chain: Vec<Vec<u8>>,
        /// Whether the store says which certificate belongs to the key.
        linked: bool,
    },
    Certificate(Vec<u8>),
    Other(&'static str),
}

/// A private key before its password is applied.
pub(super) enum ProtectedKey {
    /// PKCS#8, unencrypted.
    Plain(Zeroizing<Vec<u8>>),
    /// PKCS#8, encrypted with a password in one of many ways.
    Encrypted(Zeroizing<Vec<u8>>),
}

/// Whether the second certificate is that of the first's issuer; a certificate is never its own issuer.
pub(super) fn issued_by(der: &[u8], by: &[u8]) -> bool {
    let (Ok((_, one)), Ok((_, other))) = (X509Certificate::from_der(der), X509Certificate::from_der(by))
    else {
        return false;
    };
    one.issuer().as_raw() == other.subject().as_raw() && one.subject().as_raw() != other.subject().as_raw()
}
