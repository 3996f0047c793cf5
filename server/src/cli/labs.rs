//! `epm-lab lab`: the labs that are kept in data folders, and whole labs as files.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use epm_protocol::plural::counted;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::io::{Ending, Failure, notice, say, say_json, warning};
use crate::cli::out::{OutFile, refuse_foreign};
use crate::cli::table::Table;
use crate::lab::kept_clock;
use crate::lab_export::{ExportError, Manifest, export, import};
use crate::runtime::replayed::founded_in;
use crate::store::{FILES, SqliteStore, hold, is_held};

/// Commands on labs that are kept in data folders.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  epm-lab lab ls
  epm-lab lab export lab-data failure.zip
  epm-lab lab import failure.zip lab-copy
  epm-lab up --data lab-copy

An exported lab goes on elsewhere as it was, with the same clients, faults and
findings. Private keys that it has not made itself are replaced; those that it
has made, and its shared secret, are in the file.")]
pub(super) enum Labs {
    /// List the labs in data folders, with their sizes
    #[command(after_help = "Examples:\n  epm-lab lab ls\n  epm-lab lab ls labs/ --json")]
    Ls {
        /// Data folders, or folders that have some
        #[arg(default_value = ".", value_name = "FOLDER")]
        folders: Vec<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a data folder, with everything that the lab in it knew
    #[command(after_help = "Example:\n  epm-lab lab rm lab-data")]
    Rm {
        /// Data folder
        folder: PathBuf,
        /// Print one JSON document: the lab as it was
        #[arg(long)]
        json: bool,
    },
    /// Write a whole lab into one file, to be handed on; the lab may be running
    #[command(after_help = "\
Example:
  epm-lab lab export lab-data failure.zip

What has happened in the last five seconds in a running lab can be missing, and
in the last twenty in its journal.
Exit codes: 0 success; 1 it failed; 2 the folder has no lab.")]
    Export {
        /// Data folder
        folder: PathBuf,
        /// File to create
        file: PathBuf,
        /// Overwrite an existing file
        #[arg(long)]
        force: bool,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Make a data folder from the file of an exported lab
    #[command(after_help = "\
Example:
  epm-lab lab import failure.zip lab-copy

Exit codes: 0 success; 1 it failed; 2 the file cannot be used.")]
    Import {
        /// File of an exported lab
        file: PathBuf,
        /// Data folder to create
        folder: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

/// A lab in a data folder.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LabFacts {
    /// The data folder.
    folder: String,
    /// Name of the site; absent if no start of the lab was completed.
    site: Option<String>,
    /// Lab time of the founding.
    founded: Option<String>,
    /// Seed of the lab.
    seed: Option<u64>,
    /// Names of the managers.
    managers: Vec<String>,
    /// Number of registered clients.
    clients: u64,
    /// Number of changes of the site.
    changes: u64,
    /// Size of the folder's files in bytes.
    bytes: u64,
    /// When the lab was written last, by the clock of the machine.
    written: Option<String>,
    /// Whether a lab is running in the folder.
    running: bool,
    /// Why the folder cannot be read, if it cannot.
    error: Option<String>,
}

impl Labs {
    pub(super) fn go(self) -> Result<Ending, Failure> {
        match self {
            Self::Ls { folders, json } => list(&folders, json),
            Self::Rm { folder, json } => remove(&folder, json),
            Self::Export { folder, file, force, json } => hand_on(&folder, &file, force, json),
            Self::Import { file, folder, json } => {
                let manifest = import(&file, &folder).map_err(|error| failure(&error))?;
                said(
                    &manifest,
                    json,
                    &format!(
                        "Imported into {}: `epm-lab up --data {0}` goes on with it.\n",
                        folder.display()
                    ),
                )
            }
        }
    }
}

fn failure(error: &ExportError) -> Failure {
    match error {
        ExportError::StandIn { .. } => Failure::Failed(error.to_string()),
        _ => Failure::BadInput(error.to_string()),
    }
}

fn list(folders: &[PathBuf], json: bool) -> Result<Ending, Failure> {
    let mut found = Vec::new();
    for folder in folders {
        if is_data(folder) {
            found.push(folder.clone());
            continue;
        }
        let unreadable = |error| Failure::BadInput(format!("cannot read {}: {error}", folder.display()));
        let entries = fs::read_dir(folder).map_err(unreadable)?;
        let mut inner: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_data(path)).collect();
        if folder == Path::new(".") {
            inner = inner.iter().filter_map(|path| Some(path.file_name()?.into())).collect();
        }
        inner.sort();
        found.extend(inner);
    }
    let labs: Vec<LabFacts> = found.iter().map(|folder| facts(folder)).collect();
    if json {
        say_json(&labs)?;
        return Ok(Ending::Well);
    }
    if labs.is_empty() {
        notice("No lab is kept here; `epm-lab up --data FOLDER` makes one.\n");
        return Ok(Ending::Well);
    }
    let mut table =
        Table::new(&["folder", "site", "managers", "clients", "changes", "size", "last written", "state"]);
    for lab in labs {
        let state = match (&lab.error, lab.running, &lab.site) {
            (Some(error), ..) => error.clone(),
            (None, true, _) => "running".to_owned(),
            (None, false, None) => "its first start was not completed".to_owned(),
            (None, false, Some(_)) => "stopped".to_owned(),
        };
        table.add_row([
            lab.folder,
            lab.site.unwrap_or_else(|| "-".to_owned()),
            lab.managers.len().to_string(),
            lab.clients.to_string(),
            lab.changes.to_string(),
            size(lab.bytes),
            lab.written.unwrap_or_else(|| "-".to_owned()),
            state,
        ]);
    }
    say(&format!("{table}\n"));
    Ok(Ending::Well)
}

fn is_data(folder: &Path) -> bool {
    folder.join(FILES[0]).is_file()
}

fn facts(folder: &Path) -> LabFacts {
    let size = |name: &&str| fs::metadata(folder.join(name)).map_or(0, |file| file.len());
    let mut facts = LabFacts {
        folder: folder.display().to_string(),
        site: None,
        founded: None,
        seed: None,
        managers: Vec::new(),
        clients: 0,
        changes: 0,
        bytes: FILES.iter().map(size).sum(),
        written: None,
        running: false,
        error: None,
    };
    let read = |facts: &mut LabFacts| {
        facts.running = is_held(folder)?;
        let store = SqliteStore::look(folder)?;
        (facts.changes, facts.clients) = store.counts()?;
        facts.written = kept_clock(&store)?.map(|clock| clock.written().to_string());
        if let Some(founded) = founded_in(&store)? {
            facts.managers = founded.managers.iter().map(|one| one.name.clone()).collect();
            (facts.site, facts.founded) = (Some(founded.name), Some(founded.at.to_string()));
            facts.seed = Some(founded.seed);
        }
        Ok::<_, crate::StoreError>(())
    };
    let error = read(&mut facts).err();
    facts.error = error.map(|error| error.to_string());
    facts
}

/// A size for people.
fn size(bytes: u64) -> String {
    if bytes < 1_000_000 {
        format!("{} kB", bytes.div_ceil(1000))
    } else {
        format!("{} MB", bytes.div_ceil(1_000_000))
    }
}

fn remove(folder: &Path, json: bool) -> Result<Ending, Failure> {
    if !is_data(folder) {
        return Err(Failure::BadInput(format!("{} is no data folder of a lab", folder.display())));
    }
    refuse_foreign(folder, |name| FILES.contains(&name))?;
    let bad = |error: crate::StoreError| Failure::BadInput(error.to_string());
    // A database of another program, or none at all, is not removed.
    SqliteStore::look(folder).map_err(bad)?;
    let _lock = hold(folder).map_err(bad)?;
    let facts = facts(folder);
    let failed = |error| Failure::Failed(format!("cannot remove {}: {error}", folder.display()));
    fs::remove_dir_all(folder).map_err(failed)?;
    if json {
        say_json(&facts)?;
        return Ok(Ending::Well);
    }
    say(&format!(
        "{} is removed: {}, {}, {}.\n",
        folder.display(),
        counted(facts.changes, "change"),
        counted(facts.clients, "registered client"),
        size(facts.bytes)
    ));
    Ok(Ending::Well)
}

/// A folder for work in progress, which is removed at the end.
struct Work(PathBuf);

impl Work {
    fn beside(file: &Path) -> Result<Self, Failure> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let folder = file.with_file_name(format!(".{name}.{}.work", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| Failure::BadInput(format!("cannot make {}: {error}", folder.display())))?;
        Ok(Self(folder))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn hand_on(folder: &Path, file: &Path, force: bool, json: bool) -> Result<Ending, Failure> {
    if !is_data(folder) {
        return Err(Failure::BadInput(format!(
            "{} is no data folder of a lab; `epm-lab up --data FOLDER` makes one",
            folder.display()
        )));
    }
    OutFile::secret(file, force)?;
    let work = Work::beside(file)?;
    let made = work.0.join("lab.zip");
    let failed = |error| Failure::Failed(format!("cannot write {}: {error}", file.display()));
    let open = OpenOptions::new().create_new(true).read(true).write(true).mode(0o600).open(&made);
    let mut out: File = open.map_err(failed)?;
    let manifest = export(folder, &work.0, &mut out).map_err(|error| failure(&error))?;
    out.sync_all().and_then(|()| fs::rename(&made, file)).map_err(failed)?;
    if !manifest.replaced.is_empty() {
        warning(
            "certificates with private keys that the lab has not made were replaced; README.txt in the file names them",
        );
    }
    said(
        &manifest,
        json,
        &format!("Exported to {}; it has the private keys that the lab has made.\n", file.display()),
    )
}

fn said(manifest: &Manifest, json: bool, what: &str) -> Result<Ending, Failure> {
    if json {
        say_json(manifest)?;
        return Ok(Ending::Well);
    }
    let mut text = format!(
        "{:?}, founded at {}: {}, {}.\n",
        manifest.site,
        manifest.founded,
        counted(manifest.changes, "change"),
        counted(manifest.clients, "registered client")
    );
    for one in &manifest.replaced {
        let note = if one.is_signed { "" } else { ", which is not signed" };
        text += &format!("  {:?} {}: replaced by {}{note}\n", one.certificate, one.original, one.stand_in);
    }
    say(&format!("{text}{what}"));
    Ok(Ending::Well)
}
