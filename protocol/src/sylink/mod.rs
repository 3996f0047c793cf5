//! The communications file of a client.

pub mod xml;
