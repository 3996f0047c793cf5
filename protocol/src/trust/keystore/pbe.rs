//! The password-based encryption schemes of keystores and key files.
//!
//! | scheme | who writes it |
//! |---|---|
//! | PBES2: PBKDF2 or scrypt, AES or 3DES | openssl 3, JDK from 17, Python |
//! | PKCS#12: SHA-1 with 3DES, RC2, RC4 | openssl 1, `openssl pkcs12 -legacy`, older JDKs, Windows |
//! | PBES1: MD5 or SHA-1 with DES | `openssl pkcs8 -v1` |

use aes::{Aes128Dec, Aes192Dec, Aes256Dec};
use cbc::Decryptor;
use cbc::cipher::KeyIvInit;
use cbc::cipher::block_padding::Pkcs7;
use data_encoding::HEXUPPER_PERMISSIVE;
use der::asn1::{Any, ObjectIdentifier, OctetString};
use des::{Des, TdesEde3};
use md5::Md5;
use pkcs5::EncryptionScheme;
use pkcs5::pbes2::{self, Kdf};
use rc2::Rc2;
use rc4::{KeyInit as _, Rc4, StreamCipher as _};
use sha1::Sha1;
use sha2::Digest;
use sha2::digest::block_api::BlockSizeUser;
use zeroize::Zeroizing;

use super::asn1::{self, Algorithm, SaltAndRounds};
use super::refusal::StoreError;
use super::rounds::Rounds;
use super::secret::{Password, Salts};

const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBE_MD5_DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.3");
const PBE_SHA1_DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.10");
const PKCS12_RC4_128: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.1");
const PKCS12_RC4_40: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.2");
const PKCS12_3DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3");
const PKCS12_3DES_2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.4");
const PKCS12_RC2_128: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.5");
const PKCS12_RC2_40: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.6");

/// The largest amount of memory that scrypt may take, in bytes; openssl takes 16 MiB.
const MOST_MEMORY: u64 = 64 * 1024 * 1024;

/// The number of rounds of a derivation written here, the same as the JDK's.
pub(super) const OWN_ROUNDS: u32 = 10_000;
/// The number of rounds of a derivation in the old scheme, the same as openssl's.
pub(super) const OWN_OLD_ROUNDS: u32 = 2_048;

/// The purpose of a key derived with PKCS#12's function.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

type Secret = Zeroizing<Vec<u8>>;

/// Decrypts with a password.
pub(super) fn decrypt(
    algorithm: &Algorithm,
    data: &[u8],
    password: &Password,
    rounds: &mut Rounds,
) -> Result<Secret, StoreError> {
    if algorithm.oid == PBES2 {
        return decrypt_pbes2(algorithm, data, password, rounds);
    }
    let known = [
        PBE_MD5_DES,
        PBE_SHA1_DES,
        PKCS12_RC4_128,
        PKCS12_RC4_40,
        PKCS12_3DES,
        PKCS12_3DES_2,
        PKCS12_RC2_128,
        PKCS12_RC2_40,
    ];
    if !known.contains(&algorithm.oid) {
        return Err(unsupported(&algorithm.oid));
    }
    let parameters = algorithm.parameters.as_ref().ok_or_else(|| StoreError::Damaged {
        detail: format!("the algorithm {} comes without its salt", algorithm.oid),
    })?;
    let SaltAndRounds { salt, rounds: times } = asn1::read(&asn1::write(parameters)?)?;
    let salt = salt.as_bytes();
    if algorithm.oid == PBE_MD5_DES || algorithm.oid == PBE_SHA1_DES {
        rounds.spend(u64::from(times))?;
        let derived = if algorithm.oid == PBE_MD5_DES {
            pbkdf1::<Md5>(password, salt, times)
        } else {
            pbkdf1::<Sha1>(password, salt, times)
        };
        return cbc_decrypt::<Decryptor<Des>>(&derived[..8], &derived[8..16], data);
    }
    let mut derive = |purpose, length| {
        rounds.spend(u64::from(times))?;
        Ok::<_, StoreError>(pkcs12_key::<Sha1>(&password.utf16_with_end(), salt, times, purpose, length))
    };
    if algorithm.oid == PKCS12_RC4_128 || algorithm.oid == PKCS12_RC4_40 {
        let key = derive(Purpose::Key, if algorithm.oid == PKCS12_RC4_128 { 16 } else { 5 })?;
        let mut plain = Zeroizing::new(data.to_vec());
        let mut cipher = Rc4::new_from_slice(&key).map_err(|_| StoreError::Password)?;
        cipher.apply_keystream(&mut plain);
        return Ok(plain);
    }
    let length = match algorithm.oid {
        PKCS12_3DES => 24,
        PKCS12_RC2_40 => 5,
        _ => 16,
    };
    let (mut key, iv) = (derive(Purpose::Key, length)?, derive(Purpose::Iv, 8)?);
    if algorithm.oid == PKCS12_RC2_128 || algorithm.oid == PKCS12_RC2_40 {
        return cbc_decrypt::<Decryptor<Rc2>>(&key, &iv, data);
    }
    if algorithm.oid == PKCS12_3DES_2 {
        key.extend_from_within(..8); // the third key is the first
    }
    cbc_decrypt::<Decryptor<TdesEde3>>(&key, &iv, data)
}

fn decrypt_pbes2(
    algorithm: &Algorithm,
    data: &[u8],
    password: &Password,
    rounds: &mut Rounds,
) -> Result<Secret, StoreError> {
    let scheme: EncryptionScheme = asn1::read(&asn1::write(algorithm)?).map_err(|error| {
        StoreError::Algorithm { found: format!("PBES2 with unknown parameters ({error})") }
    })?;
    match scheme.pbes2().map(|parameters| &parameters.kdf) {
        Some(Kdf::Pbkdf2(kdf)) => rounds.spend(u64::from(kdf.iteration_count))?,
        Some(Kdf::Scrypt(kdf)) => {
            // The library subtracts from the logarithm of the cost, whatever that is.
            if kdf.cost_parameter < 2 || !kdf.cost_parameter.is_power_of_two() {
                let found = format!("scrypt with the cost {}, which is no power of two", kdf.cost_parameter);
                return Err(StoreError::Algorithm { found });
            }
            let memory = kdf.cost_parameter.saturating_mul(128).saturating_mul(u64::from(kdf.block_size));
            let work = memory.saturating_mul(u64::from(kdf.parallelization));
            if work > MOST_MEMORY {
                return Err(StoreError::Rounds { expected: MOST_MEMORY, found: work });
            }
            rounds.spend((work / 1024).max(1))?;
        }
        _ => return Err(unsupported(&algorithm.oid)),
    }
    match scheme.decrypt(password.utf8(), data) {
        Ok(plain) => Ok(Zeroizing::new(plain)),
        Err(pkcs5::Error::UnsupportedAlgorithm { oid }) => Err(unsupported(&oid)),
        Err(_) => Err(StoreError::Password),
    }
}

/// The encryption scheme of a file written here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// PBES2 with PBKDF2, HMAC-SHA-256 and AES-256.
    Modern,
    /// PKCS#12 with SHA-1 and 3DES.
    Old,
    /// PKCS#12 with SHA-1 and RC2 of 40 bits, for certificates.
    OldForCertificates,
}

/// Encrypts with a password.
pub(super) fn encrypt(
    scheme: Scheme,
    plain: &[u8],
    password: &Password,
    salts: &mut Salts,
) -> Result<(Algorithm, Vec<u8>), StoreError> {
    if scheme == Scheme::Modern {
        let cannot = |error: pkcs5::Error| StoreError::Algorithm { found: error.to_string() };
        let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(
            OWN_ROUNDS,
            &salts.take::<16>(),
            salts.take::<16>(),
        )
        .map_err(cannot)?;
        let data = parameters.encrypt(password.utf8(), plain).map_err(cannot)?;
        let parameters = Some(asn1::read::<Any>(&asn1::write(&parameters)?)?);
        return Ok((Algorithm { oid: PBES2, parameters }, data));
    }
    let salt: [u8; 8] = salts.take();
    let end = password.utf16_with_end();
    let derive = |purpose, length| pkcs12_key::<Sha1>(&end, &salt, OWN_OLD_ROUNDS, purpose, length);
    let iv = derive(Purpose::Iv, 8);
    let (oid, data) = if scheme == Scheme::Old {
        (PKCS12_3DES, cbc_encrypt::<cbc::Encryptor<TdesEde3>>(&derive(Purpose::Key, 24), &iv, plain)?)
    } else {
        (PKCS12_RC2_40, cbc_encrypt::<cbc::Encryptor<Rc2>>(&derive(Purpose::Key, 5), &iv, plain)?)
    };
    let parameters = SaltAndRounds { salt: OctetString::new(salt)?, rounds: OWN_OLD_ROUNDS };
    Ok((Algorithm { oid, parameters: Some(asn1::read::<Any>(&asn1::write(&parameters)?)?) }, data))
}

/// Decrypts a block of an old PEM file; `cipher` is the value of its `DEK-Info`.
pub(super) fn decrypt_old_pem(cipher: &str, data: &[u8], password: &Password) -> Result<Secret, StoreError> {
    let other =
        || StoreError::Algorithm { found: format!("{:?}", cipher.chars().take(60).collect::<String>()) };
    let (name, iv) = cipher.split_once(',').ok_or_else(other)?;
    let iv = HEXUPPER_PERMISSIVE.decode(iv.trim().as_bytes()).map_err(|_| other())?;
    // EVP_BytesToKey, one round of MD5, salted with the first eight bytes of the vector.
    let salt = iv.get(..8).ok_or_else(other)?;
    let key = |length: usize| {
        let mut key = Zeroizing::new(Vec::new());
        let mut last = Vec::new();
        while key.len() < length {
            last = Md5::new()
                .chain_update(&last)
                .chain_update(password.utf8())
                .chain_update(salt)
                .finalize()
                .to_vec();
            key.extend_from_slice(&last);
        }
        key.truncate(length);
        key
    };
    match name.trim() {
        "AES-128-CBC" => cbc_decrypt::<Decryptor<Aes128Dec>>(&key(16), &iv, data),
        "AES-192-CBC" => cbc_decrypt::<Decryptor<Aes192Dec>>(&key(24), &iv, data),
        "AES-256-CBC" => cbc_decrypt::<Decryptor<Aes256Dec>>(&key(32), &iv, data),
        "DES-EDE3-CBC" => cbc_decrypt::<Decryptor<TdesEde3>>(&key(24), &iv, data),
        "DES-CBC" => cbc_decrypt::<Decryptor<Des>>(&key(8), &iv, data),
        _ => Err(other()),
    }
}

/// 3DES as in the protection of JCEKS, which derives key and vector in its own way.
pub(super) fn decrypt_3des(key: &[u8], iv: &[u8], data: &[u8]) -> Result<Secret, StoreError> {
    cbc_decrypt::<Decryptor<TdesEde3>>(key, iv, data)
}

/// A wrong password shows in the padding, or in the content.
fn cbc_decrypt<C: KeyIvInit + cbc::cipher::BlockModeDecrypt>(
    key: &[u8],
    iv: &[u8],
    data: &[u8],
) -> Result<Secret, StoreError> {
    let wrong = || StoreError::Damaged {
        detail: "the initialization vector has the wrong length for the cipher".to_owned(),
    };
    let cipher = C::new_from_slices(key, iv).map_err(|_| wrong())?;
    cipher.decrypt_padded_vec::<Pkcs7>(data).map(Zeroizing::new).map_err(|_| StoreError::Password)
}

fn cbc_encrypt<C: KeyIvInit + cbc::cipher::BlockModeEncrypt>(
    key: &[u8],
    iv: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let wrong = |_| StoreError::Damaged { detail: "the key has the wrong length for the cipher".to_owned() };
    Ok(C::new_from_slices(key, iv).map_err(wrong)?.encrypt_padded_vec::<Pkcs7>(plain))
}

/// PBKDF1 of PKCS#5.
fn pbkdf1<D: Digest>(password: &Password, salt: &[u8], times: u32) -> Secret {
    let mut last = D::new().chain_update(password.utf8()).chain_update(salt).finalize();
    for _ in 1..times {
        last = D::digest(&last);
    }
    Zeroizing::new(last.to_vec())
}

/// The key derivation of RFC 7292, appendix B.
pub(super) fn pkcs12_key<D: Digest + BlockSizeUser>(
    password: &[u8],
    salt: &[u8],
    times: u32,
    purpose: Purpose,
    length: usize,
) -> Secret {
    let block = D::block_size();
    let filled = |text: &[u8]| -> Vec<u8> {
        text.iter().copied().cycle().take(text.len().div_ceil(block) * block).collect()
    };
    let mut input = Zeroizing::new([filled(salt), filled(password)].concat());
    let mut derived = Zeroizing::new(Vec::with_capacity(length + 64));
    while derived.len() < length {
        let mut last = D::new().chain_update(vec![purpose as u8; block]).chain_update(&*input).finalize();
        for _ in 1..times {
            last = D::digest(&last);
        }
        for part in input.chunks_mut(block) {
            let mut carry = 1_u16;
            for (place, byte) in part.iter_mut().enumerate().rev() {
                let sum = u16::from(*byte) + u16::from(last[place % last.len()]) + carry;
                [_, *byte] = sum.to_be_bytes();
                carry = sum >> 8;
            }
        }
        derived.extend_from_slice(&last);
    }
    derived.truncate(length);
    derived
}

fn unsupported(oid: &ObjectIdentifier) -> StoreError {
    StoreError::Algorithm { found: format!("the algorithm {oid}") }
}

#[cfg(test)]
mod tests {
    use pkcs5::pbes2::ScryptParams;

    use super::*;

    /// Found by fuzzing: the library panics on a cost of 0.
    #[test]
    fn a_cost_of_scrypt_that_is_no_power_of_two_is_refused() {
        for cost_parameter in [0, 1, 3, u64::MAX] {
            let mut parameters =
                pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(1, &[0; 16], [0; 16]).unwrap();
            let salt = [0_u8; 8].as_slice().try_into().unwrap();
            let (block_size, parallelization) = (8, 1);
            let scrypt = ScryptParams { salt, cost_parameter, block_size, parallelization, key_length: None };
            parameters.kdf = Kdf::Scrypt(scrypt);
            let parameters = Some(asn1::read::<Any>(&asn1::write(&parameters).unwrap()).unwrap());
            let algorithm = Algorithm { oid: PBES2, parameters };
            let password = Password::new("secret");
            let refused = decrypt_pbes2(&algorithm, &[0; 16], &password, &mut Rounds::of_a_file());
            let Err(StoreError::Algorithm { found }) = refused else { panic!("{refused:?}") };
            assert!(found.contains(&format!("the cost {cost_parameter},")), "{found}");
        }
    }
}
