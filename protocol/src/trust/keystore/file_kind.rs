//! What a file is, told from its content: for the error that refuses a file which is something else than expected.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER_PERMISSIVE;
use x509_parser::asn1_rs::{Any, FromDer, Oid, Tag};

use super::super::key_form::KeyForm;
use super::super::pem;
use super::kind::StoreType;
use super::role::FileRole;
use crate::excerpt::excerpts;

/// What a file, or a block of a PEM file, is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// No bytes, or only white space.
    Empty,
    /// An X.509 certificate.
    Certificate,
    /// A certificate with openssl's trust settings behind it.
    TrustedCertificate,
    /// A request for a certificate (PKCS#10).
    Request,
    /// A list of revoked certificates.
    RevocationList,
    /// A PKCS#7 file, as certification authorities send chains in.
    Pkcs7,
    /// A keystore.
    Store(StoreType),
    /// A keystore between BEGIN and END lines, as `certtool` writes it.
    Armoured(StoreType),
    /// A keystore of Bouncy Castle.
    BouncyCastleStore,
    /// A private key that is not encrypted.
    PrivateKey,
    /// A private key that is encrypted.
    EncryptedKey,
    /// A public key.
    PublicKey,
    /// A private key in the format of OpenSSH.
    OpensshKey,
    /// A public key in the format of OpenSSH.
    OpensshPublicKey,
    /// A private key in the format of PuTTY.
    PuttyKey,
    /// A private key in a format of Microsoft's (PVK, key BLOB).
    MicrosoftKey,
    /// A key or message of OpenPGP.
    Pgp,
    /// A key as JSON (JWK).
    Jwk,
    /// Parameters of a key, without a key.
    Parameters,
    /// PEM with these blocks, none of them of any other kind in this list.
    Pem(Vec<String>),
    /// Text with a line of PEM that is not intact.
    AlmostPem,
    /// The output of `openssl x509 -text` without the certificate itself.
    Printed,
    /// UTF-16 text, with this in it.
    Utf16(Box<FileKind>),
    /// Base64 without BEGIN and END lines, of this.
    Base64(Box<FileKind>),
    /// Hexadecimal digits, of this.
    Hex(Box<FileKind>),
    /// ASN.1 that ends before its own length says, such as a cut-off certificate or keystore.
    CutOff {
        /// The length that the file says it has, in bytes.
        expected: usize,
        /// The length that it has.
        found: usize,
    },
    /// ASN.1 in the encoding BER, of an indefinite length, of whatever kind.
    Ber,
    /// Some other ASN.1 value.
    Asn1,
    /// A web page.
    Html,
    /// An XML document.
    Xml,
    /// A JSON document.
    Json,
    /// A ZIP archive.
    Zip,
    /// A file compressed with gzip.
    Gzip,
    /// A PDF document.
    Pdf,
    /// Some other text.
    Text,
    /// Zero bytes only.
    Zeros,
    /// Bytes of a kind that is not recognized.
    Unknown,
}

impl FileKind {
    /// Recognizes a file by its content.
    pub fn of(bytes: &[u8]) -> Self {
        Self::within(bytes, 3)
    }

    /// The kinds of the blocks of a PEM file; empty if it is none.
    pub fn blocks(bytes: &[u8]) -> Vec<Self> {
        let blocks = pem::read(bytes).unwrap_or_default();
        let kind = |block: &pem::Block| {
            let known = Self::of_block(&block.label, block.cipher.is_some());
            known.unwrap_or_else(|| Self::Pem(vec![block.label.clone()]))
        };
        blocks.iter().map(kind).collect()
    }

    /// Recognizes a file; `depth` limits how often one encoding is looked for in another.
    fn within(bytes: &[u8], depth: u8) -> Self {
        let Some(depth) = depth.checked_sub(1) else { return Self::Unknown };
        if let Some(text) = utf16(bytes) {
            return Self::Utf16(Box::new(Self::within(text.as_bytes(), depth)));
        }
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Self::Empty;
        }
        if bytes.iter().all(|byte| *byte == 0) {
            return Self::Zeros;
        }
        if let Some(store) = StoreType::of(bytes) {
            return Self::Store(store);
        }
        if pem::looks_like_pem(bytes) {
            return Self::of_pem(bytes);
        }
        binary(bytes).or_else(|| asn1(bytes)).or_else(|| text(bytes, depth)).unwrap_or(Self::Unknown)
    }

    fn of_pem(bytes: &[u8]) -> Self {
        let Ok(blocks) = pem::read(bytes) else { return Self::AlmostPem };
        let known = |block: &pem::Block| Self::of_block(&block.label, block.cipher.is_some());
        let kinds: Vec<Self> = blocks.iter().filter_map(known).collect();
        // Parameters may come before a key.
        let main = kinds.iter().find(|kind| **kind != Self::Parameters).or_else(|| kinds.first());
        main.cloned().unwrap_or_else(|| Self::Pem(blocks.into_iter().map(|block| block.label).collect()))
    }

    fn of_block(label: &str, is_encrypted: bool) -> Option<Self> {
        Some(match label {
            "CERTIFICATE" | "X509 CERTIFICATE" => Self::Certificate,
            "TRUSTED CERTIFICATE" => Self::TrustedCertificate,
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Self::Request,
            "X509 CRL" | "CRL" => Self::RevocationList,
            "PKCS7" | "PKCS #7 SIGNED DATA" | "CMS" => Self::Pkcs7,
            "PKCS12" => Self::Armoured(StoreType::Pkcs12),
            "OPENSSH PRIVATE KEY" => Self::OpensshKey,
            "ENCRYPTED PRIVATE KEY" => Self::EncryptedKey,
            _ if label.starts_with("PGP ") => Self::Pgp,
            _ if label.ends_with("PRIVATE KEY") && is_encrypted => Self::EncryptedKey,
            _ if label.ends_with("PRIVATE KEY") => Self::PrivateKey,
            "SSH2 PUBLIC KEY" => Self::OpensshPublicKey,
            _ if label.ends_with("PUBLIC KEY") => Self::PublicKey,
            _ if label.ends_with("PARAMETERS") => Self::Parameters,
            _ => return None,
        })
    }

    /// Recognizes DER: the content of a PEM block, or of a file.
    pub(super) fn of_der(der: &[u8]) -> Self {
        StoreType::of(der).map(Self::Store).or_else(|| asn1(der)).unwrap_or_else(|| Self::of(der))
    }

    /// What to do with such a file where one in this role is expected, as the end of a sentence; empty if nothing is
    /// known.
    pub(super) fn hint(&self, role: FileRole) -> &'static str {
        match (self, role) {
            (Self::Utf16(_), _) => "; save it as UTF-8, or convert it with `iconv -f UTF-16 -t UTF-8`",
            (Self::Base64(inner), _) => match **inner {
                Self::Store(_) | Self::Pkcs7 => "; decode it with `base64 -d`",
                _ => "; put it between BEGIN and END lines, or decode it with `base64 -d`",
            },
            (Self::Armoured(_), _) => "; decode the lines between them with `base64 -d`",
            (Self::Hex(_), _) => "; decode it with `xxd -r -p`",
            (Self::Pkcs7, FileRole::Certificate) => {
                "; `openssl pkcs7 -print_certs` takes the certificates out of it (with `-inform DER` if it is not PEM)"
            }
            (Self::Pkcs7, _) => "; it never has a private key",
            (Self::Store(_), FileRole::Certificate | FileRole::PrivateKey) => "; give it as a keystore",
            (Self::Request, FileRole::Certificate) => {
                "; give the certificate that the certification authority made from it"
            }
            (Self::TrustedCertificate, _) => "; `openssl x509` writes the certificate alone",
            (Self::Certificate, FileRole::PrivateKey) => {
                "; give the file with the private key of that certificate"
            }
            (Self::PublicKey | Self::OpensshPublicKey | Self::Request, FileRole::PrivateKey) => {
                "; give the private key that belongs to it"
            }
            (Self::PrivateKey | Self::EncryptedKey, FileRole::Certificate) => {
                "; give the certificate for that key"
            }
            (
                Self::Certificate | Self::PrivateKey | Self::EncryptedKey | Self::Pem(_),
                FileRole::Keystore,
            ) => "; give it as certificate and key",
            (Self::OpensshKey, _) => "; `ssh-keygen -p -m PEM -f COPY` converts a copy of it",
            (Self::PuttyKey, _) => "; `puttygen FILE -O private-openssh` converts it",
            (Self::MicrosoftKey, FileRole::PrivateKey) => {
                "; `openssl rsa -inform PVK` or `MSBLOB` converts it"
            }
            (Self::BouncyCastleStore, FileRole::Keystore) => "; convert it with `keytool -importkeystore`",
            (Self::AlmostPem, _) => {
                "; BEGIN and END are lines of their own, with five hyphens before and after the words"
            }
            (Self::CutOff { .. }, _) => "; copy it again",
            (Self::Ber, FileRole::Certificate) => "; `openssl x509 -inform DER -outform DER` converts it",
            (Self::Zip | Self::Gzip, _) => "; unpack it",
            _ => "",
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an empty file",
            Self::Certificate => "a certificate",
            Self::TrustedCertificate => "a certificate with trust settings of openssl (TRUSTED CERTIFICATE)",
            Self::Request => "a certificate request (CSR, PKCS#10)",
            Self::RevocationList => "a certificate revocation list (CRL)",
            Self::Pkcs7 => "a PKCS#7 file (p7b)",
            Self::Store(store) => return write!(f, "a {store} keystore"),
            Self::Armoured(store) => {
                return write!(f, "a {store} keystore as base64 between BEGIN and END lines");
            }
            Self::BouncyCastleStore => "a keystore of Bouncy Castle",
            Self::PrivateKey => "a private key",
            Self::EncryptedKey => "an encrypted private key",
            Self::PublicKey => "a public key",
            Self::OpensshKey => "a private key in OpenSSH's own format",
            Self::OpensshPublicKey => "a public key of OpenSSH",
            Self::PuttyKey => "a private key of PuTTY (ppk)",
            Self::MicrosoftKey => "a private key in Microsoft's format (PVK or key BLOB)",
            Self::Pgp => "an OpenPGP file",
            Self::Jwk => "a key in JSON (JWK)",
            Self::Parameters => "parameters without a key",
            Self::Pem(labels) if labels.is_empty() => "PEM without a block",
            Self::Pem(labels) => {
                let labels = excerpts(labels.iter().map(String::as_str), str::to_owned);
                return write!(f, "PEM with {labels}");
            }
            Self::AlmostPem => "text whose BEGIN and END lines are not those of PEM",
            Self::Printed => "the printed text of a certificate, without the certificate",
            Self::Utf16(inner) => return write!(f, "UTF-16 text ({inner})"),
            Self::Base64(inner) => return write!(f, "base64 without BEGIN and END lines, of {inner}"),
            Self::Hex(inner) => return write!(f, "hexadecimal digits, of {inner}"),
            Self::CutOff { expected, found } => {
                return write!(f, "{found} bytes of a file that begins as one of {expected}: it was cut off");
            }
            Self::Ber => "ASN.1 in BER, of an indefinite length, not in DER",
            Self::Asn1 => "ASN.1 of another kind",
            Self::Html => "a web page (HTML)",
            Self::Xml => "an XML document",
            Self::Json => "a JSON document",
            Self::Zip => "a ZIP archive",
            Self::Gzip => "a file compressed with gzip",
            Self::Pdf => "a PDF document",
            Self::Text => "text of another kind",
            Self::Zeros => "a file of zero bytes",
            Self::Unknown => "bytes of another kind",
        })
    }
}

/// The text of a UTF-16 file; none if it is something else. Without a byte order mark, text is recognized by its zero
/// bytes.
pub(super) fn utf16(bytes: &[u8]) -> Option<String> {
    let (is_big, body) = match bytes {
        [0xFE, 0xFF, body @ ..] => (true, body),
        [0xFF, 0xFE, body @ ..] => (false, body),
        _ => {
            let start = bytes.get(..bytes.len().min(64) & !1).filter(|start| start.len() >= 4)?;
            let zeros = |odd: usize| start.iter().skip(odd).step_by(2).all(|byte| *byte == 0);
            let letters = |odd: usize| {
                start
                    .iter()
                    .skip(odd)
                    .step_by(2)
                    .all(|byte| (0x20..0x7F).contains(byte) || *byte == b'\r' || *byte == b'\n')
            };
            if zeros(1) && letters(0) {
                (false, bytes)
            } else if zeros(0) && letters(1) {
                (true, bytes)
            } else {
                return None;
            }
        }
    };
    let units = body.chunks_exact(2).map(|pair| {
        let pair = [pair[0], pair[1]];
        if is_big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
    });
    Some(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

/// Formats with a magic number.
fn binary(bytes: &[u8]) -> Option<FileKind> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    Some(if starts(b"PK\x03\x04") {
        FileKind::Zip
    } else if starts(&[0x1F, 0x8B]) {
        FileKind::Gzip
    } else if starts(b"%PDF-") {
        FileKind::Pdf
    } else if starts(&[0x1E, 0xF1, 0xB5, 0xB0]) || starts(&[0x07, 0x02, 0, 0]) {
        FileKind::MicrosoftKey
    } else if starts(b"openssh-key-v1\0") {
        FileKind::OpensshKey
    } else if matches!(bytes, [0, 0, 0, 1 | 2, 0, 0, 0, 20, ..]) {
        FileKind::BouncyCastleStore
    } else {
        return None;
    })
}

/// A value of ASN.1, by its outer parts.
fn asn1(der: &[u8]) -> Option<FileKind> {
    const SIGNED_DATA: &[u8] = &[0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07];
    // With an indefinite length it is BER, as some programs write PKCS#7.
    if der.starts_with(&[0x30, 0x80]) && der[2..].starts_with(SIGNED_DATA) {
        return Some(FileKind::Pkcs7);
    }
    if matches!(der, [0x30, 0x80, 0x02 | 0x06 | 0x30, ..]) {
        return Some(FileKind::Ber);
    }
    let (length, header) = outer_length(der)?;
    let (expected, found) = (length.saturating_add(header), der.len());
    if expected > found {
        // A few bytes of anything may begin like this; what follows the length has to be ASN.1 as well.
        return matches!(der.get(header), Some(0x02 | 0x06 | 0x30))
            .then_some(FileKind::CutOff { expected, found });
    }
    let der = &der[..expected];
    match KeyForm::of(der) {
        KeyForm::Pkcs8(_) | KeyForm::Bare(_) => return Some(FileKind::PrivateKey),
        KeyForm::Encrypted => return Some(FileKind::EncryptedKey),
        KeyForm::Unknown => {}
    }
    let parts = parts(&der[header..])?;
    let tags: Vec<Tag> = parts.iter().map(Any::tag).collect();
    Some(match tags.as_slice() {
        [Tag::Sequence, Tag::Sequence, Tag::BitString] => signed(&parts[0]).unwrap_or(FileKind::Asn1),
        [Tag::Sequence, Tag::Sequence, Tag::BitString, ..] => FileKind::TrustedCertificate,
        [Tag::Sequence, Tag::BitString] if Oid::from_der(parts[0].data).is_ok() => FileKind::PublicKey,
        [Tag::Integer, Tag::Integer] => FileKind::PublicKey,
        [Tag::Oid, ..] if der[header..].starts_with(SIGNED_DATA) => FileKind::Pkcs7,
        _ => FileKind::Asn1,
    })
}

/// A certificate, a request or a revocation list, by its signed part.
fn signed(part: &Any<'_>) -> Option<FileKind> {
    let parts = parts(part.data)?;
    let tags: Vec<Tag> = parts.iter().map(Any::tag).collect();
    let is_time = |tag: Option<&Tag>| matches!(tag, Some(&(Tag::UtcTime | Tag::GeneralizedTime)));
    Some(match tags.as_slice() {
        [Tag(0), Tag::Integer, Tag::Sequence, ..]
        | [Tag::Integer, Tag::Sequence, Tag::Sequence, Tag::Sequence, Tag::Sequence, Tag::Sequence, ..] => {
            FileKind::Certificate
        }
        [Tag::Integer, Tag::Sequence, Tag::Sequence, Tag(0)]
        | [Tag::Integer, Tag::Sequence, Tag::Sequence] => FileKind::Request,
        [Tag::Integer, Tag::Sequence, Tag::Sequence, rest @ ..] if is_time(rest.first()) => {
            FileKind::RevocationList
        }
        [Tag::Sequence, Tag::Sequence, rest @ ..] if is_time(rest.first()) => FileKind::RevocationList,
        _ => return None,
    })
}

/// The length of the content of the SEQUENCE at the beginning, and that of its header; none if there is no SEQUENCE of
/// a definite length.
pub(super) fn outer_length(der: &[u8]) -> Option<(usize, usize)> {
    let (&[0x30, first], rest) = der.split_first_chunk()? else { return None };
    match first {
        0..=0x7F => Some((usize::from(first), 2)),
        0x81..=0x84 => {
            let digits = usize::from(first & 0x7F);
            let length =
                rest.get(..digits)?.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit));
            Some((length, 2 + digits))
        }
        _ => None,
    }
}

fn parts(mut content: &[u8]) -> Option<Vec<Any<'_>>> {
    let mut parts = Vec::new();
    while !content.is_empty() {
        let (rest, part) = Any::from_der(content).ok()?;
        parts.push(part);
        content = rest;
    }
    Some(parts)
}

fn text(bytes: &[u8], depth: u8) -> Option<FileKind> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let lower = text.chars().take(200).collect::<String>().to_lowercase();
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let digits: String = text.split_whitespace().collect();
    if digits.len() >= 64
        && let Ok(bytes) = HEXLOWER_PERMISSIVE.decode(digits.as_bytes())
    {
        return Some(FileKind::Hex(Box::new(FileKind::within(&bytes, depth))));
    }
    if digits.len() >= 64
        && let Ok(bytes) = STANDARD.decode(digits.as_bytes())
    {
        return Some(FileKind::Base64(Box::new(FileKind::within(&bytes, depth))));
    }
    Some(if text.contains("BEGIN ") || text.contains("END CERTIFICATE") || text.contains("PRIVATE KEY") {
        FileKind::AlmostPem
    } else if text.starts_with("ssh-") || text.starts_with("ecdsa-sha2-") {
        FileKind::OpensshPublicKey
    } else if text.starts_with("PuTTY-User-Key-File") {
        FileKind::PuttyKey
    } else if text.starts_with("Certificate:") && text.contains("Version:") {
        FileKind::Printed
    } else if lower.starts_with("<!doctype html") || lower.contains("<html") {
        FileKind::Html
    } else if text.starts_with('<') {
        FileKind::Xml
    } else if text.starts_with(['{', '[']) {
        if text.contains("\"kty\"") { FileKind::Jwk } else { FileKind::Json }
    } else {
        FileKind::Text
    })
}
