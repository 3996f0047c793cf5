//! What `epm-lab up` says: that the lab is ready, where it is, and which clients are not served.

use std::collections::BTreeMap;
use std::fmt::Write;

use epm_client_agent::scenario::Span;
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::addresses::Addresses;
use crate::cli::io::{Failure, warning};
use crate::control_api;
use crate::lab::Lab;
use crate::mock_site::MockSite;
use crate::rest_api::DEFAULT_USER;
use crate::runtime::service::Service;

/// A lab that is ready: the line on standard output, and the file of `--ready-file`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Ready<'a> {
    /// Whether the lab is ready: true.
    ready: bool,
    /// Identifier of the process.
    pid: u32,
    /// Version of epm-lab.
    version: &'static str,
    /// Time of the machine at which the process started.
    #[schemars(with = "String")]
    started: Timestamp,
    /// Name that no other lab has, as /v1/health tells it.
    instance: &'a str,
    /// The seed that the lab was started with.
    seed: u64,
    /// The shared secret of the site; only in the file of `--ready-file`, which its owner alone may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    kcs: Option<String>,
    /// Identifier of the default domain.
    domain: String,
    /// URL of the control API.
    control_api: &'a str,
    /// Managers of the lab, with their addresses.
    managers: Vec<ReadyManager>,
    /// Clients of the lab, with the identifiers that they were assigned.
    clients: Vec<ReadyClient>,
    /// Services that are down, by manager.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    services_down: BTreeMap<String, Vec<Service>>,
    /// Why each of them is down.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    service_errors: BTreeMap<String, BTreeMap<Service, String>>,
}

/// A manager of a lab that is ready.
#[derive(Debug, Serialize, JsonSchema)]
struct ReadyManager {
    #[serde(flatten)]
    addresses: Addresses,
    /// Certificate of the clients' port; absent while the web server is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

/// A client of a lab that is ready.
#[derive(Debug, Serialize, JsonSchema)]
struct ReadyClient {
    /// Computer name of the client.
    name: String,
    /// Identifier that the manager assigned to the client.
    agent: String,
}

/// The reader of the line that a lab is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Standard output, which a service manager writes into its log: without the shared secret.
    Output,
    /// The file of `--ready-file`.
    File,
}

/// The line that reports that the lab is ready.
pub(super) fn line(lab: &Lab, started: Timestamp, control: &str, reader: Reader) -> Result<String, Failure> {
    let site = &lab.site;
    let fingerprint = |manager: &str| in_force(site, manager);
    let service_errors = site.service_errors();
    // What other processes serve is theirs to say.
    let is_here = |one: &Addresses| site.own_manager().is_none_or(|own| own == one.manager);
    let managers = site
        .addresses_now()
        .into_iter()
        .filter(is_here)
        .map(|addresses| ReadyManager { fingerprint: fingerprint(&addresses.manager), addresses });
    let ready = Ready {
        ready: true,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
        started,
        instance: lab.instance(),
        seed: lab.seed(),
        kcs: (reader == Reader::File).then(|| site.kcs().to_string()),
        domain: site.look(|site| site.domain().to_string()),
        control_api: control,
        managers: managers.collect(),
        services_down: control_api::services_down(&service_errors),
        service_errors,
        clients: site.look(|site| {
            site.clients()
                .map(|client| ReadyClient {
                    name: client.computer_name.clone(),
                    agent: client.agent.to_string(),
                })
                .collect()
        }),
    };
    let line = serde_json::to_string(&ready).map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(format!("{line}\n"))
}

/// The addresses of the lab, for a reader.
pub(super) fn greeting(lab: &Lab, control: &str, pace: Option<(Span, u32)>) -> String {
    let site = &lab.site;
    let mut text = String::from("epm-lab: a mock manager for tests and labs. It protects nothing.\n\n");
    for place in site.addresses_now() {
        let host = place.https.trim_start_matches("https://");
        let _ = writeln!(text, "manager {}: {} and {}", place.manager, place.http, place.https);
        match in_force(site, &place.manager) {
            Some(fingerprint) => {
                let _ = writeln!(text, "  certificate in force (SHA-256): {fingerprint}\n");
            }
            None => text.push_str("  certificate in force: none, the web server is down\n\n"),
        }
        if let Some(rest) = &place.rest {
            let _ = writeln!(text, "  REST API:         {rest}/sepm/api/v1, as {DEFAULT_USER}");
        }
        let _ = writeln!(text, "  browser test:     curl '{}'", place.hello);
        let _ = writeln!(
            text,
            "  TLS certificate:\n    openssl s_client -connect {host} </dev/null | openssl x509 -noout -fingerprint -sha256"
        );
    }
    let _ = writeln!(text, "  page:             {control}/   (for a browser)");
    let _ = writeln!(text, "  control API:      curl {control}/v1/verdict   (epm-lab check)");
    let client = site.look(|site| site.clients().next().map(|client| client.agent));
    if let (Some(agent), Some(place)) = (client, site.addresses().first()) {
        let _ = writeln!(
            text,
            "  shared secret, printed by:\n\
             \x20   epm-lab sylink package -o sylink && epm-lab sylink show sylink/sylink.xml --show-secret\n\
             \x20 a client's index, with the shared secret as SECRET:\n\
             \x20   fields='action=index&agent={agent}'; sealed=\"l=${{#fields}}&$fields\"\n\
             \x20   h=$(printf %s \"$sealed\" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$SECRET | sed 's/.* //')\n\
             \x20   curl \"{}/secars/secars.dll?h=$h&$sealed\"",
            place.http
        );
    }
    if let Some((hold, pace)) = pace {
        let _ = writeln!(
            text,
            "  lab time:         stands for {hold} after each change of the site, then runs at {pace} times real time"
        );
    }
    text
}

/// Fingerprint of the certificate that a manager shows to clients; none while its web server is down.
fn in_force(site: &MockSite, manager: &str) -> Option<String> {
    if site.stopped_services(manager).contains(&Service::Semwebsrv) {
        return None;
    }
    site.certificate(manager).map(|one| one.fingerprint().to_string())
}

/// Says which clients are not served, one line for each reason.
pub(super) fn tell_unserved(unserved: &[(String, String)]) {
    let mut reasons = BTreeMap::<&str, Vec<&str>>::new();
    for (client, why) in unserved {
        reasons.entry(why).or_default().push(client);
    }
    for (why, clients) in reasons {
        let more = if clients.len() > 1 { ", ..." } else { "" };
        warning(&format!(
            "clients not served: {} ({}{more}): {why}",
            clients.len(),
            clients.first().copied().unwrap_or_default()
        ));
    }
}
