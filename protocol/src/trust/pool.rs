//! Ready-made keys, and serial numbers, derived from a seed.
//!
//! **These keys are PUBLIC: each derives from the source code of this project and a seed. What they sign proves nothing, and
//! what is encrypted with them is open. They are for throwaway test sites only.**
//!
//! They exist because making an RSA key takes a tenth of a second or more, because a rehearsal must not be random, and
//! because a fingerprint that is the same in every run can be written in a test. No key repeats: a client that trusts an old
//! certificate trusts every signature by its key, so a repeated key would reconnect an orphaned client that the product
//! leaves orphaned.

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use siphasher::sip::SipHasher24;

use super::primes::{self, BITS_OF_A_NUMBER};
use super::signature::SigningKey;

/// RSA keys of 2048 bits, and serial numbers for their certificates, derived from a seed.
///
/// Each key consists of two primes of a table, chosen by a permutation. The first 32,768 keys of the site and the first
/// 32,768 of its faults are all different, also across the 4,096 seeds that share all but the lowest twelve bits. Any other
/// two keys are equal with a probability of 1 in 2^28.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPool {
    seed: u64,
    domain: Domain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Domain {
    Site,
    Faults,
}

/// The number of low bits in which seeds may differ and share no key.
const BITS_OF_A_SEED: u32 = 12;
/// The number of low bits of a key's number that the permutation maps; the higher bits are part of the permutation's key.
const BITS_OF_A_KEY: u32 = 2 * BITS_OF_A_NUMBER - BITS_OF_A_SEED - 1;
/// The number of rounds of the permutation.
const ROUNDS: u64 = 6;
/// The hash key that separates keys from other draws with the same seed.
const KEYS: u64 = 0x6b65_7973_2031;
/// The hash key that separates serial numbers from other draws with the same seed.
const SERIALS: u64 = 0x7365_7269_616c_2031;

/// The keys made last, since rehearsals of one plan ask for the same keys again and again.
static RECENT: Mutex<BTreeMap<[u16; 2], SigningKey>> = Mutex::new(BTreeMap::new());
/// The largest number of keys kept; then the cache starts anew.
const MAX_RECENT: usize = 256;

impl KeyPool {
    /// Returns the keys of the site with this seed.
    pub const fn of_site(seed: u64) -> Self {
        Self { seed, domain: Domain::Site }
    }

    /// Returns the keys for certificates that faults mint in the site with this seed, none of which is a key of the site.
    pub const fn of_faults(seed: u64) -> Self {
        Self { seed, domain: Domain::Faults }
    }

    /// Returns the `n`th key, from 0.
    pub fn get(&self, n: usize) -> SigningKey {
        let pair = self.pair(n as u64);
        if let Some(key) = recent().get(&pair) {
            return key.clone();
        }
        let key = SigningKey::from_der(&primes::private_key(pair))
            .expect("every two primes of the table give a key, and tests make many");
        let mut recent = recent();
        if recent.len() >= MAX_RECENT {
            recent.clear();
        }
        recent.insert(pair, key.clone());
        key
    }

    /// Returns the `n`th serial number, from 0: 63 bits, never 0 (RFC 5280, 4.1.2.2).
    pub fn serial(&self, n: usize) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.seed, SERIALS);
        hasher.write_u8(self.domain as u8);
        hasher.write(&(n as u64).to_le_bytes());
        (hasher.finish() >> 1).max(1)
    }

    /// Returns the numbers of the two primes of a key: a Feistel network over the low bits of seed, domain and `n`, keyed
    /// with their other bits.
    fn pair(self, n: u64) -> [u16; 2] {
        const HALF: u64 = (1 << BITS_OF_A_NUMBER) - 1;
        let lowest = |number: u64, bits: u32| number & ((1 << bits) - 1);
        let place = lowest(self.seed, BITS_OF_A_SEED) << (BITS_OF_A_KEY + 1)
            | (self.domain as u64) << BITS_OF_A_KEY
            | lowest(n, BITS_OF_A_KEY);
        let (mut left, mut right) = (place >> BITS_OF_A_NUMBER, place & HALF);
        for round in 0..ROUNDS {
            let mut hasher = SipHasher24::new_with_keys(self.seed >> BITS_OF_A_SEED, KEYS);
            for part in [n >> BITS_OF_A_KEY, round, right] {
                hasher.write(&part.to_le_bytes());
            }
            (left, right) = (right, left ^ (hasher.finish() & HALF));
        }
        [left, right].map(|number| u16::try_from(number).unwrap_or_default())
    }
}

fn recent() -> MutexGuard<'static, BTreeMap<[u16; 2], SigningKey>> {
    RECENT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ten_thousand_keys_of_a_site_and_as_many_of_its_faults_are_different() {
        for seed in [0, 1, 0x00ab_cdef_0123_4567, u64::MAX] {
            let pools = [KeyPool::of_site(seed), KeyPool::of_faults(seed)];
            let pairs: HashSet<_> =
                pools.into_iter().flat_map(|pool| (0..10_000).map(move |n| pool.pair(n))).collect();
            assert_eq!(pairs.len(), 20_000, "seed {seed}");
        }
    }

    #[test]
    fn no_two_of_many_seeds_share_a_key() {
        let several = |seed| [KeyPool::of_site(seed), KeyPool::of_faults(seed)];
        let pairs: HashSet<_> =
            (0..4096).flat_map(several).flat_map(|pool| (0..10).map(move |n| pool.pair(n))).collect();
        assert_eq!(pairs.len(), 4096 * 2 * 10);
    }

    #[test]
    fn three_keys_of_a_thousand_seeds_have_a_modulus_each() {
        let keys = (0..1000).flat_map(|seed| (0..3).map(move |n| KeyPool::of_site(seed).get(n)));
        let different: HashSet<Vec<u8>> = keys.map(|key| key.public_key_der().to_vec()).collect();
        assert_eq!(different.len(), 3000);
    }

    #[test]
    fn the_permutation_reaches_every_place_once() {
        // The lowest bits of seed, domain and key are all that it permutes; its key is the same for all of these.
        let mut reached = vec![0_u64; 1 << (2 * BITS_OF_A_NUMBER - 6)];
        let mut count = 0_u64;
        for seed in (0..1 << BITS_OF_A_SEED).step_by(64) {
            for pool in [KeyPool::of_site(seed), KeyPool::of_faults(seed)] {
                for n in (0..1 << BITS_OF_A_KEY).step_by(64) {
                    let [left, right] = pool.pair(n).map(u64::from);
                    let place = left << BITS_OF_A_NUMBER | right;
                    let bit = 1 << (place % 64);
                    let word = &mut reached[usize::try_from(place / 64).unwrap()];
                    assert_eq!(*word & bit, 0, "seed {seed}, key {n}");
                    *word |= bit;
                    count += 1;
                }
            }
        }
        assert_eq!(count, 1 << (2 * BITS_OF_A_NUMBER - 12));
    }

    #[test]
    fn keys_and_serial_numbers_follow_from_the_seed() {
        let pool = KeyPool::of_site(7);
        assert_eq!(
            (pool.get(3), pool.serial(3)),
            (KeyPool::of_site(7).get(3), KeyPool::of_site(7).serial(3))
        );
        for other in [KeyPool::of_site(8), KeyPool::of_faults(7)] {
            assert_ne!((pool.get(3), pool.serial(3)), (other.get(3), other.serial(3)));
        }
        assert_eq!(pool.get(0).bits(), 2048);
        // Pinned: the same on every machine and in every release.
        assert_eq!((pool.pair(0), pool.serial(0)), ([760, 5570], 775_578_642_628_204_309));
    }

    #[test]
    fn serial_numbers_are_positive_have_63_bits_and_do_not_come_again() {
        let numbers: HashSet<u64> = (0..1000)
            .flat_map(|seed| [KeyPool::of_site(seed), KeyPool::of_faults(seed)])
            .flat_map(|pool| (0..10).map(move |n| pool.serial(n)))
            .collect();
        assert_eq!(numbers.len(), 20_000);
        assert!(numbers.iter().all(|number| (1..1 << 63).contains(number)));
        assert!(numbers.iter().any(|number| *number >= 1 << 62), "the highest bit is drawn as well");
    }
}
