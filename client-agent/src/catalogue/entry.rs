//! What the catalogue says of a failure: of the real product, each with a mark, and of the lab.

use std::collections::BTreeMap;
use std::fmt;

use epm_protocol::assumption::{Assumptions, Mark};
use epm_protocol::fault::FaultRule;
use epm_protocol::statement::Statement;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::expected::{Area, Expected, ManagersDo};
use super::refusal::Refused;
use super::rest_case::RestCase;
use crate::scenario::{ClockPlan, PartPlan, Scenario, SitePlan, StepPlan};

/// One failure.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name, `F01`.
    pub id: String,
    /// What happens, in one line.
    pub title: String,
    /// Where it lies: a layer of trust, or what else stands between manager and client.
    pub layer: Area,
    /// How well it is founded that this cause has this effect.
    pub mark: Mark,
    /// How it comes about.
    pub cause: String,
    /// The statements of the documented procedure that it shows.
    pub statements: Vec<Statement>,
    /// The assumptions without which the lab would not show it as it does.
    pub rests_on: Vec<RestsOn>,
    /// What people see of it in the real product.
    pub symptom: String,
    /// What the real product writes.
    pub log: Vec<ProductLine>,
    /// What each client version does; where there is but one entry, all do the same.
    pub versions: BTreeMap<String, String>,
    /// The state it ends in.
    pub ends: String,
    /// What looks alike.
    pub unlike: Vec<Lookalike>,
    /// What heals it.
    pub repair: String,
    /// How the lab brings it about, in words.
    pub how: String,
    /// How the lab brings it about, or why not.
    pub means: Means,
    /// The file as it was read.
    pub(super) document: serde_json::Value,
}

/// An assumption that a failure rests on, as it stands where the failure is played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestsOn {
    /// The assumption's name.
    pub assumption: &'static str,
    /// The value in force.
    pub value: String,
    /// How well the assumption is founded.
    pub mark: Mark,
    /// What of the failure follows from it.
    pub what: String,
}

/// A line that the real product writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProductLine {
    /// The log that it stands in.
    pub file: String,
    /// The number of the event, in hexadecimal digits, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Its text, or what it is about.
    pub text: String,
    /// How well that is founded.
    pub mark: Mark,
}

/// A failure that looks like this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lookalike {
    /// Which.
    pub id: String,
    /// What tells them apart.
    pub by: String,
}

/// How the lab brings a failure about, or why not.
#[derive(Clone, Debug)]
pub enum Means {
    /// By playing it.
    Play(Box<Play>),
    /// A manager refuses the cause, with these words.
    Refused(Box<Refused>),
    /// A tool of an administrator meets it at the REST API.
    RestCase(Box<RestCase>),
    /// Never.
    Cannot {
        /// Why.
        why: String,
    },
}

/// A failure in two acts: it is brought about, and it is repaired.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Play {
    /// The seed of everything that is drawn or derived.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Assumptions about undocumented behaviour of the real product; each that is absent has its default.
    #[serde(default)]
    pub assumptions: Assumptions,
    /// The site.
    pub site: SitePlan,
    /// The clients, part by part.
    pub fleet: Vec<Spanned<PartPlan>>,
    /// The faults that steps may set, by name, and heal.
    #[serde(default)]
    pub fault: Vec<Spanned<FaultRule>>,
    /// The first act.
    pub failure: Vec<StepPlan>,
    /// The second.
    pub repair: Vec<StepPlan>,
    /// What must be seen of each part.
    pub seen: Vec<Expected>,
    /// What the managers must do in the first act.
    #[serde(default)]
    pub managers: ManagersDo,
}

/// How much of a failure is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acts {
    First,
    Both,
}

impl Entry {
    /// The whole entry as its file has it, with the titles of statements and what is in force of assumptions.
    pub fn to_json(&self) -> &serde_json::Value {
        &self.document
    }
}

/// `module_14_2 = learns-only-the-speaking-manager (U): why it learns nothing`.
impl fmt::Display for RestsOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} ({}): {}", self.assumption, self.value, self.mark.letter(), self.what)
    }
}

impl Play {
    /// Both acts as a scenario.
    pub fn scenario(&self, title: &str) -> Scenario {
        self.acts(title, Acts::Both)
    }

    /// The same time without its cause: nothing happens in the first act, and there is no second.
    pub fn without_cause(&self) -> Self {
        let mut idle = self.clone();
        for step in &mut idle.failure {
            step.fleet.clear();
            step.operator.clear();
            step.faults.clear();
            step.heal.clear();
        }
        idle.repair.clear();
        idle
    }

    pub(super) fn acts(&self, title: &str, acts: Acts) -> Scenario {
        let second: &[StepPlan] = if acts == Acts::Both { &self.repair } else { &[] };
        Scenario {
            title: title.to_owned(),
            about: String::new(),
            seed: self.seed,
            clock: ClockPlan::default(),
            assumptions: self.assumptions.clone(),
            site: self.site.clone(),
            fleet: self.fleet.clone(),
            fault: self.fault.clone(),
            step: self.failure.iter().chain(second).cloned().collect(),
        }
    }
}

const fn default_seed() -> u64 {
    7
}
