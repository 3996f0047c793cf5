//! The formats of keystores, and their names.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format of a keystore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StoreType {
    /// Java's own: `keystore.jks` [C S4].
    Jks,
    /// Java's own with better encryption.
    Jceks,
    /// PKCS#12: `.p12` and `.pfx`.
    Pkcs12,
}

impl fmt::Display for StoreType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jks => "JKS",
            Self::Jceks => "JCEKS",
            Self::Pkcs12 => "PKCS#12",
        })
    }
}

/// A word that names no type of keystore.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no type of keystore; expected jks, jceks or pkcs12")]
pub struct UnknownStoreType {
    /// The word.
    pub found: String,
}

impl FromStr for StoreType {
    type Err = UnknownStoreType;

    fn from_str(text: &str) -> Result<Self, UnknownStoreType> {
        match text.to_ascii_lowercase().as_str() {
            "jks" => Ok(Self::Jks),
            "jceks" => Ok(Self::Jceks),
            "pkcs12" | "p12" | "pfx" | "pkcs#12" => Ok(Self::Pkcs12),
            _ => Err(UnknownStoreType { found: text.to_owned() }),
        }
    }
}
