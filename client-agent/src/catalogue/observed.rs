//! What was seen of a failure and its repair: both sides of every client, and how it stands when an act ends.

use std::fmt;

use epm_protocol::policy::PolicySerial;
use epm_protocol::site::Site;
use epm_protocol::time::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::agent::{AgentView, Health, LogLine, Server};

/// What was seen of both acts.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The failure.
    pub failure: Act,
    /// The repair.
    pub repair: Act,
}

/// What was seen of an act.
#[derive(Clone, Debug, Serialize)]
pub struct Act {
    /// When each of its steps began.
    pub began: Vec<Timestamp>,
    /// When it ended.
    pub ended: Timestamp,
    /// Every client, in the order of the fleet.
    pub clients: Vec<ObservedClient>,
    /// What the managers did, in order.
    pub managers: Vec<ManagerNote>,
    /// What the managers wrote into their log.
    pub manager_log: Vec<String>,
    /// The site at the end.
    #[serde(skip)]
    pub site: Site,
}

/// A client at the end of an act, and what it logged in it.
#[derive(Clone, Debug, Serialize)]
pub struct ObservedClient {
    /// The part of the fleet that it belongs to.
    pub part: String,
    /// Its name.
    pub client: String,
    /// How it stands.
    pub state: State,
    /// Why, if not well.
    pub because: Option<String>,
    /// What it logged.
    #[serde(serialize_with = "with_ids")]
    pub log: Vec<LogLine>,
    /// What it looks like.
    #[serde(skip)]
    pub view: AgentView,
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

/// What a manager did for a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ManagerNote {
    /// When.
    pub at: Timestamp,
    /// The manager.
    pub manager: String,
    /// The client, where the manager knows it.
    pub client: Option<String>,
    /// What was asked; `refused` where the manager could not tell.
    pub action: String,
    /// What it answered; none where the client broke off when it was shown the certificate.
    pub status: Option<u16>,
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

impl ObservedClient {
    /// Of a client that looks like this and has logged that.
    pub fn new(part: &str, view: AgentView, log: Vec<LogLine>) -> Self {
        let because = match &view.health {
            Health::New | Health::Connected { .. } => None,
            Health::Disconnected { because, .. } => Some(because.to_string()),
            Health::Orphaned { because, .. } => Some(because.to_string()),
        };
        Self {
            part: part.to_owned(),
            client: view.computer_name.clone(),
            state: State::of(&view.health),
            because,
            log,
            view,
        }
    }
}

impl Act {
    /// The name of the manager that is found at this server.
    pub fn manager_at(&self, server: &Server) -> Option<&str> {
        let found = self.site.managers().find(|manager| {
            let ports = &manager.ports;
            ports.address == server.address
                && [ports.http, ports.https].into_iter().any(|port| port == Some(server.port))
        });
        found.map(|manager| manager.name.as_str())
    }

    /// The newest policy of a group.
    pub(super) fn newest(&self, group: &str) -> Option<PolicySerial> {
        let id = self.site.groups().find(group).ok()?.id;
        let manager = self.site.managers().next()?;
        Some(self.site.publication(&manager.name)?.group(id)?.serial)
    }
}

impl fmt::Display for ManagerNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{} {status}", self.action),
            None => f.write_str(&self.action),
        }
    }
}

/// The log with the numbers of its events as the real log shows them.
fn with_ids<S: Serializer>(log: &[LogLine], serializer: S) -> Result<S::Ok, S::Error> {
    /// A line.
    #[derive(Serialize)]
    struct LineWithId<'a> {
        at: Timestamp,
        event: String,
        text: &'a str,
    }
    let lines = log.iter().map(|line| LineWithId {
        at: line.at,
        event: format!("{:08X}", line.event.id()),
        text: &line.text,
    });
    serializer.collect_seq(lines)
}

/// The stable code of something that was found.
pub(super) fn tag(finding: &impl Serialize) -> String {
    let value = serde_json::to_value(finding).unwrap_or_default();
    value["code"].as_str().unwrap_or_default().to_owned()
}
