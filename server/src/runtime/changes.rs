//! The changes of a site that matter to a rotation, in order: certificates, assigned lists, and switches.
//!
//! Recorded while the site is locked, so that no change is missed, through whichever API or file it came. Bounded: it
//! reports how many changes it has dropped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use epm_protocol::policy::{ManagementServerList, Protocol, ServerPriority};
use epm_protocol::site::{Group, GroupSettings, Manager, Site};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::BridgedSchema;

/// Number of changes that are kept.
pub(crate) const MOST: usize = 1000;

/// Settings of a site that a rotation changes, or has to restore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotationSettings {
    /// Certificates of each manager, by its name.
    pub managers: BTreeMap<String, ManagerCertificates>,
    /// Settings of each group, by its full path.
    pub groups: BTreeMap<String, GroupState>,
    /// Names of all management server lists.
    pub lists: BTreeSet<String>,
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
    /// Locations of the group, by name, each with its own list; null where the group's list applies.
    pub locations: BTreeMap<String, Option<ListState>>,
}

/// Management server list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListState {
    /// Name of the list.
    pub name: String,
    /// Protocol that clients use.
    #[schemars(with = "BridgedSchema<Protocol>")]
    pub protocol: Protocol,
    /// Whether clients also check the server's name against its certificate.
    pub verify_ca: bool,
    /// Servers of the list, one block per priority.
    #[schemars(with = "BridgedSchema<Vec<ServerPriority>>")]
    pub priorities: Vec<ServerPriority>,
}

/// A change of the settings that matter to a rotation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    /// Number of the change; the first one is 1.
    pub number: u64,
    /// Lab time of the change.
    pub at: Timestamp,
    /// Settings before the change.
    pub before: Arc<RotationSettings>,
    /// Settings after the change.
    pub after: Arc<RotationSettings>,
}

/// The changes of a site, oldest first.
#[derive(Debug)]
pub struct Changes {
    /// Number of changes so far.
    count: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    now: Arc<RotationSettings>,
    changes: VecDeque<Change>,
}

impl Changes {
    pub(crate) fn new(site: &Site) -> Self {
        let now = Arc::new(RotationSettings::of(site));
        Self { count: AtomicU64::new(0), kept: Mutex::new(Kept { now, changes: VecDeque::new() }) }
    }

    /// Number of changes so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Changes after the one with this number, oldest first; none if some of them were dropped.
    pub fn after(&self, number: u64) -> Option<Vec<Change>> {
        let kept = self.kept.lock();
        let found: Vec<Change> = kept.changes.iter().filter(|one| one.number > number).cloned().collect();
        let expected = self.count().saturating_sub(number);
        (found.len() as u64 == expected).then_some(found)
    }

    /// Continues with the changes of an earlier run, of which there were `count`; `changes` are the latest of them.
    pub(crate) fn go_on_from(&self, count: u64, changes: Vec<Change>) {
        self.count.store(count, Ordering::SeqCst);
        self.kept.lock().changes = changes.into();
    }

    /// The kept changes after the one with this number.
    pub(crate) fn kept_after(&self, number: u64) -> Vec<Change> {
        self.kept.lock().changes.iter().filter(|one| one.number > number).cloned().collect()
    }

    /// Records a change, if the settings differ from the last known ones.
    pub(crate) fn note(&self, site: &Site, now: Timestamp) {
        let settings = RotationSettings::of(site);
        let mut kept = self.kept.lock();
        if *kept.now == settings {
            return;
        }
        let (before, after) = (Arc::clone(&kept.now), Arc::new(settings));
        kept.now = Arc::clone(&after);
        if kept.changes.len() == MOST {
            kept.changes.pop_front();
        }
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        kept.changes.push_back(Change { number, at: now, before, after });
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
            let GroupSettings { list: name, secure_communications, locations, .. } = &owner.own;
            let locations = locations.iter().map(|(location, settings)| {
                (location.clone(), settings.own.as_ref().and_then(|own| list(&own.list)))
            });
            let state = GroupState {
                inherits: group.inherits,
                list: list(name)?,
                secure_communications: *secure_communications,
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
}

impl GroupState {
    /// The list that applies at this location, or at the default one.
    pub fn list_at(&self, location: Option<&str>) -> &ListState {
        let own = location.and_then(|name| self.locations.get(name)?.as_ref());
        own.unwrap_or(&self.list)
    }
}
