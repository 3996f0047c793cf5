//! The completed steps of a rotation, kept in a file so that an interrupted rotation can continue.

use epm_client_agent::wire::read_regular;
use epm_protocol::plain::plain;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::cli::io::Failure;
use crate::cli::out::OutFile;
use serde::{Deserialize, Serialize};

/// The name of the step that looks for what would stop a rotation, before it changes anything.
pub(super) const PRECONDITIONS: &str = "preconditions";

/// The documented rotation procedures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    /// Secure communications are switched off while the certificate changes.
    Single,
    /// One manager after another.
    Multi,
}

/// A location and its settings before the rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Full path of the group.
    pub(super) group: String,
    /// Identifier of the group.
    pub(super) group_id: String,
    /// Name of the location.
    pub(super) location: String,
    /// Identifier of the location.
    pub(super) location_id: String,
    /// Management server list that was in force.
    pub(super) list: String,
    /// Whether clients authenticated their manager.
    pub(super) secure: bool,
}

/// The recorded state of a rotation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// Procedure of the rotation.
    pub(super) way: Way,
    /// Identifier of the site.
    pub(super) site: String,
    /// Name of the rotation. Certificate updates carry it, so that none is made twice.
    pub(super) name: String,
    /// Completed steps, in order.
    pub(super) done: Vec<String>,
    /// Settings of every location before the rotation.
    pub(super) places: Vec<Place>,
    /// Copied lists, with the name of each copy.
    pub(super) copies: BTreeMap<String, String>,
    /// New certificate of each updated manager.
    pub(super) updated: BTreeMap<String, String>,
    /// Clients that are no longer waited for.
    pub(super) left: BTreeSet<String>,
    /// The baseline that was taken at the beginning; none of an earlier version's state.
    #[serde(default)]
    pub(super) baseline: Option<String>,
}

/// Maximum number of bytes of the file.
const LARGEST: u64 = 64 * 1024 * 1024;

impl State {
    /// Reads the state from this file, if it exists; it must belong to this procedure and site.
    pub(super) fn read(file: &Path, way: Way, site: &str) -> Result<Option<Self>, Failure> {
        let bad = |why: &dyn std::fmt::Display| Failure::BadInput(format!("{}: {why}", file.display()));
        let text = match read_regular(file, LARGEST) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(bad(&error)),
        };
        let found: Self = serde_json::from_slice(&text).map_err(|error| {
            bad(&format!(
                "it is no state of a rotation: {}; expected what `epm-lab rotate --state` has written, or no file to begin a rotation",
                plain(&error.to_string())
            ))
        })?;
        if found.way != way {
            return Err(bad(&format!(
                "the file belongs to a rotation with the other procedure: {:?}",
                found.way
            )));
        }
        if found.site != site {
            return Err(bad(&format!(
                "the file belongs to a rotation of site {}, but the lab's site is {site}",
                found.site
            )));
        }
        Ok(Some(found))
    }

    /// Writes the state atomically: the file always holds the old state or the new one.
    pub(super) fn keep(&self, file: Option<&OutFile>) -> Result<(), Failure> {
        let Some(file) = file else { return Ok(()) };
        let text = serde_json::to_string_pretty(self).map_err(|error| Failure::Failed(error.to_string()))?;
        file.write(format!("{text}\n").as_bytes())
    }
}
