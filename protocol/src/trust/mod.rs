//! The independent layers of trust, a file each.

pub mod certificate;
pub mod issuer;
pub mod kcs;
mod key_form;
pub mod keystore;
mod pem;
pub mod pool;
#[cfg(test)]
mod samples;
pub mod signature;

pub use certificate::{
    CertificateError, Fingerprint, FingerprintError, KeyAlgorithm, Pins, ServerCertificate, Validity,
};
pub use issuer::{CertificateRequest, IssueError, issue};
pub use kcs::{Kcs, KcsError, MalformedKcs};
pub use keystore::{
    FileRole, KeystoreError, Place, Refusal, ServerIdentity, read_certificates, read_identity,
    read_private_key,
};
pub use pool::KeyPool;
pub use signature::{
    Accepted, KeyError, MalformedSignature, Signature, SignatureError, Signed, SigningKey, Verified,
};
