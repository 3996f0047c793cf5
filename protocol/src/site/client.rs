//! A registered client, as in the database of the site.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::heartbeat::{ManagerResponse, Registered, Registration};
use crate::id::{AgentId, GroupId, Guid, HardwareKey};
use crate::time::Timestamp;
use crate::version::ClientVersion;

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredClient {
    /// The identifier of the client.
    pub agent: AgentId,
    /// The hardware key of the client's machine.
    pub hardware_key: HardwareKey,
    /// The name of the computer.
    pub computer_name: String,
    /// The version of the client's software.
    pub version: ClientVersion,
    /// The group of the client.
    pub group: GroupId,
    /// The number of times that this record has changed hands because another machine registered with the same hardware
    /// id.
    #[serde(default)]
    pub turn: u32,
    /// The times in the last 24 hours at which a machine came whose record belonged to another.
    #[serde(default)]
    pub conflicts: Vec<Timestamp>,
    /// Whether the hardware id belongs to several machines: a machine whose record belongs to another is told to make a
    /// new one.
    #[serde(default)]
    pub is_duplicate: bool,
}

/// The period in which conflicts add up: `scm.duplicatedhwkey.fix.client.csnreset.time.range` [C S21].
const CONFLICTS_FOR: Duration = Duration::from_millis(86_400_000);

impl RegisteredClient {
    /// Makes the record of a client that registers for the first time.
    pub fn new(registration: &Registration, group: GroupId) -> Self {
        Self {
            agent: agent_id(registration.hardware_key),
            hardware_key: registration.hardware_key,
            computer_name: registration.computer_name.clone(),
            version: registration.version,
            group,
            turn: 0,
            conflicts: Vec::new(),
            is_duplicate: false,
        }
    }

    /// Makes the answer to the client's registration.
    pub fn registered(&self) -> ManagerResponse {
        Registered { agent: self.agent, turn: self.turn, is_probe: false }.response()
    }

    /// Notes a visit of a machine whose record belongs to another. After `most` conflicts the hardware id counts as
    /// that of several machines; 0 means never.
    pub fn note_conflict(&mut self, most: u32, now: Timestamp) {
        self.conflicts.retain(|then| now < *then + CONFLICTS_FOR);
        self.conflicts.push(now);
        let count = u32::try_from(self.conflicts.len()).unwrap_or(u32::MAX);
        self.is_duplicate |= most > 0 && count >= most;
    }
}

/// The identifier that every manager of any site assigns to the client on this machine.
pub fn agent_id(hardware_key: HardwareKey) -> AgentId {
    AgentId(Guid::derive(0, "agent", &hardware_key.to_string(), std::net::Ipv4Addr::LOCALHOST))
}
