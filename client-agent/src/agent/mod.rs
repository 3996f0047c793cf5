//! The emulated client: a value that takes inputs and returns outputs.
//!
//! It has no socket, file, clock or randomness: [`Agent::handle`] takes an [`Input`] and the time, and returns
//! [`Output`]s. It never blocks, fails or panics, and takes any input in any phase. Two drivers feed it, one over
//! sockets and one in virtual time, and it cannot tell them apart.
//!
//! A heartbeat asks for the index, fetches what is new, adopts what it trusts, and reports the client's state [C S13].
//! If a server fails or is not trusted, the next one of the list is tried.

mod adoption;
mod cache;
mod commands;
mod contact;
mod dormant;
mod equivalence;
mod exchange;
mod failover;
mod health;
mod heartbeat_state;
mod identity;
mod kept;
mod log;
mod pending_commands;
mod push;
mod reported;
mod schedule;
mod state;
mod trust_state;
mod version_gates;
mod view;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use epm_protocol::assumption::{Module142, ServersPerBeat};
use epm_protocol::heartbeat::{
    AgentRequest, Artifact, ExchangeFailure, Index, ManagerResponse, Registration,
};
use epm_protocol::sylink::{CommunicationMode, Sylink};
use epm_protocol::time::Timestamp;

pub use cache::{AgentState, Cache, Harm, OwnCache, Rescue};
pub use contact::Contact;
pub use dormant::{DormantAgent, SharedStates};
pub use exchange::{AgentProfile, Exchange, Input, Output, TlsCheck, TlsVersions};
pub use failover::{LastServer, Server};
pub use health::{Distrust, Health, Trouble, TrustLayer};
pub use kept::KeptAgent;
pub use log::{Event, LogLine};
pub use pending_commands::{PendingCommand, PendingCommands};
pub use reported::{ClientReport, MOST_REPORTED, ReportedClient, ReportedState, StateGroups};
pub use state::Agent;
pub use view::AgentView;

pub(crate) use cache::Dates;
pub(crate) use equivalence::{Choice, Counts, stays, stays_until};
pub(crate) use schedule::{Row, Schedule, Timing};

use adoption::Refusal;
use heartbeat_state::{HeartbeatState, HeartbeatStep, Phase};
use state::Outputs;
use version_gates::{has_142_module, tls_versions};

/// The time after which a session with a server is abandoned until the next heartbeat [C S13].
const SESSION_LIMIT: Duration = Duration::from_millis(30_000);

impl Agent {
    /// Handles an input, and returns what the driver has to do.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Outputs {
        let mut out = Vec::new();
        self.timings.clear();
        match (input, &self.phase) {
            (Input::Start { booted }, Phase::Stopped) => {
                self.phase = Phase::Resting;
                self.served_since_start = false;
                self.time(Timing::Restart(self.interval()), now);
                self.schedule.was_booted(booted, now);
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
                self.time(Timing::Stop, now);
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
            (Input::Identify(machine), _) => self.identify(machine, now, &mut out),
            (Input::MoveTo(location), _) => self.move_to(location, now, &mut out),
            (Input::Answered { exchange, outcome }, Phase::InHeartbeat(beat))
                if beat.exchange == exchange =>
            {
                self.answered(outcome, now, &mut out);
            }
            (Input::Answered { exchange, outcome }, Phase::Holding { exchange: held })
                if *held == exchange =>
            {
                self.hold_ended(&outcome, now, &mut out);
            }
            (Input::Answered { .. }, _) => out.push(Output::Odd("an answer to no pending exchange")),
            (Input::Start { .. }, _) => out.push(Output::Odd("started while running")),
            (Input::Wake | Input::UpdateNow, Phase::Stopped | Phase::InHeartbeat(_)) => {
                out.push(Output::Odd("woken while stopped or in a heartbeat"));
            }
        }
        // What a client logs or sends must be what it still knows when it is killed then.
        out.sort_by_key(|output| !matches!(output, Output::Persist(_)));
        out
    }

    /// Begins a heartbeat.
    fn begin(&mut self, now: Timestamp, out: &mut Outputs) {
        self.time(Timing::Begun(self.interval()), now);
        self.phase = Phase::Resting;
        self.finish_running_commands();
        self.heartbeats += 1;
        if !self.trust_state.settings().always_connect {
            let news = self.trust_state.cache.state.health.disconnect(Trouble::Disabled, now);
            self.tell(out, now, news);
            self.persist(out);
            out.push(Output::EndSession);
            return;
        }
        let last = self.trust_state.cache.state.last_server.as_ref().filter(|_| self.profile.use_last_server);
        let mut left = failover::candidates(
            &self.trust_state.conf.list,
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
        let beat = HeartbeatState {
            deadline: now + SESSION_LIMIT,
            left,
            server,
            exchange: 0,
            step: HeartbeatStep::Index,
            index: None,
            to_fetch: Vec::new(),
            registered_anew: false,
            adopted: false,
            unkept: false,
        };
        self.approach(beat, out);
    }

    /// Starts the session with the heartbeat's server.
    fn approach(&mut self, beat: HeartbeatState, out: &mut Outputs) {
        let step = if self.trust_state.cache.state.agent.is_some() {
            HeartbeatStep::Index
        } else {
            HeartbeatStep::Register
        };
        self.step(beat, step, out);
    }

    /// Takes the next step of a heartbeat: sends its request.
    fn step(&mut self, mut beat: HeartbeatState, step: HeartbeatStep, out: &mut Outputs) {
        let request = self.request(&step);
        beat.step = step;
        beat.exchange = self.send(request, beat.server.clone(), beat.deadline, out);
        self.phase = Phase::InHeartbeat(Box::new(beat));
    }

    fn send(&mut self, request: AgentRequest, server: Server, deadline: Timestamp, out: &mut Outputs) -> u64 {
        self.exchanges += 1;
        let exchange = Exchange {
            id: self.exchanges,
            check: self.trust_state.check(&server),
            server,
            request,
            kcs: self.trust_state.kcs.clone(),
            tls: tls_versions(self.profile.version, &self.assumptions),
            deadline,
        };
        out.push(Output::Send(Box::new(exchange)));
        self.exchanges
    }

    fn request(&self, step: &HeartbeatStep) -> AgentRequest {
        let state = &self.trust_state.cache.state;
        match (step, state.agent) {
            (HeartbeatStep::Register, _) | (_, None) => AgentRequest::Register(Registration {
                domain: self.trust_state.cache.sylink.domain_id(),
                hardware_key: self.machine(),
                computer_name: self.profile.computer_name.clone(),
                version: self.profile.version,
                preferred_group: self.trust_state.cache.sylink.preferred_group(),
            }),
            (HeartbeatStep::Index, Some(agent)) => {
                AgentRequest::Index { agent, serial: state.complete, turn: state.turn }
            }
            (HeartbeatStep::Fetch(artifact), Some(agent)) => {
                AgentRequest::Fetch { agent, artifact: artifact.clone() }
            }
            (HeartbeatStep::Report, Some(agent)) => {
                let report = self.trust_state.report();
                let state = serde_json::to_vec(&report).map(Bytes::from).unwrap_or_default();
                AgentRequest::Upload { agent, state }
            }
        }
    }

    /// Handles the answer to the current step, or its failure.
    fn answered(
        &mut self,
        outcome: Result<ManagerResponse, ExchangeFailure>,
        now: Timestamp,
        out: &mut Outputs,
    ) {
        let Phase::InHeartbeat(beat) = std::mem::replace(&mut self.phase, Phase::Resting) else { return };
        let beat = *beat;
        let response = match outcome {
            Ok(response) => response,
            Err(ExchangeFailure::TlsRejected { rejection }) => {
                return self.distrust(beat, Distrust::Tls { rejection }, now, out);
            }
            Err(failure) => return self.next_server(beat, Trouble::Exchange { failure }, now, out),
        };
        match (response.status, beat.step.clone()) {
            (400, _) => self.distrust(beat, Distrust::SharedSecret { status: 400 }, now, out),
            (200, HeartbeatStep::Register) => self.registered(beat, &response, now, out),
            (200, HeartbeatStep::Index) => self.index_came(beat, &response, now, out),
            (status, HeartbeatStep::Index) if status == self.assumptions.unchanged_status => {
                self.log(out, now, Event::HaveLatestPolicy, "The client already has the newest policy.");
                self.fetch_next(beat, now, out);
            }
            (status, step)
                if status == self.assumptions.unregistered_status
                    && step != HeartbeatStep::Register
                    && !beat.registered_anew =>
            {
                self.register_anew(beat, out);
            }
            (status, HeartbeatStep::Index) if identity::is_conflict(status) && !beat.registered_anew => {
                self.lost_its_record(beat, status, now, out);
            }
            (200, HeartbeatStep::Fetch(artifact)) => self.artifact_came(beat, &artifact, &response, now, out),
            (200, HeartbeatStep::Report) => self.reported(beat, now, out),
            (status, step) => {
                if let HeartbeatStep::Fetch(artifact) = &step {
                    let text =
                        format!("Cannot download the {}: the manager answered {status}.", name(artifact));
                    self.log(out, now, Event::CannotDownloadPolicy, text);
                }
                let request = match step {
                    HeartbeatStep::Register => "the registration".to_owned(),
                    HeartbeatStep::Index => "the request for the index".to_owned(),
                    HeartbeatStep::Fetch(artifact) => format!("the request for the {}", name(&artifact)),
                    HeartbeatStep::Report => "the upload of the client's state".to_owned(),
                };
                self.next_server(beat, Trouble::Status { status, request }, now, out);
            }
        }
    }

    fn index_came(
        &mut self,
        mut beat: HeartbeatState,
        response: &ManagerResponse,
        now: Timestamp,
        out: &mut Outputs,
    ) {
        let index = match Index::parse(&response.body) {
            Ok(index) => index,
            Err(error) => {
                let trouble = Trouble::Malformed { what: "index".into(), detail: error.to_string() };
                return self.next_server(beat, trouble, now, out);
            }
        };
        if self.trust_state.settings().disable_download_profile {
            self.log(out, now, Event::HaveLatestPolicy, "The client already has the newest policy.");
        } else {
            beat.to_fetch = self.trust_state.missing(&index);
        }
        self.take_commands(&index, &mut beat, now, out);
        beat.index = Some(index);
        self.fetch_next(beat, now, out);
    }

    /// Fetches what is left to fetch, then reports, then ends the heartbeat.
    fn fetch_next(&mut self, mut beat: HeartbeatState, now: Timestamp, out: &mut Outputs) {
        if let Some(artifact) = beat.to_fetch.pop() {
            return self.step(beat, HeartbeatStep::Fetch(artifact), out);
        }
        let held = beat.index.as_ref().filter(|index| self.trust_state.missing(index).is_empty());
        if let Some(index) = held
            && self.trust_state.cache.state.complete != Some(index.serial)
        {
            self.trust_state.cache.state.complete = Some(index.serial);
            beat.unkept = true;
        }
        if self.trust_state.cache.state.report_due {
            return self.step(beat, HeartbeatStep::Report, out);
        }
        self.served(beat, now, out);
    }

    fn artifact_came(
        &mut self,
        mut beat: HeartbeatState,
        artifact: &Artifact,
        response: &ManagerResponse,
        now: Timestamp,
        out: &mut Outputs,
    ) {
        let before = (self.trust_state.cache.clone(), self.trust_state.pins.clone());
        let speaking = beat.index.as_ref().map_or("", |index| index.manager.as_str());
        match self.trust_state.adopt(artifact, response, speaking) {
            Ok(news) => {
                self.tell(out, now, news);
                if self.trust_state.cache != before.0 {
                    beat.adopted = true;
                    self.trust_state.cache.state.report_due = true;
                }
                if self.trust_state.pins != before.1 {
                    self.distrusted.clear();
                }
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

    /// Tries the next server, since this one is not trusted or does not accept the client.
    fn distrust(&mut self, beat: HeartbeatState, distrust: Distrust, now: Timestamp, out: &mut Outputs) {
        let text = format!("Failed to connect to {}: {distrust}.", beat.server);
        self.log(out, now, Event::ServerConnectionFailed, text);
        self.distrusted.insert(beat.server.clone(), distrust.clone());
        let module = self.assumptions.module_14_2;
        let stops = module == Module142::StopsAtAnUntrustedServer
            && has_142_module(self.profile.version, &self.assumptions);
        let left = if stops { Vec::new() } else { beat.left };
        self.go_on(HeartbeatState { left, ..beat }, Trouble::Untrusted { distrust }, now, out);
    }

    /// Tries the next server, since this one does not serve the client.
    fn next_server(&mut self, beat: HeartbeatState, trouble: Trouble, now: Timestamp, out: &mut Outputs) {
        let event = match &trouble {
            Trouble::Exchange {
                failure: ExchangeFailure::TlsFailed { .. } | ExchangeFailure::NotHttp { .. },
            } => Event::ServerConnectionFailed,
            _ => Event::NoServerResponse,
        };
        self.log(out, now, event, format!("No service from {}: {trouble}.", beat.server));
        self.go_on(beat, trouble, now, out);
    }

    fn go_on(&mut self, mut beat: HeartbeatState, trouble: Trouble, now: Timestamp, out: &mut Outputs) {
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

    /// Ends a heartbeat in which a manager has served the client.
    fn served(&mut self, beat: HeartbeatState, now: Timestamp, out: &mut Outputs) {
        self.heartbeats_served += 1;
        self.missed = 0;
        let is_first = !std::mem::replace(&mut self.served_since_start, true);
        self.distrusted.remove(&beat.server);
        let state = &mut self.trust_state.cache.state;
        let was = std::mem::take(&mut state.health);
        let last = state.last_server.as_ref().filter(|last| last.server == beat.server);
        let (is_same, stays) = (last.is_some(), last.is_some_and(|last| last.stays(now)));
        let (since, event) = match was {
            Health::Connected { since } => (since, (!is_same || is_first).then_some(Event::ServerConnected)),
            Health::New => (now, Some(Event::ServerConnected)),
            Health::Disconnected { .. } | Health::Orphaned { .. } => (now, Some(Event::Reconnected)),
        };
        state.health = Health::Connected { since };
        state.rescue = state.rescue.map(|_| Rescue::BroughtBack);
        state.given_older_file = false;
        if !stays || event == Some(Event::Reconnected) {
            let since = self.schedule.contact_since(now);
            state.last_server = Some(LastServer { server: beat.server.clone(), since });
        }
        if let Some(event) = event {
            let text = format!("Connected to Symantec Endpoint Protection Manager ({})", beat.server.address);
            self.log(out, now, event, text);
        }
        if event.is_some() || !stays || beat.adopted || beat.unkept {
            self.persist(out);
        }
        if beat.adopted {
            self.time(Timing::Adopted(self.interval()), now);
        }
        self.phase = Phase::Resting;
        // A client that lacks something would be told at once that something is new, over and over.
        let newest = beat.index.as_ref().map(|index| index.serial);
        let holds_all = newest.is_none_or(|serial| self.trust_state.cache.state.complete == Some(serial));
        match (self.trust_state.settings().mode, self.trust_state.cache.state.agent) {
            (CommunicationMode::Push, Some(agent)) if holds_all => {
                let request = AgentRequest::Hold { agent, serial: self.trust_state.cache.state.complete };
                let exchange = self.send(request, beat.server, Timestamp::NEVER, out);
                self.phase = Phase::Holding { exchange };
            }
            _ => out.push(Output::EndSession),
        }
    }

    /// Ends a heartbeat in which no manager has served the client.
    fn unserved(&mut self, trouble: Trouble, now: Timestamp, out: &mut Outputs) {
        self.phase = Phase::Resting;
        if self.assumptions.servers_per_beat == ServersPerBeat::One {
            self.missed =
                (self.missed + 1) % self.trust_state.conf.list.priorities.iter().flatten().count().max(1);
        }
        self.trust_state.cache.state.last_server = None;
        let all = self.trust_state.conf.list.priorities.iter().flatten().map(Server::of_list);
        let mut reasons: Vec<Option<&Distrust>> = all.map(|server| self.distrusted.get(&server)).collect();
        let lost = !reasons.is_empty() && reasons.iter().all(Option::is_some);
        let state = &mut self.trust_state.cache.state;
        let news = match reasons.pop().flatten().filter(|_| lost).cloned() {
            Some(because) => {
                state.rescue = None; // the file did not help, or not for long
                if state.health.orphaned().is_none() {
                    state.harm.orphaned = state.harm.orphaned.saturating_add(1);
                }
                state.health.orphan(because, trouble, now)
            }
            None => state.health.disconnect(trouble, now),
        };
        self.tell(out, now, news);
        self.persist(out);
    }

    /// Handles the end of the held request of push mode: something is new, or the connection is gone.
    fn hold_ended(
        &mut self,
        outcome: &Result<ManagerResponse, ExchangeFailure>,
        now: Timestamp,
        out: &mut Outputs,
    ) {
        self.phase = Phase::Resting;
        match outcome {
            Ok(response) if response.status == 200 => self.begin(now, out),
            Ok(response) if response.status >= 500 => self.held_in_vain(response.status, now, out),
            _ => self.time(Timing::Accelerate, now),
        }
    }

    fn import(&mut self, sylink: Arc<Sylink>, now: Timestamp, out: &mut Outputs) {
        let news = self.trust_state.import(sylink);
        self.tell(out, now, news);
        self.distrusted.clear();
        self.begin_soon(now, out);
    }

    fn move_to(&mut self, location: Option<String>, now: Timestamp, out: &mut Outputs) {
        if self.trust_state.cache.state.location == location {
            return;
        }
        let news = self.trust_state.move_to(location);
        self.tell(out, now, news);
        self.begin_soon(now, out);
    }

    /// Abandons whatever is under way; the next heartbeat follows at once.
    fn begin_soon(&mut self, now: Timestamp, out: &mut Outputs) {
        self.persist(out);
        if !matches!(self.phase, Phase::Stopped) {
            self.phase = Phase::Resting;
            out.push(Output::EndSession);
            self.time(Timing::Now, now);
        }
    }
}

fn name(artifact: &Artifact) -> String {
    match artifact {
        Artifact::Policy => "policy".to_owned(),
        Artifact::List => "management server list".to_owned(),
        Artifact::Package(name) => format!("package {name:?}"),
    }
}

#[cfg(test)]
mod tests;
