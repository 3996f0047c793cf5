//! `epm-lab rotate`: an example of a rotation tool, which knows a lab by its two doors only.
//!
//! What the product has in its REST API, it does there: groups, locations, the switch, who holds which policy. What the
//! product has only in its console, it does through the control API: lists and certificates. From that API it also
//! learns who would be lost, and does not go on while somebody would be.

mod fleet;
mod multi;
mod rest;
mod rotation;
mod single;
mod state;

use clap::Subcommand;

use crate::cli::io::{Ending, Failure};
use rotation::{Halt, Options, Rotation};
use state::Way;

/// Which procedure.
#[derive(Debug, Subcommand)]
pub(super) enum Rotate {
    /// The procedure that works with any number of managers: secure communications are off while the certificate changes
    Single(Options),
    /// The procedure for managers that stand in for each other: one after the other gets its new certificate
    Multi(Options),
}

impl Rotate {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        let (way, options) = match self {
            Self::Single(options) => (Way::Single, options),
            Self::Multi(options) => (Way::Multi, options),
        };
        let mut rotation = Rotation::begin(way, options).await?;
        let went = match way {
            Way::Single => rotation.single().await,
            Way::Multi => rotation.multi().await,
        };
        let stopped = match went {
            Ok(()) => None,
            Err(Halt::Clients { why, clients }) => Some((why, clients)),
            Err(Halt::Failure(failure)) => return Err(failure),
        };
        rotation.report(stopped).await
    }
}
