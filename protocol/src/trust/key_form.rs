//! Detects the kind of a private key in DER, before a library refuses it without a reason.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use x509_parser::asn1_rs::{Any, FromDer, Oid, Tag};

use super::certificate::{KeyAlgorithm, ServerCertificate, bit_length};

/// The formats of private keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyForm {
    /// PKCS#8, which names the kind of key.
    Pkcs8(KeyAlgorithm),
    /// The older formats, each for one kind only: PKCS#1, SEC 1, and the unstandardised one for DSA.
    Bare(KeyAlgorithm),
    /// PKCS#8, encrypted with a password.
    Encrypted,
    /// Not a private key.
    Unknown,
}

impl KeyForm {
    pub(super) fn of(der: &[u8]) -> Self {
        recognize(der).unwrap_or(Self::Unknown)
    }
}

fn recognize(der: &[u8]) -> Option<KeyForm> {
    let parts = sequence(der)?;
    let tags: Vec<Tag> = parts.iter().map(Any::tag).collect();
    Some(match tags.as_slice() {
        [Tag::Integer, Tag::Sequence, Tag::OctetString, ..] => {
            let oid = algorithm(&parts[1])?;
            KeyForm::Pkcs8(KeyAlgorithm::from_oid(&oid, || rsa_bits(parts[2].data).unwrap_or(0)))
        }
        [Tag::Sequence, Tag::OctetString] => {
            algorithm(&parts[0])?;
            KeyForm::Encrypted
        }
        [Tag::Integer, Tag::OctetString, ..] => KeyForm::Bare(KeyAlgorithm::Ec),
        [Tag::Integer, rest @ ..] if rest.iter().all(|tag| *tag == Tag::Integer) => match rest.len() {
            8 => KeyForm::Bare(KeyAlgorithm::Rsa { bits: rsa_bits(der)? }),
            5 => KeyForm::Bare(KeyAlgorithm::Dsa),
            _ => KeyForm::Unknown,
        },
        _ => KeyForm::Unknown,
    })
}

/// Whether a private key in DER, PKCS#8 or bare, belongs to a certificate; none if its public half cannot be told.
pub(super) fn is_key_of(der: &[u8], certificate: &ServerCertificate) -> Option<bool> {
    let form = KeyForm::of(der);
    let (algorithm, key) = match &form {
        KeyForm::Pkcs8(algorithm) => (algorithm, sequence(der)?.get(2)?.data.to_vec()),
        KeyForm::Bare(algorithm) => (algorithm, der.to_vec()),
        KeyForm::Encrypted | KeyForm::Unknown => return None,
    };
    let of_certificate = certificate.key_algorithm();
    let is_rsa = |one: &KeyAlgorithm| matches!(one, KeyAlgorithm::Rsa { .. } | KeyAlgorithm::RsaPss);
    let (_, public) = certificate.subject_public_key();
    match algorithm {
        one if is_rsa(one) && is_rsa(of_certificate) => {
            let (own, theirs) = (sequence(&key)?, sequence(public)?);
            let number = |parts: &[Any<'_>], at: usize| -> Option<Vec<u8>> {
                Some(parts.get(at)?.data.iter().copied().skip_while(|byte| *byte == 0).collect())
            };
            Some(number(&own, 1)? == number(&theirs, 0)? && number(&own, 2)? == number(&theirs, 1)?)
        }
        KeyAlgorithm::Ec if *of_certificate == KeyAlgorithm::Ec => {
            // SEC 1 may have the public key under the tag [1], as a BIT STRING; Java leaves it out.
            if let Some(own) = sequence(&key)?.into_iter().find(|part| part.tag() == Tag(1)) {
                let (_, bits) = Any::from_der(own.data).ok()?;
                return Some(bits.data.get(1..)? == public);
            }
            let curves = [
                &ECDSA_P256_SHA256_ASN1_SIGNING,
                &ECDSA_P384_SHA384_ASN1_SIGNING,
                &ECDSA_P521_SHA512_ASN1_SIGNING,
            ];
            let pair = curves.iter().find_map(|curve| EcdsaKeyPair::from_pkcs8(curve, der).ok())?;
            Some(pair.public_key().as_ref() == public)
        }
        KeyAlgorithm::Ed25519 if *of_certificate == KeyAlgorithm::Ed25519 => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
            Some(pair.public_key().as_ref() == public)
        }
        KeyAlgorithm::Dsa | KeyAlgorithm::Other(_) if algorithm == of_certificate => None,
        _ => Some(false),
    }
}

/// The modulus follows the version.
fn rsa_bits(pkcs1: &[u8]) -> Option<u32> {
    sequence(pkcs1)?.get(1).map(|modulus| bit_length(modulus.data))
}

fn algorithm(identifier: &Any<'_>) -> Option<String> {
    let (_, oid) = Oid::from_der(identifier.data).ok()?;
    Some(oid.to_id_string())
}

/// The parts of a SEQUENCE that fills `der` to the end.
fn sequence(der: &[u8]) -> Option<Vec<Any<'_>>> {
    let (after, outer) = Any::from_der(der).ok()?;
    if outer.tag() != Tag::Sequence || !after.is_empty() {
        return None;
    }
    let mut parts = Vec::new();
    let mut rest = outer.data;
    while !rest.is_empty() {
        let (after, part) = Any::from_der(rest).ok()?;
        parts.push(part);
        rest = after;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{pem, samples};
    use super::*;

    fn form(text: &[u8]) -> KeyForm {
        KeyForm::of(&pem::read(text).unwrap()[0].contents)
    }

    #[test]
    fn every_shape_that_openssl_writes_is_recognized() {
        let rsa = KeyAlgorithm::Rsa { bits: 2048 };
        assert_eq!(form(samples::KEY_0), KeyForm::Pkcs8(rsa.clone()));
        assert_eq!(form(samples::KEY_0_AS_PKCS1), KeyForm::Bare(rsa));
        assert_eq!(form(samples::RSA_1024), KeyForm::Bare(KeyAlgorithm::Rsa { bits: 1024 }));
        assert_eq!(form(samples::EC_PKCS8), KeyForm::Pkcs8(KeyAlgorithm::Ec));
        assert_eq!(form(samples::EC_SEC1), KeyForm::Bare(KeyAlgorithm::Ec));
        assert_eq!(form(samples::ED25519), KeyForm::Pkcs8(KeyAlgorithm::Ed25519));
        assert_eq!(form(samples::DSA_PKCS8), KeyForm::Pkcs8(KeyAlgorithm::Dsa));
        assert_eq!(form(samples::DSA_BARE), KeyForm::Bare(KeyAlgorithm::Dsa));
        assert_eq!(form(samples::ENCRYPTED_PKCS8), KeyForm::Encrypted);
        assert_eq!(form(samples::EC), KeyForm::Unknown, "a certificate");
    }

    #[test]
    fn a_key_with_something_behind_it_is_none() {
        let mut der = pem::read(samples::KEY_0).unwrap()[0].contents.clone();
        der.push(0);
        assert_eq!(KeyForm::of(&der), KeyForm::Unknown);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(der in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = KeyForm::of(&der);
            let _ = KeyForm::of(&[&[0x30, 0x81, u8::try_from(der.len()).unwrap()][..], &der].concat());
        }
    }
}
