//! Timestamps and the clock.
//!
//! Everything that needs the time, TLS verification included, takes a [`Timestamp`] or asks a [`Clock`]; nothing
//! in this crate reads the time of the machine. The real clocks are next to the sockets.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::excerpt::excerpt;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
///
/// Written as `2026-01-05T08:00:00.000Z`, in texts and in serialized form.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Timestamp(i64);

/// A source of time. All parts of one lab share one clock, so that it can be moved for all of them.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment of the lab.
    fn now(&self) -> Timestamp;
}

/// The error for a text that is not a moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid time {found:?}: expected one like 2026-01-05T08:00:00Z")]
pub struct TimestampError {
    /// The text that was read.
    pub found: String,
}

impl Timestamp {
    /// The moment 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// A moment later than any event.
    pub const NEVER: Self = Self(i64::MAX);

    /// Makes a timestamp of milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Makes a timestamp of seconds since the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The duration from `earlier` until this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The calendar date and time in UTC, for the formats that the product writes.
    pub fn civil(self) -> jiff::civil::DateTime {
        let clamped = self.0.clamp(-62_135_596_800_000, 253_402_207_200_000);
        jiff::Timestamp::from_millisecond(clamped)
            .map(|moment| jiff::tz::TimeZone::UTC.to_datetime(moment))
            .unwrap_or_default()
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("never");
        }
        let t = self.civil();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            t.millisecond()
        )
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        if text == "never" {
            return Ok(Self::NEVER);
        }
        text.parse::<jiff::Timestamp>()
            .map(|moment| Self(moment.as_millisecond()))
            .map_err(|_| TimestampError { found: excerpt(text) })
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: String) -> Result<Self, TimestampError> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(moment: Timestamp) -> Self {
        moment.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_being_written_and_read() {
        let moment = Timestamp::from_millis(1_500_443_753_163);
        assert_eq!(moment.to_string(), "2017-07-19T05:55:53.163Z");
        assert_eq!(moment.to_string().parse(), Ok(moment));
        assert_eq!("never".parse(), Ok(Timestamp::NEVER));
    }

    #[test]
    fn arithmetic_stops_at_the_ends_instead_of_wrapping() {
        assert_eq!(Timestamp::NEVER + Duration::from_secs(1), Timestamp::NEVER);
        assert_eq!(Timestamp::EPOCH.since(Timestamp::from_seconds(5)), Duration::ZERO);
    }

    #[test]
    fn a_text_that_is_no_time_is_named() {
        let error = "tomorrow".parse::<Timestamp>().unwrap_err();
        assert!(error.to_string().contains("\"tomorrow\""), "{error}");
    }
}
