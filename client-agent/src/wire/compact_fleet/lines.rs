//! What a fleet reports while it runs: the lines of `epm-agent fleet --json`.

use std::collections::BTreeMap;

use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::agent::Health;

/// A line of the report of a fleet.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FleetLine {
    /// The first line: what is about to run, and what it needs.
    Plan(FleetPlan),
    /// A client is no longer served, or is served again.
    Client(ClientChange),
    /// Figures of the last period.
    Figures(FleetFigures),
    /// The last line: figures of the whole run.
    End(FleetFigures),
}

/// What a fleet is about to do, and what it needs of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FleetPlan {
    /// The number of clients of this process.
    pub clients: u32,
    /// The number of the first client, from 1.
    pub first: u32,
    /// The number of clients of the whole fleet, all shards together.
    pub fleet: u32,
    /// Seconds between two heartbeats of a client; absent if the communications settings decide.
    pub heartbeat_seconds: Option<f64>,
    /// Heartbeats per second that this makes.
    pub heartbeats_per_second: Option<f64>,
    /// The number of clients that may be in a heartbeat at the same time.
    pub in_flight: u32,
    /// File descriptors that the clients need at most.
    pub descriptors_needed: u64,
    /// File descriptors that this process may open.
    pub descriptors: u64,
    /// Memory that the clients need at most, in bytes, estimated.
    pub memory_needed_bytes: u64,
    /// Memory that the machine has to give, in bytes, if it says so.
    pub memory_bytes: Option<u64>,
    /// Whether each client connects from a loopback address of its own, as it does to managers on loopback.
    pub own_addresses: bool,
}

/// A client that is no longer served, or is served again.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ClientChange {
    /// The name of the client's computer.
    pub client: String,
    /// The time of the change.
    pub at: Timestamp,
    /// Whether a manager serves the client.
    pub served: bool,
    /// The code of the cause, such as `signature-missing` or `timed-out`; `none` if it is served.
    pub cause: String,
    /// The state of the client's contact with its managers.
    pub health: Health,
}

/// Figures of a fleet in a period.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FleetFigures {
    /// The end of the period.
    pub at: Timestamp,
    /// Seconds since the fleet began.
    pub seconds: f64,
    /// The number of clients.
    pub clients: u32,
    /// The number of clients that have been started.
    pub started: u32,
    /// The number of clients that a manager served in their last heartbeat.
    pub served: u32,
    /// The number of clients that no manager served, and trust is not the reason, or not the only one.
    pub disconnected: u32,
    /// The number of clients that trust no manager, or that no manager accepts.
    pub orphaned: u32,
    /// The share of clients, from 0 to 1, that a manager has served within their last interval.
    pub coverage: f64,
    /// Heartbeats that ended in the period.
    pub heartbeats: u64,
    /// Heartbeats that ended per second.
    pub heartbeats_per_second: f64,
    /// Heartbeats in which no manager served the client.
    pub unserved: u64,
    /// Unserved heartbeats by the code of their cause.
    pub causes: BTreeMap<String, u64>,
    /// Exchanges of these heartbeats.
    pub exchanges: u64,
    /// Time from the beginning of a heartbeat to its end; absent without heartbeats.
    pub latency: Option<Quantiles>,
    /// Time from the moment at which a heartbeat was due to its beginning; absent without heartbeats that were due.
    pub late: Option<Quantiles>,
    /// TLS handshakes since the fleet began in which a manager showed its certificate.
    pub full_handshakes: u64,
    /// TLS handshakes since the fleet began that resumed a session.
    pub resumed_handshakes: u64,
    /// The number of different states that the clients are in, identity, dates and counts aside.
    pub states: u32,
    /// Memory of this process that belongs to no file, in bytes, if the system says so.
    pub memory_bytes: Option<u64>,
}

/// Quantiles of times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Quantiles {
    /// The median in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile in milliseconds.
    pub p99_ms: f64,
    /// The longest time in milliseconds.
    pub longest_ms: f64,
}

impl FleetLine {
    /// The JSON Schema of a line.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

impl FleetFigures {
    /// Whether every client has been started, and a manager served each in its last heartbeat.
    pub fn all_served(&self) -> bool {
        self.served == self.clients
    }
}
