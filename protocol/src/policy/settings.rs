//! Communication settings of a group, or of a location with settings of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sylink::CommunicationMode;

/// The communication settings of a client: the attributes of `AgentCommunicationSetting`, less the shared secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommunicationSettings {
    /// Whether clients connect to their manager at all.
    pub connect: bool,
    /// Pull mode, with heartbeats at an interval, or push mode, with a held connection.
    pub mode: CommunicationMode,
    /// The heartbeat interval in seconds, in either mode; 300 in the product [C S13].
    pub heartbeat_seconds: u32,
    /// Whether clients download policies and lists from their manager.
    pub download_profile: bool,
    /// Whether downloads of content are spread at random over `randomization_range`.
    pub randomization_enabled: bool,
    /// The period, in seconds, over which downloads are spread; 300 in the product's sample [C S17].
    pub randomization_range: u32,
}

impl Default for CommunicationSettings {
    fn default() -> Self {
        Self {
            connect: true,
            mode: CommunicationMode::Pull,
            heartbeat_seconds: 300,
            download_profile: true,
            randomization_enabled: true,
            randomization_range: 300,
        }
    }
}

/// A change of communication settings; absent ones stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CommunicationChange {
    /// Whether clients connect to their manager at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<bool>,
    /// Pull mode, with heartbeats at an interval, or push mode, with a held connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<CommunicationMode>,
    /// The heartbeat interval in seconds, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_seconds: Option<u32>,
    /// Whether clients download policies and lists from their manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_profile: Option<bool>,
    /// Whether downloads of content are spread at random over `randomization_range`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub randomization_enabled: Option<bool>,
    /// The period, in seconds, over which downloads are spread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub randomization_range: Option<u32>,
}

impl CommunicationChange {
    /// Returns the settings with this change.
    pub fn applied_to(&self, before: &CommunicationSettings) -> CommunicationSettings {
        CommunicationSettings {
            connect: self.connect.unwrap_or(before.connect),
            mode: self.mode.unwrap_or(before.mode),
            heartbeat_seconds: self.heartbeat_seconds.unwrap_or(before.heartbeat_seconds),
            download_profile: self.download_profile.unwrap_or(before.download_profile),
            randomization_enabled: self.randomization_enabled.unwrap_or(before.randomization_enabled),
            randomization_range: self.randomization_range.unwrap_or(before.randomization_range),
        }
    }
}
