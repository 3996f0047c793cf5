//! `epm-lab site`: a site whose managers are processes of their own and share a database.

mod database;
mod found;
mod manager;
mod status;

use clap::Subcommand;

use crate::cli::io::{Ending, Failure};
pub(crate) use status::SiteStatus;

/// Commands on a site whose managers share a database.
#[derive(Debug, Subcommand)]
pub(super) enum SiteVerb {
    /// Found a site in a PostgreSQL database: its managers with their addresses, its settings and its seed
    #[command(after_help = found::HELP)]
    Found(Box<found::Found>),
    /// Run one manager of a site until Ctrl-C; the others are processes of their own, on this machine or on others
    #[command(after_help = manager::HELP)]
    Manager(Box<manager::Manager>),
    /// Show which managers of a site run, and which of its clients are behind or silent; with --wait, wait until none is
    #[command(after_help = status::HELP)]
    Status(status::Status),
}

impl SiteVerb {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        match self {
            Self::Found(found) => tokio::task::block_in_place(|| found.go()),
            Self::Manager(manager) => manager.go().await,
            Self::Status(status) => status.go().await,
        }
    }
}
