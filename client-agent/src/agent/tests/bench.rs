//! A test bench: a site and some clients, which exchange values directly while the test moves the time.

use std::collections::BTreeSet;
use std::time::Duration;

use epm_protocol::assumption::Assumptions;
use epm_protocol::heartbeat::Stage;
use epm_protocol::id::HardwareKey;
use epm_protocol::policy::{PolicySerial, Protocol};
use epm_protocol::site::{
    Answer, Command, DEFAULT_GROUP, Effect, Founding, Manager, ManagerPorts, Material, NewCertificate,
    Publication, Site, Stores, TOP_GROUP, Visit,
};
use epm_protocol::trust::{Fingerprint, ServerIdentity, judge};

use super::super::*;

/// A Monday, 08:00 UTC.
pub(super) const START: Timestamp = Timestamp::from_seconds(1_767_600_000);
/// The longest time until the next regular heartbeat.
pub(super) const BEAT: Duration = Duration::from_secs(330);
pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// The name of the list that steps 1 to 5 make.
pub(super) const HTTP_LIST: &str = "Over HTTP";

/// A change of an answer on its way to the client.
pub(super) type Tamper = fn(&AgentRequest, &mut ManagerResponse);

pub(super) struct Bench {
    pub(super) site: Site,
    pub(super) now: Timestamp,
    pub(super) slots: Vec<AgentSlot>,
    /// The managers that refuse connections.
    pub(super) down: BTreeSet<&'static str>,
    pub(super) tamper: Option<Tamper>,
    /// What dormant clients have in common.
    pub(super) states: SharedStates,
}

/// A client with everything that its driver holds for it.
pub(super) struct AgentSlot {
    pub(super) agent: Agent,
    /// The cache as last written, in the form of its files.
    pub(super) kept: (String, String),
    pub(super) held: Option<Exchange>,
    pub(super) log: Vec<LogLine>,
    pub(super) sent: Vec<Exchange>,
    assumptions: Arc<Assumptions>,
    dormant: Option<DormantAgent>,
}

impl Bench {
    /// Makes a site with managers of these names, at 10.0.0.1 and so on.
    pub(super) fn with(managers: &[&str], seed: u64, assumptions: Assumptions) -> Self {
        let ports = |n: usize| ManagerPorts {
            address: format!("10.0.0.{}", n + 1),
            http: Some(8014),
            https: Some(443),
        };
        let founding = Founding {
            name: "My Site".into(),
            seed,
            managers: managers.iter().enumerate().map(|(n, name)| ((*name).to_owned(), ports(n))).collect(),
            assumptions: Arc::new(assumptions),
        };
        let site = Site::found(founding, START).unwrap();
        Self {
            site,
            now: START,
            slots: Vec::new(),
            down: BTreeSet::new(),
            tamper: None,
            states: SharedStates::default(),
        }
    }

    /// Makes a site with one manager, A.
    pub(super) fn one() -> Self {
        Self::with(&["A"], 7, Assumptions::default())
    }

    /// Makes a site with two managers, A and B, that share the load.
    pub(super) fn two() -> Self {
        Self::with(&["A", "B"], 7, Assumptions::default())
    }

    /// Adds a client of the default group, and lets it have its first heartbeat.
    pub(super) fn client(&mut self, version: &str) -> usize {
        self.client_in(DEFAULT_GROUP, version)
    }

    pub(super) fn client_in(&mut self, group: &str, version: &str) -> usize {
        let sylink = self.site.export_sylink(group, None).unwrap();
        self.client_with(sylink, version, |_| ())
    }

    pub(super) fn client_with(
        &mut self,
        sylink: Sylink,
        version: &str,
        change: impl FnOnce(&mut AgentProfile),
    ) -> usize {
        let n = self.slots.len();
        let byte = u8::try_from(n).unwrap();
        let mut profile = AgentProfile {
            hardware_key: HardwareKey(epm_protocol::id::Guid::from_bytes([byte; 16])),
            computer_name: format!("PC-{n:03}"),
            version: version.parse().unwrap(),
            seed: n as u64,
            use_last_server: true,
        };
        change(&mut profile);
        let cache = Cache { sylink: Arc::new(sylink), state: AgentState::default() };
        let kept = written(&cache);
        let assumptions = Arc::clone(self.site.assumptions());
        let agent = Agent::new(profile, cache, Arc::clone(&assumptions));
        self.slots.push(AgentSlot {
            agent,
            kept,
            held: None,
            log: Vec::new(),
            sent: Vec::new(),
            assumptions,
            dormant: None,
        });
        self.tell(n, Input::Start { booted: self.now });
        self.wait(Duration::ZERO);
        n
    }

    /// Applies a command that must succeed, and answers the held requests that it affects.
    pub(super) fn apply(&mut self, command: &Command) -> Vec<Effect> {
        let effects = self.site.apply(command, self.now).unwrap();
        self.wake_held();
        effects
    }

    /// Asks the manager again for every held request.
    pub(super) fn wake_held(&mut self) {
        for n in 0..self.slots.len() {
            if let Some(exchange) = self.slots[n].held.take() {
                match self.carry(&exchange) {
                    None => self.slots[n].held = Some(exchange),
                    Some(outcome) => self.tell(n, Input::Answered { exchange: exchange.id, outcome }),
                }
            }
        }
    }

    /// Lets time pass: every client wakes when it wants to, and is served at once.
    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = |slot: &AgentSlot| slot.agent.next_wake();
            let Some(n) = (0..self.slots.len()).min_by_key(|n| next(&self.slots[*n])) else { break };
            let at = next(&self.slots[n]);
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            self.tell(n, Input::Wake);
        }
        self.now = end;
    }

    /// Waits until every client has had at least `count` heartbeats.
    pub(super) fn beats(&mut self, count: u32) {
        self.wait(BEAT * count);
    }

    /// Gives a client an input, and carries out its outputs until there are none left.
    pub(super) fn tell(&mut self, n: usize, input: Input) {
        let mut inputs = vec![input];
        for _ in 0..200 {
            let Some(input) = inputs.pop() else { return };
            let outputs = self.slots[n].agent.handle(input, self.now);
            assert!(inputs.is_empty(), "one exchange at a time");
            for output in outputs {
                if let Some(exchange) = self.slots[n].obey(output) {
                    match self.carry(&exchange) {
                        Some(outcome) => {
                            inputs = vec![Input::Answered { exchange: exchange.id, outcome }];
                        }
                        None => self.slots[n].held = Some(exchange),
                    }
                }
            }
            self.slots[n].check();
            self.sleep_and_wake(n);
        }
        panic!("the client and the manager go on and on");
    }

    /// Puts a client that rests to sleep and wakes it again: it is the same client, in all tests.
    fn sleep_and_wake(&mut self, n: usize) {
        let mut agent = self.slots[n].agent.clone();
        agent.timings.clear();
        let (profile, before) = (agent.profile().clone(), format!("{agent:?}"));
        let Ok(dormant) = self.states.sleep(agent, self.slots[n].dormant.as_ref()) else { return };
        assert_eq!(dormant.view(&profile), self.slots[n].agent.view());
        assert_eq!(dormant.next_wake(profile.seed), self.slots[n].agent.next_wake());
        self.slots[n].agent = dormant.wake(profile);
        assert_eq!(format!("{:?}", self.slots[n].agent), before, "a client that was woken");
        self.slots[n].dormant = Some(dormant);
    }

    /// Carries an exchange to its manager and back; none while the manager holds the request.
    pub(super) fn carry(&mut self, exchange: &Exchange) -> Option<Result<ManagerResponse, ExchangeFailure>> {
        let server = &exchange.server;
        let place = format!("{}:{}", server.address, server.port);
        let refused = ExchangeFailure::ConnectionRefused { address: place };
        let is_meant = |one: &&Manager| {
            let is_up = !self.down.contains(one.name.as_str());
            let ports = &one.ports;
            is_up && ports.address == server.address && ports.port(server.protocol) == Some(server.port)
        };
        let name = self.site.managers().find(is_meant).map(|one| one.name.clone());
        let Some(name) = name else { return Some(Err(refused)) };
        let publication = Arc::clone(self.site.publication(&name).unwrap());
        if let Err(failure) = handshake(exchange, &publication, self.now) {
            return Some(Err(failure));
        }
        if exchange.kcs != publication.kcs {
            return Some(Ok(ManagerResponse::text(400, "bad request")));
        }
        let agent = match &exchange.request {
            AgentRequest::Index { agent, .. }
            | AgentRequest::Fetch { agent, .. }
            | AgentRequest::Upload { agent, .. }
            | AgentRequest::Hold { agent, .. } => Some(*agent),
            AgentRequest::Hello | AgentRequest::Register(_) | AgentRequest::Probe(_) => None,
        };
        let client = agent.and_then(|agent| self.site.client(agent));
        let (mut answer, visit) = publication.answer(&exchange.request, client);
        match visit {
            Visit::Registering(registration) => {
                let agent = epm_protocol::site::agent_id(registration.hardware_key);
                self.site.apply(&Command::Register(registration), self.now).unwrap();
                answer = Answer::Now(self.site.client(agent).unwrap().registered());
            }
            Visit::Conflicting(agent) => {
                self.site.apply(&Command::NoteConflict { agent }, self.now).unwrap();
            }
            _ => {}
        }
        match answer {
            Answer::WhenChanged => None,
            Answer::Now(mut response) => {
                if let Some(tamper) = self.tamper {
                    tamper(&exchange.request, &mut response);
                }
                Some(Ok(response))
            }
        }
    }

    /// Restarts a client after a power failure, with nothing but its cache.
    pub(super) fn restart(&mut self, n: usize) {
        let slot = &mut self.slots[n];
        let profile = slot.agent.profile().clone();
        slot.agent = Agent::new(profile, read(&slot.kept), Arc::clone(&slot.assumptions));
        slot.held = None;
        self.tell(n, Input::Start { booted: self.now });
    }

    pub(super) fn stop(&mut self, n: usize) {
        self.tell(n, Input::Stop);
    }

    /// Switches on a machine that was off; its client has its first heartbeat.
    pub(super) fn come_home(&mut self, n: usize) {
        self.tell(n, Input::Start { booted: self.now });
        self.wait(Duration::ZERO);
    }

    pub(super) fn view(&self, n: usize) -> AgentView {
        self.slots[n].agent.view()
    }

    pub(super) fn is_connected(&self, n: usize) -> bool {
        self.view(n).health.is_connected()
    }

    /// The layer of trust that failed, if the client is orphaned.
    pub(super) fn orphaned_by(&self, n: usize) -> Option<TrustLayer> {
        self.view(n).health.orphaned().map(|(_, because)| because.layer())
    }

    /// The certificate of the manager's clients' port.
    pub(super) fn certificate(&self, manager: &str) -> Fingerprint {
        self.identity(manager).certificate().fingerprint()
    }

    pub(super) fn identity(&self, manager: &str) -> ServerIdentity {
        self.site.publication(manager).unwrap().identity.clone()
    }

    /// Whether the client trusts the certificate that the manager shows now.
    pub(super) fn believes(&self, n: usize, manager: &str) -> bool {
        self.view(n).certificates.contains(&self.certificate(manager))
    }

    /// The manager that the client tries first.
    pub(super) fn server(&self, n: usize) -> String {
        let server = self.view(n).server.unwrap();
        let manager = self.site.managers().find(|one| one.ports.address == server.address);
        manager.map(|one| one.name.clone()).unwrap_or_default()
    }

    pub(super) fn serial_in_force(&self, n: usize) -> PolicySerial {
        let agent = self.slots[n].agent.cache().state.agent.unwrap();
        let group = self.site.client(agent).unwrap().group;
        self.site.publication("A").unwrap().group(group).unwrap().serial
    }

    /// Takes steps 1 to 5: copies the list, makes the copy speak HTTP, and assigns it.
    pub(super) fn steps_1_to_5(&mut self, groups: &[&str]) {
        let from = self.site.default_list();
        self.apply(&Command::CopyList { from, to: HTTP_LIST.into() });
        self.apply(&speak(HTTP_LIST, Protocol::Http));
        for group in groups {
            self.apply(&assign(HTTP_LIST, group, None));
        }
    }

    /// Takes steps 6 and 7, or reverses them in step 10.
    pub(super) fn switch(&mut self, on: bool, groups: &[&str]) {
        for group in groups {
            self.apply(&Command::SetSecureCommunications { group: (*group).into(), on });
        }
    }

    pub(super) fn update(&mut self, manager: &str) {
        self.update_stores(manager, Stores::Both);
    }

    pub(super) fn update_stores(&mut self, manager: &str, stores: Stores) {
        let certificate = NewCertificate::Generate { common_name: None, valid_days: None };
        self.apply(&Command::UpdateCertificate { manager: manager.into(), certificate, stores });
    }

    /// Gives the manager back a previous certificate.
    pub(super) fn restore(&mut self, manager: &str, identity: &ServerIdentity) {
        let file = |name: &str, content: &[u8]| Material {
            file: name.into(),
            content: Bytes::copy_from_slice(content),
        };
        let certificate = NewCertificate::Import {
            certificate: file("server.crt", identity.certificate().der()),
            key: file("server.key", identity.key().pkcs8_der()),
            key_password: None,
        };
        let (manager, stores) = (manager.into(), Stores::Both);
        self.apply(&Command::UpdateCertificate { manager, certificate, stores });
    }

    /// Assigns the original list again.
    pub(super) fn reassign(&mut self, groups: &[&str]) {
        let list = self.site.default_list();
        for group in groups {
            self.apply(&assign(&list, group, None));
        }
    }

    /// Takes all steps of the procedure for one manager.
    pub(super) fn single_manager_way(&mut self, managers: &[&str], groups: &[&str]) {
        self.steps_1_to_5(groups);
        self.switch(false, groups);
        self.beats(3);
        managers.iter().for_each(|manager| self.update(manager));
        self.beats(3);
        self.switch(true, groups);
        self.reassign(groups);
        self.beats(3);
    }
}

impl AgentSlot {
    /// Carries out an output of the client; returns an exchange that it asks for.
    pub(super) fn obey(&mut self, output: Output) -> Option<Exchange> {
        match output {
            Output::Send(exchange) => {
                let last = self.sent.last().map_or(0, |last| last.id);
                assert!(exchange.id > last || exchange.id == 1, "{} after {last}", exchange.id);
                self.held = None;
                self.sent.push((*exchange).clone());
                return Some(*exchange);
            }
            Output::EndSession => self.held = None,
            Output::Persist(cache) => self.kept = written(&cache),
            Output::Log(line) => {
                // A client that is killed now must know after its restart what it has just told.
                let is_applied = line.event == Event::NewPolicyApplied;
                let serial = self.agent.cache().state.serial.map(|serial| serial.to_string());
                let is_kept = serial.is_some_and(|serial| self.kept.1.contains(&serial));
                assert!(!is_applied || is_kept, "told and not kept: {}", line.text);
                self.log.push(line);
            }
            Output::Odd(what) => panic!("{what}"),
        }
        None
    }

    /// Checks what holds after every input.
    pub(super) fn check(&self) {
        let AgentState { serial, complete, .. } = &self.agent.cache().state;
        assert!(complete.is_none() || complete == serial, "{complete:?} of {serial:?}");
        if self.agent.is_resting() {
            let again =
                Agent::new(self.agent.profile().clone(), read(&self.kept), Arc::clone(&self.assumptions));
            assert_eq!(again.cache(), self.agent.cache(), "a restarted client knows what it knew");
        } else {
            assert_eq!(self.agent.next_wake(), Timestamp::NEVER);
        }
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.log.iter().map(|line| line.event).collect()
    }

    pub(super) fn has_logged(&self, event: Event, words: &str) -> bool {
        self.log.iter().any(|line| line.event == event && line.text.contains(words))
    }
}

fn handshake(exchange: &Exchange, publication: &Publication, now: Timestamp) -> Result<(), ExchangeFailure> {
    let TlsCheck::Against(beliefs) = &exchange.check else { return Ok(()) };
    if exchange.server.protocol == Protocol::Http {
        return Ok(());
    }
    judge(publication.identity.certificate(), beliefs, &exchange.server.address, now)
        .map(drop)
        .map_err(|rejection| ExchangeFailure::TlsRejected { rejection })
}

fn written(cache: &Cache) -> (String, String) {
    (cache.sylink.to_xml(), serde_json::to_string(&cache.state).unwrap())
}

pub(super) fn read((sylink, state): &(String, String)) -> Cache {
    Cache { sylink: Arc::new(Sylink::parse(sylink).unwrap()), state: serde_json::from_str(state).unwrap() }
}

pub(super) fn speak(list: &str, protocol: Protocol) -> Command {
    let protocol = Some(protocol);
    Command::EditList { list: list.into(), protocol, verify_ca: None, priorities: None }
}

pub(super) fn assign(list: &str, group: &str, location: Option<&str>) -> Command {
    Command::AssignList { list: list.into(), group: group.into(), location: location.map(str::to_owned) }
}

pub(super) fn timeout() -> ExchangeFailure {
    ExchangeFailure::TimedOut { stage: Stage::Answer, after_ms: 30_000 }
}

/// The group that all groups inherit from.
pub(super) const ALL: [&str; 1] = [TOP_GROUP];
