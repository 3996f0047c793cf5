//! Why a file of the certificate wizard is refused.
//!
//! The product answers everything that it does not like with one of three sentences [C S6]; a [`KeystoreError`]
//! begins with the one that it would give, and goes on to say what is really wrong, in which file and line.

use std::fmt;

use super::super::certificate::{CertificateError, Fingerprint, KeyAlgorithm};
use super::super::signature::KeyError;
use super::kind::StoreType;
use super::secret::PasswordError;

/// The sentence with which the product refuses a file [C S6].
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

/// The role in which a file was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileRole {
    /// As the certificate.
    Certificate,
    /// As the private key.
    PrivateKey,
    /// As a keystore, with both in it.
    Keystore,
}

impl FileRole {
    /// The sentence with which the product refuses a bad file in this role.
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::Certificate => Refusal::Certificate,
            Self::PrivateKey => Refusal::PrivateKeyFile,
            Self::Keystore => Refusal::KeystoreFile,
        }
    }
}

/// A file, and the line in it if it is PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePosition {
    /// Name of the file.
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
    /// The file is no keystore.
    #[error("not a keystore; expected a JKS, JCEKS or PKCS#12 file{hint}")]
    NotAStore {
        /// The kind of file that it seems to be instead, as the end of a sentence.
        hint: String,
    },
    /// The keystore is of another type than was said.
    #[error("expected a keystore of the type {expected}, found {found}")]
    Type {
        /// The type that was said.
        expected: StoreType,
        /// The type of the file.
        found: StoreType,
    },
    /// JCEKS files are read by the very Java that wrote them [C S6], and this manager's is another.
    #[error("a JCEKS file is only for the Java that wrote it; convert it with keytool to JKS")]
    Jceks,
    /// The file breaks off, or has content that cannot be there.
    #[error("the file is damaged: {detail}")]
    Damaged {
        /// The place of the damage, and the content that was expected there.
        detail: String,
    },
    /// The check sum is not that of the content under this password.
    #[error("the password is wrong, or the file was changed after it was written")]
    Password,
    /// The key does not open with the password.
    #[error(
        "the key under the alias {alias:?} does not open with this password; is its own a different one?"
    )]
    KeyPassword {
        /// The alias.
        alias: String,
    },
    /// Something in it is encrypted or checked in a way that is not known here.
    #[error("it uses {found}, which is not supported")]
    Algorithm {
        /// The algorithm.
        found: String,
    },
    /// The passwords go through an unreasonable number of rounds.
    #[error("it wants {found} rounds of password derivation, expected 1 to {expected}")]
    Rounds {
        /// The limit.
        expected: u64,
        /// The number in the file.
        found: u64,
    },
    /// All its entries together want too many rounds.
    #[error("its entries want more than {expected} rounds of password derivation together")]
    RoundsInAll {
        /// The limit.
        expected: u64,
    },
    /// Two entries go by one alias.
    #[error("two entries have the alias {alias:?}")]
    DuplicateAlias {
        /// The alias.
        alias: String,
    },
    /// There is no entry of that alias.
    #[error("it has no entry {alias:?}{hint}; it has {known:?}")]
    NoSuchAlias {
        /// The alias that was asked for.
        alias: String,
        /// The nearest there is, as the end of a sentence; empty when none is near.
        hint: String,
        /// All that there are.
        known: Vec<String>,
    },
    /// The store has more keys than one, and no alias was named.
    #[error("it has several keys; say which alias is meant: {aliases:?}")]
    SeveralKeys {
        /// Their aliases.
        aliases: Vec<String>,
    },
    /// Nothing in it has a key.
    #[error("it has no entry with a private key, only {known:?}")]
    NoKey {
        /// The aliases of those that it has.
        known: Vec<String>,
    },
    /// The entry that is meant is something else.
    #[error("the entry {alias:?} is {found}, without a private key")]
    EntryWithoutKey {
        /// The alias.
        alias: String,
        /// The kind of the entry.
        found: String,
    },
    /// The key has no certificate.
    #[error("the entry {alias:?} has a key and no certificate to it")]
    NoCertificate {
        /// The alias.
        alias: String,
    },
    /// The key is none for a manager.
    #[error("the key under the alias {alias:?}: {reason}")]
    Key {
        /// The alias.
        alias: String,
        /// The defect of the key.
        reason: KeyError,
    },
    /// The key is for another certificate.
    #[error("the entry {alias:?} has a key whose public key is {found}, and a certificate for {expected}")]
    Mismatch {
        /// The alias.
        alias: String,
        /// SHA-256 of the public key in the certificate.
        expected: Box<Fingerprint>,
        /// SHA-256 of the public key that belongs to the private key.
        found: Box<Fingerprint>,
    },
}

/// Why the files of the wizard are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    /// There is nothing in the file.
    #[error("{}: {at} is empty", .role.refusal())]
    Empty {
        /// The role in which the file was given.
        role: FileRole,
        /// The file.
        at: FilePosition,
    },
    /// The file is too large to be what it should be.
    #[error("{}: {at} has {found} bytes, expected at most {expected}", .role.refusal())]
    TooLarge {
        /// The role in which the file was given.
        role: FileRole,
        /// The file.
        at: FilePosition,
        /// The limit in bytes.
        expected: usize,
        /// The length of the file in bytes.
        found: usize,
    },
    /// A PEM block breaks off.
    #[error("{}: {at}: BEGIN {label} without its END: the file was cut off", .role.refusal())]
    Truncated {
        /// The role in which the file was given.
        role: FileRole,
        /// The BEGIN.
        at: FilePosition,
        /// The label of the block.
        label: String,
    },
    /// A PEM block has lost its beginning.
    #[error("{}: {at}: END {label} without its BEGIN", .role.refusal())]
    StrayEnd {
        /// The role in which the file was given.
        role: FileRole,
        /// The END.
        at: FilePosition,
        /// The label of the block.
        label: String,
    },
    /// The content of a PEM block is not base64.
    #[error("{}: {at}: the {label} block is not base64: {detail}", .role.refusal())]
    NotBase64 {
        /// The role in which the file was given.
        role: FileRole,
        /// The BEGIN.
        at: FilePosition,
        /// The label of the block.
        label: String,
        /// The defect of the content.
        detail: String,
    },
    /// A PEM file holds other things than were asked for.
    #[error("{}: {at}: expected a {expected} block, found {found:?}", .role.refusal())]
    NoSuchBlock {
        /// The role in which the file was given.
        role: FileRole,
        /// The file.
        at: FilePosition,
        /// The label that was looked for.
        expected: String,
        /// The blocks that are there.
        found: Vec<String>,
    },
    /// The file has more keys than one.
    #[error("{}: {}: expected one private key, found {}, at lines {lines:?}",
        Refusal::PrivateKeyFile, .at, .lines.len())]
    SeveralKeys {
        /// The file.
        at: FilePosition,
        /// The BEGIN of each.
        lines: Vec<usize>,
    },
    /// The key is none for a manager: encrypted, not RSA, too short, broken.
    #[error("{}: {at}: {reason}", Refusal::PrivateKeyFile)]
    Key {
        /// The file, or the BEGIN.
        at: FilePosition,
        /// The defect of the key.
        reason: KeyError,
    },
    /// The keystore cannot be used.
    #[error("{}: {at}: {reason}", Refusal::KeystoreFile)]
    Store {
        /// The file.
        at: FilePosition,
        /// The defect of the keystore. Boxed, to keep every error small.
        reason: Box<StoreError>,
    },
    /// A file that should hold a password does not.
    #[error("{}: {at}: {reason}", .role.refusal())]
    Password {
        /// The role of the file that the password should open.
        role: FileRole,
        /// The password's file.
        at: FilePosition,
        /// The defect of the password file.
        reason: PasswordError,
    },
    /// The certificate cannot be read.
    #[error("{}: {at}: {reason}", Refusal::Certificate)]
    Certificate {
        /// The file, or the BEGIN.
        at: FilePosition,
        /// The defect of the certificate.
        reason: CertificateError,
    },
    /// The certificate is for another kind of key than RSA.
    #[error("{}: {at}: expected a certificate for an RSA key, found: {found}", Refusal::Certificate)]
    CertificateKey {
        /// The file.
        at: FilePosition,
        /// For what kind of key it is.
        found: KeyAlgorithm,
    },
    /// The certificate was not signed with RSA, which managers demand since 12.1 [C S6].
    #[error("{}: {at}: expected a sha*WithRSAEncryption signature, found {found}", Refusal::Certificate)]
    CertificateSignature {
        /// The file.
        at: FilePosition,
        /// The algorithm of its signature.
        found: String,
    },
    /// The certificate is signed by way of SHA-1, and by assumption this manager minds.
    #[error("{}: {at}: expected a signature with SHA-256 or better, found {found}", Refusal::Certificate)]
    WeakSignature {
        /// The file.
        at: FilePosition,
        /// The algorithm of its signature.
        found: String,
    },
    /// The certificate is for a key that is too short.
    #[error("{}: {at}: expected a key of {expected} bits at least, found {found}", Refusal::Certificate)]
    ShortKey {
        /// The file.
        at: FilePosition,
        /// The limit in bits.
        expected: u32,
        /// The length of the key in bits.
        found: u32,
    },
    /// The certificate is of a version that no TLS library of today takes.
    #[error("{}: {at}: expected X.509 version 3, found version {found}", Refusal::Certificate)]
    CertificateVersion {
        /// The file.
        at: FilePosition,
        /// The version of the certificate.
        found: u32,
    },
    /// The key is not the one that the certificate is for.
    #[error(
        "{}: {at}: the public key belonging to it is {found}, but {certificate} is for {expected}",
        Refusal::PrivateKeyFile
    )]
    Mismatch {
        /// The key.
        at: FilePosition,
        /// Name of the certificate's file.
        certificate: String,
        /// SHA-256 of the public key in the certificate. Boxed, as is the other, to keep every error small.
        expected: Box<Fingerprint>,
        /// SHA-256 of the public key that belongs to the private key.
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
            | Self::NoSuchBlock { role, .. }
            | Self::Password { role, .. } => role.refusal(),
            Self::Store { .. } => Refusal::KeystoreFile,
            Self::SeveralKeys { .. } | Self::Key { .. } | Self::Mismatch { .. } => Refusal::PrivateKeyFile,
            Self::Certificate { .. }
            | Self::CertificateKey { .. }
            | Self::CertificateSignature { .. }
            | Self::WeakSignature { .. }
            | Self::ShortKey { .. }
            | Self::CertificateVersion { .. } => Refusal::Certificate,
        }
    }
}
