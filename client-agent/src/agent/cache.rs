//! What a client keeps over a restart: its communications file, and what it has learnt since.

use std::collections::BTreeMap;
use std::sync::Arc;

use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::id::{AgentId, HardwareKey};
use epm_protocol::policy::PolicySerial;
use epm_protocol::sylink::Sylink;
use epm_protocol::trust::Fingerprint;
use serde::{Deserialize, Serialize};

use super::failover::LastServer;
use super::health::Health;
use super::pending_commands::PendingCommands;

/// What a client keeps over a restart.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    /// The communications file: whom it talks to, and whose certificates it believes.
    pub sylink: Arc<Sylink>,
    /// The rest.
    pub state: AgentState,
}

/// How far an orphan has come on the way back that an imported communications file opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rescue {
    /// It has imported the file, and met nobody yet.
    Imported,
    /// A manager has served it since, and it was not lost again.
    BroughtBack,
}

/// What a client has learnt since it got its communications file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentState {
    /// How its manager calls it.
    pub agent: Option<AgentId>,
    /// How many times its record had changed hands when it registered; see [`epm_protocol::site::RegisteredClient`].
    #[serde(skip_serializing_if = "is_zero")]
    pub turn: u32,
    /// Its hardware id, if it is not the one that it was installed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<HardwareKey>,
    /// The policy that it holds.
    pub serial: Option<PolicySerial>,
    /// Whose key vouched for that policy; none if it was adopted without authentication.
    pub policy_vouched_by: Option<Fingerprint>,
    /// The policy that it holds with all that belongs to it; the same as `serial`, or none.
    pub complete: Option<PolicySerial>,
    /// The group that its policy is for.
    pub group: Option<String>,
    /// The list that it adopted last, with the lists of all locations.
    pub list: Option<Arc<str>>,
    /// The checksum of that list.
    pub list_checksum: Option<String>,
    /// The checksum of the communications file, as the client itself wrote it last.
    pub sylink_checksum: Option<String>,
    /// The packages that it has, each with its checksum.
    pub packages: BTreeMap<String, String>,
    /// The server that served it last.
    pub last_server: Option<LastServer>,
    /// The location that it is in; the default one when none.
    pub location: Option<String>,
    /// How it stands with its managers.
    pub health: Health,
    /// Whether a communications file that somebody imported has helped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescue: Option<Rescue>,
    /// Whether it has yet to tell its manager how it is.
    pub report_due: bool,
    /// What the console has told it to do.
    #[serde(skip_serializing_if = "PendingCommands::is_empty")]
    pub pending_commands: PendingCommands,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(turn: &u32) -> bool {
    *turn == 0
}

impl Cache {
    /// Takes up another communications file.
    pub(super) fn set_sylink(&mut self, sylink: Arc<Sylink>) {
        self.state.sylink_checksum = Some(sha256_hex(sylink.to_xml().as_bytes()));
        self.sylink = sylink;
    }

    /// Whether somebody else has changed the communications file since the client wrote it.
    pub(super) fn is_edited(&self) -> bool {
        let written = self.state.sylink_checksum.as_deref();
        written.is_some_and(|written| written != sha256_hex(self.sylink.to_xml().as_bytes()))
    }
}

impl AgentState {
    /// The list is not what a manager gave any more: it is fetched at the next contact, whether or not it is new, so
    /// a change by hand does not last [C S17].
    pub(super) fn forget_list(&mut self) {
        self.list = None;
        self.list_checksum = None;
        self.complete = None;
        self.report_due = true;
    }
}
