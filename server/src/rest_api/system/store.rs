//! What the REST API keeps that no client is told of: fingerprint lists, assigned policies, external communication,
//! acknowledged events. All managers of a site share it, under one lock; it is bounded by what it refuses.

use std::collections::{BTreeMap, BTreeSet};

use epm_protocol::id::{GroupId, Guid, LocationId};
use epm_protocol::time::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Map, Value};

/// How many fingerprint lists there may be.
pub(crate) const MOST_LISTS: usize = 2_000;
/// How many fingerprints there may be in all of them.
pub(crate) const MOST_FINGERPRINTS: usize = 1_000_000;
/// How many administrators there may be.
pub(crate) const MOST_ADMINISTRATORS: usize = 1_000;

/// What the REST API keeps.
#[derive(Debug, Default)]
pub(crate) struct RestStore {
    kept: Mutex<Stored>,
    /// Who changes the site and this together holds it.
    changing: Mutex<()>,
}

/// The same, looked at.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// When the first api of the site was opened.
    pub(crate) founded: Option<Timestamp>,
    /// How many things have been made here.
    pub(crate) made: u64,
    /// The fingerprint lists.
    pub(crate) fingerprints: BTreeMap<Guid, FingerprintList>,
    /// Which policy is assigned, where it is not the one that is there from the start.
    pub(crate) assigned: BTreeMap<(GroupId, LocationId, &'static str), Guid>,
    /// External communication of groups and locations, where somebody has set it.
    pub(crate) external: BTreeMap<(GroupId, Option<LocationId>), Map<String, Value>>,
    /// Events that somebody has seen.
    pub(crate) acknowledged: BTreeSet<Guid>,
    /// What is known of administrators beyond the name.
    pub(crate) locks: BTreeMap<Guid, Lock>,
}

/// A fingerprint list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FingerprintList {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) hash_type: HashType,
    pub(crate) entries: Vec<Fingerprint>,
    /// The groups that are locked down to it.
    pub(crate) groups: BTreeSet<GroupId>,
}

/// One file, by one or both of its hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint {
    pub(crate) md5: Option<String>,
    pub(crate) sha256: Option<String>,
}

/// What its hashes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HashType {
    Md5,
    Sha256,
}

/// When an administrator is locked out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lock {
    /// After how many wrong passwords.
    pub(crate) attempts: i32,
    /// For how many minutes.
    pub(crate) minutes: i32,
    /// Whether at all.
    pub(crate) locks: bool,
    /// Whether he is told.
    pub(crate) notifies: bool,
}

impl Default for Lock {
    fn default() -> Self {
        Self { attempts: 5, minutes: 15, locks: true, notifies: false }
    }
}

impl HashType {
    /// As the product writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA256",
        }
    }

    /// How many digits such a hash has.
    pub(crate) const fn digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha256 => 64,
        }
    }
}

impl RestStore {
    /// Looks at it, and changes it.
    pub(crate) fn kept(&self) -> MutexGuard<'_, Stored> {
        self.kept.lock()
    }

    /// A api of the site is opened.
    pub(crate) fn open(&self, now: Timestamp) {
        self.kept().founded.get_or_insert(now);
    }

    /// When the first one was.
    pub(crate) fn founded(&self) -> Timestamp {
        self.kept().founded.unwrap_or(Timestamp::EPOCH)
    }

    /// Nobody else changes the site and this together meanwhile.
    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock()
    }
}

impl Stored {
    /// The identifier of something new. It looks like a random UUID without dashes, as recorded ones do.
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
