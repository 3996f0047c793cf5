//! The messages between client and manager, and their form on HTTP.
//!
//! One heartbeat consists of the index; where the index is new, policy, list and packages with their signatures; then
//! the client's state. In push mode a held request follows. [C S13]
//!
//! [`AgentRequest`] and [`ManagerResponse`] are the messages; [`http`] encodes and decodes them; a driver moves the
//! bytes, or in virtual time hands over the values as they are.

mod command;
pub mod failure;
pub mod http;
mod index;
mod request;
mod response;

pub use command::{ClientCommand, CommandKind, CommandReport, CommandState};
pub use failure::{ExchangeFailure, NO_TLS, Stage};
pub use index::{Index, IndexError, PackageEntry};
pub use request::{AgentRequest, Artifact, OperationalState, Probe, Registration};
pub use response::{
    ContentType, IDENTITY_CONFLICT, ManagerResponse, NEW_IDENTITY, Registered, SignatureHeader,
};
