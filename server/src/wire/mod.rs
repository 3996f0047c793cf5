//! The clients' ports: listening, TLS, and one exchange after the other.
//!
//! This is the hot path. All that an answer needs was composed and signed at publication; a request loads one `Arc`,
//! notes the visit, and sends bytes that are ready. Faults are `carry`'s; where there are none, a connection and an
//! exchange ask one flag for them.

mod carry;
mod exchange;
mod guests;
mod last_asked;
mod listen;
mod paced;
mod tls;
mod web;

pub(crate) use carry::Wardrobe;
pub(crate) use guests::Guests;
pub use listen::BindError;
pub(crate) use listen::{PATIENCE, serve};
pub(crate) use listen::{Speaks, bind};
pub(crate) use tls::server_config;
pub(crate) use web::{serve_console, serve_plain};
