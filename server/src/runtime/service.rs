//! The services of a manager.

/// A service of a manager, by its name in the product.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Console and REST API.
    Semsrv,
    /// Web server of the clients' port.
    Semwebsrv,
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Semsrv => "semsrv",
            Self::Semwebsrv => "semwebsrv",
        })
    }
}
