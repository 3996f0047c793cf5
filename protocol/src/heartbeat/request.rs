//! The requests of clients.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::CommandReport;
use crate::id::{AgentId, DomainId, HardwareKey};
use crate::policy::PolicySerial;
use crate::time::Timestamp;
use crate::trust::Fingerprint;
use crate::version::ClientVersion;

/// One request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentRequest {
    /// The reachability test that people type into a browser; it needs no secret.
    Hello,
    /// Make me known to the site.
    Register(Registration),
    /// The question for changes. `serial` is the policy that the client holds, when it holds all that belongs to it.
    Index {
        /// The client.
        agent: AgentId,
        /// The serial of the policy that the client holds.
        serial: Option<PolicySerial>,
        /// The number of times that the client's record had changed hands when it registered: 0, unless several
        /// machines share one hardware id.
        turn: u32,
    },
    /// Give me this, with its signature.
    Fetch {
        /// The client.
        agent: AgentId,
        /// The artifact to fetch.
        artifact: Artifact,
    },
    /// This is how I am.
    Upload {
        /// The client.
        agent: AgentId,
        /// The state of the client, serialized.
        state: Bytes,
    },
    /// Keep this request until something is new (push mode).
    Hold {
        /// The client.
        agent: AgentId,
        /// The serial of the policy that the client holds.
        serial: Option<PolicySerial>,
    },
}

impl AgentRequest {
    /// The name of the request in a manager's records.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Register(_) => "register",
            Self::Index { .. } => "index",
            Self::Hold { .. } => "hold",
            Self::Upload { .. } => "upload",
            Self::Fetch { artifact: Artifact::Policy, .. } => "policy",
            Self::Fetch { artifact: Artifact::List, .. } => "list",
            Self::Fetch { artifact: Artifact::Package(_), .. } => "package",
        }
    }

    /// The client that asks, where it says so.
    pub fn agent(&self) -> Option<AgentId> {
        match self {
            Self::Hello | Self::Register(_) => None,
            Self::Index { agent, .. }
            | Self::Hold { agent, .. }
            | Self::Upload { agent, .. }
            | Self::Fetch { agent, .. } => Some(*agent),
        }
    }
}

/// An artifact that a client can fetch. Each comes with a detached signature.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Artifact {
    /// The policy of its group.
    Policy,
    /// The management server list of its group, and of each location with one of its own.
    List,
    /// A client package, by name.
    Package(String),
}

/// The description of a client when it registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The domain of its sylink.
    pub domain: DomainId,
    /// The hardware key of the machine.
    pub hardware_key: HardwareKey,
    /// The name of the computer.
    pub computer_name: String,
    /// The version of its client software.
    pub version: ClientVersion,
    /// The group that its sylink prefers.
    pub preferred_group: Option<String>,
}

/// The state that a client reports after a change: the progress gauge of a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationalState {
    /// The policy that it holds.
    pub serial: Option<PolicySerial>,
    /// The certificates that it believes.
    pub certificates: Vec<Fingerprint>,
    /// Whether the client authenticates its manager.
    pub secure_communications: bool,
    /// The location that it is in.
    pub location: Option<String>,
    /// Whether the client is cut off from the network, but for its managers.
    #[serde(default)]
    pub quarantined: bool,
    /// The moment at which a command made the client fetch the newest definitions; none if it still has those that it
    /// was installed with.
    #[serde(default)]
    pub content: Option<Timestamp>,
    /// The client's reports on the commands that it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<CommandReport>,
}
