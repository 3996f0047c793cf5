//! The settings of a site that trust depends on, and their changes in order: certificates, assigned lists, switches, the secret.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use epm_protocol::policy::{CommunicationSettings, ManagementServerList, Protocol, ServerPriority};
use epm_protocol::site::{Group, GroupSettings, Manager, Site};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Fingerprint, Kcs};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of a site that a rotation changes, or has to restore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotationSettings {
    /// Certificates of each manager, by its name.
    pub managers: BTreeMap<String, ManagerCertificates>,
    /// Settings of each group, by its full path.
    pub groups: BTreeMap<String, GroupState>,
    /// Names of all management server lists.
    pub lists: BTreeSet<String>,
    /// Shared secret of the site, which is compared and never shown.
    #[serde(skip)]
    pub secret: Option<Kcs>,
}

/// Certificates of a manager: SHA-256 fingerprints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ManagerCertificates {
    /// Certificate in the console's store, which the REST API presents.
    #[schemars(with = "String")]
    pub console: Fingerprint,
    /// Certificate in the store of the clients' port, which that port presents.
    #[schemars(with = "String")]
    pub client: Fingerprint,
}

/// Settings in effect for a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupState {
    /// Whether the group inherits everything from its parent.
    pub inherits: bool,
    /// Management server list of the group.
    pub list: ListState,
    /// Whether clients of the group authenticate their manager.
    pub secure_communications: bool,
    /// How clients of the group communicate.
    #[serde(default)]
    pub communication: CommunicationSettings,
    /// How clients communicate in locations with settings of their own, by location.
    #[serde(default)]
    pub location_communication: BTreeMap<String, CommunicationSettings>,
    /// Locations of the group, by name, each with its own list; null where the group's list applies.
    pub locations: BTreeMap<String, Option<ListState>>,
}

/// Management server list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListState {
    /// Name of the list.
    pub name: String,
    /// Protocol that clients use.
    pub protocol: Protocol,
    /// Whether clients also check the server's name against its certificate.
    pub verify_ca: bool,
    /// Servers of the list, one block per priority.
    pub priorities: Vec<ServerPriority>,
}

/// A change of the settings that matter to a rotation.
#[derive(Clone, Debug)]
pub struct Change {
    /// Number of the change; the first one is 1.
    pub number: u64,
    /// Lab time of the change.
    pub at: Timestamp,
    /// Settings before the change.
    pub before: Arc<RotationSettings>,
    /// Settings after the change.
    pub after: Arc<RotationSettings>,
    /// What else is known of the site after the change.
    pub facts: Arc<Facts>,
}

/// What else is known of a site after a change; a difference here alone is no change.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    /// Moment of the last change of each group's policy, by the group's path: a client with an older serial lacks it.
    pub published: BTreeMap<String, Timestamp>,
    /// Managers that do not replicate with the others.
    pub not_replicating: BTreeSet<String>,
    /// Name of a recovery file that has the site's shared secret.
    pub recovery: Option<String>,
}

impl Change {
    /// Change number `number` of this site, from these settings; none if the settings are the same.
    pub fn of(number: u64, at: Timestamp, before: &Arc<RotationSettings>, site: &Site) -> Option<Self> {
        let after = RotationSettings::of(site);
        (**before != after).then(|| Self {
            number,
            at,
            before: Arc::clone(before),
            after: Arc::new(after),
            facts: Arc::new(Facts::of(site)),
        })
    }

    /// Managers whose clients' port got another certificate by this change.
    pub fn updated(&self) -> Vec<&str> {
        let after = self.after.managers.iter();
        let is_new = |(name, now): &(&String, &ManagerCertificates)| {
            self.before.managers.get(*name).is_some_and(|before| before.client != now.client)
        };
        after.filter(is_new).map(|(name, _)| name.as_str()).collect()
    }

    /// Whether this change concerns the switch or the list of clients in this group and location.
    pub fn concerns(&self, group: &str, location: Option<&str>) -> bool {
        let of = |settings: &RotationSettings| {
            let state = settings.groups.get(group)?;
            Some((state.secure_communications, state.list_at(location).clone()))
        };
        of(&self.before) != of(&self.after)
    }
}

impl Facts {
    fn of(site: &Site) -> Self {
        let stopped = site.managers().filter(|one| site.replication_stopped_since(&one.name).is_some());
        Self {
            published: site.groups().iter().map(|(path, group)| (path.to_owned(), group.changed)).collect(),
            not_replicating: stopped.map(|one| one.name.clone()).collect(),
            recovery: site.recovery_with_this_secret().map(str::to_owned),
        }
    }
}

impl RotationSettings {
    /// Settings of this site.
    pub fn of(site: &Site) -> Self {
        let lists: BTreeMap<&str, &ManagementServerList> =
            site.lists().map(|list| (list.name.as_str(), list)).collect();
        let list = |name: &str| lists.get(name).map(|list| ListState::of(list));
        let owners = site.groups().owners();
        let group = |(path, group): (&str, &Group)| {
            let owner = owners.get(path).and_then(|owner| site.groups().get(owner)).unwrap_or(group);
            let GroupSettings { list: name, secure_communications, locations, communication, .. } =
                &owner.own;
            let own = locations.iter().filter_map(|(location, settings)| {
                Some((location.clone(), settings.own.as_ref()?.communication.clone()))
            });
            let locations = locations.iter().map(|(location, settings)| {
                (location.clone(), settings.own.as_ref().and_then(|own| list(&own.list)))
            });
            let state = GroupState {
                inherits: group.inherits,
                list: list(name)?,
                secure_communications: *secure_communications,
                communication: communication.clone(),
                location_communication: own.collect(),
                locations: locations.collect(),
            };
            Some((path.to_owned(), state))
        };
        let certificates = |one: &Manager| {
            let console = one.console.certificate().fingerprint();
            (
                one.name.clone(),
                ManagerCertificates { console, client: one.client.certificate().fingerprint() },
            )
        };
        Self {
            managers: site.managers().map(certificates).collect(),
            groups: site.groups().iter().filter_map(group).collect(),
            lists: lists.into_keys().map(str::to_owned).collect(),
            secret: Some(site.kcs().clone()),
        }
    }
}

impl ListState {
    fn of(list: &ManagementServerList) -> Self {
        let ManagementServerList { name, protocol, verify_ca, priorities } = list;
        Self {
            name: name.clone(),
            protocol: *protocol,
            verify_ca: *verify_ca,
            priorities: priorities.clone(),
        }
    }

    /// Names of the managers in the list.
    pub fn managers(&self) -> BTreeSet<&str> {
        self.priorities.iter().flat_map(|block| &block.0).map(|server| server.manager.as_str()).collect()
    }
}

impl GroupState {
    /// How clients at this location, or at the default one, communicate.
    pub fn communication_at(&self, location: Option<&str>) -> &CommunicationSettings {
        location.and_then(|name| self.location_communication.get(name)).unwrap_or(&self.communication)
    }

    /// The list that applies at this location, or at the default one.
    pub fn list_at(&self, location: Option<&str>) -> &ListState {
        let own = location.and_then(|name| self.locations.get(name)?.as_ref());
        own.unwrap_or(&self.list)
    }
}
