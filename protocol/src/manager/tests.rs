//! A manager by hand: its answers, the changes of the site, and the effects of faults.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::faulted::{Intercepted, alter, intercept};
use super::previous::Previous;
use super::*;
use crate::assumption::Assumptions;
use crate::fault::{FaultRule, Hit, VirtualExchange};
use crate::heartbeat::{Artifact, CommandKind, IDENTITY_CONFLICT, Index, Probe, Registered};
use crate::id::{CommandId, DomainId, Guid, HardwareKey};
use crate::policy::Protocol;
use crate::site::{Command, Founding, ManagerPorts, NewCertificate, Site, Stores, agent_id};
use crate::time::Timestamp;
use crate::version::ClientVersion;

const START: Timestamp = Timestamp::from_seconds(1_767_600_000);
const LATER: Timestamp = Timestamp::from_seconds(1_767_600_060);

/// The simplest driver: clients in one map, and a list of visits.
struct Driver {
    site: Site,
    clients: BTreeMap<AgentId, RegisteredClient>,
    visits: RefCell<Vec<Visit>>,
    commands: RefCell<Vec<ClientCommand>>,
    /// The number of clients that the site registers.
    most: usize,
}

impl ClientTable for Driver {
    fn visit(
        &self,
        agent: AgentId,
        answer: impl FnOnce(Option<&RegisteredClient>) -> (Answer, Visit),
    ) -> (Answer, Visit) {
        let answered = answer(self.clients.get(&agent));
        self.visits.borrow_mut().push(answered.1.clone());
        answered
    }

    fn has_commands_for(&self, _: AgentId) -> bool {
        !self.commands.borrow().is_empty()
    }

    fn tell_commands(&self, _: AgentId) -> Vec<ClientCommand> {
        self.commands.take()
    }
}

impl Registrar for Driver {
    fn admitted(&self, registration: &Registration) -> RegisteredClient {
        self.site.admit(registration, None)
    }

    fn register(&mut self, registration: &Registration) -> Option<RegisteredClient> {
        let agent = agent_id(registration.hardware_key);
        if self.clients.len() >= self.most && !self.clients.contains_key(&agent) {
            return None;
        }
        let client = self.site.admit(registration, self.clients.get(&agent));
        self.clients.insert(agent, client.clone());
        Some(client)
    }

    fn note_conflict(&mut self, agent: AgentId) {
        self.clients.get_mut(&agent).unwrap().note_conflict(1, START);
    }
}

impl Driver {
    fn new() -> Self {
        let ports = ManagerPorts { address: "10.0.0.1".into(), http: Some(8014), https: Some(443) };
        let founding = Founding {
            name: "My Site".into(),
            seed: 7,
            managers: vec![("A".into(), ports)],
            assumptions: Arc::new(Assumptions::default()),
        };
        let site = Site::found(founding, START).unwrap();
        let (visits, commands) = (RefCell::default(), RefCell::default());
        Self { site, clients: BTreeMap::new(), visits, commands, most: usize::MAX }
    }

    fn publication(&self) -> Arc<Publication> {
        Arc::clone(self.site.publication("A").unwrap())
    }

    fn ask(&mut self, request: &AgentRequest) -> Answer {
        let publication = self.publication();
        let (answer, visit) = answer(&publication, request, self);
        follow(&publication, answer, &visit, self)
    }

    fn status(&mut self, request: &AgentRequest) -> u16 {
        match self.ask(request) {
            Answer::Now(response) => response.status,
            Answer::WhenChanged => panic!("held"),
        }
    }

    fn registration(&self, computer: &str) -> Registration {
        Registration {
            domain: self.publication().domain,
            hardware_key: HardwareKey(Guid::from_bytes([2; 16])),
            computer_name: computer.into(),
            version: ClientVersion::new(14, 3),
            preferred_group: None,
        }
    }

    fn arrive(&mut self, computer: &str) -> (AgentId, u32) {
        let registration = self.registration(computer);
        let Answer::Now(response) = self.ask(&AgentRequest::Register(registration)) else { panic!("held") };
        let Registered { agent, turn, .. } = Registered::from_body(&response.body).unwrap();
        (agent, turn)
    }

    fn update_certificate(&mut self) {
        let command = Command::UpdateCertificate {
            manager: "A".into(),
            stores: Stores::Both,
            certificate: NewCertificate::Generate { common_name: None, valid_days: None },
        };
        self.site.apply(&command, LATER).unwrap();
    }
}

fn index(agent: AgentId, turn: u32) -> AgentRequest {
    AgentRequest::Index { agent, serial: None, turn }
}

fn hit(what: Value) -> Hit {
    let what = serde_json::from_value(what).unwrap();
    Hit { rule: Arc::new(FaultRule::new("one", what)), drawn: 5, age: Duration::ZERO }
}

fn meeting() -> VirtualExchange<'static> {
    VirtualExchange {
        address: "10.0.0.1:8014",
        protocol: Protocol::Http,
        limit: Duration::from_secs(30),
        body_bytes: Some(7),
    }
}

#[test]
fn a_registration_is_answered_with_the_turn_that_the_site_gives() {
    let mut driver = Driver::new();
    assert_eq!(driver.arrive("original").1, 0);
    let (agent, turn) = driver.arrive("copy");
    assert_eq!(turn, 1, "the record changes hands");
    assert_eq!(driver.clients[&agent].computer_name, "copy");
}

#[test]
fn a_machine_whose_record_belongs_to_another_is_refused_and_the_conflict_is_noted_once() {
    let mut driver = Driver::new();
    driver.arrive("original");
    let (agent, turn) = driver.arrive("copy");
    assert_eq!(driver.status(&index(agent, turn)), 200);
    assert!(!driver.clients[&agent].is_duplicate);
    assert_eq!(driver.status(&index(agent, 0)), IDENTITY_CONFLICT);
    assert!(driver.clients[&agent].is_duplicate);
    assert_eq!(driver.visits.borrow().last(), Some(&Visit::Conflicting(agent)));
}

fn probe(registration: &Registration, request: AgentRequest) -> AgentRequest {
    AgentRequest::Probe(Box::new(Probe { registration: registration.clone(), request }))
}

#[test]
fn a_probe_is_answered_as_a_registered_client_and_leaves_no_record_and_no_visit() {
    let mut driver = Driver::new();
    let mut registration = driver.registration("doctor");
    registration.preferred_group = Some(r"My Company\Default Group".into());
    let register = AgentRequest::Register(registration.clone());
    let Answer::Now(response) = driver.ask(&probe(&registration, register.clone())) else { panic!("held") };
    let Registered { agent, turn, is_probe } = Registered::from_body(&response.body).unwrap();
    assert!((response.status, turn, is_probe) == (200, 0, true));
    let state = Bytes::from_static(b"{}");
    let requests = [
        index(agent, turn),
        AgentRequest::Fetch { agent, artifact: Artifact::Policy },
        AgentRequest::Upload { agent, state },
    ];
    let probed = requests.clone().map(|request| driver.ask(&probe(&registration, request)));
    assert!(driver.clients.is_empty());
    assert!(driver.visits.borrow().iter().all(|visit| matches!(visit, Visit::Probing(_))));
    driver.ask(&register);
    assert_eq!(probed, requests.clone().map(|request| driver.ask(&request)), "the same answers");
    driver.visits.borrow_mut().clear();
    let before = driver.clients.clone();
    assert_eq!(probed, requests.map(|request| driver.ask(&probe(&registration, request))));
    assert_eq!((driver.clients.clone(), driver.visits.take()), (before, vec![Visit::Anonymous; 3]));
}

#[test]
fn a_client_that_the_site_does_not_register_is_not_told_that_it_is_registered() {
    let mut driver = Driver::new();
    driver.most = 0;
    let registration = driver.registration("one too many");
    assert_eq!(driver.status(&AgentRequest::Register(registration.clone())), 503);
    driver.most = 1;
    assert_eq!(driver.status(&AgentRequest::Register(registration.clone())), 200);
    assert_eq!(driver.status(&AgentRequest::Register(registration)), 200, "a known client comes back");
}

#[test]
fn a_probe_of_another_domain_is_refused() {
    let mut driver = Driver::new();
    let registration =
        Registration { domain: DomainId(Guid::from_bytes([9; 16])), ..driver.registration("doctor") };
    let register = probe(&registration, AgentRequest::Register(registration.clone()));
    assert_eq!(driver.status(&register), Assumptions::default().unknown_domain_status);
}

#[test]
fn an_unknown_client_is_visited_as_such_and_told_no_commands() {
    let mut driver = Driver::new();
    let command = ClientCommand { id: CommandId(Guid::from_bytes([1; 16])), kind: CommandKind::FullScan };
    driver.commands.borrow_mut().push(command);
    let agent = agent_id(HardwareKey(Guid::from_bytes([9; 16])));
    assert_eq!(driver.status(&index(agent, 0)), Assumptions::default().unregistered_status);
    assert_eq!(driver.visits.borrow().len(), 1);
    assert_eq!(driver.commands.borrow().len(), 1);
}

#[test]
fn commands_end_a_held_request_and_come_with_the_next_index() {
    let mut driver = Driver::new();
    let (agent, turn) = driver.arrive("pc");
    let serial = {
        let publication = driver.publication();
        Some(publication.group(driver.clients[&agent].group).unwrap().serial)
    };
    let hold = AgentRequest::Hold { agent, serial };
    assert_eq!(driver.ask(&hold), Answer::WhenChanged);
    let command = ClientCommand { id: CommandId(Guid::from_bytes([1; 16])), kind: CommandKind::FullScan };
    driver.commands.borrow_mut().push(command);
    assert_eq!(driver.status(&hold), 200);
    let Answer::Now(response) = driver.ask(&AgentRequest::Index { agent, serial, turn }) else {
        panic!("held")
    };
    assert_eq!(Index::parse(&response.body).unwrap().commands, [command]);
    assert_eq!(driver.ask(&hold), Answer::WhenChanged, "what has been told does not wait");
}

#[test]
fn what_a_manager_was_stays_until_it_answers_otherwise() {
    let mut driver = Driver::new();
    let first = driver.publication();
    assert!(Previous::after(&first, &first, None).is_none());
    driver.update_certificate();
    let second = driver.publication();
    let before = Previous::after(&first, &second, None).unwrap();
    assert_eq!((&before.identity, &before.signer), (&first.identity, &first.signer));
    driver.site.apply(&Command::AddGroup { group: r"My Company\New".into(), inherits: true }, LATER).unwrap();
    let third = driver.publication();
    let later = Previous::after(&second, &third, Some(&before)).unwrap();
    assert_eq!(
        later.identity, first.identity,
        "of a certificate that stays, the one before is still the one before"
    );
    assert!(later.publication.answers_as(&second));
}

#[test]
fn a_fault_answers_in_the_managers_stead_before_it_loses_a_held_request() {
    let agent = agent_id(HardwareKey(Guid::from_bytes([2; 16])));
    let hold = AgentRequest::Hold { agent, serial: None };
    let status = hit(json!({ "kind": "status", "code": 503 }));
    let Some(Intercepted::Answered(tampered)) = intercept(&status, &hold, &meeting()) else {
        panic!("asked")
    };
    assert_eq!(tampered.response.status, 503);
    let empty = hit(json!({ "kind": "empty" }));
    assert!(matches!(intercept(&empty, &hold, &meeting()), Some(Intercepted::Lost(_))));
    assert_eq!(
        intercept(&empty, &index(agent, 0), &meeting()),
        None,
        "the manager is asked, and its answer lost"
    );
}

#[test]
fn an_answer_is_altered_with_what_the_manager_was_before_or_not_at_all() {
    let mut driver = Driver::new();
    let (agent, _) = driver.arrive("pc");
    let client = driver.clients[&agent].clone();
    let first = driver.publication();
    let fetch = AgentRequest::Fetch { agent, artifact: Artifact::Policy };
    let Answer::Now(old) = driver.ask(&fetch) else { panic!("held") };
    driver.update_certificate();
    let second = driver.publication();
    let Answer::Now(new) = driver.ask(&fetch) else { panic!("held") };
    let stale = hit(json!({ "kind": "stale-signature" }));
    let altered = |previous: Option<&Previous>| {
        alter(&stale, &fetch, new.clone(), Some(&client), &second, previous, LATER).map(|one| one.response)
    };
    assert!(altered(None).is_err());
    let previous = Previous::after(&first, &second, None).unwrap();
    assert_eq!(altered(Some(&previous)), Ok(ManagerResponse { signature: old.signature, ..new.clone() }));
}
