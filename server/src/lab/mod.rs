//! A lab: a site, a fleet in the same process, one clock, and what was seen of the fleet from the beginning.
//!
//! [`Lab`] alone owns these; the control API and scenarios drive it.
//!
//! | file | what |
//! |---|---|
//! | `pace` | the clock, moved from one thing that is due to the next |
//! | `fleet` | clients that come, go, freeze, and are re-imaged |
//! | `history` | what became of each client, moment by moment |
//! | `verdict` | what each client holds, which are lost and since when, and which would be |
//! | `expectation` | what an author of a test expects, and the counter-examples |
//! | `snapshot` | the lab as it was |
//! | `scenario_run` | a scenario, step by step |
//! | `presence`, `present_machines` | the machines of a lab that stays which are switched on and off by their presence |
//! | `machines` | the machines of a scenario: when each is on, where, and what is installed on it |
//! | `reproduce` | an entry of the failure catalogue |
//!
//! How a lab is wired:
//!
//! ```text
//! Lab -- site: MockSite -- SiteState: the site's rules, clients, managers, faults, journal, the clock
//!     -- fleet: the clients of this process, on the same clock
//!     -- history, expectations, snapshots
//! control API:  Lab for the fleet, the clock, verdicts and snapshots; Lab::site for commands, faults and the journal
//! scenario run: MockSite, Lab, Machines; each step: machines, faults, commands, Lab::pass
//! ```
//!
//! Time passes in `pace` alone. It knows no HTTP: the APIs do.

mod expectation;
mod fleet;
mod history;
mod machines;
mod pace;
mod presence;
mod present_machines;
mod records;
mod reproduce;
mod run_error;
pub mod scenario_run;
mod snapshot;
mod time_error;
mod verdict;

use std::collections::BTreeMap;
use std::sync::Arc;

use epm_client_agent::scenario::PartPlan;
use epm_client_agent::wire::{Fleet, LabClock, LogSink};
use epm_protocol::site::CommandError;
use epm_protocol::trust::Fingerprint;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, RwLock};

pub use expectation::{Asked, Expectation, Finding, Standing};
pub use fleet::{ClientOperation, ClientView, FleetError};
pub use history::{Orphaning, Trace, Unsigned};
pub use reproduce::{refused, reproduced};
pub use run_error::RunError;
pub use snapshot::{SnapshotError, SnapshotInfo};
pub use time_error::TimeError;
pub use verdict::{LabVerdict, LostClient, PartOfFleet};

use crate::mock_site::MockSite;
use history::History;
use present_machines::PresentMachines;
use records::Snapshot;
pub use records::Update;

/// How many updates of a manager are remembered.
const UPDATES: usize = 1000;

/// A lab that stays.
pub struct Lab {
    /// The site.
    pub site: Arc<MockSite>,
    seed: u64,
    fleet: RwLock<Fleet>,
    /// The parts of the fleet by name, as they were asked for last.
    parts: Mutex<BTreeMap<String, PartPlan>>,
    history: Arc<History>,
    expectations: Mutex<BTreeMap<String, Asked>>,
    snapshots: Mutex<BTreeMap<String, Snapshot>>,
    /// The updates of each manager's certificate, the first first.
    updates: Mutex<BTreeMap<String, Vec<Update>>>,
    present: tokio::sync::Mutex<PresentMachines>,
    /// Is notified when other machines are in `present`, or at other times.
    presence_changed: Notify,
    /// Who moves the clock or restores a snapshot holds this.
    moving: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Lab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lab").field("site", &self.site).finish_non_exhaustive()
    }
}

impl Lab {
    /// A lab with this site and nobody in its fleet; `log` gets what its clients log.
    pub fn new(site: Arc<MockSite>, seed: u64, log: LogSink) -> Arc<Self> {
        let history = Arc::new(History::default());
        let assumptions = site.look(|site| Arc::clone(site.assumptions()));
        let mut fleet = Fleet::new(Arc::clone(site.clock()), assumptions, log);
        fleet.watch({
            let history = Arc::clone(&history);
            Arc::new(move |view, now| history.see(view, now))
        });
        Arc::new(Self {
            site,
            seed,
            fleet: RwLock::new(fleet),
            parts: Mutex::default(),
            history,
            expectations: Mutex::default(),
            snapshots: Mutex::default(),
            updates: Mutex::default(),
            present: tokio::sync::Mutex::default(),
            presence_changed: Notify::new(),
            moving: tokio::sync::Mutex::default(),
        })
    }

    /// The clock that everything in this process goes by.
    pub fn clock(&self) -> &Arc<LabClock> {
        self.site.clock()
    }

    /// What was seen of a client; none if nothing was.
    pub fn trace(&self, client: &str) -> Option<Trace> {
        self.history.of(client)
    }

    /// The updates of a manager's certificate that have names, the first first.
    pub fn updates(&self, manager: &str) -> Vec<Update> {
        lock(&self.updates).get(manager).cloned().unwrap_or_default()
    }

    /// Updates a manager's certificate, unless that was done under this name already; of two at once the second finds it done.
    ///
    /// # Errors
    ///
    /// What `update` ends with; then the name is free.
    pub(crate) fn update_once<E>(
        &self,
        manager: &str,
        name: &str,
        update: impl FnOnce() -> Result<Update, E>,
    ) -> Result<(), E> {
        let mut updates = lock(&self.updates);
        let known = updates.get(manager).map_or(&[][..], Vec::as_slice);
        if known.iter().any(|one| one.update == name) {
            return Ok(());
        }
        let update = update()?;
        let known = updates.entry(manager.to_owned()).or_default();
        if known.len() == UPDATES {
            known.remove(0);
        }
        known.push(update);
        Ok(())
    }

    /// The certificate that each manager shows its clients.
    fn certificates(&self) -> BTreeMap<String, Fingerprint> {
        self.site.look(|site| {
            let managers = site.managers();
            managers.map(|one| (one.name.clone(), one.client.certificate().fingerprint())).collect()
        })
    }

    /// Stops every client, and the site.
    pub async fn stop(&self) {
        let _ = self.fleet.write().await.stop_all().await;
        self.site.stop().await;
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock()
}

/// There is no such thing; with the nearest name, if one is near.
fn unknown<'a>(kind: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> CommandError {
    CommandError::unknown(kind, name, known)
}
