//! Commands of the console to clients, and what clients report of them.
//!
//! A client learns of them from the index of its next heartbeat, and reports on them with its state. How the
//! product transports them is not documented; the states and their numbers are those of its REST API.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::CommandId;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// The kind of a command to a client.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum CommandKind {
            $($(#[$doc])* $name,)*
            /// A command that this client does not know and rejects.
            Unknown,
        }

        impl CommandKind {
            /// All known kinds.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name of the kind, as in an index.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Unknown => "unknown",
                }
            }
        }

        impl FromStr for CommandKind {
            type Err = std::convert::Infallible;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(match text { $($text => Self::$name,)* _ => Self::Unknown })
            }
        }
    };
}

kinds! {
    /// Download the newest definitions.
    UpdateContent = "update-content";
    /// Disconnect the computer from the network.
    Quarantine = "quarantine";
    /// Reconnect the computer to the network.
    EndQuarantine = "end-quarantine";
    /// Scan the places where threats usually are.
    ActiveScan = "active-scan";
    /// Scan the whole computer.
    FullScan = "full-scan";
    /// Scan for evidence of compromise.
    EvidenceScan = "evidence-scan";
    /// Collect the fingerprints of all applications.
    Baseline = "baseline";
    /// Upload a file.
    Files = "files";
    /// Restart the computer.
    Restart = "restart";
    /// Forget the reputation of the named files.
    ClearReputation = "clear-reputation";
}

impl fmt::Display for CommandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A command to a client, as the index names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCommand {
    /// The identifier of the command.
    pub id: CommandId,
    /// The kind of the command.
    pub kind: CommandKind,
}

/// The progress of a command at one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandState {
    /// The client has not reported on the command.
    #[default]
    Initial,
    /// The client has received the command.
    Received,
    /// The client is carrying the command out.
    InProgress,
    /// The client has carried the command out.
    Completed,
    /// The client does not carry out commands of this kind.
    Rejected,
    /// The command was cancelled.
    Cancelled,
    /// The client could not carry the command out.
    Error,
}

impl CommandState {
    /// The `stateId` of the product's REST API.
    pub const fn number(self) -> i64 {
        match self {
            Self::Initial => 0,
            Self::Received => 1,
            Self::InProgress => 2,
            Self::Completed => 3,
            Self::Rejected => 4,
            Self::Cancelled => 5,
            Self::Error => 6,
        }
    }

    /// Whether the state is the last one.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Rejected | Self::Cancelled | Self::Error)
    }

    /// The `subStateId` of the product's REST API: -1 unknown, 0 success, 1 not executed.
    pub const fn sub_state(self) -> i64 {
        match self {
            Self::Initial | Self::Received | Self::InProgress => -1,
            Self::Completed => 0,
            Self::Rejected | Self::Cancelled | Self::Error => 1,
        }
    }
}

/// A client's report on a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandReport {
    /// The identifier of the command.
    pub id: CommandId,
    /// The progress of the command at the client.
    pub state: CommandState,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_as_it_is_written_and_an_unknown_one_is_named() {
        for kind in CommandKind::ALL {
            assert_eq!(kind.name().parse(), Ok(*kind));
        }
        assert_eq!("defragment".parse(), Ok(CommandKind::Unknown));
    }

    #[test]
    fn the_states_have_the_products_numbers() {
        use CommandState::{Cancelled, Completed, Error, InProgress, Initial, Received, Rejected};
        let states = [Initial, Received, InProgress, Completed, Rejected, Cancelled, Error];
        assert_eq!(states.map(CommandState::number), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(states.map(CommandState::sub_state), [-1, -1, -1, 0, 1, 1, 1]);
    }
}
