//! The files that an administrator gives to the certificate wizard, and those that a manager is backed up in.
//!
//! | what | read | written | in |
//! |---|---|---|---|
//! | PEM and DER, certificate and key apart | PKCS#1, PKCS#8, encrypted or not | the same; encrypted by PBES2 | `separate`, `export` |
//! | JKS | yes | yes | `jks` |
//! | JCEKS | keys and certificates; secret keys are passed over | no | `jks`, `java` |
//! | PKCS#12 | RC2, RC4, 3DES, PBES2; HMAC with any SHA, PBMAC1 | old, modern, PBMAC1 | `pkcs12` |
//!
//! Never here: a password or a key in an error, a `Debug` text or a log; a file that decides how much memory
//! or time its reader takes; randomness. Salts are handed in, as [`Salts`].

mod asn1;
mod entry;
mod export;
mod file_kind;
mod identity;
mod java;
mod jks;
mod kind;
mod pbe;
mod pkcs12;
mod reader;
mod refusal;
mod role;
mod rounds;
mod secret;
mod separate;
mod store;
mod wizard;

pub use export::{ALIAS, StoreForm, StoreOptions, UnknownStoreForm};
pub use file_kind::FileKind;
pub use identity::ServerIdentity;
pub use kind::{StoreType, UnknownStoreType};
pub use refusal::{FilePosition, FileRole, KeystoreError, Refusal, StoreError};
pub use secret::{Password, PasswordError, Salts};
pub use separate::{
    MAX_BYTES, is_key_encrypted, key_fits, read_certificates, read_identity, read_identity_with,
    read_private_key, read_private_key_with,
};
pub use store::{EntryInfo, KeyStore, StoreContents};
pub use wizard::WizardRules;

#[cfg(test)]
mod tests;
