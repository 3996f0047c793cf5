//! Which value of a communications file is wrong, found out by how a manager behaves towards a client that has it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use epm_client_agent::agent::AgentProfile;
use epm_client_agent::doctor::{Examination, Outcome, Step};
use epm_client_agent::wire::{LabClock, examine};
use epm_protocol::id::{Guid, HardwareKey};
use epm_protocol::sylink::{ClientServer, Sylink};

use crate::cli::Failure;

/// The name under which the manager comes to know who asks.
const NAME: &str = "epm-lab-check";

/// Examines the file against this manager; what is wrong in it, if anything is.
pub(super) async fn against(
    sylink: &Sylink,
    url: &str,
) -> Result<(Examination, Option<&'static str>), Failure> {
    let mut alone = sylink.clone();
    let mut conf = alone.conf();
    let secure = conf.list.servers().any(|server| server.verify_signatures);
    conf.list.priorities = vec![vec![ClientServer { verify_signatures: secure, ..server(url)? }]];
    alone.adopt(&conf);
    let version = "14.3.8289".parse();
    let key = Guid::derive(0, "hardware", NAME, Ipv4Addr::LOCALHOST);
    let profile = AgentProfile {
        hardware_key: HardwareKey(key),
        computer_name: NAME.to_owned(),
        version: version.map_err(|error| Failure::Failed(format!("{error}")))?,
        seed: 1,
        use_last_server: true,
    };
    let mut found = examine(&alone, &profile, &Arc::default(), &Arc::new(LabClock::wall())).await;
    let found = found.pop().ok_or_else(|| Failure::Failed("nothing was examined".to_owned()))?;
    let value = found.checks.iter().find_map(|check| match &check.outcome {
        Outcome::Broken { why, .. } => Some(value(check.step, why)),
        _ => None,
    });
    Ok((found, value))
}

/// The value that an admin looks at where a heartbeat breaks [C S17].
fn value(step: Step, why: &str) -> &'static str {
    match step {
        Step::Registration if why.contains("KCS") => "the shared secret (Kcs)",
        Step::Registration if why.contains("401") => "the domain (DomainId)",
        Step::Serial => "the communication settings (AlwaysConnect, DisableDownloadProfile)",
        Step::Certificate | Step::Signature => "the certificates (ServerCertList)",
        Step::Name | Step::Tcp | Step::Tls => "the server's address or port",
        Step::Hello | Step::Registration | Step::Index => {
            "nothing in the file: the manager itself does not serve"
        }
    }
}

fn server(url: &str) -> Result<ClientServer, Failure> {
    let wrong =
        || Failure::BadInput(format!("expected http://HOST:PORT or https://HOST:PORT; found {url:?}"));
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    let (http_port, https_port) = match scheme {
        "http" => (Some(port), None),
        "https" => (None, Some(port)),
        _ => return Err(wrong()),
    };
    Ok(ClientServer {
        address: host.to_owned(),
        http_port,
        https_port,
        verify_ca: false,
        verify_signatures: true,
    })
}
