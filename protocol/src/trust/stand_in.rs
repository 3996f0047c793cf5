//! Stand-ins for certificates with foreign keys: the same names, dates, serial numbers, extensions, lengths and chain, with new keys.
//!
//! A lab that is handed on must not carry a key that it has not made. Only the public key and the signature of each
//! certificate are replaced. A signature of another kind than RSA (PKCS#1) with SHA-256, SHA-384 or SHA-512, or by an issuer
//! whose certificate is not in the chain, is replaced by random bytes of its length.

use aws_lc_rs::rand::fill;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::certificate::{CertificateError, KeyAlgorithm, ServerCertificate};
use super::keystore::{KeystoreError, ServerIdentity};
use super::signature::{KeyError, SigningKey};
use super::tlv;

/// The lengths of keys that can be made.
const BITS: [u32; 4] = [2048, 3072, 4096, 8192];

/// A stand-in for an identity.
#[derive(Clone, Debug)]
pub struct StandIn {
    /// The key, certificate and chain.
    pub identity: ServerIdentity,
    /// Each certificate of the identity, and what stands in for it.
    pub certificates: Vec<(ServerCertificate, ServerCertificate)>,
    /// Whether each of those that stand in is signed; random bytes are in the place of the signature if not.
    pub signed: Vec<bool>,
}

/// The reason why there can be no stand-in.
#[derive(Debug, thiserror::Error)]
pub enum StandInError {
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A certificate with another key is malformed.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Key and certificate do not belong together.
    #[error(transparent)]
    Identity(#[from] KeystoreError),
    /// There are no random numbers.
    #[error("the operating system's random generator failed")]
    Randomness,
}

impl StandIn {
    /// Makes a stand-in, with keys from the operating system's randomness. A key of an unusual length gets the next longer usual
    /// one.
    ///
    /// # Errors
    /// If a key cannot be made, or a certificate is malformed.
    pub fn of(identity: &ServerIdentity) -> Result<Self, StandInError> {
        let mut certificates = Vec::new();
        let mut signed = Vec::new();
        let mut issuer: Option<SigningKey> = None;
        let mut leaf = None;
        let chain = std::iter::once(identity.certificate()).chain(identity.chain());
        for original in chain.collect::<Vec<_>>().into_iter().rev() {
            let own = match original.key_algorithm() {
                KeyAlgorithm::Rsa { bits } => Some(SigningKey::generate(usual(*bits))?),
                _ => None,
            };
            let signer = if original.is_self_signed() { own.as_ref() } else { issuer.as_ref() };
            let (made, is_signed) = with_another_key(original, own.as_ref(), signer)?;
            signed.push(is_signed);
            certificates.push((original.clone(), made.clone()));
            issuer = own.clone();
            leaf = own.map(|key| (key, made));
        }
        certificates.reverse();
        signed.reverse();
        let Some((key, certificate)) = leaf else {
            return Err(KeyError::NotRsa { found: identity.certificate().key_algorithm().clone() }.into());
        };
        let chain = certificates.iter().skip(1).map(|(_, made)| made.clone()).collect();
        let identity = ServerIdentity::new(key, certificate)?.with_chain(chain);
        Ok(Self { identity, certificates, signed })
    }
}

fn usual(bits: u32) -> u32 {
    BITS.into_iter().find(|usual| *usual >= bits).unwrap_or(BITS[3])
}

/// The certificate with this public key, or its own, signed by `signer`, and whether it is signed.
fn with_another_key(
    original: &ServerCertificate,
    key: Option<&SigningKey>,
    signer: Option<&SigningKey>,
) -> Result<(ServerCertificate, bool), StandInError> {
    let malformed = || CertificateError::Malformed { detail: "its parts cannot be told apart".to_owned() };
    let (_, parsed) = X509Certificate::from_der(original.der())
        .map_err(|error| CertificateError::Malformed { detail: error.to_string() })?;
    let signed = parsed.tbs_certificate.as_ref();
    let public_key = parsed.public_key().raw;
    let (before, after) = around(signed, public_key).ok_or_else(malformed)?;
    let before = content(before).ok_or_else(malformed)?;
    let public_key = key.map_or(public_key, SigningKey::public_key_der);
    let signed = tlv::value(0x30, &[before, public_key, after].concat());

    let oid = parsed.signature_algorithm.algorithm.to_id_string();
    let encoding: Option<&'static dyn RsaEncoding> = match oid.as_str() {
        "1.2.840.113549.1.1.11" => Some(&RSA_PKCS1_SHA256),
        "1.2.840.113549.1.1.12" => Some(&RSA_PKCS1_SHA384),
        "1.2.840.113549.1.1.13" => Some(&RSA_PKCS1_SHA512),
        _ => None,
    };
    let (signature, is_signed) = match (signer, encoding) {
        (Some(signer), Some(encoding)) => (signer.sign_as(encoding, &signed), true),
        _ => {
            let mut bytes = parsed.signature_value.data.to_vec();
            fill(&mut bytes).map_err(|_| StandInError::Randomness)?;
            (bytes, false)
        }
    };
    // Between the signed part and the bits of the signature, which end the certificate.
    let all = content(original.der()).ok_or_else(malformed)?;
    let (_, rest) = around(all, parsed.tbs_certificate.as_ref()).ok_or_else(malformed)?;
    let bits = tlv::value(0x03, &[&[0], &parsed.signature_value.data[..]].concat());
    let algorithm = rest.strip_suffix(&bits[..]).ok_or_else(malformed)?;
    let bits = tlv::value(0x03, &[&[0], &signature[..]].concat());
    let der = tlv::value(0x30, &[&signed[..], algorithm, &bits].concat());
    Ok((ServerCertificate::from_der(&der)?, is_signed))
}

/// What comes before and after a part of these bytes.
fn around<'a>(whole: &'a [u8], part: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    Some((whole.get(..at)?, whole.get(at.checked_add(part.len())?..)?))
}

/// The bytes after the tag and length of the value that begins here.
fn content(der: &[u8]) -> Option<&[u8]> {
    let length = *der.get(1)?;
    let header = if length < 0x80 { 2 } else { 2 + usize::from(length & 0x7F) };
    der.get(header..)
}

#[cfg(test)]
mod tests {
    use super::super::issuer::{issue, issue_by_authority};
    use super::super::samples::{key, request};
    use super::*;

    #[test]
    fn a_stand_in_has_everything_but_the_key() {
        let original = issue(&key(0), &request(&["manager.example"])).unwrap();
        let made = StandIn::of(&ServerIdentity::new(key(0), original.clone()).unwrap()).unwrap();
        let certificate = made.identity.certificate();
        assert_ne!(certificate.public_key_der(), original.public_key_der());
        assert_ne!(certificate.fingerprint(), original.fingerprint());
        assert_eq!(certificate.der().len(), original.der().len());
        let facts = |one: &ServerCertificate| {
            let text = [one.common_name(), one.issuer(), &one.serial(), one.signature_algorithm()].join("|");
            (text, one.names().to_vec(), one.validity(), one.key_algorithm().clone(), one.version())
        };
        assert_eq!(facts(certificate), facts(&original));
        assert_eq!((made.signed, made.certificates.len()), (vec![true], 1));
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        let signature = &parsed.signature_value.data;
        assert!(certificate.has_signed(parsed.tbs_certificate.as_ref(), signature));
    }

    #[test]
    fn a_chain_is_signed_by_its_stand_ins_and_a_missing_issuer_is_said() {
        let [leaf, root] = issue_by_authority(&key(0), &request(&["a.example"]), &key(1), "Lab CA").unwrap();
        let alone = ServerIdentity::new(key(0), leaf).unwrap();
        let made = StandIn::of(&alone.clone().with_chain(vec![root])).unwrap();
        assert_eq!((made.signed, made.certificates.len()), (vec![true, true], 2));
        let (_, parsed) = X509Certificate::from_der(made.identity.certificate().der()).unwrap();
        let issuer = &made.identity.chain()[0];
        assert!(issuer.has_signed(parsed.tbs_certificate.as_ref(), &parsed.signature_value.data));
        assert_eq!(StandIn::of(&alone).unwrap().signed, [false]);
    }
}
