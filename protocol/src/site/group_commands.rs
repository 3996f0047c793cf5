//! The commands of groups and their locations: add, rename, describe, remove, inherit.

use std::collections::BTreeSet;
use std::time::Duration;

use super::command::check_name;
use super::command_error::CommandError;
use super::group::{DEFAULT_GROUP, DEFAULT_LOCATION, Group, Location, TOP_GROUP, parent};
use super::state::{AffectedGroups, Site};
use crate::id::{GroupId, LocationId};
use crate::time::Timestamp;

/// The longest path of a group, in bytes.
const MAX_PATH: usize = 4096;
/// The longest description, in characters [S of the REST notes].
const MAX_DESCRIPTION: usize = 1024;

impl Site {
    pub(super) fn add_group(
        &mut self,
        path: &str,
        inherits: bool,
        now: Timestamp,
    ) -> Result<AffectedGroups, CommandError> {
        if self.groups.get(path).is_some() {
            return Err(CommandError::NameTaken { kind: "group", name: path.to_owned() });
        }
        let Some((above, name)) = path.rsplit_once('\\') else {
            return Err(CommandError::Invalid {
                field: "group",
                found: path.to_owned(),
                expected: format!("a full path below {TOP_GROUP:?}, like {DEFAULT_GROUP:?}"),
            });
        };
        check_path("group", path)?;
        let own = self.groups.effective(above)?.clone();
        check_name("group", name)?;
        let id = self.new_group_id(path);
        let group = Group { id, description: None, created: now, inherits, changed: Self::before(now), own };
        self.groups.insert(path, group);
        Ok(AffectedGroups::These(BTreeSet::from([path.to_owned()])))
    }

    pub(super) fn set_inheritance(
        &mut self,
        path: &str,
        inherits: bool,
    ) -> Result<AffectedGroups, CommandError> {
        if parent(path).is_none() && self.groups.get(path).is_some() {
            return Err(CommandError::TopGroup { group: path.to_owned() });
        }
        let own = self.groups.effective(path)?.clone();
        if self.groups.find(path)?.inherits == inherits {
            return Ok(AffectedGroups::None);
        }
        let governed: BTreeSet<String> = self.groups.governed_by(path).map(str::to_owned).collect();
        let group = self.groups.find_mut(path)?;
        group.inherits = inherits;
        group.own = own;
        Ok(if inherits {
            AffectedGroups::These(governed)
        } else {
            AffectedGroups::GovernedBy(path.to_owned())
        })
    }

    pub(super) fn add_location(&mut self, group: &str, name: &str) -> Result<AffectedGroups, CommandError> {
        let location = self.new_location(group, name);
        let own = self.groups.own_mut(group)?;
        if own.locations.contains_key(name) {
            return Err(CommandError::NameTaken { kind: "location", name: name.to_owned() });
        }
        check_name("location", name)?;
        own.locations.insert(name.to_owned(), location);
        Ok(AffectedGroups::GovernedBy(group.to_owned()))
    }

    pub(super) fn assign_package(
        &mut self,
        package: &str,
        group: &str,
    ) -> Result<AffectedGroups, CommandError> {
        if !self.packages.contains_key(package) {
            return Err(CommandError::unknown("package", package, self.packages.keys().map(String::as_str)));
        }
        let own = self.groups.own_mut(group)?;
        if !own.packages.iter().any(|one| one == package) {
            own.packages.push(package.to_owned());
        }
        Ok(AffectedGroups::GovernedBy(group.to_owned()))
    }

    /// Renames a group and the paths of all groups below it. Its clients stay in it.
    pub(super) fn rename_group(&mut self, path: &str, name: &str) -> Result<AffectedGroups, CommandError> {
        self.groups.find(path)?;
        let Some(above) = parent(path).filter(|_| path != DEFAULT_GROUP) else {
            return Err(CommandError::Fixed { kind: "group", name: path.to_owned() });
        };
        check_name("name", name)?;
        let next = format!("{above}\\{name}");
        if name.contains('\\') {
            return Err(CommandError::Invalid {
                field: "name",
                found: name.to_owned(),
                expected: "a name without a backslash".to_owned(),
            });
        }
        check_path("name", &next)?;
        if next == path {
            return Ok(AffectedGroups::None);
        }
        if self.groups.get(&next).is_some() {
            return Err(CommandError::NameTaken { kind: "group", name: next });
        }
        let mut affected = BTreeSet::new();
        for old in self.groups.below(path) {
            let Some(group) = self.groups.remove(&old) else { continue };
            let new = format!("{next}{}", &old[path.len()..]);
            self.groups.insert(&new, group);
            affected.insert(new);
        }
        Ok(AffectedGroups::These(affected))
    }

    /// Sets the description of a group. Affects none of its clients.
    pub(super) fn describe_group(
        &mut self,
        path: &str,
        description: Option<&str>,
    ) -> Result<AffectedGroups, CommandError> {
        if description.is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
            return Err(CommandError::Invalid {
                field: "description",
                found: "a longer text".to_owned(),
                expected: format!("at most {MAX_DESCRIPTION} characters"),
            });
        }
        self.groups.find_mut(path)?.description = description.map(str::to_owned);
        Ok(AffectedGroups::None)
    }

    /// Removes a group that has neither clients nor groups below it.
    pub(super) fn remove_group(&mut self, path: &str) -> Result<AffectedGroups, CommandError> {
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
        // A group that is added at this path again is a different one.
        self.removed_groups += 1;
        Ok(AffectedGroups::None)
    }

    /// Renames a location of a group that does not inherit.
    pub(super) fn rename_location(
        &mut self,
        group: &str,
        location: &str,
        name: &str,
    ) -> Result<AffectedGroups, CommandError> {
        check_name("name", name)?;
        let own = self.groups.own_mut(group)?;
        own.location_mut(location)?;
        if location == DEFAULT_LOCATION {
            return Err(CommandError::Fixed { kind: "location", name: location.to_owned() });
        }
        if location == name {
            return Ok(AffectedGroups::None);
        }
        if own.locations.contains_key(name) {
            return Err(CommandError::NameTaken { kind: "location", name: name.to_owned() });
        }
        if let Some(found) = own.locations.remove(location) {
            own.locations.insert(name.to_owned(), found);
        }
        Ok(AffectedGroups::GovernedBy(group.to_owned()))
    }

    pub(super) fn new_location(&self, group: &str, name: &str) -> Location {
        Location { id: self.new_location_id(group, name), own: None }
    }

    /// Makes an identifier for a new group at this path, different from that of every group so far, removed ones
    /// included.
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

    /// Makes an identifier for a new location of this group, different from those of its locations.
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

    /// The time of last change of a new group: before anything that it will publish.
    pub(super) fn before(now: Timestamp) -> Timestamp {
        now - Duration::from_millis(1)
    }
}

fn check_path(field: &'static str, path: &str) -> Result<(), CommandError> {
    if path.len() > MAX_PATH {
        return Err(CommandError::Invalid {
            field,
            found: path.chars().take(80).collect(),
            expected: format!("a path of at most {MAX_PATH} bytes"),
        });
    }
    Ok(())
}
