//! What becomes of groups, locations and clients that are there already: renamed, described, removed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::command::check_name;
use super::group::{DEFAULT_GROUP, DEFAULT_LOCATION, parent};
use super::{CommandError, Concerns, Effect, Site};
use crate::id::{AgentId, GroupId, LocationId};
use crate::time::Timestamp;

/// How long a description may be, in characters [S of the REST notes].
const MAX_DESCRIPTION: usize = 1024;

impl Site {
    /// Renames a group, which takes its children along. Its clients stay in it.
    pub(super) fn rename_group(&mut self, path: &str, name: &str) -> Result<Concerns, CommandError> {
        self.groups.find(path)?;
        let Some(above) = parent(path).filter(|_| path != DEFAULT_GROUP) else {
            return Err(CommandError::Fixed { kind: "group", name: path.to_owned() });
        };
        check_name("name", name)?;
        let next = format!("{above}\\{name}");
        if name.contains('\\') || next.len() > 4096 {
            return Err(CommandError::Invalid {
                field: "name",
                found: name.chars().take(80).collect(),
                expected: "a name without a backslash, and a path of at most 4096 characters".to_owned(),
            });
        }
        if next == path {
            return Ok(Concerns::Nobody);
        }
        if self.groups.get(&next).is_some() {
            return Err(CommandError::NameTaken { kind: "group", name: next });
        }
        let mut concerned = BTreeSet::new();
        for old in self.groups.below(path) {
            let Some(group) = self.groups.remove(&old) else { continue };
            let new = format!("{next}{}", &old[path.len()..]);
            self.groups.insert(&new, group);
            concerned.insert(new);
        }
        Ok(Concerns::These(concerned))
    }

    /// Describes a group, which concerns none of its clients.
    pub(super) fn describe_group(
        &mut self,
        path: &str,
        description: Option<&str>,
    ) -> Result<Concerns, CommandError> {
        if description.is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
            return Err(CommandError::Invalid {
                field: "description",
                found: "a longer one".to_owned(),
                expected: format!("at most {MAX_DESCRIPTION} characters"),
            });
        }
        self.groups.find_mut(path)?.description = description.map(str::to_owned);
        Ok(Concerns::Nobody)
    }

    /// Removes a group that has neither clients nor groups below it.
    pub(super) fn remove_group(&mut self, path: &str) -> Result<Concerns, CommandError> {
        let id = self.groups.find(path)?.id;
        if parent(path).is_none() || path == DEFAULT_GROUP {
            return Err(CommandError::Fixed { kind: "group", name: path.to_owned() });
        }
        let holds = if self.groups.below(path).len() > 1 {
            Some("groups")
        } else {
            self.clients.values().any(|client| client.group == id).then_some("clients")
        };
        if let Some(holds) = holds {
            return Err(CommandError::NotEmpty { group: path.to_owned(), holds });
        }
        self.groups.remove(path);
        // A group that is founded at this path again is another one.
        self.removed_groups += 1;
        Ok(Concerns::Nobody)
    }

    /// Renames a location of a group that does not inherit.
    pub(super) fn rename_location(
        &mut self,
        group: &str,
        location: &str,
        name: &str,
    ) -> Result<Concerns, CommandError> {
        check_name("name", name)?;
        let own = self.groups.own_mut(group)?;
        own.location_mut(location)?;
        if location == DEFAULT_LOCATION {
            return Err(CommandError::Fixed { kind: "location", name: location.to_owned() });
        }
        if location == name {
            return Ok(Concerns::Nobody);
        }
        if own.locations.contains_key(name) {
            return Err(CommandError::NameTaken { kind: "location", name: name.to_owned() });
        }
        if let Some(found) = own.locations.remove(location) {
            own.locations.insert(name.to_owned(), found);
        }
        Ok(Concerns::GovernedBy(group.to_owned()))
    }

    /// Forgets a client. It registers again as soon as it comes.
    pub(super) fn remove_client(&mut self, agent: AgentId) -> Result<Effect, CommandError> {
        match self.clients.remove(&agent) {
            Some(_) => Ok(Effect::ClientRemoved { agent }),
            None => Err(CommandError::unknown("client", &agent.to_string(), [])),
        }
    }

    /// The identifier of a new group at this path: another one than any group has, or had that was removed.
    pub(super) fn new_group_id(&self, path: &str) -> GroupId {
        let mut taken = 0;
        loop {
            let name = match taken + self.removed_groups {
                0 => path.to_owned(),
                number => format!("{path}|{number}"),
            };
            let id = GroupId(self.guid("group", &name));
            if !self.groups.has_id(id) {
                return id;
            }
            taken += 1;
        }
    }

    /// The identifier of a new location of this group: another one than any of its locations has.
    pub(super) fn new_location_id(&self, group: &str, name: &str) -> LocationId {
        let known = self.groups.get(group).map(|group| &group.own.locations);
        let mut id = LocationId(self.guid("location", &format!("{group}|{name}")));
        let mut number = 1;
        while known.is_some_and(|known| known.values().any(|one| one.id == id)) {
            id = LocationId(self.guid("location", &format!("{group}|{name}|{number}")));
            number += 1;
        }
        id
    }

    /// The moment that a new group was changed last: before anything that it will publish.
    pub(super) fn before(now: Timestamp) -> Timestamp {
        now - Duration::from_millis(1)
    }
}
