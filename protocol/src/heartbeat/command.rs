//! Commands of the console to clients: what a client is told to do, and what it says has come of it.
//!
//! A client learns of them from the index of its next heartbeat, and tells what has come of them with its state. How the
//! product carries them is not documented; the states and their numbers are those of its REST API.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::CommandId;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What a client is told to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum CommandKind {
            $($(#[$doc])* $name,)*
            /// Something that this client does not know: it rejects it.
            Unknown,
        }

        impl CommandKind {
            /// All that are known.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As an index writes it.
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
    /// Fetch the newest definitions.
    UpdateContent = "update-content";
    /// Cut the computer off from the network.
    Quarantine = "quarantine";
    /// Connect it again.
    EndQuarantine = "end-quarantine";
    /// Scan the places where threats usually are.
    ActiveScan = "active-scan";
    /// Scan everything.
    FullScan = "full-scan";
    /// Look for evidence of compromise.
    EvidenceScan = "evidence-scan";
    /// Collect the fingerprints of all applications.
    Baseline = "baseline";
    /// Upload a file.
    Files = "files";
    /// Restart the computer.
    Restart = "restart";
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
    /// The client has not told of it.
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
    /// The product's number, its `stateId`.
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

    /// The product's `subStateId`: -1 unknown, 0 success, 1 not executed.
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
