//! A REST client case: an administrator's tool calls the REST API, in two acts, and is answered or not.
//!
//! No client takes part. The result follows from the certificate of the console and the tool's beliefs,
//! from the limit of calls, and from the length of the console's key.

use std::sync::Arc;
use std::time::Duration;

use epm_protocol::assumption::Assumptions;
use epm_protocol::site::{
    CallCounter, CallLimit, Command, CommandError, Founding, Manager, ManagerPorts, Site,
};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Beliefs, Pins, Rejection, judge};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refusal::NOW;

/// The calls of a tool and their expected results, in two acts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestCase {
    /// Assumptions about undocumented behaviour of the real product; absent ones have their defaults.
    #[serde(default)]
    pub assumptions: Assumptions,
    /// The steps of the first act, the failure.
    pub failure: Vec<CallStep>,
    /// The steps of the second act, the repair.
    pub repair: Vec<CallStep>,
}

/// A series of equal calls.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallStep {
    /// What happens, in one line.
    pub title: String,
    /// The operator's commands before the calls.
    #[serde(default)]
    pub operator: Vec<Command>,
    /// The limit of calls from now on; unchanged if absent.
    #[serde(default)]
    pub limit: Option<CallLimit>,
    /// Whether the tool is given the present certificate of the console; if not, it keeps its previous beliefs, at
    /// first none.
    #[serde(default)]
    pub given: bool,
    /// The pause in seconds before the first call.
    #[serde(default)]
    pub pause: u64,
    /// The operation to call.
    pub call: Call,
    /// The number of calls.
    #[serde(default = "one")]
    pub times: u32,
    /// The interval between two calls in milliseconds.
    #[serde(default)]
    pub every: u64,
    /// The expected results: the status of each answer, or the code of the reason why the certificate is not trusted;
    /// repetitions are left out.
    pub sees: Vec<String>,
}

/// An operation that a tool calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// The version of the manager, which needs no log-in.
    Version,
    /// The log-in of an administrator.
    LogIn,
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CallResult {
    /// The title of the step.
    pub title: String,
    /// Whether the step belongs to the repair.
    pub is_repair: bool,
    /// The expected results.
    pub expected: Vec<String>,
    /// The results, without repetitions.
    pub found: Vec<String>,
    /// Whether the results are as described.
    pub is_as_described: bool,
}

impl RestCase {
    /// The time at which a case begins, the same as for rehearsals.
    pub const START: Timestamp = NOW;

    /// The steps of both acts, and whether each belongs to the repair.
    pub fn steps(&self) -> impl Iterator<Item = (&CallStep, bool)> {
        self.failure.iter().map(|one| (one, false)).chain(self.repair.iter().map(|one| (one, true)))
    }

    /// The same calls without the cause: no limit, a tool that is given the certificate, no commands of the operator,
    /// and no repair.
    pub fn without_cause(&self) -> Self {
        let mut idle = self.clone();
        idle.repair.clear();
        for step in &mut idle.failure {
            (step.limit, step.given) = (None, true);
            step.operator.clear();
        }
        idle
    }

    /// The inputs for a site with one manager at these ports.
    pub fn founding(&self, ports: ManagerPorts) -> Founding {
        Founding {
            name: "My Site".to_owned(),
            seed: 1,
            managers: vec![("sepm-1".to_owned(), ports)],
            assumptions: Arc::new(self.assumptions.clone()),
        }
    }

    pub(super) fn commands_mut(&mut self) -> impl Iterator<Item = &mut Command> {
        self.failure.iter_mut().chain(&mut self.repair).flat_map(|step| &mut step.operator)
    }
}

impl CallStep {
    /// The pause before the call with this number, from 0.
    pub fn before(&self, call: u32) -> Duration {
        if call == 0 { Duration::from_secs(self.pause) } else { Duration::from_millis(self.every) }
    }
}

impl CallResult {
    /// Makes the result of a step from the results of its calls.
    pub fn of(step: &CallStep, is_repair: bool, mut found: Vec<String>) -> Self {
        found.dedup();
        Self {
            title: step.title.clone(),
            is_repair,
            is_as_described: found == step.sees,
            expected: step.sees.clone(),
            found,
        }
    }
}

/// The beliefs of a tool that was given the certificate of this manager's console.
pub fn given_beliefs(manager: &Manager) -> Beliefs {
    let mut pins = Pins::new();
    pins.insert(manager.console.certificate().clone());
    Beliefs { pins, ..Beliefs::default() }
}

/// The code of the reason why a certificate is not trusted.
pub fn rejection_code(rejection: &Rejection) -> String {
    super::observed::tag(rejection)
}

/// Plays the case in virtual time, where the rules are asked without sending bytes.
///
/// # Errors
///
/// When the site refuses a command.
pub fn rehearse_rest_case(plan: &RestCase) -> Result<Vec<CallResult>, CommandError> {
    let address = "127.0.0.1";
    let ports = ManagerPorts { address: address.to_owned(), http: Some(8014), https: Some(8014) };
    let mut site = Site::found(plan.founding(ports), NOW)?;
    let (mut now, mut counter, mut beliefs) = (NOW, CallCounter::default(), Beliefs::default());
    let mut results = Vec::new();
    for (step, is_repair) in plan.steps() {
        site.apply_all(&step.operator, now)?;
        if let Some(limit) = step.limit {
            counter = CallCounter::new(Some(limit));
        }
        let Some(manager) = site.managers().next() else { break };
        if step.given {
            beliefs = given_beliefs(manager);
        }
        let mut found = Vec::new();
        for call in 0..step.times {
            now = now + step.before(call);
            found.push(match judge(manager.console.certificate(), &beliefs, address, now) {
                Err(rejection) => rejection_code(&rejection),
                Ok(_) => answer(step.call, manager, &plan.assumptions, &mut counter, now).to_string(),
            });
        }
        results.push(CallResult::of(step, is_repair, found));
    }
    Ok(results)
}

fn answer(
    call: Call,
    manager: &Manager,
    assumptions: &Assumptions,
    counter: &mut CallCounter,
    now: Timestamp,
) -> u16 {
    if counter.count(now).is_err() {
        return 429;
    }
    match call {
        Call::LogIn if manager.log_in_trouble(assumptions).is_some() => 503,
        Call::LogIn | Call::Version => 200,
    }
}

const fn one() -> u32 {
    1
}
