//! Versions of the client, as the console shows them: `14.3.8289.5000`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::excerpt::excerpt;

/// A client's version. Missing parts count as zero, so `14.2` is the first of all 14.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientVersion {
    parts: [u16; 4],
}

/// The error for a text that is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid version {found:?}: expected two to four numbers with dots, like 14.3 or 14.3.8289.5000")]
pub struct VersionError {
    /// The text that was read.
    pub found: String,
}

impl ClientVersion {
    /// Makes the version `major.minor.0.0`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { parts: [major, minor, 0, 0] }
    }

    /// Makes the version `major.minor.build.0`.
    pub const fn build(major: u16, minor: u16, build: u16) -> Self {
        Self { parts: [major, minor, build, 0] }
    }

    /// The first number, as in "a 14 client".
    pub const fn major(self) -> u16 {
        self.parts[0]
    }

    /// Whether this is one of the versions from `first` up to, but not including, `end`.
    pub fn is_between(self, first: Self, end: Self) -> bool {
        first <= self && self < end
    }
}

impl fmt::Display for ClientVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, build, revision] = self.parts;
        write!(f, "{major}.{minor}.{build}.{revision:04}")
    }
}

impl FromStr for ClientVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError { found: excerpt(text) };
        let mut parts = [0; 4];
        let mut count = 0;
        for part in text.split('.') {
            let slot = parts.get_mut(count).ok_or_else(error)?;
            *slot = part.parse().map_err(|_| error())?;
            count += 1;
        }
        if count < 2 { Err(error()) } else { Ok(Self { parts }) }
    }
}

impl TryFrom<String> for ClientVersion {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<ClientVersion> for String {
    fn from(version: ClientVersion) -> Self {
        version.to_string()
    }
}

impl JsonSchema for ClientVersion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClientVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": r"^\d+(\.\d+){1,3}$",
            "examples": ["14.3.8289.5000", "12.1.6"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ClientVersion {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_ordered_by_their_numbers_and_not_by_their_letters() {
        assert!(version("14.2.1031") < version("14.2.3332"));
        assert!(version("14.10") > version("14.2"));
        assert_eq!(version("14.3.558").to_string(), "14.3.558.0000");
    }

    #[test]
    fn the_gate_of_14_2_takes_in_all_of_14_2_and_nothing_of_14_3() {
        let gate = |text| version(text).is_between(ClientVersion::new(14, 2), ClientVersion::new(14, 3));
        assert!(gate("14.2.5323") && !gate("14.3") && !gate("14.0.1904"));
    }

    #[test]
    fn a_text_that_is_no_version_is_named() {
        for text in ["", "14", "14.x", "14.2.3.4.5", "14..2"] {
            let refused = text.parse::<ClientVersion>().unwrap_err().to_string();
            assert!(
                refused.ends_with("expected two to four numbers with dots, like 14.3 or 14.3.8289.5000"),
                "{refused}"
            );
        }
    }
}
