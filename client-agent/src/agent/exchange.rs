//! The inputs and outputs of an agent: the boundary to the driver that carries them out.

use std::sync::Arc;

use epm_protocol::heartbeat::{AgentRequest, ExchangeFailure, ManagerResponse};
use epm_protocol::id::HardwareKey;
use epm_protocol::sylink::Sylink;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Beliefs, Kcs};
use epm_protocol::version::ClientVersion;

use super::cache::Cache;
use super::failover::Server;
use super::log::LogLine;

/// The identity of a client; it never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentProfile {
    /// Its machine.
    pub hardware_key: HardwareKey,
    /// Its computer's name.
    pub computer_name: String,
    /// The version of its client software.
    pub version: ClientVersion,
    /// Where its random draws come from.
    pub seed: u64,
    /// Whether it stays with the server that served it last; the registry's `UseLastServer` [C S12].
    pub use_last_server: bool,
}

/// What an agent is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The service starts: the first heartbeat is at once [C S15].
    Start {
        /// When the machine was booted: now, or, if it has been on since before the lab began, earlier. The regular
        /// heartbeats go from there on.
        booted: Timestamp,
    },
    /// The moment of [`super::Agent::next_wake`] has come.
    Wake,
    /// An exchange that it wished for has ended.
    Answered {
        /// Which.
        exchange: u64,
        /// How.
        outcome: Result<ManagerResponse, ExchangeFailure>,
    },
    /// A communications file is imported.
    Import(Arc<Sylink>),
    /// The machine is in another location now; the default one when none.
    MoveTo(Option<String>),
    /// The machine has this hardware id from now on.
    Identify(HardwareKey),
    /// Somebody asks for an update now.
    UpdateNow,
    /// The service stops.
    Stop,
}

/// What an agent wishes for, in this order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Carry out this exchange; one that is still under way is given up.
    Send(Box<Exchange>),
    /// Close the connection.
    EndSession,
    /// Keep this, before anything else is told to the agent.
    Persist(Box<Cache>),
    /// Write this into the log.
    Log(LogLine),
    /// The last input made no sense in this phase, and nothing was done.
    Odd(&'static str),
}

/// One exchange with a manager.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its number, with which its answer comes back.
    pub id: u64,
    /// The server that is asked.
    pub server: Server,
    /// What is asked.
    pub request: AgentRequest,
    /// What the request is sealed with.
    pub kcs: Kcs,
    /// What the certificate of an HTTPS server is held against, after every handshake, resumed or not.
    pub check: TlsCheck,
    /// What TLS the client's version speaks.
    pub tls: TlsVersions,
    /// When it is given up.
    pub deadline: Timestamp,
}

/// What the certificate of an HTTPS server is held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsCheck {
    /// These beliefs.
    Against(Beliefs),
    /// Nothing: any certificate will do.
    Nothing,
}

/// What TLS a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsVersions {
    /// TLS 1.2 alone.
    Only12,
    /// TLS 1.2 and 1.3.
    From12To13,
}
