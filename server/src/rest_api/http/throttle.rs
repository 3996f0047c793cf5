//! Limits the number of calls per time; off by default.

use std::time::Duration;

use epm_protocol::site::{CallCounter, CallLimit};
use epm_protocol::time::Timestamp;
use parking_lot::Mutex;

use crate::rest_api::http::error::ApiError;

/// Maximum number of calls in a limit; a larger limit means none.
const MOST: usize = 100_000;

/// Counts the calls of one REST API.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<CallCounter>);

impl Throttle {
    /// Sets the limit: a number of calls per duration, or none.
    pub(crate) fn set(&self, limit: Option<(usize, Duration)>) {
        let mut calls = self.0.lock();
        let limit = limit.filter(|(most, _)| *most <= MOST);
        *calls = CallCounter::new(limit.map(|(calls, time)| CallLimit { calls, seconds: time.as_secs() }));
    }

    /// Counts a call.
    ///
    /// # Errors
    ///
    /// When the limit is exceeded.
    pub(crate) fn count(&self, now: Timestamp) -> Result<(), ApiError> {
        let mut calls = self.0.lock();
        calls
            .count(now)
            .map_err(|limit| ApiError::Throttled { calls: limit.calls, minutes: limit.seconds.div_ceil(60) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_refused_until_the_first_of_them_is_out_of_the_window() {
        let throttle = Throttle::default();
        let at = Timestamp::from_seconds;
        assert!((0..1000).all(|_| throttle.count(at(0)).is_ok()));
        throttle.set(Some((2, Duration::from_secs(60))));
        assert!(throttle.count(at(0)).is_ok() && throttle.count(at(30)).is_ok());
        assert!(throttle.count(at(59)).is_err());
        assert!(throttle.count(at(60)).is_ok());
        assert!(throttle.count(at(61)).is_err());
    }
}
