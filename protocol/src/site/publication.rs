//! Everything that one manager answers from: rendered and numbered once, signed once, then only read.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::client::{RegisteredClient, agent_id};
use crate::assumption::Assumptions;
use crate::heartbeat::{
    AgentRequest, Artifact, ClientCommand, ContentType, IDENTITY_CONFLICT, Index, ManagerResponse,
    NEW_IDENTITY, OperationalState, Probe, Registered, Registration, SignatureHeader,
};
use crate::id::{AgentId, DomainId, GroupId};
use crate::policy::PolicySerial;
use crate::trust::{Kcs, ServerIdentity};

/// Everything that one manager publishes, from one change of the site to the next.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The name of the manager.
    pub manager: String,
    /// The domain that its clients register with.
    pub domain: DomainId,
    /// The shared secret of the site.
    pub kcs: Kcs,
    /// The identity that the clients' port shows.
    pub identity: ServerIdentity,
    /// The identity whose key signs.
    pub signer: ServerIdentity,
    /// The number of publications of this manager so far.
    pub generation: u64,
    pub(super) assumptions: Arc<Assumptions>,
    pub(super) groups: HashMap<GroupId, Arc<PublishedGroup>>,
    pub(super) packages: HashMap<String, PublishedArtifact>,
}

/// Everything that the clients of one group get.
#[derive(Clone, Debug)]
pub struct PublishedGroup {
    /// The serial of the policy.
    pub serial: PolicySerial,
    pub(super) index: Bytes,
    pub(super) policy: PublishedArtifact,
    /// The list; groups with the same settings share it.
    pub(super) list: Arc<PublishedArtifact>,
}

impl PublishedGroup {
    /// The bytes of each document that clients read as a whole.
    pub(super) fn sizes(&self) -> [(&'static str, usize); 3] {
        [
            ("index", self.index.len()),
            ("policy", self.policy.body.len()),
            ("management server list", self.list.body.len()),
        ]
    }
}

/// A document and its signature. The signature follows from the bytes and the key, so it is made on first use
/// and then kept.
#[derive(Clone)]
pub struct PublishedArtifact {
    pub(super) body: Bytes,
    signer: ServerIdentity,
    signature: OnceLock<SignatureHeader>,
    pub(super) content_type: ContentType,
}

/// The reaction of a manager to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The manager answers.
    Now(ManagerResponse),
    /// The manager holds the request until the group of the client has something new.
    WhenChanged,
}

/// What a request tells the manager about a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Visit {
    /// The request does not identify a client.
    Anonymous,
    /// A client asks to be registered. The answer holds once the site has done it, with the turn of
    /// [`RegisteredClient::registered`].
    Registering(Registration),
    /// A client that the site does not know examines the manager. The answer is that to the record which the site would
    /// make of its registration.
    Probing(Box<Probe>),
    /// The client's record now belongs to another machine with the same hardware id; it was sent to register again.
    Conflicting(AgentId),
    /// A client came and holds this policy.
    Client {
        /// The identifier of the client.
        agent: AgentId,
        /// The serial of the policy that the client holds, if it said so.
        serial: Option<PolicySerial>,
    },
    /// A client reported its state.
    Reported {
        /// The identifier of the client.
        agent: AgentId,
        /// The state of the client; none if its report is malformed.
        state: Option<OperationalState>,
    },
}

impl Publication {
    /// The published groups, by identifier.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, &PublishedGroup)> {
        self.groups.iter().map(|(id, group)| (*id, group.as_ref()))
    }

    /// The status with which the manager answers a request for an artifact that does not exist.
    pub fn missing_status(&self) -> u16 {
        self.assumptions.missing_status
    }

    /// Whether another publication of this manager would give the same answers.
    pub fn answers_as(&self, other: &Self) -> bool {
        let artifact = |one: &PublishedArtifact, two: &PublishedArtifact| {
            one.body == two.body && one.signer.certificate() == two.signer.certificate()
        };
        let group = |one: &Arc<PublishedGroup>, two: &Arc<PublishedGroup>| {
            Arc::ptr_eq(one, two)
                || (one.index == two.index
                    && artifact(&one.policy, &two.policy)
                    && artifact(&one.list, &two.list))
        };
        let identity = |one: &Self| one.identity.certificate().fingerprint();
        self.manager == other.manager
            && self.domain == other.domain
            && self.kcs == other.kcs
            && identity(self) == identity(other)
            && self.groups.len() == other.groups.len()
            && self.groups.iter().all(|(id, one)| other.groups.get(id).is_some_and(|two| group(one, two)))
            && self.packages.len() == other.packages.len()
            && self
                .packages
                .iter()
                .all(|(name, one)| other.packages.get(name).is_some_and(|two| artifact(one, two)))
    }

    /// Everything that a group's clients get; none if there is no such group.
    pub fn group(&self, group: GroupId) -> Option<&Arc<PublishedGroup>> {
        self.groups.get(&group)
    }

    /// Answers a request. `client` is the record of the client that asks, if it is registered.
    pub fn answer(&self, request: &AgentRequest, client: Option<&RegisteredClient>) -> (Answer, Visit) {
        match request {
            AgentRequest::Hello => {
                (Answer::Now(ManagerResponse::text(200, &self.assumptions.hello_answer)), Visit::Anonymous)
            }
            AgentRequest::Register(registration) => self.register(registration),
            AgentRequest::Index { agent, turn, .. } if client.is_some_and(|one| one.turn != *turn) => {
                let is_duplicate = client.is_some_and(|one| one.is_duplicate);
                let status = if is_duplicate { NEW_IDENTITY } else { IDENTITY_CONFLICT };
                let words = "another machine has registered with this hardware id";
                (Answer::Now(ManagerResponse::text(status, words)), Visit::Conflicting(*agent))
            }
            AgentRequest::Index { agent, serial, .. } => {
                let visit = Visit::Client { agent: *agent, serial: *serial };
                (Answer::Now(self.index(client, *serial)), visit)
            }
            AgentRequest::Hold { agent, serial } => {
                let visit = Visit::Client { agent: *agent, serial: *serial };
                (self.hold(client, *serial), visit)
            }
            AgentRequest::Fetch { agent, artifact } => {
                let visit = Visit::Client { agent: *agent, serial: None };
                (Answer::Now(self.fetch(client, artifact)), visit)
            }
            AgentRequest::Upload { agent, state } => {
                let visit = Visit::Reported { agent: *agent, state: serde_json::from_slice(state).ok() };
                let status = if client.is_some() { 200 } else { self.assumptions.unregistered_status };
                (Answer::Now(ManagerResponse::empty(status)), visit)
            }
            AgentRequest::Probe(probe) => match client {
                Some(client) => (Answer::Now(self.answer_probe(&probe.request, client)), Visit::Anonymous),
                None => (Answer::Now(self.unregistered()), Visit::Probing(probe.clone())),
            },
        }
    }

    fn answer_probe(&self, request: &AgentRequest, client: &RegisteredClient) -> ManagerResponse {
        match self.answer(request, Some(client)) {
            (_, Visit::Registering(_)) => {
                Registered { agent: client.agent, turn: client.turn, is_probe: true }.response()
            }
            (Answer::Now(answer), _) => answer,
            (Answer::WhenChanged, _) => ManagerResponse::text(400, "a probe is not held"),
        }
    }

    /// Answers a client with pending commands, where they make a difference: the index names them, and is sent
    /// even if the client's policy is current.
    pub fn answer_with_commands(
        &self,
        request: &AgentRequest,
        client: &RegisteredClient,
        commands: &[ClientCommand],
    ) -> Option<ManagerResponse> {
        let group = self.groups.get(&client.group)?;
        match request {
            AgentRequest::Index { turn, .. } if !commands.is_empty() && client.turn == *turn => {
                Some(ManagerResponse::xml(Index::with_commands(&group.index, commands)))
            }
            _ => None,
        }
    }

    fn register(&self, registration: &Registration) -> (Answer, Visit) {
        if registration.domain != self.domain {
            let refusal = ManagerResponse::text(self.assumptions.unknown_domain_status, "unknown domain");
            return (Answer::Now(refusal), Visit::Anonymous);
        }
        let agent = agent_id(registration.hardware_key);
        let answer = Registered { agent, turn: 0, is_probe: false }.response();
        (Answer::Now(answer), Visit::Registering(registration.clone()))
    }

    fn index(&self, client: Option<&RegisteredClient>, held: Option<PolicySerial>) -> ManagerResponse {
        match self.group_of(client) {
            None => self.unregistered(),
            Some(group) if held == Some(group.serial) => {
                ManagerResponse::empty(self.assumptions.unchanged_status)
            }
            Some(group) => ManagerResponse::xml(group.index.clone()),
        }
    }

    fn hold(&self, client: Option<&RegisteredClient>, held: Option<PolicySerial>) -> Answer {
        match self.group_of(client) {
            None => Answer::Now(self.unregistered()),
            Some(group) if held == Some(group.serial) => Answer::WhenChanged,
            Some(_) => Answer::Now(ManagerResponse::text(200, "changed")),
        }
    }

    fn fetch(&self, client: Option<&RegisteredClient>, artifact: &Artifact) -> ManagerResponse {
        let Some(group) = self.group_of(client) else { return self.unregistered() };
        let found = match artifact {
            Artifact::Policy => Some(&group.policy),
            Artifact::List => Some(group.list.as_ref()),
            Artifact::Package(name) => self.packages.get(name),
        };
        found.map_or_else(
            || ManagerResponse::text(self.assumptions.missing_status, "no such artifact"),
            PublishedArtifact::response,
        )
    }

    fn group_of(&self, client: Option<&RegisteredClient>) -> Option<&Arc<PublishedGroup>> {
        self.groups.get(&client?.group)
    }

    fn unregistered(&self) -> ManagerResponse {
        ManagerResponse::text(self.assumptions.unregistered_status, "not registered")
    }
}

impl PublishedGroup {
    /// The files of this group in the manager's outbox: the index [C S26], the profile and its signature.
    pub fn outbox(&self) -> [(&'static str, Vec<u8>); 3] {
        [
            ("index2.xml", self.index.to_vec()),
            ("LSProfile.xml", self.policy.body.to_vec()),
            ("LSProfile.xml.sig", self.policy.signature().as_bytes().to_vec()),
        ]
    }
}

impl std::fmt::Debug for PublishedArtifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let signer = self.signer.certificate().fingerprint();
        write!(f, "PublishedArtifact({:?}, {:?}, by {signer})", self.body, self.content_type)
    }
}

impl PublishedArtifact {
    pub(super) fn new(body: Bytes, content_type: ContentType, signer: &ServerIdentity) -> Self {
        Self { body, signer: signer.clone(), signature: OnceLock::new(), content_type }
    }

    /// The signature of the document.
    pub(super) fn signature(&self) -> &SignatureHeader {
        self.signature.get_or_init(|| SignatureHeader::new(&self.signer.key().sign(&self.body)))
    }

    fn response(&self) -> ManagerResponse {
        ManagerResponse {
            status: 200,
            content_type: self.content_type,
            signature: Some(self.signature().clone()),
            body: self.body.clone(),
        }
    }
}
