//! Writes files atomically, one at a time or several together.
//!
//! Each file is written next to its destination and renamed. A set of files is first written completely next to the
//! destinations; then a marker file lists them, and they are renamed one after another. After an interruption the
//! next start continues the renaming if the marker exists, and otherwise removes the written files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::InstallationError;
use crate::runtime::folder_lock::{LockError, lock_file};

/// File that the process locks which uses the folder.
const LOCK: &str = "data/.lock";
/// File that lists the files of a set being renamed.
const MARKER: &str = "data/.update";
/// Suffix of a file that waits to be renamed.
const PENDING: &str = ".pending";
/// Suffix of a file that is being written.
const UNFINISHED: &str = ".unfinished";

/// A file to write: path below the root, content, and whether only its owner may read it.
pub(super) struct Written {
    pub(super) path: String,
    pub(super) content: Vec<u8>,
    pub(super) secret: bool,
}

/// Writes one file atomically.
pub(super) fn write(root: &Path, path: &str, content: &[u8], secret: bool) -> io::Result<()> {
    let place = root.join(path);
    let beside = with_end(&place, UNFINISHED);
    let written = write_beside(&beside, content, secret).and_then(|()| {
        go_on()?;
        fs::rename(&beside, &place)
    });
    if written.is_err() {
        take_back(&beside);
    }
    written
}

/// Writes several files: all of them or none.
pub(super) fn write_together(root: &Path, files: &[Written]) -> io::Result<()> {
    let pending = |file: &Written| with_end(&root.join(&file.path), PENDING);
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let marked = files
        .iter()
        .try_for_each(|file| write_beside(&pending(file), &file.content, file.secret))
        .and_then(|()| write(root, MARKER, names.join("\n").as_bytes(), false));
    if marked.is_err() {
        files.iter().for_each(|file| take_back(&pending(file)));
    }
    marked?;
    put_into_place(root)
}

/// Removes a file of a write that failed: on a full disk it would keep the room that others need.
pub(super) fn take_back(file: &Path) {
    if go_on().is_ok() {
        let _ = fs::remove_file(file);
    }
}

/// Locks a folder, which it makes if need be, until the file is closed or its process ends.
pub(super) fn lock(root: &Path) -> Result<File, InstallationError> {
    let bad = |source| InstallationError::Files { folder: root.to_owned(), source };
    let path = root.join(LOCK);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(bad)?;
    }
    lock_file(&path).map_err(|error| match error {
        LockError::InUse { by } => InstallationError::InUse { folder: root.to_owned(), by },
        LockError::Io(source) => bad(source),
    })
}

/// Completes an interrupted write of these files, or undoes it.
pub(super) fn recover(root: &Path, paths: &[&str]) -> io::Result<()> {
    put_into_place(root)?;
    for path in paths.iter().chain([&MARKER]) {
        for end in [PENDING, UNFINISHED] {
            gone(fs::remove_file(with_end(&root.join(path), end)))?;
        }
    }
    Ok(())
}

/// Called before each file operation, so that tests can stop there like a kill.
#[cfg(not(test))]
#[allow(clippy::unnecessary_wraps, reason = "in tests it may stop")]
fn go_on() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
fn go_on() -> io::Result<()> {
    stop::go_on()
}

/// Simulates a kill: after this many steps every operation fails.
#[cfg(test)]
pub(super) mod stop {
    use std::cell::Cell;
    use std::io;

    thread_local! { static LEFT: Cell<Option<usize>> = const { Cell::new(None) }; }

    pub(in crate::runtime::install_dir) fn after(steps: Option<usize>) {
        LEFT.set(steps);
    }

    pub(super) fn go_on() -> io::Result<()> {
        match LEFT.get() {
            None => Ok(()),
            Some(0) => Err(io::Error::other("killed")),
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }
}

/// Removes unfinished files from a folder.
pub(super) fn sweep(folder: &Path) -> io::Result<()> {
    let Ok(found) = fs::read_dir(folder) else { return Ok(()) };
    for path in found.filter_map(|one| Some(one.ok()?.path())) {
        if path.as_os_str().as_encoded_bytes().ends_with(UNFINISHED.as_bytes()) {
            gone(fs::remove_file(path))?;
        }
    }
    Ok(())
}

fn put_into_place(root: &Path) -> io::Result<()> {
    let marker = root.join(MARKER);
    let names = match fs::read_to_string(&marker) {
        Ok(names) => names,
        Err(error) => return gone(Err(error)),
    };
    for name in names.lines() {
        let place = root.join(name);
        go_on()?;
        gone(fs::rename(with_end(&place, PENDING), &place))?;
    }
    go_on()?;
    fs::remove_file(&marker)
}

/// Treats a missing file as success.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn write_beside(beside: &Path, content: &[u8], secret: bool) -> io::Result<()> {
    if let Some(folder) = beside.parent() {
        fs::create_dir_all(folder)?;
    }
    go_on()?;
    gone(fs::remove_file(beside))?; // also drops its old mode
    let mode = if secret { 0o600 } else { 0o644 };
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(beside)?;
    let (first, second) = content.split_at(content.len() / 2);
    go_on()?;
    file.write_all(first)?;
    go_on()?;
    file.write_all(second)?;
    file.sync_all()
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use super::*;

    fn pair(content: &str) -> [Written; 2] {
        ["a/crt", "a/key"].map(|path| Written {
            path: path.to_owned(),
            content: content.into(),
            secret: path == "a/key",
        })
    }

    fn found(root: &Path) -> [String; 2] {
        ["a/crt", "a/key"].map(|path| fs::read_to_string(root.join(path)).unwrap())
    }

    #[test]
    fn a_set_that_is_interrupted_anywhere_is_all_old_or_all_new() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write_together(root, &pair("old")).unwrap();
        // Before the marker: one complete and one partial file.
        fs::write(root.join("a/crt.pending"), "new").unwrap();
        fs::write(root.join("a/key.pending"), "ne").unwrap();
        fs::write(root.join("data/.update.unfinished"), "a/c").unwrap();
        recover(root, &["a/crt", "a/key"]).unwrap();
        assert_eq!(found(root), ["old", "old"]);
        assert!(!root.join("a/key.pending").exists());
        // After the marker: no file or one file renamed.
        for placed in [false, true] {
            write_together(root, &pair("old")).unwrap();
            for file in pair("new") {
                let end = if placed && file.path == "a/crt" { "" } else { ".pending" };
                fs::write(root.join(format!("{}{end}", file.path)), file.content).unwrap();
            }
            fs::write(root.join(MARKER), "a/crt\na/key").unwrap();
            recover(root, &["a/crt", "a/key"]).unwrap();
            assert_eq!(found(root), ["new", "new"]);
            assert!(!root.join(MARKER).exists());
        }
    }

    #[test]
    fn a_secret_is_for_its_owner_alone_even_where_an_open_file_stood() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "a/key", b"x", false).unwrap();
        write(root, "a/key", b"y", true).unwrap();
        assert_eq!(fs::metadata(root.join("a/key")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
