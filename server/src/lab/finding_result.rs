//! The outcome of an expectation or of a finding, and which of two outcomes decides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Outcome of an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindingResult {
    /// The expectation is met.
    Pass,
    /// The expectation is not met, and cannot be met any more.
    Fail,
    /// The expectation is not met yet, and still can be.
    Pending,
    /// The expectation cannot be judged: the journal has dropped entries that it needs, or the state of a client is not known.
    Unknown,
}

impl FindingResult {
    /// The one that decides: a failure first, then what cannot be judged.
    pub(crate) fn worse(self, other: Self) -> Self {
        let weight = |one: Self| match one {
            Self::Pass => 0,
            Self::Pending => 1,
            Self::Unknown => 2,
            Self::Fail => 3,
        };
        if weight(other) > weight(self) { other } else { self }
    }
}
