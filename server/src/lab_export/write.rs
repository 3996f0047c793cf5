//! Makes the file of an exported lab from its data folder, also while the lab runs.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use super::archive::{DATABASE, pack};
use super::error::ExportError;
use super::foreign;
use super::manifest::Manifest;
use crate::runtime::replayed::{founded_in, replayed};
use crate::store::{Batch, FoundedWith, Kind, SqliteStore, Store as _};

/// The manifest in the file.
pub(super) const MANIFEST: &str = "lab.json";
/// Columns of the table of changes.
const COMMANDS: &[&str] = &["sequence", "at", "given_by", "command", "arguments"];
/// Columns of the table of registered clients.
const CLIENTS: &[&str] =
    &["computer", "agent", "group_id", "hardware_key", "manager", "serial", "since", "last_seen"];

/// A lab that is ready to be written, in a folder for work in progress.
pub(crate) struct Prepared {
    manifest: Manifest,
    texts: Vec<(String, String)>,
    database: PathBuf,
    /// What stands in for each text that has something foreign.
    foreign: Vec<(String, String)>,
}

/// Writes the lab of a data folder to `out`; `work` is an empty folder of this process's own on the same machine.
///
/// # Errors
///
/// When the folder has no lab that can be used, or a file cannot be written.
pub(crate) fn export(folder: &Path, work: &Path, out: &mut File) -> Result<Manifest, ExportError> {
    let prepared = Prepared::of(folder, work)?;
    let written = prepared.write("lab", &[], out);
    written.map_err(|source| ExportError::File { file: prepared.database, source })?;
    Ok(prepared.manifest)
}

impl Prepared {
    /// Prepares the lab of a data folder; `work` is an empty folder of this process's own on the same machine.
    ///
    /// # Errors
    ///
    /// When the folder has no lab that can be used, or a file cannot be written.
    pub(crate) fn of(folder: &Path, work: &Path) -> Result<Self, ExportError> {
        let original = SqliteStore::look(folder)?;
        if founded_in(&original)?.is_none() {
            return Err(ExportError::NoLab { folder: folder.to_owned() });
        }
        original.copy_into(&work.join(DATABASE))?;
        drop(original);
        let copy = SqliteStore::open(work)?;
        let Some(founded) = founded_in(&copy)? else {
            return Err(ExportError::NoLab { folder: folder.to_owned() });
        };
        copy.verify()?;
        let (changes, clients) = copy.counts()?;
        let mut manifest = Manifest::of(&founded, changes, clients);
        let foreign = foreign::replace(&copy, &founded, &mut manifest)?;
        // Passwords of administrators, and tokens.
        copy.write(&Batch { cleared: vec![Kind::RestLogIns], ..Batch::default() })?;
        // Pages that are no longer used can have what was replaced.
        let database = work.join("exported.db");
        copy.copy_into(&database)?;

        let json = serde_json::to_string_pretty(&manifest).unwrap_or_default();
        let mut texts = vec![
            (MANIFEST.to_owned(), json),
            ("README.txt".to_owned(), readme(&manifest)),
            ("commands.csv".to_owned(), table(&copy, "commands", COMMANDS)?),
            ("clients.csv".to_owned(), table(&copy, "clients", CLIENTS)?),
        ];
        texts.extend(certificates(&copy, &founded)?);
        Ok(Self { manifest, texts, database, foreign })
    }

    /// What the file says of itself.
    pub(crate) const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether something stands in for what is foreign.
    pub(crate) const fn has_foreign(&self) -> bool {
        !self.foreign.is_empty()
    }

    /// The text, with what stands in for everything foreign.
    pub(crate) fn edited(&self, text: &str) -> String {
        foreign::replaced(text, &self.foreign).unwrap_or_else(|| text.to_owned())
    }

    /// Writes the file, with further parts; `what` says what it has. A part of a name that the export has already is left out.
    pub(crate) fn write(
        &self,
        what: &str,
        parts: &[(String, Vec<u8>)],
        out: &mut (impl Write + Seek),
    ) -> io::Result<()> {
        let own = self.texts.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes()));
        let mut all: Vec<(String, Vec<u8>)> = own.collect();
        let is_other = |name: &str| self.texts.iter().all(|(own, _)| own != name);
        all.extend(parts.iter().filter(|(name, _)| is_other(name)).cloned());
        pack((what, &self.manifest.site), &all, Some(&self.database), out)
    }
}

/// The present certificates of each manager, one file for each store.
fn certificates(store: &SqliteStore, founded: &FoundedWith) -> Result<Vec<(String, String)>, ExportError> {
    let site = replayed(founded, store)?.finish([]);
    let files = site.managers().flat_map(|one| {
        let file = |store: &str, pem: String| (format!("certificates/{}-{store}.pem", one.name), pem);
        [file("console", one.console.certificates_pem()), file("client", one.client.certificates_pem())]
    });
    Ok(files.collect())
}

fn table(store: &SqliteStore, of: &str, columns: &[&str]) -> Result<String, ExportError> {
    let mut text = format!("{}\n", columns.join(","));
    for row in store.rows(of, columns)? {
        let cells: Vec<String> =
            row.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
        let _ = writeln!(text, "{}", cells.join(","));
    }
    Ok(text)
}

fn readme(manifest: &Manifest) -> String {
    let Manifest { site, founded, seed, changes, clients, .. } = manifest;
    let mut text = format!(
        "A lab of epm-lab {}: the site {site:?}, founded at {founded}, seed {seed}, with {changes} changes and {clients} registered \
         clients.\n\n  epm-lab lab import THIS-FILE lab-data\n  epm-lab up --data lab-data\n\nbrings it up as it was; the ports of its \
         managers must be free:\n",
        manifest.program
    );
    for one in &manifest.managers {
        let port =
            |name: &str, port: Option<u16>| port.map(|port| format!(" {name} {port}")).unwrap_or_default();
        let ports = [port("HTTP", one.http), port("HTTPS", one.https), port("REST", one.rest)].concat();
        let _ = writeln!(text, "  {} at {}:{ports}", one.name, one.address);
    }
    text += "\nlab.db is an SQLite database. It has the private keys that the lab has made, and its shared secret.\n";
    text += "commands.csv, clients.csv and certificates/ are for people; an import does not read them.\n";
    if !manifest.replaced.is_empty() {
        text += "\nCertificates whose private keys the lab has not made, and what stands in for them:\n";
    }
    for one in &manifest.replaced {
        let note = if one.is_signed { "" } else { "; its signature is not one" };
        let _ = writeln!(text, "  {:?}\n    {}\n    {}{note}", one.certificate, one.original, one.stand_in);
    }
    if manifest.replaced_secrets > 0 {
        text += "\nThe shared secret of another site was replaced.\n";
    }
    text
}
