//! The emulated client of epm-lab: one, or a fleet of many thousands.
//!
//! | module | what |
//! |---|---|
//! | [`agent`] | the client itself: a value, without sockets, files or clocks |
//! | [`scenario`] | the file that describes a site, a fleet, and what an operator does to them |
//! | [`rehearsal`] | a scenario in virtual time, without sockets |
//! | [`report`] | the outcome of a rehearsal as HTML, SVG, CSV, JUnit XML and JSON |
//! | [`catalogue`] | all known failures, reproduced and repaired |
//! | [`cause`] | why clients are orphaned: the step, what the site did in it, and the failure of the catalogue |
//! | [`doctor`] | examines a heartbeat step by step |
//! | [`cli`] | the command line of `epm-agent` (feature `wire`) |
//! | [`program`] | what both programs share on the command line (feature `wire`) |
//! | [`wire`] | everything that waits: clock, connections, tasks, the cache on disk (feature `wire`) |
//!
//! Without the feature `wire` this crate does not depend on tokio; CI builds it without.

pub mod agent;
pub mod catalogue;
pub mod cause;
#[cfg(feature = "wire")]
pub mod cli;
pub mod doctor;
#[cfg(feature = "wire")]
pub mod program;
pub mod rehearsal;
pub mod report;
pub mod scenario;
#[cfg(feature = "wire")]
pub mod wire;
