//! The services of a manager.

/// A service of a manager, by the name that the product has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// The manager itself: the console and the REST API.
    Semsrv,
    /// The web server: the clients' port.
    Semwebsrv,
}
