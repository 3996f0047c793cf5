//! Why a scenario cannot be played to its end, with either driver.

use epm_protocol::plural::counted;
use epm_protocol::site::CommandError;

use super::presence::error::PresenceError;
use super::span::Span;

/// The reason why a scenario cannot be played to its end: the same over sockets and in virtual time.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The site refused a command.
    #[error("step {step} ({title}): {source}")]
    Command {
        /// The number of the step; 0 is the setup.
        step: usize,
        /// The title of the step.
        title: String,
        /// The reason for the refusal.
        source: Box<CommandError>,
    },
    /// The presence of a part is impossible.
    #[error("the part {part:?}: {source}")]
    Presence {
        /// The name of the part.
        part: String,
        /// The reason why it is impossible.
        source: PresenceError,
    },
    /// A wait for heartbeats reached its limit.
    #[error(
        "step {step} ({title}): after {limit}, {missing} of {} had not ended {}, {example} among them",
        counted(clients, "client"),
        counted(heartbeats, "heartbeat")
    )]
    Waited {
        /// The number of the step.
        step: usize,
        /// The title of the step.
        title: String,
        /// The number of heartbeats that were waited for.
        heartbeats: u32,
        /// The limit of the wait.
        limit: Span,
        /// The number of clients that lack heartbeats.
        missing: usize,
        /// The number of clients in the fleet.
        clients: usize,
        /// The name of a client that lacks heartbeats.
        example: String,
    },
}

impl PlanError {
    /// Makes the error for a command that the site refused in a step.
    pub fn command(step: usize, title: &str, source: CommandError) -> Self {
        Self::Command { step, title: title.to_owned(), source: Box::new(source) }
    }
}
