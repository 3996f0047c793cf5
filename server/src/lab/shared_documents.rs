//! Baselines, registered expectations and the pauses in which a tool waited, which the processes of a site share: kept in memory, and in
//! their database, so that any of them judges a rotation, also after the one that began it has ended.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::lab::baseline::KeptBaseline;
use crate::lab::expectation::Asked;
use crate::lab::{Lab, lock};
use crate::store::{Kind, SharedDocument, SharedLog, StoreError};

impl Lab {
    /// Reads what other processes of the site have put or removed. Nothing to do for a site of one process.
    pub(crate) fn read_documents(&self) -> Result<(), StoreError> {
        let Some(log) = self.site.shared_log() else { return Ok(()) };
        let mut known = lock(&self.documents);
        let numbers: Vec<i64> = known.values().copied().collect();
        let found = log.documents(&numbers)?;
        let there: BTreeSet<(Kind, &str)> = found.iter().map(|one| (one.kind, one.name.as_str())).collect();
        let is_gone = |(kind, name): &&(Kind, String)| !there.contains(&(*kind, name.as_str()));
        let gone: Vec<(Kind, String)> = known.keys().filter(is_gone).cloned().collect();
        for (kind, name) in gone {
            match kind {
                Kind::Baseline => drop(lock(&self.baselines).remove(&name)),
                Kind::Pause => {}
                _ => drop(lock(&self.expectations).remove(&name)),
            }
            known.remove(&(kind, name));
        }
        for SharedDocument { kind, name, number, content } in found {
            let Some(content) = content else { continue };
            match kind {
                Kind::Baseline => {
                    let kept: KeptBaseline = read(log, kind, &name, &content)?;
                    lock(&self.baselines).insert(name.clone(), kept.baseline());
                }
                Kind::Expectation => {
                    let mut asked: Asked = read(log, kind, &name, &content)?;
                    asked.hear_from(self.site.journal().next_number());
                    lock(&self.expectations).insert(name.clone(), asked);
                }
                Kind::Pause => match name.parse() {
                    Ok(pause) => self.site.pauses().hear(pause),
                    Err(error) => return Err(log.invalid(format!("the pause {name:?}"), &error)),
                },
                _ => continue,
            }
            known.insert((kind, name), number);
        }
        Ok(())
    }

    /// Puts a document in the place of one of that kind and name, for the other processes of the site.
    pub(super) fn share(&self, kind: Kind, name: &str, content: &impl Serialize) -> Result<(), StoreError> {
        let Some(log) = self.site.shared_log() else { return Ok(()) };
        let mut known = lock(&self.documents);
        // This program's own types, which serialise.
        let number = log.put_document(kind, name, &serde_json::to_string(content).unwrap_or_default())?;
        known.insert((kind, name.to_owned()), number);
        Ok(())
    }

    /// Removes a document for the other processes of the site.
    pub(super) fn share_no_longer(&self, kind: Kind, name: &str) -> Result<(), StoreError> {
        let Some(log) = self.site.shared_log() else { return Ok(()) };
        let mut known = lock(&self.documents);
        log.remove_document(kind, name)?;
        known.remove(&(kind, name.to_owned()));
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
