//! The clients' ports: listening, TLS, and one exchange after the other.
//!
//! This is the hot path. All that an answer needs was composed at publication and is signed when it is first fetched; a request loads one `Arc`,
//! notes the visit, and sends bytes that are ready. While no fault is set, a connection and an exchange ask one flag.
//!
//! | file | what |
//! |---|---|
//! | `listener` | binding a port, accepting connections |
//! | `clients_port` | a connection of a client, from its first byte to its end |
//! | `exchange` | one request, one answer |
//! | `context` | what an answer is made from |
//! | `faults` | carrying faults out; it wraps a conversation of `clients_port`, the one circle of files here |
//! | `web` | serving a router: the REST API over HTTPS, the control API over plain HTTP |

mod activity;
mod clients_port;
mod context;
mod decode_cache;
mod exchange;
mod faults;
mod listener;
mod web;

pub(crate) use clients_port::serve;
pub(crate) use context::Speaks;
pub use listener::BindError;
pub(crate) use listener::{PATIENCE, bind};
pub(crate) use web::{serve_plain, serve_rest};
