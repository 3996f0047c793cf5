//! Ready-made prime numbers of 1024 bits, two for each RSA key of 2048 bits.
//!
//! **The primes are PUBLIC: they derive from the source code of this project. A key made of two of them protects nothing.**
//! They exist because the search for one takes a hundredth of a second with the fastest library and a tenth without, and
//! because aws-lc makes no key from a seed.
//!
//! A prime is a base plus twice a distance. The base is SHA-512 of the number of the prime, twice, with the highest two bits
//! and the lowest bit set. The distance is the smallest one that gives a prime `p` whose `p - 1` is not divisible by 65537,
//! the public exponent of every key. `primes.bin` holds the distances, two bytes each, big-endian. The search is in the tests,
//! which repeat it for a sample.

use num_bigint::BigUint;
use sha2::{Digest as _, Sha512};

use super::tlv;

/// The distances of all primes, the first half before the second.
const DISTANCES: &[u8] = include_bytes!("primes.bin");
/// The length in bits of the number of a prime within its half.
pub(super) const BITS_OF_A_NUMBER: u32 = 14;
/// The length of a prime in bytes.
const LENGTH: usize = 128;
/// The public exponent of every key.
const EXPONENT: u32 = 65537;

const _: () = assert!(DISTANCES.len() == 4 << BITS_OF_A_NUMBER);

/// A half of the primes. A key has one prime of each half, so two keys are equal only if both numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    First,
    Second,
}

/// Returns the prime with this number in its half.
fn prime(half: Half, number: u16) -> BigUint {
    let before = match half {
        Half::First => 0,
        Half::Second => 1 << BITS_OF_A_NUMBER,
    };
    let place = 2 * (before + usize::from(number));
    base(half, number) + 2 * u32::from(u16::from_be_bytes([DISTANCES[place], DISTANCES[place + 1]]))
}

/// Returns the number at which the search for a prime begins.
fn base(half: Half, number: u16) -> BigUint {
    let mut bytes = Vec::with_capacity(LENGTH);
    for part in 0..2_u8 {
        let hash = Sha512::new().chain_update(b"epm-lab prime\0").chain_update([0, half as u8]);
        bytes.extend(hash.chain_update(number.to_be_bytes()).chain_update([part]).finalize());
    }
    bytes[0] |= 0xC0;
    bytes[LENGTH - 1] |= 1;
    BigUint::from_bytes_be(&bytes)
}

/// Encodes the private key of a prime of each half, as RSAPrivateKey in DER (RFC 8017, A.1.2).
pub(super) fn private_key([first, second]: [u16; 2]) -> Vec<u8> {
    let (p, q) = (prime(Half::First, first), prime(Half::Second, second));
    let (before_p, before_q) = (&p - 1_u32, &q - 1_u32);
    // A prime has an inverse modulo every other.
    let coefficient = q.modinv(&p).unwrap_or_default();
    let numbers = [
        BigUint::ZERO,
        &p * &q,
        EXPONENT.into(),
        inverse_of_exponent(&(&before_p * &before_q)),
        p,
        q,
        inverse_of_exponent(&before_p),
        inverse_of_exponent(&before_q),
        coefficient,
    ];
    tlv::value(SEQUENCE, &numbers.map(|number| tlv::integer(&number.to_bytes_be())).concat())
}

/// Returns the inverse of the public exponent. The exponent is a small prime, so it is enough to invert a remainder: for one
/// `t` below the exponent, `(t * modulus + 1) / exponent` is whole.
fn inverse_of_exponent(modulus: &BigUint) -> BigUint {
    let remainder = (modulus % EXPONENT).iter_u64_digits().next().unwrap_or_default();
    let exponent = u64::from(EXPONENT);
    // Fermat: a power by the exponent less two is the inverse.
    let (mut inverse, mut power, mut left) = (1, remainder, exponent - 2);
    while left > 0 {
        if left % 2 == 1 {
            inverse = inverse * power % exponent;
        }
        power = power * power % exponent;
        left /= 2;
    }
    (modulus * (exponent - inverse) + 1_u32) / EXPONENT
}

const SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    const HALVES: [Half; 2] = [Half::First, Half::Second];
    const NUMBERS: std::ops::Range<u16> = 0..1 << BITS_OF_A_NUMBER;

    /// Searches for the distance from a base to its prime.
    fn distance(base: &BigUint) -> u16 {
        // What a small prime divides is passed over.
        let sieve: Vec<(u64, u64)> = (3_u64..1 << 12)
            .step_by(2)
            .filter(|one| (3..).step_by(2).take_while(|two| two * two <= *one).all(|two| one % two != 0))
            .map(|one| (one, (base % one).iter_u64_digits().next().unwrap_or_default()))
            .collect();
        let is_one = |distance: &u16| {
            let from_base = 2 * u64::from(*distance);
            let number = base + from_base;
            sieve.iter().all(|(one, rest)| (rest + from_base) % one != 0)
                && &number % EXPONENT != BigUint::from(1_u32)
                && is_prime(&number)
        };
        (0..u16::MAX).find(is_one).expect("a gap is never as long")
    }

    /// Miller-Rabin test with the first twelve primes as bases. A random composite number of 1024 bits passes with a
    /// probability below 2^-100 (Damgard, Landrock and Pomerance, 1993).
    fn is_prime(number: &BigUint) -> bool {
        let one = BigUint::from(1_u32);
        let before = number - &one;
        let twos = before.trailing_zeros().unwrap_or_default();
        let odd = &before >> twos;
        [2_u32, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37].iter().all(|witness| {
            let mut power = BigUint::from(*witness).modpow(&odd, number);
            power == one
                || (0..twos).any(|_| {
                    let is_last = power == before;
                    power = &power * &power % number;
                    is_last
                })
        })
    }

    /// Repeats the search for a sample of the table. With a step of 1 it repeats all of it, in about an hour.
    #[test]
    fn a_sample_of_the_primes_is_found_anew() {
        const STEP: usize = 1 << 12;
        thread::scope(|scope| {
            for half in HALVES {
                scope.spawn(move || {
                    for number in NUMBERS.step_by(STEP) {
                        let base = base(half, number);
                        let found = &base + 2 * u32::from(distance(&base));
                        assert_eq!(prime(half, number), found, "{half:?} {number}");
                    }
                });
            }
        });
    }

    #[test]
    fn all_primes_are_different_and_of_1024_bits() {
        let numbers = || HALVES.into_iter().flat_map(|half| NUMBERS.map(move |number| prime(half, number)));
        assert!(numbers().all(|prime| prime.bits() == 1024));
        assert_eq!(numbers().collect::<HashSet<_>>().len(), 2 << BITS_OF_A_NUMBER);
    }
}
