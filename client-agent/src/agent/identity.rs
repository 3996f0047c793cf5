//! The registration of a client, and what becomes of it when several machines share one hardware id.

use std::net::Ipv4Addr;

use epm_protocol::heartbeat::{IDENTITY_CONFLICT, ManagerResponse, NEW_IDENTITY, Registered};
use epm_protocol::id::{Guid, HardwareKey};
use epm_protocol::time::Timestamp;

use super::health::Trouble;
use super::heartbeat_state::{HeartbeatState, HeartbeatStep};
use super::log::Event;
use super::state::{Agent, Outputs};
use super::version_gates::makes_new_identity;

impl Agent {
    /// The hardware id with which the client registers.
    pub fn machine(&self) -> HardwareKey {
        self.trust_state.cache.state.machine.unwrap_or(self.profile.hardware_key)
    }

    /// Handles the answer to the registration.
    pub(super) fn registered(
        &mut self,
        beat: HeartbeatState,
        response: &ManagerResponse,
        now: Timestamp,
        out: &mut Outputs,
    ) {
        let Some(Registered { agent, turn, .. }) = Registered::from_body(&response.body) else {
            let detail = "no AgentId".to_owned();
            let trouble = Trouble::Malformed { what: "registration".into(), detail };
            return self.next_server(beat, trouble, now, out);
        };
        let state = &mut self.trust_state.cache.state;
        (state.agent, state.turn) = (Some(agent), turn);
        state.report_due = true;
        self.persist(out);
        self.step(beat, HeartbeatStep::Index, out);
    }

    /// Registers again in this heartbeat.
    pub(super) fn register_anew(&mut self, beat: HeartbeatState, out: &mut Outputs) {
        self.trust_state.cache.state.agent = None;
        let anew = HeartbeatState { registered_anew: true, index: None, to_fetch: Vec::new(), ..beat };
        self.step(anew, HeartbeatStep::Register, out);
    }

    /// Handles the news that the client's record belongs to another machine: the client takes it back or, if it is told
    /// to and its version can, makes a new hardware id, and so gets a record of its own.
    pub(super) fn lost_its_record(
        &mut self,
        beat: HeartbeatState,
        status: u16,
        now: Timestamp,
        out: &mut Outputs,
    ) {
        let makes_new = status == NEW_IDENTITY && makes_new_identity(self.profile.version, &self.assumptions);
        let does = if makes_new { "makes a new hardware id" } else { "registers again" };
        let text =
            format!("{} answered {status} to the request for the index; the client {does}.", beat.server);
        self.log(out, now, Event::NoServerResponse, text);
        if makes_new {
            let old = format!("{} {}", self.profile.computer_name, self.machine());
            let new = Guid::derive(self.profile.seed, "hardware", &old, Ipv4Addr::LOCALHOST);
            self.trust_state.cache.state.machine = Some(HardwareKey(new));
        }
        self.register_anew(beat, out);
    }

    /// Changes the hardware id: the machine was deployed from an image, or its hardware id was reset.
    pub(super) fn identify(&mut self, machine: HardwareKey, now: Timestamp, out: &mut Outputs) {
        if self.machine() == machine {
            return;
        }
        let state = &mut self.trust_state.cache.state;
        (state.machine, state.agent, state.turn) = (Some(machine), None, 0);
        self.begin_soon(now, out);
    }
}

/// Whether this status tells the client that its record belongs to another machine.
pub(super) const fn is_conflict(status: u16) -> bool {
    matches!(status, IDENTITY_CONFLICT | NEW_IDENTITY)
}
