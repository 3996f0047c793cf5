//! Values of a calendar as people write them: time zones, weekdays and dates.
//!
//! Each is checked when it is read, so that an error has the line and column of the value.

use std::str::FromStr;

use epm_protocol::excerpt::excerpt;
use epm_protocol::suggest::hint;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::PresenceError;
use super::time_of_day::TimeOfDay;

/// A time zone, by its name in the bundled IANA database, like `Europe/Berlin`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(extend("examples" = ["Europe/Berlin", "America/New_York", "UTC"]))]
pub struct Zone(#[schemars(with = "String")] TimeZone);

/// Weekdays: names and ranges, separated by commas, like `mon-thu,sat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(extend("examples" = ["mon-fri", "mon,wed,fri", "sat-sun"]))]
pub struct Weekdays(#[schemars(with = "String")] [bool; 7]); // from Monday on

/// A date, like `2026-12-24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(extend("format" = "date", "examples" = ["2026-12-24"]))]
pub struct Day(#[schemars(with = "String")] Date);

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Zone {
    /// The date at this moment, in milliseconds since the epoch.
    pub(super) fn date(&self, moment: i64) -> Date {
        let moment = jiff::Timestamp::from_millisecond(moment).unwrap_or_default();
        self.0.to_datetime(moment).date()
    }

    /// The moment at which clocks show this time on this date, in milliseconds.
    ///
    /// A time that clocks skip is moved forward by as much as they skip; of a time that they show twice, it is the
    /// first.
    pub(super) fn moment(&self, date: Date, time: TimeOfDay) -> Option<i64> {
        let (hour, minute) = ((time.0 / 60) as i8, (time.0 % 60) as i8);
        let moment = self.0.to_ambiguous_timestamp(date.at(hour, minute, 0, 0)).compatible().ok()?;
        Some(moment.as_millisecond())
    }
}

impl Weekdays {
    pub(super) fn contains(self, date: Date) -> bool {
        self.0[date.weekday().to_monday_zero_offset() as usize % 7]
    }
}

impl Day {
    pub(super) fn date(self) -> Date {
        self.0
    }
}

impl Default for Weekdays {
    /// Monday to Friday.
    fn default() -> Self {
        Self([true, true, true, true, true, false, false])
    }
}

impl FromStr for Zone {
    type Err = PresenceError;

    fn from_str(text: &str) -> Result<Self, PresenceError> {
        let known = TimeZoneDatabase::bundled();
        known.get(text).map(Self).map_err(|_| {
            let names: Vec<String> = known.available().map(|name| name.to_string()).collect();
            let hint = hint(text, names.iter().map(String::as_str));
            PresenceError::Zone { found: excerpt(text), hint }
        })
    }
}

impl FromStr for TimeOfDay {
    type Err = PresenceError;

    fn from_str(text: &str) -> Result<Self, PresenceError> {
        let number = |digits: &str, below: u16| {
            let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|number: &u16| plain && *number < below)
        };
        text.split_once(':')
            .filter(|(_, minutes)| minutes.len() == 2)
            .and_then(|(hours, minutes)| Some(number(hours, 24)? * 60 + number(minutes, 60)?))
            .map(Self)
            .ok_or_else(|| PresenceError::TimeOfDay { found: excerpt(text) })
    }
}

impl FromStr for Weekdays {
    type Err = PresenceError;

    fn from_str(text: &str) -> Result<Self, PresenceError> {
        let mut in_it = [false; 7];
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (weekday(first.trim())?, weekday(last.trim())?);
            // `fri-mon` is four days.
            for at in first..=last + if last < first { 7 } else { 0 } {
                in_it[at % 7] = true;
            }
        }
        Ok(Self(in_it))
    }
}

impl FromStr for Day {
    type Err = PresenceError;

    fn from_str(text: &str) -> Result<Self, PresenceError> {
        text.parse().map(Self).map_err(|_| PresenceError::Date { found: excerpt(text) })
    }
}

impl TryFrom<String> for Zone {
    type Error = PresenceError;

    fn try_from(text: String) -> Result<Self, PresenceError> {
        text.parse()
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = PresenceError;

    fn try_from(text: String) -> Result<Self, PresenceError> {
        text.parse()
    }
}

impl TryFrom<String> for Weekdays {
    type Error = PresenceError;

    fn try_from(text: String) -> Result<Self, PresenceError> {
        text.parse()
    }
}

impl TryFrom<String> for Day {
    type Error = PresenceError;

    fn try_from(text: String) -> Result<Self, PresenceError> {
        text.parse()
    }
}

fn weekday(name: &str) -> Result<usize, PresenceError> {
    let found = WEEKDAYS.iter().position(|known| known.eq_ignore_ascii_case(name));
    found.ok_or_else(|| PresenceError::Weekday { found: excerpt(name), hint: hint(name, WEEKDAYS) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekdays_are_names_and_ranges_and_a_range_may_pass_over_sunday() {
        let of = |text: &str| text.parse::<Weekdays>().unwrap().0.map(u8::from);
        assert_eq!(of("mon-fri"), [1, 1, 1, 1, 1, 0, 0]);
        assert_eq!(of("Mon, wed,sat-sun"), [1, 0, 1, 0, 0, 1, 1]);
        assert_eq!(of("fri-mon"), [1, 0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn a_word_that_is_none_is_named_with_what_was_expected() {
        let zone = "Europe/Berlim".parse::<Zone>().unwrap_err().to_string();
        assert!(
            zone.contains("\"Europe/Berlim\"") && zone.ends_with("did you mean \"Europe/Berlin\"?"),
            "{zone}"
        );
        let weekday = "mon-fry".parse::<Weekdays>().unwrap_err().to_string();
        assert!(weekday.contains("\"fry\"") && weekday.ends_with("did you mean \"fri\"?"), "{weekday}");
        for text in ["24:00", "8", "08:60", "+8:00", "08:0", "", ":", "008:00"] {
            let error = text.parse::<TimeOfDay>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
        assert!("".parse::<Weekdays>().is_err() && "2026-02-30".parse::<Day>().is_err());
        assert_eq!("8:05".parse::<TimeOfDay>().unwrap().to_string(), "08:05");
    }
}
