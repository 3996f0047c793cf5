//! Everything of the client that waits: the clock, the sockets, the files and the tasks.
//!
//! It moves bytes, asks [`judge`](fn@epm_protocol::trust::judge) after every handshake, and carries out the agent's
//! outputs. It makes no decision about behaviour.

mod agenda;
mod client;
mod clock;
mod compact_fleet;
mod connection;
mod dispatcher;
mod doctor;
mod driver;
mod durable;
mod fleet;
mod glance;
mod handle;
mod http_call;
mod log_file;
mod own_file;
mod package;
mod reporter;
mod signals;
mod sleepers;
mod store;
mod tls;
mod tls_memory;
mod uptime;
mod verifier;

pub use client::{LogSink, Watcher};
pub use clock::{ClockReading, Halted, LabClock, Stopwatch, machine_date, wait};
pub use compact_fleet::{
    ChangeSink, ClientChange, CompactFleet, FleetFigures, FleetLine, FleetNeeds, FleetPlan, FleetSpec,
    FleetStates, FleetStore, FleetStoreError, MachineLimits, Quantiles, TooLarge, shard,
};
pub use connection::{Handshakes, ask_once, call_once};
pub use dispatcher::drive;
pub use doctor::{examine, examine_one};
pub use durable::{create_folder, sync};
pub use fleet::{Fleet, Member, MemberSpec, TURNS};
pub use glance::{AgentCopy, ByState, Glance};
pub use handle::{AgentHandle, HeldRequest};
pub use http_call::{HttpServer, body_of};
pub use log_file::{LogFile, log_text};
pub use own_file::{open_own, read_regular};
pub use package::{IN_PACKAGE, PackageError, read_package};
pub use reporter::{Reporter, ReporterError};
pub use signals::{interrupted, outlive_the_file_limit};
pub use store::{DiskCache, StoreError};
pub use tls::{ClockTime, key_log, log_keys, provider};
pub use verifier::{is_pkcs1, verify_handshake};
