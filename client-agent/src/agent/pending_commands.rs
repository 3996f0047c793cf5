//! Commands of the console, emulated: the machine has no disk to scan and no network to disconnect from, so only what
//! the client reports changes.
//!
//! A command comes with the index. Short commands are finished at once; a scan or a restart lasts until the next
//! heartbeat. The client reports on each with its state, until a manager knows that it is finished.

use epm_protocol::heartbeat::{ClientCommand, CommandKind, CommandReport, CommandState};
use epm_protocol::id::CommandId;
use epm_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::log::{Event, News};

/// The commands that a client has received, and their effects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PendingCommands {
    /// Whether the client is disconnected from the network, except from its managers.
    pub quarantined: bool,
    /// The last time at which a command made the client download the newest definitions.
    pub content: Option<Timestamp>,
    /// The commands that the client has yet to finish, or to report on.
    pub commands: Vec<PendingCommand>,
}

/// A command that a client has received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingCommand {
    /// The identifier of the command.
    pub id: CommandId,
    /// The kind of the command.
    pub kind: CommandKind,
    /// The progress of the command.
    pub state: CommandState,
    /// Whether a manager knows this progress.
    pub is_told: bool,
}

impl PendingCommands {
    /// Whether the client has never received a command.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The reports for the client's manager.
    pub(super) fn reports(&self) -> Vec<CommandReport> {
        self.commands.iter().map(|command| CommandReport { id: command.id, state: command.state }).collect()
    }

    /// Takes commands; those that the client has already are ignored.
    pub(super) fn take(&mut self, commands: &[ClientCommand], now: Timestamp) -> Vec<News> {
        let mut news = Vec::new();
        for ClientCommand { id, kind } in commands {
            if self.commands.iter().any(|command| command.id == *id) {
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
                CommandKind::Baseline | CommandKind::Files | CommandKind::ClearReputation => {
                    CommandState::Completed
                }
                CommandKind::ActiveScan
                | CommandKind::FullScan
                | CommandKind::EvidenceScan
                | CommandKind::Restart => CommandState::InProgress,
                CommandKind::Unknown => CommandState::Rejected,
            };
            self.commands.push(PendingCommand { id: *id, kind: *kind, state, is_told: false });
        }
        news
    }

    /// Finishes what a manager knows to be in progress. Returns whether there is something to report.
    pub(super) fn go_on(&mut self) -> bool {
        let running =
            |command: &&mut PendingCommand| command.is_told && command.state == CommandState::InProgress;
        let mut any = false;
        for command in self.commands.iter_mut().filter(running) {
            (command.state, command.is_told, any) = (CommandState::Completed, false, true);
        }
        any
    }

    /// Notes that a manager has the reports. Returns whether the computer is to be restarted.
    pub(super) fn told(&mut self) -> bool {
        self.commands.retain(|command| !command.state.is_final());
        let mut restarts = false;
        for command in &mut self.commands {
            restarts |= !command.is_told && command.kind == CommandKind::Restart;
            command.is_told = true;
        }
        restarts
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

    fn states(pending: &PendingCommands) -> Vec<i64> {
        pending.reports().iter().map(|report| report.state.number()).collect()
    }

    #[test]
    fn what_takes_a_moment_is_done_at_once_and_a_scan_by_the_next_heartbeat() {
        let mut pending = PendingCommands::default();
        let commands = [
            command(1, CommandKind::Quarantine),
            command(2, CommandKind::FullScan),
            command(3, CommandKind::UpdateContent),
            command(4, CommandKind::Unknown),
        ];
        let news = pending.take(&commands, NOW);
        assert_eq!(news.iter().map(|(event, _)| event.id()).collect::<Vec<_>>(), [0x1207_030C]);
        assert_eq!(
            (pending.quarantined, pending.content, states(&pending)),
            (true, Some(NOW), vec![3, 2, 3, 4])
        );
        assert!(!pending.go_on(), "no manager knows of the scan yet");
        assert!(pending.take(&commands, NOW).is_empty(), "a known command is not carried out twice");
        assert!(!pending.told());
        assert_eq!(states(&pending), [2], "what is finished and reported is forgotten");
        assert!(pending.go_on());
        assert_eq!(states(&pending), [3]);
        assert!(!pending.go_on() && !pending.told());
        let end = [command(5, CommandKind::EndQuarantine)];
        pending.take(&end, NOW);
        assert!(!pending.quarantined);
    }

    #[test]
    fn a_restart_comes_once_and_after_a_manager_knows() {
        let mut pending = PendingCommands::default();
        pending.take(&[command(1, CommandKind::Restart), command(2, CommandKind::FullScan)], NOW);
        assert_eq!((pending.told(), pending.told()), (true, false));
        assert_eq!((pending.go_on(), states(&pending), pending.told()), (true, vec![3, 3], false));
    }
}
