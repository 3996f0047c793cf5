//! Finds the wrong values in a communications file by observing how a manager responds to a client that has it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use epm_client_agent::agent::{Agent, AgentProfile};
use epm_client_agent::doctor::{Examination, Outcome, Step};
use epm_client_agent::wire::{LabClock, examine_one};
use epm_protocol::assumption::{AdoptionOrder, Assumptions};
use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::id::{Guid, HardwareKey};
use epm_protocol::sylink::{ClientServer, Sylink};
use epm_protocol::time::Timestamp;

use super::facts::{Facts, Value};
use super::server::server;
use crate::cli::io::Failure;

/// Prefix of the names under which the check registers clients.
const NAME: &str = "epm-lab-check";

/// How a manager responds to a client with the file.
pub(super) struct Against {
    /// One heartbeat with the file.
    pub(super) found: Examination,
    /// Wrong values and the reason for each, in the order in which an administrator compares them.
    pub(super) wrong: Vec<(Value, String)>,
    /// Values that cannot be checked before others are corrected.
    pub(super) unknown: Vec<Value>,
    /// Why the manager itself does not serve; no value of the file is the reason for it.
    pub(super) manager: Option<String>,
}

impl Against {
    /// Whether the file or the manager is at fault.
    pub(super) fn is_wrong(&self) -> bool {
        !self.wrong.is_empty() || self.manager.is_some()
    }
}

/// A loopback address that the examination connects from, and the time by which it judges dates of certificates.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Standpoint {
    /// Connect from this loopback address, as a client of a lab does; then faults meant for that client apply
    #[arg(long, value_name = "ADDRESS", requires = "against")]
    source: Option<Ipv4Addr>,
    /// Judge the dates of certificates at this time, such as a lab's, instead of now
    #[arg(long, value_name = "TIME", requires = "against")]
    at: Option<Timestamp>,
}

/// Examines the file against this manager.
pub(super) async fn against(sylink: &Sylink, url: &str, from: Standpoint) -> Result<Against, Failure> {
    let target = server(url)?;
    let (found, agent) = look(sylink, &target, true, from).await?;
    let mut seen = Against { found, wrong: Vec::new(), unknown: Vec::new(), manager: None };
    let mut last = (seen.found.clone(), agent);
    if let Some((Step::Certificate | Step::Signature, why)) = broken(&seen.found) {
        seen.wrong.push((Value::Certificates, why));
        // Later values are examined with a client that trusts any manager.
        last = look(sylink, &target, false, from).await?;
        seen.found.stays_registered |= last.0.stays_registered;
    }
    let (found, agent) = last;
    seen.judge(&found, sylink, &agent);
    let is_listed = sylink.conf().list.servers().any(|one| {
        let port = |port: Option<u16>| port.is_none() || [one.http_port, one.https_port].contains(&port);
        one.address.eq_ignore_ascii_case(&target.address) && port(target.http_port) && port(target.https_port)
    });
    if !is_listed && seen.wrong.iter().all(|(value, _)| *value != Value::Servers) {
        seen.wrong.push((Value::Servers, format!("the list has no server at {url}")));
    }
    seen.wrong.sort_by_key(|(value, _)| *value);
    Ok(seen)
}

impl Against {
    /// Judges the values that the last heartbeat exercised before trust.
    fn judge(&mut self, found: &Examination, sylink: &Sylink, agent: &Agent) {
        use Value::{Domain, Group, List, Mode, Secret, Servers};
        match broken(found) {
            None => self.compare(sylink, agent),
            Some((Step::Registration, why)) if why.contains("KCS") => {
                self.wrong.push((Secret, why));
                self.unknown = vec![Domain, Mode, List, Group];
            }
            Some((Step::Registration, why)) if why.contains("401") => {
                self.wrong.push((Domain, why));
                self.unknown = vec![Mode, List, Group];
            }
            Some((Step::Serial, why)) => {
                self.wrong.push((Value::Settings, format!("{why} (AlwaysConnect, DisableDownloadProfile)")));
            }
            Some((Step::Name | Step::Tcp | Step::Tls, why)) => {
                self.wrong.push((Servers, why));
                self.unknown = vec![Domain, Secret, Mode, List, Group];
            }
            Some((_, why)) => {
                self.manager = Some(why);
                self.unknown = vec![Domain, Secret, Mode, List, Group];
            }
        }
    }

    /// Compares the file with what a manager that serves the client has told it.
    fn compare(&mut self, sylink: &Sylink, agent: &Agent) {
        let (file, told) = (Facts::of(sylink), Facts::of(&agent.cache().sylink));
        let trusts = self.wrong.iter().all(|(value, _)| *value != Value::Certificates);
        for (value, what, is, should) in file.differences(&told) {
            let counts = match value {
                Value::Mode | Value::List | Value::Servers | Value::Switch => true,
                // A client that trusted any manager was told all certificates anew.
                Value::Certificates => trusts,
                _ => false,
            };
            if counts {
                self.wrong.push((value, format!("{what} is {is}; the manager gives {should}")));
            }
        }
        let (wanted, got) = (sylink.preferred_group(), agent.view().group);
        if let (Some(wanted), Some(got)) = (wanted, got)
            && wanted != got
        {
            self.wrong
                .push((Value::Group, format!("it is {wanted}; the manager puts the client into {got}")));
        }
    }
}

/// Sends one heartbeat of a client with the file, to this server alone.
async fn look(
    sylink: &Sylink,
    target: &ClientServer,
    believes: bool,
    from: Standpoint,
) -> Result<(Examination, Agent), Failure> {
    let mut file = sylink.clone();
    let secure = believes && file.conf().list.servers().any(|server| server.verify_signatures);
    file.set_verify_signatures(secure);
    // Each file gets its own client, since the manager assigns a group per client.
    let mut name = sha256_hex(&sylink.to_bytes());
    name.truncate(8);
    let name = format!("{NAME}-{name}");
    let version = "14.3.8289".parse();
    let profile = AgentProfile {
        hardware_key: HardwareKey(Guid::derive(0, "hardware", &name, Ipv4Addr::LOCALHOST)),
        computer_name: name,
        version: version.map_err(|error| Failure::Failed(format!("{error}")))?,
        seed: 1,
        use_last_server: true,
    };
    // A client that trusts any manager takes the list first, and with it the certificates for everything else.
    let adoption_order = if believes { AdoptionOrder::default() } else { AdoptionOrder::ListThenPolicy };
    let assumptions =
        Assumptions { switch_off_still_checks_tls: believes, adoption_order, ..Assumptions::default() };
    let target = ClientServer { verify_signatures: secure, ..target.clone() };
    let clock = Arc::new(from.at.map_or_else(LabClock::wall, |at| LabClock::starting_at(at, 1)));
    Ok(examine_one(&file, &target, &profile, &Arc::new(assumptions), &clock, from.source).await)
}

fn broken(found: &Examination) -> Option<(Step, String)> {
    found.checks.iter().find_map(|check| match &check.outcome {
        Outcome::Broken { why, .. } => Some((check.step, why.clone())),
        _ => None,
    })
}
