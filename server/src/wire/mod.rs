//! The clients' ports: listening, TLS, and one exchange after the other.
//!
//! This is the hot path. All that an answer needs was composed and signed at publication; a request loads one `Arc`,
//! notes the visit, and sends bytes that are ready. Faults are `carry`'s; where there are none, a connection and an
//! exchange ask one flag for them.

mod activity;
mod clients_port;
mod decode_cache;
mod exchange;
mod faults;
mod web;

pub use clients_port::BindError;
pub(crate) use clients_port::{PATIENCE, serve};
pub(crate) use clients_port::{Speaks, bind};
pub(crate) use web::{serve_plain, serve_rest};
