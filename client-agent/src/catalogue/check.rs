//! What must be seen of a failure, held against what was seen.

use serde::{Deserialize, Serialize};

use super::entry::{Play, Standing};
use super::observed::{Act, Seen};
use crate::agent::{Distrust, Health, Trouble};

/// What must be seen of a part of the fleet: of each client the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expected {
    /// The part.
    pub part: String,
    /// At the end of the first act, and in it.
    pub failure: Sight,
    /// At the end of the second, and in it.
    pub repaired: Sight,
}

/// What must be seen of a client; what is absent may be anything.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sight {
    /// How it stands.
    pub state: State,
    /// The layer of trust that broke.
    #[serde(default)]
    pub layer: Option<Standing>,
    /// The stable code of the reason.
    #[serde(default)]
    pub code: Option<String>,
    /// Events that its log must have, in hexadecimal digits.
    #[serde(default)]
    pub events: Vec<String>,
    /// Events that its log must not have in that act; the first one begins with the installation.
    #[serde(default)]
    pub never: Vec<String>,
    /// The manager that it turns to first.
    #[serde(default)]
    pub server: Option<String>,
    /// The group that its policy is for.
    #[serde(default)]
    pub group: Option<String>,
    /// The name of its management server list.
    #[serde(default)]
    pub list: Option<String>,
    /// Whether it holds the newest policy of its group.
    #[serde(default)]
    pub current: Option<bool>,
    /// Whether it authenticates its manager.
    #[serde(default)]
    pub secure: Option<bool>,
    /// Whether it shows the green dot.
    #[serde(default)]
    pub green_dot: Option<bool>,
}

/// What the managers must do in the first act.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ManagersDo {
    /// Answers that one of them gives: what was asked, and the status.
    pub answers: Vec<String>,
    /// Lines that one of them writes into its log.
    pub log: Vec<String>,
}

/// How a client stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It has not tried yet.
    New,
    /// A manager serves it.
    Connected,
    /// None does, and trust is not the reason, or not the only one.
    Disconnected,
    /// It believes no manager, or none takes it for its own.
    Orphaned,
}

/// One thing that was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The client; none if it is about the managers.
    pub client: Option<String>,
    /// What was looked at.
    pub what: &'static str,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl Finding {
    /// Whether it was found.
    pub fn is_as_described(&self) -> bool {
        self.expected == self.found
    }
}

impl State {
    /// Of a client that stands so.
    pub fn of(health: &Health) -> Self {
        match health {
            Health::New => Self::New,
            Health::Connected { .. } => Self::Connected,
            Health::Disconnected { .. } => Self::Disconnected,
            Health::Orphaned { .. } => Self::Orphaned,
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Orphaned => "orphaned",
        })
    }
}

/// What is seen of the first act.
pub(super) fn symptom(play: &Play, act: &Act) -> Vec<Finding> {
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

/// What is seen of the second.
pub(super) fn recovery(play: &Play, act: &Act) -> Vec<Finding> {
    look(play, act, |expected| &expected.repaired)
}

fn look<'a>(play: &'a Play, act: &Act, of: impl Fn(&'a Expected) -> &'a Sight) -> Vec<Finding> {
    let mut findings = Vec::new();
    for expected in &play.seen {
        let clients: Vec<&Seen> = act.clients.iter().filter(|one| one.part == expected.part).collect();
        if clients.is_empty() {
            findings.push(presence(None, "a client of", &expected.part, false));
        }
        for client in clients {
            of(expected).look_at(client, act, &mut findings);
        }
    }
    findings
}

impl Sight {
    fn look_at(&self, seen: &Seen, act: &Act, findings: &mut Vec<Finding>) {
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
        hold("layer", self.layer.map(|one| one.to_string()), layer(&view.health).map(str::to_owned));
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

fn layer(health: &Health) -> Option<&'static str> {
    health.orphaned().map(|(_, because)| because.layer())
}

/// The stable code of the reason why a client is not well.
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
        Distrust::Secret { .. } => "kcs".to_owned(),
    }
}

pub(super) fn tag(finding: &impl Serialize) -> String {
    let value = serde_json::to_value(finding).unwrap_or_default();
    value["code"].as_str().unwrap_or_default().to_owned()
}
