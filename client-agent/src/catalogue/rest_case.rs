//! A case of an administrator's tool at the REST API: it calls, in two acts, and is answered or not.
//!
//! No client has a part in it. What the tool meets follows from the certificate that the console shows and what the tool
//! believes, from the limit of calls, and from the length of the console's key.

use std::sync::Arc;
use std::time::Duration;

use epm_protocol::assumption::Assumptions;
use epm_protocol::site::{
    CallCounter, CallLimit, Command, CommandError, Founding, Manager, ManagerPorts, Site,
};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Beliefs, Pins, Rejection, judge};
use serde::{Deserialize, Serialize};

use super::refusal::NOW;

/// What a tool does and meets, in two acts.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RestCase {
    /// Assumptions about undocumented behaviour of the real product; each that is absent has its default.
    #[serde(default)]
    pub assumptions: Assumptions,
    /// The first act.
    pub failure: Vec<CallStep>,
    /// The second.
    pub repair: Vec<CallStep>,
}

/// Some calls, one like the other.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CallStep {
    /// What happens, in one line.
    pub title: String,
    /// What the operator does before.
    #[serde(default)]
    pub operator: Vec<Command>,
    /// How many calls the manager answers from now on; as before when absent.
    #[serde(default)]
    pub limit: Option<CallLimit>,
    /// Whether the tool is given the certificate that the console shows now; otherwise it believes what it did before, and
    /// nobody at first.
    #[serde(default)]
    pub given: bool,
    /// How many seconds pass before the first call.
    #[serde(default)]
    pub pause: u64,
    /// What is called.
    pub call: Call,
    /// How many times.
    #[serde(default = "one")]
    pub times: u32,
    /// How many milliseconds there are between two calls.
    #[serde(default)]
    pub every: u64,
    /// What the tool must see: each answer's status, or the code of the reason why the certificate is not believed; what
    /// repeats itself once.
    pub sees: Vec<String>,
}

/// What a tool calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// The version of the manager, for which nobody has to log in.
    Version,
    /// The log-in.
    LogIn,
}

/// What a tool has met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallResult {
    /// What happened.
    pub title: String,
    /// Whether it belongs to the repair.
    pub is_repair: bool,
    /// What had to be seen.
    pub expected: Vec<String>,
    /// What was seen; what repeats itself once.
    pub found: Vec<String>,
    /// Whether that is as described.
    pub is_as_described: bool,
}

impl RestCase {
    /// When it begins: as a rehearsal does.
    pub const START: Timestamp = NOW;

    /// The steps of both acts, and whether each belongs to the repair.
    pub fn steps(&self) -> impl Iterator<Item = (&CallStep, bool)> {
        self.failure.iter().map(|one| (one, false)).chain(self.repair.iter().map(|one| (one, true)))
    }

    /// The same calls without the cause: no limit, a tool that is given the certificate, and an operator who does nothing;
    /// there is no repair.
    pub fn without_cause(&self) -> Self {
        let mut idle = self.clone();
        idle.repair.clear();
        for step in &mut idle.failure {
            (step.limit, step.given) = (None, true);
            step.operator.clear();
        }
        idle
    }

    /// What a site with one manager at this place is founded from.
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
    /// How long it is until the call with this number, from 0, since the one before.
    pub fn before(&self, call: u32) -> Duration {
        if call == 0 { Duration::from_secs(self.pause) } else { Duration::from_millis(self.every) }
    }
}

impl CallResult {
    /// The result of a step, from what was found call by call.
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

/// What a tool believes that was given the certificate of this manager's console.
pub fn given_beliefs(manager: &Manager) -> Beliefs {
    let mut pins = Pins::new();
    pins.insert(manager.console.certificate().clone());
    Beliefs { pins, ..Beliefs::default() }
}

/// The code of the reason why a certificate is not believed.
pub fn rejection_code(rejection: &Rejection) -> String {
    super::observed::tag(rejection)
}

/// Plays the case in virtual time: where no byte is sent, the rules themselves are asked.
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
