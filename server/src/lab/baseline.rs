//! Baselines: the state of a lab before a rotation, which the rotation is judged against.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use epm_client_agent::cause::RotationSettings;
use epm_protocol::excerpt::expected_one_of;
use epm_protocol::name::{InvalidName, check_name};
use epm_protocol::site::CommandError;
use epm_protocol::time::{Clock, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lab::history::counts_of;
use crate::lab::{Lab, Seen, lock};
use crate::schema::BridgedSchema;
use crate::store::{Kind, StoreError};

/// Maximum number of baselines.
const MOST: usize = 100;
/// Name of the baseline that `epm-lab up` takes once every client has checked in.
pub const START_BASELINE: &str = "start";

/// Why a baseline cannot be taken or used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// There is no baseline of this name.
    #[error("there is no baseline {name:?}: {}; `epm-lab baseline take` takes one", expected_one_of(known))]
    Unknown {
        /// Name of the baseline.
        name: String,
        /// Names of all baselines.
        known: Vec<String>,
    },
    /// A rotation of no manager.
    #[error("the rotation rotates no manager: name at least one, or leave `rotates` out for all")]
    NothingRotates,
    /// A rotation names a manager or client that is not in the baseline.
    #[error("the baseline {baseline:?} has no {kind} {name:?}: {}", expected_one_of(known))]
    NotInIt {
        /// Name of the baseline.
        baseline: String,
        /// What was named: a manager or a client.
        kind: &'static str,
        /// Name of the manager or client.
        name: String,
        /// Some of the names in the baseline.
        known: Vec<String>,
    },
    /// The baseline of the lab's start is to be replaced or removed.
    #[error(
        "the baseline {START_BASELINE:?} is that of the lab's start, and only a reset takes it anew: choose another name"
    )]
    OfStart,
    /// The name cannot be that of a baseline.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The lab has too many baselines.
    #[error("a lab keeps at most {MOST} baselines: remove one")]
    TooMany,
    /// The database that the managers share is not available.
    #[error(transparent)]
    NotStored(#[from] CommandError),
}

impl From<StoreError> for BaselineError {
    fn from(error: StoreError) -> Self {
        CommandError::NoDatabase { why: error.to_string() }.into()
    }
}

/// State of a lab before a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// Name of the baseline.
    pub name: String,
    /// Lab time of the baseline.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Number of the journal's next entry.
    pub journal: u64,
    /// Certificates, lists and switches.
    #[schemars(with = "BridgedSchema<RotationSettings>")]
    pub settings: RotationSettings,
    /// State of each client, by computer name.
    pub clients: BTreeMap<String, BaselineClient>,
    /// Computer names of the registered clients whose state was not known.
    #[serde(default)]
    pub unknown: BTreeSet<String>,
    /// Number of changes of the site so far.
    #[serde(skip)]
    pub(super) changes: u64,
    /// Generation of the history, which a restored snapshot begins anew.
    #[serde(skip)]
    pub(super) generation: u64,
}

/// State of a client at a baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BaselineClient {
    /// Part of the fleet that the client belongs to.
    pub part: String,
    /// Full path of the client's group; absent before the client has received a policy.
    pub group: Option<String>,
    /// Location of the client; the group's default location when absent.
    pub location: Option<String>,
    /// Whether the client's machine is on.
    pub on: bool,
    /// Whether a manager served the client.
    pub served: bool,
    /// Number of heartbeats that the client has begun.
    pub heartbeats: u64,
    /// Numbers of orphanings and of unsigned policies so far: what the lab has seen of its own clients, and what others report of
    /// themselves, whichever process has heard it.
    #[serde(skip)]
    pub(super) counts: (u64, u64),
}

/// A baseline with what its JSON for users does not have.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptBaseline {
    baseline: Baseline,
    changes: u64,
    generation: u64,
    counts: BTreeMap<String, (u64, u64)>,
}

impl KeptBaseline {
    pub(super) fn of(one: &Baseline) -> Self {
        Self {
            baseline: one.clone(),
            changes: one.changes,
            generation: one.generation,
            counts: one.clients.iter().map(|(client, one)| (client.clone(), one.counts)).collect(),
        }
    }

    pub(super) fn baseline(self) -> Baseline {
        let mut baseline = self.baseline;
        (baseline.changes, baseline.generation) = (self.changes, self.generation);
        for (client, one) in &mut baseline.clients {
            one.counts = self.counts.get(client).copied().unwrap_or_default();
        }
        baseline
    }
}

/// Description of a baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BaselineInfo {
    /// Name of the baseline.
    pub name: String,
    /// Lab time of the baseline.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Number of the journal's next entry.
    pub journal: u64,
    /// Number of clients in the baseline.
    pub clients: usize,
}

impl Lab {
    /// Takes a baseline, replacing another one of that name.
    ///
    /// # Errors
    ///
    /// When the name is not allowed or is that of the lab's start, there are too many baselines, or the database that the managers
    /// share is not available.
    pub async fn take_baseline(&self, name: &str) -> Result<Baseline, BaselineError> {
        check_name("a baseline", name)?;
        if name == START_BASELINE {
            return Err(BaselineError::OfStart);
        }
        self.save_baseline(name).await
    }

    /// Lab time at which the lab began; none before it has.
    pub(crate) fn began(&self) -> Option<Timestamp> {
        lock(&self.baselines).get(START_BASELINE).map(|start| start.at)
    }

    /// Takes a baseline under any name, also that of the lab's start.
    pub(super) async fn save_baseline(&self, name: &str) -> Result<Baseline, BaselineError> {
        let mut clients = BTreeMap::new();
        let heard = self.look_at_everyone(|Seen { name, part, glance, reported_by, .. }| {
            let view = &glance.common;
            let client = BaselineClient {
                part: part.to_owned(),
                group: view.group.clone(),
                location: view.location.clone(),
                on: glance.is_on,
                served: view.health.is_connected(),
                heartbeats: glance.heartbeats,
                counts: match reported_by {
                    None => self.history.ask(name, |trace| trace.counts).unwrap_or_default(),
                    Some(_) => self
                        .history
                        .ask(name, |trace| counts_of(view.harm, Some(trace)))
                        .unwrap_or_else(|| counts_of(view.harm, None)),
                },
            };
            clients.insert(name.to_owned(), client);
        });
        let unknown = heard.await.unknown.into_iter().collect();
        let (settings, changes) =
            self.site.look(|site| (RotationSettings::of(site), self.site.changes().count()));
        let baseline = Baseline {
            name: name.to_owned(),
            at: self.clock().now(),
            journal: self.site.journal().next_number(),
            settings,
            clients,
            unknown,
            changes,
            generation: self.history.generation.load(Ordering::SeqCst),
        };
        self.read_documents()?;
        {
            let baselines = lock(&self.baselines);
            if baselines.len() >= MOST && !baselines.contains_key(name) {
                return Err(BaselineError::TooMany);
            }
        }
        self.share(Kind::Baseline, name, &KeptBaseline::of(&baseline))?;
        lock(&self.baselines).insert(name.to_owned(), baseline.clone());
        Ok(baseline)
    }

    /// The baseline of this name.
    ///
    /// # Errors
    ///
    /// When there is no such baseline, it cannot be read, or the database that the managers share is not available.
    pub fn baseline(&self, name: &str) -> Result<Baseline, BaselineError> {
        self.read_documents()?;
        self.check_documents(Kind::Baseline, Some(name))?;
        let baselines = lock(&self.baselines);
        baselines.get(name).cloned().ok_or_else(|| BaselineError::Unknown {
            name: name.to_owned(),
            known: baselines.keys().cloned().collect(),
        })
    }

    /// Descriptions of all baselines.
    ///
    /// # Errors
    ///
    /// When the database that the managers share is not available, or has one that cannot be read.
    pub fn baselines(&self) -> Result<Vec<BaselineInfo>, BaselineError> {
        self.read_documents()?;
        self.check_documents(Kind::Baseline, None)?;
        let info = |one: &Baseline| BaselineInfo {
            name: one.name.clone(),
            at: one.at,
            journal: one.journal,
            clients: one.clients.len(),
        };
        Ok(lock(&self.baselines).values().map(info).collect())
    }

    /// Removes a baseline. Whether there was one.
    ///
    /// # Errors
    ///
    /// When it is that of the lab's start, or the database that the managers share is not available.
    pub fn remove_baseline(&self, name: &str) -> Result<bool, BaselineError> {
        if name == START_BASELINE {
            return Err(BaselineError::OfStart);
        }
        self.read_documents()?;
        self.share_no_longer(Kind::Baseline, name)?;
        Ok(lock(&self.baselines).remove(name).is_some())
    }
}
