//! A scenario in virtual time: the same site and clients as over sockets, without sockets.
//!
//! Each client is played through a step on its own, from one event to the next. An exchange takes no time. Clients in
//! equal states share memoised results (`memo`), and quiet heartbeats are skipped in one step; both are tested against
//! playing every heartbeat.
//!
//! | module | what |
//! |---|---|
//! | `run` | a scenario, step by step |
//! | `world` | the managers as clients meet them between two changes of the site |
//! | `stimulus` | what happens to a client |
//! | `activation` | from a stimulus to rest, exchange by exchange |
//! | `memo` | the memo table |
//! | `virtual_client` | a client that plays every heartbeat, and a memoised one, with the same results |
//! | `faulted` | a client under faults |
//! | `transcript` | a client's log, and what its managers did for it |
//! | `machine` | a machine, its power schedule, and the client on it |
//! | `shard` | a part of the fleet, for one thread |
//! | `what_if` | which clients would be orphaned if the site changed now |
//! | `preview` | which clients the next step of the plan would orphan |
//! | `hourly`, `outcome` | the counts, and the results |
//! | `sweep`, `sweep_outcome` | the same plan with many waits, and the results |

mod activation;
mod error;
mod faulted;
mod hourly;
mod installation;
mod machine;
mod memo;
mod moves;
mod notes;
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
pub use outcome::{AtRisk, Course, InForce, Outcome, RunInfo, StepOutcome};
pub use run::{Rehearsal, RehearsalOptions, rehearse, rehearse_every_heartbeat};
pub use shard::Progress;
pub use sweep::{SweepError, Waits, WaitsError, sweep};
pub(crate) use sweep_outcome::Spread;
pub use sweep_outcome::{Sweep, SweepPoint};
pub use transcript::{ManagerAction, ManagerEvent};
pub use what_if::{WouldBeOrphaned, would_be_orphaned};
