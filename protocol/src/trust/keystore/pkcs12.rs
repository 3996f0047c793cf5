//! PKCS#12 (RFC 7292): keystores of all programs except old Java.
//!
//! The crates that read it need pre-releases of others, cannot do PBMAC1 (RFC 9579) or the RC2 and RC4 of old files,
//! and use one password for store and keys.

use der::asn1::{Any, ObjectIdentifier, OctetString};
use der::{Sequence, Tag, TagNumber, Tagged as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::digest::block_api::EagerHash;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use zeroize::Zeroizing;

use super::asn1::{self, Algorithm, EncryptedKey};
use super::entry::{EntryContent, KeystoreEntry, ProtectedKey, issued_by};
use super::file_kind::outer_length;
use super::pbe::{self, Purpose, Scheme};
use super::refusal::StoreError;
use super::rounds::Rounds;
use super::secret::{Password, Salts};

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.6");
const KEY_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.2");
const CERTIFICATE_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.3");
const SECRET_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.5");
const X509: ObjectIdentifier = oid("1.2.840.113549.1.9.22.1");
const FRIENDLY_NAME: ObjectIdentifier = oid("1.2.840.113549.1.9.20");
const LOCAL_KEY_ID: ObjectIdentifier = oid("1.2.840.113549.1.9.21");
/// The JDK's mark of a certificate that is an entry of its own.
const TRUSTED: ObjectIdentifier = oid("2.16.840.1.113894.746875.1.1");
const PBMAC1: ObjectIdentifier = oid("1.2.840.113549.1.5.14");
const PBKDF2: ObjectIdentifier = oid("1.2.840.113549.1.5.12");
const SHA1: ObjectIdentifier = oid("1.3.14.3.2.26");
const SHA224: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.4");
const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");
const SHA512_224: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.5");
const SHA512_256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.6");
const HMAC_SHA1: ObjectIdentifier = oid("1.2.840.113549.2.7");
const HMAC_SHA224: ObjectIdentifier = oid("1.2.840.113549.2.8");
const HMAC_SHA256: ObjectIdentifier = oid("1.2.840.113549.2.9");
const HMAC_SHA384: ObjectIdentifier = oid("1.2.840.113549.2.10");
const HMAC_SHA512: ObjectIdentifier = oid("1.2.840.113549.2.11");
const HMAC_SHA512_224: ObjectIdentifier = oid("1.2.840.113549.2.12");
const HMAC_SHA512_256: ObjectIdentifier = oid("1.2.840.113549.2.13");

#[derive(Sequence)]
struct Pfx {
    version: u8,
    content: ContentInfo,
    mac: Option<MacData>,
}

#[derive(Sequence)]
struct ContentInfo {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: Any,
}

#[derive(Sequence)]
struct MacData {
    mac: DigestInfo,
    salt: OctetString,
    #[asn1(default = "one")]
    rounds: u32,
}

fn one() -> u32 {
    1
}

#[derive(Sequence)]
struct DigestInfo {
    algorithm: Algorithm,
    digest: OctetString,
}

#[derive(Sequence)]
struct EncryptedData {
    version: u8,
    content: EncryptedContent,
}

#[derive(Sequence)]
struct EncryptedContent {
    kind: ObjectIdentifier,
    algorithm: Algorithm,
    /// An OCTET STRING under the tag [0], in one piece or in several.
    data: Any,
}

#[derive(Sequence)]
struct Bag {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    value: Any,
    attributes: Option<Any>,
}

#[derive(Sequence)]
struct CertificateBag {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    certificate: OctetString,
}

#[derive(Sequence)]
struct Attribute {
    kind: ObjectIdentifier,
    values: Any,
}

#[derive(Sequence)]
struct Pbmac1 {
    derivation: Algorithm,
    mac: Algorithm,
}

#[derive(Sequence)]
struct Pbkdf2 {
    salt: OctetString,
    rounds: u32,
    length: Option<u16>,
    hash: Option<Algorithm>,
}

/// Whether these bytes look like PKCS#12: a SEQUENCE that begins with the version 3 and a SEQUENCE.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    let Some((0x30, rest)) = bytes.split_first().map(|(tag, rest)| (*tag, rest)) else { return false };
    let of_length = match rest.first() {
        Some(&long @ 0x81..=0x84) => usize::from(long & 0x7F) + 1,
        _ => 1,
    };
    rest.get(of_length..).is_some_and(|body| body.starts_with(&[2, 1, 3, 0x30]))
}

/// Reads all entries; keys stay encrypted.
pub(super) fn read(
    bytes: &[u8],
    password: &Password,
    rounds: &mut Rounds,
) -> Result<Vec<KeystoreEntry>, StoreError> {
    let mut read = Err(StoreError::Password);
    for form in password.forms() {
        read = read_with(bytes, &form, rounds);
        if !matches!(read, Err(StoreError::Password)) {
            break;
        }
    }
    read
}

fn read_with(
    bytes: &[u8],
    password: &Password,
    rounds: &mut Rounds,
) -> Result<Vec<KeystoreEntry>, StoreError> {
    // Bytes behind the store, such as a line end, are no part of it.
    let bytes = match outer_length(bytes) {
        Some((content, header)) => {
            let length = header.saturating_add(content);
            let cut_off =
                || broken(&format!("it was cut off: expected {length} bytes, found {}", bytes.len()));
            bytes.get(..length).ok_or_else(cut_off)?
        }
        None => bytes,
    };
    let bytes = asn1::canonical(bytes)?;
    let pfx: Pfx = asn1::read(&bytes)?;
    if pfx.content.kind != DATA {
        let found = format!("a signature instead of a password ({})", pfx.content.kind);
        return Err(StoreError::Algorithm { found });
    }
    let safe = asn1::content(&pfx.content.content, Tag::OctetString)?;
    if let Some(mac) = &pfx.mac {
        check(mac, safe, password, rounds)?;
    }
    let mut found = Bags::default();
    let safe = asn1::canonical(safe)?;
    for content in asn1::read_all::<ContentInfo>(asn1::content(&asn1::read(&safe)?, Tag::Sequence)?)? {
        let plain = if content.kind == DATA {
            Zeroizing::new(asn1::content(&content.content, Tag::OctetString)?.to_vec())
        } else if content.kind == ENCRYPTED_DATA {
            let encrypted: EncryptedData = asn1::read(&asn1::write(&content.content)?)?;
            let EncryptedContent { algorithm, data, .. } = encrypted.content;
            let data = match data.tag() {
                Tag::ContextSpecific { constructed: true, number: TagNumber(0) } => {
                    asn1::joined(data.value())?
                }
                Tag::ContextSpecific { constructed: false, number: TagNumber(0) } => data.value().to_vec(),
                other => return Err(broken(&format!("expected encrypted content, found {other}"))),
            };
            pbe::decrypt(&algorithm, &data, password, rounds)?
        } else {
            return Err(StoreError::Algorithm { found: format!("content of the kind {}", content.kind) });
        };
        // A wrong password that happens to give valid padding shows here, where there is no checksum.
        let wrong = |error| if content.kind == ENCRYPTED_DATA { StoreError::Password } else { error };
        let plain = Zeroizing::new(asn1::canonical(&plain).map_err(wrong)?);
        let bags = asn1::read::<Any>(&plain).map_err(wrong)?;
        for bag in
            asn1::read_all::<Bag>(asn1::content(&bags, Tag::Sequence).map_err(wrong)?).map_err(wrong)?
        {
            found.add(&bag)?;
        }
    }
    Ok(found.entries())
}

/// The content of the bags, before it is known which of them belong together.
#[derive(Default)]
struct Bags {
    keys: Vec<(BagAttributes, ProtectedKey)>,
    certificates: Vec<(BagAttributes, Vec<u8>)>,
    others: Vec<BagAttributes>,
}

#[derive(Default)]
struct BagAttributes {
    name: Option<String>,
    id: Option<Vec<u8>>,
    trusted: bool,
}

impl Bags {
    fn add(&mut self, bag: &Bag) -> Result<(), StoreError> {
        let named = named(bag)?;
        let value = Zeroizing::new(asn1::write(&bag.value)?);
        if bag.kind == KEY_BAG {
            self.keys.push((named, ProtectedKey::Plain(value)));
        } else if bag.kind == SHROUDED_KEY_BAG {
            self.keys.push((named, ProtectedKey::Encrypted(value)));
        } else if bag.kind == CERTIFICATE_BAG {
            let inner: CertificateBag = asn1::read(&value)?;
            if inner.kind == X509 {
                self.certificates.push((named, inner.certificate.into_bytes().to_vec()));
            }
        } else if bag.kind == SECRET_BAG {
            self.others.push(named);
        }
        Ok(())
    }

    /// Keys with their chains, then the other entries. Those without a name are numbered, as the JDK does.
    fn entries(self) -> Vec<KeystoreEntry> {
        let mut unnamed = 0;
        let mut alias = |named: &BagAttributes| {
            named.name.clone().unwrap_or_else(|| {
                unnamed += 1;
                unnamed.to_string()
            })
        };
        let all: Vec<&[u8]> = self.certificates.iter().map(|(_, der)| der.as_slice()).collect();
        let mut entries = Vec::new();
        for (named, key) in self.keys {
            let by_id = |(other, _): &&(BagAttributes, _)| named.id.is_some() && other.id == named.id;
            let by_name = |(other, _): &&(BagAttributes, _)| named.name.is_some() && other.name == named.name;
            let own = self.certificates.iter().find(by_id).or_else(|| self.certificates.iter().find(by_name));
            // Without a link the certificate is found by its public key, once the key is decrypted.
            let (chain, linked) = match own {
                Some((_, der)) => (chain_of(der, &all), true),
                None => (all.iter().map(|der| der.to_vec()).collect(), false),
            };
            entries.push(KeystoreEntry {
                alias: alias(&named),
                content: EntryContent::Key { key, chain, linked },
            });
        }
        let no_key = entries.is_empty();
        for (named, der) in self.certificates {
            if named.trusted || no_key {
                entries.push(KeystoreEntry { alias: alias(&named), content: EntryContent::Certificate(der) });
            }
        }
        for named in self.others {
            entries
                .push(KeystoreEntry { alias: alias(&named), content: EntryContent::Other("a secret key") });
        }
        entries
    }
}

/// A certificate and those of its issuers, as far as present.
pub(super) fn chain_of(own: &[u8], all: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut chain = vec![own.to_vec()];
    while let Some(last) = chain.last() {
        let next = all.iter().find(|der| issued_by(last, der) && !chain.iter().any(|known| known == *der));
        let Some(next) = next else { break };
        let next = next.to_vec();
        chain.push(next);
    }
    chain
}

fn named(bag: &Bag) -> Result<BagAttributes, StoreError> {
    let mut named = BagAttributes::default();
    let Some(attributes) = &bag.attributes else { return Ok(named) };
    for attribute in asn1::read_all::<Attribute>(asn1::content(attributes, Tag::Set)?)? {
        let values = asn1::content(&attribute.values, Tag::Set)?;
        if attribute.kind == FRIENDLY_NAME {
            let names: Vec<Any> = asn1::read_all(values)?;
            named.name = names.first().map(name);
        } else if attribute.kind == LOCAL_KEY_ID {
            let ids: Vec<OctetString> = asn1::read_all(values)?;
            named.id = ids.first().map(|id| id.as_bytes().to_vec());
        } else if attribute.kind == TRUSTED {
            named.trusted = true;
        }
    }
    Ok(named)
}

/// A name, which has letters beyond the basic plane as two surrogates: Java and others write UTF-16 as a BMPString.
fn name(value: &Any) -> String {
    if value.tag() != Tag::BmpString {
        return String::from_utf8_lossy(value.value()).into_owned();
    }
    let units: Vec<u16> =
        value.value().chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

/// Compares the store's checksum with its content.
fn check(mac: &MacData, safe: &[u8], password: &Password, rounds: &mut Rounds) -> Result<(), StoreError> {
    let kind = mac.mac.algorithm.oid;
    if kind == PBMAC1 {
        return check_pbmac1(mac, safe, password, rounds);
    }
    rounds.spend(u64::from(mac.rounds))?;
    let (salt, times) = (mac.salt.as_bytes(), mac.rounds);
    let end = password.utf16_with_end();
    macro_rules! by {
        ($hash:ty) => {{
            let length = <$hash>::output_size();
            let key = pbe::pkcs12_key::<$hash>(&end, salt, times, Purpose::Mac, length);
            is_mac::<$hash>(&key, safe, mac.mac.digest.as_bytes())
        }};
    }
    let right = match kind {
        SHA1 => by!(Sha1),
        SHA224 => by!(Sha224),
        SHA256 => by!(Sha256),
        SHA384 => by!(Sha384),
        SHA512 => by!(Sha512),
        SHA512_224 => by!(Sha512_224),
        SHA512_256 => by!(Sha512_256),
        other => {
            return Err(StoreError::Algorithm { found: format!("a checksum with the algorithm {other}") });
        }
    };
    if right { Ok(()) } else { Err(StoreError::Password) }
}

fn check_pbmac1(
    mac: &MacData,
    safe: &[u8],
    password: &Password,
    rounds: &mut Rounds,
) -> Result<(), StoreError> {
    let unknown = |what: &str, oid| StoreError::Algorithm { found: format!("PBMAC1 with the {what} {oid}") };
    let parameters =
        mac.mac.algorithm.parameters.as_ref().ok_or_else(|| broken("PBMAC1 without parameters"))?;
    let Pbmac1 { derivation, mac: by } = asn1::read(&asn1::write(parameters)?)?;
    if derivation.oid != PBKDF2 {
        return Err(unknown("derivation", derivation.oid));
    }
    let parameters = derivation.parameters.as_ref().ok_or_else(|| broken("PBKDF2 without parameters"))?;
    let Pbkdf2 { salt, rounds: times, length, hash } = asn1::read(&asn1::write(parameters)?)?;
    rounds.spend(u64::from(times))?;
    // RFC 9579 demands the length; a key of less than 20 or more than 64 bytes is of no use.
    let length = usize::from(length.unwrap_or(0));
    if !(20..=64).contains(&length) {
        return Err(broken(&format!("expected a key of 20 to 64 bytes for PBMAC1, found {length}")));
    }
    let mut key = Zeroizing::new(vec![0; length]);
    let (text, salt) = (password.utf8(), salt.as_bytes());
    macro_rules! derive {
        ($hash:ty) => {
            pbkdf2::pbkdf2_hmac::<$hash>(text, salt, times, &mut key)
        };
    }
    match hash.map_or(HMAC_SHA1, |hash| hash.oid) {
        HMAC_SHA1 => derive!(Sha1),
        HMAC_SHA224 => derive!(Sha224),
        HMAC_SHA256 => derive!(Sha256),
        HMAC_SHA384 => derive!(Sha384),
        HMAC_SHA512 => derive!(Sha512),
        HMAC_SHA512_224 => derive!(Sha512_224),
        HMAC_SHA512_256 => derive!(Sha512_256),
        other => return Err(unknown("function", other)),
    }
    let digest = mac.mac.digest.as_bytes();
    let right = match by.oid {
        HMAC_SHA1 => is_mac::<Sha1>(&key, safe, digest),
        HMAC_SHA224 => is_mac::<Sha224>(&key, safe, digest),
        HMAC_SHA256 => is_mac::<Sha256>(&key, safe, digest),
        HMAC_SHA384 => is_mac::<Sha384>(&key, safe, digest),
        HMAC_SHA512 => is_mac::<Sha512>(&key, safe, digest),
        HMAC_SHA512_224 => is_mac::<Sha512_224>(&key, safe, digest),
        HMAC_SHA512_256 => is_mac::<Sha512_256>(&key, safe, digest),
        other => return Err(unknown("checksum", other)),
    };
    if right { Ok(()) } else { Err(StoreError::Password) }
}

fn is_mac<D: EagerHash>(key: &[u8], over: &[u8], expected: &[u8]) -> bool
where
    Hmac<D>: hmac::Mac + hmac::KeyInit,
{
    let Ok(mut mac) = Hmac::<D>::new_from_slice(key) else { return false };
    mac.update(over);
    mac.verify_slice(expected).is_ok()
}

/// The encryption and authentication of a store that is written here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    /// PBES2 and HMAC-SHA-256, as keytool and openssl 3 write.
    Modern,
    /// PBES2 and PBMAC1 (RFC 9579), which openssl reads from 3.4 on.
    Pbmac1,
    /// RC2, 3DES and SHA-1, which old Java and old Windows read.
    Old,
}

/// Writes a store with one key entry.
pub(super) fn write(
    alias: &str,
    pkcs8: &[u8],
    chain: &[&[u8]],
    password: &Password,
    encryption: Encryption,
    salts: &mut Salts,
) -> Result<Vec<u8>, StoreError> {
    let (for_key, for_certificates) = match encryption {
        Encryption::Modern | Encryption::Pbmac1 => (Scheme::Modern, Scheme::Modern),
        Encryption::Old => (Scheme::Old, Scheme::OldForCertificates),
    };
    let id = Sha1::digest(chain.first().copied().unwrap_or(pkcs8)).to_vec();
    let own = || attributes(Some(alias), Some(&id));
    let mut bags = Vec::new();
    for (place, der) in chain.iter().enumerate() {
        let bag = CertificateBag { kind: X509, certificate: OctetString::new(*der)? };
        let attributes = if place == 0 { Some(own()?) } else { None };
        bags.push(Bag { kind: CERTIFICATE_BAG, value: any(&bag)?, attributes });
    }
    let (algorithm, data) = pbe::encrypt(for_certificates, &asn1::write(&bags)?, password, salts)?;
    let tag = Tag::ContextSpecific { constructed: false, number: TagNumber(0) };
    let content = EncryptedContent { kind: DATA, algorithm, data: Any::new(tag, data)? };
    let certificates =
        ContentInfo { kind: ENCRYPTED_DATA, content: any(&EncryptedData { version: 0, content })? };
    let (algorithm, data) = pbe::encrypt(for_key, pkcs8, password, salts)?;
    let key = any(&EncryptedKey { algorithm, data: OctetString::new(data)? })?;
    let keys = vec![Bag { kind: SHROUDED_KEY_BAG, value: key, attributes: Some(own()?) }];
    let keys = ContentInfo { kind: DATA, content: any(&OctetString::new(asn1::write(&keys)?)?)? };
    let safe = asn1::write(&vec![keys, certificates])?;
    let mac = Some(mac_of(&safe, password, encryption, salts)?);
    let content = ContentInfo { kind: DATA, content: any(&OctetString::new(safe)?)? };
    asn1::write(&Pfx { version: 3, content, mac })
}

fn mac_of(
    safe: &[u8],
    password: &Password,
    encryption: Encryption,
    salts: &mut Salts,
) -> Result<MacData, StoreError> {
    let salt: [u8; 20] = salts.take();
    let end = password.utf16_with_end();
    let null = |oid| Algorithm { oid, parameters: Some(Any::null()) };
    let mac_of = |key: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key)
            .map_err(|_| broken("a key that does not suit the checksum"))?;
        mac.update(safe);
        Ok::<_, StoreError>(mac.finalize().into_bytes().to_vec())
    };
    let (algorithm, digest, rounds) = match encryption {
        Encryption::Modern => {
            let key = pbe::pkcs12_key::<Sha256>(&end, &salt, pbe::OWN_ROUNDS, Purpose::Mac, 32);
            (null(SHA256), mac_of(&key)?, pbe::OWN_ROUNDS)
        }
        Encryption::Old => {
            let key = pbe::pkcs12_key::<Sha1>(&end, &salt, pbe::OWN_OLD_ROUNDS, Purpose::Mac, 20);
            let mut mac = Hmac::<Sha1>::new_from_slice(&key)
                .map_err(|_| broken("a key that does not suit the checksum"))?;
            mac.update(safe);
            (null(SHA1), mac.finalize().into_bytes().to_vec(), pbe::OWN_OLD_ROUNDS)
        }
        Encryption::Pbmac1 => {
            let mut key = Zeroizing::new(vec![0; 32]);
            pbkdf2::pbkdf2_hmac::<Sha256>(password.utf8(), &salt, pbe::OWN_ROUNDS, &mut key);
            let derivation = Pbkdf2 {
                salt: OctetString::new(salt)?,
                rounds: pbe::OWN_ROUNDS,
                length: Some(32),
                hash: Some(null(HMAC_SHA256)),
            };
            let derivation = Algorithm { oid: PBKDF2, parameters: Some(any(&derivation)?) };
            let parameters = Some(any(&Pbmac1 { derivation, mac: null(HMAC_SHA256) })?);
            (Algorithm { oid: PBMAC1, parameters }, mac_of(&key)?, 1)
        }
    };
    let mac = DigestInfo { algorithm, digest: OctetString::new(digest)? };
    Ok(MacData { mac, salt: OctetString::new(salt)?, rounds })
}

/// A SET OF attributes, in the order of DER.
fn attributes(name: Option<&str>, id: Option<&[u8]>) -> Result<Any, StoreError> {
    let mut all = Vec::new();
    if let Some(name) = name {
        let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
        all.push(attribute(FRIENDLY_NAME, &Any::new(Tag::BmpString, units)?)?);
    }
    if let Some(id) = id {
        all.push(attribute(LOCAL_KEY_ID, &OctetString::new(id)?)?);
    }
    all.sort();
    Ok(Any::new(Tag::Set, all.concat())?)
}

fn attribute(kind: ObjectIdentifier, value: &impl der::Encode) -> Result<Vec<u8>, StoreError> {
    let values = Any::new(Tag::Set, value.to_der()?)?;
    asn1::write(&Attribute { kind, values })
}

fn any(value: &impl der::Encode) -> Result<Any, StoreError> {
    asn1::read(&asn1::write(value)?)
}

fn broken(detail: &str) -> StoreError {
    StoreError::Damaged { detail: detail.to_owned() }
}
