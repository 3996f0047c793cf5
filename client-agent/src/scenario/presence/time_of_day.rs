//! A time of day.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// A time of day, to the minute, as `HH:MM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(extend("pattern" = r"^([01]?\d|2[0-3]):[0-5]\d$", "examples" = ["08:00"]))]
pub struct TimeOfDay(#[schemars(with = "String")] pub(super) u16); // minutes since midnight

impl TimeOfDay {
    pub(super) const WHOLE_DAY: Duration = Duration::from_secs(86_400);

    /// The duration since midnight, on a day without a clock change.
    pub(super) fn duration(self) -> Duration {
        Duration::from_secs(60 * u64::from(self.0))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}
