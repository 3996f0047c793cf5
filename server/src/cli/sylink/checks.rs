//! The JSON of `epm-lab sylink check`.

use std::fmt;

use epm_client_agent::doctor::Examination;
use schemars::JsonSchema;
use serde::Serialize;

use super::against::Against;
use crate::schema::BridgedSchema;

/// A valid communications file, and how a manager responds to it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Checks {
    /// Name of the file.
    pub(super) file: String,
    /// Values of the file that are unusual.
    pub(super) warnings: Vec<String>,
    /// How the manager of `--against` responds; null without it.
    pub(super) manager: Option<Response>,
}

/// How a manager responds to a client with the file.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Response {
    /// Wrong values of the file, in the order in which an administrator compares them.
    wrong: Vec<Wrong>,
    /// Values that cannot be checked before others are corrected.
    unknown: Vec<String>,
    /// Why the manager does not serve, if that is so whatever the file says.
    not_serving: Option<String>,
    /// The steps of one heartbeat with the file.
    #[schemars(with = "BridgedSchema<Examination>")]
    examination: Examination,
}

/// A wrong value of a file.
#[derive(Debug, Serialize, JsonSchema)]
struct Wrong {
    /// The value as it stands in the file.
    value: String,
    /// Why it is wrong.
    why: String,
}

impl From<Against> for Response {
    fn from(seen: Against) -> Self {
        let wrong = seen.wrong.into_iter().map(|(value, why)| Wrong { value: value.to_string(), why });
        Self {
            wrong: wrong.collect(),
            unknown: seen.unknown.iter().map(ToString::to_string).collect(),
            not_serving: seen.manager,
            examination: seen.found,
        }
    }
}

impl fmt::Display for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: valid", self.file)?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "  warning: {warning}"))
    }
}
