//! What a client believes, and why: three layers that know nothing of each other.
//!
//! | layer | question | verdict | in |
//! |---|---|---|---|
//! | a | is this manager, met over TLS, one I know? | [`Trusted`] or [`Rejection`] | [`judge`](mod@judge) |
//! | b | did a manager I know sign this document? | [`Verified`] or [`SignatureError`] | [`signature`] |
//! | c | does the peer know the secret of my site? | the fields, or [`KcsError`] | [`kcs`] |
//!
//! Layers a and b believe the same thing, a set of [`Pins`]: the certificates in the client's management
//! server list. They are still apart: with secure communications off, layer b is passed over while layer a,
//! where there is TLS at all, still stands. A client is orphaned by one layer at a time, and a report names
//! which.
//!
//! What must never be:
//!
//! - a [`Trusted`] or [`Verified`] that its own layer's verifier did not make, or a third way to an
//!   [`Accepted`];
//! - a layer that asks another one;
//! - a clock, a file or a socket: the moment comes in, the bytes come in. Dice only in
//!   [`SigningKey::generate`];
//! - a private key or a [`Kcs`] in a `Debug` text.
//!
//! [`issuer`] makes certificates, [`keystore`] reads and writes what an administrator brings, and [`pool`] draws keys
//! from a seed, for sites that are thrown away.

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
pub(crate) mod tlv;

pub use certificate::{
    CertificateError, Fingerprint, FingerprintError, KeyAlgorithm, Pins, ServerCertificate, Validity,
};
pub use issuer::{CertificateRequest, IssueError, issue, issue_by_authority};
pub use judge::{Beliefs, DateRule, NameRule, Rejection, Trusted, judge};
pub use kcs::{Kcs, KcsError, MalformedKcs};
pub use keystore::{
    ALIAS, EntryInfo, FilePosition, FileRole, KeyStore, KeystoreError, Password, Refusal, Salts,
    ServerIdentity, StoreError, StoreForm, StoreOptions, StoreType, UnknownStoreForm, UnknownStoreType,
    WizardRules, read_certificates, read_identity, read_identity_with, read_private_key,
    read_private_key_with,
};
pub use pool::KeyPool;
pub use signature::{
    Accepted, KeyError, MalformedSignature, Signature, SignatureError, Signed, SigningKey, Verified,
};
