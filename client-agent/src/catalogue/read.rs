//! Reads and checks the file of an entry.

use std::collections::BTreeMap;

use epm_protocol::assumption::{Assumptions, Mark};
use epm_protocol::statement::{Statement, TitledStatement};
use epm_protocol::suggest::hint;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Spanned;

use super::entry::{Acts, Entry, Lookalike, Means, Play, ProductLine, RestsOn};
use super::expected::Area;
use super::files;
use super::refusal::Refused;
use super::rest_case::RestCase;
use crate::scenario::ScenarioError;

/// The reason why a file is not an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The file cannot be read, or its scenario is invalid.
    #[error(transparent)]
    Place(#[from] ScenarioError),
    /// The file contradicts itself.
    #[error("{file}: {problem}")]
    Unsound {
        /// The name of the file.
        file: String,
        /// What the parts of the entry say that does not go together, in one sentence.
        problem: String,
    },
}

/// A known failure: an entry of the catalogue as written in its file, with the titles of statements, and the value and mark of
/// each assumption.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    /// The identifier of the failure, like `F01`.
    id: String,
    /// The failure in one line.
    title: String,
    /// The location of the failure: a layer of trust, or something else between manager and client.
    layer: Area,
    /// How well it is founded that this cause has this effect.
    mark: Mark,
    /// The cause of the failure.
    cause: String,
    /// The statements of the documented procedure that the failure shows.
    #[serde(default)]
    #[schemars(with = "Vec<TitledStatement>")]
    statements: Vec<Statement>,
    /// The assumptions without which the lab would not show the failure as it does.
    #[serde(default, rename = "rests_on")]
    #[schemars(with = "Vec<RestsOn>")]
    rests_on: Vec<WrittenRest>,
    /// The symptom in the real product.
    symptom: String,
    /// The log lines of the real product.
    #[serde(default)]
    log: Vec<ProductLine>,
    /// The behaviour of each client version; a single entry applies to all.
    versions: BTreeMap<String, String>,
    /// The state at the end of the failure.
    ends: String,
    /// Failures that look alike.
    #[serde(default)]
    unlike: Vec<Lookalike>,
    /// The repair of the failure.
    repair: String,
    /// How the lab reproduces the failure, in words.
    how: String,
    /// The scenario that reproduces the failure and repairs it, with what is expected; its keys are those of a scenario file.
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    play: Option<Spanned<Play>>,
    /// The commands that a manager refuses.
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    refused: Option<Refused>,
    /// The calls of the REST API that show the failure.
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    rest_case: Option<RestCase>,
    /// The reason why the lab cannot reproduce the failure.
    #[serde(default)]
    cannot: Option<String>,
}

/// An assumption that an entry rests on, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRest {
    assumption: Spanned<String>,
    what: String,
}

impl Entry {
    /// Reads an entry; `file` is its name, for messages.
    ///
    /// # Errors
    ///
    /// When it is not TOML, has an unknown key, does not say in exactly one way how it is reproduced, or its scenario
    /// is invalid.
    pub fn parse(text: &str, file: &str) -> Result<Self, EntryError> {
        let unsound = |problem: String| EntryError::Unsound { file: file.to_owned(), problem };
        let written: Written = toml::from_str(text).map_err(|error| ScenarioError::of(&error, text, file))?;
        let document: toml::Table = toml::from_str(text).map_err(|error| unsound(error.to_string()))?;
        let mut document = serde_json::to_value(document).map_err(|error| unsound(error.to_string()))?;
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
                return Err(unsound("expected exactly one of: play, refused, rest_case, cannot".to_owned()));
            }
        };
        let rests_on = in_force(written.rests_on, &means, text, file)?;
        let json = |error: serde_json::Error| unsound(error.to_string());
        document["statements"] = serde_json::to_value(&written.statements).map_err(json)?;
        document["rests_on"] = serde_json::to_value(&rests_on).map_err(json)?;
        Ok(Self {
            id: written.id,
            title: written.title,
            layer: written.layer,
            mark: written.mark,
            cause: written.cause,
            statements: written.statements,
            rests_on,
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

/// The assumptions that an entry rests on, each with its value where the entry is played and its mark.
fn in_force(
    written: Vec<WrittenRest>,
    means: &Means,
    text: &str,
    file: &str,
) -> Result<Vec<RestsOn>, ScenarioError> {
    let list = match means {
        Means::Play(play) => play.assumptions.list(),
        Means::RestCase(case) => case.assumptions.list(),
        Means::Refused(_) | Means::Cannot { .. } => Assumptions::default().list(),
    };
    let resolve = |one: WrittenRest| {
        let name = one.assumption.get_ref();
        let found = list.iter().find(|known| known.name == name).ok_or_else(|| {
            let hint = hint(name, list.iter().map(|known| known.name));
            let problem = format!("there is no assumption {name:?}{hint}");
            ScenarioError::at(file, text, one.assumption.span(), problem)
        })?;
        let (assumption, value, mark) = (found.name, found.value.clone(), found.mark);
        Ok(RestsOn { assumption, value, mark, what: one.what })
    };
    written.into_iter().map(resolve).collect()
}

/// Checks that a site takes the commands of a play, that all its parts are expected, and that its files exist.
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
            "expected one `seen` for each of the parts {parts:?}, in order, found {seen:?}"
        )));
    }
    if play.failure.is_empty() {
        return Err(at("the first act is empty".to_owned()));
    }
    Ok(play)
}
