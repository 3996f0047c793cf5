//! A keystore of any format: entries by their aliases, and the identity in one of them.

use std::fmt;

use zeroize::Zeroizing;

use super::super::certificate::{Fingerprint, ServerCertificate};
use super::super::key_form::{KeyForm, is_key_of};
use super::super::signature::{KeyError, SigningKey};
use super::entry::{EntryContent, KeystoreEntry, ProtectedKey};
use super::file_kind::FileKind;
use super::identity::ServerIdentity;
use super::kind::StoreType;
use super::refusal::{FilePosition, FileRole, KeystoreError, StoreError};
use super::rounds::Rounds;
use super::secret::Password;
use super::separate::MAX_BYTES;
use super::wizard::{WizardRules, check_size};
use super::{jks, pkcs12};

/// A keystore whose keys are still encrypted.
pub struct KeyStore {
    name: String,
    kind: StoreType,
    entries: Vec<KeystoreEntry>,
}

/// A description of an entry, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryInfo {
    /// The alias of the entry.
    pub alias: String,
    /// What the entry is, in words.
    pub what: String,
    /// Whether the entry has a private key.
    pub has_key: bool,
    /// The certificates of the entry, its own first; those that cannot be read are left out.
    pub chain: Vec<ServerCertificate>,
}

/// The certificates of an entry, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreContents {
    /// The alias of the entry.
    pub alias: String,
    /// The certificates of the entry, its own first.
    pub certificates: Vec<ServerCertificate>,
    /// Whether the private key belongs to the first certificate; none without a key, or if it cannot be told.
    pub key_fits: Option<bool>,
}

/// Certificates, and a key in DER or why it cannot be decrypted.
type Opened = (Vec<ServerCertificate>, Result<Zeroizing<Vec<u8>>, StoreError>);

impl StoreType {
    /// Detects the type of a keystore; none if the bytes do not look like one.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        jks::kind(bytes).or_else(|| pkcs12::looks_like(bytes).then_some(Self::Pkcs12))
    }
}

impl KeyStore {
    /// Reads a keystore; `kind` is its expected type, if given.
    ///
    /// # Errors
    /// If it is not a keystore, of another type, damaged or too large, or the password is wrong.
    pub fn read(
        bytes: &[u8],
        name: &str,
        kind: Option<StoreType>,
        password: &Password,
    ) -> Result<Self, KeystoreError> {
        let (at, role) = (FilePosition::of(name), FileRole::Keystore);
        if bytes.len() > MAX_BYTES {
            return Err(KeystoreError::TooLarge { role, at, expected: MAX_BYTES, found: bytes.len() });
        }
        let refused = |reason| KeystoreError::Store { at: at.clone(), reason: Box::new(reason) };
        let found = match FileKind::of(bytes) {
            FileKind::Empty => return Err(KeystoreError::Empty { role, at }),
            FileKind::Store(found) => found,
            found => return Err(KeystoreError::Unexpected { role, at, found }),
        };
        if let Some(expected) = kind.filter(|expected| *expected != found) {
            return Err(refused(StoreError::Type { expected, found }));
        }
        let entries = match found {
            StoreType::Jks | StoreType::Jceks => jks::read(bytes, password),
            StoreType::Pkcs12 => pkcs12::read(bytes, password, &mut Rounds::of_a_file()),
        }
        .map_err(refused)?;
        for (place, entry) in entries.iter().enumerate() {
            if entries[..place].iter().any(|other| same(&other.alias, &entry.alias)) {
                return Err(refused(StoreError::DuplicateAlias { alias: entry.alias.clone() }));
            }
        }
        Ok(Self { name: name.to_owned(), kind: found, entries })
    }

    /// The format of the keystore.
    pub fn kind(&self) -> StoreType {
        self.kind
    }

    /// The entries of the keystore, in its order.
    pub fn entries(&self) -> Vec<EntryInfo> {
        let info = |entry: &KeystoreEntry| {
            let (what, chain) = match &entry.content {
                EntryContent::Key { chain, .. } => ("a private key and its certificates", chain.as_slice()),
                EntryContent::Certificate(der) => ("a certificate", std::slice::from_ref(der)),
                EntryContent::Other(what) => (*what, &[][..]),
            };
            let chain = chain.iter().filter_map(|der| ServerCertificate::from_der(der).ok()).collect();
            let has_key = matches!(entry.content, EntryContent::Key { .. });
            EntryInfo { alias: entry.alias.clone(), what: what.to_owned(), has_key, chain }
        };
        self.entries.iter().map(info).collect()
    }

    /// Whether there is an entry of this alias, in upper or lower case.
    pub fn has(&self, alias: &str) -> bool {
        self.entries.iter().any(|entry| same(&entry.alias, alias))
    }

    /// Returns the certificates of the entry under `alias`, or of the only one with a private key, and whether that key
    /// belongs to them; the wizard does not judge them.
    ///
    /// # Errors
    /// If there is no such entry, or its certificates cannot be read.
    pub fn contents(
        &self,
        alias: Option<&str>,
        key_password: &Password,
    ) -> Result<StoreContents, KeystoreError> {
        let entry = self.chosen(alias).map_err(|reason| self.refused(reason))?;
        if let EntryContent::Certificate(der) = &entry.content {
            let certificates = vec![self.certificate(der)?];
            return Ok(StoreContents { alias: entry.alias.clone(), certificates, key_fits: None });
        }
        let (certificates, key) = self.opened(entry, key_password)?;
        let key_fits = match (&key, certificates.first()) {
            (Ok(der), Some(own)) => is_key_of(der, own),
            _ => None,
        };
        Ok(StoreContents { alias: entry.alias.clone(), certificates, key_fits })
    }

    /// Returns the key and certificate under `alias`, or the only ones, as the wizard does.
    ///
    /// # Errors
    /// If there is no such entry, it has no key, the key cannot be decrypted, or the wizard would refuse
    /// its content.
    pub fn identity(
        &self,
        alias: Option<&str>,
        key_password: &Password,
        rules: &WizardRules,
    ) -> Result<ServerIdentity, KeystoreError> {
        let at = FilePosition::of(&self.name);
        if self.kind == StoreType::Jceks && !rules.jceks {
            return Err(self.refused(StoreError::Jceks));
        }
        let entry = self.chosen(alias).map_err(|reason| self.refused(reason))?;
        let alias = || entry.alias.clone();
        let (mut certificates, der) = self.opened(entry, key_password)?;
        // The certificate is judged first: if its kind is wrong, so is that of its key.
        rules.check(&certificates[0], &at)?;
        check_size(&certificates, &at)?;
        let is_encrypted =
            matches!(&entry.content, EntryContent::Key { key: ProtectedKey::Encrypted(_), .. });
        let key = der.and_then(|der| {
            SigningKey::from_der(&der).map_err(|reason| match reason {
                // Bytes that were decrypted but are not a key were decrypted with a wrong password.
                KeyError::NotAKey if is_encrypted => StoreError::KeyPassword { alias: alias() },
                reason => StoreError::Key { alias: alias(), reason },
            })
        });
        let key = key.map_err(|reason| self.refused(reason))?;
        let own = certificates.remove(0);
        if !own.is_for_rsa(key.rsa_public_key_der()) {
            return Err(self.refused(StoreError::Mismatch {
                alias: alias(),
                expected: Box::new(Fingerprint::of(own.public_key_der())),
                found: Box::new(Fingerprint::of(key.public_key_der())),
            }));
        }
        Ok(ServerIdentity::join(key, own, at, &self.name)?.with_chain(certificates))
    }

    /// The certificates of an entry with a private key, its own first, at least one; and the key in DER.
    fn opened(&self, entry: &KeystoreEntry, key_password: &Password) -> Result<Opened, KeystoreError> {
        let alias = || entry.alias.clone();
        let without_key = |found: &str| {
            self.refused(StoreError::EntryWithoutKey { alias: alias(), found: found.to_owned() })
        };
        let (key, chain, linked) = match &entry.content {
            EntryContent::Key { key, chain, linked } => (key, chain, *linked),
            EntryContent::Certificate(_) => return Err(without_key("a certificate")),
            EntryContent::Other(what) => return Err(without_key(what)),
        };
        let no_certificate = || self.refused(StoreError::NoCertificate { alias: alias() });
        let mut certificates =
            chain.iter().map(|der| self.certificate(der)).collect::<Result<Vec<_>, _>>()?;
        if certificates.is_empty() {
            return Err(no_certificate());
        }
        let der = open(key, key_password).map_err(|reason| match reason {
            StoreError::Password => StoreError::KeyPassword { alias: alias() },
            other => other,
        });
        if !linked {
            let der = der.as_ref().map_err(|reason| self.refused(reason.clone()))?;
            let is_own = |one: &ServerCertificate| is_key_of(der, one) == Some(true);
            let own = certificates.iter().position(is_own).ok_or_else(no_certificate)?;
            let all: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
            let ordered = pkcs12::chain_of(&chain[own], &all);
            certificates = ordered.iter().filter_map(|der| ServerCertificate::from_der(der).ok()).collect();
        }
        Ok((certificates, der))
    }

    fn certificate(&self, der: &[u8]) -> Result<ServerCertificate, KeystoreError> {
        let at = FilePosition::of(&self.name);
        ServerCertificate::from_der(der).map_err(|reason| KeystoreError::Certificate { at, reason })
    }

    fn refused(&self, reason: StoreError) -> KeystoreError {
        KeystoreError::Store { at: FilePosition::of(&self.name), reason: Box::new(reason) }
    }

    fn chosen(&self, alias: Option<&str>) -> Result<&KeystoreEntry, StoreError> {
        let known = || self.entries.iter().map(|entry| entry.alias.clone()).collect::<Vec<_>>();
        if let Some(alias) = alias {
            return self.entries.iter().find(|entry| same(&entry.alias, alias)).ok_or_else(|| {
                let near = self.entries.iter().map(|entry| entry.alias.as_str());
                let near = near.filter(|one| strsim::jaro_winkler(one, alias) > 0.8);
                let near = near
                    .max_by(|a, b| strsim::jaro_winkler(a, alias).total_cmp(&strsim::jaro_winkler(b, alias)));
                let hint = near.map(|one| format!("; did you mean {one:?}?")).unwrap_or_default();
                StoreError::NoSuchAlias { alias: alias.to_owned(), hint, known: known() }
            });
        }
        let keys: Vec<&KeystoreEntry> =
            self.entries.iter().filter(|entry| matches!(entry.content, EntryContent::Key { .. })).collect();
        match keys.as_slice() {
            [] => Err(StoreError::NoKey { known: known() }),
            [only] => Ok(only),
            several => Err(StoreError::SeveralKeys {
                aliases: several.iter().map(|entry| entry.alias.clone()).collect(),
            }),
        }
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyStore({:?}, {}, {} entries)", self.name, self.kind, self.entries.len())
    }
}

/// Whether two aliases are the same for Java, which ignores case.
fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Decrypts a key.
fn open(key: &ProtectedKey, password: &Password) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let der = match key {
        ProtectedKey::Plain(der) => return Ok(der.clone()),
        ProtectedKey::Encrypted(der) => der,
    };
    let mut plain = Err(StoreError::Password);
    for form in password.forms() {
        plain = jks::open(der, &form, &mut Rounds::of_a_file());
        if plain.as_ref().is_ok_and(|plain| KeyForm::of(plain) != KeyForm::Unknown) {
            break;
        }
    }
    plain
}
