//! Replication between managers, stopped and restored.
//!
//! In the product, sites replicate, each with a database of its own, and the vendor has replication stopped before a
//! server certificate is changed [C S3], so that what one side publishes does not reach the clients of the other. Here
//! managers replicate.
//!
//! A manager whose replication is stopped continues with the site as it was then. It learns only later changes to its
//! own certificate, and the other managers learn all later changes but those. When replication is restored, every
//! manager publishes everything. All managers know the registered clients at any time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command_error::CommandError;
use super::effect::Effect;
use super::manager::Manager;
use super::state::{AffectedGroups, Site, StoppedReplication};
use crate::time::Timestamp;

impl Site {
    /// The time since which a manager has not replicated with the others; none if it does.
    pub fn replication_stopped_since(&self, manager: &str) -> Option<Timestamp> {
        self.stopped.get(manager).map(|one| one.since)
    }

    /// The managers that replicate with this one.
    pub fn partners<'a>(&'a self, manager: &'a str) -> impl Iterator<Item = &'a Manager> {
        let is_stopped = self.stopped.contains_key(manager);
        self.managers().filter(move |one| {
            !is_stopped && one.name != manager && !self.stopped.contains_key(one.name.as_str())
        })
    }

    pub(super) fn break_replication(
        &mut self,
        name: &str,
        now: Timestamp,
    ) -> Result<AffectedGroups, CommandError> {
        let known_as = self.find_manager(name)?.clone();
        if self.managers.len() < 2 {
            return Err(CommandError::Invalid {
                field: "manager",
                found: name.to_owned(),
                expected: "a site with several managers: a single manager has no replication".to_owned(),
            });
        }
        if self.stopped.contains_key(name) {
            return Ok(AffectedGroups::None);
        }
        let mut site = Self { clients: BTreeMap::new(), recoveries: BTreeMap::new(), ..self.clone() };
        for (other, stopped) in std::mem::take(&mut site.stopped) {
            site.managers.insert(other, stopped.known_as);
        }
        site.publications.retain(|one, _| one == name);
        self.stopped
            .insert(name.to_owned(), StoppedReplication { since: now, site: Box::new(site), known_as });
        Ok(AffectedGroups::None)
    }

    pub(super) fn restore_replication(&mut self, name: &str) -> Result<AffectedGroups, CommandError> {
        self.find_manager(name)?;
        let Some(stopped) = self.stopped.remove(name) else { return Ok(AffectedGroups::None) };
        // Whatever is published now is newer than everything that this manager has published alone.
        for (path, group) in stopped.site.groups.iter() {
            if self.groups.get(path).is_some_and(|ours| ours.id == group.id && ours.changed < group.changed) {
                self.groups.find_mut(path)?.changed = group.changed;
            }
        }
        Ok(AffectedGroups::All)
    }

    /// The groups that an update of a manager's certificate affects. A manager whose replication is stopped publishes
    /// them alone.
    pub(super) fn certificate_updated(
        &mut self,
        name: &str,
        effects: &mut Vec<Effect>,
        now: Timestamp,
    ) -> AffectedGroups {
        let (Some(stopped), Some(manager)) = (self.stopped.get_mut(name), self.managers.get(name)) else {
            return AffectedGroups::All;
        };
        let site = &mut stopped.site;
        site.managers.insert(name.to_owned(), manager.clone());
        let all = site.groups.iter().map(|(path, _)| path.to_owned()).collect();
        let groups = site.publish_by(&[name.to_owned()], &all, now);
        if let Some(publication) = site.publications.get(name) {
            self.publications.insert(name.to_owned(), Arc::clone(publication));
        }
        effects.push(Effect::Published { groups });
        AffectedGroups::None
    }

    /// A manager as the others know it.
    pub(super) fn as_known<'a>(&'a self, manager: &'a Manager) -> &'a Manager {
        self.stopped.get(&manager.name).map_or(manager, |stopped| &stopped.known_as)
    }
}
