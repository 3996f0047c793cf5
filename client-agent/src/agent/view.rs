//! What a client looks like from outside.

use epm_protocol::policy::PolicySerial;
use epm_protocol::trust::Fingerprint;
use epm_protocol::version::ClientVersion;
use serde::Serialize;

use super::cache::{AgentState, Rescue};
use super::exchange::AgentProfile;
use super::failover::Server;
use super::health::Health;
use super::trust_state::TrustState;

/// What a client looks like from outside.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct AgentView {
    /// Its computer's name.
    pub computer_name: String,
    /// Its version.
    pub version: ClientVersion,
    /// The certificates that it believes.
    pub certificates: Vec<Fingerprint>,
    /// The policy that it holds.
    pub serial: Option<PolicySerial>,
    /// Whose key vouched for that policy; none if it was adopted without authentication.
    pub policy_vouched_by: Option<Fingerprint>,
    /// The policy that it holds with all that belongs to it.
    pub complete: Option<PolicySerial>,
    /// The group that its policy is for.
    pub group: Option<String>,
    /// Whether it authenticates its manager.
    pub secure_communications: bool,
    /// The name of its list.
    pub list: String,
    /// Where it turns to first.
    pub server: Option<Server>,
    /// The location that it is in.
    pub location: Option<String>,
    /// How it stands with its managers.
    pub health: Health,
    /// Whether it was orphaned, and a communications file that somebody imported has brought it back.
    pub brought_back: bool,
    /// Whether it is cut off from the network, but for its managers.
    pub quarantined: bool,
    /// How many heartbeats it has begun.
    pub heartbeats: u64,
    /// In how many of them a manager served it.
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
            secure_communications: trust_state.secure(),
            list: trust_state.conf.list.name.clone(),
            server: last_server.as_ref().map(|last| last.server.clone()).or(listed),
            location: location.clone(),
            health: health.clone(),
            brought_back: *rescue == Some(Rescue::BroughtBack),
            quarantined: pending_commands.quarantined,
            heartbeats,
            heartbeats_served,
        }
    }
}
