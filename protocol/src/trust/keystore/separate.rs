//! A certificate and its key in separate files, as PEM or DER.
//!
//! The content decides which of the two formats a file has, never its name.

use zeroize::Zeroizing;

use super::super::certificate::ServerCertificate;
use super::super::key_form::KeyForm;
use super::super::pem::{self, Block, PemError};
use super::super::signature::{KeyError, SigningKey};
use super::asn1::{self, EncryptedKey};
use super::identity::ServerIdentity;
use super::pbe;
use super::refusal::{FilePosition, FileRole, KeystoreError, StoreError};
use super::rounds::Rounds;
use super::secret::Password;
use super::wizard::WizardRules;

/// The largest size of a file of the wizard, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Reads a certificate and its key. The first of several certificates is the manager's, the others its
/// chain.
///
/// # Errors
/// If a file cannot be read, is not of RSA, or the two do not belong together.
pub fn read_identity(
    certificate: &[u8],
    certificate_name: &str,
    key: &[u8],
    key_name: &str,
) -> Result<ServerIdentity, KeystoreError> {
    let rules = WizardRules::default();
    read_identity_with(certificate, certificate_name, key, key_name, None, &rules)
}

/// Reads a certificate and its key with the key's password, and applies the rules of the wizard.
///
/// # Errors
/// As [`read_identity`]; also if the key cannot be decrypted, or is encrypted and no password was given.
pub fn read_identity_with(
    certificate: &[u8],
    certificate_name: &str,
    key: &[u8],
    key_name: &str,
    key_password: Option<&Password>,
    rules: &WizardRules,
) -> Result<ServerIdentity, KeystoreError> {
    let (certificate, chain) = read_chain(certificate, certificate_name)?;
    rules.check(&certificate, &file(certificate_name))?;
    let key = read_private_key_with(key, key_name, key_password)?;
    Ok(ServerIdentity::join(key, certificate, file(key_name), certificate_name)?.with_chain(chain))
}

/// Reads all certificates of a file, at least one, in order.
///
/// # Errors
/// If there is none, or one cannot be read.
pub fn read_certificates(bytes: &[u8], name: &str) -> Result<Vec<ServerCertificate>, KeystoreError> {
    let (first, mut rest) = read_chain(bytes, name)?;
    rest.insert(0, first);
    Ok(rest)
}

/// Reads the only private key of a file; certificates and parameters in it are ignored.
///
/// # Errors
/// If there is none, or several, or it is encrypted, not RSA, or malformed.
pub fn read_private_key(bytes: &[u8], name: &str) -> Result<SigningKey, KeystoreError> {
    read_private_key_with(bytes, name, None)
}

/// Reads the only private key of a file with its password, which is ignored if the key is not encrypted.
///
/// # Errors
/// As [`read_private_key`]; also if the key cannot be decrypted.
pub fn read_private_key_with(
    bytes: &[u8],
    name: &str,
    password: Option<&Password>,
) -> Result<SigningKey, KeystoreError> {
    let (block, others) =
        read_blocks(bytes, name, FileRole::PrivateKey, |label| label.ends_with("PRIVATE KEY"))?;
    if !others.is_empty() {
        let lines = std::iter::once(&block).chain(&others).filter_map(|each| each.at.line).collect();
        return Err(KeystoreError::SeveralKeys { at: file(name), lines });
    }
    let Part { at, der, cipher } = block;
    let refused = |reason| KeystoreError::Key { at: at.clone(), reason };
    let is_encrypted = cipher.is_some() || KeyForm::of(&der) == KeyForm::Encrypted;
    if !is_encrypted {
        return SigningKey::from_der(&der).map_err(refused);
    }
    let password = password.ok_or_else(|| refused(KeyError::Encrypted))?;
    let plain = match &cipher {
        Some(cipher) => pbe::decrypt_old_pem(cipher, &der, password),
        None => open_pkcs8(&der, password),
    };
    let plain = plain.map_err(|reason| {
        refused(match reason {
            StoreError::Password => KeyError::WrongPassword,
            other => KeyError::Encryption { detail: other.to_string() },
        })
    })?;
    // A wrong password gives valid padding once in 256 times.
    SigningKey::from_der(&plain)
        .map_err(|reason| refused(if reason == KeyError::NotAKey { KeyError::WrongPassword } else { reason }))
}

fn open_pkcs8(der: &[u8], password: &Password) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let EncryptedKey { algorithm, data } = asn1::read(der)?;
    pbe::decrypt(&algorithm, data.as_bytes(), password, &mut Rounds::of_a_file())
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

/// The DER of a certificate or key, and its position.
struct Part {
    at: FilePosition,
    der: Vec<u8>,
    /// The encryption of the contents, according to a header.
    cipher: Option<String>,
}

/// Returns the blocks of a PEM file that are `wanted`, or all of a DER file: the first, which always exists, and the
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
        return Ok((Part { at: file(name), der: bytes.to_vec(), cipher: None }, Vec::new()));
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
                FileRole::Keystore => "keystore".to_owned(),
            },
            found,
        }),
    }
}

fn part(block: Block, name: &str) -> Part {
    Part {
        at: FilePosition { file: name.to_owned(), line: Some(block.line) },
        der: block.contents,
        cipher: block.cipher,
    }
}

fn broken_pem(error: PemError, role: FileRole, name: &str) -> KeystoreError {
    let at = |line| FilePosition { file: name.to_owned(), line: Some(line) };
    match error {
        PemError::Truncated { label, line } => KeystoreError::Truncated { role, at: at(line), label },
        PemError::StrayEnd { label, line } => KeystoreError::StrayEnd { role, at: at(line), label },
        PemError::NotBase64 { label, line, detail } => {
            KeystoreError::NotBase64 { role, at: at(line), label, detail }
        }
    }
}

fn file(name: &str) -> FilePosition {
    FilePosition { file: name.to_owned(), line: None }
}
