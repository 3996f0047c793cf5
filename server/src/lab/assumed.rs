//! The assumptions of a running lab: those of the REST API change at once, all others at the next reset.

use std::sync::Arc;

use epm_protocol::assume::AssumeError;
use epm_protocol::assumption::{Assumption, Assumptions};
use epm_protocol::site::CommandError;
use serde_json::{Map, Value};

use crate::lab::{Lab, lock};
use crate::runtime::action_log::LoggedAction;

/// Why assumptions are not set.
#[derive(Debug, thiserror::Error)]
pub enum AssumptionsRefused {
    /// A name is unknown, or a value is not accepted.
    #[error(transparent)]
    Value(#[from] AssumeError),
    /// The data folder of the lab cannot be written.
    #[error(transparent)]
    NotStored(#[from] CommandError),
}

impl Lab {
    /// Sets assumptions by name; null stands for the value that the lab was started with. What the REST API reads changes
    /// at once, everything else at the next reset.
    ///
    /// # Errors
    ///
    /// When a name is unknown, a value is not accepted, or the data folder cannot be written; nothing has changed then.
    pub fn assume(&self, changes: &Map<String, Value>) -> Result<(), AssumptionsRefused> {
        let mut requested = lock(&self.assumed);
        let start = serde_json::to_value(&*requested.start).unwrap_or_default();
        let mut next = requested.next.clone();
        for (name, value) in changes {
            let value = if value.is_null() { start.get(name).unwrap_or(value) } else { value };
            next.set(name, value)?;
        }
        let now = self.site.look(|site| site.assumptions().with_immediate(&next));
        self.site.assume(Arc::new(now))?;
        requested.next = next;
        let names: Vec<&str> = changes.keys().map(String::as_str).collect();
        self.log_action(LoggedAction::Other(format!("assumptions were set: {}", names.join(", "))));
        Ok(())
    }

    /// Every assumption with its value, and with its value from the next reset on where that differs.
    pub fn assumptions(&self) -> Vec<Assumption> {
        let next = lock(&self.assumed).next.list();
        let mut all = self.site.look(|site| site.assumptions().list());
        for (one, next) in all.iter_mut().zip(next) {
            one.next = (one.value != next.value).then_some(next.value);
        }
        all
    }

    /// The assumptions for a reset.
    pub(super) fn next_assumptions(&self) -> Arc<Assumptions> {
        Arc::new(lock(&self.assumed).next.clone())
    }

    /// Makes these assumptions those of the next reset too.
    pub(super) fn keep_assumptions(&self, restored: &Assumptions) {
        lock(&self.assumed).next = restored.clone();
    }
}
