//! What the control API says of the site, its lists and its groups.

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
    /// Its name.
    name: String,
    /// Its identifier.
    #[schemars(with = "String")]
    id: SiteId,
    /// The identifier of its domain.
    #[schemars(with = "String")]
    domain: DomainId,
    /// The name of the list that it made by itself.
    default_list: String,
    /// Its managers.
    managers: Vec<ManagerView>,
    /// Where each is found.
    addresses: Vec<Addresses>,
    /// How many clients are registered.
    clients: usize,
}

/// A manager.
#[derive(Debug, Serialize, JsonSchema)]
struct ManagerView {
    /// Its name.
    name: String,
    /// The address that clients are told.
    address: String,
    /// Its port for HTTP.
    http_port: Option<u16>,
    /// Its port for HTTPS.
    https_port: Option<u16>,
    /// The certificate that it shows its clients.
    #[schemars(with = "String")]
    fingerprint: Fingerprint,
    /// Since when it does not replicate with the others; none if it does.
    #[schemars(with = "Option<String>")]
    broken_since: Option<Timestamp>,
}

/// A management server list as the console shows it, with who uses it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ListView {
    /// Its name.
    name: String,
    /// What its clients speak.
    #[schemars(with = "BridgedSchema<Protocol>")]
    protocol: Protocol,
    /// Whether clients hold a server's certificate against its name as well.
    verify_ca: bool,
    /// Its servers, a block for each priority.
    #[schemars(with = "BridgedSchema<Vec<ServerPriority>>")]
    priorities: Vec<ServerPriority>,
    /// Who uses it.
    used_by: Vec<ListUser>,
    /// Whether it is the one that the site made by itself.
    default: bool,
}

/// Who uses a list.
#[derive(Debug, Serialize, JsonSchema)]
struct ListUser {
    /// The group's full path.
    group: String,
    /// The location; the group itself when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

/// A group, with the settings that hold for it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct GroupView {
    /// Its full path.
    group: String,
    /// Its identifier.
    #[schemars(with = "String")]
    id: GroupId,
    /// Whether it takes everything from its parent.
    inherits: bool,
    /// The group whose settings hold for it.
    settings_of: String,
    /// The serial of its policy.
    #[schemars(with = "String")]
    serial: PolicySerial,
    /// The name of its management server list.
    list: String,
    /// Whether its clients authenticate their manager.
    secure_communications: bool,
    /// How its clients keep in touch.
    #[schemars(with = "BridgedSchema<CommunicationSettings>")]
    communication: CommunicationSettings,
    /// The names of its policies.
    policies: Vec<String>,
    /// The packages that its clients should have.
    packages: Vec<String>,
    /// Its locations.
    locations: Vec<LocationView>,
}

/// A location; without a list and settings of its own, the group's hold.
#[derive(Debug, Serialize, JsonSchema)]
struct LocationView {
    /// Its name.
    name: String,
    /// Its identifier.
    #[schemars(with = "String")]
    id: LocationId,
    /// The name of its own list.
    list: Option<String>,
    /// How clients keep in touch there.
    #[schemars(with = "Option<BridgedSchema<CommunicationSettings>>")]
    communication: Option<CommunicationSettings>,
}

impl SiteView {
    pub(super) fn of(site: &Site, addresses: &[Addresses]) -> Self {
        Self {
            name: site.name().to_owned(),
            id: site.id(),
            domain: site.domain(),
            default_list: site.default_list(),
            managers: site.managers().map(|one| ManagerView::of(site, one)).collect(),
            addresses: addresses.to_vec(),
            clients: site.clients().count(),
        }
    }
}

impl ManagerView {
    fn of(site: &Site, one: &Manager) -> Self {
        Self {
            name: one.name.clone(),
            address: one.ports.address.clone(),
            http_port: one.ports.http,
            https_port: one.ports.https,
            fingerprint: one.client.certificate().fingerprint(),
            broken_since: site.replication_stopped_since(&one.name),
        }
    }
}

impl ListView {
    pub(super) fn of(site: &Site, list: &ManagementServerList) -> Self {
        Self::all(site, [list]).pop().unwrap_or_else(|| Self::unused(site, list))
    }

    /// All of these; the groups are gone through once.
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
