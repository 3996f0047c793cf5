//! Which values of a communications file are wrong, found out by how a manager behaves towards a client that has it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use epm_client_agent::agent::{Agent, AgentProfile};
use epm_client_agent::doctor::{Examination, Outcome, Step};
use epm_client_agent::wire::{LabClock, examine_one};
use epm_protocol::assumption::{AdoptionOrder, Assumptions};
use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::id::{Guid, HardwareKey};
use epm_protocol::sylink::{ClientServer, Sylink};

use super::facts::{Facts, Value};
use super::server::server;
use crate::cli::io::Failure;

/// The name under which the manager comes to know who asks.
const NAME: &str = "epm-lab-check";

/// What a manager makes of a file.
pub(super) struct Against {
    /// One heartbeat with it.
    pub(super) found: Examination,
    /// The values that are wrong, with what is known of it, in the order in which an administrator compares them.
    pub(super) wrong: Vec<(Value, String)>,
    /// The values of which nothing can be told from outside before others are right.
    pub(super) unknown: Vec<Value>,
    /// The manager itself does not serve: that is nothing in the file.
    pub(super) manager: Option<String>,
}

/// Examines the file against this manager.
pub(super) async fn against(sylink: &Sylink, url: &str) -> Result<Against, Failure> {
    let target = server(url)?;
    let (found, agent) = look(sylink, &target, true).await?;
    let mut seen = Against { found, wrong: Vec::new(), unknown: Vec::new(), manager: None };
    let mut last = (seen.found.clone(), agent);
    if let Some((Step::Certificate | Step::Signature, why)) = broken(&seen.found) {
        seen.wrong.push((Value::Certificates, why));
        // What comes after that is seen by a client that believes anybody.
        last = look(sylink, &target, false).await?;
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
    /// What the last heartbeat shows of the values that are looked at before trust.
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

    /// The manager has served a client with the file; what it has been told since is held against the file.
    fn compare(&mut self, sylink: &Sylink, agent: &Agent) {
        let (file, told) = (Facts::of(sylink), Facts::of(&agent.cache().sylink));
        let trusts = self.wrong.iter().all(|(value, _)| *value != Value::Certificates);
        for (value, what, is, should) in file.differences(&told) {
            let counts = match value {
                Value::Mode | Value::List | Value::Servers | Value::Switch => true,
                // Who has to be believed blindly was told everything anew.
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

/// One heartbeat of a client that has the file, with this server alone.
async fn look(
    sylink: &Sylink,
    target: &ClientServer,
    believes: bool,
) -> Result<(Examination, Agent), Failure> {
    let mut file = sylink.clone();
    let secure = believes && file.conf().list.servers().any(|server| server.verify_signatures);
    file.set_verify_signatures(secure);
    // Who comes with another file is another client to the manager, which puts each where it belongs.
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
    // Who believes anybody takes the list first, and with it the certificates by which all else is believed.
    let adoption_order = if believes { AdoptionOrder::default() } else { AdoptionOrder::ListThenPolicy };
    let assumptions =
        Assumptions { switch_off_still_checks_tls: believes, adoption_order, ..Assumptions::default() };
    let target = ClientServer { verify_signatures: secure, ..target.clone() };
    let clock = Arc::new(LabClock::wall());
    Ok(examine_one(&file, &target, &profile, &Arc::new(assumptions), &clock).await)
}

fn broken(found: &Examination) -> Option<(Step, String)> {
    found.checks.iter().find_map(|check| match &check.outcome {
        Outcome::Broken { why, .. } => Some((check.step, why.clone())),
        _ => None,
    })
}
