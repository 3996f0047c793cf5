//! The rate limit of a manager's REST API.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// At most `calls` calls in `seconds` seconds; the product allows 50 a minute [C S37].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallLimit {
    /// The number of calls that are allowed in the period.
    pub calls: usize,
    /// The length of the period, in seconds.
    pub seconds: u64,
}

/// Counts calls against a limit, if there is one.
#[derive(Clone, Debug, Default)]
pub struct CallCounter {
    limit: Option<CallLimit>,
    made: VecDeque<Timestamp>,
}

impl CallCounter {
    /// Makes a counter for this limit, with no calls so far.
    pub fn new(limit: Option<CallLimit>) -> Self {
        Self { limit, made: VecDeque::new() }
    }

    /// Replaces the limit; the calls so far still count.
    pub fn set_limit(&mut self, limit: Option<CallLimit>) {
        if limit.is_none() {
            self.made.clear();
        }
        self.limit = limit;
    }

    /// Counts a call.
    ///
    /// # Errors
    ///
    /// When the limit is reached; then the call does not count.
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
