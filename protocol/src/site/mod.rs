//! The site: what its operator has set, and what its managers publish.
//!
//! [`Site::apply`] applies a command and returns its effects; [`Site::publication`] is everything that a manager
//! answers from, immutable. A site knows nothing of sockets, files, the state of clients, or faults.
//!
//! | file | what |
//! |---|---|
//! | `state` | [`Site`]: its parts |
//! | `founding` | [`Site::found`] |
//! | `command`, `command_error`, `effect` | [`Command`]; [`CommandError`]; [`Effect`] |
//! | `apply` | [`Site::apply`]: a command, and which groups are published anew |
//! | `group_commands`, `list_commands`, `certificate_update`, `registry`, `replication`, `recovery` | each command |
//! | `render` | renders a [`Publication`] from the settings |
//! | `replay` | [`Replay`]: repeats the recorded changes of a site |
//! | `publication` | what one manager answers |
//! | `command_table` | commands for clients, and what came of each |
//! | `client`, `group`, `manager`, `calls` | the objects of a site |

mod apply;
mod calls;
mod certificate_update;
mod client;
mod client_key;
mod command;
mod command_error;
mod command_table;
mod effect;
mod founding;
mod group;
mod group_commands;
mod list_commands;
mod manager;
mod publication;
mod recovery;
mod registry;
mod render;
mod replay;
mod replication;
mod state;
#[cfg(test)]
mod tests;

pub use calls::{CallCounter, CallLimit};
pub use client::{RegisteredClient, agent_id};
pub use client_key::ClientKey;
pub use command::{Command, Material, NewCertificate, Stores};
pub use command_error::CommandError;
pub use command_table::{CommandRow, CommandTable, GivenCommand};
pub use effect::Effect;
pub use founding::Founding;
pub use group::{
    DEFAULT_GROUP, DEFAULT_LOCATION, Group, GroupSettings, Groups, Location, LocationSettings, TOP_GROUP,
};
pub use manager::{ConsoleTrouble, Manager, ManagerPorts};
pub use publication::{Answer, Publication, PublishedArtifact, PublishedGroup, Visit};
pub use replay::Replay;
pub use state::{Drawn, Site};
