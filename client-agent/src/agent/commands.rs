//! What a heartbeat does with the commands of the console: it takes them from the index, and reports what became of
//! them.

use epm_protocol::heartbeat::Index;
use epm_protocol::time::Timestamp;

use super::exchange::Output;
use super::heartbeat_state::{HeartbeatState, Phase};
use super::log::Event;
use super::schedule::Timing;
use super::state::{Agent, Outputs};

impl Agent {
    /// A heartbeat begins: what took until now is done.
    pub(super) fn finish_running_commands(&mut self) {
        self.trust_state.cache.state.report_due |= self.trust_state.cache.state.pending_commands.go_on();
    }

    /// Does what the index tells this client to do.
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

    /// Its manager has heard how it is; then the heartbeat is over. Where it was told to restart its computer, it does.
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
            self.time(Timing::Restart(self.trust_state.interval()), now);
        }
    }
}
