//! Writes files atomically, one at a time or several together.
//!
//! Each file is written next to its destination and renamed. A set of files is first written completely next to the
//! destinations; then a marker file lists them, and they are renamed one after another. After an interruption the
//! next start continues the renaming if the marker exists, and otherwise removes the written files. If a renaming fails,
//! another marker takes the place of the first: it says that the files that were there before are put back.
//!
//! A set is on disk when it is written: before each of these steps, what the step before has changed in any folder is
//! synced ([`settle`]), so that a power loss leaves no later step without an earlier one.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use epm_client_agent::wire::{create_folder, read_regular, sync};

use super::error::InstallationError;
use crate::runtime::folder_lock::{LockError, lock_file};

/// File that the process locks which uses the folder.
const LOCK: &str = "data/.lock";
/// File that lists the files of a set being renamed.
const MARKER: &str = "data/.update";
/// Marker that takes the place of `MARKER` to put back what was there.
const UNDO: &str = "data/.update.undo";
/// First line of the marker that puts back what was there.
const UNDOING: &str = "undo";
/// Maximum number of bytes of a marker.
const LONGEST_MARKER: u64 = 1024 * 1024;
/// Suffix of the file that was there before.
const BEFORE: &str = ".before";
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

/// Writes one file atomically. Its name may be lost with the power until [`settle`] is called.
pub(super) fn write(root: &Path, path: &str, content: &[u8], secret: bool) -> io::Result<()> {
    let place = root.join(path);
    let beside = with_end(&place, UNFINISHED);
    make_folder_of(root, &beside)?;
    let written = write_beside(&beside, content, secret).and_then(|()| {
        go_on()?;
        fs::rename(&beside, &place)
    });
    if written.is_err() {
        take_back(&beside);
    }
    written
}

/// Writes several files: all of them or, if that fails, none, now and after the next start.
pub(super) fn write_together(root: &Path, files: &[Written]) -> io::Result<()> {
    let end_of = |end| files.iter().map(move |file| with_end(&root.join(&file.path), end));
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let marked = files
        .iter()
        .zip(end_of(PENDING))
        .try_for_each(|(file, pending)| {
            make_folder_of(root, &pending)?;
            write_beside(&pending, &file.content, file.secret)
        })
        .and_then(|()| prepare_undo(root, files))
        .and_then(|()| settle(root, &[names.as_slice(), &[UNDO]].concat()))
        .and_then(|()| write(root, MARKER, names.join("\n").as_bytes(), false))
        .and_then(|()| settle(root, &[MARKER]))
        .inspect_err(|_| take_back(&root.join(MARKER)));
    let written = marked.and_then(|()| {
        put_into_place(root).inspect_err(|_| {
            if let Err(error) = undo(root) {
                tracing::error!(%error, folder = %root.display(), "cannot put back the files of a refused change: the next start does so, or completes it");
            }
        })
    });
    if written.is_err() && !root.join(MARKER).exists() {
        end_of(PENDING).for_each(|pending| take_back(&pending));
    }
    if !root.join(MARKER).exists() {
        end_of(BEFORE).chain([root.join(UNDO)]).for_each(|old| take_back(&old));
    }
    written
}

/// Keeps what is there, and writes the marker that puts it back, before anything changes: a full disk must not prevent that.
fn prepare_undo(root: &Path, files: &[Written]) -> io::Result<()> {
    let mut lines = vec![UNDOING.to_owned()];
    for file in files {
        let place = root.join(&file.path);
        let before = with_end(&place, BEFORE);
        go_on()?;
        remove(&before)?;
        let was_there = match fs::symlink_metadata(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
            Ok(_) => {
                go_on()?;
                // Where the file system has no hard links, a copy does.
                fs::hard_link(&place, &before)
                    .or_else(|_| write_beside(&before, &fs::read(&place)?, file.secret))?;
                true
            }
        };
        lines.push(format!("{} {}", if was_there { "old" } else { "new" }, file.path));
    }
    write(root, UNDO, lines.join("\n").as_bytes(), false)
}

/// Puts back the files that were there before a set that could not be renamed completely.
fn undo(root: &Path) -> io::Result<()> {
    go_on()?;
    fs::rename(root.join(UNDO), root.join(MARKER))?;
    settle(root, &[MARKER])?;
    put_into_place(root)
}

/// Makes the names of these files survive a power loss, and those of the folders above them up to the root.
pub(super) fn settle(root: &Path, files: &[&str]) -> io::Result<()> {
    let folders: BTreeSet<&Path> =
        files.iter().flat_map(|file| Path::new(file).ancestors().skip(1)).collect();
    folders.iter().try_for_each(|folder| {
        go_on()?;
        let folder = root.join(folder);
        gone(sync(&folder))?;
        #[cfg(test)]
        epm_fixtures::power_loss::synced(&folder);
        Ok(())
    })
}

/// Removes a file of a write that failed: on a full disk it would keep the room that others need.
pub(super) fn take_back(file: &Path) {
    if go_on().is_ok() {
        let _ = fs::remove_file(file);
    }
}

/// Makes the folder of a file below the root, and refuses one to which a link leads out of the root.
pub(super) fn make_folder_of(root: &Path, file: &Path) -> io::Result<()> {
    refuse_outside(root, file)?;
    file.parent().map_or(Ok(()), create_folder)
}

/// Refuses a file to whose folder a link leads out of the root.
fn refuse_outside(root: &Path, file: &Path) -> io::Result<()> {
    let there = file.ancestors().skip(1).find(|one| fs::symlink_metadata(one).is_ok()).unwrap_or(root);
    if there.canonicalize()?.starts_with(root.canonicalize()?) {
        return Ok(());
    }
    let text = format!(
        "{} leads out of the installation folder, and nothing is written there: put a folder in its place",
        there.display()
    );
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// Locks a folder, which it makes if need be, until the file is closed or its process ends.
pub(super) fn lock(root: &Path) -> Result<File, InstallationError> {
    let bad = |source| InstallationError::Files { folder: root.to_owned(), source };
    let path = root.join(LOCK);
    create_folder(root).and_then(|()| make_folder_of(root, &path)).map_err(bad)?;
    lock_file(&path).map_err(|error| match error {
        LockError::InUse { by } => InstallationError::InUse { folder: root.to_owned(), by },
        LockError::Io(source) => bad(source),
    })
}

/// Completes an interrupted write of these files, or undoes it.
pub(super) fn recover(root: &Path, paths: &[&str]) -> io::Result<()> {
    for path in paths {
        refuse_outside(root, &root.join(path))?;
    }
    put_into_place(root)?;
    for path in paths.iter().chain([&MARKER, &UNDO]) {
        for end in [PENDING, UNFINISHED, BEFORE] {
            remove(&with_end(&root.join(path), end))?;
        }
    }
    remove(&root.join(UNDO))
}

/// Called before each file operation, so that tests can stop there like a kill.
#[cfg(not(test))]
#[allow(clippy::unnecessary_wraps, reason = "in tests it may stop")]
fn go_on() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
fn go_on() -> io::Result<()> {
    epm_fixtures::power_loss::look();
    stop::go_on()
}

/// Simulates a kill: after this many steps every operation fails.
#[cfg(test)]
pub(super) mod stop {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
        static ONCE: Cell<bool> = const { Cell::new(false) };
    }

    /// Lets one operation fail after this many steps.
    pub(in crate::runtime::install_dir) fn once_after(steps: usize) {
        after(Some(steps));
        ONCE.set(true);
    }

    pub(in crate::runtime::install_dir) fn after(steps: Option<usize>) {
        LEFT.set(steps);
    }

    pub(super) fn go_on() -> io::Result<()> {
        match LEFT.get() {
            None => Ok(()),
            Some(0) => {
                if ONCE.take() {
                    LEFT.set(None);
                }
                Err(io::Error::other("killed"))
            }
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }
}

/// Removes unfinished files from a folder below the root.
pub(super) fn sweep(root: &Path, folder: &str) -> io::Result<()> {
    let Ok(found) = fs::read_dir(root.join(folder)) else { return Ok(()) };
    refuse_outside(root, &root.join(folder).join(UNFINISHED))?;
    for path in found.filter_map(|one| Some(one.ok()?.path())) {
        if path.as_os_str().as_encoded_bytes().ends_with(UNFINISHED.as_bytes()) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn put_into_place(root: &Path) -> io::Result<()> {
    let marker = root.join(MARKER);
    let names = match read_regular(&marker, LONGEST_MARKER) {
        Ok(names) => String::from_utf8_lossy(&names).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(bad_marker(root, &error.to_string())),
    };
    let mut lines = names.lines().peekable();
    let is_undo = lines.next_if_eq(&UNDOING).is_some();
    let steps = lines.map(|line| line.split_once(' ').filter(|_| is_undo).unwrap_or(("pending", line)));
    let steps: Vec<(&str, &str)> = steps.collect();
    for (_, name) in &steps {
        let is_below = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_below || name.is_empty() {
            return Err(bad_marker(
                root,
                &format!("it names {name:?}, which is not a file below the folder"),
            ));
        }
        refuse_outside(root, &root.join(name))?;
    }
    let mut placed = Vec::new();
    for (what, name) in steps {
        go_on()?;
        let place = root.join(name);
        match what {
            "pending" => rename(&with_end(&place, PENDING), &place)?,
            "old" => rename(&with_end(&place, BEFORE), &place)?,
            _ => remove(&place)?,
        }
        placed.push(name);
    }
    settle(root, &placed)?;
    go_on()?;
    fs::remove_file(&marker)?;
    // A marker that comes back would put half written files of the next set into place.
    settle(root, &[MARKER])
}

/// The error of a marker that the lab has not written.
fn bad_marker(root: &Path, why: &str) -> io::Error {
    let text = format!("{}: {why}; remove it, if it is not the lab's", root.join(MARKER).display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Treats a missing file as success.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a file, if it is there.
fn remove(file: &Path) -> io::Result<()> {
    gone(fs::remove_file(file)).map_err(|error| at(file, &error))
}

/// Renames a file, if it is there.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    gone(fs::rename(from, to)).map_err(|error| at(to, &error))
}

/// The error of an operation on this file, with its name.
fn at(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}

fn write_beside(beside: &Path, content: &[u8], secret: bool) -> io::Result<()> {
    go_on()?;
    remove(beside)?; // also drops its old mode
    let mode = if secret { 0o600 } else { 0o644 };
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(beside)?;
    let (first, second) = content.split_at(content.len() / 2);
    go_on()?;
    file.write_all(first)?;
    go_on()?;
    file.write_all(second)?;
    file.sync_all()?;
    #[cfg(test)]
    epm_fixtures::power_loss::synced(beside);
    Ok(())
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
    fn a_marker_moves_and_removes_nothing_outside_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (root, victim) = (folder.path().join("root"), folder.path().join("victim"));
        fs::create_dir(&root).unwrap();
        write_together(&root, &pair("old")).unwrap();
        fs::write(&victim, "precious").unwrap();
        fs::write(folder.path().join("victim.pending"), "other").unwrap();
        std::os::unix::fs::symlink(folder.path(), root.join("link")).unwrap();
        for name in ["../victim", victim.to_str().unwrap(), "link/victim", "a/../../victim", ""] {
            for (marker, name) in
                [(MARKER, format!("a/crt\n{name}\n")), (MARKER, format!("undo\nnew {name}\n"))]
            {
                fs::write(root.join(marker), name).unwrap();
                recover(&root, &["a/crt", "a/key"]).unwrap_err();
                assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
                assert_eq!(found(&root), ["old", "old"]);
            }
        }
        fs::remove_file(root.join(MARKER)).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join(MARKER),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let refused = recover(&root, &["a/crt", "a/key"]).unwrap_err().to_string();
        assert!(refused.contains("no regular file"), "{refused}");
        fs::remove_file(root.join(MARKER)).unwrap();
        for folder in [UNDO, "a/crt.pending"] {
            fs::create_dir(root.join(folder)).unwrap();
            let refused = recover(&root, &["a/crt", "a/key"]).unwrap_err().to_string();
            assert!(refused.contains(&format!("{folder}: ")), "{refused}");
            fs::remove_dir(root.join(folder)).unwrap();
        }
    }

    #[test]
    fn a_set_of_which_one_operation_fails_is_refused_and_stays_so_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let with_third = |content: &str| {
            let third = Written { path: "b/new".to_owned(), content: content.into(), secret: false };
            pair(content).into_iter().chain([third]).collect::<Vec<_>>()
        };
        write_together(root, &pair("old")).unwrap();
        let mut failures = 0;
        for steps in 0.. {
            stop::once_after(steps);
            let result = write_together(root, &with_third("new"));
            stop::after(None);
            let left = || fs::read_dir(root.join("a")).unwrap().count();
            if result.is_ok() {
                recover(root, &["a/crt", "a/key", "b/new"]).unwrap();
                assert_eq!((found(root), left()), (["new", "new"].map(str::to_owned), 2), "{steps}");
                break;
            }
            failures += 1;
            assert_eq!((found(root), left()), (["old", "old"].map(str::to_owned), 2), "step {steps}: now");
            recover(root, &["a/crt", "a/key", "b/new"]).unwrap();
            assert_eq!(found(root), ["old", "old"], "step {steps}: after a restart");
            assert!(!root.join("b/new").exists() && !root.join(MARKER).exists() && !root.join(UNDO).exists());
        }
        assert!(failures > 20, "{failures}");
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
