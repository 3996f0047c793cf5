//! The data folder of `epm-lab up --data`: opened, and compared with the options of this start.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use epm_client_agent::wire::{LabClock, machine_date};
use epm_protocol::assumption::Assumptions;
use serde_json::Value;

use crate::cli::config::in_force::{InForce, Source};
use crate::cli::io::Failure;
use crate::cli::out::refuse_foreign;
use crate::cli::up_plan::{LabPlan, PlanOptions};
use crate::lab::{Lab, kept_clock};
use crate::runtime::replayed::Data;
use crate::store::{FILES, FoundedWith, SqliteStore};

/// The options of `epm-lab up` that make a lab what it is, besides assumptions: they count at the first start, and must not
/// contradict it at later ones.
const FOUNDING: [&str; 14] = [
    SCENARIO,
    "http_port",
    "https_port",
    "rest_port",
    "no_rest",
    "address",
    "managers",
    "agents",
    "heartbeat",
    "certificate",
    "key",
    "keystore",
    "recovery",
    SEED,
];
const SCENARIO: &str = "scenario";
const SEED: &str = "seed";

/// Opens a data folder, and refuses options that contradict the lab in it.
pub(super) fn open(
    folder: &Path,
    options: &[InForce],
    (what, plan): (&PlanOptions, &LabPlan),
    force: bool,
) -> Result<Data, Failure> {
    if !force {
        refuse_foreign(folder, |name| FILES.contains(&name))?;
    }
    let bad = |error: crate::StoreError| Failure::BadInput(error.to_string());
    let store = Arc::new(SqliteStore::open(folder).map_err(bad)?);
    let founding = || options.iter().filter(|one| FOUNDING.contains(&one.name.as_str()));
    let mut kept: BTreeMap<String, String> = founding().map(|one| (one.name.clone(), text(one))).collect();
    if let Some(digest) = &plan.scenario_sha256 {
        kept.insert(SCENARIO.to_owned(), digest.clone());
    }
    let data = Data::read(store, kept).map_err(bad)?;
    if let Some(founded) = &data.founded {
        let mut given = founding().filter(|one| one.source != Source::Default);
        if let Some(option) = given.find(|one| !agrees(one, &data.options, founded)) {
            return Err(contradicts(option, founded, folder));
        }
        same_assumptions(founded, &what.assumed(founded.assumptions.clone())?, folder)?;
    }
    Ok(data)
}

/// The value of an option as text; empty without one.
fn text(option: &InForce) -> String {
    match &option.value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a given option has the value that it had at the founding.
fn agrees(option: &InForce, now: &BTreeMap<String, String>, founded: &FoundedWith) -> bool {
    let is_seed = option.name == SEED && text(option) == founded.seed.to_string();
    is_seed || now.get(&option.name) == founded.options.get(&option.name)
}

fn contradicts(option: &InForce, founded: &FoundedWith, folder: &Path) -> Failure {
    let (name, found, folder) = (option.name.replace('_', "-"), text(option), folder.display());
    if name == SCENARIO {
        return Failure::BadInput(format!(
            "the scenario {found} is not that of the lab in {folder}; leave it out, or choose another folder"
        ));
    }
    let before = match (name.as_str(), founded.options.get(&option.name).map_or("", String::as_str)) {
        (SEED, _) => founded.seed.to_string(),
        (_, "") => "no such option".to_owned(),
        (_, before) => before.to_owned(),
    };
    Failure::BadInput(format!(
        "`--{name}` contradicts the lab in {folder}: it was founded with {before}, found {found}; leave `--{name}` out, or choose \
         another folder"
    ))
}

/// Refuses assumptions that contradict those that the lab was founded with.
fn same_assumptions(founded: &FoundedWith, wanted: &Assumptions, folder: &Path) -> Result<(), Failure> {
    let (before, wanted) = (founded.assumptions.list(), wanted.list());
    let differs = before.iter().zip(&wanted).find(|(before, wanted)| before.value != wanted.value);
    let Some((before, wanted)) = differs else { return Ok(()) };
    Err(Failure::BadInput(format!(
        "the assumption {0} contradicts the lab in {1}: it was founded with {2}, found {3}; leave it out, or set it in \
         the running lab with `PUT /v1/assumptions` of the control API, then `epm-lab snapshot reset`",
        before.name,
        folder.display(),
        before.value,
        wanted.value,
    )))
}

/// The clock with which a lab goes on; the machine's for a new lab.
pub(super) fn clock(data: &Data) -> Result<Arc<LabClock>, Failure> {
    if data.founded.is_none() {
        return Ok(Arc::new(LabClock::wall()));
    }
    let kept = kept_clock(data.store.as_ref()).map_err(|error| Failure::BadInput(error.to_string()))?;
    Ok(Arc::new(
        kept.map_or_else(LabClock::wall, |kept| {
            LabClock::starting_at(kept.now(machine_date()), kept.speed())
        }),
    ))
}

/// Notes in the data folder that the lab is ready: a start from now on goes on with it.
pub(super) async fn complete(lab: &Lab) -> Result<(), Failure> {
    let failed = |error: crate::StoreError| Failure::Failed(error.to_string());
    lab.keep().await.map_err(failed)?;
    lab.site.set_up().map_err(failed)
}

/// What the data folder keeps, and what it does not.
pub(super) fn notice(folder: &Path, founded: Option<&FoundedWith>) -> String {
    let whose = match founded {
        Some(founded) => format!("goes on with the lab that was founded at {}", founded.at),
        None => "keeps this lab; the same command goes on with it".to_owned(),
    };
    format!("\nData folder {}: {whose}.\n", folder.display())
}
