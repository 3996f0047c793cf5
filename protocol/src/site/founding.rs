//! Founds a site: its managers with a certificate each, the default list, the top group and the default group.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::command::check_name;
use super::command_error::CommandError;
use super::group::{DEFAULT_GROUP, DEFAULT_LOCATION, Group, GroupSettings, Groups, TOP_GROUP};
use super::manager::{Manager, ManagerPorts};
use super::state::{Publishing, Site};
use crate::assumption::Assumptions;
use crate::id::{DomainId, GroupId, Guid, ManagerId};
use crate::policy::{
    CommunicationSettings, ManagementServer, ManagementServerList, Protocol, ServerPriority,
};
use crate::time::Timestamp;
use crate::trust::{Kcs, KeyPool};

/// The inputs from which a site is founded.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The name of the site.
    pub name: String,
    /// The seed of the site's identifiers, secret, keys and serial numbers.
    pub seed: u64,
    /// The managers of the site, at least one, each with its name.
    pub managers: Vec<(String, ManagerPorts)>,
    /// The assumptions about undocumented behaviour.
    pub assumptions: Arc<Assumptions>,
}

impl Site {
    /// Founds a site: the top group and the default group, the default list, and a certificate for each manager.
    ///
    /// # Errors
    ///
    /// When there is no manager, two have the same name, or a certificate cannot be made.
    pub fn found(founding: Founding, now: Timestamp) -> Result<Self, CommandError> {
        Self::found_as(founding, Publishing::AtOnce, now)
    }

    pub(super) fn found_as(
        founding: Founding,
        publishing: Publishing,
        now: Timestamp,
    ) -> Result<Self, CommandError> {
        let Founding { name, seed, managers, assumptions } = founding;
        let address = managers.first().map_or(Ipv4Addr::LOCALHOST, |(_, ports)| ports.ipv4());
        let mut site = Self {
            domain: DomainId(Guid::derive(seed, "domain", "Default", address)),
            kcs: Kcs::derive(seed),
            name,
            seed,
            secret_seed: seed,
            keys: KeyPool::of_site(seed),
            keys_used: 0,
            assumptions,
            managers: BTreeMap::new(),
            groups: Groups::default(),
            lists: BTreeMap::new(),
            packages: BTreeMap::new(),
            clients: BTreeMap::new(),
            publications: BTreeMap::new(),
            recoveries: BTreeMap::new(),
            stopped: BTreeMap::new(),
            reinstalled: 0,
            removed_groups: 0,
            clocks: BTreeMap::new(),
            publishing,
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

    fn add_manager(&mut self, name: String, ports: ManagerPorts, now: Timestamp) -> Result<(), CommandError> {
        check_name("manager", &name)?;
        // Files and folders are named after it.
        if name.starts_with('.') || name.contains(['/', '\\']) {
            return Err(CommandError::Invalid {
                field: "manager",
                found: name.chars().take(80).collect(),
                expected: "a name without / and \\ that does not begin with a dot".to_owned(),
            });
        }
        if self.managers.contains_key(&name) {
            return Err(CommandError::NameTaken { kind: "manager", name });
        }
        let identity = self.self_signed(&ports.address.clone(), &ports, None, self.time_at(&name, now))?;
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
}
