//! Faults on demand: one fault is a kind, the clients it applies to, the place, the time, and the probability.
//!
//! A fault is a rule that returns a verdict; the driver carries it out. Nothing here sends, waits, or counts: the
//! driver hands in the facts and the ordinal of an occasion, and gets the verdict. So the same rules hold over sockets
//! and in virtual time, and the effect of a rule can be predicted ([`FaultSet::explain`]).
//!
//! | file | what |
//! |---|---|
//! | `kind` | [`FaultKind`]: the table of all kinds, by [`Layer`]; a new kind is one entry |
//! | `declare` | the macro that makes the enum and [`KindInfo`] of the table |
//! | `handshake`, `distribution` | types of parameters: [`HandshakeStage`], [`AlertKind`], [`Distribution`] |
//! | `rule` | [`FaultRule`], [`Whom`], [`Place`], [`When`] |
//! | `read` | rules and kinds from JSON and TOML, names in any tool's spelling |
//! | `check` | finds rules that contradict themselves |
//! | `facts` | the facts of a connection or an exchange |
//! | `set` | [`FaultSet`]: the rules in force, and their judgement |
//! | `draw` | the keyed hash behind random decisions |
//! | `verdict` | [`Verdict`], [`Hit`] |
//! | [`mint`] | certificates that differ from the good one in exactly one property |
//! | [`tamper`] | answers that are given instead of the manager's, or altered |
//! | `virtual_time` | [`VirtualEffect`]: the effect of a verdict where no bytes are sent |
//!
//! Never here: a socket, a clock, a generator that two exchanges share. A site does not know of its faults.

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
pub use facts::{ConnectionFacts, ExchangeFacts, Party, Past};
pub use handshake::{AlertKind, HandshakeStage};
pub use kind::{FaultKind, KindInfo, ParameterInfo};
pub use layer::Layer;
pub use rule::{Direction, FaultRule, Listener, Moment, Place, Route, VersionRange, When, Whom};
pub use set::{FaultError, FaultSet, InstalledFault, Prediction};
pub use verdict::{Hit, Verdict};
pub use virtual_time::{VirtualEffect, VirtualExchange};
