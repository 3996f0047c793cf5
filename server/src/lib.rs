//! The mock Endpoint Protection Manager of epm-lab.
//!
//! | room | what |
//! |---|---|
//! | [`MockSite`] | a running site in this process: what tests hold |
//! | [`play`] | a scenario, played over real sockets |
//! | [`Journal`] | what the managers remember of their visitors |
//! | `wire` | listening, TLS, one exchange after the other: the hot path |
//! | `shared` | what the tasks of a running site share |
//! | [`cli`] | the program `epm-lab` |

pub mod cli;
mod journal;
mod mock;
pub mod play;
mod shared;
mod wire;

pub use journal::{Departure, Journal, Record};
pub use mock::{Addresses, MockSite, MockSiteBuilder, StartError};
pub use shared::Seat;
pub use wire::BindError;

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
