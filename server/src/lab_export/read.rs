//! Makes a data folder from the file of an exported lab. The folder appears whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use epm_protocol::plain::plain;
use zip::ZipArchive;
use zip::result::ZipError;

use super::archive::{DATABASE, folder_of};
use super::error::ExportError;
use super::manifest::{FORM, Manifest, VERSION};
use super::write::MANIFEST;
use crate::runtime::replayed::{founded_in, replayed};
use crate::store::{SqliteStore, StoreError};

/// Largest manifest, in bytes.
const LARGEST_MANIFEST: u64 = 1 << 20;
/// Largest database, in bytes.
const LARGEST_DATABASE: u64 = 8 << 30;
/// A database of this size, in bytes, is unpacked from a file of any size.
const ANY_DATABASE: u64 = 64 << 20;
/// Largest ratio of a larger database to its file. Those of labs have 2 to 20.
const LARGEST_RATIO: u64 = 200;

/// Makes the data folder `folder` from a file.
///
/// # Errors
///
/// When the file is no exported lab, is damaged, or of a newer version; or when the folder is there and not empty.
pub(crate) fn import(file: &Path, folder: &Path) -> Result<Manifest, ExportError> {
    let at = |source| ExportError::File { file: file.to_owned(), source };
    let there = |source| ExportError::File { file: folder.to_owned(), source };
    let unusable = |why: String| ExportError::Unusable { file: file.to_owned(), why };
    let archive = File::open(file).map_err(at)?;
    let ratio = archive.metadata().map_err(at)?.len().saturating_mul(LARGEST_RATIO);
    let largest = ratio.clamp(ANY_DATABASE, LARGEST_DATABASE);
    let mut zip =
        ZipArchive::new(archive).map_err(|source| ExportError::Zip { file: file.to_owned(), source })?;
    let inside = folder_of(&zip, MANIFEST).unwrap_or_default();
    let manifest = manifest(file, &inside, &mut zip)?;
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => return Err(ExportError::NotEmpty { folder: folder.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(there(error)),
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.with_file_name(format!(".{name}.{}.new", std::process::id()));
    DirBuilder::new().mode(0o700).recursive(true).create(&beside).map_err(there)?;
    let made = (|| {
        let entry = zip.by_name(&format!("{inside}{DATABASE}"));
        let entry = entry.map_err(|_| unusable(format!("it has no {DATABASE}")))?;
        if entry.size() > largest {
            return Err(unusable(format!(
                "its database has {} bytes, and at most {largest} are unpacked from a file of this size",
                entry.size()
            )));
        }
        let database = beside.join(DATABASE);
        let open = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&database);
        let mut out = open.map_err(there)?;
        let copied = io::copy(&mut entry.take(largest), &mut out).and_then(|_| out.sync_all());
        copied.map_err(|error| unusable(format!("its {DATABASE} cannot be unpacked: {error}")))?;
        verify(&beside).map_err(|error| match error {
            ExportError::Store(error) => match of_archive(error) {
                Ok(why) => unusable(why),
                Err(error) => error.into(),
            },
            ExportError::NoLab { .. } => unusable("it has no lab".to_owned()),
            error => error,
        })?;
        if folder.exists() {
            fs::remove_dir(folder).map_err(there)?;
        }
        fs::rename(&beside, folder).map_err(there)
    })();
    if made.is_err() {
        let _ = fs::remove_dir_all(&beside);
    }
    made.map(|()| manifest)
}

/// Checks that a folder has a lab that can go on.
fn verify(folder: &Path) -> Result<(), ExportError> {
    let store = SqliteStore::open(folder)?;
    let founded = founded_in(&store)?.ok_or_else(|| ExportError::NoLab { folder: folder.to_owned() })?;
    store.verify()?;
    replayed(&founded, &store)?;
    Ok(())
}

/// What is wrong with the database of an archive, without the path that it was unpacked to; an error of something else stays it.
fn of_archive(error: StoreError) -> Result<String, StoreError> {
    let damaged =
        |why: &str| format!("its {DATABASE} is damaged ({why}): get the file again, or export the lab anew");
    Ok(match error {
        StoreError::Damaged { why, .. } => damaged(&why),
        StoreError::Invalid { what, why, .. } => damaged(&format!("{what} cannot be used: {why}")),
        StoreError::Failed { why, .. } => format!("its {DATABASE} cannot be used: {why}"),
        StoreError::Foreign { .. } => format!("its {DATABASE} is no database of epm-lab"),
        StoreError::Newer { found, known, .. } => format!(
            "its {DATABASE} has version {found} of the data, and this program (epm-lab {}) reads up to version {known}",
            env!("CARGO_PKG_VERSION")
        ),
        other => return Err(other),
    })
}

fn manifest(file: &Path, inside: &str, zip: &mut ZipArchive<File>) -> Result<Manifest, ExportError> {
    let unusable = |why: String| ExportError::Unusable { file: file.to_owned(), why };
    let entry = match zip.by_name(&format!("{inside}{MANIFEST}")) {
        Ok(entry) => entry,
        Err(ZipError::FileNotFound) => {
            return Err(unusable(format!("it has no {MANIFEST}: not made by `epm-lab lab export`")));
        }
        Err(source) => return Err(ExportError::Zip { file: file.to_owned(), source }),
    };
    let mut text = Vec::new();
    entry
        .take(LARGEST_MANIFEST)
        .read_to_end(&mut text)
        .map_err(|error| unusable(format!("{MANIFEST} cannot be unpacked: {error}")))?;
    let form: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| unusable(format!("{MANIFEST}: {error}")))?;
    if form["form"] != FORM {
        return Err(unusable(format!("{MANIFEST} is not that of a lab")));
    }
    if form["version"].as_u64().is_none_or(|found| found > u64::from(VERSION)) {
        return Err(unusable(format!(
            "it has version {} of the form, and this program (epm-lab {}) reads up to version {VERSION}",
            form["version"],
            env!("CARGO_PKG_VERSION")
        )));
    }
    serde_json::from_value(form)
        .map_err(|error| unusable(format!("{MANIFEST}: {}", plain(&error.to_string()))))
}
