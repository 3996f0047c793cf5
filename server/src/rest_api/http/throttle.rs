//! Limits the number of calls per time, as the assumptions say unless a limit was set; off by default.

use std::time::Duration;

use epm_protocol::assumption::Assumptions;
use epm_protocol::site::{CallCounter, CallLimit};
use epm_protocol::time::Timestamp;
use parking_lot::Mutex;

use crate::rest_api::http::error::ApiError;

/// Maximum number of calls in a limit; a larger limit means none.
const MOST: usize = 100_000;

/// Counts the calls of one REST API.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    calls: CallCounter,
    /// The limit that was set instead of the assumed one.
    own: Option<Option<CallLimit>>,
}

impl Throttle {
    /// Sets the limit, whatever is assumed: a number of calls per duration, or none.
    pub(crate) fn set(&self, limit: Option<(usize, Duration)>) {
        let limit = limit.filter(|(most, _)| *most <= MOST);
        let limit = limit.map(|(calls, time)| CallLimit { calls, seconds: time.as_secs() });
        *self.0.lock() = Counted { calls: CallCounter::new(limit), own: Some(limit) };
    }

    /// Counts a call.
    ///
    /// # Errors
    ///
    /// When the limit is exceeded.
    pub(crate) fn count(&self, assumed: &Assumptions, now: Timestamp) -> Result<(), ApiError> {
        let mut counted = self.0.lock();
        let limit = counted.own.unwrap_or_else(|| limit_of(assumed));
        counted.calls.set_limit(limit);
        counted
            .calls
            .count(now)
            .map_err(|limit| ApiError::Throttled { calls: limit.calls, minutes: limit.seconds.div_ceil(60) })
    }
}

/// The assumed limit.
fn limit_of(assumed: &Assumptions) -> Option<CallLimit> {
    let calls = usize::try_from(assumed.rest_throttle_calls).unwrap_or(usize::MAX);
    let seconds = u64::from(assumed.rest_throttle_minutes.max(1)) * 60;
    (1..=MOST).contains(&calls).then_some(CallLimit { calls, seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_refused_until_the_first_of_them_is_out_of_the_window() {
        let (throttle, mut assumed) = (Throttle::default(), Assumptions::default());
        let at = Timestamp::from_seconds;
        assert!((0..1000).all(|_| throttle.count(&assumed, at(0)).is_ok()));
        for _ in 0..2 {
            assert!(throttle.count(&assumed, at(0)).is_ok() && throttle.count(&assumed, at(30)).is_ok());
            let is_limited = throttle.count(&assumed, at(59)).is_err();
            assert_eq!(is_limited, assumed.rest_throttle_calls == 2);
            assert!(throttle.count(&assumed, at(60)).is_ok());
            assert_eq!(throttle.count(&assumed, at(61)).is_err(), is_limited);
            assumed.rest_throttle_calls = 2;
        }
        throttle.set(None);
        assert!((0..1000).all(|_| throttle.count(&assumed, at(61)).is_ok()));
        throttle.set(Some((1, Duration::from_secs(60))));
        assert!(throttle.count(&assumed, at(61)).is_ok() && throttle.count(&assumed, at(61)).is_err());
    }
}
