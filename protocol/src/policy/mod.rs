//! The settings of an operator that clients obey: serials, management server lists, communication settings, the policy
//! document and the packages.
//!
//! [`crate::site`] decides which client gets what.

mod document;
mod serial;
mod server_list;
mod settings;

pub use document::{PolicyDocument, PolicyError};
pub use serial::{PolicySerial, SerialError};
pub use server_list::{ManagementServer, ManagementServerList, Protocol, ServerPriority};
pub use settings::{CommunicationChange, CommunicationSettings};
