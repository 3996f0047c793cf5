//! `epm-lab cert check`: would the wizard accept a certificate, and would clients trust it?

use std::path::{Path, PathBuf};

use clap::Args;
use epm_client_agent::wire::LabClock;
use epm_protocol::excerpt::expected_one_of;
use epm_protocol::sylink::Sylink;
use epm_protocol::time::{Clock as _, Timestamp};
use epm_protocol::trust::{Beliefs, DateRule, NameRule, Pins, ServerCertificate, judge};
use schemars::JsonSchema;
use serde::Serialize;

use super::bring::Source;
use super::show::FileView;
use crate::cli::io::{Ending, Failure, read, say, say_json};

/// Checks a certificate and its key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab cert check server.crt --key server.key
  epm-lab cert check keystore.jks --password-file password.txt
  epm-lab cert check server.crt --key server.key --sylink sylink.xml \\
    --server sepm.example --at 2036-01-01T00:00:00Z

Exit codes: 0 it would be accepted and trusted; 1 the wizard would refuse it, or a
client would not trust it; 2 invalid input.")]
pub(crate) struct Check {
    #[command(flatten)]
    source: Source,
    /// Communications file of a client: check that the client would trust a manager with this certificate
    #[arg(long, value_name = "FILE")]
    sylink: Option<PathBuf>,
    /// Check as this server of the list; defaults to every server
    #[arg(long, requires = "sylink", value_name = "ADDRESS")]
    server: Option<String>,
    /// Check at this time; defaults to now
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The contents of a file, and whether a wizard would accept it and clients trust it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CheckedCertificate {
    #[serde(flatten)]
    file: FileView,
    /// Whether the checked time is within the validity period; null where no certificate was chosen.
    in_time: Option<bool>,
    /// Each server of the client's list, and why the client would not trust the certificate there.
    clients: Vec<Believed>,
    /// Whether the wizard would accept it, the time is within its validity, and a client would trust it at one of the servers at
    /// least.
    well: bool,
}

/// How a client judges the certificate at a server of its list.
#[derive(Debug, Serialize, JsonSchema)]
struct Believed {
    /// Address of the server.
    server: String,
    /// Why the client would not trust the certificate there; null if it would.
    rejection: Option<String>,
}

impl Check {
    pub(super) fn go(self) -> Result<Ending, Failure> {
        let brought = self.source.bring()?;
        let now = self.at.unwrap_or_else(|| LabClock::wall().now());
        let own = brought.certificates.first();
        let clients = match (&self.sylink, own) {
            (Some(file), Some(own)) => self.believed(file, own, now)?,
            _ => Vec::new(),
        };
        let in_time = own.map(|own| own.validity().covers(now));
        let taken = matches!(brought.identity, Some(Ok(_)));
        let believed = self.sylink.is_none() || clients.iter().any(|one| one.rejection.is_none());
        let well = taken && in_time == Some(true) && believed;
        let checked = CheckedCertificate { file: FileView::of(&brought), in_time, clients, well };
        if self.json {
            say_json(&checked)?;
        } else {
            let mut text = checked.file.text();
            if in_time == Some(false) {
                text.push_str(&format!("Validity: does not cover {now}\n"));
            }
            for Believed { server, rejection } in &checked.clients {
                let verdict = rejection.as_deref().unwrap_or("would trust it");
                text.push_str(&format!("Clients:  as {server}: {verdict}\n"));
            }
            say(&text);
        }
        Ok(if well { Ending::Well } else { Ending::NotWell })
    }

    /// Judges the certificate as a client with this communications file would, for each server of its list.
    fn believed(
        &self,
        file: &Path,
        own: &ServerCertificate,
        now: Timestamp,
    ) -> Result<Vec<Believed>, Failure> {
        let bad = |why: String| Failure::BadInput(format!("{}: {why}", file.display()));
        let conf = Sylink::parse_bytes(&read(file)?).map_err(|error| bad(error.to_string()))?.conf();
        // Unreadable certificates are left out: no manager can present them.
        let pins: Pins =
            conf.certificates.iter().filter_map(|one| ServerCertificate::from_der(&one.der).ok()).collect();
        let judged = conf.list.servers().map(|server| {
            let names = if server.verify_ca { NameRule::Checked } else { NameRule::Ignored };
            let beliefs = Beliefs { pins: pins.clone(), dates: DateRule::Checked, names };
            let rejection = judge(own, &beliefs, &server.address, now).err().map(|why| why.to_string());
            Believed { server: server.address.clone(), rejection }
        });
        let of_interest =
            judged.filter(|one| self.server.as_ref().is_none_or(|server| *server == one.server));
        let judged: Vec<Believed> = of_interest.collect();
        if judged.is_empty() {
            let known: Vec<String> = conf.list.servers().map(|server| server.address.clone()).collect();
            return Err(bad(format!("no such server in its list: {}", expected_one_of(&known))));
        }
        Ok(judged)
    }
}
