//! A scenario in virtual time: the same site and the same clients as over sockets, without sockets.
//!
//! Clients do not meet, so each is played through a step on its own, from one thing that happens to it to the next.
//! An exchange takes no time. What one client has done, another that thinks alike need not do again (`memo`), and
//! heartbeats of which nothing comes are passed over in one step; both are tested against playing every heartbeat.
//!
//! | room | what |
//! |---|---|
//! | `world` | what clients meet between two changes of the site |
//! | `activation` | from an input to rest, exchange by exchange |
//! | `memo` | what has been played, and need not be played again |
//! | `virtual_client` | a client that plays every heartbeat, and one that does not; they must not differ |
//! | `faulted` | a client under faults |
//! | `transcript` | a client's log, and what its managers did for it |
//! | `machine` | when it is on, and where |
//! | `shard` | a share of the fleet, for one thread |
//! | `preview` | who would be lost if the next step were taken now |
//! | `what_if` | the same of clients that run elsewhere, on copies of them |
//! | `hourly`, `outcome` | what is counted, and what is found |

mod activation;
mod error;
mod faulted;
mod hourly;
mod machine;
mod memo;
mod outcome;
mod preview;
mod run;
mod shard;
mod stimulus;
mod sweep;
mod sweep_outcome;
mod transcript;
mod virtual_client;
mod what_if;
mod world;

#[cfg(test)]
mod tests;

pub use error::RehearsalError;
pub use outcome::{AtRisk, Course, InForce, Outcome, StepOutcome};
pub use run::{Rehearsal, RehearsalOptions, rehearse, rehearse_every_heartbeat};
pub use shard::Progress;
pub use sweep::{SweepError, Waits, WaitsError, sweep};
pub(crate) use sweep_outcome::Spread;
pub use sweep_outcome::{Sweep, SweepPoint};
pub use transcript::{ManagerAction, ManagerEvent};
pub use what_if::{WouldBeLost, would_be_lost};
