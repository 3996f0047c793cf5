//! A 1024-bit RSA key, and the handshake signatures made with it. TLS libraries refuse such keys, so the padding is
//! implemented here. The key is public, like all keys of the lab.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use num_bigint::BigUint;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// Modulus and private exponent of the key in the certificate of `epm_protocol::fault::mint`.
const MODULUS: &str = "\
    d221e2b06b675bdc6264f4a8a3bc53f2029509486a716cedcd0f398c1bb74a6d133aed5475ffda777b9db1155303a1b2\
    036274eea291294b99bb56f3778efb0b740676c20b62bc2ca9087c87191f28838965fab6ece790896fea3b46233f0d11\
    9db4e1628c6d199bd0a7cac6438f6adae613343195e2d35f03be41828e9eb505";
const EXPONENT: &str = "\
    c21a9f060c106be085db6fcc9f8305a01616897ea524a5547d094545510cdce928cc5412a2f5765ecc877bde90d257f8\
    d1fb8ebc28db22643d5bba14282aa165e32417864297469cc9afba901e20d39baa079a40e815f7c8a8c6e0e6c44f3ea5\
    079329eb8767c03fbdcdb571c1f8ee43ced56cf07498921a9049dda856b22339";

/// Length of the key and of each signature, in bytes.
const LENGTH: usize = 128;
/// Length of a digest and of the salt, in bytes.
const DIGEST: usize = 32;
/// `DigestInfo` prefix of SHA-256 (RFC 8017, 9.2).
const DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];

static KEY: LazyLock<(BigUint, BigUint)> = LazyLock::new(|| {
    let number = |digits: &str| BigUint::parse_bytes(digits.as_bytes(), 16).unwrap_or_default();
    (number(MODULUS), number(EXPONENT))
});

/// The key as a rustls signing key.
#[derive(Debug)]
pub(super) struct WeakKey;

#[derive(Debug)]
struct WeakSigner(SignatureScheme);

impl SigningKey for WeakKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let schemes = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
        let chosen = schemes.into_iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(WeakSigner(chosen)))
    }

    /// Not compared with the certificate.
    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        None
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

impl Signer for WeakSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let padded = match self.0 {
            SignatureScheme::RSA_PKCS1_SHA256 => pkcs1(message),
            _ => {
                let mut salt = [0; DIGEST];
                rand::fill(&mut salt).map_err(|_| Error::FailedToGetRandomBytes)?;
                pss(message, &salt)
            }
        };
        Ok(power(&padded))
    }

    fn scheme(&self) -> SignatureScheme {
        self.0
    }
}

/// The private-key operation on these bytes.
fn power(padded: &[u8]) -> Vec<u8> {
    let (modulus, exponent) = &*KEY;
    let number = BigUint::from_bytes_be(padded).modpow(exponent, modulus).to_bytes_be();
    let mut signature = vec![0; LENGTH.saturating_sub(number.len())];
    signature.extend(number);
    signature
}

/// RSASSA-PKCS1-v1_5 padding (RFC 8017, 9.2).
fn pkcs1(message: &[u8]) -> Vec<u8> {
    let mut padded = vec![0, 1];
    padded.resize(LENGTH - 1 - DIGEST_INFO.len() - DIGEST, 0xff);
    padded.push(0);
    padded.extend(DIGEST_INFO);
    padded.extend(digest(&SHA256, message).as_ref());
    padded
}

/// RSASSA-PSS padding (RFC 8017, 9.1) with MGF1 and a salt as long as the digest.
fn pss(message: &[u8], salt: &[u8; DIGEST]) -> Vec<u8> {
    let hashed = digest(&SHA256, message);
    let hash = digest(&SHA256, &[&[0; 8], hashed.as_ref(), salt].concat());
    let mut padded = vec![0; LENGTH - 2 * DIGEST - 2];
    padded.push(1);
    padded.extend(salt);
    let mask = (0_u32..).flat_map(|counter| {
        digest(&SHA256, &[hash.as_ref(), &counter.to_be_bytes()].concat()).as_ref().to_vec()
    });
    padded.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    // One bit shorter than the key.
    padded[0] &= 0x7f;
    padded.extend(hash.as_ref());
    padded.push(0xbc);
    padded
}

/// The key for `showing`.
pub(super) fn weak_key() -> Arc<dyn SigningKey> {
    Arc::new(WeakKey)
}
