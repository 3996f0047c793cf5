//! The site: what its operator has set, and what its managers publish of it.
//!
//! A value with two verbs. [`Site::apply`] takes a command and says what came of it; [`Site::publication`] is all
//! that a manager answers from, immutable. A site knows nothing of sockets, of files, of clients' minds, or of being
//! sabotaged.
//!
//! | file | what |
//! |---|---|
//! | `state` | [`Site`]: all that it consists of |
//! | `founding` | [`Site::found`] |
//! | `command` | [`Command`], [`Effect`], [`CommandError`] |
//! | `apply` | [`Site::apply`]: a command, and which groups are published anew |
//! | `group_commands`, `list_commands`, `certificate_update`, `registry`, `replication`, `recovery` | each command |
//! | `render` | from what is set to a [`Publication`] |
//! | `publication` | what one manager answers |
//! | `command_table` | commands for clients, and what has come of each |
//! | `client`, `group`, `manager`, `calls` | what a site has |

mod apply;
mod calls;
mod certificate_update;
mod client;
mod command;
mod command_table;
mod founding;
mod group;
mod group_commands;
mod list_commands;
mod manager;
mod publication;
mod recovery;
mod registry;
mod render;
mod replication;
mod state;
#[cfg(test)]
mod tests;

pub use calls::{CallCounter, CallLimit};
pub use client::RegisteredClient;
pub use command::{Command, CommandError, Effect, Material, NewCertificate, Stores};
pub use command_table::{CommandRow, CommandTable, GivenCommand};
pub use founding::Founding;
pub use group::{
    DEFAULT_GROUP, DEFAULT_LOCATION, Group, GroupSettings, Groups, Location, LocationSettings, TOP_GROUP,
};
pub use manager::{ConsoleTrouble, Manager, ManagerPorts};
pub use publication::{Answer, Publication, PublishedArtifact, PublishedGroup, Visit, agent_id};
pub use state::Site;
