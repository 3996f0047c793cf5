//! The clients' ports: listening, TLS, and one exchange after another.
//!
//! This is the hot path. Everything that an answer needs was composed at publication, and is signed when first
//! fetched; a request loads one `Arc`, records the visit, and sends prepared bytes. While there is no fault, a
//! connection and an exchange check one flag.
//!
//! | file | what |
//! |---|---|
//! | `listener` | binds a port, accepts connections |
//! | `clients_port` | a client's connection, from its first byte to its end |
//! | `handshake` | the TLS handshake of a connection |
//! | `exchange` | one request and its response |
//! | `body_budget` | bounds what unfinished request bodies take |
//! | `context` | what a response is made from |
//! | `faults` | carries faults out; wraps a conversation of `clients_port`, the only import cycle here |
//! | `presented` | looks at the certificate that a port presents, from outside |
//! | `socket` | the socket of a connection, which a capture may listen to |
//! | `web` | serves a router: the REST API over HTTPS, the control API over plain HTTP |

mod activity;
mod body_budget;
mod clients_port;
mod context;
mod decode_cache;
mod exchange;
mod faults;
mod handshake;
mod listener;
mod presented;
mod socket;
mod web;

pub(crate) use clients_port::serve;
pub(crate) use context::Speaks;
pub use listener::BindError;
pub(crate) use listener::{PATIENCE, bind};
pub(crate) use presented::presented;
pub(crate) use web::{serve_plain, serve_rest};
