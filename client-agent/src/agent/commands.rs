//! Commands of the console in a heartbeat: the client takes them from the index, and reports what became of
//! them.

use epm_protocol::heartbeat::Index;
use epm_protocol::time::Timestamp;

use super::exchange::Output;
use super::heartbeat_state::{HeartbeatState, Phase};
use super::log::Event;
use super::schedule::Timing;
use super::state::{Agent, Outputs};

impl Agent {
    /// Finishes, at the beginning of a heartbeat, the commands that were in progress.
    pub(super) fn finish_running_commands(&mut self) {
        self.trust_state.cache.state.report_due |= self.trust_state.cache.state.pending_commands.go_on();
    }

    /// Carries out the commands in the index.
    pub(super) fn take_commands(
        &mut self,
        index: &Index,
        beat: &mut HeartbeatState,
        now: Timestamp,
        out: &mut Outputs,
    ) {
        if index.commands.is_empty() {
            return;
        }
        if self.trust_state.cache.state.complete == Some(index.serial) {
            self.log(out, now, Event::HaveLatestPolicy, "The client already has the newest policy.");
        }
        let news = self.trust_state.cache.state.pending_commands.take(&index.commands, now);
        self.tell(out, now, news);
        self.trust_state.cache.state.report_due = true;
        beat.unkept = true;
    }

    /// Ends the heartbeat after the client has reported its state. Restarts the computer if a command says so.
    pub(super) fn reported(&mut self, beat: HeartbeatState, now: Timestamp, out: &mut Outputs) {
        self.trust_state.cache.state.report_due = false;
        let restarts = self.trust_state.cache.state.pending_commands.told();
        self.served(HeartbeatState { unkept: true, ..beat }, now, out);
        if restarts {
            self.phase = Phase::Resting;
            self.served_since_start = false;
            out.push(Output::EndSession);
            self.log(out, now, Event::ServiceStopped, "Symantec Management Client has been stopped.");
            self.log(out, now, Event::ServiceStarted, "Symantec Management Client has been started.");
            self.time(Timing::Restart(self.interval()), now);
        }
    }
}
