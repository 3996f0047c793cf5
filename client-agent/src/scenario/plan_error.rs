//! Why a scenario cannot be played to its end, whatever carries it.

use epm_protocol::site::CommandError;

use super::presence::error::PresenceError;
use super::span::Span;

/// Why a scenario cannot be played to its end: the same over sockets and in virtual time.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
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
}

impl PlanError {
    /// A command that the site refused in a step.
    pub fn command(step: usize, title: &str, source: CommandError) -> Self {
        Self::Command { step, title: title.to_owned(), source: Box::new(source) }
    }
}
