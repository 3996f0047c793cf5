//! The formats of keystores, and their names.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format of a keystore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StoreType {
    /// JKS, Java's own format: `keystore.jks` [C S4].
    Jks,
    /// JCEKS, Java's own format with better encryption.
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

/// The error for a word that is not the name of a keystore type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown keystore type {found:?}: expected jks, jceks or pkcs12")]
pub struct UnknownStoreType {
    /// The word that was read.
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
