//! The pauses between changes, as a store keeps them: written with each entry of the log, as they are after it. So a lab that is
//! killed knows every pause that a change in its log has ended.

use epm_protocol::site::{CommandError, Site};
use serde::{Deserialize, Serialize};

use crate::runtime::pauses::{MOST, PausesState, PausesToKeep};
use crate::runtime::state::SiteState;
use crate::store::{Batch, Change, GivenBy, Kind};

/// The pauses between changes, without those that have ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptPauses {
    /// Number of the last entry of the log that they know of: later ones ended pauses that are not known.
    pub(crate) log_entries: i64,
    /// Number of changes of certificates, lists and switches that they know of.
    pub(crate) changes: u64,
    pub(crate) state: PausesState,
}

impl SiteState {
    /// Appends an entry to the log: `append` writes the batch with it, which has the pauses as they are after the entry. `changed` is the
    /// site after a change that ends a pause; none for an entry that ends none.
    pub(crate) fn append_with_pauses<T, E>(
        &self,
        changed: Option<&Site>,
        append: impl FnOnce(Batch) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut batch = Batch::default();
        if !self.pauses.are_kept() {
            return append(batch);
        }
        let [_, entries] = self.keeper.entries();
        let known = self.add_pauses(entries + 1, changed, &mut batch);
        let appended = append(batch)?;
        self.pauses.written(Some(known));
        Ok(appended)
    }

    /// Records a change that shows nothing to clients, and writes a batch with it. The site must be locked.
    pub(crate) fn record(&self, change: &Change, by: GivenBy, mut batch: Batch) -> Result<(), CommandError> {
        let recording = self.keeper.record();
        self.append_with_pauses(None, |pauses| {
            batch.documents.extend(pauses.documents);
            recording.append(change, by, self.now(), &batch)
        })
    }

    /// Adds the pauses that the store does not have, and the rest. Returns the number of the last one that has ended.
    pub(crate) fn add_pauses(&self, log_entries: i64, changed: Option<&Site>, batch: &mut Batch) -> u64 {
        let changes = self.changes.count() + u64::from(changed.is_some_and(|site| self.changes.differ(site)));
        let (clock, heartbeats) = (self.clock.read(), Some(self.clients.heartbeats()));
        let PausesToKeep { is_whole, ended, new, state } =
            self.pauses.to_keep(clock, heartbeats, changed.map(|_| changes));
        if is_whole {
            batch.cleared.push(Kind::Pause);
        }
        let name = |number: u64| format!("{number:020}");
        for (number, pause) in new {
            batch.put(Kind::Pause, &name(number), &pause);
            if let Some(oldest) = number.checked_sub(MOST as u64) {
                batch.documents.push((Kind::Pause, name(oldest), None));
            }
        }
        batch.put(Kind::Pauses, Kind::Pauses.name(), &KeptPauses { log_entries, changes, state });
        ended
    }
}
