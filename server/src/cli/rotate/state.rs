//! What a rotation has done so far: kept in a file, so that it goes on where it was, whatever ended it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::cli::io::Failure;
use serde::{Deserialize, Serialize};

/// Which of the two documented procedures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    /// With secure communications switched off in between.
    Single,
    /// One manager after the other.
    Multi,
}

/// A location, and how it was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The group's full path.
    pub(super) group: String,
    /// Its identifier.
    pub(super) group_id: String,
    /// The location's name.
    pub(super) location: String,
    /// Its identifier.
    pub(super) location_id: String,
    /// The management server list that was in force.
    pub(super) list: String,
    /// Whether clients authenticated their manager.
    pub(super) secure: bool,
}

/// The journal of a rotation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// Which procedure.
    pub(super) way: Way,
    /// The identifier of the site.
    pub(super) site: String,
    /// The name of this rotation: each update of a certificate is given by it, so that none is made twice.
    pub(super) name: String,
    /// The steps that are done, in order.
    pub(super) done: Vec<String>,
    /// How every location was before.
    pub(super) places: Vec<Place>,
    /// The lists that were copied, and the name of each copy.
    pub(super) copies: BTreeMap<String, String>,
    /// The new certificate of each manager that has one.
    pub(super) updated: BTreeMap<String, String>,
    /// Clients that are no longer waited for.
    pub(super) left: BTreeSet<String>,
}

impl State {
    /// The one in this file, if there is one; it must be of this procedure and this site.
    pub(super) fn read(file: &Path, way: Way, site: &str) -> Result<Option<Self>, Failure> {
        let bad = |why: &dyn std::fmt::Display| Failure::BadInput(format!("{}: {why}", file.display()));
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(bad(&error)),
        };
        let found: Self = serde_json::from_str(&text).map_err(|error| bad(&error))?;
        if found.way != way {
            return Err(bad(&format!("a rotation of the other way is under way: {:?}", found.way)));
        }
        if found.site != site {
            return Err(bad(&format!("this rotation is of the site {}, and the lab is {site}", found.site)));
        }
        Ok(Some(found))
    }

    /// Writes it so that the file is always the old one or the new one.
    pub(super) fn keep(&self, file: Option<&PathBuf>) -> Result<(), Failure> {
        let Some(file) = file else { return Ok(()) };
        let bad = |why: &dyn std::fmt::Display| Failure::Failed(format!("{}: {why}", file.display()));
        let text = serde_json::to_string_pretty(self).map_err(|error| bad(&error))?;
        let mut beside = file.as_os_str().to_owned();
        beside.push(".new");
        std::fs::write(&beside, format!("{text}\n")).map_err(|error| bad(&error))?;
        std::fs::rename(&beside, file).map_err(|error| bad(&error))
    }
}
