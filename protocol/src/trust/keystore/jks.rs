//! The keystores of Java: JKS, read and written, and JCEKS, read.
//!
//! A small format without a standard: big-endian numbers, texts after their length, and at the end a SHA-1 over
//! password, a phrase, and everything before. No crate reads it within bounds, so it is read here.

use der::asn1::{Any, ObjectIdentifier, OctetString};
use md5::Md5;
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use super::asn1::{self, Algorithm, EncryptedKey, SaltAndRounds};
use super::entry::{EntryContent, KeystoreEntry, ProtectedKey};
use super::java;
use super::kind::StoreType;
use super::pbe;
use super::reader::{self, Reader};
use super::refusal::StoreError;
use super::rounds::Rounds;
use super::secret::{Password, Salts};
use crate::excerpt::excerpt;
use crate::time::Timestamp;

const JKS: [u8; 4] = [0xFE, 0xED, 0xFE, 0xED];
const JCEKS: [u8; 4] = [0xCE, 0xCE, 0xCE, 0xCE];
const PHRASE: &[u8] = b"Mighty Aphrodite";
const CHECK: usize = 20;
const KEY: u32 = 1;
const CERTIFICATE: u32 = 2;
const SECRET: u32 = 3;

/// The algorithm by which a JKS protects a key.
const JKS_PROTECTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.42.2.17.1.1");
/// The algorithm by which a JCEKS protects a key.
const JCEKS_PROTECTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.42.2.19.1");

/// The type of Java keystore by its magic number; none for other bytes.
pub(super) fn kind(bytes: &[u8]) -> Option<StoreType> {
    match *bytes.first_chunk()? {
        JKS => Some(StoreType::Jks),
        JCEKS => Some(StoreType::Jceks),
        _ => None,
    }
}

/// Reads all entries; the keys stay encrypted.
pub(super) fn read(bytes: &[u8], password: &Password) -> Result<Vec<KeystoreEntry>, StoreError> {
    let (body, check) =
        bytes.split_last_chunk::<CHECK>().ok_or_else(|| broken("it ends before its checksum"))?;
    let mut from = Reader(body);
    from.take(4, "the magic number")?;
    let version = from.number("the version")?;
    if !(1..=2).contains(&version) {
        return Err(broken(&format!("expected version 1 or 2, found {version}")));
    }
    let count = from.number("the count of entries")?;
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(entry(&mut from, version)?);
    }
    if !from.0.is_empty() {
        return Err(broken(&format!("{} bytes follow the last entry", from.0.len())));
    }
    if check_sum(password, body) != *check {
        return Err(StoreError::Password);
    }
    Ok(entries)
}

fn entry(from: &mut Reader<'_>, version: u32) -> Result<KeystoreEntry, StoreError> {
    let tag = from.number("the kind of an entry")?;
    let alias = from.text("an alias")?;
    from.take(8, "the date of an entry")?;
    let content = match tag {
        KEY => {
            let key = from.bytes("a key")?;
            let count = from.number("the length of a chain")?;
            let mut chain = Vec::new();
            for _ in 0..count {
                chain.push(certificate(from, version)?);
            }
            EntryContent::Key {
                key: ProtectedKey::Encrypted(Zeroizing::new(key.to_vec())),
                chain,
                linked: true,
            }
        }
        CERTIFICATE => EntryContent::Certificate(certificate(from, version)?),
        SECRET => {
            java::skip_object(from)?;
            EntryContent::Other("a secret key")
        }
        other => return Err(broken(&format!("expected an entry of kind 1, 2 or 3, found {other}"))),
    };
    Ok(KeystoreEntry { alias, content })
}

fn certificate(from: &mut Reader<'_>, version: u32) -> Result<Vec<u8>, StoreError> {
    if version == 2 {
        let kind = from.text("the kind of a certificate")?;
        if !matches!(kind.as_str(), "X.509" | "X509") {
            return Err(broken(&format!(
                "expected a certificate of the kind X.509, found {:?}",
                excerpt(&kind)
            )));
        }
    }
    Ok(from.bytes("a certificate")?.to_vec())
}

/// Decrypts the key of an entry.
pub(super) fn open(
    protected: &[u8],
    password: &Password,
    rounds: &mut Rounds,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let EncryptedKey { algorithm, data } = asn1::read(protected)?;
    if algorithm.oid == JKS_PROTECTION {
        return open_jks(data.as_bytes(), password);
    }
    if algorithm.oid == JCEKS_PROTECTION {
        return open_jceks(&algorithm, data.as_bytes(), password, rounds);
    }
    pbe::decrypt(&algorithm, data.as_bytes(), password, rounds)
}

/// Decrypts a key of a JKS: a salt, the key under a stream of SHA-1, and a SHA-1 over password and key.
fn open_jks(data: &[u8], password: &Password) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let parts = data.split_first_chunk::<CHECK>();
    let parts = parts.and_then(|(salt, rest)| Some((salt, rest.split_last_chunk::<CHECK>()?)));
    let (salt, (hidden, check)) = parts.ok_or_else(|| broken("a protected key is shorter than its salt"))?;
    let password = password.utf16();
    let plain = with_stream(hidden, &password, *salt);
    let sum: [u8; CHECK] = Sha1::new().chain_update(&*password).chain_update(&*plain).finalize().into();
    if sum == *check { Ok(plain) } else { Err(StoreError::Password) }
}

fn with_stream(bytes: &[u8], password: &[u8], salt: [u8; CHECK]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut last = salt;
    for chunk in bytes.chunks(CHECK) {
        last = Sha1::new().chain_update(password).chain_update(last).finalize().into();
        out.extend(chunk.iter().zip(last).map(|(byte, key)| byte ^ key));
    }
    out
}

/// Decrypts a key of a JCEKS: 3DES with key and vector from MD5, each half of the salt on its own.
fn open_jceks(
    algorithm: &Algorithm,
    data: &[u8],
    password: &Password,
    rounds: &mut Rounds,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let parameters = algorithm.parameters.as_ref().ok_or_else(|| broken("a protected key has no salt"))?;
    let SaltAndRounds { salt, rounds: times } = asn1::read(&asn1::write(parameters)?)?;
    let Ok(mut salt) = <[u8; 8]>::try_from(salt.as_bytes()) else {
        return Err(broken("the salt of a protected key is not eight bytes long"));
    };
    rounds.spend(u64::from(times).saturating_mul(2))?;
    let [a, b, _, d, ..] = salt;
    if salt[..4] == salt[4..] {
        salt[..4].copy_from_slice(&[d, a, b, d]); // as the JDK does, by a mistake in reversing it
    }
    let mut derived = Zeroizing::new(Vec::with_capacity(32));
    for half in salt.chunks(4) {
        let mut last = half.to_vec();
        for _ in 0..times {
            last = Md5::new().chain_update(&last).chain_update(password.utf8()).finalize().to_vec();
        }
        derived.extend_from_slice(&last);
    }
    pbe::decrypt_3des(&derived[..24], &derived[24..], data)
}

/// An entry to be written.
#[derive(Clone, Copy)]
pub(super) struct NewEntry<'a> {
    pub(super) alias: &'a str,
    pub(super) pkcs8: &'a [u8],
    pub(super) key_password: &'a Password,
    pub(super) chain: &'a [&'a [u8]],
}

/// Writes a JKS with one key entry, as keytool does: the alias in lower case.
pub(super) fn write(
    entry: &NewEntry<'_>,
    password: &Password,
    created: Timestamp,
    salts: &mut Salts,
) -> Result<Vec<u8>, StoreError> {
    let mut out = JKS.to_vec();
    put_number(&mut out, 2);
    put_number(&mut out, 1);
    put_number(&mut out, KEY);
    put_text(&mut out, &entry.alias.to_lowercase())?;
    out.extend(u64::try_from(created.as_millis()).unwrap_or(0).to_be_bytes());
    put_bytes(&mut out, &close_jks(entry.pkcs8, entry.key_password, salts.take())?)?;
    put_number(&mut out, u32::try_from(entry.chain.len()).unwrap_or(u32::MAX));
    for certificate in entry.chain {
        put_text(&mut out, "X.509")?;
        put_bytes(&mut out, certificate)?;
    }
    let check = check_sum(password, &out);
    out.extend(check);
    Ok(out)
}

fn close_jks(pkcs8: &[u8], password: &Password, salt: [u8; CHECK]) -> Result<Vec<u8>, StoreError> {
    let password = password.utf16();
    let sum: [u8; CHECK] = Sha1::new().chain_update(&*password).chain_update(pkcs8).finalize().into();
    let data = [&salt[..], &with_stream(pkcs8, &password, salt), &sum].concat();
    let algorithm = Algorithm { oid: JKS_PROTECTION, parameters: Some(Any::null()) };
    asn1::write(&EncryptedKey { algorithm, data: OctetString::new(data)? })
}

pub(super) fn check_sum(password: &Password, body: &[u8]) -> [u8; CHECK] {
    Sha1::new().chain_update(&*password.utf16()).chain_update(PHRASE).chain_update(body).finalize().into()
}

fn put_number(out: &mut Vec<u8>, number: u32) {
    out.extend(number.to_be_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), StoreError> {
    let length = u32::try_from(bytes.len()).map_err(|_| broken("a part is too long to be written"))?;
    put_number(out, length);
    out.extend_from_slice(bytes);
    Ok(())
}

fn put_text(out: &mut Vec<u8>, text: &str) -> Result<(), StoreError> {
    let text = reader::to_java(text);
    let length = u16::try_from(text.len()).map_err(|_| broken("a text is too long to be written"))?;
    out.extend(length.to_be_bytes());
    out.extend_from_slice(&text);
    Ok(())
}

fn broken(detail: &str) -> StoreError {
    StoreError::Damaged { detail: detail.to_owned() }
}
