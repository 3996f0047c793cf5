//! What a client keeps over a restart: its communications file, and what it has learnt since.

use std::collections::BTreeMap;
use std::sync::Arc;

use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::id::{AgentId, HardwareKey};
use epm_protocol::policy::PolicySerial;
use epm_protocol::sylink::Sylink;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use serde::{Deserialize, Serialize};

use super::failover::LastServer;
use super::health::Health;
use super::pending_commands::PendingCommands;

/// What a client keeps over a restart.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    /// The communications file, with the client's servers and trusted certificates.
    pub sylink: Arc<Sylink>,
    /// What the client has learnt since it got its communications file.
    pub state: AgentState,
}

/// How far an imported communications file has brought an orphaned client back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rescue {
    /// The client has imported the file and has not met a manager since.
    Imported,
    /// A manager has served the client since, and it was not orphaned again.
    BroughtBack,
}

/// What has happened to a client since its installation that no rotation of certificates should do. A count of 255 stands for that
/// many or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Harm {
    /// The number of times that the client became orphaned.
    pub orphaned: u8,
    /// The number of policies that the client adopted without a verified signature.
    pub unsigned: u8,
}

impl Harm {
    /// Whether nothing has happened.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a client has learnt since it got its communications file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentState {
    /// The identifier that the manager assigned to the client.
    pub agent: Option<AgentId>,
    /// The number of times that the client's record had changed hands when it registered; see
    /// [`epm_protocol::site::RegisteredClient`].
    #[serde(skip_serializing_if = "is_zero")]
    pub turn: u32,
    /// The hardware id of the client, if it is not that of its installation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<HardwareKey>,
    /// The serial of the policy that the client holds.
    pub serial: Option<PolicySerial>,
    /// The certificate whose key signed that policy; none if it was adopted without authentication.
    pub policy_vouched_by: Option<Fingerprint>,
    /// The serial of the last policy that the client holds with all that belongs to it; the same as `serial`, or none.
    pub complete: Option<PolicySerial>,
    /// The group that the client's policy is for.
    pub group: Option<String>,
    /// The list that the client adopted last, with the lists of all locations.
    pub list: Option<Arc<str>>,
    /// The checksum of that list.
    pub list_checksum: Option<String>,
    /// The checksum of the communications file as the client itself wrote it last.
    pub sylink_checksum: Option<String>,
    /// The packages that the client has, each with its checksum.
    pub packages: BTreeMap<String, String>,
    /// The server that last served the client.
    pub last_server: Option<LastServer>,
    /// The location of the client; the default one if none.
    pub location: Option<String>,
    /// The state of the client's contact with its managers.
    pub health: Health,
    /// How far an imported communications file has brought the client back, if one was imported while it was orphaned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescue: Option<Rescue>,
    /// Whether the client was given a communications file without a certificate that it knew, and has not met a manager since.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub given_older_file: bool,
    /// What has happened to the client that its manager should not have done.
    #[serde(skip_serializing_if = "Harm::is_none")]
    pub harm: Harm,
    /// Whether the client has yet to report its state to its manager.
    pub report_due: bool,
    /// The commands of the console that the client has received.
    #[serde(skip_serializing_if = "PendingCommands::is_empty")]
    pub pending_commands: PendingCommands,
}

/// The part of what a client has learnt that differs from client to client; the rest is the same for many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnCache {
    /// The identifier that the manager assigned to the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// The number of times that the client's record had changed hands when it registered.
    #[serde(skip_serializing_if = "is_zero")]
    pub turn: u32,
    /// The hardware id of the client, if it is not that of its installation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<HardwareKey>,
    /// The time since when the client's health is what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_since: Option<Timestamp>,
    /// The time since when the client has stayed with its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_server_since: Option<Timestamp>,
    /// The last time at which a command made the client download the newest definitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Timestamp>,
}

/// The dates in a client's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dates {
    /// The time since when its health is what it is; none before its first heartbeat.
    pub(crate) health: Option<Timestamp>,
    /// The time since when it has stayed with the server that last served it.
    pub(crate) last_server: Option<Timestamp>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde demands a reference")]
fn is_zero(turn: &u32) -> bool {
    *turn == 0
}

impl Cache {
    /// Replaces the communications file.
    pub(super) fn set_sylink(&mut self, sylink: Arc<Sylink>) {
        self.state.sylink_checksum = Some(sha256_hex(sylink.to_xml().as_bytes()));
        self.sylink = sylink;
    }

    /// Whether the communications file has been changed since the client wrote it.
    pub(super) fn is_edited(&self) -> bool {
        let written = self.state.sylink_checksum.as_deref();
        written.is_some_and(|written| written != sha256_hex(self.sylink.to_xml().as_bytes()))
    }
}

impl AgentState {
    /// Takes out what only this client has; what is left is equal for many.
    pub fn take_own(&mut self) -> OwnCache {
        let dates = self.dates();
        self.set_dates(Dates { health: Some(Timestamp::EPOCH), last_server: Some(Timestamp::EPOCH) });
        OwnCache {
            agent: self.agent.take(),
            turn: std::mem::take(&mut self.turn),
            machine: self.machine.take(),
            health_since: dates.health,
            last_server_since: dates.last_server,
            content: self.pending_commands.content.take(),
        }
    }

    /// Puts in what only this client has.
    pub fn put_own(&mut self, own: &OwnCache) {
        let OwnCache { agent, turn, machine, health_since, last_server_since, content } = *own;
        (self.agent, self.turn, self.machine) = (agent, turn, machine);
        self.pending_commands.content = content;
        self.set_dates(Dates { health: health_since, last_server: last_server_since });
    }

    pub(super) fn dates(&self) -> Dates {
        let health = self.health.since();
        Dates { health, last_server: self.last_server.as_ref().map(|last| last.since) }
    }

    /// Sets the given dates; others stay absent.
    pub(super) fn set_dates(&mut self, dates: Dates) {
        if let Some(date) = dates.health {
            self.health.set_since(date);
        }
        if let (Some(date), Some(last)) = (dates.last_server, &mut self.last_server) {
            last.since = date;
        }
    }

    /// Forgets that the list came from a manager, so that it is fetched at the next contact, new or not, and
    /// a change by hand does not last [C S17].
    pub(super) fn forget_list(&mut self) {
        self.list = None;
        self.list_checksum = None;
        self.complete = None;
        self.report_due = true;
    }
}
