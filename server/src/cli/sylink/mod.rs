//! `epm-lab sylink`: a communications file, shown, checked, compared, edited, and handed out.

mod against;
mod edit;
mod facts;
mod package;
mod read;
mod server;

use std::path::PathBuf;

use clap::Subcommand;

use crate::cli::io::{Ending, Failure, say, say_json};
use against::Against;
use edit::Edit;
use facts::{Facts, differences};
use package::{Deploy, Package};
use read::read;

/// What can be done with a communications file.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  epm-lab sylink show sylink.xml                            whom it names, whose certificates it believes
  epm-lab sylink check sylink.xml                           is it sound? if not, where
  epm-lab sylink check sylink.xml --against https://10.0.0.5:443
  epm-lab sylink diff before.xml after.xml                  in words
  epm-lab sylink edit sylink.xml --secure off --out new.xml
  epm-lab sylink edit sylink.xml --server 1=https://10.0.0.5:443 --server 2=http://10.0.0.6:8014 --out new.xml
  epm-lab sylink package --group 'My Company\\Default Group' -o package.zip   for epm-agent import
  epm-lab sylink deploy --group 'My Company\\Default Group'                   to the lab's own clients

The shared secret is shown by a hash of it, unless --show-secret asks for it.")]
pub(super) enum Files {
    /// Show what it says
    Show {
        /// The file
        file: PathBuf,
        /// As one JSON document
        #[arg(long)]
        json: bool,
        /// Show the shared secret too
        #[arg(long)]
        show_secret: bool,
    },
    /// Say whether it is sound, or where it is not; exit code 0 or 2
    Check {
        /// The files
        #[arg(required = true)]
        file: Vec<PathBuf>,
        /// A manager, https://HOST:PORT, that a client with this file would talk to: which values are wrong? In the
        /// documented order: domain, secret, mode, list, preferred group, address. Exit code 1 if any is
        #[arg(long, value_name = "URL")]
        against: Option<String>,
    },
    /// Say in words what is different; exit code 0 if nothing is, 1 if something is
    Diff {
        /// The one
        before: PathBuf,
        /// The other
        after: PathBuf,
    },
    /// Change what is said, and nothing else, into a new file
    Edit(Box<Edit>),
    /// Make a communication update package of a running lab's group: the cure for clients that have lost their manager
    Package(Package),
    /// Bring a communication update package to the clients in a running lab's process that are on
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
            Self::Check { file, against } => {
                let mut ending = Ending::Well;
                for one in &file {
                    let sylink = read(one)?;
                    let facts = Facts::of(&sylink);
                    say(&format!("{}: sound\n", one.display()));
                    for doubt in facts.doubts() {
                        say(&format!("  but {doubt}\n"));
                    }
                    let Some(url) = &against else { continue };
                    if told(&against::against(&sylink, url).await?) {
                        ending = Ending::NotWell;
                    }
                }
                return Ok(ending);
            }
            Self::Diff { before, after } => {
                let found = differences(&Facts::of(&read(&before)?), &Facts::of(&read(&after)?));
                if found.is_empty() {
                    say("They say the same.\n");
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

/// Says what a manager makes of a file; whether anything is wrong.
fn told(seen: &Against) -> bool {
    say(&seen.found.to_string());
    for (value, why) in &seen.wrong {
        say(&format!("What is wrong: {value}: {why}\n"));
    }
    if let Some(why) = &seen.manager {
        say(&format!("What is wrong: nothing in the file: the manager itself does not serve: {why}\n"));
    }
    if !seen.unknown.is_empty() {
        let names: Vec<String> = seen.unknown.iter().map(ToString::to_string).collect();
        say(&format!("Nothing can be told before that is right of {}.\n", names.join(", ")));
    }
    !seen.wrong.is_empty() || seen.manager.is_some()
}
