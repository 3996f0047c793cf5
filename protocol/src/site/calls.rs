//! How many calls of the REST API a manager answers in a time.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// So many calls in so much time, and no more; the product allows 50 a minute [C S37].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CallLimit {
    /// How many.
    pub calls: usize,
    /// In how many seconds.
    pub seconds: u64,
}

/// Counts calls against a limit, if there is one.
#[derive(Clone, Debug, Default)]
pub struct CallCounter {
    limit: Option<CallLimit>,
    made: VecDeque<Timestamp>,
}

impl CallCounter {
    /// Counts from nothing, against this limit.
    pub fn new(limit: Option<CallLimit>) -> Self {
        Self { limit, made: VecDeque::new() }
    }

    /// Counts a call.
    ///
    /// # Errors
    ///
    /// When there have been too many; this one does not count then.
    pub fn count(&mut self, now: Timestamp) -> Result<(), CallLimit> {
        let Some(limit) = self.limit else { return Ok(()) };
        let window = Duration::from_secs(limit.seconds);
        while self.made.front().is_some_and(|at| *at + window <= now) {
            self.made.pop_front();
        }
        if self.made.len() >= limit.calls {
            return Err(limit);
        }
        self.made.push_back(now);
        Ok(())
    }
}
