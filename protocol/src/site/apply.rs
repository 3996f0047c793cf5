//! Applies commands to a site, and publishes the affected groups anew.

use std::collections::BTreeSet;

use super::command::{Command, check, check_name};
use super::command_error::CommandError;
use super::effect::Effect;
use super::replay::is_of_clients;
use super::state::{AffectedGroups, Site};
use crate::sylink::xml::SIZE_LIMIT;
use crate::time::Timestamp;

impl Site {
    /// Applies a command and publishes the affected groups, or refuses and changes nothing.
    ///
    /// # Errors
    ///
    /// When the command names an object that does not exist, or asks for an impossible state, or when a document would be larger
    /// than clients read.
    pub fn apply(&mut self, command: &Command, now: Timestamp) -> Result<Vec<Effect>, CommandError> {
        // Nothing is published of records of clients, and they are changed without a copy to go back to.
        if is_of_clients(command) {
            return self.change(command, now).map(|(effects, _)| effects);
        }
        self.apply_all(std::iter::once(command), now)
    }

    /// Applies all commands and publishes the affected groups once, or refuses one and changes nothing.
    ///
    /// # Errors
    ///
    /// When one of them names an object that does not exist, or asks for an impossible state, or when a document would be larger
    /// than clients read.
    pub fn apply_all<'a>(
        &mut self,
        commands: impl IntoIterator<Item = &'a Command>,
        now: Timestamp,
    ) -> Result<Vec<Effect>, CommandError> {
        let (next, effects) = self.applied(commands, now)?;
        *self = next;
        Ok(effects)
    }

    /// The site after all commands, with its effects; the site itself stays as it is.
    ///
    /// # Errors
    ///
    /// As [`Site::apply_all`].
    pub fn applied<'a>(
        &self,
        commands: impl IntoIterator<Item = &'a Command>,
        now: Timestamp,
    ) -> Result<(Self, Vec<Effect>), CommandError> {
        let mut next = self.clone();
        let (mut effects, mut paths) = (Vec::new(), BTreeSet::new());
        for command in commands {
            let (more, affected) = next.change(command, now)?;
            effects.extend(more);
            paths.extend(affected);
        }
        next.publish_affected(&paths, &mut effects, now);
        next.check_sizes(&effects)?;
        Ok((next, effects))
    }

    /// Refuses documents that clients could not read.
    fn check_sizes(&self, effects: &[Effect]) -> Result<(), CommandError> {
        let published = effects.iter().filter_map(|effect| match effect {
            Effect::Published { groups } => Some(groups),
            _ => None,
        });
        for (id, publication) in
            published.flatten().flat_map(|id| self.publications.values().map(move |one| (id, one)))
        {
            let sizes = publication.groups.get(id).map(|group| group.sizes());
            if let Some((document, bytes)) =
                sizes.into_iter().flatten().find(|(_, bytes)| *bytes > SIZE_LIMIT)
            {
                let group = self.groups.iter().find(|(_, group)| group.id == *id);
                let group = group.map(|(path, _)| path.to_owned()).unwrap_or_default();
                return Err(CommandError::TooLarge { document, group, bytes });
            }
        }
        Ok(())
    }

    /// Publishes these groups anew, if there are any.
    pub(super) fn publish_affected(
        &mut self,
        paths: &BTreeSet<String>,
        effects: &mut Vec<Effect>,
        now: Timestamp,
    ) {
        if !paths.is_empty() {
            let groups = self.publish(paths, now);
            effects.insert(0, Effect::Published { groups });
        }
    }

    /// Applies a command without publishing; returns the paths of the affected groups.
    pub(super) fn change(
        &mut self,
        command: &Command,
        now: Timestamp,
    ) -> Result<(Vec<Effect>, BTreeSet<String>), CommandError> {
        let mut effects = Vec::new();
        let affected = match command {
            Command::AddGroup { group, inherits } => self.add_group(group, *inherits, now)?,
            Command::SetInheritance { group, inherits } => self.set_inheritance(group, *inherits)?,
            Command::RenameGroup { group, name } => self.rename_group(group, name)?,
            Command::DescribeGroup { group, description } => {
                self.describe_group(group, description.as_deref())?
            }
            Command::RemoveGroup { group } => self.remove_group(group)?,
            Command::RenameLocation { group, location, name } => {
                self.rename_location(group, location, name)?
            }
            Command::AddLocation { group, location } => self.add_location(group, location)?,
            Command::SetCommunication { group, location, change } => {
                check(change)?;
                let own = self.groups.own_mut(group)?;
                let settings = match location {
                    Some(name) => &mut own.location_settings_mut(name)?.communication,
                    None => &mut own.communication,
                };
                *settings = change.applied_to(settings);
                AffectedGroups::GovernedBy(group.clone())
            }
            Command::UseGroupCommunication { group, location } => {
                self.groups.own_mut(group)?.location_mut(location)?.own = None;
                AffectedGroups::GovernedBy(group.clone())
            }
            Command::SetSecureCommunications { group, on } => {
                self.groups.own_mut(group)?.secure_communications = *on;
                AffectedGroups::GovernedBy(group.clone())
            }
            Command::CopyList { from, to } => self.copy_list(from, to)?,
            Command::EditList { list, protocol, verify_ca, priorities } => {
                self.edit_list(list, *protocol, *verify_ca, priorities.as_deref())?
            }
            Command::RemoveList { list } => self.remove_list(list)?,
            Command::AssignList { list, group, location } => {
                self.assign_list(list, group, location.as_deref())?
            }
            Command::SetPolicy { group, policy, content } => {
                let own = self.groups.own_mut(group)?;
                check_name("policy", policy)?;
                own.policies.insert(policy.clone(), content.clone());
                AffectedGroups::GovernedBy(group.clone())
            }
            Command::AddPackage { package, file } => {
                check_name("package", package)?;
                self.packages.insert(package.clone(), file.content.clone());
                AffectedGroups::All
            }
            Command::AssignPackage { package, group } => self.assign_package(package, group)?,
            Command::UpdateCertificate { manager, certificate, stores } => {
                effects.extend(self.update_certificate(manager, certificate, *stores, now)?);
                self.certificate_updated(manager, &mut effects, now)
            }
            Command::TakeOver { manager, identity, stores } => {
                self.find_manager(manager)?;
                effects.extend(self.store(manager, identity.clone(), *stores));
                self.certificate_updated(manager, &mut effects, now)
            }
            Command::BreakReplication { manager } => self.break_replication(manager, now)?,
            Command::RestoreReplication { manager } => self.restore_replication(manager)?,
            Command::BackUp { recovery } => self.back_up(recovery)?,
            Command::KeepRecovery { recovery, manager, identity, secret, domain } => {
                self.keep_recovery(recovery, manager, identity, secret, *domain)?
            }
            Command::BackUpAnotherSite { recovery } => self.back_up_another_site(recovery, now)?,
            Command::Reinstall { keystore, secret, domain, database } => {
                let sources = [keystore, secret, domain].map(Option::as_deref);
                effects.extend(self.reinstall(sources, *database, now)?);
                AffectedGroups::All
            }
            Command::Register(registration) => {
                effects.push(self.register(registration));
                AffectedGroups::None
            }
            Command::NoteConflict { agent } => {
                effects.extend(self.note_conflict(*agent, now));
                AffectedGroups::None
            }
            Command::RemoveClient { agent } => {
                effects.push(self.remove_client(*agent)?);
                AffectedGroups::None
            }
            Command::MoveClient { client, group } => {
                effects.push(self.move_client(client, group)?);
                AffectedGroups::None
            }
        };
        let paths = self.paths(&affected);
        Ok((effects, paths))
    }
}
