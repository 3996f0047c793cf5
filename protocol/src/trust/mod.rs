//! The independent layers of trust, a file each.

pub mod kcs;

pub use kcs::{Kcs, KcsError, MalformedKcs};
