//! A scenario in virtual time: the same values as over sockets, without sockets.

mod outcome;
pub mod report;

pub use outcome::{AtRisk, Course, InForce, Outcome, StepOutcome};
