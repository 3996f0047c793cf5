//! Compares what was observed of a failure and its repair with what an entry of the catalogue expects.

use schemars::JsonSchema;
use serde::Serialize;

use super::entry::Play;
use super::expected::{Expected, ExpectedClient};
use super::observed::{Act, Observed, ObservedClient, State, tag};
use crate::agent::{Distrust, Health, Trouble};

/// A failure that was reproduced and repaired, and whether that was as described.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Reproduction {
    /// The first act: the failure.
    pub failure: Act,
    /// The findings in the failure.
    pub symptom: Vec<Finding>,
    /// The second act: the repair.
    pub repair: Act,
    /// The findings after the repair.
    pub recovery: Vec<Finding>,
}

/// An expectation, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// The client; none if the finding is about the managers.
    pub client: Option<String>,
    /// The property that was checked.
    pub what: &'static str,
    /// The value that was expected.
    pub expected: String,
    /// The value that was found.
    pub found: String,
}

impl Finding {
    /// Whether the finding is as expected.
    pub fn is_as_described(&self) -> bool {
        self.expected == self.found
    }
}

impl Observed {
    /// Compares the observation with the entry.
    pub fn check_against(self, play: &Play) -> Reproduction {
        let symptom = symptom(play, &self.failure);
        let recovery = recovery(play, &self.repair);
        Reproduction { failure: self.failure, symptom, repair: self.repair, recovery }
    }
}

impl Reproduction {
    /// Whether the symptom was as described.
    pub fn shows_the_symptom(&self) -> bool {
        self.symptom.iter().all(Finding::is_as_described)
    }

    /// Whether the repair worked as described.
    pub fn heals(&self) -> bool {
        self.recovery.iter().all(Finding::is_as_described)
    }
}

/// The findings in the first act.
fn symptom(play: &Play, act: &Act) -> Vec<Finding> {
    let mut findings = look(play, act, |expected| &expected.failure);
    for expected in &play.managers.answers {
        let is_there = act.managers.iter().any(|note| note.to_string() == *expected);
        findings.push(presence(None, "a manager answers", expected, is_there));
    }
    for expected in &play.managers.log {
        let is_there = act.manager_log.contains(expected);
        findings.push(presence(None, "a manager logs", expected, is_there));
    }
    findings
}

/// The findings in the second act.
fn recovery(play: &Play, act: &Act) -> Vec<Finding> {
    look(play, act, |expected| &expected.repaired)
}

fn look<'a>(play: &'a Play, act: &Act, of: impl Fn(&'a Expected) -> &'a ExpectedClient) -> Vec<Finding> {
    let mut findings = Vec::new();
    for expected in &play.seen {
        let clients: Vec<&ObservedClient> =
            act.clients.iter().filter(|one| one.part == expected.part).collect();
        if clients.is_empty() {
            findings.push(presence(None, "a client of", &expected.part, false));
        }
        for client in clients {
            of(expected).look_at(client, act, &mut findings);
        }
    }
    findings
}

impl ExpectedClient {
    fn look_at(&self, seen: &ObservedClient, act: &Act, findings: &mut Vec<Finding>) {
        let view = &seen.view;
        let mut hold = |what: &'static str, expected: Option<String>, found: Option<String>| {
            let Some(expected) = expected else { return };
            let found = found.unwrap_or_else(|| "none".to_owned());
            findings.push(Finding { client: Some(seen.client.clone()), what, expected, found });
        };
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        let newest = view.group.as_deref().and_then(|group| act.newest(group));
        let is_current = newest.is_some() && view.serial == newest;
        hold("stands", Some(self.state.to_string()), Some(State::of(&view.health).to_string()));
        let layer = view.health.orphaned().map(|(_, because)| because.layer());
        hold("layer", self.layer.map(|one| one.to_string()), layer.map(|one| one.to_string()));
        hold("reason", self.code.clone(), code(&view.health));
        let server = view.server.as_ref().and_then(|server| act.manager_at(server));
        hold("turns to", self.server.clone(), server.map(str::to_owned));
        hold("group", self.group.clone(), view.group.clone());
        hold("list", self.list.clone(), Some(view.list.clone()));
        hold("holds the newest policy", self.current.map(yes), Some(yes(is_current)));
        hold("authenticates", self.secure.map(yes), Some(yes(view.secure_communications)));
        hold("green dot", self.green_dot.map(yes), Some(yes(view.health.green_dot())));
        let logs = |id: &String| seen.log.iter().any(|line| format!("{:08X}", line.event.id()) == *id);
        for id in &self.events {
            findings.push(presence(Some(&seen.client), "logs", id, logs(id)));
        }
        for id in &self.never {
            findings.push(presence(Some(&seen.client), "does not log", id, !logs(id)));
        }
    }
}

/// The finding that something is there, or is not.
fn presence(client: Option<&str>, what: &'static str, expected: &str, is_there: bool) -> Finding {
    let found = if is_there { expected } else { "no" };
    Finding {
        client: client.map(str::to_owned),
        what,
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

/// The stable code of the reason why a client is not connected.
fn code(health: &Health) -> Option<String> {
    match health {
        Health::New | Health::Connected { .. } => None,
        Health::Orphaned { because, .. } => Some(distrust(because)),
        Health::Disconnected { because, .. } => Some(match because {
            Trouble::Exchange { failure } => failure.code().to_owned(),
            Trouble::Status { status, .. } => format!("status-{status}"),
            Trouble::Malformed { .. } => "malformed".to_owned(),
            Trouble::Untrusted { distrust: because } => distrust(because),
            Trouble::Disabled => "disabled".to_owned(),
        }),
    }
}

fn distrust(because: &Distrust) -> String {
    match because {
        Distrust::Tls { rejection } => tag(rejection),
        Distrust::Signature { error, .. } => tag(error),
        Distrust::SharedSecret { .. } => "kcs".to_owned(),
    }
}
