//! Why a rehearsal could not go on.

use crate::scenario::PlanError;

/// Why a rehearsal could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The scenario cannot be played to its end.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// An invariant of the lab was broken.
    #[error("step {step} ({title}), seed {seed}: {what}; this is an error of the lab, please report it")]
    Broken {
        /// The step.
        step: usize,
        /// Its title.
        title: String,
        /// The seed that repeats it.
        seed: u64,
        /// The invariant.
        what: String,
    },
}
