//! The reasons why the presence of a part of the fleet is refused: what was found, and what was expected.

use epm_protocol::time::Timestamp;

use super::limits::{LONGEST_HOLIDAY, LONGEST_RUN_DAYS};
use super::time_of_day::TimeOfDay;
use crate::scenario::span::Span;

/// The reason why the presence of a part of the fleet is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresenceError {
    /// The bundled database does not have the time zone.
    #[error(
        "there is no time zone {found:?}; expected a name of the IANA database like \"Europe/Berlin\"{hint}"
    )]
    Zone {
        /// The name that was found.
        found: String,
        /// The nearest known name, as the end of a sentence.
        hint: String,
    },
    /// The text is not a time of day.
    #[error("invalid time of day {found:?}: expected one from \"00:00\" to \"23:59\"")]
    TimeOfDay {
        /// The text that was found.
        found: String,
    },
    /// The text is not a weekday.
    #[error(
        "there is no weekday {found:?}; expected some of mon, tue, wed, thu, fri, sat, sun, like \"mon-fri\" or \"mon,wed\"{hint}"
    )]
    Weekday {
        /// The text that was found.
        found: String,
        /// The nearest known name, as the end of a sentence.
        hint: String,
    },
    /// The text is not a date.
    #[error("invalid date {found:?}: expected one like \"2026-12-24\"")]
    Date {
        /// The text that was found.
        found: String,
    },
    /// The share is not from 0 to 100.
    #[error("invalid share {found}: expected per cent, from 0 to 100")]
    Share {
        /// The number that was found.
        found: String,
    },
    /// The end of a range is before its beginning.
    #[error("reversed range from {first} to {last}: expected the smaller value first")]
    Reversed {
        /// The first end of the range.
        first: String,
        /// The second end of the range.
        last: String,
    },
    /// The holiday is too short or too long.
    #[error("invalid holiday of {found} days: expected 1 to {} days", LONGEST_HOLIDAY)]
    HolidayDays {
        /// The length of the holiday in days.
        found: u32,
    },
    /// The working hours end before they begin.
    #[error("invalid hours from {from} to {to}: expected `from` before `to`, both on one day")]
    Hours {
        /// The beginning of the hours.
        from: TimeOfDay,
        /// The end of the hours.
        to: TimeOfDay,
    },
    /// With this spread, hours could end before they begin, or last until the next morning.
    #[error("the spread {found} is too large for hours from {from} to {to}; expected less than {limit}")]
    Spread {
        /// The spread that was found.
        found: Span,
        /// The beginning of the hours.
        from: TimeOfDay,
        /// The end of the hours.
        to: TimeOfDay,
        /// The smallest spread that is too large.
        limit: Span,
    },
    /// With a day_share of 0, laptops are never opened.
    #[error("the day_share is 0, so the machines would never be on: expected more")]
    NoDayShare,
    /// An away_share has no away_location.
    #[error("an away_share needs an away_location: the location of the machines when they are away")]
    NoAwayLocation,
    /// An away_location has no away_share.
    #[error("the away_location {found:?} needs an away_share greater than 0")]
    NoAwayShare {
        /// The `away_location` that was found.
        found: String,
    },
    /// A duration is 0.
    #[error("`{key}` is 0s: expected a duration like \"1d\"")]
    Zero {
        /// The key of the duration.
        key: &'static str,
    },
    /// A machine would be on for longer than its period.
    #[error("`on` is {on} and `every` is {every}: expected a shorter `on`, or the presence \"always\"")]
    OnTooLong {
        /// The duration for which it is on.
        on: Span,
        /// The period in which it is on once.
        every: Span,
    },
    /// Days off were set for machines without working days.
    #[error(
        "`{key}` is only for machines with working days: expected the presence office or laptop, found {found}"
    )]
    NoWorkingDays {
        /// The key of the days off.
        key: &'static str,
        /// The presence of the part.
        found: &'static str,
    },
    /// The run ends before it begins, or is longer than a calendar can be.
    #[error("invalid run from {start} to {end}: expected at most {} days", LONGEST_RUN_DAYS)]
    Run {
        /// The beginning of the run.
        start: Timestamp,
        /// The end of the run.
        end: Timestamp,
    },
}
