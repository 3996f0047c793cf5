//! What was observed of a failure and its repair: both sides of every client, and its state at the end of an act.

use std::fmt;

use epm_protocol::policy::PolicySerial;
use epm_protocol::site::Site;
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::agent::{AgentView, Health, LogLine, Server};
use crate::scenario::Note;

/// What was observed of both acts.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The first act: the failure.
    pub failure: Act,
    /// The second act: the repair.
    pub repair: Act,
}

/// What was observed of an act.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Act {
    /// The times at which the steps of the act began.
    #[schemars(with = "Vec<String>")]
    pub began: Vec<Timestamp>,
    /// The time at which the act ended.
    #[schemars(with = "String")]
    pub ended: Timestamp,
    /// The clients, in the order of the fleet.
    pub clients: Vec<ObservedClient>,
    /// The notes of the verdict on these clients at the end of the act; absent where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// The actions of the managers, in order.
    pub managers: Vec<ManagerNote>,
    /// The lines in the managers' logs.
    pub manager_log: Vec<String>,
    /// The site at the end of the act.
    #[serde(skip)]
    pub site: Site,
}

/// A client at the end of an act, and its log of the act.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ObservedClient {
    /// The part of the fleet that the client belongs to.
    pub part: String,
    /// The name of the client.
    pub client: String,
    /// The state of the client.
    pub state: State,
    /// The reason, if the client is not connected.
    pub because: Option<String>,
    /// The lines in the client's log.
    #[serde(serialize_with = "with_ids")]
    #[schemars(with = "Vec<LineWithId>")]
    pub log: Vec<LogLine>,
    /// The state of the client as seen from outside.
    #[serde(skip)]
    pub view: AgentView,
}

/// The state of a client in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The client has not tried to connect yet.
    New,
    /// A manager serves the client.
    Connected,
    /// No manager serves the client, and trust is not the reason, or not the only one.
    Disconnected,
    /// The client trusts no manager, or none accepts it as a client of its site.
    Orphaned,
}

/// An action of a manager for a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ManagerNote {
    /// The time of the action.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The name of the manager.
    pub manager: String,
    /// The name of the client, if the manager knows it.
    pub client: Option<String>,
    /// The request; `refused` if the manager could not decode it.
    pub action: String,
    /// The status of the answer; none if the client broke off when it was shown the certificate.
    pub status: Option<u16>,
}

impl State {
    /// The state of a client with this health.
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
    /// Makes the observation of a client from its view and its log.
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
    /// The name of the manager at this server.
    pub fn manager_at(&self, server: &Server) -> Option<&str> {
        let found = self.site.managers().find(|manager| {
            let ports = &manager.ports;
            ports.address == server.address
                && [ports.http, ports.https].into_iter().any(|port| port == Some(server.port))
        });
        found.map(|manager| manager.name.as_str())
    }

    /// The serial of the newest policy of a group.
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

/// A line of a client's log.
#[derive(Serialize, JsonSchema)]
struct LineWithId<'a> {
    /// The lab time of the line.
    #[schemars(with = "String")]
    at: Timestamp,
    /// The number of the event, in hexadecimal digits.
    event: String,
    /// The text of the line.
    text: &'a str,
}

/// Serialises the log with event numbers as the real log shows them.
fn with_ids<S: Serializer>(log: &[LogLine], serializer: S) -> Result<S::Ok, S::Error> {
    let lines = log.iter().map(|line| LineWithId {
        at: line.at,
        event: format!("{:08X}", line.event.id()),
        text: &line.text,
    });
    serializer.collect_seq(lines)
}

/// The stable code of a finding.
pub(super) fn tag(finding: &impl Serialize) -> String {
    let value = serde_json::to_value(finding).unwrap_or_default();
    value["code"].as_str().unwrap_or_default().to_owned()
}
