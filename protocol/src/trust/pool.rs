//! Ready-made keys.
//!
//! **The keys of [`KeyPool::public`] are PUBLIC. They are in the source code of this project and in every copy of its
//! programs: what they sign proves nothing, and what is encrypted with them is open. They are for throwaway test sites
//! only.**
//!
//! They exist because making an RSA key takes a tenth of a second or more, because a rehearsal must not be random, and
//! because a fingerprint that is the same in every run can be written in a test.

use std::sync::{Arc, LazyLock};

use super::keystore::read_private_key;
use super::signature::SigningKey;

/// A supply of keys, used in turn.
#[derive(Clone, Debug)]
pub struct KeyPool(Keys);

#[derive(Clone, Debug)]
enum Keys {
    Public,
    Own(Arc<[SigningKey]>),
}

impl KeyPool {
    /// Makes a pool of the eight public RSA keys of 2048 bits, for throwaway sites only.
    pub const fn public() -> Self {
        Self(Keys::Public)
    }

    /// Makes a pool of these keys.
    ///
    /// # Panics
    /// If there are no keys.
    pub fn from_keys(keys: Vec<SigningKey>) -> Self {
        assert!(!keys.is_empty(), "a pool needs a key");
        Self(Keys::Own(keys.into()))
    }

    /// The `n`th key, from 0; after the last comes the first again.
    pub fn get(&self, n: usize) -> &SigningKey {
        match &self.0 {
            Keys::Public => &PUBLIC[n % PUBLIC.len()],
            Keys::Own(keys) => &keys[n % keys.len()],
        }
    }
}

/// Each key is parsed on first use, so that a program that needs one does not wait for eight.
static PUBLIC: [LazyLock<SigningKey>; 8] = [
    LazyLock::new(|| read(include_bytes!("pool/00.pem"))),
    LazyLock::new(|| read(include_bytes!("pool/01.pem"))),
    LazyLock::new(|| read(include_bytes!("pool/02.pem"))),
    LazyLock::new(|| read(include_bytes!("pool/03.pem"))),
    LazyLock::new(|| read(include_bytes!("pool/04.pem"))),
    LazyLock::new(|| read(include_bytes!("pool/05.pem"))),
    LazyLock::new(|| read(include_bytes!("pool/06.pem"))),
    LazyLock::new(|| read(include_bytes!("pool/07.pem"))),
];

fn read(pem: &[u8]) -> SigningKey {
    read_private_key(pem, "public key pool")
        .expect("the keys of the pool are compiled in, and a test reads each")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_public_pool_has_eight_different_keys_and_begins_again() {
        let pool = KeyPool::public();
        let different: BTreeSet<_> = (0..8).map(|n| pool.get(n).public_key_der().to_vec()).collect();
        assert_eq!(different.len(), 8);
        assert!((0..8).all(|n| pool.get(n).bits() == 2048));
        assert_eq!(pool.get(9), pool.get(1));
    }

    #[test]
    fn an_own_pool_gives_its_own_keys() {
        let public = KeyPool::public();
        let own = KeyPool::from_keys(vec![public.get(3).clone(), public.get(4).clone()]);
        assert_eq!(own.get(0), public.get(3));
        assert_eq!(own.get(3), public.get(4));
    }

    #[test]
    #[should_panic(expected = "a pool needs a key")]
    fn an_empty_pool_is_refused() {
        let _ = KeyPool::from_keys(Vec::new());
    }
}
