//! Writes a manager's key and certificates in the formats for backup and transport.

use std::fmt;
use std::str::FromStr;

use der::asn1::OctetString;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::pem;
use super::asn1::{self, EncryptedKey};
use super::identity::ServerIdentity;
use super::jks;
use super::pbe::{self, Scheme};
use super::pkcs12::{self, Encryption};
use super::refusal::StoreError;
use super::secret::{Password, Salts};
use crate::time::Timestamp;

/// The alias that the lab writes, the same as Tomcat's.
pub const ALIAS: &str = "tomcat";

/// A keystore format that can be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StoreForm {
    /// JKS, Java's own format.
    Jks,
    /// Modern PKCS#12: PBES2 with AES-256, HMAC-SHA-256.
    #[default]
    Pkcs12,
    /// Modern PKCS#12, sealed with PBMAC1 (RFC 9579).
    Pkcs12Pbmac1,
    /// PKCS#12 for old programs: RC2, 3DES and SHA-1.
    Pkcs12Old,
}

impl StoreForm {
    /// The formats in which a keystore can be written.
    pub const ALL: [Self; 4] = [Self::Jks, Self::Pkcs12, Self::Pkcs12Pbmac1, Self::Pkcs12Old];

    /// The name of the format in commands.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Jks => "jks",
            Self::Pkcs12 => "pkcs12",
            Self::Pkcs12Pbmac1 => "pkcs12-pbmac1",
            Self::Pkcs12Old => "pkcs12-old",
        }
    }
}

impl fmt::Display for StoreForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The error for a word that is not the name of a keystore format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown keystore format {found:?}: expected jks, pkcs12, pkcs12-pbmac1 or pkcs12-old")]
pub struct UnknownStoreForm {
    /// The word that was read.
    pub found: String,
}

impl FromStr for StoreForm {
    type Err = UnknownStoreForm;

    fn from_str(text: &str) -> Result<Self, UnknownStoreForm> {
        let found = || UnknownStoreForm { found: text.to_owned() };
        Self::ALL.into_iter().find(|form| form.word() == text).ok_or_else(found)
    }
}

/// Options for writing a keystore.
#[derive(Debug)]
pub struct StoreOptions<'a> {
    /// The format of the keystore.
    pub form: StoreForm,
    /// The alias of the entry.
    pub alias: &'a str,
    /// The password of the keystore.
    pub password: &'a Password,
    /// The password of the key, if different; only a JKS can have one.
    pub key_password: Option<&'a Password>,
    /// The date of the entry, in a JKS.
    pub created: Timestamp,
}

impl ServerIdentity {
    /// Writes a keystore with this key, its certificate and its chain.
    ///
    /// # Errors
    /// If the alias cannot be written in this format.
    pub fn to_keystore(&self, options: &StoreOptions<'_>, salts: &mut Salts) -> Result<Vec<u8>, StoreError> {
        let chain: Vec<&[u8]> = self.certificates().map(|one| one.der()).collect();
        let pkcs8 = self.key().pkcs8_der();
        let encryption = match options.form {
            StoreForm::Jks => {
                let key_password = options.key_password.unwrap_or(options.password);
                let entry = jks::NewEntry { alias: options.alias, pkcs8, key_password, chain: &chain };
                return jks::write(&entry, options.password, options.created, salts);
            }
            StoreForm::Pkcs12 => Encryption::Modern,
            StoreForm::Pkcs12Pbmac1 => Encryption::Pbmac1,
            StoreForm::Pkcs12Old => Encryption::Old,
        };
        if options.key_password.is_some_and(|one| one != options.password) {
            let found =
                "a separate key password in a PKCS#12 store, which its readers do not ask for".to_owned();
            return Err(StoreError::Algorithm { found });
        }
        pkcs12::write(options.alias, pkcs8, &chain, options.password, encryption, salts)
    }

    /// The certificate and its chain in PEM, as in `server.crt`.
    pub fn certificates_pem(&self) -> String {
        self.certificates().map(super::super::certificate::ServerCertificate::to_pem).collect()
    }

    /// The key as PKCS#8 in PEM, as in `server.key`. With a password, it is encrypted with PBES2.
    ///
    /// # Errors
    /// If it cannot be encrypted.
    pub fn key_pem(
        &self,
        password: Option<&Password>,
        salts: &mut Salts,
    ) -> Result<Zeroizing<String>, StoreError> {
        let label = if password.is_some() { "ENCRYPTED PRIVATE KEY" } else { "PRIVATE KEY" };
        Ok(Zeroizing::new(pem::write(label, &self.key_der(password, salts)?)))
    }

    /// The key as PKCS#8 in DER. With a password, it is encrypted with PBES2.
    ///
    /// # Errors
    /// If it cannot be encrypted.
    pub fn key_der(
        &self,
        password: Option<&Password>,
        salts: &mut Salts,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let plain = self.key().pkcs8_der();
        let Some(password) = password else { return Ok(Zeroizing::new(plain.to_vec())) };
        let (algorithm, data) = pbe::encrypt(Scheme::Modern, plain, password, salts)?;
        asn1::write(&EncryptedKey { algorithm, data: OctetString::new(data)? }).map(Zeroizing::new)
    }

    /// The key as PKCS#1 in PEM, which old programs call an RSA private key.
    ///
    /// # Errors
    /// If the key does not have the form that was checked when it was read.
    pub fn key_pkcs1_pem(&self) -> Result<Zeroizing<String>, StoreError> {
        let inner: Pkcs8 = asn1::read(self.key().pkcs8_der())?;
        Ok(Zeroizing::new(pem::write("RSA PRIVATE KEY", inner.key.as_bytes())))
    }

    fn certificates(&self) -> impl Iterator<Item = &super::super::certificate::ServerCertificate> {
        std::iter::once(self.certificate()).chain(self.chain())
    }
}

#[derive(der::Sequence)]
struct Pkcs8 {
    version: u8,
    algorithm: asn1::Algorithm,
    key: OctetString,
}
