//! `epm-lab recovery`: what a recovery file holds, and a running lab's managers installed anew from it.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::lab::{Where, segment};
use crate::cli::io::{Ending, Failure, read, say, write_new};
use crate::runtime::install_dir::read_recovery;

/// What is done with recovery files.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  epm-lab recovery show 'sepm/Server Private Key Backup/recovery_2026-01-01-00-00-00.zip'
  epm-lab recovery save --out recovery.zip
  epm-lab recovery restore recovery_2026-01-01-00-00-00.zip
  epm-lab up --recovery recovery_2026-01-01-00-00-00.zip       on an empty manager

With the right file no client notices. With one of another site the shared secret is another (F15); without any, all is
new (F16); with that of another domain clients register nowhere (F17).")]
pub(super) enum Recovery {
    /// Show what a recovery file holds, without its secrets
    Show {
        /// The file
        file: PathBuf,
    },
    /// Save a recovery file of a running lab's manager as it is now
    Save(Save),
    /// Install the managers of a running lab anew from this file
    Restore(Restore),
}

/// Saves a recovery file.
#[derive(Debug, Args)]
pub(super) struct Save {
    #[command(flatten)]
    at: Where,
    /// The manager
    #[arg(long, default_value = "sepm-1", value_name = "NAME")]
    manager: String,
    /// The file, which must not be there yet
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
}

/// Installs the managers of a running lab anew.
#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    at: Where,
    /// The file
    file: PathBuf,
    /// The manager whose certificate it is
    #[arg(long, default_value = "sepm-1", value_name = "NAME")]
    manager: String,
    /// Restore the database too, so that the clients are still registered
    #[arg(long)]
    database: bool,
}

impl Recovery {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        match self {
            Self::Show { file } => show(&file),
            Self::Save(save) => save.go().await,
            Self::Restore(restore) => restore.go().await,
        }
    }
}

impl Save {
    async fn go(self) -> Result<Ending, Failure> {
        let path = format!("/v1/managers/{}/recovery", segment(&self.manager));
        write_new(&self.out, &self.at.control()?.bytes(&path).await?)?;
        show(&self.out)
    }
}

impl Restore {
    async fn go(self) -> Result<Ending, Failure> {
        let bytes = read(&self.file)?;
        // What is wrong with it is said with its name, and before anything is asked of the lab.
        let name = self.file.display().to_string();
        read_recovery(&name, &bytes).map_err(|error| Failure::BadInput(error.to_string()))?;
        let path = format!("/v1/managers/{}/restore?database={}", segment(&self.manager), self.database);
        let found = self.at.control()?.post_file(&path, bytes.into()).await?;
        if self.at.json {
            say(&format!("{found}\n"));
        } else {
            let word = |what: &str| found[what].as_str().unwrap_or_default().to_owned();
            say(&format!(
                "{} was installed anew: certificate {}, domain {}; {} clients are registered.\n",
                self.manager,
                word("fingerprint"),
                word("domain"),
                found["clients"]
            ));
        }
        Ok(Ending::Well)
    }
}

fn show(file: &Path) -> Result<Ending, Failure> {
    let name = file.display().to_string();
    let found = read_recovery(&name, &read(file)?).map_err(|error| Failure::BadInput(error.to_string()))?;
    let certificate = found.identity.certificate();
    let validity = certificate.validity();
    say(&format!(
        "{name}\n  files:               {}\n  certificate SHA-256: {}\n  valid:               {} to {}\n  \
         default domain id:   {}\n  encryption password: is there\n",
        found.files.join(", "),
        certificate.fingerprint(),
        validity.not_before,
        validity.not_after,
        found.settings.domain,
    ));
    Ok(Ending::Well)
}
