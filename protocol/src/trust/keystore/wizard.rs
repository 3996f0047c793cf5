//! The rules of the certificate wizard.
//!
//! Only RSA, since 12.1 [C S6]; up to 8192 bits [C S5]. What the vendor does not document is a field.

use super::super::certificate::{KeyAlgorithm, ServerCertificate};
use super::refusal::{FilePosition, KeystoreError};

/// Undocumented rules of the certificate wizard, set from the lab's assumptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WizardRules {
    /// The shortest key that the wizard accepts, in bits. The lab itself cannot sign with less than 2048.
    pub shortest_key_bits: u32,
    /// Whether the wizard accepts a certificate signed with SHA-1.
    pub sha1: bool,
    /// Whether the wizard reads JCEKS; the product does if the same Java wrote the file [C S6].
    pub jceks: bool,
}

impl Default for WizardRules {
    fn default() -> Self {
        Self { shortest_key_bits: 2048, sha1: true, jceks: true }
    }
}

impl WizardRules {
    /// Checks whether a manager accepts this certificate.
    ///
    /// # Errors
    /// The first rule that the certificate breaks.
    pub(super) fn check(
        &self,
        certificate: &ServerCertificate,
        at: &FilePosition,
    ) -> Result<(), KeystoreError> {
        let at = || at.clone();
        let KeyAlgorithm::Rsa { bits } = *certificate.key_algorithm() else {
            let found = certificate.key_algorithm().clone();
            return Err(KeystoreError::CertificateKey { at: at(), found });
        };
        let found = || certificate.signature_algorithm().to_owned();
        if !certificate.signature_is_rsa() {
            return Err(KeystoreError::CertificateSignature { at: at(), found: found() });
        }
        if certificate.version() != 3 {
            return Err(KeystoreError::CertificateVersion { at: at(), found: certificate.version() });
        }
        if !self.sha1 && found() == "sha1WithRSAEncryption" {
            return Err(KeystoreError::WeakSignature { at: at(), found: found() });
        }
        if bits < self.shortest_key_bits {
            return Err(KeystoreError::ShortKey { at: at(), expected: self.shortest_key_bits, found: bits });
        }
        Ok(())
    }
}
