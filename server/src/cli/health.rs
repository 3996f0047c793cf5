//! `epm-lab health`: checks that a manager or a lab responds.

use clap::Args;
use epm_client_agent::agent::{Exchange, Server, TlsCheck, TlsVersions};
use epm_client_agent::wire::{LabClock, ask_once};
use epm_protocol::heartbeat::AgentRequest;
use epm_protocol::plural::counted;
use epm_protocol::sylink::ClientServer;
use epm_protocol::time::Clock;
use epm_protocol::trust::Kcs;
use schemars::JsonSchema;
use serde::Serialize;

use super::lab::ControlClient;
use super::print;
use crate::cli::io::{Ending, Failure, say, say_json, say_whole};

/// Checks that a manager or a lab responds.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  epm-lab health http://127.0.0.1:8014\n  epm-lab health --lab http://127.0.0.1:8015 --json\n\nExit codes: 0 it responds, and with --lab no service is down; 1 otherwise; 2\ninvalid input."
)]
pub(super) struct Health {
    /// Address of the manager: http://HOST:PORT or https://HOST:PORT; its certificate is not verified
    #[arg(default_value = "http://127.0.0.1:8014", conflicts_with = "lab")]
    url: String,
    /// Ask this control API instead of a manager: it responds once the lab is ready, and knows the services that are down
    #[arg(long, value_name = "URL")]
    lab: Option<String>,
    /// Longest wait for the response, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A manager that responds.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Responds {
    /// Whether the manager responds: true.
    ready: bool,
    /// Address of the manager.
    manager: String,
}

impl Health {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        if let Some(lab) = &self.lab {
            let control = ControlClient::new(lab, None)?;
            let limit = std::time::Duration::from_secs(self.seconds.into());
            let late = |_| {
                let limit = counted(self.seconds, "second");
                Failure::Failed(format!(
                    "{lab} did not respond within {limit}: if its process was stopped, `kill -CONT PID` continues it; if its machine is busy, give more `--seconds`"
                ))
            };
            let found = tokio::time::timeout(limit, control.get("/v1/health")).await.map_err(late)??;
            if found["ready"] != true || !found["instance"].is_string() {
                return Err(control.no_lab("does not say that a lab is ready"));
            }
            let down = print::services_down(&found["service_errors"]);
            if down.is_empty() {
                self.well(&found)?;
                return Ok(Ending::Well);
            }
            if self.json {
                say_whole(&format!("{found:#}\n"));
            }
            return Err(Failure::Failed(format!("not healthy: {}", down.join("; "))));
        }
        let server = server(&self.url).ok_or_else(|| {
            Failure::BadInput(format!(
                "invalid manager address {:?}: expected http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:8014",
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
            Ok(response) if response.status == 200 && response.body.trim_ascii() == b"OK" => {
                self.well(&Responds { ready: true, manager: self.url.clone() })?;
                Ok(Ending::Well)
            }
            Ok(response) => Err(Failure::Failed(format!(
                "no manager answers at {}: what is there responds with status {} and not with OK; give the address of a manager, which `epm-lab up` prints",
                self.url, response.status
            ))),
            Err(failure) => Err(Failure::Failed(format!("{} does not respond: {failure}", self.url))),
        }
    }
}

impl Health {
    fn well(&self, found: &impl Serialize) -> Result<(), Failure> {
        if self.json {
            return say_json(found);
        }
        say("healthy\n");
        Ok(())
    }
}

fn server(url: &str) -> Option<Server> {
    let server = Server::of_list(&url.parse::<ClientServer>().ok()?);
    let address = server.address.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(Server { address, ..server })
}
