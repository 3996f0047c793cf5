//! Snapshots of a lab: site, registered clients, faults, agents with their state, and lab time.

use std::sync::Arc;

use epm_client_agent::wire::AgentCopy;
use epm_protocol::fault::FaultRule;
use epm_protocol::name::{InvalidName, check_name};
use epm_protocol::site::{CommandError, Site};
use epm_protocol::time::{Clock, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::lab::records::Snapshot;
use crate::lab::{Lab, held, lock};
use crate::store::{Batch, Change, Kind};

/// Maximum number of snapshots.
const MOST: usize = 16;
/// Name of the snapshot of a lab's start.
pub(super) const START: &str = "start";

/// Why a snapshot cannot be taken or restored.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// There is no snapshot of this name.
    #[error("there is no snapshot {0:?}")]
    Unknown(String),
    /// The lab has too many snapshots.
    #[error("a lab keeps at most {MOST} snapshots: remove one")]
    TooMany,
    /// Another snapshot of this name exists.
    #[error("the snapshot {name:?} of {at} exists: remove it first, or choose another name")]
    Taken {
        /// Name of the snapshot.
        name: String,
        /// Lab time of the existing snapshot.
        at: Timestamp,
    },
    /// The snapshot of the lab's start is to be replaced or removed.
    #[error(
        "the snapshot {START:?} is that of the lab's start, which a reset restores: it cannot be replaced or removed; choose another name"
    )]
    OfStart,
    /// The name cannot be that of a snapshot.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The data folder cannot be written, or too many clients of the snapshot are in push mode; nothing has changed.
    #[error(transparent)]
    Refused(#[from] CommandError),
}

/// Description of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SnapshotInfo {
    /// Name of the snapshot.
    pub name: String,
    /// Lab time at which the snapshot was taken.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Number of clients in the snapshot.
    pub clients: usize,
}

impl Lab {
    /// Takes a snapshot under an unused name.
    ///
    /// # Errors
    ///
    /// When the name is not allowed, in use, or that of the lab's start, or there are too many snapshots.
    pub async fn take_snapshot(&self, name: &str) -> Result<(), SnapshotError> {
        check_name("a snapshot", name)?;
        if name == START {
            return Err(SnapshotError::OfStart);
        }
        self.save_snapshot(name).await
    }

    /// Takes a snapshot under any unused name, also that of the lab's start.
    async fn save_snapshot(&self, name: &str) -> Result<(), SnapshotError> {
        let present = self.present.lock().await.clone();
        let agents = self.copies().await;
        let mut snapshots = lock(&self.snapshots);
        if let Some(known) = snapshots.get(name) {
            return Err(SnapshotError::Taken { name: name.to_owned(), at: known.at });
        }
        if snapshots.len() >= MOST {
            return Err(SnapshotError::TooMany);
        }
        let (parts, updates) = (lock(&self.parts).values().cloned().collect(), lock(&self.updates));
        let change = Change::TakeSnapshot(name.to_owned());
        let snapshot = self.site.record_snapshot(&change, |site| {
            let snapshot = Snapshot {
                at: self.clock().now(),
                site: site.clone(),
                client_statuses: self.site.client_statuses(),
                faults: self.site.faults().list().iter().map(|one| FaultRule::clone(&one.rule)).collect(),
                agents,
                parts,
                present,
                updates: updates.clone(),
                logged: self.site.action_log().position(self.clock().now()),
            };
            (self.kept_snapshot(name, &snapshot), snapshot)
        })?;
        drop(updates);
        snapshots.insert(name.to_owned(), snapshot);
        Ok(())
    }

    /// Takes the snapshot that [`Lab::reset`] restores, and the baseline of the lab's start.
    pub async fn take_start(&self) {
        lock(&self.snapshots).remove(START);
        let _ = self.save_snapshot(START).await;
        self.take_start_baseline().await;
    }

    /// Descriptions of all snapshots.
    pub(crate) fn snapshots(&self) -> Vec<SnapshotInfo> {
        let snapshots = lock(&self.snapshots);
        let info = |(name, one): (&String, &Snapshot)| SnapshotInfo {
            name: name.clone(),
            at: one.at,
            clients: one.agents.len(),
        };
        snapshots.iter().map(info).collect()
    }

    /// Reads the site and the clients of a snapshot: its lab time, its site, and its clients by part.
    ///
    /// # Errors
    ///
    /// When there is no such snapshot.
    pub(crate) fn look_at_snapshot<R>(
        &self,
        name: &str,
        read: impl FnOnce(Timestamp, &Site, &[(String, AgentCopy, bool)]) -> R,
    ) -> Result<R, SnapshotError> {
        let snapshots = lock(&self.snapshots);
        let one = snapshots.get(name).ok_or_else(|| SnapshotError::Unknown(name.to_owned()))?;
        Ok(read(one.at, &one.site, &one.agents))
    }

    /// Removes a snapshot. Whether there was one.
    ///
    /// # Errors
    ///
    /// When it is that of the lab's start, or the data folder of the lab cannot be written; the snapshot is still there then.
    pub fn remove_snapshot(&self, name: &str) -> Result<bool, SnapshotError> {
        if name == START {
            return Err(SnapshotError::OfStart);
        }
        let mut snapshots = lock(&self.snapshots);
        if !snapshots.contains_key(name) {
            return Ok(false);
        }
        let gone = Batch { documents: vec![(Kind::Snapshot, name.to_owned(), None)], ..Batch::default() };
        self.site.record_snapshot(&Change::RemoveSnapshot(name.to_owned()), |_| (gone, ()))?;
        snapshots.remove(name);
        Ok(true)
    }

    /// Restores a snapshot: connections end, clients continue with the state that they had, and a stopped clock shows the
    /// snapshot's time again. A running clock continues. Causes no heartbeat, except of clients whose held request or
    /// heartbeat is interrupted.
    ///
    /// # Errors
    ///
    /// When there is no such snapshot, too many of its clients are in push mode, or the data folder of the lab cannot be written; nothing
    /// has changed then.
    pub async fn restore_snapshot(&self, name: &str) -> Result<(), SnapshotError> {
        let _moving = self.moving.lock().await;
        let snapshot = lock(&self.snapshots).get(name).cloned();
        let snapshot = snapshot.ok_or_else(|| SnapshotError::Unknown(name.to_owned()))?;
        // Those of an earlier run, which may have had more descriptors.
        let push =
            held(snapshot.parts.iter(), |group, location| snapshot.site.export_sylink(group, location));
        self.reserved.grow_to(push)?;
        let batch = self.restored(&snapshot);
        let Snapshot { at, mut site, client_statuses, faults, agents, parts, present, updates, logged } =
            snapshot;
        let next = (name == START).then(|| self.next_assumptions());
        if let Some(next) = &next {
            site.assume(Arc::clone(next));
        }
        let assumptions = Arc::clone(site.assumptions());
        let change = Change::RestoreSnapshot { name: name.to_owned(), assumptions: next, replaces: None };
        // A stopped clock is set back.
        let now = if self.clock().speed() == 0 { at } else { self.clock().now() };
        let mut present_now = self.present.lock().await;
        let mut fleet = self.fleet.write().await;
        let recorded = || {
            fleet.dismiss(|_| true);
            fleet.assume(Arc::clone(&assumptions));
            self.history.begin_again();
            self.client_log.clear();
            fleet.watch(self.history.watcher(self.site.changes()));
            self.site.faults().clear();
            if self.clock().speed() == 0 {
                self.clock().set(at);
            }
        };
        self.site.restore_snapshot((site, client_statuses), (&change, now), batch, recorded)?;
        self.site.action_log().go_back(logged, now);
        self.forget_written();
        if name != START {
            self.keep_assumptions(&assumptions);
        }
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
            let source = self.sources.address_of(agent.profile());
            let mut agent = agent.agent().resumed(at, now);
            agent.assume(&assumptions);
            self.history.begin(&agent.view(), self.site.changes().count());
            fleet.bring_back(part, agent, source, is_frozen);
        }
        drop(fleet);
        if name == START {
            self.take_start_baseline().await;
        }
        Ok(())
    }

    /// Restores the lab's start with the assumptions that were set since then, and removes every registered expectation.
    ///
    /// # Errors
    ///
    /// When the lab has not started completely.
    pub async fn reset(&self) -> Result<(), SnapshotError> {
        self.forget_expectations();
        self.restore_snapshot(START).await
    }
}
