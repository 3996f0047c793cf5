//! Why a rehearsal could not go on.

use epm_protocol::site::CommandError;

use crate::scenario::{PresenceError, Span};

/// Why a rehearsal could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The site refused a command.
    #[error("step {step} ({title}): {source}")]
    Command {
        /// The step; 0 is the setup.
        step: usize,
        /// Its title.
        title: String,
        /// Why.
        source: Box<CommandError>,
    },
    /// A part of the fleet is never there.
    #[error("the part {part:?}: {source}")]
    Presence {
        /// The part.
        part: String,
        /// Why.
        source: PresenceError,
    },
    /// What was waited for did not come.
    #[error(
        "step {step} ({title}): after {limit}, {missing} of {clients} clients had not ended {heartbeats} heartbeats, {example} among them"
    )]
    Waited {
        /// The step.
        step: usize,
        /// Its title.
        title: String,
        /// How many heartbeats were waited for.
        heartbeats: u32,
        /// The limit.
        limit: Span,
        /// How many clients are behind.
        missing: usize,
        /// How many there are.
        clients: usize,
        /// One of those who are behind.
        example: String,
    },
    /// What must never be was.
    #[error("step {step} ({title}), seed {seed}: {what}; this is an error of the lab, please report it")]
    Broken {
        /// The step.
        step: usize,
        /// Its title.
        title: String,
        /// The seed that repeats it.
        seed: u64,
        /// What it was.
        what: String,
    },
}
