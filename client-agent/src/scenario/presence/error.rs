//! Why the presence of a part of the fleet is refused: what was found, and what was expected.

use epm_protocol::time::Timestamp;

use super::limits::{LONGEST_HOLIDAY, LONGEST_RUN_DAYS};
use super::time_of_day::TimeOfDay;
use crate::scenario::span::Span;

/// Why the presence of a part of the fleet is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresenceError {
    /// A time zone that the bundled database does not have.
    #[error(
        "there is no time zone {found:?}; expected a name of the IANA database like \"Europe/Berlin\"{hint}"
    )]
    Zone {
        /// The name.
        found: String,
        /// The nearest that there is.
        hint: String,
    },
    /// A text that is no time of day.
    #[error("{found:?} is not a time of day; expected one from \"00:00\" to \"23:59\"")]
    TimeOfDay {
        /// The text.
        found: String,
    },
    /// A text that is no weekday.
    #[error(
        "there is no weekday {found:?}; expected some of mon, tue, wed, thu, fri, sat, sun, like \"mon-fri\" or \"mon,wed\"{hint}"
    )]
    Weekday {
        /// The text.
        found: String,
        /// The nearest that there is.
        hint: String,
    },
    /// A text that is no date.
    #[error("{found:?} is not a date; expected one like \"2026-12-24\"")]
    Date {
        /// The text.
        found: String,
    },
    /// A share that is not from 0 to 100.
    #[error("{found} is not a share; expected per cent, from 0 to 100")]
    Share {
        /// The number.
        found: String,
    },
    /// A range whose end is before its beginning.
    #[error("the range from {first} to {last} is the wrong way round; expected the smaller one first")]
    Reversed {
        /// Its first end.
        first: String,
        /// Its second end.
        last: String,
    },
    /// A holiday that is too short or too long.
    #[error("a holiday cannot take {found} days; expected 1 to {} days", LONGEST_HOLIDAY)]
    HolidayDays {
        /// Its length.
        found: u32,
    },
    /// Working hours that end before they begin.
    #[error("the hours are from {from} to {to}; expected `from` before `to`, both on one day")]
    Hours {
        /// When they begin.
        from: TimeOfDay,
        /// When they end.
        to: TimeOfDay,
    },
    /// A spread with which machines could go before they come, or stay until the next morning.
    #[error("the spread {found} is too large for hours from {from} to {to}; expected less than {limit}")]
    Spread {
        /// The spread.
        found: Span,
        /// When the hours begin.
        from: TimeOfDay,
        /// When they end.
        to: TimeOfDay,
        /// What is too much.
        limit: Span,
    },
    /// Laptops that nobody ever opens.
    #[error("the day_share is 0, so nobody would ever come; expected more")]
    NoDayShare,
    /// Laptops that go nowhere in particular.
    #[error(
        "there is an away_share, but no away_location; expected the location that the machines then are in"
    )]
    NoAwayLocation,
    /// A location that no laptop goes to.
    #[error(
        "there is the away_location {found:?}, but the away_share is 0; expected how often machines are there"
    )]
    NoAwayShare {
        /// The location.
        found: String,
    },
    /// A stretch of time that has no length.
    #[error("`{key}` is 0s; expected a stretch of time like \"1d\"")]
    Zero {
        /// Its key.
        key: &'static str,
    },
    /// A machine that would not be back in its drawer before it is taken out again.
    #[error("`on` is {on} and `every` is {every}; expected a shorter `on`, or the presence \"always\"")]
    OnTooLong {
        /// How long it is online.
        on: Span,
        /// How often.
        every: Span,
    },
    /// Days off for machines that have no working days.
    #[error(
        "`{key}` is for machines that have working days; expected the presence office or laptop, found {found}"
    )]
    NoWorkingDays {
        /// The key.
        key: &'static str,
        /// The presence that the part has.
        found: &'static str,
    },
    /// A run that ends before it begins, or is longer than a calendar is made for.
    #[error("the run would be from {start} to {end}; expected at most {} days", LONGEST_RUN_DAYS)]
    Run {
        /// Its beginning.
        start: Timestamp,
        /// Its end.
        end: Timestamp,
    },
}
