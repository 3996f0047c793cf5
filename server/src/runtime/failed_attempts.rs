//! Slows down attempts to log in after several that failed, by peer and account.
//!
//! The first failures cost nothing. Then each attempt waits for its turn before it is looked at, longer with every
//! failure up to a limit, and one after the other. Other peers and other accounts do not wait. An attempt that waits
//! holds its connection and nothing else.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use epm_client_agent::wire::{Stopwatch, wait};
use epm_protocol::id::Guid;
use parking_lot::Mutex;

/// Failures after which attempts wait.
const FREE: u32 = 5;
/// The wait after that many failures; each further failure doubles it.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait of one attempt after another.
const LONGEST: Duration = Duration::from_secs(4);
/// The longest wait of an attempt in all; one that would wait longer is refused.
const MOST: Duration = Duration::from_secs(8);
/// The time without a failure after which earlier ones are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// Maximum number of peers and accounts that are remembered; the oldest gives way.
const ENTRIES: usize = 1024;

/// The origin and aim of an attempt: the address of a peer, and the account that it names if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attempt {
    peer: Option<IpAddr>,
    account: Option<Guid>,
}

/// An attempt that is refused, since too many others wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many failed attempts: try again in {seconds} s")]
pub(crate) struct TooMany {
    /// Time after which the next attempt is looked at.
    pub(crate) seconds: u64,
}

/// The failed attempts to log in.
#[derive(Debug)]
pub(crate) struct FailedAttempts {
    began: Stopwatch,
    known: Mutex<HashMap<Attempt, Failures>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    /// Time of the last failure, since the beginning.
    last: Duration,
    /// Time at which the last of those that wait has its turn, since the beginning.
    turn: Duration,
}

impl Attempt {
    /// An attempt of this peer with this account. Addresses of one IPv6 network count as one peer, since a machine has
    /// as many as it likes.
    pub(crate) fn of(peer: Option<SocketAddr>, account: Option<Guid>) -> Self {
        let network = |address: Ipv6Addr| Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
        let peer = peer.map(|peer| match peer.ip().to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => network(address).into(),
            other => other,
        });
        Self { peer, account }
    }
}

impl Default for FailedAttempts {
    fn default() -> Self {
        Self { began: Stopwatch::start(), known: Mutex::default() }
    }
}

impl FailedAttempts {
    /// Waits until the attempt may be looked at: not at all after few failures.
    ///
    /// # Errors
    ///
    /// When the attempt would wait for too long.
    pub(crate) async fn turn(&self, attempt: Attempt) -> Result<(), TooMany> {
        match self.wait_for(attempt, self.began.elapsed())? {
            Duration::ZERO => {}
            time => wait(time).await,
        }
        Ok(())
    }

    /// Notes that the attempt has failed.
    pub(crate) fn failed(&self, attempt: Attempt) {
        self.fail(attempt, self.began.elapsed());
    }

    /// Notes that the attempt has succeeded, which forgives earlier ones.
    pub(crate) fn succeeded(&self, attempt: Attempt) {
        self.known.lock().remove(&attempt);
    }

    fn wait_for(&self, attempt: Attempt, now: Duration) -> Result<Duration, TooMany> {
        let mut known = self.known.lock();
        let Some(failures) = known.get_mut(&attempt).filter(|one| !one.is_forgotten(now)) else {
            return Ok(Duration::ZERO);
        };
        let Some(further) = failures.count.checked_sub(FREE) else { return Ok(Duration::ZERO) };
        let delay = FIRST.saturating_mul(1 << further.min(16)).min(LONGEST);
        let turn = failures.turn.max(now) + delay;
        if turn - now > MOST {
            return Err(TooMany { seconds: (turn - now).as_secs() });
        }
        failures.turn = turn;
        Ok(turn - now)
    }

    fn fail(&self, attempt: Attempt, now: Duration) {
        let mut known = self.known.lock();
        if !known.contains_key(&attempt) && known.len() >= ENTRIES {
            known.retain(|_, one| !one.is_forgotten(now));
            let oldest = known.iter().min_by_key(|(_, one)| one.last).map(|(one, _)| *one);
            if let Some(oldest) = oldest.filter(|_| known.len() >= ENTRIES) {
                known.remove(&oldest);
            }
        }
        let failures = known.entry(attempt).or_default();
        if failures.is_forgotten(now) {
            *failures = Failures::default();
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
    }
}

impl Failures {
    fn is_forgotten(&self, now: Duration) -> bool {
        now.saturating_sub(self.last.max(self.turn)) > FORGOTTEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(peer: &str, account: u128) -> Attempt {
        let account = Guid::derive(0, "account", &account.to_string(), std::net::Ipv4Addr::LOCALHOST);
        Attempt::of(Some(peer.parse().unwrap()), Some(account))
    }

    #[test]
    fn attempts_wait_ever_longer_after_several_failures_and_those_of_others_do_not() {
        let (failed, second) = (FailedAttempts::default(), Duration::from_secs(1));
        let bad = attempt("192.0.2.1:1000", 1);
        let mut waits = Vec::new();
        let mut now = Duration::from_secs(1000);
        for _ in 0..12 {
            let wait = failed.wait_for(bad, now).unwrap();
            waits.push(wait.as_millis());
            now += wait;
            failed.fail(bad, now);
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 250, 500, 1000, 2000, 4000, 4000, 4000]);
        for other in [attempt("192.0.2.2:1000", 1), attempt("192.0.2.1:1000", 2)] {
            assert_eq!(failed.wait_for(other, now), Ok(Duration::ZERO));
        }
        // One that comes from another port is of the same peer; those at the same time wait one after the other.
        let again = attempt("192.0.2.1:2000", 1);
        let together = [(); 4].map(|()| failed.wait_for(again, now));
        let refused = Err(TooMany { seconds: 12 });
        assert_eq!(together, [Ok(second * 4), Ok(second * 8), refused, refused]);
        failed.succeeded(again);
        assert_eq!(failed.wait_for(bad, now), Ok(Duration::ZERO));
    }

    #[test]
    fn failures_are_forgotten_after_a_minute_and_bounded_in_number() {
        let (failed, now) = (FailedAttempts::default(), Duration::from_secs(1000));
        let bad = attempt("[2001:db8::1]:1", 1);
        (0..8).for_each(|_| failed.fail(bad, now));
        assert_ne!(failed.wait_for(attempt("[2001:db8::ffff]:1", 1), now), Ok(Duration::ZERO));
        assert_eq!(failed.wait_for(attempt("[2001:db8:1::1]:1", 1), now), Ok(Duration::ZERO));
        assert_eq!(failed.wait_for(bad, now + FORGOTTEN * 2), Ok(Duration::ZERO));
        for account in 0..10_000 {
            failed.fail(
                attempt("192.0.2.1:1", account),
                now + Duration::from_micros(u64::try_from(account).unwrap()),
            );
        }
        assert_eq!(failed.known.lock().len(), ENTRIES);
        assert!(!failed.known.lock().contains_key(&bad));
    }
}
