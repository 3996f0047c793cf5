//! `epm-lab recovery`: shows recovery files, and reinstalls the managers of a running lab from one.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use epm_protocol::plural::either;
use schemars::JsonSchema;
use serde::Serialize;

use super::lab::{Where, segment};
use super::print;
use crate::cli::io::{Ending, Failure, read, say, say_json};
use crate::cli::out::OutFile;
use crate::control_api::extract::Zip;
use crate::runtime::install_dir::read_recovery;

/// Commands on recovery files.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  epm-lab recovery show recovery_2026-01-01-00-00-00.zip
  epm-lab recovery save --out recovery.zip
  epm-lab recovery restore recovery_2026-01-01-00-00-00.zip
  epm-lab up --recovery recovery_2026-01-01-00-00-00.zip

Clients do not notice a restore from the manager's own file. A file of another
site brings another shared secret (F15); without any file, certificate and
secret are new (F16); with a file of another domain, clients cannot register
(F17).")]
pub(super) enum Recovery {
    /// Show what a recovery file holds, without its secrets
    #[command(
        after_help = "Examples:\n  epm-lab recovery show recovery.zip\n  epm-lab recovery show recovery.zip --json"
    )]
    Show {
        /// Recovery file
        file: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Save a recovery file of a manager in a running lab
    Save(Save),
    /// Reinstall the managers of a running lab from a recovery file
    Restore(Restore),
}

/// Saves a recovery file of a manager's current state.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  epm-lab recovery save --manager sepm-2 --out recovery.zip")]
pub(super) struct Save {
    #[command(flatten)]
    at: Where,
    /// Name of the manager
    #[arg(long, default_value = "sepm-1", value_name = "NAME")]
    manager: String,
    /// File to create
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
}

/// Reinstalls the managers of a running lab.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  epm-lab recovery restore recovery.zip --manager sepm-2 --database\n\nExit codes: 0 success; 1 it failed, or a service is down; 2 invalid input, or refused by the lab."
)]
pub(super) struct Restore {
    #[command(flatten)]
    at: Where,
    /// Recovery file
    file: PathBuf,
    /// Manager that gets the certificate
    #[arg(long, default_value = "sepm-1", value_name = "NAME")]
    manager: String,
    /// Restore the database too, so that clients remain registered
    #[arg(long)]
    database: bool,
}

impl Recovery {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        match self {
            Self::Show { file, json } => show(&file, json),
            Self::Save(save) => save.go().await,
            Self::Restore(restore) => restore.go().await,
        }
    }
}

impl Save {
    async fn go(self) -> Result<Ending, Failure> {
        let path = format!("/v1/managers/{}/recovery", segment(&self.manager));
        let out = OutFile::secret(&self.out, self.force)?;
        out.write(&self.at.control()?.file::<Zip>(&path).await?)?;
        show(&self.out, self.at.json)
    }
}

impl Restore {
    async fn go(self) -> Result<Ending, Failure> {
        let bytes = read(&self.file)?;
        // Checked locally first, so that an error names the file and the lab is left alone.
        let name = self.file.display().to_string();
        read_recovery(&name, &bytes).map_err(|error| Failure::BadInput(error.to_string()))?;
        let path = format!("/v1/managers/{}/restore?database={}", segment(&self.manager), self.database);
        let control = self.at.control()?;
        let found = control.post_file(&path, bytes.into()).await?;
        let down = print::services_down(&control.get("/v1/health").await?["service_errors"]);
        if self.at.json {
            say_json(&found)?;
        } else {
            let word = |what: &str| found[what].as_str().unwrap_or_default().to_owned();
            say(&format!(
                "{} was reinstalled: certificate {}, domain {}; {} registered.\n",
                self.manager,
                word("fingerprint"),
                word("domain"),
                either(&found["clients"], "client is", "clients are")
            ));
        }
        if !down.is_empty() {
            return Err(Failure::Failed(format!("not healthy after that: {}", down.join("; "))));
        }
        Ok(Ending::Well)
    }
}

/// What a recovery file holds, without its secrets.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RecoveryFacts {
    /// Name of the recovery file.
    file: String,
    /// Names of the files in it.
    files: Vec<String>,
    /// SHA-256 of the manager's certificate.
    fingerprint: String,
    /// Time from which the certificate is valid.
    valid_from: String,
    /// Time until which the certificate is valid.
    valid_until: String,
    /// Identifier of the default domain.
    domain: String,
}

fn show(file: &Path, json: bool) -> Result<Ending, Failure> {
    let name = file.display().to_string();
    let found = read_recovery(&name, &read(file)?).map_err(|error| Failure::BadInput(error.to_string()))?;
    let certificate = found.identity.certificate();
    let validity = certificate.validity();
    let facts = RecoveryFacts {
        file: name,
        fingerprint: certificate.fingerprint().to_string(),
        valid_from: validity.not_before.to_string(),
        valid_until: validity.not_after.to_string(),
        domain: found.settings.domain.to_string(),
        files: found.files,
    };
    if json {
        say_json(&facts)?;
        return Ok(Ending::Well);
    }
    say(&format!(
        "{}\n  files:               {}\n  certificate SHA-256: {}\n  valid:               {} to {}\n  \
         default domain id:   {}\n  encryption password: present\n",
        facts.file,
        facts.files.join(", "),
        facts.fingerprint,
        facts.valid_from,
        facts.valid_until,
        facts.domain,
    ));
    Ok(Ending::Well)
}
