//! Durations as people write them: `90d`, `5m`, `1h30m`, `250ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use epm_protocol::excerpt::excerpt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A duration, like `90d`, `1h30m`, `45s` or `250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

/// The error for a text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid duration {found:?}: expected one like \"90d\", \"1h30m\", \"45s\" or \"250ms\"")]
pub struct SpanError {
    /// The text that was read.
    pub found: String,
}

/// The units, the largest first, in milliseconds.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let error = || SpanError { found: excerpt(text) };
        let mut millis: u64 = 0;
        let mut rest = text.trim();
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
            let number: u64 = rest[..digits].parse().map_err(|_| error())?;
            let unit = &rest[digits..digits + letters];
            let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
            millis =
                number.checked_mul(*factor).and_then(|part| millis.checked_add(part)).ok_or_else(error)?;
            rest = rest[digits + letters..].trim_start();
        }
        if text.trim().is_empty() { Err(error()) } else { Ok(Self(Duration::from_millis(millis))) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left == 0 {
            return f.write_str("0s");
        }
        // Weeks are read, but not written: a plan of 90 days stays one of 90 days.
        for (unit, factor) in UNITS.into_iter().skip(1) {
            if left >= factor {
                write!(f, "{}{unit}", left / factor)?;
                left %= factor;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;

    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": r"^\s*(\d+(ms|[wdhms])\s*)+$",
            "examples": ["90d", "1h30m", "250ms"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_of_time_survives_being_written_and_read() {
        for text in ["90d", "1h30m", "45s", "250ms", "2w", "0s"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse(), Ok(span), "{text}");
        }
        assert_eq!("1h30m".parse(), Ok(Span(Duration::from_secs(5400))));
        assert_eq!("90d".parse(), Ok(Span(Duration::from_secs(90 * 86_400))));
    }

    #[test]
    fn what_is_no_stretch_of_time_is_named() {
        for text in ["", "5", "m", "-5m", "5 parsecs", "5m!", "99999999999999999999d", "9999999999999999999w"]
        {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
