//! Limits the work that a file can cause.
//!
//! A keystore itself says how many rounds of derivation its passwords need; an excessive number is refused.

use super::refusal::StoreError;

/// The largest number of rounds of one derivation; the JDK writes 10,000, openssl 2,048. A fuzzer, which compiles with
/// `cfg(fuzzing)`, would spend its time on nothing else.
pub(super) const MOST: u64 = if cfg!(fuzzing) { 16 } else { 1_000_000 };
/// The largest number of rounds of a whole file.
pub(super) const MOST_IN_ALL: u64 = 4 * MOST;

/// The number of rounds that are left for a file.
#[derive(Debug)]
pub(super) struct Rounds(u64);

impl Rounds {
    pub(super) const fn of_a_file() -> Self {
        Self(MOST_IN_ALL)
    }

    /// Subtracts these rounds.
    pub(super) fn spend(&mut self, rounds: u64) -> Result<(), StoreError> {
        if rounds == 0 || rounds > MOST {
            return Err(StoreError::Rounds { expected: MOST, found: rounds });
        }
        self.0 = self.0.checked_sub(rounds).ok_or(StoreError::RoundsInAll { expected: MOST_IN_ALL })?;
        Ok(())
    }
}
