//! The services of a manager.

/// A service of a manager, by its name in the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Console and REST API.
    Semsrv,
    /// Web server of the clients' port.
    Semwebsrv,
}
