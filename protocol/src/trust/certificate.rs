//! The certificate of a manager, and the set of certificates that a client trusts.
//!
//! Two certificates are the same if, and only if, every byte is. Whether one may be trusted is decided in
//! [`judge`](mod@super::judge).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::{HEXUPPER, HEXUPPER_PERMISSIVE};
use serde::{Deserialize, Serialize};
use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::error::BerError;
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{AttributeTypeAndValue, RelativeDistinguishedName, SubjectPublicKeyInfo, X509Name};

use super::pem;
use crate::excerpt::excerpt;
use crate::id::parse_hex;
use crate::time::Timestamp;

/// The SHA-256 of a DER encoding, which identifies a certificate or a public key.
///
/// Written as openssl prints it, `AA:BB:..`; read with or without colons, in either case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Fingerprint([u8; 32]);

/// The error for a text that is not a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid fingerprint {found:?}: expected the 32 bytes of a SHA-256 in hexadecimal")]
pub struct FingerprintError {
    /// The text that was read.
    pub found: String,
}

impl Fingerprint {
    /// Computes the fingerprint of these bytes.
    pub fn of(der: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
        Self(bytes)
    }

    /// The bytes of the fingerprint.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first four bytes, `AABBCCDD`: enough for a person to tell the certificates of one site apart.
    pub fn short(&self) -> String {
        HEXUPPER.encode(&self.0[..4])
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = &self.0;
        write!(f, "{first:02X}")?;
        rest.iter().try_for_each(|byte| write!(f, ":{byte:02X}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", self.short())
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let in_pairs = text.split(':').all(|pair| pair.len() == 2);
        let digits = if in_pairs { text.replace(':', "") } else { text.to_owned() };
        parse_hex(&digits, &HEXUPPER_PERMISSIVE)
            .map(Self)
            .ok_or_else(|| FingerprintError { found: excerpt(text) })
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Self, FingerprintError> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// The validity period of a certificate, in whole seconds; both ends are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Validity {
    /// The first valid second.
    pub not_before: Timestamp,
    /// The last valid second. `99991231235959Z`, which RFC 5280 reserves for "no end", is [`Timestamp::NEVER`].
    pub not_after: Timestamp,
}

impl Validity {
    /// Whether the validity contains `now`.
    pub fn covers(&self, now: Timestamp) -> bool {
        !self.is_before(now) && !self.is_over(now)
    }

    /// Whether the validity has not begun at `now`.
    pub fn is_before(&self, now: Timestamp) -> bool {
        now.as_seconds() < self.not_before.as_seconds()
    }

    /// Whether the validity has ended at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now.as_seconds() > self.not_after.as_seconds()
    }
}

/// The kind of a public key, as in a certificate or key file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAlgorithm {
    /// RSA, the only kind that managers use since 12.1 [C S6].
    Rsa {
        /// The length of the modulus in bits.
        bits: u32,
    },
    /// An elliptic curve of any kind.
    Ec,
    /// An Ed25519 key.
    Ed25519,
    /// A DSA key.
    Dsa,
    /// An RSA key that its holder may use for RSASSA-PSS alone.
    RsaPss,
    /// Another algorithm, by its object identifier.
    Other(String),
}

impl KeyAlgorithm {
    /// Looks up the object identifier of an algorithm; `rsa_bits` measures an RSA key.
    pub(super) fn from_oid(oid: &str, rsa_bits: impl FnOnce() -> u32) -> Self {
        match oid {
            "1.2.840.113549.1.1.1" => Self::Rsa { bits: rsa_bits() },
            "1.2.840.10045.2.1" => Self::Ec,
            "1.3.101.112" => Self::Ed25519,
            "1.2.840.10040.4.1" => Self::Dsa,
            "1.2.840.113549.1.1.10" => Self::RsaPss,
            other => Self::Other(excerpt(other)),
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA with {bits} bits"),
            Self::Ec => f.write_str("elliptic curve"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Dsa => f.write_str("DSA"),
            Self::RsaPss => f.write_str("RSA for RSASSA-PSS alone"),
            Self::Other(oid) => write!(f, "algorithm {oid}"),
        }
    }
}

/// The error for bytes that are not a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The encoding is cut off or malformed.
    #[error("not an X.509 certificate in DER: {detail}")]
    Malformed {
        /// The part of the certificate that is not as it should be.
        detail: String,
    },
    /// Bytes follow the certificate.
    #[error("the certificate ends after {expected} bytes, but {found} were given")]
    TrailingBytes {
        /// The length of the certificate in bytes.
        expected: usize,
        /// The number of bytes that were given.
        found: usize,
    },
}

/// The certificate of a manager.
///
/// Cloning is cheap. Equality, order and hash are those of the [`Fingerprint`]; serialized, it is the DER in
/// base64, as in a management server list.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerCertificate(Arc<Parts>);

struct Parts {
    der: Vec<u8>,
    fingerprint: Fingerprint,
    validity: Validity,
    common_name: String,
    names: Vec<String>,
    public_key_der: Vec<u8>,
    key_identifier: Vec<u8>,
    key: Vec<u8>,
    key_algorithm: KeyAlgorithm,
    signature_algorithm: String,
    self_signed: bool,
    subject: String,
    version: u32,
    serial: Vec<u8>,
    issuer: String,
    /// Made at the first signature that is verified with this certificate; most verify none.
    verifying_key: OnceLock<Option<ParsedPublicKey>>,
}

impl ServerCertificate {
    /// Reads a certificate from its DER encoding.
    ///
    /// # Errors
    /// If the bytes are not exactly one certificate. A weak, foreign or expired one is no error here.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, parsed) = X509Certificate::from_der(der)
            .map_err(|error| CertificateError::Malformed { detail: defect(&error.into()).to_owned() })?;
        if !rest.is_empty() {
            return Err(CertificateError::TrailingBytes {
                expected: der.len() - rest.len(),
                found: der.len(),
            });
        }
        Ok(Self(Arc::new(Parts {
            der: der.to_vec(),
            fingerprint: Fingerprint::of(der),
            validity: Validity {
                not_before: moment(parsed.validity().not_before.timestamp()),
                not_after: moment(parsed.validity().not_after.timestamp()),
            },
            common_name: common_name(&parsed),
            names: alternative_names(&parsed),
            public_key_der: parsed.public_key().raw.to_vec(),
            key_identifier: identifier(parsed.public_key().raw).unwrap_or_default().to_vec(),
            key: parsed.public_key().subject_public_key.data.to_vec(),
            key_algorithm: key_algorithm(parsed.public_key()),
            signature_algorithm: excerpt(&signature_name(
                &parsed.signature_algorithm.algorithm.to_id_string(),
            )),
            self_signed: parsed.subject().as_raw() == parsed.issuer().as_raw(),
            version: parsed.version().0.saturating_add(1),
            serial: parsed.raw_serial().to_vec(),
            issuer: distinguished_name(parsed.issuer()),
            subject: distinguished_name(parsed.subject()),
            verifying_key: OnceLock::new(),
        })))
    }

    /// The X.509 version of the certificate, from 1.
    pub fn version(&self) -> u32 {
        self.0.version
    }

    /// The serial number in hexadecimal digits, as `openssl x509 -serial` prints it.
    pub fn serial(&self) -> String {
        let is_negative = self.0.serial.first().is_some_and(|byte| *byte >= 0x80);
        let mut bytes = self.0.serial.clone();
        if is_negative {
            let mut carry = true;
            for byte in bytes.iter_mut().rev() {
                (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
            }
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let digits = HEXUPPER.encode(&bytes[zeros..]);
        let sign = if is_negative { "-" } else { "" };
        if digits.is_empty() { "00".to_owned() } else { format!("{sign}{digits}") }
    }

    /// The name of the issuer, `C=DE, O=Example, CN=Lab CA`, in the order of the certificate.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The name of the subject, in the same form.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The DER encoding of the certificate.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The PEM encoding of the certificate, as in `server.crt`.
    pub fn to_pem(&self) -> String {
        pem::write("CERTIFICATE", self.der())
    }

    /// The SHA-256 of the DER encoding.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// The validity period of the certificate.
    pub fn validity(&self) -> Validity {
        self.0.validity
    }

    /// The most specific common name of the subject; empty if it has none.
    pub fn common_name(&self) -> &str {
        &self.0.common_name
    }

    /// The host names and addresses in the subject alternative name.
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    /// The public key, as SubjectPublicKeyInfo in DER.
    pub fn public_key_der(&self) -> &[u8] {
        &self.0.public_key_der
    }

    /// The algorithm of the public key, as the content of its AlgorithmIdentifier, and the key itself, as the content
    /// of its BIT STRING: what a signature of the holder is checked with.
    pub fn subject_public_key(&self) -> (&[u8], &[u8]) {
        (&self.0.key_identifier, &self.0.key)
    }

    /// Whether this RSA public key, as RSAPublicKey in DER, is that of the certificate.
    pub(super) fn is_for_rsa(&self, public_key: &[u8]) -> bool {
        self.0.key == public_key
    }

    /// The kind of key that the certificate is for.
    pub fn key_algorithm(&self) -> &KeyAlgorithm {
        &self.0.key_algorithm
    }

    /// The algorithm of the issuer's signature: its common name, or its object identifier.
    pub fn signature_algorithm(&self) -> &str {
        &self.0.signature_algorithm
    }

    /// Whether the certificate names itself as its issuer. The signature is not checked: a pin replaces it.
    pub fn is_self_signed(&self) -> bool {
        self.0.self_signed
    }

    /// Whether the holder of this certificate's key made `signature` over `message`.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0
            .verifying_key
            .get_or_init(|| {
                let read = |key: &[u8]| ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).ok();
                // Without the NULL in its identifier the library reads an RSA key only alone.
                read(self.public_key_der()).or_else(|| read(&self.0.key))
            })
            .as_ref()
            .is_some_and(|key| key.verify_sig(message, signature).is_ok())
    }
}

impl PartialEq for ServerCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint()
    }
}

impl Eq for ServerCertificate {}

impl PartialOrd for ServerCertificate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ServerCertificate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.fingerprint().cmp(&other.fingerprint())
    }
}

impl Hash for ServerCertificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint().hash(state);
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerCertificate({:?}, {})", self.common_name(), self.fingerprint().short())
    }
}

impl TryFrom<String> for ServerCertificate {
    type Error = CertificateError;

    fn try_from(text: String) -> Result<Self, CertificateError> {
        let der = STANDARD
            .decode(text)
            .map_err(|error| CertificateError::Malformed { detail: format!("not base64: {error}") })?;
        Self::from_der(&der)
    }
}

impl From<ServerCertificate> for String {
    fn from(certificate: ServerCertificate) -> Self {
        STANDARD.encode(certificate.der())
    }
}

/// The certificates that a client trusts: each once, in the order of their fingerprints.
///
/// Cloning is cheap: all agents that adopted the same list share one set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins(Arc<BTreeMap<Fingerprint, ServerCertificate>>);

impl Pins {
    /// Makes an empty set, with which no manager is trusted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a certificate; returns `false` if it was in the set already.
    pub fn insert(&mut self, certificate: ServerCertificate) -> bool {
        if self.contains(&certificate.fingerprint()) {
            return false;
        }
        Arc::make_mut(&mut self.0).insert(certificate.fingerprint(), certificate);
        true
    }

    /// Whether the set contains the certificate of that fingerprint.
    pub fn contains(&self, fingerprint: &Fingerprint) -> bool {
        self.0.contains_key(fingerprint)
    }

    /// Iterates over the certificates.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &ServerCertificate> {
        self.0.values()
    }

    /// The number of pinned certificates.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no certificate is pinned.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fingerprints of the certificates.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.0.keys().copied().collect()
    }
}

impl FromIterator<ServerCertificate> for Pins {
    fn from_iter<I: IntoIterator<Item = ServerCertificate>>(certificates: I) -> Self {
        Self(Arc::new(certificates.into_iter().map(|each| (each.fingerprint(), each)).collect()))
    }
}

impl Serialize for Pins {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Pins {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<ServerCertificate>::deserialize(deserializer).map(Self::from_iter)
    }
}

/// The seconds since the epoch of `99991231235959Z`, by which a certificate says that it has no end (RFC 5280,
/// 4.1.2.5).
pub(super) const NO_END: i64 = 253_402_300_799;

fn moment(seconds: i64) -> Timestamp {
    if seconds == NO_END { Timestamp::NEVER } else { Timestamp::from_seconds(seconds) }
}

/// The last common name, since a subject goes from the general to the particular.
fn common_name(certificate: &X509Certificate<'_>) -> String {
    certificate.subject().iter_common_name().last().map(|name| text_of(name.attr_value())).unwrap_or_default()
}

/// The content of the AlgorithmIdentifier in a SubjectPublicKeyInfo.
fn identifier(public_key: &[u8]) -> Option<&[u8]> {
    let (_, info) = Any::from_der(public_key).ok()?;
    let (_, algorithm) = Any::from_der(info.data).ok()?;
    Some(algorithm.data)
}

/// The text of a value in a name, in any of the string types of ASN.1; other values as hexadecimal digits.
fn text_of(value: &Any<'_>) -> String {
    let units = |bytes: &[u8]| -> Vec<u16> {
        bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
    };
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            String::from_utf8_lossy(value.data).into_owned()
        }
        // T.61 is written as Latin-1 in practice.
        Tag::T61String => value.data.iter().copied().map(char::from).collect(),
        Tag::BmpString => String::from_utf16_lossy(&units(value.data)),
        Tag::UniversalString => {
            let code = |four: &[u8]| four.iter().fold(0, |code, byte| (code << 8) | u32::from(*byte));
            let letter = |four: &[u8]| char::from_u32(code(four)).unwrap_or(char::REPLACEMENT_CHARACTER);
            value.data.chunks_exact(4).map(letter).collect()
        }
        _ => format!("#{}", HEXUPPER.encode(value.data)),
    }
}

/// A name in its own order, each part with the usual abbreviation of its type or its object identifier.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let part = |attribute: &AttributeTypeAndValue<'_>| {
        let oid = attribute.attr_type();
        let kind = oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned);
        let text = text_of(attribute.attr_value());
        // As RFC 4514 quotes what would otherwise end the part.
        let text = text.replace('\\', r"\\").replace(',', r"\,").replace('+', r"\+");
        format!("{kind}={text}")
    };
    let several = |one: &RelativeDistinguishedName<'_>| one.iter().map(part).collect::<Vec<_>>().join(" + ");
    name.iter().map(several).collect::<Vec<_>>().join(", ")
}

/// The part of a certificate in which the parser met an error.
fn defect(error: &X509Error) -> &'static str {
    match error {
        X509Error::InvalidVersion => "its version is malformed",
        X509Error::InvalidSerial => "its serial number is malformed",
        X509Error::InvalidAlgorithmIdentifier => "an algorithm in it is malformed",
        X509Error::InvalidX509Name => "a name in it is malformed",
        X509Error::InvalidDate => "a date of its validity is malformed",
        X509Error::InvalidSPKI => "its public key is malformed",
        X509Error::InvalidSubjectUID | X509Error::InvalidIssuerUID => {
            "a unique identifier in it is malformed"
        }
        X509Error::InvalidExtensions => "its extensions are malformed",
        X509Error::DuplicateExtensions => "it has an extension twice",
        X509Error::InvalidSignatureValue => "its signature is malformed",
        X509Error::Der(BerError::Incomplete(_)) => "it was cut off",
        _ => "its structure is another one",
    }
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(text).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn key_algorithm(key: &SubjectPublicKeyInfo<'_>) -> KeyAlgorithm {
    KeyAlgorithm::from_oid(&key.algorithm.algorithm.to_id_string(), || match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => bit_length(rsa.modulus),
        _ => 0,
    })
}

/// The number of bits of a big-endian number without leading zeros.
pub(super) fn bit_length(number: &[u8]) -> u32 {
    let significant = number.iter().skip_while(|byte| **byte == 0);
    let bytes = u32::try_from(significant.clone().count()).unwrap_or(u32::MAX);
    significant.take(1).map(|first| bytes.saturating_mul(8) - first.leading_zeros()).sum()
}

fn signature_name(oid: &str) -> String {
    match oid {
        "1.2.840.113549.1.1.2" => "md2WithRSAEncryption",
        "1.2.840.113549.1.1.4" => "md5WithRSAEncryption",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "rsassaPss",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.2.840.113549.1.1.14" => "sha224WithRSAEncryption",
        "1.2.840.113549.1.1.15" => "sha512-224WithRSAEncryption",
        "1.2.840.113549.1.1.16" => "sha512-256WithRSAEncryption",
        "2.16.840.1.101.3.4.3.13" => "sha3-224WithRSAEncryption",
        "2.16.840.1.101.3.4.3.14" => "sha3-256WithRSAEncryption",
        "2.16.840.1.101.3.4.3.15" => "sha3-384WithRSAEncryption",
        "2.16.840.1.101.3.4.3.16" => "sha3-512WithRSAEncryption",
        "1.2.840.10040.4.3" => "dsa-with-SHA1",
        "2.16.840.1.101.3.4.3.2" => "dsa-with-SHA256",
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.3.101.112" => "Ed25519",
        "1.3.101.113" => "Ed448",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{BY_OPENSSL, EC, PSS, certificate, moment};
    use super::*;

    fn sample(text: &[u8]) -> ServerCertificate {
        ServerCertificate::from_der(&pem::read(text).unwrap()[0].contents).unwrap()
    }

    #[test]
    fn a_certificate_that_openssl_made_is_read_as_openssl_reads_it() {
        let read = sample(BY_OPENSSL);
        assert_eq!(
            read.fingerprint().to_string(),
            "F4:6B:C7:DD:02:07:6A:3F:FD:88:EF:C4:A1:E4:8F:01:3F:DB:73:AA:A2:7F:CA:31:0B:F3:D6:2B:F2:9B:0B:E4"
        );
        assert_eq!(read.common_name(), "manager-b.example", "the last of two");
        assert_eq!(read.names(), ["manager-b.example", "192.0.2.7", "2001:db8::7"]);
        assert_eq!(read.validity().not_before, moment("2026-11-23T23:30:15Z"));
        assert_eq!(read.key_algorithm(), &KeyAlgorithm::Rsa { bits: 2048 });
        assert_eq!(read.signature_algorithm(), "sha512WithRSAEncryption");
        assert!(read.is_self_signed());
    }

    #[test]
    fn foreign_signatures_are_told_from_those_that_managers_take() {
        assert_eq!(sample(EC).key_algorithm(), &KeyAlgorithm::Ec);
        assert_eq!(sample(EC).signature_algorithm(), "ecdsa-with-SHA256");
        assert_eq!(sample(PSS).signature_algorithm(), "rsassaPss");
    }

    #[test]
    fn pem_and_serialized_form_give_back_the_same_bytes() {
        let made = certificate(0);
        assert_eq!(sample(made.to_pem().as_bytes()).der(), made.der());
        let json = serde_json::to_string(&made).unwrap();
        assert_eq!(serde_json::from_str::<ServerCertificate>(&json).unwrap().der(), made.der());
    }

    #[test]
    fn bytes_after_the_certificate_are_an_error_that_counts_them() {
        let made = certificate(0);
        let longer = [made.der(), b"\n"].concat();
        let (expected, found) = (made.der().len(), made.der().len() + 1);
        assert_eq!(
            ServerCertificate::from_der(&longer).unwrap_err(),
            CertificateError::TrailingBytes { expected, found }
        );
    }

    #[test]
    fn debug_texts_are_short() {
        let made = certificate(0);
        assert_eq!(
            format!("{made:?}"),
            format!("ServerCertificate(\"manager\", {})", made.fingerprint().short())
        );
    }

    #[test]
    fn a_fingerprint_is_read_with_and_without_colons_in_either_case_and_not_otherwise() {
        let fingerprint = Fingerprint::of(b"");
        let text = fingerprint.to_string();
        assert!(text.starts_with("E3:B0:C4:42:"), "{text}");
        assert_eq!(fingerprint.short(), "E3B0C442");
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!(text.replace(':', "").to_lowercase().parse(), Ok(fingerprint));
        assert_eq!(serde_json::to_string(&fingerprint).unwrap(), format!("\"{text}\""));
        for wrong in ["", ":", "E3:B0", &text[..94], &text.replacen(':', "", 1), &format!("{text}:")] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(FingerprintError { found: wrong.to_owned() }));
        }
    }

    #[test]
    fn both_ends_of_a_validity_belong_to_it_for_their_whole_second() {
        let validity =
            Validity { not_before: Timestamp::from_seconds(10), not_after: Timestamp::from_seconds(20) };
        let covered = |millis| validity.covers(Timestamp::from_millis(millis));
        assert_eq!([9_999, 10_000, 20_999, 21_000].map(covered), [false, true, true, false]);
    }

    #[test]
    fn pins_hold_each_certificate_once_whatever_the_order_in_which_they_came() {
        let (a, b) = (certificate(0), certificate(1));
        let mut pins = Pins::new();
        assert!(pins.insert(a.clone()) && pins.insert(b.clone()) && !pins.insert(a.clone()));
        assert_eq!(pins.len(), 2);
        assert_eq!(pins, [b.clone(), a, b].into_iter().collect());
        assert!(pins.fingerprints().is_sorted());
        let json = serde_json::to_string(&pins).unwrap();
        assert_eq!(serde_json::from_str::<Pins>(&json).unwrap(), pins);
    }

    #[test]
    fn a_copy_of_pins_does_not_change_with_the_original() {
        let mut pins: Pins = [certificate(0)].into_iter().collect();
        let copy = pins.clone();
        pins.insert(certificate(1));
        assert_eq!((copy.len(), pins.len()), (1, 2));
    }

    #[test]
    fn leading_zeros_do_not_lengthen_a_number() {
        assert_eq!([&[][..], &[0], &[1], &[0, 0x80, 0], &[1, 0]].map(bit_length), [0, 0, 1, 16, 9]);
    }

    proptest! {
        #[test]
        fn no_damage_to_a_certificate_makes_the_reader_panic(
            at in 0_usize..700,
            byte: u8,
            cut in 0_usize..900,
        ) {
            let mut der = certificate(0).der().to_vec();
            if let Some(place) = der.get_mut(at) {
                *place = byte;
            }
            der.truncate(cut);
            let _ = ServerCertificate::from_der(&der).map(|read| read.has_signed(b"", b""));
        }
    }
}
