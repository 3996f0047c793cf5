//! A keystore of any format: entries by their aliases, and the identity in one of them.

use std::fmt;

use zeroize::Zeroizing;

use super::super::certificate::{Fingerprint, ServerCertificate};
use super::super::pem;
use super::super::signature::{KeyError, SigningKey};
use super::entry::{EntryContent, KeystoreEntry, ProtectedKey};
use super::identity::ServerIdentity;
use super::kind::StoreType;
use super::refusal::{FilePosition, FileRole, KeystoreError, StoreError};
use super::rounds::Rounds;
use super::secret::Password;
use super::separate::MAX_BYTES;
use super::wizard::WizardRules;
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
    /// The certificates of the entry, its own first; those that cannot be read are left out.
    pub chain: Vec<ServerCertificate>,
}

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
        if bytes.is_empty() {
            return Err(KeystoreError::Empty { role, at });
        }
        let refused = |reason| KeystoreError::Store { at: at.clone(), reason: Box::new(reason) };
        let found = StoreType::of(bytes)
            .ok_or_else(|| refused(StoreError::NotAStore { hint: instead(bytes).to_owned() }))?;
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
            EntryInfo { alias: entry.alias.clone(), what: what.to_owned(), chain }
        };
        self.entries.iter().map(info).collect()
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
        let refused = |reason| KeystoreError::Store { at: at.clone(), reason: Box::new(reason) };
        if self.kind == StoreType::Jceks && !rules.jceks {
            return Err(refused(StoreError::Jceks));
        }
        let entry = self.chosen(alias).map_err(refused)?;
        let alias = || entry.alias.clone();
        let (key, chain, linked) = match &entry.content {
            EntryContent::Key { key, chain, linked } => (key, chain, *linked),
            EntryContent::Certificate(_) => {
                return Err(refused(StoreError::EntryWithoutKey {
                    alias: alias(),
                    found: "a certificate".into(),
                }));
            }
            EntryContent::Other(what) => {
                return Err(refused(StoreError::EntryWithoutKey { alias: alias(), found: (*what).into() }));
            }
        };
        if chain.is_empty() {
            return Err(refused(StoreError::NoCertificate { alias: alias() }));
        }
        let mut certificates = Vec::new();
        for der in chain {
            let read = ServerCertificate::from_der(der)
                .map_err(|reason| KeystoreError::Certificate { at: at.clone(), reason })?;
            certificates.push(read);
        }
        // The certificate is judged first: if its kind is wrong, so is that of its key.
        if linked {
            rules.check(&certificates[0], &at)?;
        }
        let der = open(key, key_password).map_err(|reason| match reason {
            StoreError::Password => refused(StoreError::KeyPassword { alias: alias() }),
            other => refused(other),
        })?;
        let key = SigningKey::from_der(&der).map_err(|reason| refused(key_refused(alias(), reason, key)))?;
        if !linked {
            let own = certificates.iter().position(|one| one.public_key_der() == key.public_key_der());
            let own = own.ok_or_else(|| refused(StoreError::NoCertificate { alias: alias() }))?;
            let all: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
            let ordered = pkcs12::chain_of(&chain[own], &all);
            certificates = ordered.iter().filter_map(|der| ServerCertificate::from_der(der).ok()).collect();
            rules.check(&certificates[0], &at)?;
        }
        let own = certificates.remove(0);
        if own.public_key_der() != key.public_key_der() {
            return Err(refused(StoreError::Mismatch {
                alias: alias(),
                expected: Box::new(Fingerprint::of(own.public_key_der())),
                found: Box::new(Fingerprint::of(key.public_key_der())),
            }));
        }
        Ok(ServerIdentity::join(key, own, at, &self.name)?.with_chain(certificates))
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

fn open(key: &ProtectedKey, password: &Password) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    match key {
        ProtectedKey::Plain(der) => Ok(der.clone()),
        ProtectedKey::Encrypted(der) => jks::open(der, password, &mut Rounds::of_a_file()),
    }
}

/// Bytes that were decrypted but are not a key were decrypted with a wrong password.
fn key_refused(alias: String, reason: KeyError, key: &ProtectedKey) -> StoreError {
    match (reason, key) {
        (KeyError::NotAKey, ProtectedKey::Encrypted(_)) => StoreError::KeyPassword { alias },
        (reason, _) => StoreError::Key { alias, reason },
    }
}

/// The kind of a file that is not a keystore, as the end of a sentence; empty if it is not recognized.
fn instead(bytes: &[u8]) -> &'static str {
    if pem::looks_like_pem(bytes) {
        "; this is PEM; give it as certificate and key"
    } else if ServerCertificate::from_der(bytes).is_ok() {
        "; this is a certificate"
    } else {
        ""
    }
}
