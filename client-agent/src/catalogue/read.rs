//! From a file of the catalogue to an entry; what is unsound is refused, with its place where it has one.

use std::collections::BTreeMap;

use epm_protocol::assumption::Mark;
use serde::Deserialize;
use toml::Spanned;

use super::entry::{Acts, Entry, Lookalike, Means, Play, ProductLine};
use super::expected::Area;
use super::files;
use super::refusal::Refused;
use super::rest_case::RestCase;
use crate::scenario::ScenarioError;

/// Why a file is no entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// It cannot be read, or its scenario is not sound.
    #[error(transparent)]
    Place(#[from] ScenarioError),
    /// It contradicts itself.
    #[error("{file}: {problem}")]
    Unsound {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
}

/// An entry as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    id: String,
    title: String,
    layer: Area,
    mark: Mark,
    cause: String,
    symptom: String,
    #[serde(default)]
    log: Vec<ProductLine>,
    versions: BTreeMap<String, String>,
    ends: String,
    #[serde(default)]
    unlike: Vec<Lookalike>,
    repair: String,
    how: String,
    #[serde(default)]
    play: Option<Spanned<Play>>,
    #[serde(default)]
    refused: Option<Refused>,
    #[serde(default, rename = "errand")]
    rest_case: Option<RestCase>,
    #[serde(default)]
    cannot: Option<String>,
}

impl Entry {
    /// Reads an entry; `file` is its name, for messages.
    ///
    /// # Errors
    ///
    /// When it is no TOML, has an unknown key, does not say in exactly one way how it is brought about, or its scenario
    /// is not sound.
    pub fn parse(text: &str, file: &str) -> Result<Self, EntryError> {
        let unsound = |problem: String| EntryError::Unsound { file: file.to_owned(), problem };
        let written: Written = toml::from_str(text).map_err(|error| ScenarioError::of(&error, text, file))?;
        let document: toml::Table = toml::from_str(text).map_err(|error| unsound(error.to_string()))?;
        let document = serde_json::to_value(document).map_err(|error| unsound(error.to_string()))?;
        let means = match (written.play, written.refused, written.rest_case, written.cannot) {
            (Some(play), None, None, None) => Means::Play(Box::new(sound(play, text, file)?)),
            (None, Some(mut refused), None, None) => {
                for command in refused.commands_mut() {
                    files::fill(command).map_err(unsound)?;
                }
                Means::Refused(Box::new(refused))
            }
            (None, None, Some(mut case), None) => {
                for command in case.commands_mut() {
                    files::fill(command).map_err(unsound)?;
                }
                Means::RestCase(Box::new(case))
            }
            (None, None, None, Some(why)) => Means::Cannot { why },
            _ => {
                return Err(unsound("expected exactly one of: play, refused, errand, cannot".to_owned()));
            }
        };
        Ok(Self {
            id: written.id,
            title: written.title,
            layer: written.layer,
            mark: written.mark,
            cause: written.cause,
            symptom: written.symptom,
            log: written.log,
            versions: written.versions,
            ends: written.ends,
            unlike: written.unlike,
            repair: written.repair,
            how: written.how,
            means,
            document,
        })
    }
}

/// A play whose commands a site takes, whose parts are all looked at, and whose files are there.
fn sound(play: Spanned<Play>, text: &str, file: &str) -> Result<Play, EntryError> {
    let span = play.span();
    let mut play = play.into_inner();
    let at = |problem: String| EntryError::Place(ScenarioError::at(file, text, span.clone(), problem));
    let steps = play.failure.iter_mut().chain(&mut play.repair);
    for command in play.site.setup.iter_mut().chain(steps.flat_map(|step| &mut step.operator)) {
        files::fill(command.get_mut()).map_err(&at)?;
    }
    play.acts("", Acts::Both).check(file, text)?;
    let parts: Vec<&str> = play.fleet.iter().map(|part| part.get_ref().name.as_str()).collect();
    let seen: Vec<&str> = play.seen.iter().map(|one| one.part.as_str()).collect();
    if parts != seen {
        return Err(at(format!(
            "what is seen must be said of each part, in order: of {parts:?}, not {seen:?}"
        )));
    }
    if play.failure.is_empty() {
        return Err(at("the first act is empty".to_owned()));
    }
    Ok(play)
}
