//! Random decisions: a keyed hash of (seed, fault, client or source, route, ordinal), and nothing else.
//!
//! No generator is shared, so the order of threads changes nothing. The hash is SipHash-2-4, whose output is pinned:
//! the same on every machine and in every release.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;

use super::distribution::{mixed, unit};
use super::facts::Party;

/// Separates these draws from others that use the same seed.
const PURPOSE: u64 = 0x6661_756c_7473_2031;

/// A number for this occasion of a series, such as a route.
pub(super) fn occasion(seed: u64, fault: &str, party: &Party<'_>, series: &str, ordinal: u64) -> u64 {
    let mut hasher = of_party(seed, fault, party);
    hasher.write(series.as_bytes());
    hasher.write(&[0]);
    hasher.write(&ordinal.to_le_bytes());
    hasher.finish()
}

/// The position of this party in the fleet for this fault: from 0 up to 1, the same on every occasion.
pub(super) fn fleet_share(seed: u64, fault: &str, party: &Party<'_>) -> f64 {
    let mut hasher = of_party(seed, fault, party);
    hasher.write(b"fleet");
    unit(hasher.finish())
}

/// Whether an event of this probability happens with this draw: 0 never, 1 always.
pub(super) fn happens(drawn: u64, probability: f64) -> bool {
    unit(drawn) < probability
}

/// A second number derived from the first, for how a fault acts rather than whether.
pub(super) fn detail(drawn: u64) -> u64 {
    let mut state = drawn;
    mixed(&mut state)
}

fn of_party(seed: u64, fault: &str, party: &Party<'_>) -> SipHasher24 {
    let mut hasher = SipHasher24::new_with_keys(seed, PURPOSE);
    hasher.write(fault.as_bytes());
    hasher.write(&[0]);
    match (party.agent, party.source) {
        (Some(agent), _) => hasher.write(agent.0.as_bytes()),
        (None, std::net::IpAddr::V4(address)) => hasher.write(&address.octets()),
        (None, std::net::IpAddr::V6(address)) => hasher.write(&address.octets()),
    }
    hasher.write(&[0]);
    hasher
}
