//! An entry of the catalogue: what it says of the real product, each with a mark, and of the lab.

use std::collections::BTreeMap;
use std::fmt;

use epm_protocol::assumption::{Assumptions, Mark};
use epm_protocol::fault::FaultRule;
use epm_protocol::statement::Statement;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::expected::{Area, Expected, ManagersDo};
use super::refusal::Refused;
use super::rest_case::RestCase;
use crate::scenario::{ClockPlan, PartPlan, Scenario, SitePlan, StepPlan};

/// A known failure.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The identifier of the failure, like `F01`.
    pub id: String,
    /// The failure in one line.
    pub title: String,
    /// The location of the failure: a layer of trust, or something else between manager and client.
    pub layer: Area,
    /// How well it is founded that this cause has this effect.
    pub mark: Mark,
    /// The cause of the failure.
    pub cause: String,
    /// The statements of the documented procedure that the failure shows.
    pub statements: Vec<Statement>,
    /// The assumptions without which the lab would not show the failure as it does.
    pub rests_on: Vec<RestsOn>,
    /// The symptom in the real product.
    pub symptom: String,
    /// The log lines of the real product.
    pub log: Vec<ProductLine>,
    /// The behaviour of each client version; a single entry applies to all.
    pub versions: BTreeMap<String, String>,
    /// The state at the end of the failure.
    pub ends: String,
    /// Failures that look alike.
    pub unlike: Vec<Lookalike>,
    /// The repair of the failure.
    pub repair: String,
    /// How the lab reproduces the failure, in words.
    pub how: String,
    /// How the lab reproduces the failure, or why it cannot.
    pub means: Means,
    /// The content of the entry's file.
    pub(super) document: serde_json::Value,
}

/// An assumption that a failure rests on, as it stands where the failure is played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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

/// A log line of the real product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductLine {
    /// The name of the log file.
    pub file: String,
    /// The number of the event, in hexadecimal digits, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The text of the line, or what it is about.
    pub text: String,
    /// How well that is founded.
    pub mark: Mark,
}

/// A failure that looks like another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lookalike {
    /// The identifier of the failure that looks alike.
    pub id: String,
    /// What distinguishes the two.
    pub by: String,
}

/// How the lab reproduces a failure, or why it cannot.
#[derive(Clone, Debug)]
pub enum Means {
    /// The lab plays it with clients.
    Play(Box<Play>),
    /// A manager refuses the cause.
    Refused(Box<Refused>),
    /// A tool of an administrator meets it at the REST API.
    RestCase(Box<RestCase>),
    /// The lab cannot reproduce it.
    Cannot {
        /// The reason why it cannot.
        why: String,
    },
}

/// A failure in two acts: it is brought about, then repaired.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Play {
    /// The seed of everything that is drawn or derived.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Assumptions about undocumented behaviour of the real product; absent ones have their defaults.
    #[serde(default)]
    pub assumptions: Assumptions,
    /// The site.
    pub site: SitePlan,
    /// The clients, part by part.
    pub fleet: Vec<Spanned<PartPlan>>,
    /// The faults that steps may set and heal, by name.
    #[serde(default)]
    pub fault: Vec<Spanned<FaultRule>>,
    /// The steps of the first act, the failure.
    pub failure: Vec<StepPlan>,
    /// The steps of the second act, the repair.
    pub repair: Vec<StepPlan>,
    /// What is expected of each part.
    pub seen: Vec<Expected>,
    /// What is expected of the managers in the first act.
    #[serde(default)]
    pub managers: ManagersDo,
}

/// Which acts of a failure are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acts {
    First,
    Both,
}

impl Entry {
    /// The whole entry as in its file, with the titles of statements, and the value and mark of each assumption.
    pub fn to_json(&self) -> &serde_json::Value {
        &self.document
    }
}

/// `module_14_2 = learns-only-the-sending-manager (U): why it learns nothing`.
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

    /// The same play without its cause: nothing happens in the first act, and there is no second.
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
