//! The client: a value that is told what happened and says what it wants.
//!
//! No socket, no file, no clock, no dice: [`Agent::handle`] takes an [`Input`] and the time, and gives back wishes. It
//! is total: it never blocks, fails or panics, and takes any input in any phase. Two carriers feed it, sockets and a
//! queue in virtual time, and it cannot tell them apart.
//!
//! A heartbeat asks for the index, fetches what is new, adopts what it believes, and tells how it is [C S13]. Where a
//! server fails or is not believed, the next one of the list has its turn.

mod adoption;
mod cache;
mod exchange;
mod failover;
mod health;
mod log;
mod schedule;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use epm_protocol::assumption::{AdoptionOrder, Assumptions, Module142, ServersPerBeat};
use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::heartbeat::{
    AgentRequest, Artifact, ExchangeFailure, Index, ManagerResponse, OperationalState, Registered,
    Registration,
};
use epm_protocol::id::HardwareKey;
use epm_protocol::policy::PolicySerial;
use epm_protocol::sylink::{AgentCommunication, CommConf, CommunicationMode, PublishedList, Sylink};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Beliefs, Fingerprint, Kcs, NameRule, Pins};
use epm_protocol::version::ClientVersion;

pub use cache::{AgentState, Cache};
pub use exchange::{Exchange, Input, Output, TlsCheck, TlsVersions};
pub use failover::{LastServer, Server};
pub use health::{Distrust, Health, Trouble};
pub use log::{Event, LogLine};

use adoption::Refusal;
use schedule::Schedule;

/// A session with a server is given up after this time, until the next heartbeat [C S13].
const SESSION_LIMIT: Duration = Duration::from_millis(30_000);

/// Who a client is; this never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentProfile {
    /// Its machine.
    pub hardware_key: HardwareKey,
    /// Its computer's name.
    pub computer_name: String,
    /// The version of its client software.
    pub version: ClientVersion,
    /// Where its random draws come from.
    pub seed: u64,
    /// Whether it stays with the server that served it last; the registry's `UseLastServer` [C S12].
    pub use_last_server: bool,
}

/// An emulated client.
#[derive(Clone, Debug)]
pub struct Agent {
    profile: Arc<AgentProfile>,
    assumptions: Arc<Assumptions>,
    cache: Cache,
    conf: Arc<CommConf>,
    kcs: Kcs,
    pins: Pins,
    schedule: Schedule,
    phase: Phase,
    /// The servers that it does not believe, each since its last word, and why.
    distrusted: BTreeMap<Server, Distrust>,
    /// How many heartbeats in a row no manager has served.
    missed: usize,
    exchanges: u64,
    heartbeats: u64,
    heartbeats_served: u64,
}

/// What a client looks like from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentView {
    /// Its computer's name.
    pub computer_name: String,
    /// Its version.
    pub version: ClientVersion,
    /// The certificates that it believes.
    pub certificates: Vec<Fingerprint>,
    /// The policy that it holds.
    pub serial: Option<PolicySerial>,
    /// The policy that it holds with all that belongs to it.
    pub complete: Option<PolicySerial>,
    /// The group that its policy is for.
    pub group: Option<String>,
    /// Whether it authenticates its manager.
    pub secure_communications: bool,
    /// The name of its list.
    pub list: String,
    /// Where it turns to first.
    pub server: Option<Server>,
    /// The location that it is in.
    pub location: Option<String>,
    /// How it stands with its managers.
    pub health: Health,
    /// How many heartbeats it has begun.
    pub heartbeats: u64,
    /// In how many of them a manager served it.
    pub heartbeats_served: u64,
}

#[derive(Clone, Debug)]
enum Phase {
    Stopped,
    Resting,
    Beating(Box<Beat>),
    Holding { exchange: u64 },
}

/// A heartbeat under way.
#[derive(Clone, Debug)]
struct Beat {
    deadline: Timestamp,
    /// The servers that have not had their turn, the next one last.
    left: Vec<Server>,
    server: Server,
    exchange: u64,
    step: Step,
    index: Option<Index>,
    /// What is still to be fetched, the next one last.
    to_fetch: Vec<Artifact>,
    registered_anew: bool,
    adopted: bool,
    /// Whether it has learnt something that is not kept yet.
    unkept: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Register,
    Index,
    Fetch(Artifact),
    Report,
}

/// What the client wants, collected while it thinks.
type Outputs = Vec<Output>;

impl Agent {
    /// A client with what it has kept, not yet started.
    pub fn new(profile: AgentProfile, mut cache: Cache, assumptions: Arc<Assumptions>) -> Self {
        if cache.is_edited() {
            cache.state.forget_list();
        }
        let schedule = Schedule::new(profile.seed, assumptions.heartbeat_jitter_percent);
        let (pins, _) = adoption::pins(&cache.sylink);
        Self {
            conf: Arc::new(cache.sylink.conf()),
            kcs: kcs_of(&cache.sylink),
            profile: Arc::new(profile),
            assumptions,
            cache,
            pins,
            schedule,
            phase: Phase::Stopped,
            distrusted: BTreeMap::new(),
            missed: 0,
            exchanges: 0,
            heartbeats: 0,
            heartbeats_served: 0,
        }
    }

    /// When it wants to be woken; never, while it waits for an answer.
    pub fn next_wake(&self) -> Timestamp {
        match self.phase {
            Phase::Stopped | Phase::Beating(_) => Timestamp::NEVER,
            Phase::Resting | Phase::Holding { .. } => self.schedule.next(),
        }
    }

    /// Whether it is between two heartbeats: nothing under way but, in push mode, the held request.
    pub fn is_resting(&self) -> bool {
        !matches!(self.phase, Phase::Beating(_))
    }

    /// What it keeps.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Who it is.
    pub fn profile(&self) -> &AgentProfile {
        &self.profile
    }

    /// What it looks like from outside.
    pub fn view(&self) -> AgentView {
        let AgentState { serial, complete, group, location, health, last_server, .. } = &self.cache.state;
        let listed = self.conf.list.priorities.iter().flatten().next().map(Server::of_list);
        AgentView {
            computer_name: self.profile.computer_name.clone(),
            version: self.profile.version,
            certificates: self.pins.fingerprints(),
            serial: *serial,
            complete: *complete,
            group: group.clone(),
            secure_communications: self.secure(),
            list: self.conf.list.name.clone(),
            server: last_server.as_ref().map(|last| last.server.clone()).or(listed),
            location: location.clone(),
            health: health.clone(),
            heartbeats: self.heartbeats,
            heartbeats_served: self.heartbeats_served,
        }
    }

    /// Tells it what happened, and returns what it wants.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Outputs {
        let mut out = Vec::new();
        match (input, &self.phase) {
            (Input::Start, Phase::Stopped) => {
                self.phase = Phase::Resting;
                self.schedule.restart(self.interval(), now);
                self.log(
                    &mut out,
                    now,
                    Event::ServiceStarted,
                    "Symantec Management Client has been started.",
                );
            }
            (Input::Stop, Phase::Stopped) => out.push(Output::Odd("stopped while stopped")),
            (Input::Stop, _) => {
                self.phase = Phase::Stopped;
                self.schedule.stop();
                out.push(Output::EndSession);
                self.log(
                    &mut out,
                    now,
                    Event::ServiceStopped,
                    "Symantec Management Client has been stopped.",
                );
                self.persist(&mut out);
            }
            (Input::Wake | Input::UpdateNow, Phase::Resting | Phase::Holding { .. }) => {
                self.begin(now, &mut out);
            }
            (Input::Import(sylink), _) => self.import(sylink, now, &mut out),
            (Input::MoveTo(location), _) => self.move_to(location, now, &mut out),
            (Input::Answered { exchange, outcome }, Phase::Beating(beat)) if beat.exchange == exchange => {
                self.answered(outcome, now, &mut out);
            }
            (Input::Answered { exchange, outcome }, Phase::Holding { exchange: held })
                if *held == exchange =>
            {
                self.hold_ended(&outcome, now, &mut out);
            }
            (Input::Answered { .. }, _) => out.push(Output::Odd("an answer that nobody waits for")),
            (Input::Start, _) => out.push(Output::Odd("started while running")),
            (Input::Wake | Input::UpdateNow, Phase::Stopped | Phase::Beating(_)) => {
                out.push(Output::Odd("woken while stopped or in a heartbeat"));
            }
        }
        out
    }

    /// Begins a heartbeat.
    fn begin(&mut self, now: Timestamp, out: &mut Outputs) {
        self.schedule.begun(self.interval(), now);
        self.phase = Phase::Resting;
        self.heartbeats += 1;
        if !self.settings().always_connect {
            self.disconnected(Trouble::Disabled, now, out);
            self.persist(out);
            out.push(Output::EndSession);
            return;
        }
        let last = self.cache.state.last_server.as_ref().filter(|_| self.profile.use_last_server);
        let mut left = failover::candidates(
            &self.conf.list,
            last,
            self.assumptions.load_balance,
            self.profile.seed,
            now,
        );
        if self.assumptions.servers_per_beat == ServersPerBeat::One && left.len() > 1 {
            left = vec![left.swap_remove(self.missed % left.len())];
        }
        left.reverse();
        let Some(server) = left.pop() else { return };
        let beat = Beat {
            deadline: now + SESSION_LIMIT,
            left,
            server,
            exchange: 0,
            step: Step::Index,
            index: None,
            to_fetch: Vec::new(),
            registered_anew: false,
            adopted: false,
            unkept: false,
        };
        self.approach(beat, out);
    }

    /// Turns to the beat's server from the start.
    fn approach(&mut self, beat: Beat, out: &mut Outputs) {
        let step = if self.cache.state.agent.is_some() { Step::Index } else { Step::Register };
        self.step(beat, step, out);
    }

    /// Takes the next step of a heartbeat: sends its request.
    fn step(&mut self, mut beat: Beat, step: Step, out: &mut Outputs) {
        let request = self.request(&step);
        beat.step = step;
        beat.exchange = self.send(request, beat.server.clone(), beat.deadline, out);
        self.phase = Phase::Beating(Box::new(beat));
    }

    fn send(&mut self, request: AgentRequest, server: Server, deadline: Timestamp, out: &mut Outputs) -> u64 {
        self.exchanges += 1;
        let exchange = Exchange {
            id: self.exchanges,
            check: self.check(&server),
            server,
            request,
            kcs: self.kcs.clone(),
            tls: if self.profile.version >= self.assumptions.tls_1_3_from {
                TlsVersions::From12To13
            } else {
                TlsVersions::Only12
            },
            deadline,
        };
        out.push(Output::Send(Box::new(exchange)));
        self.exchanges
    }

    fn request(&self, step: &Step) -> AgentRequest {
        let state = &self.cache.state;
        match (step, state.agent) {
            (Step::Register, _) | (_, None) => AgentRequest::Register(Registration {
                domain: self.cache.sylink.domain_id(),
                hardware_key: self.profile.hardware_key,
                computer_name: self.profile.computer_name.clone(),
                version: self.profile.version,
                preferred_group: self.cache.sylink.preferred_group(),
            }),
            (Step::Index, Some(agent)) => AgentRequest::Index { agent, serial: state.complete },
            (Step::Fetch(artifact), Some(agent)) => AgentRequest::Fetch { agent, artifact: artifact.clone() },
            (Step::Report, Some(agent)) => {
                let report = OperationalState {
                    serial: state.serial,
                    certificates: self.pins.fingerprints(),
                    secure_communications: self.secure(),
                    location: state.location.clone(),
                };
                let state = serde_json::to_vec(&report).map(Bytes::from).unwrap_or_default();
                AgentRequest::Upload { agent, state }
            }
        }
    }

    /// The answer to the step under way has come, or will not come.
    fn answered(
        &mut self,
        outcome: Result<ManagerResponse, ExchangeFailure>,
        now: Timestamp,
        out: &mut Outputs,
    ) {
        let Phase::Beating(beat) = std::mem::replace(&mut self.phase, Phase::Resting) else { return };
        let beat = *beat;
        let response = match outcome {
            Ok(response) => response,
            Err(ExchangeFailure::TlsRejected { rejection }) => {
                return self.distrust(beat, Distrust::Tls { rejection }, now, out);
            }
            Err(failure) => return self.next_server(beat, Trouble::Exchange { failure }, now, out),
        };
        match (response.status, beat.step.clone()) {
            (400, _) => self.distrust(beat, Distrust::Secret { status: 400 }, now, out),
            (200, Step::Register) => self.registered(beat, &response, now, out),
            (200, Step::Index) => self.index_came(beat, &response, now, out),
            (status, Step::Index) if status == self.assumptions.unchanged_status => {
                self.log(out, now, Event::HaveLatestPolicy, "The client already has the newest policy.");
                self.fetch_next(beat, now, out);
            }
            (status, step)
                if status == self.assumptions.unregistered_status
                    && step != Step::Register
                    && !beat.registered_anew =>
            {
                self.cache.state.agent = None;
                let anew = Beat { registered_anew: true, index: None, to_fetch: Vec::new(), ..beat };
                self.step(anew, Step::Register, out);
            }
            (200, Step::Fetch(artifact)) => self.artifact_came(beat, &artifact, &response, now, out),
            (200, Step::Report) => {
                self.cache.state.report_due = false;
                self.served(Beat { unkept: true, ..beat }, now, out);
            }
            (status, step) => {
                if let Step::Fetch(artifact) = &step {
                    let text =
                        format!("Cannot download the {}: the manager answered {status}.", name(artifact));
                    self.log(out, now, Event::CannotDownloadPolicy, text);
                }
                let request = match step {
                    Step::Register => "the registration".to_owned(),
                    Step::Index => "the request for the index".to_owned(),
                    Step::Fetch(artifact) => format!("the request for the {}", name(&artifact)),
                    Step::Report => "the upload of the client's state".to_owned(),
                };
                self.next_server(beat, Trouble::Status { status, request }, now, out);
            }
        }
    }

    fn registered(&mut self, beat: Beat, response: &ManagerResponse, now: Timestamp, out: &mut Outputs) {
        let Some(Registered { agent }) = Registered::from_body(&response.body) else {
            let detail = "no AgentId".to_owned();
            return self.next_server(
                beat,
                Trouble::Malformed { what: "registration".into(), detail },
                now,
                out,
            );
        };
        self.cache.state.agent = Some(agent);
        self.cache.state.report_due = true;
        self.persist(out);
        self.step(beat, Step::Index, out);
    }

    fn index_came(&mut self, mut beat: Beat, response: &ManagerResponse, now: Timestamp, out: &mut Outputs) {
        let index = match Index::parse(&response.body) {
            Ok(index) => index,
            Err(error) => {
                let trouble = Trouble::Malformed { what: "index".into(), detail: error.to_string() };
                return self.next_server(beat, trouble, now, out);
            }
        };
        if self.settings().disable_download_profile {
            self.log(out, now, Event::HaveLatestPolicy, "The client already has the newest policy.");
        } else {
            beat.to_fetch = self.missing(&index);
        }
        beat.index = Some(index);
        self.fetch_next(beat, now, out);
    }

    /// What of this index the client does not have, the first to be fetched last.
    fn missing(&self, index: &Index) -> Vec<Artifact> {
        let state = &self.cache.state;
        let lacks = |name: &str, checksum: &str| state.packages.get(name).is_none_or(|held| held != checksum);
        let mut wanted = Vec::new();
        if state.serial != Some(index.serial) {
            wanted.push(Artifact::Policy);
        }
        if state.list_checksum.as_deref() != Some(index.list_checksum.as_str()) {
            let place = match self.assumptions.adoption_order {
                AdoptionOrder::PolicyThenList => wanted.len(),
                AdoptionOrder::ListThenPolicy => 0,
            };
            wanted.insert(place, Artifact::List);
        }
        let packages = index.packages.iter().filter(|one| lacks(&one.name, &one.checksum));
        wanted.extend(packages.map(|one| Artifact::Package(one.name.clone())));
        wanted.reverse();
        wanted
    }

    /// Fetches what is left to fetch, then reports, then is done.
    fn fetch_next(&mut self, mut beat: Beat, now: Timestamp, out: &mut Outputs) {
        if let Some(artifact) = beat.to_fetch.pop() {
            return self.step(beat, Step::Fetch(artifact), out);
        }
        let held = beat.index.as_ref().filter(|index| self.missing(index).is_empty());
        if let Some(index) = held
            && self.cache.state.complete != Some(index.serial)
        {
            self.cache.state.complete = Some(index.serial);
            beat.unkept = true;
        }
        if self.cache.state.report_due {
            return self.step(beat, Step::Report, out);
        }
        self.served(beat, now, out);
    }

    fn artifact_came(
        &mut self,
        mut beat: Beat,
        artifact: &Artifact,
        response: &ManagerResponse,
        now: Timestamp,
        out: &mut Outputs,
    ) {
        let before = self.cache.clone();
        let adopted = match artifact {
            Artifact::Policy => self.adopt_policy(response, now, out),
            Artifact::List => self.adopt_list(&beat, response, now, out),
            Artifact::Package(name) => self.adopt_package(name, response, now, out),
        };
        match adopted {
            Ok(()) => {
                if self.cache != before {
                    beat.adopted = true;
                    self.cache.state.report_due = true;
                }
                self.cache.state.complete = None;
                self.persist(out);
                self.fetch_next(beat, now, out);
            }
            Err(Refusal::Trouble(trouble)) => {
                let text = format!("Cannot apply the {}: {trouble}.", name(artifact));
                self.log(out, now, Event::NewPolicyFailed, text);
                self.next_server(beat, trouble, now, out);
            }
            Err(Refusal::Distrust(distrust)) => {
                let text = format!("Refused the {}: {distrust}.", name(artifact));
                self.log(out, now, Event::NewPolicyFailed, text);
                self.distrust(beat, distrust, now, out);
            }
        }
    }

    fn adopt_policy(
        &mut self,
        response: &ManagerResponse,
        now: Timestamp,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let accepted = adoption::accept(response, "policy", self.secure(), &self.pins)?;
        let policy = adoption::policy(&accepted)?;
        let serial = policy.serial;
        let received = format!(
            "Received a new policy with serial number {serial} from Symantec Endpoint Protection Manager{}.",
            unauthenticated(accepted.authenticated_by())
        );
        self.log(out, now, Event::NewPolicyReceived, received);
        if self.cache.state.group.as_ref().is_some_and(|group| *group != policy.group) {
            self.log(
                out,
                now,
                Event::ClientMoved,
                format!("The client is in the group {} now.", policy.group),
            );
        }
        self.cache.state.serial = Some(serial);
        self.cache.state.group = Some(policy.group);
        if policy.secure_communications != self.secure() {
            let mut sylink = Sylink::clone(&self.cache.sylink);
            sylink.set_verify_signatures(policy.secure_communications);
            self.take_up(Arc::new(sylink), now, out);
        }
        let text = format!("Applied new policy with serial number {serial} successfully.");
        self.log(out, now, Event::NewPolicyApplied, text);
        Ok(())
    }

    fn adopt_list(
        &mut self,
        beat: &Beat,
        response: &ManagerResponse,
        now: Timestamp,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let accepted = adoption::accept(response, "management server list", self.secure(), &self.pins)?;
        let (list, text) = adoption::list(&accepted)?;
        let speaking = beat.index.as_ref().map_or("", |index| index.manager.as_str());
        self.apply_conf(&list, speaking, now, out);
        self.cache.state.list_checksum = Some(sha256_hex(accepted.body()));
        self.cache.state.list = Some(text);
        let text = format!(
            "Received the management server list {:?} with {} certificates{}.",
            self.conf.list.name,
            self.pins.len(),
            unauthenticated(accepted.authenticated_by())
        );
        self.log(out, now, Event::NewPolicyReceived, text);
        Ok(())
    }

    fn adopt_package(
        &mut self,
        name: &str,
        response: &ManagerResponse,
        now: Timestamp,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let accepted = adoption::accept::<Bytes>(response, "package", self.secure(), &self.pins)?;
        self.cache.state.packages.insert(name.to_owned(), sha256_hex(accepted.body()));
        let text = format!(
            "Received the client package {name:?}, {} bytes{}.",
            accepted.body().len(),
            unauthenticated(accepted.authenticated_by())
        );
        self.log(out, now, Event::NewPolicyReceived, text);
        Ok(())
    }

    /// Makes the part of a list that holds in the present location the client's own.
    fn apply_conf(&mut self, list: &PublishedList, speaking: &str, now: Timestamp, out: &mut Outputs) {
        let conf = list.conf_for(self.cache.state.location.as_deref()).clone();
        let conf = adoption::learnt(conf, &self.conf, speaking, self.profile.version, &self.assumptions);
        let mut sylink = Sylink::clone(&self.cache.sylink);
        sylink.adopt(&conf);
        self.take_up(Arc::new(sylink), now, out);
    }

    /// Takes up another communications file, and with it other servers, certificates, settings or secret.
    fn take_up(&mut self, sylink: Arc<Sylink>, now: Timestamp, out: &mut Outputs) {
        let (pins, broken) = adoption::pins(&sylink);
        for certificate in broken {
            self.log(out, now, Event::NewPolicyFailed, format!("Ignored the certificate {certificate}."));
        }
        self.conf = Arc::new(sylink.conf());
        self.kcs = kcs_of(&sylink);
        self.cache.set_sylink(sylink);
        if pins != self.pins {
            self.pins = pins;
            self.distrusted.clear();
        }
    }

    /// The beat's server is not believed, or does not take the client for its own: the next one has its turn.
    fn distrust(&mut self, beat: Beat, distrust: Distrust, now: Timestamp, out: &mut Outputs) {
        let text = format!("Failed to connect to {}: {distrust}.", beat.server);
        self.log(out, now, Event::ServerConnectionFailed, text);
        self.distrusted.insert(beat.server.clone(), distrust.clone());
        let module = self.assumptions.module_14_2;
        let stops = module == Module142::StopsAtAnUntrustedServer && self.has_142_module();
        let left = if stops { Vec::new() } else { beat.left };
        self.go_on(Beat { left, ..beat }, Trouble::Untrusted { distrust }, now, out);
    }

    /// The beat's server does not serve: the next one has its turn.
    fn next_server(&mut self, beat: Beat, trouble: Trouble, now: Timestamp, out: &mut Outputs) {
        let event = match &trouble {
            Trouble::Exchange {
                failure: ExchangeFailure::TlsFailed { .. } | ExchangeFailure::NotHttp { .. },
            } => Event::ServerConnectionFailed,
            _ => Event::NoServerResponse,
        };
        self.log(out, now, event, format!("No service from {}: {trouble}.", beat.server));
        self.go_on(beat, trouble, now, out);
    }

    fn go_on(&mut self, mut beat: Beat, trouble: Trouble, now: Timestamp, out: &mut Outputs) {
        out.push(Output::EndSession);
        match beat.left.pop() {
            Some(server) if now < beat.deadline => {
                beat.server = server;
                beat.index = None;
                beat.to_fetch.clear();
                self.approach(beat, out);
            }
            _ => self.unserved(trouble, now, out),
        }
    }

    /// The heartbeat is over, and a manager has served the client.
    fn served(&mut self, beat: Beat, now: Timestamp, out: &mut Outputs) {
        self.heartbeats_served += 1;
        self.missed = 0;
        self.distrusted.remove(&beat.server);
        let state = &mut self.cache.state;
        let was = std::mem::take(&mut state.health);
        let last = state.last_server.as_ref().filter(|last| last.server == beat.server);
        let (is_same, stays) = (last.is_some(), last.is_some_and(|last| last.stays(now)));
        let (since, event) = match was {
            Health::Connected { since } => (since, (!is_same).then_some(Event::ServerConnected)),
            Health::New => (now, Some(Event::ServerConnected)),
            Health::Disconnected { .. } | Health::Orphaned { .. } => (now, Some(Event::Reconnected)),
        };
        state.health = Health::Connected { since };
        if !stays || event == Some(Event::Reconnected) {
            state.last_server = Some(LastServer { server: beat.server.clone(), since: now });
        }
        if let Some(event) = event {
            let text = format!("Connected to Symantec Endpoint Protection Manager ({})", beat.server.address);
            self.log(out, now, event, text);
        }
        if event.is_some() || !stays || beat.adopted || beat.unkept {
            self.persist(out);
        }
        if beat.adopted {
            self.schedule.begun(self.interval(), now);
            self.schedule.accelerate(now);
        }
        self.phase = Phase::Resting;
        // Who lacks something would be told at once that something is new, over and over.
        let newest = beat.index.as_ref().map(|index| index.serial);
        let holds_all = newest.is_none_or(|serial| self.cache.state.complete == Some(serial));
        match (self.settings().mode, self.cache.state.agent) {
            (CommunicationMode::Push, Some(agent)) if holds_all => {
                let request = AgentRequest::Hold { agent, serial: self.cache.state.complete };
                let exchange = self.send(request, beat.server, Timestamp::NEVER, out);
                self.phase = Phase::Holding { exchange };
            }
            _ => out.push(Output::EndSession),
        }
    }

    /// The heartbeat is over, and no manager has served the client.
    fn unserved(&mut self, trouble: Trouble, now: Timestamp, out: &mut Outputs) {
        self.phase = Phase::Resting;
        self.missed = self.missed.wrapping_add(1);
        self.cache.state.last_server = None;
        let all = self.conf.list.priorities.iter().flatten().map(Server::of_list);
        let mut reasons: Vec<Option<&Distrust>> = all.map(|server| self.distrusted.get(&server)).collect();
        let lost = !reasons.is_empty() && reasons.iter().all(Option::is_some);
        match reasons.pop().flatten().filter(|_| lost).cloned() {
            Some(because) => self.orphaned(because, now, out),
            None => self.disconnected(trouble, now, out),
        }
        self.persist(out);
    }

    fn orphaned(&mut self, because: Distrust, now: Timestamp, out: &mut Outputs) {
        let since = match &self.cache.state.health {
            Health::Orphaned { since, .. } => *since,
            _ => now,
        };
        self.lost_contact(now, out);
        self.cache.state.health = Health::Orphaned { since, because };
    }

    /// Out of touch; who was orphaned stays so until a manager serves him.
    fn disconnected(&mut self, because: Trouble, now: Timestamp, out: &mut Outputs) {
        let since = match &self.cache.state.health {
            Health::Orphaned { .. } => return,
            Health::Disconnected { since, .. } => *since,
            Health::New | Health::Connected { .. } => now,
        };
        self.lost_contact(now, out);
        self.cache.state.health = Health::Disconnected { since, because };
    }

    fn lost_contact(&mut self, now: Timestamp, out: &mut Outputs) {
        if self.cache.state.health.is_connected() {
            let text = "Disconnected from Symantec Endpoint Protection Manager.";
            self.log(out, now, Event::ServerDisconnected, text);
        }
        if matches!(self.cache.state.health, Health::New | Health::Connected { .. }) {
            let text = "Cannot reach any server of the management server list.";
            self.log(out, now, Event::CannotReachServer, text);
        }
    }

    /// The held request of push mode has ended: something is new, or the connection is gone.
    fn hold_ended(
        &mut self,
        outcome: &Result<ManagerResponse, ExchangeFailure>,
        now: Timestamp,
        out: &mut Outputs,
    ) {
        self.phase = Phase::Resting;
        match outcome {
            Ok(response) if response.status == 200 => self.begin(now, out),
            _ => self.schedule.accelerate(now),
        }
    }

    fn import(&mut self, sylink: Arc<Sylink>, now: Timestamp, out: &mut Outputs) {
        if sylink.domain_id() != self.cache.sylink.domain_id() {
            self.cache.state.agent = None;
        }
        self.take_up(sylink, now, out);
        self.distrusted.clear();
        self.cache.state.forget_list();
        self.cache.state.last_server = None;
        self.log(out, now, Event::ImportedSylink, "Imported sylink.");
        self.begin_soon(now, out);
    }

    fn move_to(&mut self, location: Option<String>, now: Timestamp, out: &mut Outputs) {
        if self.cache.state.location == location {
            return;
        }
        let shown = location.as_deref().unwrap_or("the default one");
        self.log(out, now, Event::ClientMoved, format!("The location is {shown} now."));
        self.cache.state.location = location;
        self.cache.state.report_due = true;
        let held = self.cache.state.list.clone();
        if let Some(list) = held.and_then(|text| PublishedList::parse(&text).ok()) {
            let secure = self.secure();
            let mut conf = list.conf_for(self.cache.state.location.as_deref()).clone();
            conf.certificates.clone_from(&self.conf.certificates);
            let mut sylink = Sylink::clone(&self.cache.sylink);
            sylink.adopt(&conf);
            sylink.set_verify_signatures(secure);
            self.take_up(Arc::new(sylink), now, out);
        }
        self.begin_soon(now, out);
    }

    /// Whatever is under way is given up; the next heartbeat is at once.
    fn begin_soon(&mut self, now: Timestamp, out: &mut Outputs) {
        self.persist(out);
        if !matches!(self.phase, Phase::Stopped) {
            self.phase = Phase::Resting;
            out.push(Output::EndSession);
            self.schedule.accelerate_to(now);
        }
    }

    fn check(&self, server: &Server) -> TlsCheck {
        if !self.secure() && !self.assumptions.switch_off_still_checks_tls {
            return TlsCheck::Nothing;
        }
        TlsCheck::Against(Beliefs {
            pins: self.pins.clone(),
            dates: self.assumptions.certificate_dates,
            names: if server.verify_ca { NameRule::Checked } else { self.assumptions.certificate_names },
        })
    }

    /// Whether it authenticates its manager: the switch, as its communications file carries it.
    fn secure(&self) -> bool {
        self.conf.list.priorities.iter().flatten().any(|server| server.verify_signatures)
    }

    fn settings(&self) -> &AgentCommunication {
        &self.conf.settings
    }

    fn interval(&self) -> Duration {
        let settings = self.settings();
        let seconds = match settings.mode {
            CommunicationMode::Push => settings.push_heartbeat_seconds,
            CommunicationMode::Pull => settings.pull_heartbeat_seconds,
        };
        Duration::from_secs(u64::from(seconds))
    }

    fn has_142_module(&self) -> bool {
        let Assumptions { module_14_2_from, module_14_2_until, .. } = *self.assumptions;
        self.profile.version.is_between(module_14_2_from, module_14_2_until)
    }

    fn persist(&self, out: &mut Outputs) {
        out.push(Output::Persist(Box::new(self.cache.clone())));
    }

    fn log(&self, out: &mut Outputs, at: Timestamp, event: Event, text: impl Into<String>) {
        out.push(Output::Log(LogLine { at, event, text: text.into() }));
    }
}

/// The secret of a communications file, which has been checked to be one when it was read.
fn kcs_of(sylink: &Sylink) -> Kcs {
    sylink.kcs_hex().parse().unwrap_or_else(|_| Kcs::from_bytes([0; 16]))
}

fn name(artifact: &Artifact) -> String {
    match artifact {
        Artifact::Policy => "policy".to_owned(),
        Artifact::List => "management server list".to_owned(),
        Artifact::Package(name) => format!("package {name:?}"),
    }
}

/// What the log adds where nobody vouches for what was adopted (S5).
fn unauthenticated(by: Option<Fingerprint>) -> &'static str {
    match by {
        Some(_) => "",
        None => ", without authenticating it: secure communications are off",
    }
}

#[cfg(test)]
mod tests;
