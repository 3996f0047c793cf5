//! `epm-agent show`: what a client's cache says of it.

use std::fmt::Write as _;
use std::path::Path;

use epm_protocol::id::AgentId;
use epm_protocol::policy::PolicySerial;
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::Serialize;

use super::failure::Failure;
use crate::agent::{Cache, Health, LastServer, Rescue};
use crate::program::{say, say_whole};
use crate::wire::DiskCache;

/// The content of a client's cache.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Shown {
    /// The name of the client's management server list.
    list: String,
    /// The fingerprints (SHA-256) of the certificates that the client trusts.
    certificates: Vec<String>,
    /// The serial of the policy that the client holds; null if it holds none.
    serial: Option<PolicySerial>,
    /// The group that the policy is for.
    group: Option<String>,
    /// The location of the client; null for the default one.
    location: Option<String>,
    /// The identifier that the manager assigned to the client.
    agent: Option<AgentId>,
    /// The server that last served the client.
    last_server: Option<LastServer>,
    /// The state of the client's contact with its managers.
    health: Health,
    /// How far an imported communications file has brought the client back, if one was imported while it was orphaned.
    rescue: Option<Rescue>,
}

/// Prints the content of the cache in a folder.
pub(super) fn show(folder: &Path, is_json: bool) -> Result<(), Failure> {
    if !folder.is_dir() {
        return Err(Failure::BadInput(format!("there is no folder {}", folder.display())));
    }
    let kept = DiskCache::read(folder).map_err(|error| Failure::BadInput(error.to_string()))?;
    let Some(cache) = kept else {
        return Err(Failure::BadInput(format!("no cache in {}", folder.display())));
    };
    let Cache { sylink, state } = cache;
    let conf = sylink.conf();
    let shown = Shown {
        certificates: conf.certificates.iter().map(|one| Fingerprint::of(&one.der).to_string()).collect(),
        list: conf.list.name,
        serial: state.serial,
        group: state.group,
        location: state.location,
        agent: state.agent,
        last_server: state.last_server.as_ref().map(|last| last.known_of(&state.health)),
        health: state.health,
        rescue: state.rescue,
    };
    if is_json {
        let text =
            serde_json::to_string_pretty(&shown).map_err(|error| Failure::Failed(error.to_string()))?;
        say_whole(&format!("{text}\n"));
    } else {
        say(&shown.text());
    }
    Ok(())
}

impl Shown {
    /// The content for people, one fact in a line.
    fn text(&self) -> String {
        let mut text = String::new();
        let mut fact = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:13} {value}");
        };
        fact("list", &self.list);
        for certificate in &self.certificates {
            fact("trusts", certificate);
        }
        let none = || "none".to_owned();
        fact("policy", &self.serial.map_or_else(none, |serial| serial.to_string()));
        fact("group", self.group.as_deref().unwrap_or("none"));
        fact("location", self.location.as_deref().unwrap_or("the default one"));
        fact("registered as", &self.agent.map_or_else(none, |agent| agent.to_string()));
        if let Some(LastServer { server, since }) = &self.last_server {
            fact("last server", &format!("{}:{} since {since}", server.address, server.port));
        }
        let contact = match &self.health {
            Health::New => "none yet".to_owned(),
            Health::Connected { since } => format!("connected since {since}"),
            Health::Disconnected { since, because } => format!("disconnected since {since}: {because}"),
            Health::Orphaned { since, because, also: None } => format!("orphaned since {since}: {because}"),
            Health::Orphaned { since, because, also: Some(also) } => {
                format!("orphaned since {since}: {because}; at last also: {also}")
            }
        };
        fact("contact", &contact);
        match self.rescue {
            None => {}
            Some(Rescue::Imported) => {
                fact("rescue", "a communications file was imported; no manager met since");
            }
            Some(Rescue::BroughtBack) => fact("rescue", "brought back by a communications file"),
        }
        text
    }
}
