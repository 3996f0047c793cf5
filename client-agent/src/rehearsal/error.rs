//! Why a rehearsal could not continue.

use crate::scenario::PlanError;

/// The reason why a rehearsal could not continue.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The scenario cannot be played to its end.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// An invariant of the lab was broken.
    #[error("step {step} ({title}), seed {seed}: {what}; this is an error of the lab, please report it")]
    Broken {
        /// The number of the step.
        step: usize,
        /// The title of the step.
        title: String,
        /// The seed of the run, with which it can be repeated.
        seed: u64,
        /// The invariant that was broken.
        what: String,
    },
}
