//! The commands of management server lists: copy, edit, remove, assign.

use super::command::check_name;
use super::command_error::CommandError;
use super::state::{AffectedGroups, Site};
use crate::policy::{ManagementServerList, Protocol, ServerPriority};
use crate::sylink::ClientServer;

impl Site {
    pub(super) fn copy_list(&mut self, from: &str, to: &str) -> Result<AffectedGroups, CommandError> {
        let copy = ManagementServerList { name: to.to_owned(), ..self.list(from)?.clone() };
        if self.lists.contains_key(to) {
            return Err(CommandError::NameTaken { kind: "management server list", name: to.to_owned() });
        }
        check_name("list", to)?;
        self.lists.insert(to.to_owned(), copy);
        Ok(AffectedGroups::None)
    }

    pub(super) fn edit_list(
        &mut self,
        name: &str,
        protocol: Option<Protocol>,
        verify_ca: Option<bool>,
        priorities: Option<&[ServerPriority]>,
    ) -> Result<AffectedGroups, CommandError> {
        let before = self.list(name)?;
        self.refuse_default(name)?;
        let list = ManagementServerList {
            name: name.to_owned(),
            protocol: protocol.unwrap_or(before.protocol),
            verify_ca: verify_ca.unwrap_or(before.verify_ca),
            priorities: priorities.map_or_else(|| before.priorities.clone(), <[_]>::to_vec),
        };
        self.check_list(&list)?;
        self.lists.insert(name.to_owned(), list);
        Ok(AffectedGroups::UsersOf(name.to_owned()))
    }

    /// Refuses a list that clients could not read, or that names a missing port.
    pub(super) fn check_list(&self, list: &ManagementServerList) -> Result<(), CommandError> {
        if list.priorities.is_empty() || list.priorities.iter().any(|block| block.0.is_empty()) {
            return Err(CommandError::Invalid {
                field: "priorities",
                found: "an empty priority".into(),
                expected: "at least one server in each priority".into(),
            });
        }
        for server in list.priorities.iter().flat_map(|block| &block.0) {
            let ClientServer { address, http_port, https_port, .. } = self.definite(list, server)?;
            check_name("address", &address)?;
            if http_port == Some(0) || https_port == Some(0) {
                return Err(CommandError::Invalid {
                    field: "port",
                    found: "0".into(),
                    expected: "a port from 1 to 65535".into(),
                });
            }
        }
        Ok(())
    }

    pub(super) fn refuse_default(&self, name: &str) -> Result<(), CommandError> {
        if name == self.default_list() {
            return Err(CommandError::DefaultList { list: name.to_owned() });
        }
        Ok(())
    }

    pub(super) fn remove_list(&mut self, name: &str) -> Result<AffectedGroups, CommandError> {
        self.list(name)?;
        self.refuse_default(name)?;
        if let Some(path) = self.paths(&AffectedGroups::UsersOf(name.to_owned())).into_iter().next() {
            return Err(CommandError::ListInUse { list: name.to_owned(), by: path });
        }
        self.lists.remove(name);
        Ok(AffectedGroups::None)
    }

    pub(super) fn assign_list(
        &mut self,
        list: &str,
        group: &str,
        location: Option<&str>,
    ) -> Result<AffectedGroups, CommandError> {
        self.list(list)?;
        let own = self.groups.own_mut(group)?;
        match location {
            Some(name) => list.clone_into(&mut own.location_settings_mut(name)?.list),
            None => list.clone_into(&mut own.list),
        }
        Ok(AffectedGroups::GovernedBy(group.to_owned()))
    }
}
