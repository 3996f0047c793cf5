//! Two runs compared, such as the last green one of a CI and the red one: a function of both, which the command prints and the page
//! shows.
//!
//! | file | what |
//! |---|---|
//! | `run` | what is known of a run: read from evidence or JSON, or from the answers of a lab |
//! | `steps` | the steps of two runs beside each other |
//!
//! Nothing here knows HTTP, a terminal or a lab.

mod run;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use run::{Cause, LabNow, NOTE, NoRun, Run};
pub(crate) use steps::StepPair;
use steps::lined_up;

/// What differs between two runs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Comparison {
    /// Whether the clients end alike: as many in each part of the fleet, of which the same ones are not well, in the same way.
    pub(crate) same: bool,
    pub(crate) first: Side,
    pub(crate) second: Side,
    /// Clients that do not end alike, by name.
    pub(crate) clients: Vec<ClientDiffers>,
    /// Parts of the fleet with different numbers of clients; absent if they are not known of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parts: Option<Vec<PartDiffers>>,
    /// Causes and notes of the first run that the second does not have.
    pub(crate) causes_of_first: Vec<Cause>,
    /// Causes and notes of the second run that the first does not have.
    pub(crate) causes_of_second: Vec<Cause>,
    /// What was done, in order; absent if it is not known of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<Vec<StepPair>>,
    /// Assumptions with different values; absent if they are not known of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assumptions: Option<Vec<AssumptionDiffers>>,
    /// What is not compared, each with why; absent if everything is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) not_compared: Vec<String>,
}

/// A run.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Side {
    /// Name of the file, or address of the lab.
    pub(crate) file: String,
    /// Title of the scenario, or name of the site; empty where neither is known.
    pub(crate) title: String,
    /// Lab time of the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) at: Option<Timestamp>,
    /// Number of clients.
    pub(crate) clients: u64,
    /// Number of orphaned clients.
    pub(crate) orphaned: usize,
    /// Whether all is well; absent where nothing was judged.
    pub(crate) well: Option<bool>,
}

/// A client that does not end alike.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ClientDiffers {
    /// Computer name of the client.
    pub(crate) client: String,
    /// How it ended in the first run: `well`, the name of a finding, `absent` where the run does not have the client, or `not_named`
    /// where that is not known.
    pub(crate) first: String,
    /// How it ended in the second run.
    pub(crate) second: String,
}

/// A part of the fleet with different numbers of clients.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PartDiffers {
    /// Name of the part.
    pub(crate) part: String,
    /// Number of its clients in the first run; absent if it does not have the part.
    pub(crate) first: Option<u64>,
    /// Number of its clients in the second run.
    pub(crate) second: Option<u64>,
}

/// An assumption with different values.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AssumptionDiffers {
    /// Name of the assumption.
    pub(crate) name: String,
    /// Value in the first run; absent if it does not have it.
    pub(crate) first: Option<String>,
    /// Value in the second run.
    pub(crate) second: Option<String>,
}

impl Comparison {
    pub(crate) fn of(first: &Run, second: &Run) -> Self {
        let (one, other) = (Side::of(first), Side::of(second));
        let clients = clients(first, second);
        let only = |of: &Run, than: &Run| {
            let own = of.causes.iter().filter(|(key, _)| !than.causes.contains_key(*key));
            own.map(|(_, cause)| cause.clone()).collect()
        };
        let mut not_compared = Vec::new();
        let parts = both(&first.parts, &second.parts, "The fleet", &mut not_compared);
        let parts = parts.map(|(one, other)| {
            differing(one, other).map(|(part, first, second)| PartDiffers { part, first, second }).collect()
        });
        let steps = both(&first.steps, &second.steps, "What was done", &mut not_compared);
        let assumed = both(&first.assumptions, &second.assumptions, "The assumptions", &mut not_compared);
        Self {
            same: clients.is_empty()
                && parts.as_ref().is_none_or(Vec::is_empty)
                && one.clients == other.clients
                && one.well.is_some()
                && one.well == other.well,
            first: one,
            second: other,
            clients,
            parts,
            causes_of_first: only(first, second),
            causes_of_second: only(second, first),
            steps: steps.map(|(one, other)| lined_up(one, other)),
            assumptions: assumed.map(|(one, other)| {
                let of = |(name, first, second)| AssumptionDiffers { name, first, second };
                differing(one, other).map(of).collect()
            }),
            not_compared,
        }
    }
}

impl Side {
    fn of(run: &Run) -> Self {
        Self {
            file: run.name.clone(),
            title: run.title.clone(),
            at: run.at,
            clients: run.clients,
            orphaned: run.orphaned,
            well: run.well,
        }
    }
}

/// What is known of both; otherwise the sentence that says why it is not.
fn both<'a, T>(
    first: &'a Result<T, String>,
    second: &'a Result<T, String>,
    what: &str,
    not_compared: &mut Vec<String>,
) -> Option<(&'a T, &'a T)> {
    match (first, second) {
        (Ok(first), Ok(second)) => Some((first, second)),
        _ => {
            let why: BTreeSet<&String> =
                [first.as_ref().err(), second.as_ref().err()].into_iter().flatten().collect();
            let why = why.into_iter().map(String::as_str).collect::<Vec<_>>().join("; ");
            not_compared.push(format!("{what}: not compared, since {why}."));
            None
        }
    }
}

/// The clients that do not end alike, those that differ in the same way one after the other.
fn clients(first: &Run, second: &Run) -> Vec<ClientDiffers> {
    let names: BTreeSet<&String> = first.findings.keys().chain(second.findings.keys()).collect();
    let pair = |client: &String| ClientDiffers {
        client: client.clone(),
        first: first.end_of(client).to_owned(),
        second: second.end_of(client).to_owned(),
    };
    let mut clients: Vec<ClientDiffers> =
        names.into_iter().map(pair).filter(|one| one.first != one.second).collect();
    clients.sort_by(|a, b| (&a.first, &a.second).cmp(&(&b.first, &b.second)));
    clients
}

/// The names of what has different values, with both.
fn differing<'a, V: Clone + PartialEq>(
    first: &'a BTreeMap<String, V>,
    second: &'a BTreeMap<String, V>,
) -> impl Iterator<Item = (String, Option<V>, Option<V>)> + use<'a, V> {
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let pair = |name: &String| (name.clone(), first.get(name).cloned(), second.get(name).cloned());
    names.into_iter().map(pair).filter(|(_, one, other)| one != other)
}
