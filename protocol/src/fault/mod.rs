//! Faults on demand: one fault is what, to whom, where, when, how often.
//!
//! A fault is a rule that returns a verdict; the carrier carries it out. Nothing here sends, waits, or keeps count: the
//! carrier hands in who is there and the how-manieth time it is, and is told what to do. So the same rules hold over
//! sockets and in virtual time, and what a rule will do can be said in advance ([`FaultSet::explain`]).
//!
//! | file | what |
//! |---|---|
//! | `kind` | [`FaultKind`]: the table of all that can be done, by [`Layer`]; a new kind is one entry |
//! | `declare` | the macro that makes the enum and [`KindInfo`] of the table |
//! | `read` | rules and kinds from JSON and TOML, names in any tool's spelling |
//! | `rule` | [`FaultRule`], [`Whom`], [`Place`], [`When`] |
//! | `check` | rules that contradict themselves |
//! | `facts` | what a carrier knows when it asks |
//! | `set` | [`FaultSet`]: the rules in force, and their judgement |
//! | `draw` | the keyed hash by which is decided, and the distributions |
//! | `verdict` | [`Verdict`], and what it comes to |
//! | [`mint`] | certificates that differ from the good one in exactly one property |
//! | [`tamper`] | answers that are given in the site's stead, and what is made of the site's own |
//! | `virtual_time` | what becomes of a verdict where no bytes are sent |
//!
//! What must never be: a socket, a clock, a generator that two exchanges share; a site that knows of it.

mod check;
mod declare;
mod distribution;
mod draw;
mod facts;
mod handshake;
mod kind;
mod layer;
pub mod mint;
mod read;
mod rule;
mod set;
pub mod tamper;
#[cfg(test)]
mod tests;
mod verdict;
mod virtual_time;

pub use check::RuleError;
pub use distribution::Distribution;
pub use facts::{ConnectionFacts, ExchangeFacts, Party};
pub use handshake::{AlertKind, HandshakeStage};
pub use kind::{FaultKind, KindInfo, ParameterInfo};
pub use layer::Layer;
pub use rule::{
    DEFAULT_LIFETIME_SECONDS, Direction, FaultRule, Listener, Moment, Place, Route, VersionRange, When, Whom,
};
pub use set::{FaultError, FaultSet, InstalledFault, Prediction};
pub use verdict::{Hit, Verdict};
pub use virtual_time::{VirtualEffect, VirtualExchange};
