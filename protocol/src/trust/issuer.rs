//! Makes certificates for managers, self-signed like those of the product's own wizard [C S4].
//!
//! The same key and the same request give the same bytes, so the certificates of a rehearsal can be identified by their
//! fingerprints.

use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm, date_time_ymd,
};

use super::certificate::{CertificateError, NO_END, ServerCertificate, Validity};
use super::signature::SigningKey;
use crate::time::Timestamp;

/// The content of a certificate to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The common name of the subject and issuer.
    pub common_name: String,
    /// The host names and IP addresses of the subject alternative name.
    pub names: Vec<String>,
    /// The validity period, in whole seconds. [`Timestamp::NEVER`] is written as RFC 5280 has it, as the last second of
    /// the year 9999.
    pub validity: Validity,
    /// The serial number of the certificate.
    pub serial: u64,
}

/// Maximum length of a name in a certificate, in characters: that of a host name with its dots.
const LONGEST_NAME: usize = 255;

/// The reason why a certificate could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The validity would end before it begins.
    #[error("the validity ends at {not_after}, before it begins at {not_before}")]
    Backwards {
        /// The requested first moment.
        not_before: Timestamp,
        /// The requested last moment.
        not_after: Timestamp,
    },
    /// The moment cannot be written in a certificate.
    #[error("{found} cannot be written in a certificate: expected a moment in the years 1 to 9999")]
    Date {
        /// The requested moment.
        found: Timestamp,
    },
    /// The name is neither a host name nor an address.
    #[error("invalid name {found:?} for a certificate: expected a host name or an IP address")]
    Name {
        /// The requested name.
        found: String,
    },
    /// The common name is too long, or not printable.
    #[error(
        "invalid common name of {characters} characters: expected 1 to {LONGEST_NAME}, without control characters"
    )]
    CommonName {
        /// Length of the requested name.
        characters: usize,
    },
    /// The library refused the request for another reason.
    #[error("the certificate could not be made: {detail}")]
    Refused {
        /// The message of the library.
        detail: String,
    },
}

impl From<CertificateError> for IssueError {
    fn from(error: CertificateError) -> Self {
        Self::Refused { detail: error.to_string() }
    }
}

/// Makes a self-signed certificate, RSA with SHA-256.
///
/// It is marked as a server's and not an authority's, and has no key usage: older OpenSSL does not accept a self-signed
/// certificate as its own anchor if its key usage lacks the signing of certificates, and some verifiers do not accept
/// an authority's certificate from a server.
///
/// # Errors
/// If something in the request cannot be written in a certificate.
pub fn issue(key: &SigningKey, request: &CertificateRequest) -> Result<ServerCertificate, IssueError> {
    let certificate = server(request)?
        .self_signed(&Signer(key))
        .map_err(|error| IssueError::Refused { detail: error.to_string() })?;
    Ok(ServerCertificate::from_der(certificate.der())?)
}

/// Makes a certificate signed by an authority of this name. Returns a chain of two, the authority's certificate last.
///
/// # Errors
/// If something in the request, or the authority's name, cannot be written in a certificate.
pub fn issue_by_authority(
    key: &SigningKey,
    request: &CertificateRequest,
    authority: &SigningKey,
    authority_name: &str,
) -> Result<[ServerCertificate; 2], IssueError> {
    let refused = |error: rcgen::Error| IssueError::Refused { detail: error.to_string() };
    let of_authority = CertificateRequest {
        common_name: authority_name.to_owned(),
        names: Vec::new(),
        validity: request.validity,
        serial: request.serial.wrapping_add(1),
    };
    let mut parameters = server(&of_authority)?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.extended_key_usages = Vec::new();
    let root = parameters.self_signed(&Signer(authority)).map_err(refused)?;
    let issuer = Issuer::new(parameters, Signer(authority));
    let mut parameters = server(request)?;
    parameters.use_authority_key_identifier_extension = true;
    let leaf = parameters.signed_by(&Signer(key), &issuer).map_err(refused)?;
    Ok([ServerCertificate::from_der(leaf.der())?, ServerCertificate::from_der(root.der())?])
}

fn server(request: &CertificateRequest) -> Result<CertificateParams, IssueError> {
    let Validity { not_before, not_after } = request.validity;
    if not_after < not_before {
        return Err(IssueError::Backwards { not_before, not_after });
    }
    let characters = request.common_name.chars().count();
    if !(1..=LONGEST_NAME).contains(&characters) || request.common_name.chars().any(char::is_control) {
        return Err(IssueError::CommonName { characters });
    }
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, request.common_name.as_str());

    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = subject;
    parameters.subject_alt_names =
        request.names.iter().map(|name| alternative_name(name)).collect::<Result<_, _>>()?;
    // The type of a date belongs to a crate that is not a dependency: it is reached by counting from the
    // epoch.
    let epoch = date_time_ymd(1970, 1, 1);
    let (before, after) = (offset(not_before)?, offset(not_after)?);
    parameters.not_before = if before.past { epoch - before.distance } else { epoch + before.distance };
    parameters.not_after = if after.past { epoch - after.distance } else { epoch + after.distance };
    parameters.serial_number = Some(SerialNumber::from(request.serial));
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(parameters)
}

fn alternative_name(name: &str) -> Result<SanType, IssueError> {
    let refused = || IssueError::Name { found: name.chars().take(LONGEST_NAME).collect() };
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_part) {
        return Err(refused());
    }
    name.try_into().map(SanType::DnsName).map_err(|_| refused())
}

/// The distance of a moment from the epoch.
struct Offset {
    past: bool,
    distance: Duration,
}

fn offset(moment: Timestamp) -> Result<Offset, IssueError> {
    const FIRST: i64 = -62_135_596_800;
    let seconds = if moment == Timestamp::NEVER { NO_END } else { moment.as_seconds() };
    if !(FIRST..=NO_END).contains(&seconds) {
        return Err(IssueError::Date { found: moment });
    }
    Ok(Offset { past: seconds < 0, distance: Duration::from_secs(seconds.unsigned_abs()) })
}

/// Lets rcgen sign with a parsed key, so that it is not parsed a second time.
struct Signer<'a>(&'a SigningKey);

impl PublicKeyData for Signer<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.rsa_public_key_der()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl rcgen::SigningKey for Signer<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.0.sign(message).as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::super::certificate::KeyAlgorithm;
    use super::super::samples::{self, moment, request};
    use super::*;

    fn issue_with(change: impl FnOnce(&mut CertificateRequest)) -> Result<ServerCertificate, IssueError> {
        let mut request = request(&["127.0.0.1", "::1", "manager.example"]);
        change(&mut request);
        issue(&samples::key(0), &request)
    }

    #[test]
    fn what_was_asked_for_is_what_stands_in_the_certificate() {
        let made = issue_with(|_| ()).unwrap();
        assert_eq!(made.common_name(), "manager");
        assert_eq!(made.names(), ["127.0.0.1", "::1", "manager.example"]);
        assert_eq!(made.validity(), request(&[]).validity);
        assert_eq!(made.key_algorithm(), &KeyAlgorithm::Rsa { bits: 2048 });
        assert_eq!(made.public_key_der(), samples::key(0).public_key_der());
        assert_eq!(made.signature_algorithm(), "sha256WithRSAEncryption");
        assert!(made.is_self_signed());
    }

    #[test]
    fn the_same_request_gives_the_same_bytes_and_another_serial_gives_others() {
        let made = issue_with(|_| ()).unwrap();
        assert_eq!(made.der(), issue_with(|_| ()).unwrap().der());
        assert_ne!(made, issue_with(|request| request.serial = 2).unwrap());
        assert_ne!(
            made,
            issue(&samples::key(1), &request(&["127.0.0.1", "::1", "manager.example"])).unwrap()
        );
    }

    #[test]
    fn its_own_key_has_signed_it() {
        let made = issue_with(|_| ()).unwrap();
        // A certificate is the signed part, the algorithm, and 256 bytes of signature, in one sequence.
        let (rest, signature) = made.der().split_at(made.der().len() - 256);
        let length = usize::from(u16::from_be_bytes([rest[6], rest[7]]));
        assert!(made.has_signed(&rest[4..8 + length], signature));
    }

    #[test]
    fn dates_far_away_survive() {
        for (first, last) in [
            ("0001-01-01T00:00:00Z", "1949-12-31T23:59:59Z"),
            ("1969-12-31T23:59:59Z", "2050-01-01T00:00:00Z"),
            ("2026-01-01T00:00:00Z", "never"),
        ] {
            let validity = Validity { not_before: moment(first), not_after: moment(last) };
            assert_eq!(issue_with(|request| request.validity = validity).unwrap().validity(), validity);
        }
    }

    #[test]
    fn requests_that_cannot_be_met_are_refused_by_name() {
        let (early, late) = (Timestamp::from_seconds(1), Timestamp::from_seconds(2));
        let backwards = Validity { not_before: late, not_after: early };
        assert_eq!(
            issue_with(|request| request.validity = backwards),
            Err(IssueError::Backwards { not_before: late, not_after: early })
        );
        let found = Timestamp::from_seconds(NO_END + 1);
        assert_eq!(issue_with(|request| request.validity.not_after = found), Err(IssueError::Date { found }));
        for bad in ["", "a b", "mänager", "a\0b", "http://x"] {
            let refused = issue_with(|request| request.names.push(bad.to_owned()));
            assert_eq!(refused, Err(IssueError::Name { found: bad.to_owned() }));
        }
        for (bad, characters) in [(String::new(), 0), ("a\nb".into(), 3), ("a".repeat(100_000), 100_000)] {
            let refused = issue_with(|request| request.common_name = bad.clone());
            assert_eq!(refused, Err(IssueError::CommonName { characters }));
        }
        assert!(issue_with(|request| request.names.push("a".repeat(100_000))).is_err());
        assert_eq!(
            issue_with(|request| request.common_name = "Mänager Süd".into()).unwrap().common_name(),
            "Mänager Süd"
        );
    }
}
