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
    /// The hardware id of the client's machine.
    pub hardware_key: HardwareKey,
    /// The name of the client's computer.
    pub computer_name: String,
    /// The version of the client's software.
    pub version: ClientVersion,
    /// The seed of the client's random draws.
    pub seed: u64,
    /// Whether the client stays with the server that last served it; the registry's `UseLastServer` [C S12].
    pub use_last_server: bool,
}

/// An event that an agent handles.
#[derive(Clone, Debug)]
pub enum Input {
    /// The service starts; its first heartbeat follows at once [C S15].
    Start {
        /// The time at which the machine was booted, at which the series of regular heartbeats starts: now, or earlier if
        /// the machine was on before the lab started.
        booted: Timestamp,
    },
    /// The moment of [`super::Agent::next_wake`] has come.
    Wake,
    /// An exchange that the agent asked for has ended.
    Answered {
        /// The number of the exchange.
        exchange: u64,
        /// The answer of the manager, or the reason why there is none.
        outcome: Result<ManagerResponse, ExchangeFailure>,
    },
    /// A communications file is imported.
    Import(Arc<Sylink>),
    /// The machine has moved to another location; the default one if none.
    MoveTo(Option<String>),
    /// The machine has another hardware id.
    Identify(HardwareKey),
    /// A user asks for a policy update.
    UpdateNow,
    /// The service stops.
    Stop,
}

/// Something that an agent asks its driver to do. Outputs are carried out in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Carry out this exchange, and abandon one that is still under way.
    Send(Box<Exchange>),
    /// Close the connection.
    EndSession,
    /// Write this to the cache before the agent handles another input.
    Persist(Box<Cache>),
    /// Write this line to the log.
    Log(LogLine),
    /// The last input made no sense in the agent's phase and was ignored.
    Odd(&'static str),
}

/// An exchange with a manager.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The number of the exchange, with which its answer comes back.
    pub id: u64,
    /// The server to ask.
    pub server: Server,
    /// The request to send.
    pub request: AgentRequest,
    /// The shared secret that seals the request.
    pub kcs: Kcs,
    /// The check of an HTTPS server's certificate after every handshake, resumed or not.
    pub check: TlsCheck,
    /// The TLS versions of the client.
    pub tls: TlsVersions,
    /// The time at which the exchange is abandoned.
    pub deadline: Timestamp,
}

/// The check of an HTTPS server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsCheck {
    /// The certificate is judged by these beliefs.
    Against(Beliefs),
    /// Any certificate is accepted.
    Nothing,
}

/// The TLS versions that a client offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsVersions {
    /// Only TLS 1.2.
    Only12,
    /// TLS 1.2 and 1.3.
    From12To13,
}
