//! The reasons why a file of the certificate wizard is refused.
//!
//! The product refuses every bad file with one of three sentences [C S6]. A [`KeystoreError`] begins with that
//! sentence, then says what exactly is wrong, in which file and line.

use std::fmt;

use super::super::certificate::{CertificateError, Fingerprint, KeyAlgorithm};
use super::super::signature::KeyError;
use super::file_kind::FileKind;
use super::kind::StoreType;
pub use super::role::{FileRole, Refusal};
use super::secret::PasswordError;
use crate::excerpt::{excerpt, excerpts};

/// The name of a file, and the line in it if it is PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePosition {
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: Option<usize>,
}

impl FilePosition {
    pub(super) fn of(file: &str) -> Self {
        Self { file: file.to_owned(), line: None }
    }
}

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// The defect of a keystore.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The keystore is of another type than given.
    #[error("expected a keystore of the type {expected}, found {found}")]
    Type {
        /// The type that was given.
        expected: StoreType,
        /// The type of the file.
        found: StoreType,
    },
    /// A JCEKS file can be read only by the Java that wrote it [C S6], and this manager's is another.
    #[error("a JCEKS file can be read only by the Java that wrote it; convert it with keytool to JKS")]
    Jceks,
    /// The file is cut off or malformed.
    #[error("the file is damaged: {detail}")]
    Damaged {
        /// The place of the damage, and the content that was expected there.
        detail: String,
    },
    /// The checksum does not match the content with this password.
    #[error("the password is wrong, or the file was changed after it was written")]
    Password,
    /// The key cannot be decrypted with the password.
    #[error(
        "the key under the alias {:?} cannot be decrypted with this password; does it have a separate one?",
        excerpt(alias)
    )]
    KeyPassword {
        /// The alias of the entry.
        alias: String,
    },
    /// The file is encrypted or checked with an unsupported algorithm.
    #[error("unsupported: {found}")]
    Algorithm {
        /// The name of the algorithm.
        found: String,
    },
    /// The file demands an unreasonable number of rounds of password derivation.
    #[error("expected 1 to {expected} rounds of password derivation, found {found}")]
    Rounds {
        /// The largest number of rounds.
        expected: u64,
        /// The number in the file.
        found: u64,
    },
    /// The entries of the file together demand too many rounds of password derivation.
    #[error("expected at most {expected} rounds of password derivation in all, found more")]
    RoundsInAll {
        /// The largest number of rounds.
        expected: u64,
    },
    /// Two entries have the same alias.
    #[error("two entries have the alias {:?}", excerpt(alias))]
    DuplicateAlias {
        /// The alias of both.
        alias: String,
    },
    /// There is no entry with that alias.
    #[error("there is no entry {:?}{hint}; the keystore has {}", excerpt(alias), quoted(known))]
    NoSuchAlias {
        /// The alias that was asked for.
        alias: String,
        /// The nearest known alias, as the end of a sentence; empty if none is near.
        hint: String,
        /// All aliases of the keystore.
        known: Vec<String>,
    },
    /// The keystore has several keys, and no alias was given.
    #[error(
        "the keystore has several keys: name one of them with `--alias` (`alias` in the control API): {}",
        quoted(aliases)
    )]
    SeveralKeys {
        /// The aliases of the keys.
        aliases: Vec<String>,
    },
    /// No entry of the keystore has a key.
    #[error("the keystore has no entry with a private key, only {}", quoted(known))]
    NoKey {
        /// The aliases of its entries.
        known: Vec<String>,
    },
    /// The entry with that alias has no key.
    #[error("the entry {:?} is {found}, without a private key", excerpt(alias))]
    EntryWithoutKey {
        /// The alias of the entry.
        alias: String,
        /// What the entry is.
        found: String,
    },
    /// The entry has a key without a certificate.
    #[error("the entry {:?} has a key without a certificate", excerpt(alias))]
    NoCertificate {
        /// The alias of the entry.
        alias: String,
    },
    /// The key cannot be used by a manager.
    #[error("the key under the alias {:?}: {reason}", excerpt(alias))]
    Key {
        /// The alias of the entry.
        alias: String,
        /// The defect of the key.
        reason: KeyError,
    },
    /// The key and the certificate of the entry do not belong together.
    #[error(
        "the entry {:?} has a key with the public key {found}, but a certificate for {expected}",
        excerpt(alias)
    )]
    Mismatch {
        /// The alias of the entry.
        alias: String,
        /// The SHA-256 of the public key in the certificate.
        expected: Box<Fingerprint>,
        /// The SHA-256 of the public key that belongs to the private key.
        found: Box<Fingerprint>,
    },
}

/// The largest number of lines that an error names.
const MOST_LINES: usize = 20;

/// Aliases in a sentence.
fn quoted(aliases: &[String]) -> String {
    match aliases {
        [] => "no entries".to_owned(),
        some => excerpts(some.iter().map(String::as_str), |alias| format!("{alias:?}")),
    }
}

/// The reason why the files of the wizard are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    /// The file is empty.
    #[error("{}: {at} is empty", .role.refusal())]
    Empty {
        /// The role in which the file was given.
        role: FileRole,
        /// The name of the file.
        at: FilePosition,
    },
    /// The file is too large for its role.
    #[error("{}: {at} has {found} bytes, expected at most {expected}", .role.refusal())]
    TooLarge {
        /// The role in which the file was given.
        role: FileRole,
        /// The name of the file.
        at: FilePosition,
        /// The largest size in bytes.
        expected: usize,
        /// The size of the file in bytes.
        found: usize,
    },
    /// A PEM block has no END.
    #[error("{}: {at}: BEGIN {label} without its END: the file was cut off", .role.refusal())]
    Truncated {
        /// The role in which the file was given.
        role: FileRole,
        /// The position of the BEGIN.
        at: FilePosition,
        /// The label of the block.
        label: String,
    },
    /// A PEM block has no BEGIN.
    #[error("{}: {at}: END {label} without its BEGIN", .role.refusal())]
    StrayEnd {
        /// The role in which the file was given.
        role: FileRole,
        /// The position of the END.
        at: FilePosition,
        /// The label of the block.
        label: String,
    },
    /// The content of a PEM block is not base64.
    #[error("{}: {at}: the {label} block is not base64: {detail}", .role.refusal())]
    NotBase64 {
        /// The role in which the file was given.
        role: FileRole,
        /// The position of the BEGIN.
        at: FilePosition,
        /// The label of the block.
        label: String,
        /// The defect of the content.
        detail: String,
    },
    /// The file is something else than its role expects.
    #[error("{}: {at}: expected {}, found {found}{}", .role.refusal(), .role.expected(), .found.hint(*.role))]
    Unexpected {
        /// The role in which the file was given.
        role: FileRole,
        /// The name of the file, and the line of a block that is not what its label says.
        at: FilePosition,
        /// What the file is.
        found: FileKind,
    },
    /// The file has several private keys.
    #[error("{}: {}: expected one private key, found {}, at lines {:?}",
        Refusal::PrivateKeyFile, .at, .lines.len(), .lines.get(..MOST_LINES).unwrap_or(.lines))]
    SeveralKeys {
        /// The name of the file.
        at: FilePosition,
        /// The line of each BEGIN.
        lines: Vec<usize>,
    },
    /// The key cannot be used by a manager: encrypted, not RSA, too short, malformed.
    #[error("{}: {at}: {reason}", Refusal::PrivateKeyFile)]
    Key {
        /// The position of the key.
        at: FilePosition,
        /// The defect of the key.
        reason: KeyError,
    },
    /// The keystore cannot be used.
    #[error("{}: {at}: {reason}", Refusal::KeystoreFile)]
    Store {
        /// The name of the keystore's file.
        at: FilePosition,
        /// The defect of the keystore. Boxed, to keep every error small.
        reason: Box<StoreError>,
    },
    /// A password file cannot be read.
    #[error("{}: {at}: {reason}", .role.refusal())]
    Password {
        /// The role of the file that the password is for.
        role: FileRole,
        /// The name of the password file.
        at: FilePosition,
        /// The defect of the password file.
        reason: PasswordError,
    },
    /// The certificate cannot be read.
    #[error("{}: {at}: {reason}", Refusal::Certificate)]
    Certificate {
        /// The position of the certificate.
        at: FilePosition,
        /// The defect of the certificate.
        reason: CertificateError,
    },
    /// The certificate is not for an RSA key.
    #[error("{}: {at}: expected a certificate for an RSA key, found: {found}", Refusal::Certificate)]
    CertificateKey {
        /// The position of the certificate.
        at: FilePosition,
        /// The kind of its key.
        found: KeyAlgorithm,
    },
    /// The certificate was not signed with RSA, which managers demand since 12.1 [C S6].
    #[error("{}: {at}: expected a signature with RSA, found {found}", Refusal::Certificate)]
    CertificateSignature {
        /// The position of the certificate.
        at: FilePosition,
        /// The algorithm of its signature.
        found: String,
    },
    /// The certificate is signed with RSA in a way that this manager refuses by assumption.
    #[error(
        "{}: {at}: expected a signature that the wizard accepts, such as sha256WithRSAEncryption, found {found}; \
         the assumption `{assumption}` decides about it",
        Refusal::Certificate
    )]
    AssumedSignature {
        /// The position of the certificate.
        at: FilePosition,
        /// The algorithm of its signature.
        found: String,
        /// The name of the assumption.
        assumption: &'static str,
    },
    /// Certificate and chain do not fit into the message in which a server presents them.
    #[error(
        "{}: {at}: expected a certificate that fits into a TLS handshake message with its chain, at most {expected} \
         bytes, found {found}",
        Refusal::Certificate
    )]
    TooLargeForTls {
        /// The position of the certificate.
        at: FilePosition,
        /// The largest size in bytes.
        expected: usize,
        /// The size in bytes.
        found: usize,
    },
    /// The key of the certificate is too short.
    #[error("{}: {at}: expected a key of at least {expected} bits, found {found}", Refusal::Certificate)]
    ShortKey {
        /// The position of the certificate.
        at: FilePosition,
        /// The shortest length in bits.
        expected: u32,
        /// The length of the key in bits.
        found: u32,
    },
    /// The certificate has an X.509 version that this manager refuses by assumption.
    #[error(
        "{}: {at}: expected an X.509 v3 certificate, found X.509 v{found}; the assumption `wizard_takes_x509_v1` \
         decides about it",
        Refusal::Certificate
    )]
    CertificateVersion {
        /// The position of the certificate.
        at: FilePosition,
        /// The version of the certificate.
        found: u32,
    },
    /// The key does not belong to the certificate.
    #[error(
        "{}: {at}: the public key belonging to it is {found}, but {certificate} is for {expected}",
        Refusal::PrivateKeyFile
    )]
    Mismatch {
        /// The position of the key.
        at: FilePosition,
        /// The name of the certificate's file.
        certificate: String,
        /// The SHA-256 of the public key in the certificate. Boxed, like the other, to keep every error small.
        expected: Box<Fingerprint>,
        /// The SHA-256 of the public key that belongs to the private key.
        found: Box<Fingerprint>,
    },
}

impl KeystoreError {
    /// The sentence with which the product would refuse the file.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Empty { role, .. }
            | Self::TooLarge { role, .. }
            | Self::Truncated { role, .. }
            | Self::StrayEnd { role, .. }
            | Self::NotBase64 { role, .. }
            | Self::Unexpected { role, .. }
            | Self::Password { role, .. } => role.refusal(),
            Self::Store { .. } => Refusal::KeystoreFile,
            Self::SeveralKeys { .. } | Self::Key { .. } | Self::Mismatch { .. } => Refusal::PrivateKeyFile,
            Self::Certificate { .. }
            | Self::CertificateKey { .. }
            | Self::CertificateSignature { .. }
            | Self::AssumedSignature { .. }
            | Self::TooLargeForTls { .. }
            | Self::ShortKey { .. }
            | Self::CertificateVersion { .. } => Refusal::Certificate,
        }
    }
}
