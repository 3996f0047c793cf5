//! Makes a data folder from the file of an exported lab. The folder appears whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::error::ExportError;
use super::manifest::{FORM, Manifest, VERSION};
use super::write::{DATABASE, MANIFEST};
use crate::runtime::replayed::{founded_in, replayed};
use crate::store::SqliteStore;

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
    let manifest = manifest(file, &mut zip)?;
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
        let entry = zip.by_name(DATABASE).map_err(|_| unusable(format!("it has no {DATABASE}")))?;
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
        copied.map_err(|error| unusable(format!("its database cannot be unpacked: {error}")))?;
        let store = SqliteStore::open(&beside)?;
        let founded = founded_in(&store)?.ok_or_else(|| unusable("it has no lab".to_owned()))?;
        store.verify()?;
        replayed(&founded, &store)?;
        drop(store);
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

fn manifest(file: &Path, zip: &mut ZipArchive<File>) -> Result<Manifest, ExportError> {
    let unusable = |why: String| ExportError::Unusable { file: file.to_owned(), why };
    let entry = match zip.by_name(MANIFEST) {
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
    serde_json::from_value(form).map_err(|error| unusable(format!("{MANIFEST}: {error}")))
}
