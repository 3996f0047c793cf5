//! A scenario in virtual time: the same site and the same clients as over sockets, without sockets.
//!
//! Clients do not meet, so each is played through a step on its own, from one thing that happens to it to the next.
//! An exchange takes no time. What one client has done, another that thinks alike need not do again (`memory`), and
//! heartbeats of which nothing comes are passed over in one step; both are tested against playing every heartbeat.
//!
//! | room | what |
//! |---|---|
//! | `world` | what clients meet between two changes of the site |
//! | `breath` | from an input to rest, exchange by exchange |
//! | `memory` | what has been played, and need not be played again |
//! | `client` | a client that plays every heartbeat, and one that does not; they must not differ |
//! | `haunt` | a client under faults |
//! | `diary` | a client's log, and what its managers did for it |
//! | `machine` | when it is on, and where |
//! | `share` | a share of the fleet, for one thread |
//! | `foresight` | who would be lost if the next step were taken now |
//! | `trial` | the same of clients that run elsewhere, on copies of them |
//! | `tally`, `outcome` | what is counted, and what is found |
//! | [`report`] | an outcome for people, spreadsheets and test tools |

mod breath;
mod client;
mod diary;
mod error;
mod foresight;
mod haunt;
mod machine;
mod memory;
mod outcome;
mod play;
pub mod report;
mod share;
mod sweep;
mod tally;
mod trial;
mod world;

#[cfg(test)]
mod tests;

pub use diary::{Dealing, Deed};
pub use error::RehearsalError;
pub use outcome::{AtRisk, Course, InForce, Outcome, StepOutcome};
pub use play::{Casting, Rehearsal, rehearse, rehearse_every_heartbeat};
pub use share::Watch;
pub use sweep::{SweepError, Waits, WaitsError, sweep};
pub use trial::{WouldBeLost, would_be_lost};
