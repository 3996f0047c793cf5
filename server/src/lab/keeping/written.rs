//! What of a lab its store has, so that only the rest is written.

use std::collections::{BTreeMap, HashMap, VecDeque};

use epm_protocol::time::Timestamp;

use crate::store::{Batch, Kind};

/// What of a lab its store has.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Whether the store has what is noted here, and nothing else.
    pub(crate) is_known: bool,
    /// Documents that are compared, by kind and name.
    pub(crate) compared: HashMap<(&'static str, String), String>,
    /// Lab time and place in the journal of each baseline.
    pub(crate) baselines: BTreeMap<String, (Timestamp, u64)>,
    /// Number of the last change of certificates, lists and switches.
    pub(crate) changes: u64,
    /// Number of the last action; none if the store has others than the lab.
    pub(crate) actions: Option<usize>,
    pub(crate) clients: HashMap<String, WrittenClient>,
    /// Number of caches that name each text.
    pub(crate) texts: HashMap<String, usize>,
    /// Revision of the commands to clients, and of the settings of the REST API.
    pub(crate) revisions: Option<(u64, u64)>,
    /// Number of the next entry of the journal that is not written, and the numbers of those that are, by kind.
    pub(crate) journal: u64,
    pub(crate) journal_entries: [VecDeque<u64>; 6],
    /// How often the lab was written since the journal was.
    pub(crate) pauses_of_journal: u32,
    /// Place of the next client.
    pub(crate) next_place: u64,
}

/// What of a client of the fleet the store has.
#[derive(Debug, Default)]
pub(crate) struct WrittenClient {
    pub(crate) place: u64,
    pub(crate) revision: (u64, u64),
    pub(crate) is_frozen: bool,
    /// What a trace depends on: the changes of the site, and the counts of events.
    pub(crate) trace: Option<(u64, (u64, u64))>,
    pub(crate) texts: Vec<String>,
    pub(crate) has_cache: bool,
}

impl Written {
    /// Gives up texts of a cache, and removes those that no cache names any more.
    pub(crate) fn release(&mut self, texts: &[String], batch: &mut Batch) {
        for name in texts {
            let Some(count) = self.texts.get_mut(name) else { continue };
            *count -= 1;
            if *count == 0 {
                self.texts.remove(name);
                batch.documents.push((Kind::Text, name.clone(), None));
            }
        }
    }
}
