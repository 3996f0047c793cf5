//! How a client decides to trust a manager: three layers that are independent of each other.
//!
//! | layer | question | verdict | in |
//! |---|---|---|---|
//! | a | does the client know the manager at the other end of TLS? | [`Trusted`] or [`Rejection`] | [`judge`](mod@judge) |
//! | b | did a manager that the client knows sign this document? | [`Verified`] or [`SignatureError`] | [`signature`] |
//! | c | does the peer know the secret of the site? | the fields, or [`KcsError`] | [`kcs`] |
//!
//! Layers a and b trust the same set of [`Pins`]: the certificates in the client's management server list. They are
//! still separate: with secure communications off, layer b is skipped while layer a still applies wherever there is
//! TLS. A client is orphaned by one layer at a time, and reports name it.
//!
//! Never here:
//!
//! - a [`Trusted`] or [`Verified`] that its own layer's verifier did not make, or a third way to an
//!   [`Accepted`];
//! - a layer that calls another one;
//! - a clock, a file or a socket: the time and the bytes are arguments. Randomness only in
//!   [`SigningKey::generate`] and [`StandIn::of`];
//! - a private key or a [`Kcs`] in a `Debug` text.
//!
//! [`issuer`] makes certificates, [`keystore`] reads and writes the files of administrators, and [`pool`] derives keys
//! for throwaway sites from a seed.

pub mod certificate;
pub mod issuer;
pub mod judge;
pub mod kcs;
mod key_form;
pub mod keystore;
mod pem;
pub mod pool;
mod primes;
#[cfg(test)]
mod samples;
pub mod signature;
mod stand_in;
pub(crate) mod tlv;

pub use certificate::{
    CertificateError, Fingerprint, FingerprintError, KeyAlgorithm, Pins, ServerCertificate, Validity,
};
pub use issuer::{CertificateRequest, IssueError, issue, issue_by_authority};
pub use judge::{Beliefs, DateRule, NameRule, Rejection, Trusted, judge};
pub use kcs::{Kcs, KcsError, MalformedKcs};
pub use keystore::{
    ALIAS, EntryInfo, FileKind, FilePosition, FileRole, KeyStore, KeystoreError, Password, Refusal, Salts,
    ServerIdentity, StoreContents, StoreError, StoreForm, StoreOptions, StoreType, UnknownStoreForm,
    UnknownStoreType, WizardRules, is_key_encrypted, key_fits, read_certificates, read_identity,
    read_identity_with, read_private_key, read_private_key_with,
};
pub use pool::KeyPool;
pub use signature::{
    Accepted, KeyError, MalformedSignature, Signature, SignatureError, Signed, SigningKey, Verified,
};
pub use stand_in::{StandIn, StandInError};
