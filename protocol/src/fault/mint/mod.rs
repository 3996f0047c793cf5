//! Faulty certificates, minted on demand. Each differs from the good one in exactly one property.
//!
//! | fault | differs in | the rest |
//! |---|---|---|
//! | `expired`, `not-yet-valid` | the validity | is the same, byte by byte |
//! | `wrong-host` | the alternative names | |
//! | `other-self-signed`, `weak-key` | the public key | |
//! | `unknown-ca` | the issuer, whose certificate is sent too | |
//! | `incomplete-chain`, `reversed-chain` | which certificates are sent, and in what order | see [`complete_chain`] |
//! | `old-restored`, `half-updated` | everything: it is the previous certificate | |
//! | `wrong-key` | nothing: the manager uses another key | |
//!
//! The signature is made anew: RSA with SHA-256, whatever the good one's was. Where the good one is from an authority
//! whose key is not at hand, the signature is invalid. A client of this product looks at the pin, not at that.
//!
//! A certificate is the same for a whole day (UTC), so that a driver can cache it.

mod der;

use std::time::Duration;

use super::kind::FaultKind;
use crate::time::Timestamp;
use crate::trust::{CertificateError, KeyPool, ServerCertificate, ServerIdentity, SigningKey};

/// The host in the certificate under `wrong-host`.
pub const ELSEWHERE: &str = "elsewhere.invalid";
/// The unknown authority of the certificate under `unknown-ca`.
pub const UNKNOWN_AUTHORITY: &str = "epm-lab unknown authority";
/// The intermediate authority between the unknown authority and the manager.
pub const INTERMEDIATE_AUTHORITY: &str = "epm-lab intermediate authority";

/// A public key of 1024 bits. [`SigningKey`] does not sign with such keys, so the minted identity keeps the good key; a
/// driver that has the private half signs its handshake with it. No client of the lab accepts such a signature: its TLS
/// library demands 2048 bits.
const WEAK_KEY: &[u8] = include_bytes!("rsa-1024-public.der");
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// The certificates and the key that a manager under a fault presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedIdentity {
    /// The certificates in the order in which they are sent. Clients judge the first.
    pub chain: Vec<ServerCertificate>,
    /// The key that the manager uses in the handshake; it need not belong to the first certificate.
    pub key: SigningKey,
}

/// The inputs of minting.
#[derive(Clone, Copy, Debug)]
pub struct MintInput<'a> {
    /// The identity of the clients' port without a fault.
    pub good: &'a ServerIdentity,
    /// The identity of the clients' port before the last change.
    pub previous: Option<&'a ServerIdentity>,
    /// Two keys other than the good one, for authorities and strangers.
    pub spare: &'a KeyPool,
    /// The present moment.
    pub now: Timestamp,
}

/// The reason why nothing could be minted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The fault does not concern the certificate.
    #[error("the fault {fault} mints no certificate")]
    NotOfCertificates {
        /// The kind of fault.
        fault: &'static str,
    },
    /// Something that the fault needs is missing.
    #[error("the fault {fault} needs {needed}, which is missing")]
    Lacks {
        /// The kind of fault.
        fault: &'static str,
        /// The part that is missing.
        needed: &'static str,
    },
    /// The good certificate does not have the usual structure.
    #[error("the good certificate has an unexpected structure")]
    Form,
    /// The minted certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Makes the certificates that a manager shows under a fault.
///
/// # Errors
/// If the fault does not concern the certificate, or something that it needs is missing.
pub fn mint(what: &FaultKind, mint_input: &MintInput<'_>) -> Result<PresentedIdentity, MintError> {
    let MintInput { good, previous, .. } = mint_input;
    let lacks = |needed| MintError::Lacks { fault: what.name(), needed };
    let spare = |n| mint_input.spare_key(n).ok_or_else(|| lacks("a spare key"));
    let today = today(mint_input.now);
    let own = good.key();
    let mut made = Template::of(good.certificate())?;
    let key = match what {
        FaultKind::Expired => {
            let end = today - Duration::from_secs(1);
            let begin = good.certificate().validity().not_before;
            made.validity = der::validity(if begin < end { begin } else { end - YEAR }, end);
            own
        }
        FaultKind::NotYetValid => {
            let begin = today + 2 * DAY;
            let end = good.certificate().validity().not_after;
            made.validity = der::validity(begin, if begin < end { end } else { begin + YEAR });
            own
        }
        FaultKind::WrongHost => {
            made.set_alternative_name(ELSEWHERE)?;
            own
        }
        FaultKind::OtherSelfSigned => {
            let other = spare(0)?;
            made.public_key = other.public_key_der().to_vec();
            other
        }
        FaultKind::WeakKey => {
            made.public_key = WEAK_KEY.to_vec();
            own
        }
        FaultKind::UnknownCa => {
            let authority = spare(0)?;
            made.issuer = der::name(UNKNOWN_AUTHORITY);
            let root = made.authority(UNKNOWN_AUTHORITY, UNKNOWN_AUTHORITY, authority).signed(authority)?;
            return Ok(PresentedIdentity { chain: vec![made.signed(authority)?, root], key: own.clone() });
        }
        FaultKind::IncompleteChain => {
            let PresentedIdentity { mut chain, key } = complete_chain(mint_input)?;
            chain.remove(1);
            return Ok(PresentedIdentity { chain, key });
        }
        FaultKind::ReversedChain => {
            let PresentedIdentity { mut chain, key } = complete_chain(mint_input)?;
            chain.reverse();
            return Ok(PresentedIdentity { chain, key });
        }
        FaultKind::OldRestored | FaultKind::HalfUpdated => {
            let before = previous.ok_or_else(|| lacks("a previous certificate"))?;
            return Ok(PresentedIdentity {
                chain: vec![before.certificate().clone()],
                key: before.key().clone(),
            });
        }
        FaultKind::WrongKey => {
            return Ok(PresentedIdentity { chain: vec![good.certificate().clone()], key: spare(0)?.clone() });
        }
        _ => return Err(MintError::NotOfCertificates { fault: what.name() }),
    };
    // The signer of the downloads also signs the handshake.
    Ok(PresentedIdentity { chain: vec![made.signed(key)?], key: key.clone() })
}

/// Makes a chain of the manager's certificate, an intermediate authority and the root, in the order in which
/// they should be sent. The faults of chains leave one out or reverse the order.
///
/// # Errors
/// If there are fewer than two spare keys.
pub fn complete_chain(mint_input: &MintInput<'_>) -> Result<PresentedIdentity, MintError> {
    let lacks = || MintError::Lacks { fault: "a chain", needed: "a spare key" };
    let root_key = mint_input.spare_key(0).ok_or_else(lacks)?;
    let between_key = mint_input.spare_key(1).ok_or_else(lacks)?;
    let mut leaf = Template::of(mint_input.good.certificate())?;
    let root = leaf.authority(UNKNOWN_AUTHORITY, UNKNOWN_AUTHORITY, root_key).signed(root_key)?;
    let between = leaf.authority(INTERMEDIATE_AUTHORITY, UNKNOWN_AUTHORITY, between_key).signed(root_key)?;
    leaf.issuer = der::name(INTERMEDIATE_AUTHORITY);
    Ok(PresentedIdentity {
        chain: vec![leaf.signed(between_key)?, between, root],
        key: mint_input.good.key().clone(),
    })
}

impl<'a> MintInput<'a> {
    /// Returns the `n`th key that is not the good one; none if the pool has too few.
    fn spare_key(&self, n: usize) -> Option<&'a SigningKey> {
        const SOME: usize = 16;
        let mut others: Vec<&SigningKey> = Vec::new();
        for key in (0..SOME).map(|n| self.spare.get(n)) {
            if key != self.good.key() && !others.contains(&key) {
                others.push(key);
            }
        }
        others.get(n).copied()
    }
}

/// The parts of a certificate to be signed, in DER.
#[derive(Clone)]
struct Template {
    version_and_serial: Vec<u8>,
    issuer: Vec<u8>,
    validity: Vec<u8>,
    subject: Vec<u8>,
    public_key: Vec<u8>,
    rest: Vec<u8>,
}

impl Template {
    fn of(certificate: &ServerCertificate) -> Result<Self, MintError> {
        let parts = |der: &[u8]| der::parts(der).ok_or(MintError::Form);
        let whole = parts(certificate.der())?;
        let fields = parts(whole.first().ok_or(MintError::Form)?)?;
        match &fields[..] {
            [version, serial, _, issuer, validity, subject, public_key, rest @ ..] => Ok(Self {
                version_and_serial: [&version[..], serial].concat(),
                issuer: issuer.clone(),
                validity: validity.clone(),
                subject: subject.clone(),
                public_key: public_key.clone(),
                rest: rest.concat(),
            }),
            _ => Err(MintError::Form),
        }
    }

    /// Replaces all alternative names with one name.
    fn set_alternative_name(&mut self, host: &str) -> Result<(), MintError> {
        let made = der::alternative_name(host);
        let mut extensions = match &self.rest[..] {
            [] => Vec::new(),
            rest => der::content(rest).and_then(der::parts).ok_or(MintError::Form)?,
        };
        let is_one = |one: &Vec<u8>| {
            der::parts(one).and_then(|parts| parts.into_iter().next()).as_deref()
                == Some(&der::ALTERNATIVE_NAME)
        };
        match extensions.iter_mut().find(|one| is_one(one)) {
            Some(one) => *one = made,
            None => extensions.push(made),
        }
        self.rest = der::value(0xA3, &der::all(der::SEQUENCE, &extensions));
        Ok(())
    }

    /// Makes an authority with the same serial number and validity.
    fn authority(&self, name: &str, issuer: &str, key: &SigningKey) -> Self {
        Self {
            issuer: der::name(issuer),
            subject: der::name(name),
            public_key: key.public_key_der().to_vec(),
            rest: der::extensions_of_an_authority(),
            ..self.clone()
        }
    }

    fn signed(&self, key: &SigningKey) -> Result<ServerCertificate, MintError> {
        let algorithm = der::SHA256_WITH_RSA.to_vec();
        let signed = der::all(
            der::SEQUENCE,
            &[
                self.version_and_serial.clone(),
                algorithm.clone(),
                self.issuer.clone(),
                self.validity.clone(),
                self.subject.clone(),
                self.public_key.clone(),
                self.rest.clone(),
            ],
        );
        let signature = der::signature(key.sign(&signed).as_bytes());
        Ok(ServerCertificate::from_der(&der::all(der::SEQUENCE, &[signed, algorithm, signature]))?)
    }
}

/// Returns the beginning of the day (UTC).
fn today(now: Timestamp) -> Timestamp {
    const SECONDS: i64 = 86_400;
    Timestamp::from_seconds(now.as_seconds().div_euclid(SECONDS) * SECONDS)
}

#[cfg(test)]
mod tests;
