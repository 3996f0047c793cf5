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
    /// Whether the wizard accepts a certificate signed with MD5, or the older MD2.
    pub md5: bool,
    /// Whether the wizard accepts a certificate with an RSASSA-PSS signature.
    pub pss: bool,
    /// Whether the wizard accepts a certificate signed with SHA-512/256 or SHA-512/224.
    pub sha512_256: bool,
    /// Whether the wizard accepts a certificate signed with SHA-3.
    pub sha3: bool,
    /// Whether the wizard accepts a certificate of X.509 v1 or v2.
    pub x509_v1: bool,
    /// Whether the wizard reads JCEKS; the product does if the same Java wrote the file [C S6].
    pub jceks: bool,
}

impl Default for WizardRules {
    fn default() -> Self {
        Self {
            shortest_key_bits: 2048,
            sha1: true,
            md5: false,
            pss: false,
            sha512_256: false,
            sha3: false,
            x509_v1: false,
            jceks: true,
        }
    }
}

impl WizardRules {
    /// Rules that refuse nothing by assumption.
    pub const ALL: Self = Self {
        shortest_key_bits: 0,
        sha1: true,
        md5: true,
        pss: true,
        sha512_256: true,
        sha3: true,
        x509_v1: true,
        jceks: true,
    };

    /// Checks whether a manager accepts this certificate.
    ///
    /// # Errors
    /// The first rule that the certificate breaks.
    pub fn check(&self, certificate: &ServerCertificate, at: &FilePosition) -> Result<(), KeystoreError> {
        let at = || at.clone();
        let KeyAlgorithm::Rsa { bits } = *certificate.key_algorithm() else {
            let found = certificate.key_algorithm().clone();
            return Err(KeystoreError::CertificateKey { at: at(), found });
        };
        let found = || certificate.signature_algorithm().to_owned();
        match self.assumed(certificate.signature_algorithm()) {
            Some((_, true)) => {}
            Some((assumption, false)) => {
                return Err(KeystoreError::AssumedSignature { at: at(), found: found(), assumption });
            }
            None => return Err(KeystoreError::CertificateSignature { at: at(), found: found() }),
        }
        if certificate.version() != 3 && !self.x509_v1 {
            return Err(KeystoreError::CertificateVersion { at: at(), found: certificate.version() });
        }
        if bits < self.shortest_key_bits {
            return Err(KeystoreError::ShortKey { at: at(), expected: self.shortest_key_bits, found: bits });
        }
        Ok(())
    }

    /// Whether the wizard accepts this algorithm of a signature, and the assumption that says so; none if the algorithm
    /// is not one of RSA. What the vendor's text leaves no doubt about has no assumption.
    fn assumed(&self, signature: &str) -> Option<(&'static str, bool)> {
        Some(match signature {
            "sha224WithRSAEncryption"
            | "sha256WithRSAEncryption"
            | "sha384WithRSAEncryption"
            | "sha512WithRSAEncryption" => ("", true),
            "sha1WithRSAEncryption" => ("wizard_takes_sha1", self.sha1),
            "md2WithRSAEncryption" | "md5WithRSAEncryption" => ("wizard_takes_md5", self.md5),
            "rsassaPss" => ("wizard_takes_pss", self.pss),
            "sha512-224WithRSAEncryption" | "sha512-256WithRSAEncryption" => {
                ("wizard_takes_sha512_256", self.sha512_256)
            }
            sha3 if sha3.starts_with("sha3-") => ("wizard_takes_sha3", self.sha3),
            _ => return None,
        })
    }
}

/// The largest handshake message that TLS libraries read, in bytes. rustls reads no longer one, and counts with it all
/// that the server sends in the same flight.
const HANDSHAKE: usize = 65_535;
/// The bytes of a flight of TLS 1.3 beside certificates and signature: the headers and seals of four records, the
/// server's extensions, and the rest of the messages Certificate, CertificateVerify and Finished.
const AROUND: usize = 4 * 22 + 6 + 8 + 8 + 52;

/// Checks that a server can present a certificate with this chain: all of it fits into one handshake message.
///
/// # Errors
/// If it does not.
pub(super) fn check_size<'a>(
    chain: impl IntoIterator<Item = &'a ServerCertificate>,
    at: &FilePosition,
) -> Result<(), KeystoreError> {
    let (mut found, mut count, mut signature) = (0, 0, 0);
    for (place, one) in chain.into_iter().enumerate() {
        found += one.der().len();
        count = place + 1;
        if let (0, KeyAlgorithm::Rsa { bits }) = (place, one.key_algorithm()) {
            signature = usize::try_from(bits.div_ceil(8)).unwrap_or(0);
        }
    }
    // Each certificate has a length before it and its extensions behind it.
    let expected = HANDSHAKE.saturating_sub(AROUND + signature + 5 * count);
    if found > expected {
        return Err(KeystoreError::TooLargeForTls { at: at.clone(), expected, found });
    }
    Ok(())
}
