//! The lab as it was: its site, its registry, its faults, its clients with all that they had kept, and its time.

use epm_protocol::fault::FaultRule;
use epm_protocol::time::{Clock, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::lab::records::Snapshot;
use crate::lab::{Lab, lock};

/// How many snapshots a lab keeps.
const MOST: usize = 16;
/// The snapshot that a lab starts from.
pub(super) const START: &str = "start";

/// Why a snapshot cannot be taken or restored.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// There is none of that name.
    #[error("there is no snapshot {0:?}")]
    Unknown(String),
    /// Too many.
    #[error("a lab keeps at most {MOST} snapshots: remove one")]
    TooMany,
    /// Another one of that name was taken at another moment.
    #[error("there is a snapshot {name:?} of {at}: remove it first")]
    Taken {
        /// Its name.
        name: String,
        /// When it was taken.
        at: Timestamp,
    },
}

/// What is said of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SnapshotInfo {
    /// Its name.
    pub name: String,
    /// The lab's time when it was taken.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// How many clients there were.
    pub clients: usize,
}

impl Lab {
    /// Keeps the lab as it is under a name that is free.
    ///
    /// # Errors
    ///
    /// When the name is taken, or there are too many.
    pub async fn take_snapshot(&self, name: &str) -> Result<(), SnapshotError> {
        let present = self.present.lock().await.clone();
        let agents = self.agents().await;
        let snapshot = Snapshot {
            at: self.clock().now(),
            site: self.site.look(Clone::clone),
            client_statuses: self.site.client_statuses(),
            faults: self.site.faults().list().iter().map(|one| FaultRule::clone(&one.rule)).collect(),
            agents,
            parts: lock(&self.parts).values().cloned().collect(),
            present,
            updates: lock(&self.updates).clone(),
        };
        let mut snapshots = lock(&self.snapshots);
        if let Some(known) = snapshots.get(name) {
            return Err(SnapshotError::Taken { name: name.to_owned(), at: known.at });
        }
        if snapshots.len() >= MOST {
            return Err(SnapshotError::TooMany);
        }
        snapshots.insert(name.to_owned(), snapshot);
        Ok(())
    }

    /// Keeps the lab as it is as what [`Lab::reset`] goes back to.
    pub async fn take_start(&self) {
        lock(&self.snapshots).remove(START);
        let _ = self.take_snapshot(START).await;
    }

    /// What snapshots there are.
    pub(crate) fn snapshots(&self) -> Vec<SnapshotInfo> {
        let snapshots = lock(&self.snapshots);
        let info = |(name, one): (&String, &Snapshot)| SnapshotInfo {
            name: name.clone(),
            at: one.at,
            clients: one.agents.len(),
        };
        snapshots.iter().map(info).collect()
    }

    /// Forgets a snapshot. Whether there was one.
    pub fn remove_snapshot(&self, name: &str) -> bool {
        name != START && lock(&self.snapshots).remove(name).is_some()
    }

    /// The lab becomes what it was: its connections end, its clients go on with what they knew then, and a clock that stands
    /// shows that moment again; one that runs goes on. No client has a heartbeat because of it, except those whose held
    /// request or heartbeat it cuts short.
    ///
    /// # Errors
    ///
    /// When there is no such snapshot.
    pub async fn restore_snapshot(&self, name: &str) -> Result<(), SnapshotError> {
        let _moving = self.moving.lock().await;
        let snapshot = lock(&self.snapshots).get(name).cloned();
        let snapshot = snapshot.ok_or_else(|| SnapshotError::Unknown(name.to_owned()))?;
        let Snapshot { at, site, client_statuses, faults, agents, parts, present, updates } = snapshot;
        let mut present_now = self.present.lock().await;
        let mut fleet = self.fleet.write().await;
        fleet.dismiss(|_| true);
        self.history.begin_again();
        self.site.faults().clear();
        if self.clock().speed() == 0 {
            self.clock().set(at);
        }
        self.site.restore_snapshot(site, client_statuses);
        for rule in faults {
            if let Ok(guard) = self.site.faults().add(rule) {
                guard.keep();
            }
        }
        *lock(&self.parts) = parts.into_iter().map(|part| (part.name.clone(), part)).collect();
        *lock(&self.updates) = updates;
        *present_now = present;
        self.presence_changed.notify_one();
        let now = self.clock().now();
        for (part, agent, is_frozen) in agents {
            let member = fleet.bring_back(part, agent.resumed(at, now));
            member.handle.freeze(is_frozen);
        }
        Ok(())
    }

    /// The lab becomes what it was when it had started; what is expected is forgotten.
    ///
    /// # Errors
    ///
    /// When it had not started.
    pub async fn reset(&self) -> Result<(), SnapshotError> {
        self.forget_expectations();
        self.restore_snapshot(START).await
    }
}
