//! A registered client, as the database of the site has it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::heartbeat::{ManagerResponse, Registered};
use crate::id::{AgentId, GroupId, HardwareKey};
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
    /// The number of times that this record has changed hands: another machine has registered with the same hardware
    /// id.
    #[serde(default)]
    pub turn: u32,
    /// The moments in the last 24 hours at which a machine came to which the record no longer belonged.
    #[serde(default)]
    pub conflicts: Vec<Timestamp>,
    /// Whether the hardware id is taken to be that of several machines: a machine to which the record does not belong
    /// is told to make a new one.
    #[serde(default)]
    pub is_duplicate: bool,
}

/// Conflicts count together for so long: `scm.duplicatedhwkey.fix.client.csnreset.time.range` [C S21].
const CONFLICTS_FOR: Duration = Duration::from_millis(86_400_000);

impl RegisteredClient {
    /// The answer to its registration.
    pub fn registered(&self) -> ManagerResponse {
        Registered { agent: self.agent, turn: self.turn }.response()
    }

    /// A machine came to which the record does not belong any more; `most` such conflicts mark the hardware id as that
    /// of several machines, none ever does if that is 0.
    pub fn note_conflict(&mut self, most: u32, now: Timestamp) {
        self.conflicts.retain(|then| now < *then + CONFLICTS_FOR);
        self.conflicts.push(now);
        let count = u32::try_from(self.conflicts.len()).unwrap_or(u32::MAX);
        self.is_duplicate |= most > 0 && count >= most;
    }
}
