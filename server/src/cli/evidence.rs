//! `epm-lab evidence`: what a running lab knows as one file, and a lab again from such a file.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use super::lab::Where;
use super::out::OutFile;
use crate::cli::io::{Ending, Failure, say, say_json};
use crate::control_api::extract::Zip;
use crate::lab_export::{ExportError, import};

/// Writes what a running lab knows into one file, for those who do not have the lab at hand.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  epm-lab evidence red.zip
  epm-lab evidence red.zip --no-capture
  epm-lab evidence open red.zip

evidence.html in the file says what happened, and opens in a browser. Beside it are
the verdict, expectations, journal, HTTP archive, logs of the clients concerned,
certificates, assumptions, the capture of `up --pcap`, and the lab itself, if it has
a data folder.

Exit codes: 0 success; 1 it failed; 2 invalid input."
)]
pub(super) struct EvidenceVerb {
    #[command(subcommand)]
    open: Option<Open>,
    #[command(flatten)]
    at: Where,
    /// File to create
    #[arg(required = true)]
    file: Option<PathBuf>,
    /// Leave the capture of `up --pcap` out: its session secrets decrypt passwords and tokens that tools have sent
    #[arg(long)]
    no_capture: bool,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Subcommand)]
enum Open {
    /// Make a data folder from the lab in the file, and bring it up until Ctrl-C
    #[command(after_help = "\
Examples:
  epm-lab evidence open red.zip
  epm-lab evidence open red.zip red-data -- --control-port 0

Exit codes: 0 stopped by Ctrl-C or SIGTERM; 1 it failed while it ran; 2 invalid
input, or a port is in use.")]
    Open {
        /// File of `epm-lab evidence`
        file: PathBuf,
        /// Data folder to create; defaults to the name of the file with -data at its end
        folder: Option<PathBuf>,
        /// Options of `epm-lab up`, after --
        #[arg(last = true, value_name = "OPTIONS")]
        up: Vec<String>,
    },
}

/// A file of evidence; `evidence.json` and `verdict.json` in it are for programs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EvidenceFile {
    /// Name of the file.
    file: String,
    /// Size of the file in bytes.
    bytes: usize,
}

impl EvidenceVerb {
    /// The arguments that bring up the lab of a file, whose data folder is made first; none if a file is to be written.
    pub(super) fn opened(&mut self) -> Result<Option<Vec<String>>, Failure> {
        self.open.take().map(|Open::Open { file, folder, up }| open(&file, folder, up)).transpose()
    }

    /// Writes the file.
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        let Some(file) = self.file else {
            return Err(Failure::BadInput("expected the file to create, such as red.zip".to_owned()));
        };
        let out = OutFile::secret(&file, self.force)?;
        let path = if self.no_capture { "/v1/evidence?capture=false" } else { "/v1/evidence" };
        let content = self.at.control()?.file::<Zip>(path).await?;
        out.write(&content)?;
        if self.at.json {
            say_json(&EvidenceFile { file: file.display().to_string(), bytes: content.len() })?;
            return Ok(Ending::Well);
        }
        say(&format!("{}: unpack it and open evidence.html\n", file.display()));
        Ok(Ending::Well)
    }
}

/// Makes the data folder, and returns the arguments that bring it up.
fn open(file: &Path, folder: Option<PathBuf>, up: Vec<String>) -> Result<Vec<String>, Failure> {
    let folder = folder.unwrap_or_else(|| {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        file.with_file_name(format!("{stem}-data"))
    });
    import(file, &folder).map_err(|error| match error {
        ExportError::Unusable { file, why } if why.contains("lab.json") => Failure::BadInput(format!(
            "{}: {why}; evidence has the lab itself only if the lab was started with `epm-lab up --data FOLDER`, and the folder could be written. evidence.json in it has \
             the command that starts the same lab again, as `repeat`",
            file.display()
        )),
        error => Failure::BadInput(error.to_string()),
    })?;
    let folder = folder.display().to_string();
    Ok(["epm-lab", "up", "--data", &folder].map(str::to_owned).into_iter().chain(up).collect())
}
