//! `epm-lab sylink`: a communications file, shown, checked, compared and edited.

mod against;
mod facts;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use epm_protocol::sylink::{CommunicationMode, Sylink};

use super::{Ending, Failure, say};
use facts::{Facts, differences};

/// What can be done with a communications file.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  epm-lab sylink show sylink.xml                            whom it names, whose certificates it believes
  epm-lab sylink check sylink.xml                           is it sound? if not, where
  epm-lab sylink diff before.xml after.xml                  in words
  epm-lab sylink edit sylink.xml --secure off --out new.xml

The shared secret is never shown, but by a hash of it.")]
pub(super) enum Files {
    /// Show what it says
    Show {
        /// The file
        file: PathBuf,
        /// As one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Say whether it is sound, or where it is not; exit code 0 or 2
    Check {
        /// The files
        #[arg(required = true)]
        file: Vec<PathBuf>,
        /// A manager, https://HOST:PORT, that a client with this file would talk to: which value is wrong? Exit code 1
        /// if one is
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
}

/// Changes a communications file.
#[derive(Debug, Args)]
pub(super) struct Edit {
    /// The file; it stays as it is
    file: PathBuf,
    /// The new file, which must not be there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Whether signatures are verified
    #[arg(long, value_name = "on|off", value_parser = switch)]
    secure: Option<bool>,
    /// The communication mode
    #[arg(long, value_name = "push|pull", value_parser = mode)]
    mode: Option<CommunicationMode>,
    /// The group that the client wants to be in
    #[arg(long, value_name = "PATH")]
    group: Option<String>,
    /// The name of the management server list
    #[arg(long, value_name = "NAME")]
    list: Option<String>,
}

impl Files {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        match self {
            Self::Show { file, json: false } => say(&Facts::of(&read(&file)?).to_string()),
            Self::Show { file, json: true } => {
                let text = serde_json::to_string_pretty(&Facts::of(&read(&file)?));
                say(&format!("{}\n", text.map_err(|error| Failure::Failed(error.to_string()))?));
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
                    let (found, wrong) = against::against(&sylink, url).await?;
                    say(&found.to_string());
                    if let Some(wrong) = wrong {
                        say(&format!("What is wrong: {wrong}\n"));
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
        }
        Ok(Ending::Well)
    }
}

impl Edit {
    fn go(&self) -> Result<(), Failure> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let mut sylink = read(&self.file)?;
        let mut conf = sylink.conf();
        if let Some(mode) = self.mode {
            conf.settings.mode = mode;
        }
        if let Some(list) = &self.list {
            conf.list.name.clone_from(list);
        }
        sylink.adopt(&conf);
        if let Some(on) = self.secure {
            sylink.set_verify_signatures(on);
        }
        if let Some(group) = &self.group {
            sylink.set_preferred_group(group);
        }
        // It holds the site's secret, so nobody else may read it.
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.out);
        file.and_then(|mut file| file.write_all(sylink.to_xml().as_bytes()))
            .map_err(|error| Failure::BadInput(format!("cannot write {}: {error}", self.out.display())))
    }
}

fn read(path: &Path) -> Result<Sylink, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::BadInput(format!("cannot read {}: {error}", path.display())))?;
    Sylink::parse_bytes(&bytes).map_err(|error| Failure::BadInput(format!("{}: {error}", path.display())))
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

fn mode(text: &str) -> Result<CommunicationMode, String> {
    match text.to_ascii_lowercase().as_str() {
        "push" => Ok(CommunicationMode::Push),
        "pull" => Ok(CommunicationMode::Pull),
        _ => Err("expected push or pull".to_owned()),
    }
}
