//! Layer b: which manager signed this document?
//!
//! A manager signs what its clients download with the key of its certificate: RSA, PKCS#1 v1.5, SHA-256, detached, as
//! `openssl dgst -sha256 -verify` reads it. A client acts only upon an [`Accepted`] document, and there are two ways to
//! one: a [`Verified`] document, or any document while secure communications are off.
//!
//! Signing takes a quarter of a millisecond: it belongs into publication, never into an answer.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::certificate::{Fingerprint, KeyAlgorithm, Pins};
use super::key_form::KeyForm;

/// A manager's private key. Cloning is cheap; equality is that of the public key.
#[derive(Clone)]
pub struct SigningKey(Arc<KeyParts>);

struct KeyParts {
    pair: KeyPair,
    pkcs8_der: Vec<u8>,
    public_key_der: Vec<u8>,
}

/// The reason why bytes are not a key for a manager.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are not a private key.
    #[error("not a private key in DER (PKCS#8 or PKCS#1)")]
    NotAKey,
    /// The key is encrypted, and no password was given.
    #[error("the key is encrypted; expected one without a password, or its password")]
    Encrypted,
    /// The key cannot be decrypted with the password.
    #[error("the key cannot be decrypted with this password")]
    WrongPassword,
    /// The key is encrypted with an unsupported algorithm.
    #[error("the key cannot be decrypted: {detail}")]
    Encryption {
        /// The message of the decoder.
        detail: String,
    },
    /// The key is not RSA, the only kind that managers and clients use [C S6].
    #[error("expected an RSA key, found: {found}")]
    NotRsa {
        /// The kind of the key.
        found: KeyAlgorithm,
    },
    /// The key is too short or too long; a key to be made is not of a usual length.
    #[error("expected an RSA key of {expected} bits, found {found}")]
    Bits {
        /// The accepted lengths.
        expected: String,
        /// The length of the key in bits.
        found: u32,
    },
    /// The key has the right form but invalid content.
    #[error("the key is invalid: {detail}")]
    Broken {
        /// The message of the library.
        detail: String,
    },
}

impl SigningKey {
    /// The accepted lengths in bits; the product supports up to 8192 [C S5].
    const BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

    /// Reads a PKCS#8 or PKCS#1 key.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let form = KeyForm::of(der);
        match &form {
            KeyForm::Unknown => return Err(KeyError::NotAKey),
            KeyForm::Encrypted => return Err(KeyError::Encrypted),
            KeyForm::Pkcs8(KeyAlgorithm::Rsa { bits }) | KeyForm::Bare(KeyAlgorithm::Rsa { bits }) => {
                if !Self::BITS.contains(bits) {
                    let expected = format!("{} to {}", Self::BITS.start(), Self::BITS.end());
                    return Err(KeyError::Bits { expected, found: *bits });
                }
            }
            KeyForm::Pkcs8(found) | KeyForm::Bare(found) => {
                return Err(KeyError::NotRsa { found: found.clone() });
            }
        }
        let bare = matches!(form, KeyForm::Bare(_));
        let pair = if bare { KeyPair::from_der(der) } else { KeyPair::from_pkcs8(der) };
        Self::from_pair(pair.map_err(|error| KeyError::Broken { detail: defect(&error).to_owned() })?)
    }

    /// Makes a key of 2048, 3072, 4096 or 8192 bits, from the operating system's randomness.
    ///
    /// This takes from a tenth of a second to minutes, and is the only result of this crate that does not follow from a
    /// seed.
    ///
    /// # Errors
    /// If `bits` is another length.
    pub fn generate(bits: u32) -> Result<Self, KeyError> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            8192 => KeySize::Rsa8192,
            found => {
                return Err(KeyError::Bits { expected: "2048, 3072, 4096 or 8192".to_owned(), found });
            }
        };
        let pair = KeyPair::generate(size).map_err(|error| KeyError::Broken { detail: error.to_string() })?;
        Self::from_pair(pair)
    }

    fn from_pair(pair: KeyPair) -> Result<Self, KeyError> {
        let broken = |error: aws_lc_rs::error::Unspecified| KeyError::Broken { detail: error.to_string() };
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(broken)?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(broken)?;
        let (pkcs8_der, public_key_der) = (pkcs8.as_ref().to_vec(), public.as_ref().to_vec());
        Ok(Self(Arc::new(KeyParts { pair, pkcs8_der, public_key_der })))
    }

    /// The private key, as PKCS#8 in DER.
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.0.pkcs8_der
    }

    /// The public key, as SubjectPublicKeyInfo in DER: the same bytes as in its certificates.
    pub fn public_key_der(&self) -> &[u8] {
        &self.0.public_key_der
    }

    /// The public key, as RSAPublicKey in DER.
    pub(super) fn rsa_public_key_der(&self) -> &[u8] {
        self.0.pair.public_key().as_ref()
    }

    /// The length of the modulus in bits, rounded up to whole bytes.
    pub fn bits(&self) -> u32 {
        u32::try_from(self.0.pair.public_modulus_len() * 8).unwrap_or(u32::MAX)
    }

    /// Makes the detached signature over `message`; always the same for the same message.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.sign_as(&RSA_PKCS1_SHA256, message).into())
    }

    /// Makes a signature over `message` with this padding and digest.
    pub(super) fn sign_as(&self, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; self.0.pair.public_modulus_len()];
        self.0
            .pair
            .sign(encoding, &SystemRandom::new(), message, &mut bytes)
            .expect("a key that was checked when it was read signs any message");
        bytes
    }
}

/// What is wrong with a key that the library refuses, which names it by a word of its own.
fn defect(error: &KeyRejected) -> &'static str {
    match error.description_() {
        "InconsistentComponents" => "its numbers do not belong together",
        "InvalidComponent" => "one of its numbers is not valid in an RSA key",
        "TooSmall" => "it is too short",
        "TooLarge" => "it is too long",
        "VersionNotSupported" => "its format has an unknown version",
        _ => "its encoding is malformed, or it has more than two primes",
    }
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.public_key_der() == other.public_key_der()
    }
}

impl Eq for SigningKey {}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let public = Fingerprint::of(self.public_key_der());
        write!(f, "SigningKey(RSA {}, public {})", self.bits(), public.short())
    }
}

/// A detached signature, as in a `.sig` file. Serialized, it is base64.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature(Bytes);

/// The error for bytes that cannot be a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedSignature {
    /// The signature is longer than that of any key.
    #[error("expected a signature of at most {expected} bytes, found {found}")]
    TooLong {
        /// The largest length in bytes.
        expected: usize,
        /// The length in bytes; for base64, the least that it can stand for.
        found: usize,
    },
    /// The text is not base64.
    #[error("the signature is not base64: {detail}")]
    NotBase64 {
        /// The defect of the text.
        detail: String,
    },
}

impl Signature {
    /// The largest length of a signature, in bytes; an RSA key of 8192 bits makes half of it.
    pub const MAX_BYTES: usize = 2048;

    /// Takes what a peer sent as a signature, right or wrong.
    ///
    /// # Errors
    /// If it is longer than [`Signature::MAX_BYTES`].
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self, MalformedSignature> {
        let bytes = bytes.into();
        if bytes.len() > Self::MAX_BYTES {
            return Err(MalformedSignature::TooLong { expected: Self::MAX_BYTES, found: bytes.len() });
        }
        Ok(Self(bytes))
    }

    /// Reads base64; line breaks and spaces do not matter.
    ///
    /// # Errors
    /// If it is not base64, or longer than [`Signature::MAX_BYTES`].
    pub fn from_base64(text: &str) -> Result<Self, MalformedSignature> {
        // Checked before anything is copied; twice the limit leaves room for line breaks.
        if text.len() > 2 * Self::MAX_BYTES {
            return Err(MalformedSignature::TooLong { expected: Self::MAX_BYTES, found: text.len() / 2 });
        }
        let digits: String = text.split_ascii_whitespace().collect();
        let bytes = STANDARD
            .decode(digits)
            .map_err(|error| MalformedSignature::NotBase64 { detail: error.to_string() })?;
        Self::from_bytes(bytes)
    }

    /// The bytes of the signature.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The signature in base64, on one line.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({} bytes)", self.0.len())
    }
}

impl TryFrom<String> for Signature {
    type Error = MalformedSignature;

    fn try_from(text: String) -> Result<Self, MalformedSignature> {
        Self::from_base64(&text)
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        signature.to_base64()
    }
}

/// The reason why a document's signature is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, schemars::JsonSchema)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum SignatureError {
    /// The document came without a signature.
    #[error("the document has no signature")]
    Missing,
    /// No certificate that the client knows fits the signature.
    #[error("the signature was made by another key; expected that of {}", listed(expected))]
    NotByAPinnedCertificate {
        /// The fingerprints of the pinned certificates.
        expected: Vec<Fingerprint>,
        /// SHA-256 of the document, as `sha256sum` prints it.
        body_sha256: String,
    },
    /// The client has no pinned certificates.
    #[error("no certificate is pinned, so no signature is valid")]
    NoPins,
}

/// A document of kind `T` as received, with its signature not yet checked.
pub struct Signed<T> {
    body: Bytes,
    signature: Option<Signature>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Signed<T> {
    /// Joins a document and the signature that came with it.
    pub fn new(body: Bytes, signature: Option<Signature>) -> Self {
        Self { body, signature, kind: PhantomData }
    }

    /// The bytes of the document, not to be trusted.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The signature of the document, if it came with one.
    pub fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }

    /// Checks the signature against each pinned certificate.
    ///
    /// # Errors
    /// If there is no signature, or no pinned certificate whose key made it.
    pub fn verify(self, pins: &Pins) -> Result<Verified<T>, SignatureError> {
        let signature = self.signature.ok_or(SignatureError::Missing)?;
        if pins.is_empty() {
            return Err(SignatureError::NoPins);
        }
        match pins.iter().find(|pin| pin.has_signed(&self.body, signature.as_bytes())) {
            Some(signer) => Ok(Verified { body: self.body, by: signer.fingerprint(), kind: PhantomData }),
            None => Err(SignatureError::NotByAPinnedCertificate {
                expected: pins.fingerprints(),
                body_sha256: Fingerprint::of(&self.body).to_string().replace(':', "").to_lowercase(),
            }),
        }
    }
}

fn listed(expected: &[Fingerprint]) -> String {
    expected.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// A document of kind `T` that the holder of a pinned certificate signed; only [`Signed::verify`] makes one.
pub struct Verified<T> {
    body: Bytes,
    by: Fingerprint,
    kind: PhantomData<fn() -> T>,
}

impl<T> Verified<T> {
    /// The bytes of the document.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The fingerprint of the certificate whose key made the signature.
    pub fn by(&self) -> Fingerprint {
        self.by
    }
}

/// A document of kind `T` that a client may act upon.
///
/// There are two ways to one: from a [`Verified`] document, or by [`Accepted::without_authentication`].
pub struct Accepted<T> {
    body: Bytes,
    authenticated_by: Option<Fingerprint>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Accepted<T> {
    /// Accepts the document unchecked, for clients whose secure communications are off.
    pub fn without_authentication(document: Signed<T>) -> Self {
        Self { body: document.body, authenticated_by: None, kind: PhantomData }
    }

    /// The bytes of the document.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The fingerprint of the signer's certificate; none if the signature was not checked.
    pub fn authenticated_by(&self) -> Option<Fingerprint> {
        self.authenticated_by
    }
}

impl<T> From<Verified<T>> for Accepted<T> {
    fn from(verified: Verified<T>) -> Self {
        Self { body: verified.body, authenticated_by: Some(verified.by), kind: PhantomData }
    }
}

/// By hand, since `derive` would demand traits of `T`, though only its bytes need them.
macro_rules! documents {
    ($($name:ident { $fact:ident })*) => {$(
        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                Self { body: self.body.clone(), $fact: self.$fact.clone(), kind: PhantomData }
            }
        }

        impl<T> PartialEq for $name<T> {
            fn eq(&self, other: &Self) -> bool {
                self.body == other.body && self.$fact == other.$fact
            }
        }

        impl<T> Eq for $name<T> {}

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("bytes", &self.body.len())
                    .field(stringify!($fact), &self.$fact)
                    .finish()
            }
        }
    )*};
}

documents! {
    Signed { signature }
    Verified { by }
    Accepted { authenticated_by }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, certificate};
    use super::super::{ServerCertificate, pem};
    use super::*;

    /// A kind of document without any of the traits that its bytes have.
    struct Policy;

    /// The signature that openssl made of "a policy" with the first key of the samples.
    const BY_OPENSSL: &str = "\
        MVhc7f47l19OWqxDAhW7+ofCmTqeuKfpZVE1m1qRKsOODps7IjvkOuA+72/xAwxnKFcebpuJpZ+4gCZtnR4rUM\
        xTzzqqIC/5kFe3mWOpqPqjy6Jg/Ufyuo0EmO/fn19PF3sUlR+Ubnstpp+elLu62PyeCdmAp+SVMx0Xks1EHKwL\
        dFYZpcJwpurD8g5lN0kOcB4UkSn7gxBWgHRkNVsIWLrM3hKmglLqNcr+b8aH9ucGBbduN4+0C2NjHntXk0V4U0\
        hoOp0ZX6cM7b/2pIqr5koUy/4Br/BbncSsv0fcikUi1rJYKdCXXJLA8qcHMI3G7IFzBYvg1rneCGEawgXh7w==";

    fn pins(numbers: &[usize]) -> Pins {
        numbers.iter().map(|n| certificate(*n)).collect()
    }

    fn document(body: &'static str, signature: Option<Signature>) -> Signed<Policy> {
        Signed::new(Bytes::from_static(body.as_bytes()), signature)
    }

    fn der(text: &[u8]) -> Vec<u8> {
        pem::read(text).unwrap()[0].contents.clone()
    }

    #[test]
    fn the_signature_is_the_one_that_openssl_makes() {
        assert_eq!(samples::key(0).sign(b"a policy").to_base64(), BY_OPENSSL);
    }

    #[test]
    fn any_pinned_certificate_may_be_the_signer_and_is_named() {
        let signature = Signature::from_base64(BY_OPENSSL).unwrap();
        let verified = document("a policy", Some(signature)).verify(&pins(&[1, 0])).unwrap();
        assert_eq!(verified.by(), certificate(0).fingerprint());
        assert_eq!(&verified.body()[..], b"a policy");
        let accepted = Accepted::from(verified.clone());
        assert_eq!(accepted.authenticated_by(), Some(verified.by()));
        assert_eq!(accepted.body(), verified.body());
    }

    #[test]
    fn a_signature_by_another_key_or_over_other_bytes_is_refused() {
        let signature = samples::key(0).sign(b"a policy");
        let refused = |body, pins: &Pins| document(body, Some(signature.clone())).verify(pins).unwrap_err();
        assert_eq!(
            refused("a policy", &pins(&[1])),
            SignatureError::NotByAPinnedCertificate {
                expected: vec![certificate(1).fingerprint()],
                body_sha256: "1b551587059622f0d62ffa8a371207104a31c6d59bbe2d6563c5199e51d9f267".to_owned(),
            }
        );
        assert!(matches!(refused("a policY", &pins(&[0])), SignatureError::NotByAPinnedCertificate { .. }));
        let cut = Signature::from_bytes(signature.as_bytes()[1..].to_vec()).unwrap();
        assert!(document("a policy", Some(cut)).verify(&pins(&[0])).is_err());
    }

    #[test]
    fn missing_signatures_and_missing_pins_are_told_apart() {
        let signature = Some(samples::key(0).sign(b"a policy"));
        assert_eq!(document("a policy", None).verify(&pins(&[0])), Err(SignatureError::Missing));
        assert_eq!(document("a policy", signature).verify(&Pins::new()), Err(SignatureError::NoPins));
    }

    #[test]
    fn a_pinned_certificate_without_an_rsa_key_signs_nothing() {
        let curve = ServerCertificate::from_der(&der(samples::EC)).unwrap();
        let signature = samples::key(0).sign(b"a policy");
        let refused = document("a policy", Some(signature)).verify(&[curve].into_iter().collect());
        assert!(matches!(refused, Err(SignatureError::NotByAPinnedCertificate { .. })), "{refused:?}");
    }

    #[test]
    fn what_is_accepted_without_authentication_says_so() {
        let accepted = Accepted::without_authentication(document("anything", None));
        assert_eq!(accepted.authenticated_by(), None);
        assert_eq!(&accepted.body()[..], b"anything");
    }

    #[test]
    fn findings_have_stable_codes() {
        let code = |error: &SignatureError| serde_json::to_value(error).unwrap()["code"].clone();
        assert_eq!(code(&SignatureError::Missing), "missing");
        assert_eq!(code(&SignatureError::NoPins), "no-pins");
        let error = SignatureError::NotByAPinnedCertificate { expected: vec![], body_sha256: String::new() };
        assert_eq!(code(&error), "not-by-a-pinned-certificate");
    }

    #[test]
    fn a_signature_in_base64_may_be_wrapped_but_not_endless() {
        let wrapped = BY_OPENSSL.replace('c', "c\r\n");
        assert_eq!(Signature::from_base64(&wrapped).unwrap().to_base64(), BY_OPENSSL);
        assert!(matches!(Signature::from_base64("!"), Err(MalformedSignature::NotBase64 { .. })));
        let too_long = "A".repeat(4 * 700);
        let error = Signature::from_base64(&too_long).unwrap_err();
        assert_eq!(error, MalformedSignature::TooLong { expected: 2048, found: 2100 });
        assert!(matches!(
            Signature::from_base64(&"A".repeat(1 << 20)),
            Err(MalformedSignature::TooLong { .. })
        ));
        assert!(Signature::from_bytes(vec![0; 2049]).is_err());
    }

    #[test]
    fn only_sound_rsa_keys_are_taken() {
        let read = |text: &[u8]| SigningKey::from_der(&der(text));
        let key = read(samples::KEY_0).unwrap();
        assert_eq!(key.bits(), 2048);
        assert_eq!(SigningKey::from_der(key.pkcs8_der()).as_ref(), Ok(&key));
        assert_eq!(read(samples::KEY_0_AS_PKCS1), Ok(key));
        assert_eq!(read(samples::ED25519), Err(KeyError::NotRsa { found: KeyAlgorithm::Ed25519 }));
        assert_eq!(read(samples::ENCRYPTED_PKCS8), Err(KeyError::Encrypted));
        assert_eq!(SigningKey::from_der(b""), Err(KeyError::NotAKey));
        let mut damaged = der(samples::KEY_0);
        damaged[200] ^= 1;
        assert!(matches!(SigningKey::from_der(&damaged), Err(KeyError::Broken { .. })));
    }

    #[test]
    fn a_made_key_is_new_each_time_and_only_of_usual_length() {
        let (a, b) = (SigningKey::generate(2048).unwrap(), SigningKey::generate(2048).unwrap());
        assert_ne!(a, b);
        assert_eq!(SigningKey::from_der(a.pkcs8_der()), Ok(a));
        assert!(matches!(SigningKey::generate(1024), Err(KeyError::Bits { found: 1024, .. })));
    }

    #[test]
    fn the_debug_text_of_a_key_shows_its_public_half_only() {
        let text = format!("{:?}", samples::key(0));
        let public = Fingerprint::of(samples::key(0).public_key_der()).short();
        assert_eq!(text, format!("SigningKey(RSA 2048, public {public})"));
    }
}
