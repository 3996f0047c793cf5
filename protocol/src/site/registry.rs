//! Who is registered, and in which group: what a client becomes when it comes, and when it is moved.

use serde::{Deserialize, Serialize};

use super::publication::agent_id;
use super::{CommandError, DEFAULT_GROUP, Effect, Site};
use crate::heartbeat::Registration;
use crate::id::{AgentId, GroupId, Guid, HardwareKey};
use crate::version::ClientVersion;

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
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
}

impl Site {
    /// Its registered clients.
    pub fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.values()
    }

    /// A registered client.
    pub fn client(&self, agent: AgentId) -> Option<&Client> {
        self.clients.get(&agent)
    }

    /// What a client becomes when it registers; `known` is its registration until now, where there is one.
    ///
    /// Who is known stays in his group. Who is new lands in the group that he prefers, or, where there is no such
    /// group, in the default one [I F35].
    pub fn admit(&self, registration: &Registration, known: Option<&Client>) -> Client {
        let preferred = registration.preferred_group.as_deref().and_then(|path| self.groups.find(path).ok());
        let fallback = self.groups.find(DEFAULT_GROUP).ok();
        let group = match known {
            Some(known) => known.group,
            None => preferred.or(fallback).map_or(GroupId(Guid::from_bytes([0; 16])), |group| group.id),
        };
        Client {
            agent: agent_id(registration.hardware_key),
            hardware_key: registration.hardware_key,
            computer_name: registration.computer_name.clone(),
            version: registration.version,
            group,
        }
    }

    pub(super) fn register(&mut self, registration: &Registration) -> Effect {
        let agent = agent_id(registration.hardware_key);
        let client = self.admit(registration, self.clients.get(&agent));
        let group = client.group;
        self.clients.insert(agent, client);
        Effect::ClientPlaced { agent, group }
    }

    pub(super) fn move_client(&mut self, agent: AgentId, path: &str) -> Result<Effect, CommandError> {
        let group = self.groups.find(path)?.id;
        let known = self.clients.get_mut(&agent);
        let client = known.ok_or_else(|| CommandError::unknown("client", &agent.to_string(), []))?;
        client.group = group;
        Ok(Effect::ClientPlaced { agent, group })
    }
}
