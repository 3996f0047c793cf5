//! What an administrator brings to the certificate wizard: a certificate and its key, as PEM or DER.
//!
//! Which of the two is found out from the content, never from the file name. The product answers everything
//! that it does not like with one of three sentences [C S6]; a [`KeystoreError`] begins with the one that it
//! would give, and goes on to say what is really wrong, in which file and line.

use std::fmt;

use super::certificate::{CertificateError, Fingerprint, KeyAlgorithm, ServerCertificate};
use super::pem::{self, Block, PemError};
use super::signature::{KeyError, SigningKey};

/// The most bytes that a file of the wizard may have.
pub const MAX_BYTES: usize = 1024 * 1024;

/// What the product says when it refuses a file [C S6].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Of private keys.
    #[error("Invalid private key file")]
    PrivateKeyFile,
    /// Of keystores.
    #[error("Invalid keystore file")]
    KeystoreFile,
    /// Of certificates.
    #[error("Invalid certificate type, or invalid certificate signature algorithm")]
    Certificate,
}

/// As what a file was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileRole {
    /// As the certificate.
    Certificate,
    /// As the private key.
    PrivateKey,
}

impl FileRole {
    /// What the product says of a bad file in this role.
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::Certificate => Refusal::Certificate,
            Self::PrivateKey => Refusal::PrivateKeyFile,
        }
    }
}

/// A file, and the line in it if it is PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// Why the files of the wizard are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    /// There is nothing in the file.
    #[error("{}: {at} is empty", .role.refusal())]
    Empty {
        /// As what it was given.
        role: FileRole,
        /// The file.
        at: Place,
    },
    /// The file is too large to be what it should be.
    #[error("{}: {at} has {found} bytes, expected at most {expected}", .role.refusal())]
    TooLarge {
        /// As what it was given.
        role: FileRole,
        /// The file.
        at: Place,
        /// The limit in bytes.
        expected: usize,
        /// Its length in bytes.
        found: usize,
    },
    /// A PEM block breaks off.
    #[error("{}: {at}: BEGIN {label} without its END: the file was cut off", .role.refusal())]
    Truncated {
        /// As what it was given.
        role: FileRole,
        /// The BEGIN.
        at: Place,
        /// What the block should hold.
        label: String,
    },
    /// A PEM block has lost its beginning.
    #[error("{}: {at}: END {label} without its BEGIN", .role.refusal())]
    StrayEnd {
        /// As what it was given.
        role: FileRole,
        /// The END.
        at: Place,
        /// What the block should hold.
        label: String,
    },
    /// What stands in a PEM block is not base64.
    #[error("{}: {at}: the {label} block is not base64: {detail}", .role.refusal())]
    NotBase64 {
        /// As what it was given.
        role: FileRole,
        /// The BEGIN.
        at: Place,
        /// What the block should hold.
        label: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A PEM file holds other things than were asked for.
    #[error("{}: {at}: expected a {expected} block, found {found:?}", .role.refusal())]
    NoSuchBlock {
        /// As what it was given.
        role: FileRole,
        /// The file.
        at: Place,
        /// What was looked for.
        expected: String,
        /// The blocks that are there.
        found: Vec<String>,
    },
    /// More keys than one: nobody can say which is meant.
    #[error("{}: {}: expected one private key, found {}, at lines {lines:?}",
        Refusal::PrivateKeyFile, .at, .lines.len())]
    SeveralKeys {
        /// The file.
        at: Place,
        /// The BEGIN of each.
        lines: Vec<usize>,
    },
    /// The key is none for a manager: encrypted, not RSA, too short, broken.
    #[error("{}: {at}: {reason}", Refusal::PrivateKeyFile)]
    Key {
        /// The file, or the BEGIN.
        at: Place,
        /// What is wrong with it.
        reason: KeyError,
    },
    /// The certificate cannot be read.
    #[error("{}: {at}: {reason}", Refusal::Certificate)]
    Certificate {
        /// The file, or the BEGIN.
        at: Place,
        /// What is wrong with it.
        reason: CertificateError,
    },
    /// The certificate is for another kind of key than RSA.
    #[error("{}: {at}: expected a certificate for an RSA key, found: {found}", Refusal::Certificate)]
    CertificateKey {
        /// The file.
        at: Place,
        /// For what kind of key it is.
        found: KeyAlgorithm,
    },
    /// The certificate was not signed with RSA, which managers demand since 12.1 [C S6].
    #[error("{}: {at}: expected a sha*WithRSAEncryption signature, found {found}", Refusal::Certificate)]
    CertificateSignature {
        /// The file.
        at: Place,
        /// The algorithm of its signature.
        found: String,
    },
    /// The certificate is of a version that no TLS library of today takes.
    #[error("{}: {at}: expected X.509 version 3, found version {found}", Refusal::Certificate)]
    CertificateVersion {
        /// The file.
        at: Place,
        /// Its version.
        found: u32,
    },
    /// The key is not the one that the certificate is for.
    #[error(
        "{}: {at}: the public key belonging to it is {found}, but {certificate} is for {expected}",
        Refusal::PrivateKeyFile
    )]
    Mismatch {
        /// The key.
        at: Place,
        /// Name of the certificate's file.
        certificate: String,
        /// SHA-256 of the public key in the certificate. Boxed, as is the other, to keep every error small.
        expected: Box<Fingerprint>,
        /// SHA-256 of the public key that belongs to the private key.
        found: Box<Fingerprint>,
    },
}

impl KeystoreError {
    /// What the product would say.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Empty { role, .. }
            | Self::TooLarge { role, .. }
            | Self::Truncated { role, .. }
            | Self::StrayEnd { role, .. }
            | Self::NotBase64 { role, .. }
            | Self::NoSuchBlock { role, .. } => role.refusal(),
            Self::SeveralKeys { .. } | Self::Key { .. } | Self::Mismatch { .. } => Refusal::PrivateKeyFile,
            Self::Certificate { .. }
            | Self::CertificateKey { .. }
            | Self::CertificateSignature { .. }
            | Self::CertificateVersion { .. } => Refusal::Certificate,
        }
    }
}

/// A key and a certificate that belong together: what a manager is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIdentity {
    key: SigningKey,
    certificate: ServerCertificate,
}

impl ServerIdentity {
    /// Joins the two.
    ///
    /// # Errors
    /// If the certificate is for another key.
    pub fn new(key: SigningKey, certificate: ServerCertificate) -> Result<Self, KeystoreError> {
        Self::join(key, certificate, "the private key", "the certificate")
    }

    fn join(
        key: SigningKey,
        certificate: ServerCertificate,
        key_name: &str,
        certificate_name: &str,
    ) -> Result<Self, KeystoreError> {
        if key.public_key_der() != certificate.public_key_der() {
            return Err(KeystoreError::Mismatch {
                at: file(key_name),
                certificate: certificate_name.to_owned(),
                expected: Box::new(Fingerprint::of(certificate.public_key_der())),
                found: Box::new(Fingerprint::of(key.public_key_der())),
            });
        }
        Ok(Self { key, certificate })
    }

    /// The private key.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The certificate.
    pub fn certificate(&self) -> &ServerCertificate {
        &self.certificate
    }
}

/// Reads what the wizard was given. Of several certificates, the first is the manager's and the rest its
/// chain.
///
/// # Errors
/// If a file cannot be read, if either is not of RSA, or if the two do not belong together.
pub fn read_identity(
    certificate: &[u8],
    certificate_name: &str,
    key: &[u8],
    key_name: &str,
) -> Result<ServerIdentity, KeystoreError> {
    let certificate = read_chain(certificate, certificate_name)?.0;
    let at = || file(certificate_name);
    if !matches!(certificate.key_algorithm(), KeyAlgorithm::Rsa { .. }) {
        return Err(KeystoreError::CertificateKey { at: at(), found: certificate.key_algorithm().clone() });
    }
    if !certificate.signature_is_rsa() {
        let found = certificate.signature_algorithm().to_owned();
        return Err(KeystoreError::CertificateSignature { at: at(), found });
    }
    if certificate.version() != 3 {
        return Err(KeystoreError::CertificateVersion { at: at(), found: certificate.version() });
    }
    let key = read_private_key(key, key_name)?;
    ServerIdentity::join(key, certificate, key_name, certificate_name)
}

/// Reads all certificates of a file, at least one, in their order.
///
/// # Errors
/// If there is none, or one that cannot be read.
pub fn read_certificates(bytes: &[u8], name: &str) -> Result<Vec<ServerCertificate>, KeystoreError> {
    let (first, mut rest) = read_chain(bytes, name)?;
    rest.insert(0, first);
    Ok(rest)
}

/// Reads the one private key of a file; certificates and parameters beside it do not matter.
///
/// # Errors
/// If there is none, or more than one, or one that is encrypted, not RSA, or broken.
pub fn read_private_key(bytes: &[u8], name: &str) -> Result<SigningKey, KeystoreError> {
    let (block, others) =
        read_blocks(bytes, name, FileRole::PrivateKey, |label| label.ends_with("PRIVATE KEY"))?;
    if !others.is_empty() {
        let lines = std::iter::once(&block).chain(&others).filter_map(|each| each.at.line).collect();
        return Err(KeystoreError::SeveralKeys { at: file(name), lines });
    }
    let Part { at, der, encrypted } = block;
    if encrypted {
        return Err(KeystoreError::Key { at, reason: KeyError::Encrypted });
    }
    SigningKey::from_der(&der).map_err(|reason| KeystoreError::Key { at, reason })
}

fn read_chain(
    bytes: &[u8],
    name: &str,
) -> Result<(ServerCertificate, Vec<ServerCertificate>), KeystoreError> {
    let is_certificate = |label: &str| matches!(label, "CERTIFICATE" | "X509 CERTIFICATE");
    let (first, rest) = read_blocks(bytes, name, FileRole::Certificate, is_certificate)?;
    let read = |part: Part| {
        ServerCertificate::from_der(&part.der)
            .map_err(|reason| KeystoreError::Certificate { at: part.at, reason })
    };
    Ok((read(first)?, rest.into_iter().map(read).collect::<Result<_, _>>()?))
}

/// DER, and where it was found.
struct Part {
    at: Place,
    der: Vec<u8>,
    encrypted: bool,
}

/// The blocks of a PEM file that are `wanted`, or all of a DER file: the first, for there is one, and the
/// others.
fn read_blocks(
    bytes: &[u8],
    name: &str,
    role: FileRole,
    wanted: impl Fn(&str) -> bool,
) -> Result<(Part, Vec<Part>), KeystoreError> {
    if bytes.len() > MAX_BYTES {
        let (expected, found) = (MAX_BYTES, bytes.len());
        return Err(KeystoreError::TooLarge { role, at: file(name), expected, found });
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(KeystoreError::Empty { role, at: file(name) });
    }
    if !pem::looks_like_pem(bytes) {
        return Ok((Part { at: file(name), der: bytes.to_vec(), encrypted: false }, Vec::new()));
    }
    let blocks = pem::read(bytes).map_err(|error| broken_pem(error, role, name))?;
    let found: Vec<String> = blocks.iter().map(|block| block.label.clone()).collect();
    let mut parts = blocks.into_iter().filter(|block| wanted(&block.label)).map(|block| part(block, name));
    match parts.next() {
        Some(first) => Ok((first, parts.collect())),
        None => Err(KeystoreError::NoSuchBlock {
            role,
            at: file(name),
            expected: match role {
                FileRole::Certificate => "CERTIFICATE".to_owned(),
                FileRole::PrivateKey => "PRIVATE KEY".to_owned(),
            },
            found,
        }),
    }
}

fn part(block: Block, name: &str) -> Part {
    Part {
        at: Place { file: name.to_owned(), line: Some(block.line) },
        der: block.contents,
        encrypted: block.encrypted,
    }
}

fn broken_pem(error: PemError, role: FileRole, name: &str) -> KeystoreError {
    let at = |line| Place { file: name.to_owned(), line: Some(line) };
    match error {
        PemError::Truncated { label, line } => KeystoreError::Truncated { role, at: at(line), label },
        PemError::StrayEnd { label, line } => KeystoreError::StrayEnd { role, at: at(line), label },
        PemError::NotBase64 { label, line, detail } => {
            KeystoreError::NotBase64 { role, at: at(line), label, detail }
        }
    }
}

fn file(name: &str) -> Place {
    Place { file: name.to_owned(), line: None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pool::KeyPool;
    use super::super::samples::{self, certificate};
    use super::*;

    fn at(line: usize) -> Place {
        Place { file: "server.key".to_owned(), line: Some(line) }
    }

    fn key(bytes: &[u8]) -> Result<SigningKey, KeystoreError> {
        read_private_key(bytes, "server.key")
    }

    fn der(text: &[u8]) -> Vec<u8> {
        pem::read(text).unwrap()[0].contents.clone()
    }

    /// Checks on the way that text and [`KeystoreError::refusal`] agree.
    fn refusal<T: fmt::Debug>(result: Result<T, KeystoreError>) -> KeystoreError {
        let error = result.unwrap_err();
        let sentence = format!("{}: ", error.refusal());
        assert!(error.to_string().starts_with(&sentence), "{error}");
        error
    }

    #[test]
    fn key_and_certificate_are_taken_as_pem_and_as_der() {
        let pool = KeyPool::public();
        let expected = pool.get(0);
        for text in [samples::POOL_00, samples::POOL_00_AS_PKCS1] {
            assert_eq!(&key(text).unwrap(), expected);
            assert_eq!(&key(&der(text)).unwrap(), expected);
        }
        let made = certificate(0);
        for bytes in [made.to_pem().as_bytes(), made.der()] {
            let identity = read_identity(bytes, "server.crt", samples::POOL_00, "server.key").unwrap();
            assert_eq!((identity.key(), identity.certificate()), (expected, &made));
        }
    }

    #[test]
    fn one_file_may_hold_key_certificate_and_chain() {
        let (own, other) = (certificate(0), certificate(1));
        let pem = String::from_utf8(samples::POOL_00.to_vec()).unwrap() + &own.to_pem() + &other.to_pem();
        let identity = read_identity(pem.as_bytes(), "all.pem", pem.as_bytes(), "all.pem").unwrap();
        assert_eq!(identity.certificate(), &own);
        assert_eq!(read_certificates(pem.as_bytes(), "all.pem").unwrap(), [own, other]);
    }

    #[test]
    fn a_key_for_another_certificate_is_refused_with_both_public_keys() {
        let public = |n| Box::new(Fingerprint::of(KeyPool::public().get(n).public_key_der()));
        let made = certificate(0).to_pem();
        let error = refusal(read_identity(made.as_bytes(), "server.crt", samples::POOL_01, "server.key"));
        assert_eq!(
            error,
            KeystoreError::Mismatch {
                at: file("server.key"),
                certificate: "server.crt".to_owned(),
                expected: public(0),
                found: public(1),
            }
        );
        assert_eq!(error.refusal(), Refusal::PrivateKeyFile);
        assert!(
            refusal(ServerIdentity::new(KeyPool::public().get(1).clone(), certificate(0)))
                .to_string()
                .contains(&public(0).to_string())
        );
    }

    #[test]
    fn keys_that_are_not_for_managers_are_refused_with_the_reason() {
        let refused = |text: &[u8]| match refusal(key(text)) {
            KeystoreError::Key { reason, at } => (reason, at.line),
            other => panic!("{other:?}"),
        };
        let not_rsa = |found| (KeyError::NotRsa { found }, Some(2));
        assert_eq!(refused(samples::EC_SEC1), not_rsa(KeyAlgorithm::Ec));
        assert_eq!(refused(samples::ED25519), not_rsa(KeyAlgorithm::Ed25519));
        assert_eq!(refused(samples::DSA_PKCS8), not_rsa(KeyAlgorithm::Dsa));
        assert_eq!(refused(samples::DSA_BARE), not_rsa(KeyAlgorithm::Dsa));
        assert_eq!(refused(samples::ENCRYPTED_PKCS8), (KeyError::Encrypted, Some(2)));
        assert_eq!(refused(samples::ENCRYPTED_LEGACY), (KeyError::Encrypted, Some(2)));
        assert_eq!(refused(&der(samples::ENCRYPTED_PKCS8)), (KeyError::Encrypted, None));
        assert_eq!(refused(b"not a key"), (KeyError::NotAKey, None));
        assert_eq!(refused(certificate(0).der()), (KeyError::NotAKey, None));
        let (reason, _) = refused(samples::RSA_1024);
        assert_eq!(reason.to_string(), "expected an RSA key of 2048 to 8192 bits, found 1024");
    }

    #[test]
    fn several_keys_are_named_by_their_lines() {
        let two = [samples::POOL_00, samples::ED25519].concat();
        let second = samples::POOL_00.iter().filter(|byte| **byte == b'\n').count() + 2;
        assert_eq!(
            refusal(key(&two)),
            KeystoreError::SeveralKeys { at: file("server.key"), lines: vec![2, second] }
        );
    }

    #[test]
    fn broken_pem_is_named_by_its_line() {
        let role = FileRole::PrivateKey;
        let label = "PRIVATE KEY".to_owned();
        let cut = &samples::POOL_00[..samples::POOL_00.len() - 40];
        let error = refusal(key(cut));
        assert_eq!(error, KeystoreError::Truncated { role, at: at(2), label: label.clone() });
        assert_eq!(
            error.to_string(),
            "Invalid private key file: server.key, line 2: \
             BEGIN PRIVATE KEY without its END: the file was cut off"
        );
        assert_eq!(
            refusal(key(b"AAAA\n-----END PRIVATE KEY-----\n")),
            KeystoreError::StrayEnd { role, at: at(2), label }
        );
        let garbled = refusal(key(b"-----BEGIN PRIVATE KEY-----\n?\n-----END PRIVATE KEY-----\n"));
        assert!(matches!(garbled, KeystoreError::NotBase64 { .. }), "{garbled}");
    }

    #[test]
    fn empty_and_huge_files_are_refused_in_the_words_of_their_role() {
        let crt = |bytes: &[u8]| refusal(read_certificates(bytes, "server.crt"));
        assert_eq!(crt(b" \n"), KeystoreError::Empty { role: FileRole::Certificate, at: file("server.crt") });
        assert_eq!(crt(b"").refusal(), Refusal::Certificate);
        assert_eq!(refusal(key(b"")).refusal(), Refusal::PrivateKeyFile);
        let huge = vec![b'0'; MAX_BYTES + 1];
        assert!(matches!(refusal(key(&huge)), KeystoreError::TooLarge { found, .. } if found == huge.len()));
    }

    #[test]
    fn a_file_of_other_things_says_what_they_are() {
        assert_eq!(
            refusal(read_certificates(samples::POOL_00, "server.crt")),
            KeystoreError::NoSuchBlock {
                role: FileRole::Certificate,
                at: file("server.crt"),
                expected: "CERTIFICATE".to_owned(),
                found: vec!["PRIVATE KEY".to_owned()],
            }
        );
        let no_key = refusal(key(certificate(0).to_pem().as_bytes()));
        assert_eq!(no_key.refusal(), Refusal::PrivateKeyFile);
        let not_a_certificate = refusal(read_certificates(b"hello", "server.crt"));
        assert!(matches!(not_a_certificate, KeystoreError::Certificate { .. }), "{not_a_certificate}");
    }

    #[test]
    fn certificates_that_are_not_of_rsa_throughout_are_refused() {
        let refused = |text| refusal(read_identity(text, "server.crt", samples::POOL_00, "server.key"));
        assert_eq!(
            refused(samples::EC),
            KeystoreError::CertificateKey { at: file("server.crt"), found: KeyAlgorithm::Ec }
        );
        for (text, found) in [(samples::PSS, "rsassaPss"), (samples::RSA_BY_EC, "ecdsa-with-SHA256")] {
            let error = refused(text);
            assert_eq!(
                error,
                KeystoreError::CertificateSignature { at: file("server.crt"), found: found.to_owned() }
            );
            assert_eq!(
                error.refusal().to_string(),
                "Invalid certificate type, or invalid certificate signature algorithm"
            );
        }
    }

    proptest! {
        #[test]
        fn no_damage_to_a_file_makes_the_reader_panic(at in 0_usize..1900, byte: u8, cut in 0_usize..2000) {
            for sample in [samples::POOL_00, samples::EC, samples::BY_OPENSSL, &der(samples::POOL_00)] {
                let mut bytes = sample.to_vec();
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
                bytes.truncate(cut);
                let _ = read_private_key(&bytes, "a");
                let _ = read_certificates(&bytes, "a");
            }
        }
    }
}
