//! Faulty certificates, minted on demand. Each differs from the good one in exactly one property and in the serial number.
//!
//! | fault | differs in | the rest |
//! |---|---|---|
//! | `expired`, `not-yet-valid` | the validity | is the same, byte by byte |
//! | `wrong-host` | the alternative names | |
//! | `other-self-signed`, `weak-key` | the public key | |
//! | `unknown-ca` | the issuer, whose certificate is sent too | |
//! | `incomplete-chain`, `reversed-chain` | which certificates are sent, and in what order | the certificates are the good ones; without any of issuers, see [`complete_chain`] |
//! | `old-restored`, `half-updated` | everything: it is the previous certificate | |
//! | `wrong-key` | nothing: the manager uses another key | |
//!
//! The certificates of the issuers are sent as with the good certificate; `unknown-ca` sends its own.
//!
//! The signature is made anew: RSA with SHA-256, whatever the good one's was. It is made with the key of the good one's
//! issuer: the good key if it is self-signed, else the key among [`MintInput::authorities`] that has signed it. Where that
//! key is not at hand, the signature is invalid, and a client that trusts the authority finds a second defect. A client of
//! this product looks at the pin, not at that.
//!
//! The serial number is a hash of the rest of the certificate and of the signer's key, so that no two certificates of one
//! issuer share a number (RFC 5280, 4.1.2.2); NSS refuses those that do.
//!
//! A certificate is the same for a whole day (UTC), so that a driver can cache it.

mod der;

use std::time::Duration;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    UnparsedPublicKey,
};

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
/// The RSA signatures by which an authority's key is recognised.
const RSA_SIGNATURES: [&RsaParameters; 6] = [
    &RSA_PKCS1_2048_8192_SHA256,
    &RSA_PKCS1_2048_8192_SHA384,
    &RSA_PKCS1_2048_8192_SHA512,
    &RSA_PSS_2048_8192_SHA256,
    &RSA_PSS_2048_8192_SHA384,
    &RSA_PSS_2048_8192_SHA512,
];
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
    /// Keys of the authorities that have signed certificates of the site, as far as they are known.
    pub authorities: &'a [SigningKey],
    /// Keys for authorities and strangers, none of which is a key of the site.
    pub spare: KeyPool,
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
    let MintInput { good, spare, .. } = mint_input;
    let today = today(mint_input.now);
    let own = good.key().clone();
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
            let other = spare.get(0);
            made.public_key = other.public_key_der().to_vec();
            other
        }
        FaultKind::WeakKey => {
            made.public_key = WEAK_KEY.to_vec();
            own
        }
        FaultKind::UnknownCa => {
            let authority = spare.get(0);
            made.set_issuer(UNKNOWN_AUTHORITY)?;
            let root = made.authority(UNKNOWN_AUTHORITY, UNKNOWN_AUTHORITY, &authority).signed(&authority)?;
            return Ok(PresentedIdentity { chain: vec![made.signed(&authority)?, root], key: own });
        }
        FaultKind::IncompleteChain => {
            let PresentedIdentity { mut chain, key } = sendable_chain(mint_input)?;
            chain.remove(1);
            return Ok(PresentedIdentity { chain, key });
        }
        FaultKind::ReversedChain => {
            let PresentedIdentity { mut chain, key } = sendable_chain(mint_input)?;
            chain.reverse();
            return Ok(PresentedIdentity { chain, key });
        }
        FaultKind::OldRestored | FaultKind::HalfUpdated => {
            let before = mint_input
                .replaced()
                .ok_or_else(|| MintError::Lacks { fault: what.name(), needed: "a previous certificate" })?;
            return Ok(PresentedIdentity { chain: sent(before), key: before.key().clone() });
        }
        FaultKind::WrongKey => return Ok(PresentedIdentity { chain: sent(good), key: spare.get(0) }),
        _ => return Err(MintError::NotOfCertificates { fault: what.name() }),
    };
    // The key that signs a self-signed certificate also signs the handshake.
    let signer = mint_input.authority().unwrap_or(&key);
    let made = made.signed(signer)?;
    let chain = std::iter::once(made).chain(good.chain().iter().cloned()).collect();
    Ok(PresentedIdentity { chain, key })
}

impl<'a> MintInput<'a> {
    /// The identity before the last change, if it was another.
    fn replaced(&self) -> Option<&'a ServerIdentity> {
        self.previous.filter(|before| *before != self.good)
    }

    /// The key of the authority that signed the good certificate, if it is known.
    fn authority(&self) -> Option<&'a SigningKey> {
        let good = self.good.certificate();
        self.authorities.iter().find(|key| is_signed_by(good.der(), key.public_key_der()))
    }
}

/// The certificates of an identity in the order in which they are sent.
fn sent(identity: &ServerIdentity) -> Vec<ServerCertificate> {
    std::iter::once(identity.certificate()).chain(identity.chain()).cloned().collect()
}

/// The certificates that are sent, of which the faults of chains leave one out or reverse the order: those of the manager
/// if an intermediate is among them, else those of [`complete_chain`].
fn sendable_chain(mint_input: &MintInput<'_>) -> Result<PresentedIdentity, MintError> {
    let good = mint_input.good;
    if good.chain().first().is_some_and(|issuer| !issuer.is_self_signed()) {
        return Ok(PresentedIdentity { chain: sent(good), key: good.key().clone() });
    }
    complete_chain(mint_input)
}

/// Whether this key has signed a certificate, with one of the usual RSA signatures.
fn is_signed_by(certificate: &[u8], public_key: &[u8]) -> bool {
    let Some(parts) = der::parts(certificate) else { return false };
    let [signed, _, signature] = &parts[..] else { return false };
    let Some([0, signature @ ..]) = der::content(signature) else { return false };
    RSA_SIGNATURES
        .iter()
        .any(|algorithm| UnparsedPublicKey::new(*algorithm, public_key).verify(signed, signature).is_ok())
}

/// Makes a chain of the manager's certificate, an intermediate authority and the root, in the order in which
/// they should be sent. The faults of chains leave one out or reverse the order.
///
/// # Errors
/// If the good certificate cannot be taken apart.
pub fn complete_chain(mint_input: &MintInput<'_>) -> Result<PresentedIdentity, MintError> {
    let [root_key, between_key] = [0, 1].map(|n| mint_input.spare.get(n));
    let mut leaf = Template::of(mint_input.good.certificate())?;
    let root = leaf.authority(UNKNOWN_AUTHORITY, UNKNOWN_AUTHORITY, &root_key).signed(&root_key)?;
    let between =
        leaf.authority(INTERMEDIATE_AUTHORITY, UNKNOWN_AUTHORITY, &between_key).signed(&root_key)?;
    leaf.set_issuer(INTERMEDIATE_AUTHORITY)?;
    Ok(PresentedIdentity {
        chain: vec![leaf.signed(&between_key)?, between, root],
        key: mint_input.good.key().clone(),
    })
}

/// The parts of a certificate to be signed, in DER. The serial number is made on signing.
#[derive(Clone)]
struct Template {
    version: Vec<u8>,
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
            [version, _, _, issuer, validity, subject, public_key, rest @ ..] => Ok(Self {
                version: version.clone(),
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
        self.set_extension(&der::ALTERNATIVE_NAME, Some(der::alternative_name(host)))
    }

    /// Names another issuer, without the identifier of the key of the issuer before.
    fn set_issuer(&mut self, name: &str) -> Result<(), MintError> {
        self.issuer = der::name(name);
        self.set_extension(&der::AUTHORITY_KEY, None)
    }

    /// Replaces the extension of this kind, or removes it; a missing one is added.
    fn set_extension(&mut self, kind: &[u8], made: Option<Vec<u8>>) -> Result<(), MintError> {
        // Before the extensions there can be identifiers of issuer and subject.
        let mut fields = der::parts(&der::value(der::SEQUENCE, &self.rest)).ok_or(MintError::Form)?;
        let place = fields.iter().position(|field| field.first() == Some(&der::EXTENSIONS));
        let mut extensions = match place {
            None => Vec::new(),
            Some(place) => der::content(&fields[place]).and_then(der::parts).ok_or(MintError::Form)?,
        };
        let is_of = |one: &Vec<u8>| {
            der::parts(one).and_then(|parts| parts.into_iter().next()).as_deref() == Some(kind)
        };
        match (extensions.iter().position(is_of), made) {
            (Some(found), Some(made)) => extensions[found] = made,
            (Some(found), None) => drop(extensions.remove(found)),
            (None, Some(made)) => extensions.push(made),
            (None, None) => return Ok(()),
        }
        let made = der::value(der::EXTENSIONS, &der::all(der::SEQUENCE, &extensions));
        match place {
            Some(place) if extensions.is_empty() => drop(fields.remove(place)),
            Some(place) => fields[place] = made,
            None => fields.push(made),
        }
        self.rest = fields.concat();
        Ok(())
    }

    /// Makes an authority with the same validity.
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
        let rest =
            [&algorithm[..], &self.issuer, &self.validity, &self.subject, &self.public_key, &self.rest]
                .concat();
        let serial = der::serial(&[&rest[..], key.public_key_der()].concat());
        let signed = der::all(der::SEQUENCE, &[self.version.clone(), serial, rest]);
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
