//! The element `AgentCommunicationSetting`: how a client communicates.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attributes::{Values, flag, interval, seconds, secret, written_flag};
use super::error::SylinkError;
use super::xml::Element;

/// How a client of a group keeps in touch with its manager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CommunicationMode {
    /// The client holds a connection, so that a change reaches it at once. [C S15]
    #[default]
    Push,
    /// The client asks at intervals. [C S15]
    Pull,
}

impl CommunicationMode {
    /// The value of the attribute. [C S17, S30]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "PUSH",
            Self::Pull => "PULL",
        }
    }
}

/// The attributes of `AgentCommunicationSetting`. [C S17 unless noted]
///
/// All but the secret may be missing in a file and then have the value of the published sample [C S17; that
/// it is also the default, I]. `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentCommunication {
    /// Whether the client connects to a manager at all. Default yes.
    pub always_connect: bool,
    /// Push or pull. Default push.
    pub mode: CommunicationMode,
    /// Whether the client downloads no policy from the manager. Default no.
    pub disable_download_profile: bool,
    /// The secret of the site, 32 hexadecimal digits.
    pub kcs_hex: String,
    /// Seconds between heartbeats in push mode, at least 1. Default 300.
    pub push_heartbeat_seconds: u32,
    /// Seconds between heartbeats in pull mode, at least 1. Default 300. [R, the attribute]
    pub pull_heartbeat_seconds: u32,
    /// Seconds between uploads of command states. Default 300.
    pub upload_cmd_state_heartbeat_seconds: u32,
    /// Seconds between uploads of logs. Default 300.
    pub upload_log_heartbeat_seconds: u32,
    /// Seconds between uploads of the operational state. Default 300.
    pub upload_op_state_heartbeat_seconds: u32,
    /// Whether the client reports learned applications. Default no.
    pub upload_learned_app: bool,
    /// Whether downloads of content are spread at random. Default yes.
    pub randomization_enabled: bool,
    /// The period, in seconds, over which downloads are spread. Default 300.
    pub randomization_range: u32,
    /// Whether a client that registers again keeps its last group. Default no.
    pub remember_current_group: bool,
    /// Whether a client that registers again keeps its user or computer mode. Default yes.
    pub remember_current_policy_mode: bool,
}

impl AgentCommunication {
    /// The name of the element. [C S17]
    pub(super) const ELEMENT: &str = "AgentCommunicationSetting";

    pub(super) fn from_element(element: &Element) -> Result<Self, SylinkError> {
        // Every timer of the published sample says 300. [C S13, S17]
        const SECONDS: u32 = 300;
        Ok(Self {
            always_connect: flag(element, "AlwaysConnect", true)?,
            mode: mode(element, "CommunicationMode")?,
            disable_download_profile: flag(element, "DisableDownloadProfile", false)?,
            kcs_hex: secret(element, "Kcs")?,
            push_heartbeat_seconds: interval(element, "PushHeartbeatSeconds", SECONDS)?,
            pull_heartbeat_seconds: interval(element, "PullHeartbeatSeconds", SECONDS)?,
            upload_cmd_state_heartbeat_seconds: seconds(element, "UploadCmdStateHeartbeatSeconds", SECONDS)?,
            upload_log_heartbeat_seconds: seconds(element, "UploadLogHeartbeatSeconds", SECONDS)?,
            upload_op_state_heartbeat_seconds: seconds(element, "UploadOpStateHeartbeatSeconds", SECONDS)?,
            upload_learned_app: flag(element, "UploadLearnedApp", false)?,
            randomization_enabled: flag(element, "RandomizationEnabled", true)?,
            randomization_range: seconds(element, "RandomizationRange", SECONDS)?,
            remember_current_group: flag(element, "RememberCurrentGroup", false)?,
            remember_current_policy_mode: flag(element, "RememberCurrentPolicyMode", true)?,
        })
    }

    /// Every attribute with its value, except the secret.
    pub fn attributes_without_secret(&self) -> Vec<(&'static str, String)> {
        let shown = self.values().into_iter().filter(|(name, _)| *name != "Kcs");
        shown.map(|(name, value)| (name, value.unwrap_or_default())).collect()
    }

    /// The attributes in alphabetical order, as in the published sample. [C S17]
    pub(super) fn values(&self) -> Values {
        let seconds = |seconds: u32| Some(seconds.to_string());
        vec![
            ("AlwaysConnect", written_flag(self.always_connect)),
            ("CommunicationMode", Some(self.mode.as_str().to_owned())),
            ("DisableDownloadProfile", written_flag(self.disable_download_profile)),
            ("Kcs", Some(self.kcs_hex.clone())),
            ("PullHeartbeatSeconds", seconds(self.pull_heartbeat_seconds)),
            ("PushHeartbeatSeconds", seconds(self.push_heartbeat_seconds)),
            ("RandomizationEnabled", written_flag(self.randomization_enabled)),
            ("RandomizationRange", seconds(self.randomization_range)),
            ("RememberCurrentGroup", written_flag(self.remember_current_group)),
            ("RememberCurrentPolicyMode", written_flag(self.remember_current_policy_mode)),
            ("UploadCmdStateHeartbeatSeconds", seconds(self.upload_cmd_state_heartbeat_seconds)),
            ("UploadLearnedApp", written_flag(self.upload_learned_app)),
            ("UploadLogHeartbeatSeconds", seconds(self.upload_log_heartbeat_seconds)),
            ("UploadOpStateHeartbeatSeconds", seconds(self.upload_op_state_heartbeat_seconds)),
        ]
    }
}

impl fmt::Debug for AgentCommunication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", Self::ELEMENT)?;
        f.debug_map().entries(self.attributes_without_secret()).finish()
    }
}

fn mode(element: &Element, name: &'static str) -> Result<CommunicationMode, SylinkError> {
    let Some(text) = element.attribute(name) else { return Ok(CommunicationMode::default()) };
    [CommunicationMode::Push, CommunicationMode::Pull]
        .into_iter()
        .find(|mode| text.trim().eq_ignore_ascii_case(mode.as_str()))
        .ok_or_else(|| SylinkError::bad_attribute(element, name, "PUSH or PULL", text))
}
