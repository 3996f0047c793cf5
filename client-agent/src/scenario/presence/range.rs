//! Numbers of a calendar: shares in per cent, and ordered ranges.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::draw::Draw;
use super::error::PresenceError;
use super::limits::LONGEST_HOLIDAY;
use crate::scenario::span::Span;

/// A share of machines or days, in per cent: from 0 to 100, with up to four decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    millionths: u32,
}

/// A range of durations, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "[Span; 2]")]
#[schemars(extend("examples" = [["10d", "40d"]]))]
pub struct Between([Span; 2]);

/// A range of the length of a holiday in days, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "[u32; 2]")]
#[schemars(extend("examples" = [[7, 28]]))]
pub struct HolidayDays([u32; 2]);

impl Share {
    /// The share of 100 per cent.
    pub const ALL: Self = Self { millionths: WHOLE };

    /// Makes a share of this many per cent.
    ///
    /// # Errors
    ///
    /// When it is not from 0 to 100.
    pub fn per_cent(number: f64) -> Result<Self, PresenceError> {
        if (0.0..=100.0).contains(&number) {
            Ok(Self { millionths: (number * f64::from(WHOLE / 100)).round() as u32 })
        } else {
            Err(PresenceError::Share { found: number.to_string() })
        }
    }

    pub(super) fn is_zero(self) -> bool {
        self.millionths == 0
    }

    /// Whether this draw falls into the share.
    pub(super) fn takes(self, draw: &mut Draw) -> bool {
        draw.below(u64::from(WHOLE)) < u64::from(self.millionths)
    }
}

impl Between {
    /// Draws a uniform duration, to the millisecond.
    pub(super) fn draw(self, draw: &mut Draw) -> i64 {
        let [first, last] = self.0.map(millis);
        first.saturating_add(draw.up_to(last - first))
    }
}

impl HolidayDays {
    pub(super) fn most(self) -> i32 {
        self.0[1].cast_signed()
    }

    /// Draws a uniform number of whole days.
    pub(super) fn draw(self, draw: &mut Draw) -> i32 {
        let [least, most] = self.0;
        least.cast_signed() + draw.below(u64::from(most - least) + 1) as i32 // at most a year
    }
}

impl TryFrom<[Span; 2]> for Between {
    type Error = PresenceError;

    fn try_from([first, last]: [Span; 2]) -> Result<Self, PresenceError> {
        if first <= last {
            Ok(Self([first, last]))
        } else {
            Err(PresenceError::Reversed { first: first.to_string(), last: last.to_string() })
        }
    }
}

impl TryFrom<[u32; 2]> for HolidayDays {
    type Error = PresenceError;

    fn try_from([least, most]: [u32; 2]) -> Result<Self, PresenceError> {
        if let Some(found) = [least, most].into_iter().find(|days| !(1..=LONGEST_HOLIDAY).contains(days)) {
            return Err(PresenceError::HolidayDays { found });
        }
        if least > most {
            return Err(PresenceError::Reversed { first: least.to_string(), last: most.to_string() });
        }
        Ok(Self([least, most]))
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShareVisitor)
    }
}

impl JsonSchema for Share {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "number",
            "description": "A share in per cent, from 0 to 100.",
            "minimum": 0,
            "maximum": 100,
            "examples": [30, 0.5],
        })
    }
}

struct ShareVisitor;

impl Visitor<'_> for ShareVisitor {
    type Value = Share;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("per cent, from 0 to 100")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Share, E> {
        self.visit_f64(number as f64)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Share, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Share, E> {
        Share::per_cent(number).map_err(E::custom)
    }
}

/// The duration in milliseconds.
pub(super) fn millis(span: Span) -> i64 {
    i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX)
}

const WHOLE: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_from_0_to_100_per_cent() {
        assert_eq!(Share::per_cent(100.0), Ok(Share::ALL));
        assert_eq!(Share::per_cent(0.5), Ok(Share { millionths: 5000 }));
        for number in [-1.0, 100.1, f64::NAN] {
            let error = Share::per_cent(number).unwrap_err().to_string();
            assert!(error.contains(&number.to_string()), "{error}");
        }
    }

    #[test]
    fn a_range_is_not_the_wrong_way_round() {
        let span = |text: &str| text.parse::<Span>().unwrap();
        assert!(Between::try_from([span("1d"), span("1d")]).is_ok());
        let error = Between::try_from([span("40d"), span("10d")]).unwrap_err().to_string();
        assert!(error.contains("from 40d to 10d"), "{error}");
        assert!(HolidayDays::try_from([28, 7]).is_err() && HolidayDays::try_from([0, 7]).is_err());
        assert!(HolidayDays::try_from([7, 366]).unwrap_err().to_string().contains("366"));
    }

    #[test]
    fn both_ends_of_a_range_are_drawn() {
        let days = HolidayDays::try_from([7, 9]).unwrap();
        let drawn: std::collections::BTreeSet<i32> =
            (0..100).map(|seed| days.draw(&mut Draw::new(seed, super::super::draw::HOLIDAY, 0))).collect();
        assert_eq!(drawn, [7, 8, 9].into());
    }
}
