//! `epm-lab rotate`: an example of a rotation tool, which knows a lab only by its two APIs.
//!
//! The vendor's REST API is used wherever it suffices: groups, locations, the switch, policies of clients. What the
//! product offers only in its console goes through the control API: lists and certificates. The control API also
//! predicts which clients would be orphaned, and the rotation stops while there are any. What would stop it half-way is looked
//! for before it changes anything.

mod fleet;
mod multi;
mod preconditions;
mod rest;
mod rotated;
mod rotation;
mod single;
mod state;

use clap::Subcommand;

use crate::cli::io::{Ending, Failure};
pub(super) use rotated::Rotated;
use rotation::{Halt, Options, Rotation};
use state::Way;

/// Rotation procedures.
#[derive(Debug, Subcommand)]
pub(super) enum Rotate {
    /// Rotate any number of managers with secure communications off while the certificates change
    Single(Options),
    /// Rotate managers between which clients can fail over, one after the other
    Multi(Options),
}

impl Rotate {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        let (way, options) = match self {
            Self::Single(options) => (Way::Single, options),
            Self::Multi(options) => (Way::Multi, options),
        };
        let mut rotation = Rotation::begin(way, options).await?;
        let went = match (rotation.reach().await, way) {
            (Err(halt), _) => Err(halt),
            (Ok(()), Way::Single) => rotation.single().await,
            (Ok(()), Way::Multi) => rotation.multi().await,
        };
        let stopped = match went {
            Ok(()) => {
                rotation.tell_if_complete();
                None
            }
            Err(Halt::Refused(obstacles)) => Some(obstacles),
            Err(Halt::Failure(failure)) => return Err(failure),
        };
        rotation.report(stopped).await
    }
}
