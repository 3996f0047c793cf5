//! `epm-lab recovery`: what a recovery file holds.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Ending, Failure, say};
use crate::installation::read_recovery;

/// What is done with recovery files.
#[derive(Debug, Subcommand)]
pub(super) enum Recovery {
    /// Show what a recovery file holds, without its secrets
    Show {
        /// The file
        file: PathBuf,
    },
}

impl Recovery {
    pub(super) fn go(self) -> Result<Ending, Failure> {
        let Self::Show { file } = self;
        let name = file.display().to_string();
        let bytes = std::fs::read(&file)
            .map_err(|error| Failure::BadInput(format!("cannot read {name}: {error}")))?;
        let found = read_recovery(&name, &bytes).map_err(|error| Failure::BadInput(error.to_string()))?;
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
}
