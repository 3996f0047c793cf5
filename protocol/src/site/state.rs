//! The state of a site: everything that its operator has set, and everything that it publishes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;

use super::client::RegisteredClient;
use super::command_error::CommandError;
use super::group::{GroupSettings, Groups};
use super::manager::{Manager, ManagerPorts};
use super::publication::Publication;
use crate::assumption::Assumptions;
use crate::id::{AgentId, DomainId, Guid, SiteId};
use crate::policy::ManagementServerList;
use crate::time::Timestamp;
use crate::trust::{Fingerprint, Kcs, KeyPool, ServerIdentity};

/// A site: its settings, its managers and their publications.
#[derive(Clone, Debug)]
pub struct Site {
    pub(super) name: String,
    /// The seed of identifiers.
    pub(super) seed: u64,
    /// The seed of keys, serial numbers and secrets.
    pub(super) secret_seed: u64,
    pub(super) domain: DomainId,
    pub(super) kcs: Kcs,
    pub(super) keys: KeyPool,
    pub(super) keys_used: usize,
    pub(super) assumptions: Arc<Assumptions>,
    pub(super) managers: BTreeMap<String, Manager>,
    pub(super) groups: Groups,
    pub(super) lists: BTreeMap<String, ManagementServerList>,
    pub(super) packages: BTreeMap<String, Bytes>,
    pub(super) clients: BTreeMap<AgentId, RegisteredClient>,
    pub(super) publications: BTreeMap<String, Arc<Publication>>,
    pub(super) recoveries: BTreeMap<String, Recovery>,
    /// The managers that do not replicate with the others, by name.
    pub(super) stopped: BTreeMap<String, StoppedReplication>,
    pub(super) reinstalled: u64,
    pub(super) removed_groups: u64,
    /// The deviation of managers' clocks in milliseconds, where it is not zero.
    pub(super) clocks: BTreeMap<String, i64>,
    pub(super) publishing: Publishing,
}

/// How much a site has drawn: none of it comes a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Drawn {
    /// The number of keys and serial numbers.
    keys: usize,
    /// How often a manager was reinstalled.
    reinstalled: u64,
    /// The number of groups that were removed.
    removed_groups: u64,
}

/// When a site renders what it publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Publishing {
    /// After each command.
    AtOnce,
    /// Once, at the end of a replay: commands only advance the serials.
    AtTheEnd,
}

/// A recovery file.
#[derive(Clone, Debug)]
pub(super) struct Recovery {
    /// The keystores of each manager, by its name.
    pub(super) keystores: BTreeMap<String, Keystore>,
    pub(super) secret: Kcs,
    pub(super) domain: DomainId,
}

/// The certificates in both stores of a manager.
#[derive(Clone, Debug)]
pub(super) struct Keystore {
    pub(super) console: ServerIdentity,
    pub(super) client: ServerIdentity,
}

/// A manager that does not replicate with the others.
#[derive(Clone, Debug)]
pub(super) struct StoppedReplication {
    pub(super) since: Timestamp,
    /// The site as this manager knows it.
    pub(super) site: Box<Site>,
    /// The broken-off manager as the others know it.
    pub(super) known_as: Manager,
}

/// The groups that a command affects: their serials advance, and they are published anew.
pub(super) enum AffectedGroups {
    None,
    These(BTreeSet<String>),
    /// The groups to which the settings of this one apply.
    GovernedBy(String),
    /// The groups that use this list, directly or in a location.
    UsersOf(String),
    All,
}

impl Site {
    /// The publication from which a manager answers; none if there is no such manager.
    pub fn publication(&self, manager: &str) -> Option<&Arc<Publication>> {
        self.publications.get(manager)
    }

    /// Whether the managers of this site answer as those of the other one do.
    pub fn publishes_as(&self, other: &Self) -> bool {
        let pairs = || self.publications.values().zip(other.publications.values());
        self.publications.len() == other.publications.len()
            && pairs().all(|(one, other)| one.answers_as(other))
    }

    /// Sets the managers' clocks wrong, by this many milliseconds: a certificate that a manager makes is valid from the time
    /// that its clock shows. The clocks of all other managers are right.
    pub fn set_clocks(&mut self, deviations: BTreeMap<String, i64>) {
        for stopped in self.stopped.values_mut() {
            stopped.site.set_clocks(deviations.clone());
        }
        self.clocks = deviations;
    }

    /// The deviation of managers' clocks in milliseconds, where they are wrong.
    pub fn clocks(&self) -> &BTreeMap<String, i64> {
        &self.clocks
    }

    /// The time that a manager's clock shows now.
    pub(super) fn time_at(&self, manager: &str, now: Timestamp) -> Timestamp {
        let deviation = self.clocks.get(manager).copied().unwrap_or(0);
        Timestamp::from_millis(now.as_millis().saturating_add(deviation))
    }

    /// Goes on after all that another state of this site has drawn: a site that is put back to an earlier state makes no
    /// key, serial number, secret or identifier a second time.
    pub fn draw_after(&mut self, other: &Self) {
        self.draw_on_after(other.drawn());
    }

    /// What this site has drawn so far.
    pub(super) const fn drawn(&self) -> Drawn {
        Drawn { keys: self.keys_used, reinstalled: self.reinstalled, removed_groups: self.removed_groups }
    }

    /// Goes on after all of this.
    pub(super) fn draw_on_after(&mut self, drawn: Drawn) {
        self.keys_used = self.keys_used.max(drawn.keys);
        self.reinstalled = self.reinstalled.max(drawn.reinstalled);
        self.removed_groups = self.removed_groups.max(drawn.removed_groups);
    }

    /// Goes on from the files of an earlier run with this certificate: what is drawn from now on follows from it as well as
    /// from the seed, from which alone the earlier run may have drawn.
    pub fn draw_on_from(&mut self, certificate: Fingerprint) {
        self.secret_seed = self.seed_of("earlier run", &certificate.to_string());
        self.keys = KeyPool::of_site(self.secret_seed);
    }

    /// The name of the site.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The identifier of the site.
    pub fn id(&self) -> SiteId {
        SiteId(self.guid("site", &self.name))
    }

    /// The default domain of the site.
    pub fn domain(&self) -> DomainId {
        self.domain
    }

    /// The shared secret of the site.
    pub fn kcs(&self) -> &Kcs {
        &self.kcs
    }

    /// The assumptions about undocumented behaviour that hold in this site.
    pub fn assumptions(&self) -> &Arc<Assumptions> {
        &self.assumptions
    }

    /// The content of a client package.
    pub fn package(&self, name: &str) -> Option<&Bytes> {
        self.packages.get(name)
    }

    /// The reason why the console cannot log in, for each manager where it cannot.
    pub fn console_troubles(&self) -> BTreeMap<String, String> {
        let trouble =
            |one: &Manager| Some((one.name.clone(), one.console_trouble(&self.assumptions)?.to_string()));
        self.managers().filter_map(trouble).collect()
    }

    /// The managers of the site, by name.
    pub fn managers(&self) -> impl Iterator<Item = &Manager> {
        self.managers.values()
    }

    /// The ports at which each manager serves clients.
    pub fn clients_ports(&self) -> BTreeMap<String, Vec<u16>> {
        let ports = |one: &ManagerPorts| BTreeSet::from_iter(one.http.into_iter().chain(one.https));
        self.managers().map(|one| (one.name.clone(), ports(&one.ports).into_iter().collect())).collect()
    }

    /// The groups of the site.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The management server lists of the site, by name.
    pub fn lists(&self) -> impl Iterator<Item = &ManagementServerList> {
        self.lists.values()
    }

    /// The name of the list that the site makes itself [C S17].
    pub fn default_list(&self) -> String {
        format!("Default Management Server List for {}", self.name)
    }

    pub(super) fn guid(&self, kind: &str, name: &str) -> Guid {
        let address = self.managers.values().next().map_or(Ipv4Addr::LOCALHOST, |one| one.ports.ipv4());
        Guid::derive(self.seed, kind, name, address)
    }

    pub(super) fn find_manager(&self, name: &str) -> Result<&Manager, CommandError> {
        let known = self.managers.keys().map(String::as_str);
        self.managers.get(name).ok_or_else(|| CommandError::unknown("manager", name, known))
    }

    pub(super) fn list(&self, name: &str) -> Result<&ManagementServerList, CommandError> {
        self.lists.get(name).ok_or_else(|| {
            CommandError::unknown("management server list", name, self.lists.keys().map(String::as_str))
        })
    }

    /// The paths of the affected groups.
    pub(super) fn paths(&self, affected: &AffectedGroups) -> BTreeSet<String> {
        let all = self.groups.iter().map(|(path, _)| path);
        match affected {
            AffectedGroups::None => BTreeSet::new(),
            AffectedGroups::These(paths) => paths.clone(),
            AffectedGroups::All => all.map(str::to_owned).collect(),
            AffectedGroups::GovernedBy(owner) => self.groups.governed_by(owner).map(str::to_owned).collect(),
            AffectedGroups::UsersOf(list) => {
                let users: BTreeSet<&str> = self
                    .groups
                    .iter()
                    .filter(|(_, group)| !group.inherits && uses(&group.own, list))
                    .map(|(path, _)| path)
                    .collect();
                let owners = self.groups.owners();
                let is_user = |path: &&str| owners.get(path).is_some_and(|owner| users.contains(owner));
                all.filter(is_user).map(str::to_owned).collect()
            }
        }
    }
}

/// Whether these settings name the list, directly or in a location.
fn uses(own: &GroupSettings, list: &str) -> bool {
    own.list == list || own.locations.values().any(|one| one.own.as_ref().is_some_and(|own| own.list == list))
}
