//! The data folder of `epm-lab up --data`: opened, and compared with the options of this start.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use epm_client_agent::wire::{LabClock, machine_time};

use crate::cli::io::Failure;
use crate::cli::out::refuse_foreign;
use crate::lab::{Lab, kept_clock};
use crate::runtime::replayed::Data;
use crate::store::{FILES, FoundedWith, SqliteStore};

/// An option that makes a lab what it is: it counts at the first start, and must not contradict it at later ones.
pub(super) struct FoundingOption {
    pub(super) name: &'static str,
    /// The value at this start; empty without one.
    pub(super) value: String,
    /// The value of an option that is not given.
    pub(super) default: String,
}

impl FoundingOption {
    /// An option with a default.
    pub(super) fn new(name: &'static str, value: &impl ToString, default: &impl ToString) -> Self {
        Self { name, value: value.to_string(), default: default.to_string() }
    }

    /// An option that has no value if it is not given.
    pub(super) fn optional(name: &'static str, value: Option<impl ToString>) -> Self {
        let value = value.map(|value| value.to_string()).unwrap_or_default();
        Self { name, value, default: String::new() }
    }

    fn is_given(&self) -> bool {
        let named = |one: &str| one.split_once('=').map_or(one, |(name, _)| name) == self.name;
        self.value != self.default || std::env::args_os().any(|one| one.to_str().is_some_and(named))
    }
}

/// Opens a data folder, and refuses options that contradict the lab in it.
pub(super) fn open(folder: &Path, options: &[FoundingOption], force: bool) -> Result<Data, Failure> {
    if !force {
        refuse_foreign(folder, |name| FILES.contains(&name))?;
    }
    let bad = |error: crate::StoreError| Failure::BadInput(error.to_string());
    let store = Arc::new(SqliteStore::open(folder).map_err(bad)?);
    let kept: BTreeMap<String, String> =
        options.iter().map(|one| (one.name.to_owned(), one.value.clone())).collect();
    let data = Data::read(store, kept).map_err(bad)?;
    if let Some(founded) = &data.founded {
        options.iter().try_for_each(|one| agree(one, founded, folder))?;
    }
    Ok(data)
}

fn agree(option: &FoundingOption, founded: &FoundedWith, folder: &Path) -> Result<(), Failure> {
    let before = founded.options.get(option.name).map_or("", String::as_str);
    let is_drawn_seed = option.name == "--seed" && option.value == founded.seed.to_string();
    if option.value == before || is_drawn_seed || !option.is_given() {
        return Ok(());
    }
    let before = match (option.name, before) {
        ("--seed", _) => founded.seed.to_string(),
        (_, "") => "no such option".to_owned(),
        (_, before) => before.to_owned(),
    };
    Err(Failure::BadInput(format!(
        "`{0}` contradicts the lab in {1}: it was founded with {before}, found {2}; leave `{0}` out, or choose another folder",
        option.name,
        folder.display(),
        if option.value.is_empty() { "none" } else { &option.value },
    )))
}

/// Refuses assumptions that contradict those that the lab was founded with.
pub(super) fn same_assumptions(
    founded: &FoundedWith,
    wanted: &epm_protocol::assumption::Assumptions,
    folder: &Path,
) -> Result<(), Failure> {
    let (before, wanted) = (founded.assumptions.list(), wanted.list());
    let differs = before.iter().zip(&wanted).find(|(before, wanted)| before.value != wanted.value);
    let Some((before, wanted)) = differs else { return Ok(()) };
    Err(Failure::BadInput(format!(
        "the assumption {0} contradicts the lab in {1}: it was founded with {2}, found {3}; leave it out, or set it with \
         `epm-lab assume {0}={3}` and `epm-lab reset`",
        before.name,
        folder.display(),
        before.value,
        wanted.value,
    )))
}

/// The value of an option at the founding, as a number.
pub(super) fn founded_number<T: std::str::FromStr>(founded: &FoundedWith, option: &str, or: T) -> T {
    founded.options.get(option).and_then(|value| value.parse().ok()).unwrap_or(or)
}

/// The clock with which a lab goes on; the machine's for a new lab.
pub(super) fn clock(data: &Data) -> Result<Arc<LabClock>, Failure> {
    if data.founded.is_none() {
        return Ok(Arc::new(LabClock::wall()));
    }
    let kept = kept_clock(data.store.as_ref()).map_err(|error| Failure::BadInput(error.to_string()))?;
    Ok(Arc::new(
        kept.map_or_else(LabClock::wall, |kept| {
            LabClock::starting_at(kept.now(machine_time()), kept.speed())
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
    format!(
        "\nData folder {}: {whose}.\nNot kept: the journal, commands to clients, REST tokens, and settings of the REST API that clients \
         do not see.\n",
        folder.display()
    )
}
