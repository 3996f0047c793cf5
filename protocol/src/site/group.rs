//! The tree of groups, their locations, and what each inherits.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use super::command_error::CommandError;
use crate::id::{GroupId, LocationId};
use crate::policy::CommunicationSettings;
pub use crate::sylink::DEFAULT_LOCATION;
use crate::time::Timestamp;

/// The name of the top group [R of the REST notes].
pub const TOP_GROUP: &str = "My Company";
/// The group of clients whose preferred group does not exist [R of the REST notes].
pub const DEFAULT_GROUP: &str = r"My Company\Default Group";

/// A group of clients.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The identifier of the group.
    pub id: GroupId,
    /// The description of the group.
    pub description: Option<String>,
    /// The time at which the group was added.
    pub created: Timestamp,
    /// Whether the group takes everything from its parent.
    pub inherits: bool,
    /// The time of the last change that affects the group, as in its policy serial.
    pub changed: Timestamp,
    /// The settings of the group itself. A group that inherits uses its parent's instead.
    pub own: GroupSettings,
}

/// The settings of a group that does not inherit.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSettings {
    /// The communication settings of the group's clients.
    pub communication: CommunicationSettings,
    /// The name of the group's management server list.
    pub list: String,
    /// Whether clients authenticate their manager.
    pub secure_communications: bool,
    /// The policies of the group, by name.
    pub policies: BTreeMap<String, String>,
    /// The names of the packages for the group's clients.
    pub packages: Vec<String>,
    /// The locations of the group, by name.
    pub locations: BTreeMap<String, Location>,
}

/// A location of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Location {
    /// The identifier of the location.
    pub id: LocationId,
    /// The location's own communication settings and list; the group's apply if there are none [C S16].
    pub own: Option<LocationSettings>,
}

/// The settings of a location that does not use those of its group.
#[derive(Clone, Debug, PartialEq)]
pub struct LocationSettings {
    /// The communication settings of clients at the location.
    pub communication: CommunicationSettings,
    /// The name of the location's management server list.
    pub list: String,
}

/// All groups of a site, by full path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Groups {
    by_path: BTreeMap<String, Arc<Group>>,
    ids: BTreeSet<GroupId>,
}

impl Groups {
    /// All groups with their paths, a parent before its children.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.by_path.iter().map(|(path, group)| (path.as_str(), group.as_ref()))
    }

    /// The group at this path; none if there is none.
    pub fn get(&self, path: &str) -> Option<&Group> {
        self.by_path.get(path).map(Arc::as_ref)
    }

    /// The group at this path.
    ///
    /// # Errors
    ///
    /// When there is no group at `path`.
    pub fn find(&self, path: &str) -> Result<&Group, CommandError> {
        self.get(path).ok_or_else(|| self.unknown(path))
    }

    /// Maps the path of every group to the path of the group whose settings apply to it.
    pub fn owners(&self) -> HashMap<&str, &str> {
        let mut owners = HashMap::with_capacity(self.by_path.len());
        for (path, group) in self.iter() {
            // A parent comes before its children.
            let above = parent(path).filter(|_| group.inherits).and_then(|above| owners.get(above).copied());
            owners.insert(path, above.unwrap_or(path));
        }
        owners
    }

    /// The path of the group whose settings apply to the one at `path`: itself, or the nearest ancestor that does
    /// not inherit.
    ///
    /// # Errors
    ///
    /// When there is no group at `path`.
    pub fn owner<'a>(&self, path: &'a str) -> Result<&'a str, CommandError> {
        let mut at = path;
        while self.find(at)?.inherits {
            at = parent(at).unwrap_or(TOP_GROUP);
        }
        Ok(at)
    }

    /// The settings that apply to the group at `path`.
    ///
    /// # Errors
    ///
    /// When there is no group at `path`.
    pub fn effective(&self, path: &str) -> Result<&GroupSettings, CommandError> {
        Ok(&self.find(self.owner(path)?)?.own)
    }

    /// The paths of all groups to which the settings of `owner` apply, itself first.
    pub fn governed_by<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a str> {
        let itself = self.get(owner).filter(|group| !group.inherits).map(|_| owner);
        let mut governed: HashSet<&str> = itself.into_iter().collect();
        let inherits = move |(path, group): (&'a str, &'a Group)| {
            let is_governed = group.inherits && parent(path).is_some_and(|above| governed.contains(above));
            is_governed.then(|| {
                governed.insert(path);
                path
            })
        };
        itself.into_iter().chain(self.under(owner).filter_map(inherits))
    }

    /// All groups below this path, a parent before its children.
    fn under(&self, path: &str) -> impl Iterator<Item = (&str, &Group)> {
        let first = format!("{path}\\");
        let from = self.by_path.range::<str, _>((Bound::Included(first.as_str()), Bound::Unbounded));
        from.take_while(move |(path, _)| path.starts_with(&first))
            .map(|(path, group)| (path.as_str(), group.as_ref()))
    }

    /// Whether a group has this identifier.
    pub(super) fn has_id(&self, id: GroupId) -> bool {
        self.ids.contains(&id)
    }

    pub(super) fn insert(&mut self, path: &str, group: Group) {
        self.ids.insert(group.id);
        self.by_path.insert(path.to_owned(), Arc::new(group));
    }

    pub(super) fn remove(&mut self, path: &str) -> Option<Group> {
        let group = self.by_path.remove(path)?;
        self.ids.remove(&group.id);
        Some(Arc::unwrap_or_clone(group))
    }

    /// The paths of a group and of all below it.
    pub(super) fn below(&self, path: &str) -> Vec<String> {
        let itself = self.get(path).map(|_| path);
        itself.into_iter().chain(self.under(path).map(|(below, _)| below)).map(str::to_owned).collect()
    }

    pub(super) fn find_mut(&mut self, path: &str) -> Result<&mut Group, CommandError> {
        if !self.by_path.contains_key(path) {
            return Err(self.unknown(path));
        }
        let found = self.by_path.get_mut(path).map(Arc::make_mut);
        found.ok_or_else(|| CommandError::unknown("group", path, []))
    }

    /// The settings of a group, to be changed. A group that inherits has none.
    pub(super) fn own_mut(&mut self, path: &str) -> Result<&mut GroupSettings, CommandError> {
        let owner = self.owner(path)?;
        if owner != path {
            return Err(CommandError::Inherits { group: path.to_owned(), from: owner.to_owned() });
        }
        Ok(&mut self.find_mut(path)?.own)
    }

    fn unknown(&self, path: &str) -> CommandError {
        CommandError::unknown("group", path, self.by_path.keys().map(String::as_str))
    }
}

impl GroupSettings {
    /// The location of this name, to be changed.
    pub(super) fn location_mut(&mut self, name: &str) -> Result<&mut Location, CommandError> {
        if !self.locations.contains_key(name) {
            return Err(CommandError::unknown("location", name, self.locations.keys().map(String::as_str)));
        }
        self.locations.get_mut(name).ok_or_else(|| CommandError::unknown("location", name, []))
    }

    /// The location's own settings, to be changed; they start as a copy of the group's.
    pub(super) fn location_settings_mut(
        &mut self,
        name: &str,
    ) -> Result<&mut LocationSettings, CommandError> {
        let copy = LocationSettings { communication: self.communication.clone(), list: self.list.clone() };
        Ok(self.location_mut(name)?.own.get_or_insert(copy))
    }
}

/// The path of a group's parent; none for the top group.
pub(super) fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('\\').map(|(parent, _)| parent)
}
