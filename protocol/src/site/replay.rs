//! Repeats the recorded changes of a site, and so makes the site that they made: keys, serial numbers, identifiers and
//! publications follow from the founding and the changes alone.
//!
//! Registered clients are no part of it. Their records are handed in at the end: a site may have many more of them than
//! changes, and no command of an operator depends on them once it has been accepted. Nothing is rendered before the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::client::RegisteredClient;
use super::command::{Command, Stores};
use super::command_error::CommandError;
use super::effect::Effect;
use super::founding::Founding;
use super::state::{Drawn, Publishing, Site};
use crate::assumption::Assumptions;
use crate::time::Timestamp;
use crate::trust::{Fingerprint, Kcs};

/// A site whose recorded changes are repeated. It publishes nothing and has no clients until [`Replay::finish`].
#[derive(Clone, Debug)]
pub struct Replay(Site);

impl Replay {
    /// Founds the site again, with the time at which it was founded.
    ///
    /// # Errors
    ///
    /// As [`Site::found`].
    pub fn begin(founding: Founding, now: Timestamp) -> Result<Self, CommandError> {
        Site::found_as(founding, Publishing::AtTheEnd, now).map(Self)
    }

    /// The site so far. Its policies are published at the end.
    pub const fn site(&self) -> &Site {
        &self.0
    }

    /// Repeats commands that took effect together, with the time and the deviations of the managers' clocks at which they
    /// did. Commands that change nothing but records of clients are skipped.
    ///
    /// # Errors
    ///
    /// When the site refuses a command that it had accepted; it is of no use then.
    pub fn repeat(
        &mut self,
        commands: &[Command],
        clocks: &BTreeMap<String, i64>,
        now: Timestamp,
    ) -> Result<(), CommandError> {
        if self.0.clocks() != clocks {
            self.0.set_clocks(clocks.clone());
        }
        let mut paths = BTreeSet::new();
        for command in commands.iter().filter(|one| !is_of_clients(one)) {
            paths.extend(self.0.change(command, now)?.1);
        }
        self.0.publish_affected(&paths, &mut Vec::new(), now);
        Ok(())
    }

    /// Repeats a change of the assumptions.
    pub fn assume(&mut self, assumptions: Arc<Assumptions>) {
        self.0.assume(assumptions);
    }

    /// Repeats [`Site::draw_on_from`].
    pub fn draw_on_from(&mut self, certificate: Fingerprint) {
        self.0.draw_on_from(certificate);
    }

    /// Repeats that the site was put back to an earlier state of it, with these assumptions if others were given to it, after it
    /// had drawn all this.
    pub fn restore(&mut self, mut earlier: Self, assumptions: Option<Arc<Assumptions>>, drawn: Drawn) {
        if let Some(assumptions) = assumptions {
            earlier.assume(assumptions);
        }
        earlier.0.draw_on_after(self.0.drawn());
        earlier.0.draw_on_after(drawn);
        *self = earlier;
    }

    /// What the site has drawn so far.
    pub const fn drawn(&self) -> Drawn {
        self.0.drawn()
    }

    /// The assumptions that hold now.
    pub fn assumptions(&self) -> &Arc<Assumptions> {
        self.0.assumptions()
    }

    /// The shared secret of the site.
    pub fn secret(&self) -> &Kcs {
        self.0.kcs()
    }

    /// The certificate in a store of a manager; that of the clients' port for both.
    pub fn certificate(&self, manager: &str, stores: Stores) -> Option<Fingerprint> {
        let manager = self.0.managers.get(manager)?;
        let identity = if stores == Stores::Console { &manager.console } else { &manager.client };
        Some(identity.certificate().fingerprint())
    }

    /// The site that the changes made, with these clients.
    pub fn finish(self, clients: impl IntoIterator<Item = RegisteredClient>) -> Site {
        let mut site = self.0;
        site.publishing = Publishing::AtOnce;
        site.clients = clients.into_iter().map(|client| (client.agent, client)).collect();
        let replicating = site.managers.keys().filter(|name| !site.stopped.contains_key(*name));
        site.publish_unchanged(&replicating.cloned().collect::<Vec<_>>());
        for (name, stopped) in &mut site.stopped {
            let own = &mut stopped.site;
            own.publishing = Publishing::AtOnce;
            own.publish_unchanged(std::slice::from_ref(name));
            if let Some(publication) = own.publications.get(name) {
                site.publications.insert(name.clone(), Arc::clone(publication));
            }
        }
        site
    }
}

impl Site {
    /// Repeats commands that another process of the site has applied, with the time and the deviations of the managers' clocks
    /// at which it did, and publishes. Records of clients are left alone, unless all are forgotten: they follow by themselves.
    ///
    /// # Errors
    ///
    /// When the site refuses a command that the other process had accepted; nothing has changed then.
    pub fn follow(
        &mut self,
        commands: &[Command],
        clocks: &BTreeMap<String, i64>,
        now: Timestamp,
    ) -> Result<Vec<Effect>, CommandError> {
        let mut next = self.clone();
        if next.clocks() != clocks {
            next.set_clocks(clocks.clone());
        }
        // The other process may not have known these yet, so no decision may depend on them.
        let clients = std::mem::take(&mut next.clients);
        let (mut effects, mut paths) = (Vec::new(), BTreeSet::new());
        for command in commands.iter().filter(|one| !is_of_clients(one)) {
            let (more, affected) = next.change(command, now)?;
            effects.extend(more);
            paths.extend(affected);
        }
        if !effects.contains(&Effect::ClientsForgotten) {
            next.clients = clients;
        }
        next.publish_affected(&paths, &mut effects, now);
        *self = next;
        Ok(effects)
    }
}

/// Whether a command changes nothing but records of clients.
pub(super) const fn is_of_clients(command: &Command) -> bool {
    use Command as C;
    matches!(command, C::Register(_) | C::NoteConflict { .. } | C::RemoveClient { .. } | C::MoveClient { .. })
}
