//! Reads `server.crt` and `server.key` as the product's web server does: Apache with OpenSSL.
//!
//! The rules and the messages are those of Apache 2.4 with OpenSSL 3, against which a test compares them. The wizard's
//! rules do not apply: files that a tool puts here are read by the web server alone.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use der::{Decode as _, Encode as _, Header, Reader as _, SliceReader};

use crate::trust::{
    KeyAlgorithm, KeyError, KeystoreError, ServerCertificate, ServerIdentity, SigningKey, read_private_key,
};

/// The name of the virtual host in messages; the product's is not known.
const HOST: &str = "localhost:443:0";
/// The longest line that OpenSSL reads at once, in bytes.
const LINE: usize = 254;
const NO_START_LINE: &str = "error:0480006C:PEM routines::no start line (Expecting: TRUSTED CERTIFICATE) -- Bad file \
                             contents or format - or even just a forgotten SSLCertificateKeyFile?";
const BAD_END_LINE: &str = "error:04800066:PEM routines::bad end line";
const BAD_BASE64: &str = "error:04800064:PEM routines::bad base64 decode";
const NOT_PROC_TYPE: &str = "error:0480006B:PEM routines::not proc type";
const NO_CERTIFICATE: &str = "error:0688010A:asn1 encoding routines::nested asn1 error (Type=X509)";
const KEY_TOO_SMALL: &str = "error:0A00018F:SSL routines::ee key too small";
const WEAK_AUTHORITY: &str = "error:0A00018E:SSL routines::ca md too weak";

/// A file of the web server, with its path as messages name it; without content if it does not exist.
#[derive(Clone, Copy)]
pub struct ApacheFile<'a> {
    /// The path of the file.
    pub path: &'a str,
    /// The content of the file.
    pub content: Option<&'a [u8]>,
}

/// The reason why the web server does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApacheError {
    /// A file does not exist or is empty.
    #[error("AH00526: Syntax error: {directive}: file '{path}' does not exist or is empty")]
    Absent {
        /// The directive of the configuration.
        directive: &'static str,
        /// The path of the file.
        path: String,
    },
    /// The file with the certificate is not usable.
    #[error(
        "AH02562: Failed to configure certificate {HOST} (with chain), check {path}; SSL Library Error: {detail}"
    )]
    Certificate {
        /// The path of the file.
        path: String,
        /// The message of OpenSSL.
        detail: &'static str,
    },
    /// The file with the key is not usable.
    #[error("AH02564: Failed to configure encrypted (?) private key {HOST}, check {path}; {}", .why.text())]
    Key {
        /// The path of the file.
        path: String,
        /// What is wrong with the key.
        why: KeyTrouble,
    },
    /// The key is not the certificate's.
    #[error("AH02565: Certificate and private key {HOST} from {certificate} and {key} do not match")]
    Mismatch {
        /// The path of the file with the certificate.
        certificate: String,
        /// The path of the file with the key.
        key: String,
    },
    /// The web server starts with these files, but the lab cannot serve them.
    #[error(
        "{path}: the lab serves RSA keys of 2048 to 8192 bits only, found: {found}; the product's web server starts"
    )]
    Unserved {
        /// The path of the file.
        path: String,
        /// The kind of key that was found.
        found: String,
    },
}

/// What is wrong with the file of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyTrouble {
    /// The file has no key.
    None,
    /// The key is encrypted.
    Encrypted,
    /// The key, in DER, is not the certificate's.
    OtherDer,
}

impl KeyTrouble {
    const fn text(self) -> &'static str {
        match self {
            Self::None => "AH02579: Init: Private key not found",
            Self::Encrypted => {
                "AH02578: Init: Unable to read pass phrase [Hint: key introduced or changed before restart?]"
            }
            Self::OtherDer => {
                "SSL Library Error: error:05800074:x509 certificate routines::key values mismatch"
            }
        }
    }
}

impl ApacheError {
    /// The lines in the web server's log, each with its level.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Certificate { path, detail } => vec![
                (
                    "emerg",
                    format!("AH02562: Failed to configure certificate {HOST} (with chain), check {path}"),
                ),
                ("emerg", format!("SSL Library Error: {detail}")),
                ("emerg", "AH00016: Configuration Failed".to_owned()),
            ],
            Self::Key { path, why } => {
                let failed =
                    format!("AH02564: Failed to configure encrypted (?) private key {HOST}, check {path}");
                let mut lines = match why {
                    KeyTrouble::OtherDer => vec![("emerg", failed), ("emerg", why.text().to_owned())],
                    KeyTrouble::None | KeyTrouble::Encrypted => vec![
                        ("error", why.text().to_owned()),
                        ("emerg", "AH02312: Fatal error initialising mod_ssl, exiting.".to_owned()),
                        ("emerg", failed),
                    ],
                };
                lines.push(("emerg", "AH00016: Configuration Failed".to_owned()));
                lines
            }
            Self::Mismatch { .. } => {
                vec![("emerg", self.to_string()), ("emerg", "AH00016: Configuration Failed".to_owned())]
            }
            Self::Absent { .. } | Self::Unserved { .. } => vec![("emerg", self.to_string())],
        }
    }
}

/// Reads what the web server serves with these files. `refuses_weak` says whether it refuses short keys and the weak
/// signatures of authorities.
///
/// # Errors
///
/// When the web server does not start with these files, or the lab cannot serve their key.
pub fn read_apache(
    certificate: ApacheFile<'_>,
    key: ApacheFile<'_>,
    refuses_weak: bool,
) -> Result<ServerIdentity, ApacheError> {
    let content = |file: ApacheFile<'_>, directive| match file.content {
        Some([]) | None => Err(ApacheError::Absent { directive, path: file.path.to_owned() }),
        Some(content) => Ok(content.to_vec()),
    };
    let certificates = content(certificate, "SSLCertificateFile")?;
    let keys = content(key, "SSLCertificateKeyFile")?;
    let mut chain = read_certificates(&certificates)
        .and_then(|chain| if refuses_weak { check_strength(&chain).map(|()| chain) } else { Ok(chain) })
        .map_err(|detail| ApacheError::Certificate { path: certificate.path.to_owned(), detail })?;
    let leaf = chain.remove(0);
    let mismatch =
        || ApacheError::Mismatch { certificate: certificate.path.to_owned(), key: key.path.to_owned() };
    let unserved =
        |file: ApacheFile<'_>, found: String| ApacheError::Unserved { path: file.path.to_owned(), found };
    let unusable = |why| ApacheError::Key { path: key.path.to_owned(), why };
    let (found, is_pem) = match read_key(&keys) {
        FoundKey::Rsa { key, is_pem } => (key, is_pem),
        FoundKey::Encrypted => return Err(unusable(KeyTrouble::Encrypted)),
        FoundKey::None => return Err(unusable(KeyTrouble::None)),
        FoundKey::Unserved(found) => {
            // A key of another kind than the certificate's does not match it.
            return Err(match leaf.key_algorithm() {
                KeyAlgorithm::Rsa { bits: 2048.. } => mismatch(),
                algorithm => unserved(key, format!("{algorithm} ({found})")),
            });
        }
    };
    if found.public_key_der() != leaf.public_key_der() {
        // Apache finds the mismatch of a DER key at another place than that of a PEM key.
        return Err(if is_pem { mismatch() } else { unusable(KeyTrouble::OtherDer) });
    }
    let identity = ServerIdentity::new(found, leaf).map_err(|_| mismatch())?;
    Ok(identity.with_chain(chain))
}

/// All certificates of a file, at least one; an error has OpenSSL's words.
fn read_certificates(bytes: &[u8]) -> Result<Vec<ServerCertificate>, &'static str> {
    let mut blocks = Blocks::of(bytes);
    let mut chain = Vec::new();
    loop {
        let block = match blocks.next() {
            Ok(block) => block,
            Err(NO_START_LINE) if !chain.is_empty() => return Ok(chain),
            Err(error) => return Err(error),
        };
        let is_wanted = match block.label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => true,
            // Only the first certificate can have trust settings.
            "TRUSTED CERTIFICATE" => chain.is_empty(),
            _ => false,
        };
        if is_wanted {
            if !block.header.is_empty() {
                return Err(NOT_PROC_TYPE);
            }
            let der = first_value(&block.content).ok_or(NO_CERTIFICATE)?;
            chain.push(ServerCertificate::from_der(&der).map_err(|_| NO_CERTIFICATE)?);
        }
    }
}

/// Refuses what OpenSSL refuses at its security level 2.
fn check_strength(chain: &[ServerCertificate]) -> Result<(), &'static str> {
    for (place, one) in chain.iter().enumerate() {
        if place == 0 && matches!(one.key_algorithm(), KeyAlgorithm::Rsa { bits: ..2048 }) {
            return Err(KEY_TOO_SMALL);
        }
        let name = one.signature_algorithm().to_ascii_lowercase();
        if !one.is_self_signed() && ["md2", "md4", "md5", "sha1"].iter().any(|weak| name.contains(weak)) {
            return Err(WEAK_AUTHORITY);
        }
    }
    Ok(())
}

/// What a file of a private key has.
enum FoundKey {
    Rsa {
        key: SigningKey,
        is_pem: bool,
    },
    /// A key that the lab cannot sign with.
    Unserved(String),
    Encrypted,
    None,
}

/// The first key of a PEM file; without one, the key that the file is in base64 or DER.
fn read_key(bytes: &[u8]) -> FoundKey {
    let mut blocks = Blocks::of(bytes);
    while let Ok(block) = blocks.next() {
        if !block.label.ends_with("PRIVATE KEY") {
            continue;
        }
        if block.header.contains("ENCRYPTED") || block.label.starts_with("ENCRYPTED") {
            return FoundKey::Encrypted;
        }
        match key_of(&block.content, true) {
            FoundKey::None => {}
            found => return found,
        }
    }
    match decode(&base64_lines(bytes)).map(|der| key_of(&der, false)) {
        None | Some(FoundKey::None) => key_of(bytes, false),
        Some(found) => found,
    }
}

fn key_of(der: &[u8], is_pem: bool) -> FoundKey {
    match read_private_key(der, "") {
        Ok(key) => FoundKey::Rsa { key, is_pem },
        Err(KeystoreError::Key { reason: KeyError::NotRsa { found }, .. }) => {
            FoundKey::Unserved(found.to_string())
        }
        Err(KeystoreError::Key { reason: KeyError::Bits { found, .. }, .. }) => {
            FoundKey::Unserved(format!("RSA with {found} bits"))
        }
        Err(_) => FoundKey::None,
    }
}

/// The first run of lines that are base64 alone.
fn base64_lines(bytes: &[u8]) -> String {
    let is_base64 =
        |line: &[u8]| line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte));
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let lines = lines.skip_while(|line| !is_base64(line)).take_while(|line| is_base64(line));
    lines.map(String::from_utf8_lossy).collect()
}

/// The first value in these bytes, as DER.
fn first_value(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let header = Header::decode(&mut reader).ok()?;
    let content = reader.read_slice(header.length()).ok()?;
    Some([&header.to_der().ok()?[..], content].concat())
}

/// A block of a PEM file.
struct Block {
    label: String,
    header: String,
    content: Vec<u8>,
}

/// The blocks of a PEM file, as OpenSSL finds them.
struct Blocks<'a> {
    rest: &'a [u8],
    is_first: bool,
}

impl<'a> Blocks<'a> {
    const fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, is_first: true }
    }

    /// The next line without the white space at its end, and whether it goes on.
    fn line(&mut self) -> Option<(&'a [u8], bool)> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().take(LINE).position(|byte| *byte == b'\n').map(|end| end + 1);
        let (mut line, rest) = self.rest.split_at(end.unwrap_or(LINE).min(self.rest.len()));
        self.rest = rest;
        if std::mem::take(&mut self.is_first) {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        let is_partial = end.is_none() && line.len() == LINE;
        // White space for OpenSSL is all up to the space, and all beyond ASCII.
        let is_space = |byte: &u8| *byte <= b' ' || *byte >= 0x80;
        let length = line.iter().rposition(|byte| !is_space(byte)).map_or(0, |last| last + 1);
        Some((&line[..length], is_partial))
    }

    fn next(&mut self) -> Result<Block, &'static str> {
        let label = loop {
            let (line, _) = self.line().ok_or(NO_START_LINE)?;
            if let Some(label) =
                line.strip_prefix(b"-----BEGIN ").and_then(|rest| rest.strip_suffix(b"-----"))
            {
                break String::from_utf8_lossy(label).into_owned();
            }
        };
        let (mut header, mut data) = (String::new(), String::new());
        let (mut has_header, mut is_partial, mut is_last) = (false, false, false);
        loop {
            let (line, goes_on) = self.line().ok_or(BAD_END_LINE)?;
            let follows = std::mem::replace(&mut is_partial, goes_on);
            if line.is_empty() {
                if !follows {
                    if has_header {
                        return Err(BAD_END_LINE);
                    }
                    has_header = true;
                    header = std::mem::take(&mut data);
                }
                continue;
            }
            if let Some(end) = line.strip_prefix(b"-----END ") {
                let is_end =
                    end.strip_prefix(label.as_bytes()).is_some_and(|rest| rest.starts_with(b"-----"));
                if !is_end {
                    return Err(BAD_END_LINE);
                }
                break;
            }
            if is_last {
                return Err(BAD_END_LINE);
            }
            data.push_str(&String::from_utf8_lossy(line));
            data.push('\n');
            if has_header {
                // After a header, only the last line is shorter than 64 digits.
                if line.len() > 64 {
                    return Err(BAD_END_LINE);
                }
                is_last = line.len() < 64;
            }
        }
        let content = decode(&data).ok_or(BAD_BASE64)?;
        Ok(Block { label, header, content })
    }
}

/// Decodes base64 with white space in it, like OpenSSL.
fn decode(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
    let digits: String = text.chars().filter(|digit| !digit.is_ascii_whitespace()).collect();
    GeneralPurpose::new(&alphabet::STANDARD, LENIENT).decode(digits).ok()
}
