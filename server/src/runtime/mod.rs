//! A running site below its sockets: what its tasks share.

pub(crate) mod client_commands;
pub(crate) mod connections;
pub(crate) mod faults;
pub(crate) mod install_dir;
pub(crate) mod journal;
pub(crate) mod state;
pub(crate) mod tls;
