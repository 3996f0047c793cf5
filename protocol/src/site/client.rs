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
    /// Its identifier.
    pub agent: AgentId,
    /// Its machine.
    pub hardware_key: HardwareKey,
    /// Its computer's name.
    pub computer_name: String,
    /// Its version.
    pub version: ClientVersion,
    /// Its group.
    pub group: GroupId,
    /// How many times this record has changed hands: another machine has registered with the same hardware id.
    #[serde(default)]
    pub turn: u32,
    /// When a machine came to which it no longer belonged, in the last 24 hours.
    #[serde(default)]
    pub conflicts: Vec<Timestamp>,
    /// Whether its hardware id is taken to be that of several machines: whoever the record does not belong to is told to
    /// make a new one.
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
