//! A running site that is one manager of several, each in a process of its own.

use std::time::Duration;

use epm_client_agent::wire::{Stopwatch, wait};
use epm_protocol::fault::FaultRule;
use epm_protocol::site::CommandError;

use super::MockSite;
use crate::runtime::following::FaultNotSet;
use crate::runtime::service::Service;
use crate::runtime::updates::Update;
use crate::store::{SharedLog, StoreError};

/// How often the log is read without a notification, and how often records of clients are exchanged.
const EVERY: Duration = Duration::from_secs(1);

impl MockSite {
    /// Whether the managers of the site are in several processes.
    pub(crate) fn is_shared(&self) -> bool {
        self.state.keeper.shared_site().is_some()
    }

    /// The manager that this process is; none if it is all of them.
    pub(crate) fn own_manager(&self) -> Option<&str> {
        self.state.keeper.shared_site().map(|shared| shared.manager.as_str())
    }

    /// What the processes of the site share; none for a site of one process.
    pub(crate) fn shared_log(&self) -> Option<&dyn SharedLog> {
        self.state.keeper.shared_site().map(|shared| &*shared.log)
    }

    /// Why this process may not know what the other processes of its site do; none if it does, or there are none.
    pub(crate) fn shared_trouble(&self) -> Option<String> {
        self.state.keeper.shared_site().and_then(|shared| shared.trouble())
    }

    /// The named updates of a manager's certificate that any process has applied; none for a site of one process.
    pub(crate) fn shared_updates(&self, manager: &str) -> Option<Vec<Update>> {
        self.state.keeper.shared_site().map(|shared| shared.updates(manager))
    }

    /// Restarts one service of a manager, or both, in whichever process it is. False if there is no such manager.
    pub(crate) fn restart_anywhere(
        &self,
        manager: &str,
        service: Option<Service>,
    ) -> Result<bool, CommandError> {
        self.state.restart_anywhere(manager, service)
    }

    /// Sets a fault, in every process of the site.
    pub(crate) fn set_fault(&self, rule: FaultRule) -> Result<(), FaultNotSet> {
        self.state.set_fault(rule)
    }

    /// Removes the fault of this name, or every fault, in every process of the site. Returns whether there was any.
    pub(crate) fn remove_faults(&self, name: Option<&str>) -> Result<bool, CommandError> {
        self.state.remove_faults(name)
    }

    /// Writes what clients did here since the last time, and reads what they did elsewhere.
    pub(crate) fn exchange_clients(&self) -> Result<(), StoreError> {
        self.state.catch_up(true)
    }

    /// Follows the other processes for as long as that is possible; returns why it no longer is. Never returns for a site of one
    /// process.
    pub(crate) async fn follow(&self) -> String {
        let Some(shared) = self.state.keeper.shared_site() else { return std::future::pending().await };
        let mut link = shared.log.link();
        let (mut last, mut was_down) = (None::<Stopwatch>, false);
        loop {
            let now = link.borrow_and_update().clone();
            if let Some(by) = now.name_taken_by {
                return format!("the manager {:?} runs elsewhere now, {by}", shared.manager);
            }
            let is_due = last.is_none_or(|last| last.elapsed() >= EVERY);
            let is_down = now.down.is_some();
            let why = match now.down {
                Some(why) => Some(why),
                None => {
                    if is_due {
                        last = Some(Stopwatch::start());
                    }
                    let caught_up = tokio::task::block_in_place(|| self.state.catch_up(is_due));
                    let trouble = caught_up.err().map(|error| error.to_string());
                    if is_due || trouble.is_some() {
                        shared.exchanged(trouble.as_deref());
                    }
                    trouble
                }
            };
            if let Some(why) = shared.broken() {
                return why;
            }
            match &why {
                Some(why) if !was_down && is_down => {
                    tracing::error!(
                        "the database is not available: {why}; clients are answered from the last publication, and changes are refused"
                    );
                }
                Some(why) if !was_down => {
                    tracing::error!("what other processes do cannot be followed: {why}; there is no verdict");
                }
                None if was_down => {
                    tracing::warn!("the database is available again; everything was followed");
                }
                _ => {}
            }
            was_down = why.is_some();
            tokio::select! {
                _ = link.changed() => {}
                () = wait(EVERY) => {}
            }
        }
    }
}
