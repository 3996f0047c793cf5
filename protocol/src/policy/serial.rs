//! Policy serials: `C582-07/19/2017 05:55:53 163` [C S26, S31].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::excerpt::excerpt;
use crate::id::GroupId;
use crate::time::Timestamp;

/// The serial number of a group's policy: the first four digits of the group's identifier, and the moment of the
/// last change in UTC, to the millisecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct PolicySerial {
    changed: Timestamp,
    prefix: [u8; 4],
}

/// The error for a text that is not a policy serial.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid policy serial {found:?}: expected one like C582-07/19/2017 05:55:53 163")]
pub struct SerialError {
    /// The text that was read.
    pub found: String,
}

impl PolicySerial {
    /// Makes the serial of `group`'s policy as changed at this moment.
    pub fn new(group: GroupId, changed: Timestamp) -> Self {
        let mut prefix = [b'0'; 4];
        prefix.iter_mut().zip(group.0.prefix().bytes()).for_each(|(digit, byte)| *digit = byte);
        Self { changed, prefix }
    }

    /// The moment of the policy's last change.
    pub fn changed(self) -> Timestamp {
        self.changed
    }
}

impl fmt::Display for PolicySerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.changed.civil();
        self.prefix.iter().try_for_each(|digit| write!(f, "{}", char::from(*digit)))?;
        write!(f, "-{:02}/{:02}/{:04}", t.month(), t.day(), t.year())?;
        write!(f, " {:02}:{:02}:{:02} {:03}", t.hour(), t.minute(), t.second(), t.millisecond())
    }
}

impl fmt::Debug for PolicySerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PolicySerial {
    type Err = SerialError;

    fn from_str(text: &str) -> Result<Self, SerialError> {
        read(text).ok_or_else(|| SerialError { found: excerpt(text) })
    }
}

/// Reads `XXXX-MM/DD/YYYY HH:MM:SS mmm`, and nothing else of that length.
fn read(text: &str) -> Option<PolicySerial> {
    let (prefix, moment) = text.split_once('-')?;
    let prefix: [u8; 4] = prefix.as_bytes().try_into().ok()?;
    let mut parts = moment.split(['/', ' ', ':']);
    let mut number = |digits: usize| -> Option<i16> {
        let part = parts.next()?;
        if part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()) {
            part.parse().ok()
        } else {
            None
        }
    };
    let (month, day, year) = (number(2)?, number(2)?, number(4)?);
    let (hour, minute, second, milli) = (number(2)?, number(2)?, number(2)?, number(3)?);
    let narrow = |value: i16| i8::try_from(value).ok();
    let civil = jiff::civil::DateTime::new(
        year,
        narrow(month)?,
        narrow(day)?,
        narrow(hour)?,
        narrow(minute)?,
        narrow(second)?,
        i32::from(milli) * 1_000_000,
    )
    .ok()?;
    let changed = jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?.as_millisecond();
    let is_prefix = prefix.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
    (is_prefix && parts.next().is_none())
        .then_some(PolicySerial { changed: Timestamp::from_millis(changed), prefix })
}

impl TryFrom<String> for PolicySerial {
    type Error = SerialError;

    fn try_from(text: String) -> Result<Self, SerialError> {
        text.parse()
    }
}

impl From<PolicySerial> for String {
    fn from(serial: PolicySerial) -> Self {
        serial.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::Guid;

    #[test]
    fn a_serial_reads_as_the_products_recorded_one_does() {
        // The number and text of a recorded answer [R of the REST notes]: group C582CF73..., policyDate 1500443753163.
        let group = GroupId("C582CF730A000116216D40EAE348F18B".parse().unwrap());
        let serial = PolicySerial::new(group, Timestamp::from_millis(1_500_443_753_163));
        assert_eq!(serial.to_string(), "C582-07/19/2017 05:55:53 163");
    }

    #[test]
    fn what_is_not_a_serial_is_refused() {
        for text in [
            "",
            "C582",
            "C582-07/19/2017",
            "C582-13/19/2017 05:55:53 163",
            "c582-07/19/2017 05:55:53 163x",
            "C582-7/19/2017 05:55:53 163",
        ] {
            assert!(text.parse::<PolicySerial>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_serial_survives_being_written_and_read(bytes: [u8; 16], millis in 0_i64..4_000_000_000_000) {
            let serial = PolicySerial::new(GroupId(Guid::from_bytes(bytes)), Timestamp::from_millis(millis));
            prop_assert_eq!(serial.to_string().parse(), Ok(serial));
        }
    }
}
