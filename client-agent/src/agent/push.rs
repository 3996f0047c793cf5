//! Push mode: what a client does when its request is not held.

use epm_protocol::time::Timestamp;

use super::health::Trouble;
use super::log::Event;
use super::schedule::Timing;
use super::state::{Agent, Outputs};

impl Agent {
    /// Handles the refusal to hold a request, for lack of room or another problem: the connection is gone, the dot with
    /// it, and the client soon reconnects [C S22: dots that come and go, and waves of clients that reconnect].
    pub(super) fn held_in_vain(&mut self, status: u16, now: Timestamp, out: &mut Outputs) {
        let trouble = Trouble::Status { status, request: "the held request of push mode".to_owned() };
        let server = self.trust_state.cache.state.last_server.as_ref().map(|last| last.server.to_string());
        let server = server.unwrap_or_else(|| "the manager".to_owned());
        self.log(out, now, Event::NoServerResponse, format!("No service from {server}: {trouble}."));
        let news = self.trust_state.cache.state.health.disconnect(trouble, now);
        self.tell(out, now, news);
        self.persist(out);
        self.time(Timing::Accelerate, now);
    }
}
