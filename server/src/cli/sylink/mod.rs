//! `epm-lab sylink`: shows, checks, compares, edits and deploys communications files.

mod against;
mod checks;
mod edit;
mod facts;
mod package;
mod read;
mod server;

use std::path::PathBuf;

use clap::Subcommand;

use crate::cli::io::{Ending, Failure, say, say_json};
use against::{Against, Standpoint};
pub(super) use checks::Checks;
use edit::Edit;
pub(super) use edit::Edited;
use facts::differences;
pub(super) use facts::{Difference, Facts};
pub(super) use package::Packed;
use package::{Deploy, Package};
use read::read;

/// Commands on communications files.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  epm-lab sylink show sylink.xml
  epm-lab sylink check sylink.xml
  epm-lab sylink check sylink.xml --against https://10.0.0.5:443
  epm-lab sylink diff before.xml after.xml
  epm-lab sylink edit sylink.xml --secure off --out new.xml
  epm-lab sylink edit sylink.xml --server 1=https://10.0.0.5:443 --out new.xml
  epm-lab sylink package --group 'My Company\\Default Group' -o package.zip
  epm-lab sylink deploy --group 'My Company\\Default Group'

The shared secret is shown as a hash, unless --show-secret is given.")]
pub(super) enum Files {
    /// Show the contents of a communications file
    #[command(after_help = "Example:\n  epm-lab sylink show sylink.xml --json")]
    Show {
        /// Communications file
        file: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        /// Show the shared secret too
        #[arg(long)]
        show_secret: bool,
    },
    /// Check communications files, on their own or against a manager
    #[command(
        after_help = "Examples:\n  epm-lab sylink check sylink.xml\n  epm-lab sylink check sylink.xml --against https://10.0.0.5:443\n\nA manager of the lab keeps nothing of the check; another one may keep a client registered, and the result says so.\n\nExit codes: 0 valid; 1 a value does not suit the manager; 2 invalid."
    )]
    Check {
        /// Communications files
        #[arg(required = true)]
        file: Vec<PathBuf>,
        /// Manager (https://HOST:PORT) to check the values against, in the documented order: domain, secret, mode,
        /// list, preferred group, address
        #[arg(long, value_name = "URL")]
        against: Option<String>,
        #[command(flatten)]
        from: Standpoint,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Compare two communications files; exit code 1 if they differ
    #[command(
        after_help = "Example:\n  epm-lab sylink diff before.xml after.xml\n\nExit codes: 0 they are equal; 1 they differ; 2 invalid input."
    )]
    Diff {
        /// First file
        before: PathBuf,
        /// Second file
        after: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Change values of a communications file, and write it to a new file
    Edit(Box<Edit>),
    /// Make a communication update package for a group of a running lab, which brings back orphaned clients
    Package(Package),
    /// Import a communication update package into the clients of a running lab that are switched on
    Deploy(Deploy),
}

impl Files {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        match self {
            Self::Show { file, json, show_secret } => {
                let sylink = read(&file)?;
                let facts = if show_secret { Facts::with_secret(&sylink) } else { Facts::of(&sylink) };
                if !json {
                    say(&facts.to_string());
                    return Ok(Ending::Well);
                }
                say_json(&facts)?;
            }
            Self::Check { file, against, from, json } => {
                let mut ending = Ending::Well;
                let mut checks = Vec::new();
                for one in &file {
                    let sylink = read(one)?;
                    let warnings: Vec<String> =
                        Facts::of(&sylink).doubts().iter().map(ToString::to_string).collect();
                    let mut check = Checks { file: one.display().to_string(), warnings, manager: None };
                    if !json {
                        say(&check.to_string());
                    }
                    if let Some(url) = &against {
                        let seen = against::against(&sylink, url, from).await?;
                        if seen.is_wrong() {
                            ending = Ending::NotWell;
                        }
                        if !json {
                            told(&seen);
                        }
                        check.manager = Some(seen.into());
                    }
                    checks.push(check);
                }
                if json {
                    say_json(&checks)?;
                }
                return Ok(ending);
            }
            Self::Diff { before, after, json } => {
                let found = differences(&Facts::of(&read(&before)?), &Facts::of(&read(&after)?));
                if json {
                    say_json(&found)?;
                    return Ok(if found.is_empty() { Ending::Well } else { Ending::NotWell });
                }
                if found.is_empty() {
                    say("The files are equal.\n");
                    return Ok(Ending::Well);
                }
                for one in found {
                    say(&format!("{one}\n"));
                }
                return Ok(Ending::NotWell);
            }
            Self::Edit(edit) => edit.go()?,
            Self::Package(package) => package.go().await?,
            Self::Deploy(deploy) => deploy.go().await?,
        }
        Ok(Ending::Well)
    }
}

/// Prints how a manager responds to a file.
fn told(seen: &Against) {
    say(&seen.found.to_string());
    for (value, why) in &seen.wrong {
        say(&format!("Wrong: {value}: {why}\n"));
    }
    if let Some(why) = &seen.manager {
        let lead = if seen.wrong.is_empty() {
            "The file is not at fault: the"
        } else {
            "Whatever the file says, the"
        };
        say(&format!("{lead} manager does not serve: {why}\n"));
    }
    if !seen.unknown.is_empty() {
        let names: Vec<String> = seen.unknown.iter().map(ToString::to_string).collect();
        say(&format!("Not checked until that is corrected: {}.\n", names.join(", ")));
    }
}
