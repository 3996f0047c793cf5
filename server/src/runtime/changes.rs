//! The changes of a site that matter to a rotation, in order: certificates, assigned lists, and switches.
//!
//! Recorded while the site is locked, so that no change is missed, through whichever API or file it came. Bounded: it
//! reports how many changes it has dropped.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use epm_client_agent::cause::{Change, RotationSettings};
use epm_protocol::site::Site;
use epm_protocol::time::Timestamp;
use parking_lot::Mutex;

/// Number of changes that are kept.
pub(crate) const MOST: usize = 1000;

/// The changes of a site, oldest first.
#[derive(Debug)]
pub struct Changes {
    /// Number of changes so far.
    count: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// Settings before the first change.
    start: Arc<RotationSettings>,
    now: Arc<RotationSettings>,
    changes: VecDeque<Change>,
}

impl Changes {
    pub(crate) fn new(site: &Site) -> Self {
        let now = Arc::new(RotationSettings::of(site));
        Self {
            count: AtomicU64::new(0),
            kept: Mutex::new(Kept { start: Arc::clone(&now), now, changes: VecDeque::new() }),
        }
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

    /// Settings before the first change.
    pub fn start(&self) -> Arc<RotationSettings> {
        Arc::clone(&self.kept.lock().start)
    }

    /// Continues with the changes of an earlier run, of which there were `count`, from these settings; `changes` are the latest of
    /// them.
    pub(crate) fn go_on_from(&self, start: Arc<RotationSettings>, count: u64, changes: Vec<Change>) {
        self.count.store(count, Ordering::SeqCst);
        let mut kept = self.kept.lock();
        kept.start = start;
        kept.changes = changes.into();
    }

    /// The kept changes after the one with this number.
    pub(crate) fn kept_after(&self, number: u64) -> Vec<Change> {
        self.kept.lock().changes.iter().filter(|one| one.number > number).cloned().collect()
    }

    /// Lab time of the last kept change that replaced the shared secret.
    pub(crate) fn secret_replaced(&self) -> Option<Timestamp> {
        let kept = self.kept.lock();
        kept.changes.iter().rev().find(|one| one.before.secret != one.after.secret).map(|one| one.at)
    }

    /// Whether the settings of this site differ from the last known ones.
    pub(crate) fn differ(&self, site: &Site) -> bool {
        *self.kept.lock().now != RotationSettings::of(site)
    }

    /// Records a change, if the settings differ from the last known ones.
    pub(crate) fn note(&self, site: &Site, now: Timestamp) {
        let mut kept = self.kept.lock();
        let Some(change) = Change::of(self.count() + 1, now, &kept.now, site) else { return };
        kept.now = Arc::clone(&change.after);
        if kept.changes.len() == MOST {
            kept.changes.pop_front();
        }
        self.count.fetch_add(1, Ordering::SeqCst);
        kept.changes.push_back(change);
    }
}
