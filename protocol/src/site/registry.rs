//! Registration: the records of clients when they register, move or are removed.

use super::client::RegisteredClient;
use super::client::agent_id;
use super::client_key::ClientKey;
use super::command_error::CommandError;
use super::effect::Effect;
use super::group::DEFAULT_GROUP;
use super::state::Site;
use crate::heartbeat::Registration;
use crate::id::{AgentId, GroupId, Guid};
use crate::time::Timestamp;

impl Site {
    /// The registered clients of the site.
    pub fn clients(&self) -> impl Iterator<Item = &RegisteredClient> {
        self.clients.values()
    }

    /// Whether the site may register this client, if it may have at most `most` of them. A known one may always come back.
    pub fn has_room_for(&self, agent: AgentId, most: usize) -> bool {
        self.clients.len() < most || self.clients.contains_key(&agent)
    }

    /// The record of a registered client.
    pub fn client(&self, agent: AgentId) -> Option<&RegisteredClient> {
        self.clients.get(&agent)
    }

    /// Returns the record of a client after it registers; `known` is its record until now, if there is one.
    ///
    /// A known client stays in its group; if another machine with the same hardware id registers, the record changes
    /// hands. A new client lands in the group that it prefers or, if there is no such group, in the default one [I
    /// F35].
    pub fn admit(&self, registration: &Registration, known: Option<&RegisteredClient>) -> RegisteredClient {
        let known = known.filter(|one| one.hardware_key == registration.hardware_key);
        let preferred = registration.preferred_group.as_deref().and_then(|path| self.groups.get(path));
        let fallback = self.groups.get(DEFAULT_GROUP);
        let group = match known {
            Some(known) => known.group,
            None => preferred.or(fallback).map_or(GroupId(Guid::from_bytes([0; 16])), |group| group.id),
        };
        let changes_hands = known.is_some_and(|one| one.computer_name != registration.computer_name);
        let new = RegisteredClient::new(registration, group);
        match known {
            None => new,
            Some(known) => RegisteredClient {
                turn: known.turn.wrapping_add(u32::from(changes_hands)),
                conflicts: known.conflicts.clone(),
                is_duplicate: known.is_duplicate,
                ..new
            },
        }
    }

    pub(super) fn note_conflict(&mut self, agent: AgentId, now: Timestamp) -> Option<Effect> {
        let most = self.assumptions.identity_conflicts;
        let client = self.clients.get_mut(&agent)?;
        client.note_conflict(most, now);
        Some(Effect::ClientPlaced { agent, group: client.group })
    }

    pub(super) fn register(&mut self, registration: &Registration) -> Effect {
        let agent = agent_id(registration.hardware_key);
        let client = self.admit(registration, self.clients.get(&agent));
        let group = client.group;
        self.clients.insert(agent, client);
        Effect::ClientPlaced { agent, group }
    }

    /// The identifier of the registered client that is meant.
    ///
    /// # Errors
    ///
    /// When no client or more than one has this name.
    pub fn find_client(&self, client: &ClientKey) -> Result<AgentId, CommandError> {
        let name = match client {
            ClientKey::Id(agent) => return Ok(*agent),
            ClientKey::Name(name) => name,
        };
        let mut found = self.clients().filter(|one| one.computer_name.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (Some(client), None) => Ok(client.agent),
            (Some(_), Some(_)) => Err(CommandError::Invalid {
                field: "client",
                found: name.clone(),
                expected: "the name of one client; several have this one, so give an identifier".to_owned(),
            }),
            (None, _) => {
                let known = self.clients().map(|one| one.computer_name.as_str());
                Err(CommandError::unknown("registered client", name, known))
            }
        }
    }

    /// Takes over the record of a client that another process of the site has registered or moved.
    pub fn adopt_client(&mut self, client: RegisteredClient) {
        self.clients.insert(client.agent, client);
    }

    /// Forgets a client that another process of the site has removed.
    pub fn forget_client(&mut self, agent: AgentId) {
        self.clients.remove(&agent);
    }

    pub(super) fn move_client(&mut self, client: &ClientKey, path: &str) -> Result<Effect, CommandError> {
        let group = self.groups.find(path)?.id;
        let agent = self.find_client(client)?;
        let known = self.clients.get_mut(&agent);
        let client = known.ok_or_else(|| CommandError::unknown("client", &agent.to_string(), []))?;
        client.group = group;
        Ok(Effect::ClientPlaced { agent, group })
    }

    /// Removes a client. It registers again at its next visit.
    pub(super) fn remove_client(&mut self, agent: AgentId) -> Result<Effect, CommandError> {
        match self.clients.remove(&agent) {
            Some(_) => Ok(Effect::ClientRemoved { agent }),
            None => Err(CommandError::unknown("client", &agent.to_string(), [])),
        }
    }
}
