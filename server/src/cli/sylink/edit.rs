//! `epm-lab sylink edit`: changes the requested values and nothing else.

use std::path::{Path, PathBuf};

use clap::Args;
use epm_client_agent::program::read_file;
use epm_protocol::excerpt::expected_one_of;
use epm_protocol::sylink::{CommunicationMode, NamedCertificate, Sylink};
use epm_protocol::trust::read_certificates;
use schemars::JsonSchema;
use serde::Serialize;

use super::facts::{Difference, Facts, differences};
use super::read::{read, switch};
use super::server::{Placed, list, placed};
use crate::cli::io::{Failure, say_json};
use crate::cli::out::OutFile;

/// Edits a communications file.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  epm-lab sylink edit sylink.xml --secure off --out new.xml\n  epm-lab sylink edit sylink.xml --heartbeat 60 --out new.xml --json"
)]
pub(crate) struct Edit {
    /// Communications file to edit; it is not changed
    file: PathBuf,
    /// New file in the same encoding
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
    /// Whether clients verify signatures
    #[arg(long, value_name = "on|off", value_parser = switch)]
    secure: Option<bool>,
    /// Whether clients check the server's name against its certificate
    #[arg(long, value_name = "on|off", value_parser = switch)]
    verify_ca: Option<bool>,
    /// Communication mode
    #[arg(long, value_name = "push|pull", value_parser = mode)]
    mode: Option<CommunicationMode>,
    /// Heartbeat interval in seconds, for both modes
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    heartbeat: Option<u32>,
    /// Preferred group of the client
    #[arg(long, value_name = "PATH")]
    group: Option<String>,
    /// Identifier of the domain: 32 hexadecimal digits
    #[arg(long, value_name = "ID")]
    domain: Option<String>,
    /// File with the shared secret: 32 hexadecimal digits, or another communications file
    #[arg(long, value_name = "FILE")]
    kcs_file: Option<PathBuf>,
    /// Name of the management server list
    #[arg(long, value_name = "NAME")]
    list: Option<String>,
    /// Server of the list, with its priority from 1; the servers given replace all others; repeatable
    #[arg(long, value_name = "[PRIORITY=]URL", value_parser = placed)]
    server: Vec<Placed>,
    /// Certificate (PEM or DER) to trust; replaces one with the same name; repeatable
    #[arg(long, value_name = "NAME=FILE")]
    certificate: Vec<String>,
    /// Name of a certificate to remove; repeatable
    #[arg(long, value_name = "NAME")]
    without_certificate: Vec<String>,
    /// Print JSON: the new file, and what was changed
    #[arg(long)]
    json: bool,
}

/// An edited communications file.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Edited {
    /// Name of the new file.
    file: String,
    /// The values that were changed.
    changed: Vec<Difference>,
}

impl Edit {
    pub(super) fn go(&self) -> Result<(), Failure> {
        let mut sylink = read(&self.file)?;
        let before = Facts::of(&sylink);
        let out = OutFile::secret(&self.out, self.force)?;
        let mut conf = sylink.conf();
        if let Some(mode) = self.mode {
            conf.settings.mode = mode;
        }
        if let Some(seconds) = self.heartbeat {
            conf.settings.push_heartbeat_seconds = seconds;
            conf.settings.pull_heartbeat_seconds = seconds;
        }
        if let Some(file) = &self.kcs_file {
            conf.settings.kcs_hex = secret(file)?;
        }
        if let Some(list) = &self.list {
            conf.list.name.clone_from(list);
        }
        if !self.server.is_empty() {
            conf.list.priorities = list(&self.server, &conf.list.priorities);
        }
        for server in conf.list.priorities.iter_mut().flatten() {
            server.verify_signatures = self.secure.unwrap_or(server.verify_signatures);
            server.verify_ca = self.verify_ca.unwrap_or(server.verify_ca);
        }
        for name in &self.without_certificate {
            let before = conf.certificates.len();
            conf.certificates.retain(|one| one.name != *name);
            if conf.certificates.len() == before {
                let names: Vec<String> = conf.certificates.iter().map(|one| one.name.clone()).collect();
                return Err(Failure::BadInput(format!(
                    "{}: there is no certificate {name:?}: {}",
                    self.file.display(),
                    expected_one_of(&names)
                )));
            }
        }
        for given in &self.certificate {
            let certificate = certificate(given)?;
            match conf.certificates.iter_mut().find(|one| one.name == certificate.name) {
                Some(known) => *known = certificate,
                None => conf.certificates.push(certificate),
            }
        }
        sylink.adopt(&conf);
        if let Some(domain) = &self.domain {
            let read = domain.parse();
            sylink.set_domain_id(read.map_err(|_| {
                Failure::BadInput(format!("--domain: expected 32 hexadecimal digits, found {domain:?}"))
            })?);
        }
        if let Some(group) = &self.group {
            sylink.set_preferred_group(group);
        }
        // Caught here, since XML errors would otherwise only surface in the client.
        let bytes = sylink.to_bytes();
        let again = Sylink::parse_bytes(&bytes)
            .map_err(|error| Failure::BadInput(format!("the edited file would be invalid: {error}")))?;
        let wanted = self.group.clone().filter(|group| !group.is_empty());
        if again.conf() != conf || (self.group.is_some() && again.preferred_group() != wanted) {
            return Err(Failure::BadInput(
                "the edited file would be invalid: a value has a character that XML does not allow"
                    .to_owned(),
            ));
        }
        out.write(&bytes)?;
        if self.json {
            let changed = differences(&before, &Facts::of(&again));
            say_json(&Edited { file: self.out.display().to_string(), changed })?;
        }
        Ok(())
    }
}

/// The secret in a file that contains nothing else, or in a communications file.
fn secret(file: &Path) -> Result<String, Failure> {
    let bad = |what: &dyn std::fmt::Display| Failure::BadInput(format!("{}: {what}", file.display()));
    let bytes = zeroize::Zeroizing::new(read_file(file).map_err(|error| bad(&error))?);
    if let Ok(sylink) = Sylink::parse_bytes(&bytes) {
        return Ok(sylink.kcs_hex().to_owned());
    }
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad(&"expected 32 hexadecimal digits, or a communications file"));
    }
    Ok(text.to_owned())
}

/// The first certificate of a file, with a name.
fn certificate(given: &str) -> Result<NamedCertificate, Failure> {
    let (name, file) = given
        .split_once('=')
        .filter(|(name, file)| !name.is_empty() && !file.is_empty())
        .ok_or_else(|| Failure::BadInput(format!("--certificate: expected NAME=FILE, found {given:?}")))?;
    let bytes = read_file(Path::new(file))
        .map_err(|error| Failure::BadInput(format!("cannot read {file}: {error}")))?;
    let found = read_certificates(&bytes, file).map_err(|error| Failure::BadInput(error.to_string()))?;
    let first = found.first().ok_or_else(|| Failure::BadInput(format!("{file}: no certificate found")))?;
    Ok(NamedCertificate { name: name.to_owned(), der: first.der().to_vec().into() })
}

fn mode(text: &str) -> Result<CommunicationMode, String> {
    match text.to_ascii_lowercase().as_str() {
        "push" => Ok(CommunicationMode::Push),
        "pull" => Ok(CommunicationMode::Pull),
        _ => Err("expected push or pull".to_owned()),
    }
}
