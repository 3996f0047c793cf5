//! Views of the site, its lists and its groups for the control API.

use std::collections::BTreeMap;

use epm_protocol::id::{DomainId, GroupId, LocationId, SiteId};
use epm_protocol::policy::{
    CommunicationSettings, ManagementServerList, PolicySerial, Protocol, ServerPriority,
};
use epm_protocol::site::{Group, Location, Manager, Site};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::Serialize;

use crate::Addresses;
use crate::schema::BridgedSchema;

/// The site and its managers.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SiteView {
    /// Name of the site.
    name: String,
    /// Identifier of the site.
    #[schemars(with = "String")]
    id: SiteId,
    /// Identifier of the domain.
    #[schemars(with = "String")]
    domain: DomainId,
    /// Name of the default management server list.
    default_list: String,
    /// Managers of the site.
    managers: Vec<ManagerView>,
    /// Addresses of each manager.
    addresses: Vec<Addresses>,
    /// Number of registered clients.
    clients: usize,
}

/// A manager.
#[derive(Debug, Serialize, JsonSchema)]
struct ManagerView {
    /// Name of the manager.
    name: String,
    /// Address that is published to clients.
    address: String,
    /// Port for HTTP.
    http_port: Option<u16>,
    /// Port for HTTPS.
    https_port: Option<u16>,
    /// SHA-256 fingerprint of the certificate that it presents to clients.
    #[schemars(with = "String")]
    fingerprint: Fingerprint,
    /// Lab time since which the manager has not replicated; absent while it replicates.
    #[schemars(with = "Option<String>")]
    broken_since: Option<Timestamp>,
}

/// A management server list as in the console, with its assignments.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ListView {
    /// Name of the list.
    name: String,
    /// Protocol that clients use.
    #[schemars(with = "BridgedSchema<Protocol>")]
    protocol: Protocol,
    /// Whether clients also check the server's name against its certificate.
    verify_ca: bool,
    /// Servers of the list, one block per priority.
    #[schemars(with = "BridgedSchema<Vec<ServerPriority>>")]
    priorities: Vec<ServerPriority>,
    /// Groups and locations that use the list.
    used_by: Vec<ListUser>,
    /// Whether this is the site's default list.
    default: bool,
}

/// A group or location that uses a list.
#[derive(Debug, Serialize, JsonSchema)]
struct ListUser {
    /// Full path of the group.
    group: String,
    /// Location; absent for the group itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

/// A group and the settings in effect for it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct GroupView {
    /// Full path of the group.
    group: String,
    /// Identifier of the group.
    #[schemars(with = "String")]
    id: GroupId,
    /// Whether the group inherits everything from its parent.
    inherits: bool,
    /// Full path of the group that the settings come from.
    settings_of: String,
    /// Serial number of the policy.
    #[schemars(with = "String")]
    serial: PolicySerial,
    /// Name of the management server list.
    list: String,
    /// Whether clients authenticate their manager.
    secure_communications: bool,
    /// Communication settings of the clients.
    #[schemars(with = "BridgedSchema<CommunicationSettings>")]
    communication: CommunicationSettings,
    /// Names of the policies.
    policies: Vec<String>,
    /// Names of the packages that clients should have.
    packages: Vec<String>,
    /// Locations of the group.
    locations: Vec<LocationView>,
}

/// A location. Without its own list and settings, those of the group apply.
#[derive(Debug, Serialize, JsonSchema)]
struct LocationView {
    /// Name of the location.
    name: String,
    /// Identifier of the location.
    #[schemars(with = "String")]
    id: LocationId,
    /// Name of the location's own list.
    list: Option<String>,
    /// Communication settings of the location itself.
    #[schemars(with = "Option<BridgedSchema<CommunicationSettings>>")]
    communication: Option<CommunicationSettings>,
}

impl SiteView {
    /// View of a site whose managers present these certificates.
    pub(super) fn of(site: &Site, addresses: &[Addresses], served: &BTreeMap<String, Fingerprint>) -> Self {
        Self {
            name: site.name().to_owned(),
            id: site.id(),
            domain: site.domain(),
            default_list: site.default_list(),
            managers: site.managers().filter_map(|one| ManagerView::of(site, one, served)).collect(),
            addresses: addresses.to_vec(),
            clients: site.clients().count(),
        }
    }
}

impl ManagerView {
    fn of(site: &Site, one: &Manager, served: &BTreeMap<String, Fingerprint>) -> Option<Self> {
        Some(Self {
            name: one.name.clone(),
            address: one.ports.address.clone(),
            http_port: one.ports.http,
            https_port: one.ports.https,
            fingerprint: *served.get(&one.name)?,
            broken_since: site.replication_stopped_since(&one.name),
        })
    }
}

impl ListView {
    pub(super) fn of(site: &Site, list: &ManagementServerList) -> Self {
        Self::all(site, [list]).pop().unwrap_or_else(|| Self::unused(site, list))
    }

    /// Views of all these lists, in one pass over the groups.
    pub(super) fn all<'a>(
        site: &Site,
        lists: impl IntoIterator<Item = &'a ManagementServerList>,
    ) -> Vec<Self> {
        let mut users = BTreeMap::<&str, Vec<ListUser>>::new();
        for (path, group) in site.groups().iter().filter(|(_, group)| !group.inherits) {
            let mut uses = |list, location: Option<&String>| {
                let user = ListUser { group: path.to_owned(), location: location.cloned() };
                users.entry(list).or_default().push(user);
            };
            uses(group.own.list.as_str(), None);
            for (name, location) in &group.own.locations {
                if let Some(own) = &location.own {
                    uses(own.list.as_str(), Some(name));
                }
            }
        }
        let view = |list: &ManagementServerList| Self {
            used_by: users.remove(list.name.as_str()).unwrap_or_default(),
            ..Self::unused(site, list)
        };
        lists.into_iter().map(view).collect()
    }

    fn unused(site: &Site, list: &ManagementServerList) -> Self {
        Self {
            name: list.name.clone(),
            protocol: list.protocol,
            verify_ca: list.verify_ca,
            priorities: list.priorities.clone(),
            used_by: Vec::new(),
            default: list.name == site.default_list(),
        }
    }
}

impl GroupView {
    pub(super) fn all(site: &Site) -> Vec<Self> {
        let owners = site.groups().owners();
        let owner = |path| owners.get(path).copied().unwrap_or(path);
        site.groups().iter().map(|(path, group)| Self::owned(site, path, group, owner(path))).collect()
    }

    pub(super) fn of(site: &Site, path: &str, group: &Group) -> Self {
        Self::owned(site, path, group, site.groups().owner(path).unwrap_or(path))
    }

    fn owned(site: &Site, path: &str, group: &Group, owner: &str) -> Self {
        let own = site.groups().find(owner).map_or(&group.own, |owner| &owner.own);
        Self {
            group: path.to_owned(),
            id: group.id,
            inherits: group.inherits,
            settings_of: owner.to_owned(),
            serial: PolicySerial::new(group.id, group.changed),
            list: own.list.clone(),
            secure_communications: own.secure_communications,
            communication: own.communication.clone(),
            policies: own.policies.keys().cloned().collect(),
            packages: own.packages.clone(),
            locations: own.locations.iter().map(LocationView::of).collect(),
        }
    }
}

impl LocationView {
    fn of((name, location): (&String, &Location)) -> Self {
        let own = location.own.as_ref();
        Self {
            name: name.clone(),
            id: location.id,
            list: own.map(|own| own.list.clone()),
            communication: own.map(|own| own.communication.clone()),
        }
    }
}
