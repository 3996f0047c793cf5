//! A certificate and its key in separate files, as PEM or DER.
//!
//! The content decides which of the two formats a file has, never its name.

use zeroize::Zeroizing;

use super::super::certificate::ServerCertificate;
use super::super::key_form::{KeyForm, is_key_of};
use super::super::pem::{self, Block, PemError};
use super::super::signature::{KeyError, SigningKey};
use super::asn1::{self, EncryptedKey};
use super::file_kind::{FileKind, outer_length};
use super::identity::ServerIdentity;
use super::pbe;
use super::refusal::{FilePosition, FileRole, KeystoreError, StoreError};
use super::rounds::Rounds;
use super::secret::Password;
use super::wizard::{WizardRules, check_size};

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
    check_size(std::iter::once(&certificate).chain(&chain), &file(certificate_name))?;
    let key = read_private_key_with(key, key_name, key_password)?;
    Ok(ServerIdentity::join(key, certificate, file(key_name), certificate_name)?.with_chain(chain))
}

/// Whether the private key in a file belongs to a certificate, whether or not a manager could use the two; none for a
/// key whose public half cannot be told.
///
/// # Errors
/// If the file has no private key, or several, or it cannot be decrypted.
pub fn key_fits(
    certificate: &ServerCertificate,
    key: &[u8],
    key_name: &str,
    key_password: Option<&Password>,
) -> Result<Option<bool>, KeystoreError> {
    let (_, der, _) = read_key_der(key, key_name, key_password)?;
    Ok(is_key_of(&der, certificate))
}

/// Whether the private key in a file is encrypted.
///
/// # Errors
/// If the file has no private key, or several.
pub fn is_key_encrypted(key: &[u8], key_name: &str) -> Result<bool, KeystoreError> {
    Ok(the_key(key, key_name)?.is_encrypted())
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
    let (at, der, was_encrypted) = read_key_der(bytes, name, password)?;
    SigningKey::from_der(&der).map_err(|reason| match reason {
        // A wrong password gives valid padding once in 256 times.
        KeyError::NotAKey if was_encrypted => KeystoreError::Key { at, reason: KeyError::WrongPassword },
        KeyError::NotAKey => unexpected(FileRole::PrivateKey, at, &der),
        reason => KeystoreError::Key { at, reason },
    })
}

/// The only private key of a file, its position, and whether it was encrypted.
fn read_key_der(
    bytes: &[u8],
    name: &str,
    password: Option<&Password>,
) -> Result<(FilePosition, Zeroizing<Vec<u8>>, bool), KeystoreError> {
    let part = the_key(bytes, name)?;
    let is_encrypted = part.is_encrypted();
    let Part { at, der, cipher } = part;
    if !is_encrypted {
        return Ok((at, Zeroizing::new(der), false));
    }
    let refused = |reason| KeystoreError::Key { at: at.clone(), reason };
    let password = password.ok_or_else(|| refused(KeyError::Encrypted))?;
    let mut plain = Err(StoreError::Password);
    for form in password.forms() {
        plain = match &cipher {
            Some(cipher) => pbe::decrypt_old_pem(cipher, &der, &form),
            None => open_pkcs8(&der, &form),
        };
        if plain.as_ref().is_ok_and(|plain| KeyForm::of(plain) != KeyForm::Unknown) {
            break;
        }
    }
    let plain = plain.map_err(|reason| {
        refused(match reason {
            StoreError::Password => KeyError::WrongPassword,
            other => KeyError::Encryption { detail: other.to_string() },
        })
    })?;
    Ok((at, plain, true))
}

fn the_key(bytes: &[u8], name: &str) -> Result<Part, KeystoreError> {
    let (block, others) =
        read_blocks(bytes, name, FileRole::PrivateKey, |label| label.ends_with("PRIVATE KEY"))?;
    if !others.is_empty() {
        let lines = std::iter::once(&block).chain(&others).filter_map(|each| each.at.line).collect();
        return Err(KeystoreError::SeveralKeys { at: file(name), lines });
    }
    Ok(block)
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
        ServerCertificate::from_der(&part.der).map_err(|reason| match FileKind::of_der(&part.der) {
            FileKind::Certificate => KeystoreError::Certificate { at: part.at, reason },
            found => KeystoreError::Unexpected { role: FileRole::Certificate, at: part.at, found },
        })
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

impl Part {
    fn is_encrypted(&self) -> bool {
        self.cipher.is_some() || KeyForm::of(&self.der) == KeyForm::Encrypted
    }
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
    let unexpected = |found| KeystoreError::Unexpected { role, at: file(name), found };
    match FileKind::of(bytes) {
        FileKind::Empty => return Err(KeystoreError::Empty { role, at: file(name) }),
        // A store may begin like DER of another kind.
        found @ (FileKind::Store(_) | FileKind::Utf16(_)) => return Err(unexpected(found)),
        found if !pem::looks_like_pem(bytes) => {
            return match values(bytes, role) {
                Some(mut values) if !values.is_empty() => {
                    let first = values.remove(0);
                    let part = |der: &[u8]| Part { at: file(name), der: der.to_vec(), cipher: None };
                    Ok((part(first), values.into_iter().map(part).collect()))
                }
                _ => Err(unexpected(found)),
            };
        }
        _ => {}
    }
    let blocks = pem::read(bytes).map_err(|error| broken_pem(error, role, name))?;
    let mut parts = blocks.into_iter().filter(|block| wanted(&block.label)).map(|block| part(block, name));
    match parts.next() {
        Some(first) => Ok((first, parts.collect())),
        None => Err(unexpected(FileKind::of(bytes))),
    }
}

/// The values of a file in DER: several certificates may follow each other, and a line end the last one. None if
/// something else does, or a value is cut off.
fn values(mut bytes: &[u8], role: FileRole) -> Option<Vec<&[u8]>> {
    let mut values = Vec::new();
    while !bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) {
        let (content, header) = outer_length(bytes)?;
        let (value, rest) = bytes.split_at_checked(content.checked_add(header)?)?;
        values.push(value);
        bytes = rest;
    }
    (role == FileRole::Certificate || values.len() == 1).then_some(values)
}

fn unexpected(role: FileRole, at: FilePosition, der: &[u8]) -> KeystoreError {
    KeystoreError::Unexpected { role, at, found: FileKind::of_der(der) }
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
