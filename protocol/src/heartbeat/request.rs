//! The requests of clients.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::CommandReport;
use crate::id::{AgentId, DomainId, HardwareKey};
use crate::policy::PolicySerial;
use crate::time::Timestamp;
use crate::trust::Fingerprint;
use crate::version::ClientVersion;

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentRequest {
    /// The browser test; it needs no secret.
    Hello,
    /// Registers the client with the site.
    Register(Registration),
    /// Asks for changes. `serial` is the policy that the client holds, if it holds all that belongs to it.
    Index {
        /// The identifier of the client.
        agent: AgentId,
        /// The serial of the policy that the client holds.
        serial: Option<PolicySerial>,
        /// The number of times that the client's record had changed hands when it registered: 0, unless several
        /// machines share one hardware id.
        turn: u32,
    },
    /// Downloads an artifact with its signature.
    Fetch {
        /// The identifier of the client.
        agent: AgentId,
        /// The artifact to download.
        artifact: Artifact,
    },
    /// Reports the client's state.
    Upload {
        /// The identifier of the client.
        agent: AgentId,
        /// The state of the client, serialized.
        state: Bytes,
    },
    /// Asks the manager to hold this request until something is new (push mode).
    Hold {
        /// The identifier of the client.
        agent: AgentId,
        /// The serial of the policy that the client holds.
        serial: Option<PolicySerial>,
    },
    /// A request that examines the manager: answered as to a registered client, and kept nowhere.
    Probe(Box<Probe>),
}

/// A request of an examination, such as `epm-agent doctor`. It carries the registration of its client, so that the site
/// can answer as if the client were registered, without a record of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The description of the client.
    pub registration: Registration,
    /// The request of the client: any but a browser test and a held request.
    pub request: AgentRequest,
}

impl AgentRequest {
    /// The name of the request in a manager's log.
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
            Self::Probe(_) => "probe",
        }
    }

    /// The client that asks; none if the request does not name it.
    pub fn agent(&self) -> Option<AgentId> {
        match self {
            Self::Hello | Self::Register(_) => None,
            Self::Index { agent, .. }
            | Self::Hold { agent, .. }
            | Self::Upload { agent, .. }
            | Self::Fetch { agent, .. } => Some(*agent),
            Self::Probe(probe) => probe.request.agent(),
        }
    }
}

/// An artifact that a client can download. Each comes with a detached signature.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Artifact {
    /// The policy of the client's group.
    Policy,
    /// The management server lists of the client's group and of its locations.
    List,
    /// A client package, by name.
    Package(String),
}

/// The description of a client when it registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The domain in the client's communications file.
    pub domain: DomainId,
    /// The hardware key of the machine.
    pub hardware_key: HardwareKey,
    /// The name of the computer.
    pub computer_name: String,
    /// The version of the client's software.
    pub version: ClientVersion,
    /// The preferred group in the client's communications file.
    pub preferred_group: Option<String>,
}

/// The state that a client reports after a change, by which the progress of a rotation can be followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationalState {
    /// The serial of the policy that the client holds.
    pub serial: Option<PolicySerial>,
    /// The certificates that the client trusts.
    pub certificates: Vec<Fingerprint>,
    /// Whether the client authenticates its manager.
    pub secure_communications: bool,
    /// The location that the client is in.
    pub location: Option<String>,
    /// Whether the client is disconnected from the network, except from its managers.
    #[serde(default)]
    pub quarantined: bool,
    /// The time at which a command made the client download the newest definitions; none if it still has those of its
    /// installation.
    #[serde(default)]
    pub content: Option<Timestamp>,
    /// The client's reports on the commands that it received.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<CommandReport>,
}
