//! State of the REST API that clients do not see: fingerprint lists, assigned policies, external communication,
//! acknowledged events. Shared by all managers of a site under one lock. Bounded, since additions beyond the limits
//! are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};

use epm_protocol::id::{GroupId, Guid, LocationId};
use epm_protocol::time::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Maximum number of fingerprint lists.
pub(crate) const MOST_LISTS: usize = 2_000;
/// Maximum number of fingerprints in all lists.
pub(crate) const MOST_FINGERPRINTS: usize = 1_000_000;
/// Maximum number of administrators.
pub(crate) const MOST_ADMINISTRATORS: usize = 1_000;
/// Maximum number of exceptions policies, and of host groups.
pub(crate) const MOST_OBJECTS: usize = 1_000;
/// Maximum number of bytes of all exceptions policies and host groups together, as JSON.
pub(crate) const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Stored state of the REST API.
#[derive(Debug, Default)]
pub(crate) struct RestStore {
    kept: Mutex<Stored>,
    /// Grows whenever the stored state may have changed.
    revision: AtomicU64,
    /// Held while site and store are changed together.
    changing: Mutex<()>,
}

/// The stored state.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Time at which the first REST API of the site was opened.
    pub(crate) founded: Option<Timestamp>,
    /// Number of objects created.
    pub(crate) made: u64,
    /// Fingerprint lists by identifier.
    pub(crate) fingerprints: BTreeMap<Guid, FingerprintList>,
    /// Assigned policies that differ from the initial ones.
    #[serde(with = "pairs")]
    pub(crate) assigned: BTreeMap<(GroupId, LocationId, String), Guid>,
    /// External communication settings of groups and locations, where set.
    #[serde(with = "pairs")]
    pub(crate) external: BTreeMap<(GroupId, Option<LocationId>), Map<String, Value>>,
    /// Acknowledged events.
    pub(crate) acknowledged: BTreeSet<Guid>,
    /// Lock settings of administrators.
    pub(crate) locks: BTreeMap<Guid, Lock>,
    /// Failed log-ins of administrators since the last successful one.
    pub(crate) failed: BTreeMap<Guid, FailedLogIns>,
    /// Exceptions policies that were created or changed.
    pub(crate) exceptions: BTreeMap<Guid, ExceptionsPolicy>,
    /// Host groups by identifier, as the REST API shows them.
    pub(crate) host_groups: BTreeMap<Guid, HostGroup>,
}

impl Stored {
    /// Whether one more exceptions policy or host group fits.
    pub(crate) fn has_room_for(&self, more: &impl Serialize) -> bool {
        let all = serde_json::to_vec(&(&self.exceptions, &self.host_groups, more));
        all.is_ok_and(|json| json.len() <= MOST_BYTES)
    }
}

/// The stored state, locked.
pub(crate) struct StoredGuard<'a> {
    stored: MutexGuard<'a, Stored>,
    revision: &'a AtomicU64,
}

impl Deref for StoredGuard<'_> {
    type Target = Stored;

    fn deref(&self) -> &Stored {
        &self.stored
    }
}

impl DerefMut for StoredGuard<'_> {
    fn deref_mut(&mut self) -> &mut Stored {
        self.revision.fetch_add(1, Ordering::Relaxed);
        &mut self.stored
    }
}

/// Failed log-ins of an administrator.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct FailedLogIns {
    /// Number since the last successful log-in, or the end of the last lock.
    pub(crate) count: i32,
    /// Time until which the account is locked.
    pub(crate) locked_until: Option<Timestamp>,
}

/// An exceptions policy, in the form of version 2 of the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExceptionsPolicy {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) enabled: bool,
    pub(crate) configuration: Map<String, Value>,
    pub(crate) locked: Map<String, Value>,
    pub(crate) modified: Timestamp,
}

/// A host group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HostGroup {
    pub(crate) name: String,
    pub(crate) hosts: Vec<Map<String, Value>>,
    pub(crate) modified: Timestamp,
}

/// A fingerprint list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FingerprintList {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) hash_type: HashType,
    pub(crate) entries: Vec<Fingerprint>,
    /// Groups that are locked down to the list.
    pub(crate) groups: BTreeSet<GroupId>,
}

/// A file, by one or both of its hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    pub(crate) md5: Option<String>,
    pub(crate) sha256: Option<String>,
}

/// Type of hash in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HashType {
    Md5,
    Sha256,
}

/// When an administrator's account is locked.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Lock {
    /// Number of failed logins before the account is locked.
    pub(crate) attempts: i32,
    /// Duration of a lock, in minutes.
    pub(crate) minutes: i32,
    /// Whether failed logins lock the account.
    pub(crate) locks: bool,
    /// Whether the administrator is notified of a lock.
    pub(crate) notifies: bool,
}

impl Default for Lock {
    fn default() -> Self {
        Self { attempts: 5, minutes: 15, locks: true, notifies: false }
    }
}

impl HashType {
    /// Name as the product writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA256",
        }
    }

    /// Number of hexadecimal digits of a hash.
    pub(crate) const fn digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha256 => 64,
        }
    }
}

impl RestStore {
    /// Locks the stored state for reading and changing.
    pub(crate) fn kept(&self) -> StoredGuard<'_> {
        StoredGuard { stored: self.kept.lock(), revision: &self.revision }
    }

    /// A number that grows whenever the stored state may have changed.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    /// Records that a REST API of the site is opened.
    pub(crate) fn open(&self, now: Timestamp) {
        self.kept().founded.get_or_insert(now);
    }

    /// Time at which the first REST API was opened.
    pub(crate) fn founded(&self) -> Timestamp {
        self.kept().founded.unwrap_or(Timestamp::EPOCH)
    }

    /// Locks site and store against other changes.
    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock()
    }
}

impl Stored {
    /// Counts a failed log-in; the account is locked once its settings say so.
    pub(crate) fn failed_log_in(&mut self, administrator: Guid, now: Timestamp) {
        let lock = self.locks.get(&administrator).copied().unwrap_or_default();
        let failed = self.failed.entry(administrator).or_default();
        if failed.locked_until.is_some_and(|until| until <= now) {
            *failed = FailedLogIns::default();
        }
        failed.count = failed.count.saturating_add(1);
        if lock.locks && failed.count >= lock.attempts && failed.locked_until.is_none() {
            let minutes = u64::try_from(lock.minutes).unwrap_or_default();
            failed.locked_until = Some(now + std::time::Duration::from_secs(minutes * 60));
        }
    }

    /// Whether failed log-ins have locked the account.
    pub(crate) fn is_locked(&self, administrator: Guid, now: Timestamp) -> bool {
        self.failed
            .get(&administrator)
            .is_some_and(|failed| failed.locked_until.is_some_and(|until| now < until))
    }

    /// Identifier of a new object, which looks like a random UUID without dashes, as recorded ones do.
    pub(crate) fn make(&mut self, kind: &str) -> Guid {
        self.made += 1;
        let name = self.made.to_string();
        let made = |kind: &str| Guid::derive(0, kind, &name, std::net::Ipv4Addr::UNSPECIFIED);
        let mut bytes = *made(kind).as_bytes();
        bytes[4..8].copy_from_slice(&made("the rest of it").as_bytes()[..4]);
        bytes[6] = 0x40 | (bytes[6] & 0x0F);
        bytes[8] = 0x80 | (bytes[8] & 0x3F);
        Guid::from_bytes(bytes)
    }
}

/// Maps whose keys are no texts, as pairs of a key and a value.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Ok(Vec::<(K, V)>::deserialize(from)?.into_iter().collect())
    }
}
