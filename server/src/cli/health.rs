//! `epm-lab health`: is the manager there?

use clap::Args;
use epm_client_agent::agent::{Exchange, Server, TlsCheck, TlsVersions};
use epm_client_agent::wire::{LabClock, ask_once};
use epm_protocol::heartbeat::AgentRequest;
use epm_protocol::policy::Protocol;
use epm_protocol::time::Clock;
use epm_protocol::trust::Kcs;

use super::{Ending, Failure, say};

/// Asks a manager whether it is there.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  epm-lab health http://127.0.0.1:8014")]
pub(super) struct Health {
    /// Where: http://HOST:PORT or https://HOST:PORT; any certificate will do
    #[arg(default_value = "http://127.0.0.1:8014")]
    url: String,
    /// How many seconds to wait for the answer
    #[arg(long, default_value_t = 5)]
    seconds: u32,
}

impl Health {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        let server = server(&self.url).ok_or_else(|| {
            Failure::BadInput(format!(
                "{:?} is no address of a manager; expected one like http://127.0.0.1:8014",
                self.url
            ))
        })?;
        let clock = std::sync::Arc::new(LabClock::wall());
        let exchange = Exchange {
            id: 1,
            server,
            request: AgentRequest::Hello,
            kcs: Kcs::from_bytes([0; 16]),
            check: TlsCheck::Nothing,
            tls: TlsVersions::From12To13,
            deadline: clock.now() + std::time::Duration::from_secs(self.seconds.into()),
        };
        match ask_once(clock, &exchange).await {
            Ok(response) if response.status == 200 => {
                say("healthy\n");
                Ok(Ending::Well)
            }
            Ok(response) => Err(Failure::Failed(format!("{} answered {}", self.url, response.status))),
            Err(failure) => Err(Failure::Failed(format!("{} is not there: {failure}", self.url))),
        }
    }
}

fn server(url: &str) -> Option<Server> {
    let (protocol, rest) = match url.split_once("://")? {
        ("http", rest) => (Protocol::Http, rest),
        ("https", rest) => (Protocol::Https, rest),
        _ => return None,
    };
    let (address, port) = rest.trim_end_matches('/').rsplit_once(':')?;
    let address = address.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(Server { address, port: port.parse().ok()?, protocol, verify_ca: false })
}
