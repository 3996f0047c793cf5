//! The identity of a manager: a key and its certificate.

use super::super::certificate::{Fingerprint, ServerCertificate};
use super::super::signature::SigningKey;
use super::refusal::{FilePosition, KeystoreError};
use super::wizard::check_size;

/// A key and a certificate that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIdentity {
    key: SigningKey,
    certificate: ServerCertificate,
    /// The certificates of the manager's issuers.
    chain: Vec<ServerCertificate>,
}

impl ServerIdentity {
    /// Joins a key and its certificate.
    ///
    /// # Errors
    /// If the certificate is for another key.
    pub fn new(key: SigningKey, certificate: ServerCertificate) -> Result<Self, KeystoreError> {
        Self::join(key, certificate, FilePosition::of("the private key"), "the certificate")
    }

    /// Adds the certificates of the issuers.
    #[must_use]
    pub fn with_chain(self, chain: Vec<ServerCertificate>) -> Self {
        Self { chain, ..self }
    }

    /// Checks that a server can present the certificate with its chain.
    ///
    /// # Errors
    /// If the two are larger than a TLS message.
    pub(crate) fn check_size(&self) -> Result<(), KeystoreError> {
        let all = std::iter::once(self.certificate()).chain(self.chain());
        check_size(all, &FilePosition::of("the certificate"))
    }

    pub(super) fn join(
        key: SigningKey,
        certificate: ServerCertificate,
        key_place: FilePosition,
        certificate_name: &str,
    ) -> Result<Self, KeystoreError> {
        if !certificate.is_for_rsa(key.rsa_public_key_der()) {
            return Err(KeystoreError::Mismatch {
                at: key_place,
                certificate: certificate_name.to_owned(),
                expected: Box::new(Fingerprint::of(certificate.public_key_der())),
                found: Box::new(Fingerprint::of(key.public_key_der())),
            });
        }
        Ok(Self { key, certificate, chain: Vec::new() })
    }

    /// The private key.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The certificate.
    pub fn certificate(&self) -> &ServerCertificate {
        &self.certificate
    }

    /// The certificates of the issuers, the nearest first; empty for a self-signed certificate.
    pub fn chain(&self) -> &[ServerCertificate] {
        &self.chain
    }
}
