//! Replication between managers, broken and restored.
//!
//! In the product sites replicate, each with a database of its own, and the vendor has it broken before a server certificate is
//! changed [C S3], so that what one side publishes does not reach the clients of the other. Here it is managers that replicate.
//! One that is apart goes on with what it knew when replication broke; of all that is done since it learns what is done to
//! its own certificate, and of that nobody else learns. Whatever else is done is done at the others. When replication is
//! restored, all of it is published by everybody. Who is registered is known to all at any time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::{CommandError, Effect};
use super::manager::Manager;
use super::state::{Apart, Concerns, Site};
use crate::time::Timestamp;

impl Site {
    /// Whether a manager replicates with the others; since when it does not.
    pub fn apart_since(&self, manager: &str) -> Option<Timestamp> {
        self.apart.get(manager).map(|one| one.since)
    }

    /// The managers that replicate with this one.
    pub fn partners<'a>(&'a self, manager: &'a str) -> impl Iterator<Item = &'a Manager> {
        let is_apart = self.apart.contains_key(manager);
        self.managers().filter(move |one| {
            !is_apart && one.name != manager && !self.apart.contains_key(one.name.as_str())
        })
    }

    pub(super) fn break_replication(&mut self, name: &str, now: Timestamp) -> Result<Concerns, CommandError> {
        let known_as = self.find_manager(name)?.clone();
        if self.managers.len() < 2 {
            return Err(CommandError::Invalid {
                field: "manager",
                found: name.to_owned(),
                expected: "one of several: a manager alone replicates with nobody".to_owned(),
            });
        }
        if self.apart.contains_key(name) {
            return Ok(Concerns::Nobody);
        }
        let mut knows = Self { clients: BTreeMap::new(), recoveries: BTreeMap::new(), ..self.clone() };
        for (other, apart) in std::mem::take(&mut knows.apart) {
            knows.managers.insert(other, apart.known_as);
        }
        knows.publications.retain(|one, _| one == name);
        self.apart.insert(name.to_owned(), Apart { since: now, knows: Box::new(knows), known_as });
        Ok(Concerns::Nobody)
    }

    pub(super) fn restore_replication(&mut self, name: &str) -> Result<Concerns, CommandError> {
        self.find_manager(name)?;
        let Some(apart) = self.apart.remove(name) else { return Ok(Concerns::Nobody) };
        // Whatever is published now is newer than all that this manager has published by itself.
        for (path, group) in apart.knows.groups.iter() {
            if self.groups.get(path).is_some_and(|ours| ours.id == group.id && ours.changed < group.changed) {
                self.groups.find_mut(path)?.changed = group.changed;
            }
        }
        Ok(Concerns::Everybody)
    }

    /// The certificate of a manager was updated: whom that concerns. A manager that is apart publishes it alone.
    pub(super) fn certificate_updated(
        &mut self,
        name: &str,
        effects: &mut Vec<Effect>,
        now: Timestamp,
    ) -> Concerns {
        let (Some(apart), Some(manager)) = (self.apart.get_mut(name), self.managers.get(name)) else {
            return Concerns::Everybody;
        };
        let knows = &mut apart.knows;
        knows.managers.insert(name.to_owned(), manager.clone());
        let all = knows.groups.iter().map(|(path, _)| path.to_owned()).collect();
        let groups = knows.publish_by(&[name.to_owned()], &all, now);
        if let Some(publication) = knows.publications.get(name) {
            self.publications.insert(name.to_owned(), Arc::clone(publication));
        }
        effects.push(Effect::Published { groups });
        Concerns::Nobody
    }

    /// A manager as the others know it.
    pub(super) fn as_known<'a>(&'a self, manager: &'a Manager) -> &'a Manager {
        self.apart.get(&manager.name).map_or(manager, |apart| &apart.known_as)
    }
}
