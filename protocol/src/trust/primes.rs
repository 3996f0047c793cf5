//! Prime numbers of 1024 bits that are there at once, two for each RSA key of 2048 bits.
//!
//! **The primes are PUBLIC: they follow from the source code of this project. A key that is made of two of them protects
//! nothing.** They are there because looking for one takes a hundredth of a second with the fastest library and a tenth
//! without, and because aws-lc makes no key from a seed.
//!
//! A prime is a base and a distance. The base of a prime is SHA-512 of its number, twice, with the highest two bits and the
//! lowest bit set. The distance says how many odd numbers behind its base the prime is, and `primes.bin` holds it: two bytes a
//! prime, the higher one first. It is the smallest distance at which there is a prime `p` with `p - 1` not divisible by
//! 65537, the public exponent of every key. The tests know how a distance is found, hold each of a sample against it, and,
//! when asked with `--ignored`, all.

use num_bigint::BigUint;
use sha2::{Digest as _, Sha512};

use super::tlv;

/// The distances of all primes, those of the first half of the numbers before those of the second.
const DISTANCES: &[u8] = include_bytes!("primes.bin");
/// How many bits the number of a prime has within its half.
pub(super) const BITS_OF_A_NUMBER: u32 = 14;
/// The length of a prime in bytes.
const LENGTH: usize = 128;
/// The public exponent of every key.
const EXPONENT: u32 = 65537;

const _: () = assert!(DISTANCES.len() == 4 << BITS_OF_A_NUMBER);

/// A half of the primes: a key has one of each, so two keys are the same only if both their numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    First,
    Second,
}

/// The prime with this number in its half.
fn prime(half: Half, number: u16) -> BigUint {
    let before = match half {
        Half::First => 0,
        Half::Second => 1 << BITS_OF_A_NUMBER,
    };
    let place = 2 * (before + usize::from(number));
    base(half, number) + 2 * u32::from(u16::from_be_bytes([DISTANCES[place], DISTANCES[place + 1]]))
}

/// Where the search for a prime begins.
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

/// The private key of a prime of the first half and one of the second, as RSAPrivateKey in DER (RFC 8017, A.1.2).
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

/// The inverse of the public exponent. That one is a small prime, so only a remainder has to be inverted: of the numbers
/// `(t * modulus + 1) / exponent`, one is whole.
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

    /// The distance from a base to its prime, found anew.
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

    /// Miller and Rabin, with the first twelve primes. Of numbers of 1024 bits that nobody has chosen, fewer than one in
    /// 2^100 passes and is none (Damgard, Landrock and Pomerance, 1993).
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

    fn each_is_found_anew(numbers: impl Iterator<Item = u16> + Clone + Send) {
        thread::scope(|scope| {
            for half in HALVES {
                let numbers = numbers.clone();
                scope.spawn(move || {
                    for number in numbers {
                        let base = base(half, number);
                        let found = &base + 2 * u32::from(distance(&base));
                        assert_eq!(prime(half, number), found, "{half:?} {number}");
                    }
                });
            }
        });
    }

    #[test]
    fn a_sample_of_the_primes_is_found_anew() {
        each_is_found_anew(NUMBERS.step_by(1 << 13));
    }

    #[test]
    #[ignore = "it takes an hour: the whole table is made again"]
    fn every_prime_is_found_anew() {
        each_is_found_anew(NUMBERS);
    }

    #[test]
    fn all_primes_are_different_and_of_1024_bits() {
        let numbers = || HALVES.into_iter().flat_map(|half| NUMBERS.map(move |number| prime(half, number)));
        assert!(numbers().all(|prime| prime.bits() == 1024));
        assert_eq!(numbers().collect::<HashSet<_>>().len(), 2 << BITS_OF_A_NUMBER);
    }
}
