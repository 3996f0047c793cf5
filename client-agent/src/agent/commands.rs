//! What the console has told a client to do, in emulation: its machine has no disk to scan and no network to be cut off
//! from, so what changes is what it says of itself.
//!
//! A command comes with the index. What takes a moment is done at once; a scan or a restart takes until the next
//! heartbeat. The client tells of each with its state, until a manager has heard that it is finished.

use epm_protocol::heartbeat::{ClientCommand, CommandKind, CommandReport, CommandState, Index};
use epm_protocol::id::CommandId;
use epm_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::beat::{Beat, Phase};
use super::log::{Event, News};
use super::{Agent, Output, Outputs, Timing};

/// What a client has been told to do, and what has come of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Duties {
    /// Whether it is cut off from the network, but for its managers.
    pub quarantined: bool,
    /// When a command made it fetch the newest definitions last.
    pub content: Option<Timestamp>,
    /// The commands that it has yet to finish, or to tell of.
    pub commands: Vec<Duty>,
}

/// A command that a client has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duty {
    /// Which.
    pub id: CommandId,
    /// What is to be done.
    pub kind: CommandKind,
    /// How far it has come.
    pub state: CommandState,
    /// Whether a manager knows that.
    pub is_told: bool,
}

impl Duties {
    /// Whether it has never been told to do anything.
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// What it tells its manager.
    pub(super) fn reports(&self) -> Vec<CommandReport> {
        self.commands.iter().map(|duty| CommandReport { id: duty.id, state: duty.state }).collect()
    }

    /// Takes commands; one that it has already is not taken twice.
    fn take(&mut self, commands: &[ClientCommand], now: Timestamp) -> Vec<News> {
        let mut news = Vec::new();
        for ClientCommand { id, kind } in commands {
            if self.commands.iter().any(|duty| duty.id == *id) {
                continue;
            }
            let state = match kind {
                CommandKind::UpdateContent => {
                    self.content = Some(now);
                    let text = "Downloaded new content update from the management server successfully.";
                    news.push((Event::ContentUpdated, text.to_owned()));
                    CommandState::Completed
                }
                CommandKind::Quarantine | CommandKind::EndQuarantine => {
                    self.quarantined = *kind == CommandKind::Quarantine;
                    CommandState::Completed
                }
                CommandKind::Baseline | CommandKind::Files => CommandState::Completed,
                CommandKind::ActiveScan
                | CommandKind::FullScan
                | CommandKind::EvidenceScan
                | CommandKind::Restart => CommandState::InProgress,
                CommandKind::Unknown => CommandState::Rejected,
            };
            self.commands.push(Duty { id: *id, kind: *kind, state, is_told: false });
        }
        news
    }

    /// Another heartbeat: what its managers know to be in progress is done by now. Says whether there is news.
    fn go_on(&mut self) -> bool {
        let running = |duty: &&mut Duty| duty.is_told && duty.state == CommandState::InProgress;
        let mut any = false;
        for duty in self.commands.iter_mut().filter(running) {
            (duty.state, duty.is_told, any) = (CommandState::Completed, false, true);
        }
        any
    }

    /// A manager has heard; says whether the computer is to be restarted.
    fn told(&mut self) -> bool {
        self.commands.retain(|duty| !duty.state.is_final());
        let mut restarts = false;
        for duty in &mut self.commands {
            restarts |= !duty.is_told && duty.kind == CommandKind::Restart;
            duty.is_told = true;
        }
        restarts
    }
}

impl Agent {
    /// A heartbeat begins: what took until now is done.
    pub(super) fn go_on_with_duties(&mut self) {
        self.held.cache.state.report_due |= self.held.cache.state.duties.go_on();
    }

    /// Does what the index tells this client to do.
    pub(super) fn obey(&mut self, index: &Index, beat: &mut Beat, now: Timestamp, out: &mut Outputs) {
        if index.commands.is_empty() {
            return;
        }
        if self.held.cache.state.complete == Some(index.serial) {
            self.log(out, now, Event::HaveLatestPolicy, "The client already has the newest policy.");
        }
        let news = self.held.cache.state.duties.take(&index.commands, now);
        self.tell(out, now, news);
        self.held.cache.state.report_due = true;
        beat.unkept = true;
    }

    /// Its manager has heard how it is; then the heartbeat is over. Where it was told to restart its computer, it does.
    pub(super) fn reported(&mut self, beat: Beat, now: Timestamp, out: &mut Outputs) {
        self.held.cache.state.report_due = false;
        let restarts = self.held.cache.state.duties.told();
        self.served(Beat { unkept: true, ..beat }, now, out);
        if restarts {
            self.phase = Phase::Resting;
            self.served_since_start = false;
            out.push(Output::EndSession);
            self.log(out, now, Event::ServiceStopped, "Symantec Management Client has been stopped.");
            self.log(out, now, Event::ServiceStarted, "Symantec Management Client has been started.");
            self.time(Timing::Restart(self.held.interval()), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use epm_protocol::id::Guid;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_767_600_000);

    fn command(byte: u8, kind: CommandKind) -> ClientCommand {
        ClientCommand { id: CommandId(Guid::from_bytes([byte; 16])), kind }
    }

    fn states(duties: &Duties) -> Vec<i64> {
        duties.reports().iter().map(|report| report.state.number()).collect()
    }

    #[test]
    fn what_takes_a_moment_is_done_at_once_and_a_scan_by_the_next_heartbeat() {
        let mut duties = Duties::default();
        let commands = [
            command(1, CommandKind::Quarantine),
            command(2, CommandKind::FullScan),
            command(3, CommandKind::UpdateContent),
            command(4, CommandKind::Unknown),
        ];
        let news = duties.take(&commands, NOW);
        assert_eq!(news.iter().map(|(event, _)| event.id()).collect::<Vec<_>>(), [0x1207_030C]);
        assert_eq!(
            (duties.quarantined, duties.content, states(&duties)),
            (true, Some(NOW), vec![3, 2, 3, 4])
        );
        assert!(!duties.go_on(), "no manager knows of the scan yet");
        assert!(duties.take(&commands, NOW).is_empty(), "what it has is not done twice");
        assert!(!duties.told());
        assert_eq!(states(&duties), [2], "what is finished and told is forgotten");
        assert!(duties.go_on());
        assert_eq!(states(&duties), [3]);
        assert!(!duties.go_on() && !duties.told());
        let end = [command(5, CommandKind::EndQuarantine)];
        duties.take(&end, NOW);
        assert!(!duties.quarantined);
    }

    #[test]
    fn a_restart_comes_once_and_after_a_manager_knows() {
        let mut duties = Duties::default();
        duties.take(&[command(1, CommandKind::Restart), command(2, CommandKind::FullScan)], NOW);
        assert_eq!((duties.told(), duties.told()), (true, false));
        assert_eq!((duties.go_on(), states(&duties), duties.told()), (true, vec![3, 3], false));
    }
}
