//! How long a file may make its reader work.
//!
//! A keystore says itself how many rounds its passwords go through. A file that says four thousand millions is
//! refused, not obeyed.

use super::refusal::StoreError;

/// The most rounds of one derivation; the JDK writes 10,000, openssl 2,048.
pub(super) const MOST: u64 = 1_000_000;
/// The most rounds of a whole file.
pub(super) const MOST_IN_ALL: u64 = 4_000_000;

/// What a file may still cost.
#[derive(Debug)]
pub(super) struct Rounds(u64);

impl Rounds {
    pub(super) const fn of_a_file() -> Self {
        Self(MOST_IN_ALL)
    }

    /// Takes so many from it.
    pub(super) fn spend(&mut self, rounds: u64) -> Result<(), StoreError> {
        if rounds == 0 || rounds > MOST {
            return Err(StoreError::Rounds { expected: MOST, found: rounds });
        }
        self.0 = self.0.checked_sub(rounds).ok_or(StoreError::RoundsInAll { expected: MOST_IN_ALL })?;
        Ok(())
    }
}
