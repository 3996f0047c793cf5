//! The site: what its operator has set, and what its managers publish of it.
//!
//! A value with two verbs. [`Site::apply`] takes a command and says what came of it; [`Site::publication`] is all
//! that a manager answers from, immutable. A site knows nothing of sockets, of files, of clients' minds, or of being
//! sabotaged.

mod calls;
mod command;
mod command_book;
mod compose;
mod group;
mod manager;
mod publication;
mod recovery;
mod registry;
mod replication;
mod update;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;

pub use calls::{CallCounter, CallLimit};
pub use command::{Command, CommandError, Effect, Material, NewCertificate, Stores};
pub use command_book::{CommandBook, CommandRow, GivenCommand};
pub use group::{
    DEFAULT_GROUP, DEFAULT_LOCATION, Group, GroupSettings, Groups, Location, LocationSettings, TOP_GROUP,
};
pub use manager::{ConsoleTrouble, Manager, ManagerPorts};
pub use publication::{Answer, Publication, PublishedArtifact, PublishedGroup, Visit, agent_id};
pub use registry::Client;

use command::{check, check_name};
use recovery::Recovery;
use replication::Apart;

use crate::assumption::Assumptions;
use crate::id::{AgentId, DomainId, GroupId, Guid, ManagerId, SiteId};
use crate::policy::{
    CommunicationSettings, ManagementServer, ManagementServerList, Protocol, ServerPriority,
};
use crate::sylink::ClientServer;
use crate::time::Timestamp;
use crate::trust::{Kcs, KeyPool};

/// What a site starts from.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The site's name.
    pub name: String,
    /// The seed of its identifiers and of its secret.
    pub seed: u64,
    /// Its managers, at least one.
    pub managers: Vec<(String, ManagerPorts)>,
    /// Where the keys of self-made certificates come from.
    pub keys: KeyPool,
    /// What nobody documents.
    pub assumptions: Arc<Assumptions>,
}

/// A site.
#[derive(Clone, Debug)]
pub struct Site {
    name: String,
    seed: u64,
    domain: DomainId,
    kcs: Kcs,
    keys: KeyPool,
    keys_used: usize,
    assumptions: Arc<Assumptions>,
    managers: BTreeMap<String, Manager>,
    groups: Groups,
    lists: BTreeMap<String, ManagementServerList>,
    packages: BTreeMap<String, Bytes>,
    clients: BTreeMap<AgentId, Client>,
    publications: BTreeMap<String, Arc<Publication>>,
    recoveries: BTreeMap<String, Recovery>,
    /// The managers that do not replicate with the others.
    apart: BTreeMap<String, Apart>,
    reinstalled: u64,
    removed_groups: u64,
}

/// Which groups a command concerns: their serials advance and they are published anew.
enum Concerns {
    Nobody,
    These(BTreeSet<String>),
    /// The groups for which the settings of this one hold.
    GovernedBy(String),
    /// The groups that use this list, themselves or in a location.
    UsersOf(String),
    Everybody,
}

impl Site {
    /// Founds a site: the top group and the default group, the default list, and a certificate for each manager.
    ///
    /// # Errors
    ///
    /// When there is no manager, or two have one name, or a certificate cannot be made.
    pub fn found(founding: Founding, now: Timestamp) -> Result<Self, CommandError> {
        let Founding { name, seed, managers, keys, assumptions } = founding;
        let address = managers.first().map_or(Ipv4Addr::LOCALHOST, |(_, ports)| ports.ipv4());
        let mut site = Self {
            domain: DomainId(Guid::derive(seed, "domain", "Default", address)),
            kcs: Kcs::derive(seed),
            name,
            seed,
            keys,
            keys_used: 0,
            assumptions,
            managers: BTreeMap::new(),
            groups: Groups::default(),
            lists: BTreeMap::new(),
            packages: BTreeMap::new(),
            clients: BTreeMap::new(),
            publications: BTreeMap::new(),
            recoveries: BTreeMap::new(),
            apart: BTreeMap::new(),
            reinstalled: 0,
            removed_groups: 0,
        };
        for (name, ports) in managers {
            site.add_manager(name, ports, now)?;
        }
        if site.managers.is_empty() {
            return Err(CommandError::Invalid {
                field: "managers",
                found: "none".into(),
                expected: "at least one manager".into(),
            });
        }
        site.found_default_list()?;
        site.found_groups(now);
        site.publish(&site.groups.iter().map(|(path, _)| path.to_owned()).collect(), now);
        Ok(site)
    }

    /// Does what the command says, or refuses and changes nothing.
    ///
    /// # Errors
    ///
    /// When the command names what does not exist, or asks for what cannot be.
    pub fn apply(&mut self, command: &Command, now: Timestamp) -> Result<Vec<Effect>, CommandError> {
        let (mut effects, paths) = self.change(command, now)?;
        self.let_show(&paths, &mut effects, now);
        Ok(effects)
    }

    /// Does what all of these commands say, and publishes once what comes of them; or refuses one, and changes nothing.
    ///
    /// # Errors
    ///
    /// When one of them names what does not exist, or asks for what cannot be.
    pub fn apply_all<'a>(
        &mut self,
        commands: impl IntoIterator<Item = &'a Command>,
        now: Timestamp,
    ) -> Result<Vec<Effect>, CommandError> {
        let mut next = self.clone();
        let (mut effects, mut paths) = (Vec::new(), BTreeSet::new());
        for command in commands {
            let (more, concerned) = next.change(command, now)?;
            effects.extend(more);
            paths.extend(concerned);
        }
        next.let_show(&paths, &mut effects, now);
        *self = next;
        Ok(effects)
    }

    /// Publishes these groups anew, if there are any.
    fn let_show(&mut self, paths: &BTreeSet<String>, effects: &mut Vec<Effect>, now: Timestamp) {
        if !paths.is_empty() {
            let groups = self.publish(paths, now);
            effects.insert(0, Effect::Published { groups });
        }
    }

    /// Does what the command says; the paths are those of the groups that are to be published anew.
    fn change(
        &mut self,
        command: &Command,
        now: Timestamp,
    ) -> Result<(Vec<Effect>, BTreeSet<String>), CommandError> {
        let mut effects = Vec::new();
        let concerns = match command {
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
                Concerns::GovernedBy(group.clone())
            }
            Command::UseGroupCommunication { group, location } => {
                self.groups.own_mut(group)?.location_mut(location)?.own = None;
                Concerns::GovernedBy(group.clone())
            }
            Command::SetSecureCommunications { group, on } => {
                self.groups.own_mut(group)?.secure_communications = *on;
                Concerns::GovernedBy(group.clone())
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
                Concerns::GovernedBy(group.clone())
            }
            Command::AddPackage { package, file } => {
                check_name("package", package)?;
                self.packages.insert(package.clone(), file.content.clone());
                Concerns::Everybody
            }
            Command::AssignPackage { package, group } => self.assign_package(package, group)?,
            Command::UpdateCertificate { manager, certificate, stores } => {
                effects.extend(self.update_certificate(manager, certificate, *stores, now)?);
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
                Concerns::Everybody
            }
            Command::Register(registration) => {
                effects.push(self.register(registration));
                Concerns::Nobody
            }
            Command::NoteConflict { agent } => {
                effects.extend(self.note_conflict(*agent, now));
                Concerns::Nobody
            }
            Command::RemoveClient { agent } => {
                effects.push(self.remove_client(*agent)?);
                Concerns::Nobody
            }
            Command::MoveClient { agent, group } => {
                effects.push(self.move_client(*agent, group)?);
                Concerns::Nobody
            }
        };
        let paths = self.paths(&concerns);
        Ok((effects, paths))
    }

    /// What a manager answers from; none if there is no such manager.
    pub fn publication(&self, manager: &str) -> Option<&Arc<Publication>> {
        self.publications.get(manager)
    }

    /// Whether its managers answer as those of another site do.
    pub fn publishes_as(&self, other: &Self) -> bool {
        let pairs = || self.publications.values().zip(other.publications.values());
        self.publications.len() == other.publications.len()
            && pairs().all(|(one, other)| one.answers_as(other))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its identifier.
    pub fn id(&self) -> SiteId {
        SiteId(self.guid("site", &self.name))
    }

    /// Its domain.
    pub fn domain(&self) -> DomainId {
        self.domain
    }

    /// Its shared secret.
    pub fn kcs(&self) -> &Kcs {
        &self.kcs
    }

    /// What it assumes.
    pub fn assumptions(&self) -> &Arc<Assumptions> {
        &self.assumptions
    }

    /// Its managers by name.
    pub fn managers(&self) -> impl Iterator<Item = &Manager> {
        self.managers.values()
    }

    /// Its groups.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Its management server lists by name.
    pub fn lists(&self) -> impl Iterator<Item = &ManagementServerList> {
        self.lists.values()
    }

    /// The name of the list that the site made by itself [C S17].
    pub fn default_list(&self) -> String {
        format!("Default Management Server List for {}", self.name)
    }

    fn guid(&self, kind: &str, name: &str) -> Guid {
        let address = self.managers.values().next().map_or(Ipv4Addr::LOCALHOST, |one| one.ports.ipv4());
        Guid::derive(self.seed, kind, name, address)
    }

    fn add_manager(&mut self, name: String, ports: ManagerPorts, now: Timestamp) -> Result<(), CommandError> {
        check_name("manager", &name)?;
        if self.managers.contains_key(&name) {
            return Err(CommandError::NameTaken { kind: "manager", name });
        }
        let identity = self.self_signed(&ports.address.clone(), &ports, None, now)?;
        let id = ManagerId(Guid::derive(self.seed, "manager", &name, ports.ipv4()));
        let manager = Manager { id, name: name.clone(), ports, console: identity.clone(), client: identity };
        self.managers.insert(name, manager);
        Ok(())
    }

    fn found_default_list(&mut self) -> Result<(), CommandError> {
        let name = self.default_list();
        let servers = self.managers.keys().map(|manager| ManagementServer::at_its_own(manager)).collect();
        let speaks_https = self.managers.values().all(|manager| manager.ports.https.is_some());
        let protocol = if speaks_https { Protocol::Https } else { Protocol::Http };
        let priorities = vec![ServerPriority(servers)];
        let list = ManagementServerList { name: name.clone(), protocol, verify_ca: false, priorities };
        self.check_list(&list)?;
        self.lists.insert(name, list);
        Ok(())
    }

    fn found_groups(&mut self, now: Timestamp) {
        let own = GroupSettings {
            communication: CommunicationSettings::default(),
            list: self.default_list(),
            secure_communications: self.assumptions.secure_communications_by_default,
            policies: BTreeMap::new(),
            packages: Vec::new(),
            locations: BTreeMap::from([(
                DEFAULT_LOCATION.to_owned(),
                self.new_location(TOP_GROUP, DEFAULT_LOCATION),
            )]),
        };
        for (path, inherits) in [(TOP_GROUP, false), (DEFAULT_GROUP, true)] {
            let id = GroupId(self.guid("group", path));
            self.groups.insert(
                path,
                Group {
                    id,
                    description: None,
                    created: now,
                    inherits,
                    changed: Self::before(now),
                    own: own.clone(),
                },
            );
        }
    }

    fn new_location(&self, group: &str, name: &str) -> Location {
        Location { id: self.new_location_id(group, name), own: None }
    }

    fn add_group(&mut self, path: &str, inherits: bool, now: Timestamp) -> Result<Concerns, CommandError> {
        if self.groups.get(path).is_some() {
            return Err(CommandError::NameTaken { kind: "group", name: path.to_owned() });
        }
        let Some(parent) = group::parent(path) else {
            return Err(CommandError::Invalid {
                field: "group",
                found: path.to_owned(),
                expected: format!("a full path below {TOP_GROUP:?}, like {DEFAULT_GROUP:?}"),
            });
        };
        if path.ends_with('\\') || path.len() > 4096 {
            let expected = "a name of at most 4096 characters in all".to_owned();
            return Err(CommandError::Invalid {
                field: "group",
                found: path.chars().take(80).collect(),
                expected,
            });
        }
        let own = self.groups.effective(parent)?.clone();
        check_name("group", path)?;
        let id = self.new_group_id(path);
        let group = Group { id, description: None, created: now, inherits, changed: Self::before(now), own };
        self.groups.insert(path, group);
        Ok(Concerns::These(BTreeSet::from([path.to_owned()])))
    }

    fn set_inheritance(&mut self, path: &str, inherits: bool) -> Result<Concerns, CommandError> {
        if group::parent(path).is_none() && self.groups.get(path).is_some() {
            return Err(CommandError::TopGroup { group: path.to_owned() });
        }
        let own = self.groups.effective(path)?.clone();
        if self.groups.find(path)?.inherits == inherits {
            return Ok(Concerns::Nobody);
        }
        let governed: BTreeSet<String> = self.groups.governed_by(path).map(str::to_owned).collect();
        let group = self.groups.find_mut(path)?;
        group.inherits = inherits;
        group.own = own;
        Ok(if inherits { Concerns::These(governed) } else { Concerns::GovernedBy(path.to_owned()) })
    }

    fn add_location(&mut self, group: &str, name: &str) -> Result<Concerns, CommandError> {
        let location = self.new_location(group, name);
        let own = self.groups.own_mut(group)?;
        if own.locations.contains_key(name) {
            return Err(CommandError::NameTaken { kind: "location", name: name.to_owned() });
        }
        check_name("location", name)?;
        own.locations.insert(name.to_owned(), location);
        Ok(Concerns::GovernedBy(group.to_owned()))
    }

    fn list(&self, name: &str) -> Result<&ManagementServerList, CommandError> {
        self.lists.get(name).ok_or_else(|| {
            CommandError::unknown("management server list", name, self.lists.keys().map(String::as_str))
        })
    }

    fn copy_list(&mut self, from: &str, to: &str) -> Result<Concerns, CommandError> {
        let copy = ManagementServerList { name: to.to_owned(), ..self.list(from)?.clone() };
        if self.lists.contains_key(to) {
            return Err(CommandError::NameTaken { kind: "management server list", name: to.to_owned() });
        }
        check_name("list", to)?;
        self.lists.insert(to.to_owned(), copy);
        Ok(Concerns::Nobody)
    }

    fn edit_list(
        &mut self,
        name: &str,
        protocol: Option<Protocol>,
        verify_ca: Option<bool>,
        priorities: Option<&[ServerPriority]>,
    ) -> Result<Concerns, CommandError> {
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
        Ok(Concerns::UsersOf(name.to_owned()))
    }

    /// Refuses a list that clients could not read, or that leads nowhere.
    fn check_list(&self, list: &ManagementServerList) -> Result<(), CommandError> {
        if list.priorities.is_empty() || list.priorities.iter().any(|block| block.0.is_empty()) {
            return Err(CommandError::Invalid {
                field: "priorities",
                found: "an empty priority".into(),
                expected: "at least one server in each".into(),
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

    fn refuse_default(&self, name: &str) -> Result<(), CommandError> {
        if name == self.default_list() {
            return Err(CommandError::DefaultList { list: name.to_owned() });
        }
        Ok(())
    }

    fn remove_list(&mut self, name: &str) -> Result<Concerns, CommandError> {
        self.list(name)?;
        self.refuse_default(name)?;
        if let Some(path) = self.paths(&Concerns::UsersOf(name.to_owned())).into_iter().next() {
            return Err(CommandError::ListInUse { list: name.to_owned(), by: path });
        }
        self.lists.remove(name);
        Ok(Concerns::Nobody)
    }

    fn assign_list(
        &mut self,
        list: &str,
        group: &str,
        location: Option<&str>,
    ) -> Result<Concerns, CommandError> {
        self.list(list)?;
        let own = self.groups.own_mut(group)?;
        match location {
            Some(name) => list.clone_into(&mut own.location_settings_mut(name)?.list),
            None => list.clone_into(&mut own.list),
        }
        Ok(Concerns::GovernedBy(group.to_owned()))
    }

    fn assign_package(&mut self, package: &str, group: &str) -> Result<Concerns, CommandError> {
        if !self.packages.contains_key(package) {
            return Err(CommandError::unknown("package", package, self.packages.keys().map(String::as_str)));
        }
        let own = self.groups.own_mut(group)?;
        if !own.packages.iter().any(|one| one == package) {
            own.packages.push(package.to_owned());
        }
        Ok(Concerns::GovernedBy(group.to_owned()))
    }

    /// The paths of the groups that are concerned.
    fn paths(&self, concerns: &Concerns) -> BTreeSet<String> {
        let all = self.groups.iter().map(|(path, _)| path);
        match concerns {
            Concerns::Nobody => BTreeSet::new(),
            Concerns::These(paths) => paths.clone(),
            Concerns::Everybody => all.map(str::to_owned).collect(),
            Concerns::GovernedBy(owner) => self.groups.governed_by(owner).map(str::to_owned).collect(),
            Concerns::UsersOf(list) => {
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

/// Whether these settings name the list, themselves or in a location.
fn uses(own: &GroupSettings, list: &str) -> bool {
    own.list == list || own.locations.values().any(|one| one.own.as_ref().is_some_and(|own| own.list == list))
}

#[cfg(test)]
mod tests;
