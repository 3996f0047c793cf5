//! The state of a client as seen from outside.

use epm_protocol::policy::PolicySerial;
use epm_protocol::trust::Fingerprint;
use epm_protocol::version::ClientVersion;
use serde::{Deserialize, Serialize};

use super::cache::{AgentState, Harm, Rescue};
use super::exchange::AgentProfile;
use super::failover::Server;
use super::health::Health;
use super::trust_state::TrustState;

/// The state of a client as seen from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AgentView {
    /// The name of the client's computer.
    pub computer_name: String,
    /// The version of the client.
    pub version: ClientVersion,
    /// The certificates that the client trusts.
    pub certificates: Vec<Fingerprint>,
    /// The serial of the policy that the client holds.
    pub serial: Option<PolicySerial>,
    /// The certificate whose key signed that policy; none if it was adopted without authentication.
    pub policy_vouched_by: Option<Fingerprint>,
    /// The serial of the last policy for which the client also holds the list and the packages that belong to it.
    pub complete: Option<PolicySerial>,
    /// The group that the client's policy is for.
    pub group: Option<String>,
    /// The group that the client's communications file prefers: where the client registers, if there is such a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_group: Option<String>,
    /// Whether the client downloads neither policies nor lists, by its communication settings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub downloads_off: bool,
    /// Whether the client authenticates its manager.
    pub secure_communications: bool,
    /// The name of the client's management server list.
    pub list: String,
    /// The server that the client tries first.
    pub server: Option<Server>,
    /// The location of the client; the default one if none.
    pub location: Option<String>,
    /// The state of the client's contact with its managers.
    pub health: Health,
    /// Whether the client was orphaned, and an imported communications file has brought it back.
    pub brought_back: bool,
    /// Whether the client was given a communications file without a certificate that it knew, and has not met a manager since.
    #[serde(default)]
    pub given_older_file: bool,
    /// Whether a manager has served the client since it got its communications file.
    #[serde(default)]
    pub served_with_file: bool,
    /// What has happened to the client that no rotation should do; absent if nothing has.
    #[serde(default, skip_serializing_if = "Harm::is_none")]
    pub harm: Harm,
    /// Whether the client is disconnected from the network, except from its managers.
    pub quarantined: bool,
    /// The number of heartbeats that the client has begun.
    pub heartbeats: u64,
    /// The number of heartbeats in which a manager served the client.
    pub heartbeats_served: u64,
}

impl AgentView {
    pub(super) fn of(
        profile: &AgentProfile,
        trust_state: &TrustState,
        heartbeats: u64,
        heartbeats_served: u64,
    ) -> Self {
        let AgentState {
            serial,
            complete,
            group,
            location,
            health,
            last_server,
            policy_vouched_by,
            pending_commands,
            rescue,
            given_older_file,
            harm,
            list,
            ..
        } = &trust_state.cache.state;
        let listed = trust_state.conf.list.priorities.iter().flatten().next().map(Server::of_list);
        Self {
            computer_name: profile.computer_name.clone(),
            version: profile.version,
            certificates: trust_state.pins.fingerprints(),
            serial: *serial,
            policy_vouched_by: *policy_vouched_by,
            complete: *complete,
            group: group.clone(),
            preferred_group: trust_state.cache.sylink.preferred_group(),
            downloads_off: trust_state.settings().disable_download_profile,
            secure_communications: trust_state.secure(),
            list: trust_state.conf.list.name.clone(),
            server: last_server.as_ref().map(|last| last.server.clone()).or(listed),
            location: location.clone(),
            health: health.clone(),
            brought_back: *rescue == Some(Rescue::BroughtBack),
            given_older_file: *given_older_file,
            // A client that nothing serves any more has no last server, and keeps the list that a manager gave it.
            served_with_file: last_server.is_some() || list.is_some(),
            harm: *harm,
            quarantined: pending_commands.quarantined,
            heartbeats,
            heartbeats_served,
        }
    }
}
