//! Keys that are there at once.
//!
//! **The keys of [`KeyPool::public`] are PUBLIC. They are in the source code of this project and in every
//! copy of its programs, so whoever wants them has them: what they sign proves nothing, and what is encrypted
//! under them is open. They are for sites that are made for a test and thrown away.**
//!
//! They are there because making an RSA key takes a tenth of a second and more, because a rehearsal must not
//! depend on dice, and because a fingerprint that is the same in every run can stand in a test.

use std::sync::{Arc, LazyLock};

use super::keystore::read_private_key;
use super::signature::SigningKey;

/// A supply of keys that begins again at its end.
#[derive(Clone, Debug)]
pub struct KeyPool(Keys);

#[derive(Clone, Debug)]
enum Keys {
    Public,
    Own(Arc<[SigningKey]>),
}

impl KeyPool {
    /// The eight RSA keys of 2048 bits that everybody has: for sites that are thrown away, and for nothing
    /// else.
    pub const fn public() -> Self {
        Self(Keys::Public)
    }

    /// A pool of these keys.
    ///
    /// # Panics
    /// If there is none: nothing could be taken from such a pool.
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

/// Each is read when it is first used, so that a program that needs one does not wait for eight.
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
