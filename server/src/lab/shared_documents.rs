//! Baselines, registered expectations, the pauses in which a tool waited and refused reports, which the processes of a site share: kept in
//! memory, and in their database, so that any of them judges a rotation, also after the one that began it has ended.

use std::collections::{BTreeMap, BTreeSet};

use epm_protocol::site::CommandError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::lab::baseline::KeptBaseline;
use crate::lab::expectation::Asked;
use crate::lab::records::Documents;
use crate::lab::{Lab, lock};
use crate::runtime::pauses::MOST;
use crate::store::{DocumentKey, Kind, Rows, SharedDocument, SharedLog, StoreError, tell_new};

/// Number of pauses that are removed at a time.
const MOST_REMOVED: usize = 100;
/// The kinds of documents that processes share.
const SHARED: [Kind; 4] = [Kind::Baseline, Kind::Expectation, Kind::Pause, Kind::Refusal];

impl Lab {
    /// Reads what other processes of the site have put or removed. Nothing to do for a site of one process.
    pub(crate) fn read_documents(&self) -> Result<(), StoreError> {
        let Some(log) = self.site.shared_log() else { return Ok(()) };
        let mut documents = lock(&self.documents);
        let Documents { known, damaged } = &mut *documents;
        let numbers: Vec<i64> = known.values().copied().collect();
        let Rows { read: found, damaged: not_read } = log.documents(&numbers)?;
        let mut now_damaged: BTreeMap<DocumentKey, String> =
            not_read.into_iter().map(|(key, error)| (key, error.to_string())).collect();
        let mut there = BTreeSet::new();
        for SharedDocument { kind, name, number, content } in found {
            let key = (kind, name);
            let adopted = content.map_or(Ok(()), |content| self.adopt_document(log, &key, &content));
            if let Err(error) = adopted {
                now_damaged.insert((kind.name().to_owned(), key.1), error.to_string());
                continue;
            }
            known.insert(key.clone(), number);
            there.insert(key);
        }
        // One that cannot be read any more is not known as it was before.
        known.retain(|key, _| {
            let is_there = there.contains(key);
            if !is_there {
                match key.0 {
                    Kind::Baseline => drop(lock(&self.baselines).remove(&key.1)),
                    Kind::Expectation => drop(lock(&self.expectations).remove(&key.1)),
                    Kind::Refusal => drop(self.reports.refused.lock().remove(&key.1)),
                    _ => {}
                }
            }
            is_there
        });
        // Of pauses as many count as a lab keeps; those before are of no use to anybody.
        let pauses = known.keys().filter(|key| key.0 == Kind::Pause);
        let pauses: BTreeSet<u64> = pauses.filter_map(|(_, name)| name.parse().ok()).collect();
        let oldest = pauses.last().map_or(0, |newest| newest.saturating_sub(MOST as u64));
        for pause in pauses.range(..oldest).take(MOST_REMOVED) {
            log.remove_document(Kind::Pause, &pause.to_string())?;
            known.remove(&(Kind::Pause, pause.to_string()));
        }
        tell_new(
            damaged,
            now_damaged,
            "a baseline, an expectation, a pause or a refused report cannot be read",
        );
        Ok(())
    }

    fn adopt_document(
        &self,
        log: &dyn SharedLog,
        (kind, name): &(Kind, String),
        content: &str,
    ) -> Result<(), StoreError> {
        match kind {
            Kind::Baseline => {
                let kept: KeptBaseline = read(log, *kind, name, content)?;
                lock(&self.baselines).insert(name.clone(), kept.baseline());
            }
            Kind::Expectation => {
                let mut asked: Asked = read(log, *kind, name, content)?;
                asked.hear_from(self.site.journal().next_number());
                lock(&self.expectations).insert(name.clone(), asked);
            }
            Kind::Refusal => self.reports.hear_refusal(name, read(log, *kind, name, content)?),
            Kind::Pause => match name.parse() {
                Ok(pause) => self.site.pauses().hear(pause),
                Err(error) => return Err(log.invalid(format!("the pause {name:?}"), &error)),
            },
            other => {
                let why = "no process shares documents of this kind";
                return Err(log.invalid(format!("the {} {name:?}", other.name()), &why));
            }
        }
        Ok(())
    }

    /// What is wrong with the documents that cannot be read and are, or may be, of this kind; of every kind without one.
    pub(crate) fn damaged_documents(&self, kind: Option<Kind>) -> Vec<String> {
        let is_other =
            |name: &str| kind.is_some_and(|kind| SHARED.iter().any(|one| one.name() == name && *one != kind));
        let documents = lock(&self.documents);
        let damaged = documents.damaged.iter().filter(|((kind, _), _)| !is_other(kind));
        damaged.map(|(_, why)| why.clone()).collect()
    }

    /// Checks that every document that may be of this kind, or only that of this name, can be read.
    pub(super) fn check_documents(&self, kind: Kind, name: Option<&str>) -> Result<(), CommandError> {
        let why = match name {
            None => self.damaged_documents(Some(kind)).into_iter().next(),
            Some(name) => {
                lock(&self.documents).damaged.get(&(kind.name().to_owned(), name.to_owned())).cloned()
            }
        };
        why.map_or(Ok(()), |why| Err(CommandError::NoDatabase { why }))
    }

    /// Names of the documents of this kind that can be read.
    pub(super) fn shared_names(&self, kind: Kind) -> Vec<String> {
        let documents = lock(&self.documents);
        documents.known.keys().filter(|key| key.0 == kind).map(|key| key.1.clone()).collect()
    }

    /// Puts a document in the place of one of that kind and name, for the other processes of the site.
    pub(super) fn share(&self, kind: Kind, name: &str, content: &impl Serialize) -> Result<(), StoreError> {
        let Some(log) = self.site.shared_log() else { return Ok(()) };
        let mut documents = lock(&self.documents);
        // This program's own types, which serialise.
        let number = log.put_document(kind, name, &serde_json::to_string(content).unwrap_or_default())?;
        documents.known.insert((kind, name.to_owned()), number);
        documents.damaged.remove(&(kind.name().to_owned(), name.to_owned()));
        Ok(())
    }

    /// Removes a document for the other processes of the site.
    pub(super) fn share_no_longer(&self, kind: Kind, name: &str) -> Result<(), StoreError> {
        let Some(log) = self.site.shared_log() else { return Ok(()) };
        let mut documents = lock(&self.documents);
        log.remove_document(kind, name)?;
        documents.known.remove(&(kind, name.to_owned()));
        documents.damaged.remove(&(kind.name().to_owned(), name.to_owned()));
        Ok(())
    }
}

fn read<T: DeserializeOwned>(
    log: &dyn SharedLog,
    kind: Kind,
    name: &str,
    content: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(content)
        .map_err(|error| log.invalid(format!("the {} {name:?}", kind.name()), &error))
}
