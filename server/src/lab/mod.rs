//! A lab: a site, a fleet in the same process, one clock, and the history of the fleet.
//!
//! [`Lab`] alone owns these; the control API and scenarios drive it.
//!
//! | file | what |
//! |---|---|
//! | `pace` | the clock, moved from event to event |
//! | `fleet` | clients that are added, removed, frozen and re-imaged |
//! | `sources` | source addresses of clients, by which connection faults know them |
//! | `fault_check`, `fault_preview` | faults that name what there is not; what a fault would hit |
//! | `reports`, `known_reports` | clients that run elsewhere, as their processes report them |
//! | `history`, `client_log` | recorded history of each client; the latest lines of the clients' logs |
//! | `verdict` | what each client holds, which are orphaned and since when, and which would be |
//! | `notes` | what is to be noted of clients that are served and trust their manager |
//! | `assumed` | assumptions that are set on a running lab |
//! | `baseline` | the state of a lab before a rotation |
//! | `rotation` | judges a rotation against a baseline |
//! | `rotation_evidence` | what evidence has of a rotation: the last judgement, and old certificates that clients hold |
//! | `shared_documents` | baselines and expectations that the processes of a site share |
//! | `expectation` | expectations of test authors, and counter-examples |
//! | `keeping` | keeps the lab in its store, and goes on from there |
//! | `snapshot` | snapshots of the lab |
//! | `recorded_scenario`, `written_scenario` | a scenario of what was done to the lab, and its file |
//! | `scenario_run` | runs a scenario step by step |
//! | `presence`, `present_machines` | machines of a running lab that are switched on and off by their presence |
//! | `machines` | the machines of a scenario: power, location, installed client |
//! | `reproduce` | reproduces an entry of the failure catalogue |
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
//! Only `pace` lets time pass. HTTP belongs to the APIs.

mod assumed;
mod baseline;
mod client_log;
mod expectation;
mod fault_check;
mod fault_preview;
mod finding_result;
mod first_behind;
mod fleet;
mod held_check;
mod history;
mod keeping;
mod known_reports;
mod machines;
mod notes;
mod pace;
mod presence;
mod present_machines;
mod recorded_scenario;
mod records;
mod reports;
mod reproduce;
mod rotation;
mod rotation_evidence;
mod run_error;
pub mod scenario_run;
mod shared_documents;
mod snapshot;
mod sources;
mod time_error;
mod verdict;
mod written_scenario;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use epm_client_agent::agent::LogLine;
use epm_client_agent::scenario::PartPlan;
use epm_client_agent::wire::{Fleet, LabClock, LogSink};
use epm_protocol::site::CommandError;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, RwLock};

pub use assumed::AssumptionsRefused;
pub use baseline::{Baseline, BaselineClient, BaselineError, BaselineInfo, START_BASELINE};
pub use expectation::{Asked, Expectation, Finding};
pub use fault_check::FaultRefused;
pub(crate) use fault_preview::FaultHits;
pub use finding_result::FindingResult;
pub use fleet::{ClientOperation, ClientView, FleetError};
pub(crate) use fleet::{Seen, fits, held};
pub use history::{Orphaning, Trace, Unsigned};
pub(crate) use recorded_scenario::{RecordedScenario, RecordingError};
pub use reproduce::{refused, reproduced};
pub use rotation::{Rotation, RotationCode, RotationFinding};
pub(crate) use rotation_evidence::{OldCertificate, RotationJudgement};
pub use run_error::RunError;
pub use snapshot::{SnapshotError, SnapshotInfo};
pub use time_error::TimeError;

use crate::mock_site::MockSite;
use crate::runtime::descriptors::{DESCRIPTORS, ReservedEnds};
pub use crate::runtime::updates::Update;
use crate::runtime::updates::{MOST_UPDATES, Updates};
use client_log::ClientLog;
use held_check::HeldCheck;
use history::History;
pub(crate) use keeping::kept_clock;
use keeping::written::Written;
pub use known_reports::ReportError;
use known_reports::Reports;
use present_machines::PresentMachines;
pub(crate) use records::UpdateDiffers;
use records::{Documents, RequestedAssumptions, Snapshot};

use sources::Sources;

/// A lab: site, fleet and clock in one process.
pub struct Lab {
    /// The site.
    pub site: Arc<MockSite>,
    seed: u64,
    /// Name that no other lab has.
    instance: String,
    fleet: RwLock<Fleet>,
    /// Parts of the fleet by name, as last requested.
    parts: Arc<Mutex<BTreeMap<String, PartPlan>>>,
    /// The descriptors of its clients in push mode.
    reserved: Arc<ReservedEnds>,
    /// Source addresses of the clients.
    sources: Sources,
    history: Arc<History>,
    client_log: Arc<ClientLog>,
    /// Clients that were removed from the fleet, and when: their records at the console stay.
    dismissed: Mutex<HashMap<String, Timestamp>>,
    /// What processes elsewhere report of their clients.
    reports: Reports,
    /// Command that starts the same lab again, if the program that runs it has told it.
    repeat: Mutex<Option<String>>,
    expectations: Mutex<BTreeMap<String, Asked>>,
    /// The last judgement of a rotation that was asked for.
    judged: Mutex<Option<RotationJudgement>>,
    baselines: Mutex<BTreeMap<String, Baseline>>,
    /// Baselines and expectations that the processes of the site share.
    documents: Mutex<Documents>,
    snapshots: Mutex<BTreeMap<String, Snapshot>>,
    assumed: Mutex<RequestedAssumptions>,
    /// Certificate updates of each manager, oldest first.
    updates: Mutex<Updates>,
    /// What the store has.
    written: Mutex<Written>,
    present: tokio::sync::Mutex<PresentMachines>,
    /// Notified when the machines in `present` change.
    presence_changed: Notify,
    /// Held while the clock is moved or a snapshot is restored.
    moving: tokio::sync::Mutex<()>,
    held_check: Mutex<HeldCheck>,
}

impl std::fmt::Debug for Lab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lab").field("site", &self.site).finish_non_exhaustive()
    }
}

impl Lab {
    /// A lab with this site and an empty fleet; `log` receives the log of its clients.
    pub fn new(site: Arc<MockSite>, seed: u64, log: LogSink) -> Arc<Self> {
        let history = Arc::new(History::default());
        let client_log = Arc::<ClientLog>::default();
        let assumptions = site.look(|site| Arc::clone(site.assumptions()));
        let assumed = Mutex::new(RequestedAssumptions::new(Arc::clone(&assumptions)));
        let sources = Sources::of(&site);
        let turns = DESCRIPTORS.division.turns();
        let mut fleet = Fleet::new(Arc::clone(site.clock()), assumptions, client_log.sink(log), turns);
        fleet.watch(history.watcher(site.changes()));
        let parts = Arc::<Mutex<BTreeMap<String, PartPlan>>>::default();
        let reserved = Arc::<ReservedEnds>::default();
        let (known, reserve) = (Arc::clone(&parts), Arc::clone(&reserved));
        site.check_push(move |next| {
            let export = |group: &str, location: Option<&str>| next.export_sylink(group, location);
            reserve.grow_to(held(lock(&known).values(), export))
        });
        Arc::new(Self {
            site,
            seed,
            instance: new_instance(),
            fleet: RwLock::new(fleet),
            parts,
            reserved,
            sources,
            history,
            client_log,
            dismissed: Mutex::default(),
            reports: Reports::default(),
            repeat: Mutex::default(),
            expectations: Mutex::default(),
            judged: Mutex::default(),
            baselines: Mutex::default(),
            documents: Mutex::default(),
            snapshots: Mutex::default(),
            assumed,
            updates: Mutex::default(),
            written: Mutex::default(),
            present: tokio::sync::Mutex::default(),
            presence_changed: Notify::new(),
            moving: tokio::sync::Mutex::default(),
            held_check: Mutex::default(),
        })
    }

    /// Seed of the lab.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Name of this lab that no other one has, not even one of the same seed.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The clock of this lab.
    pub fn clock(&self) -> &Arc<LabClock> {
        self.site.clock()
    }

    /// Recorded history of a client, if there is any.
    pub fn trace(&self, client: &str) -> Option<Trace> {
        self.history.of(client)
    }

    /// The latest lines of a client's log, at most so many, oldest first; and the number of lines of all clients that were
    /// dropped.
    pub(crate) fn client_log(&self, client: &str, most: usize) -> (Vec<LogLine>, u64) {
        self.client_log.of(client, most)
    }

    /// Named certificate updates of a manager, oldest first.
    pub fn updates(&self, manager: &str) -> Vec<Update> {
        let own = || lock(&self.updates).get(manager).cloned().unwrap_or_default();
        self.site.shared_updates(manager).unwrap_or_else(own)
    }

    /// Updates a manager's certificate unless an update of this name exists; of two concurrent calls the second finds
    /// it done. `request` is the digest of the request.
    ///
    /// # Errors
    ///
    /// The error of `update`; the name then stays free. [`UpdateDiffers`] if the name belongs to another request.
    pub(crate) fn update_once<E: From<UpdateDiffers>>(
        &self,
        manager: &str,
        name: &str,
        request: Fingerprint,
        update: impl FnOnce() -> Result<Update, E>,
    ) -> Result<(), E> {
        let shared = self.site.shared_updates(manager);
        let mut updates = lock(&self.updates);
        let known = updates.get(manager).map_or(&[][..], Vec::as_slice);
        let known = shared.as_deref().unwrap_or(known);
        if let Some(known) = known.iter().find(|one| one.update == name) {
            return if known.request == request { Ok(()) } else { Err(UpdateDiffers::from(known).into()) };
        }
        let update = update()?;
        let known = updates.entry(manager.to_owned()).or_default();
        if known.len() == MOST_UPDATES {
            known.remove(0);
        }
        known.push(update);
        Ok(())
    }

    /// The certificate that each manager presents to clients.
    pub(crate) fn certificates(&self) -> BTreeMap<String, Fingerprint> {
        let places = self.site.addresses().iter();
        let served = places.filter_map(|place| self.site.certificate(&place.manager).map(|one| (place, one)));
        served.map(|(place, one)| (place.manager.clone(), one.fingerprint())).collect()
    }

    /// Stops every client and the site.
    pub async fn stop(&self) {
        if self.is_kept() {
            // Clients that are on go on when the lab does.
            self.keep_at_the_end().await;
        }
        let _ = self.fleet.write().await.stop_all().await;
        self.site.stop().await;
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock()
}

/// An error for an unknown name, with the nearest known one if there is one.
fn unknown<'a>(kind: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> CommandError {
    CommandError::unknown(kind, name, known)
}

/// Draws the name of a lab.
fn new_instance() -> String {
    let mut bytes = [0; 8];
    // Without random numbers labs cannot be told apart by it.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    data_encoding::HEXLOWER.encode(&bytes)
}
