//! The client's cache on disk: `current/sylink.xml`, as the real client keeps it, and `current/state.json`.
//!
//! `current` is a link to a numbered folder. A new state is written into a new folder, synced to disk with the folder's own
//! name, and then the link is replaced in one step: whenever the machine crashes or loses power, a reader finds the old state
//! or the new one, complete. A `sylink.xml` that is edited there is read at the next start like any other.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use epm_protocol::sylink::{Sylink, SylinkError};

use super::durable::{create_folder, sync};
use super::own_file::read_regular;
use crate::agent::Cache;

const LINK: &str = "current";
const SYLINK: &str = "sylink.xml";
const STATE: &str = "state.json";
/// The link before it replaces the one in force.
const FRESH: &str = ".next";
/// The maximum number of bytes of each file of a cache.
const LARGEST: u64 = 16 * 1024 * 1024;
/// A file that is made and removed to see whether the folder can be written to.
const PROBE: &str = ".writable";
/// The digits in the name of a state's folder.
const DIGITS: usize = 8;

/// A folder with the cache of one client.
#[derive(Debug)]
pub struct DiskCache {
    folder: PathBuf,
    generation: u64,
    /// The folder, which is locked until the cache is dropped or the process ends.
    _lock: File,
}

/// The reason why a cache could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder could not be read or written.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// The operation that failed.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another process has the folder.
    #[error("{} is used by another process; each client needs a folder of its own", folder.display())]
    InUse {
        /// The folder of the cache.
        folder: PathBuf,
    },
    /// The communications file is invalid.
    #[error("{}: {source}", path.display())]
    Sylink {
        /// The path of the file.
        path: PathBuf,
        /// The error, with its position in the file.
        source: SylinkError,
    },
    /// The state is invalid.
    #[error("{}: {source}", path.display())]
    State {
        /// The path of the file.
        path: PathBuf,
        /// The error, with its position in the file.
        source: serde_json::Error,
    },
}

impl DiskCache {
    /// Opens the cache in this folder, which is created if necessary and must be writable.
    ///
    /// # Errors
    ///
    /// When the folder cannot be created or written to, or another process has it.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        create_folder(folder).map_err(failed("create the folder", folder))?;
        let lock = File::open(folder).map_err(failed("open the folder", folder))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed("lock the folder", folder)(source)),
        }
        let probe = folder.join(PROBE);
        let _ = fs::remove_file(&probe); // left by a crash
        File::create_new(&probe).map_err(failed("write to the folder", folder))?;
        fs::remove_file(&probe).map_err(failed("write to the folder", folder))?;
        let generation =
            fs::read_link(folder.join(LINK)).ok().and_then(|target| number(&target)).unwrap_or(0);
        Ok(Self { folder: folder.to_owned(), generation, _lock: lock })
    }

    /// Reads the cache; none if it was never written.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or is invalid.
    pub fn load(&self) -> Result<Option<Cache>, StoreError> {
        Self::read(&self.folder)
    }

    /// Reads the cache of a folder, and writes nothing there; none if there is no cache.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or is invalid.
    pub fn read(folder: &Path) -> Result<Option<Cache>, StoreError> {
        let current = folder.join(LINK);
        if fs::symlink_metadata(&current).is_err() {
            return Ok(None);
        }
        let path = current.join(SYLINK);
        let bytes = read_regular(&path, LARGEST).map_err(failed("read", &path))?;
        let sylink = Sylink::parse_bytes(&bytes).map_err(|source| StoreError::Sylink { path, source })?;
        let path = current.join(STATE);
        let bytes = read_regular(&path, LARGEST).map_err(failed("read", &path))?;
        let state = serde_json::from_slice(&bytes).map_err(|source| StoreError::State { path, source })?;
        Ok(Some(Cache { sylink: Arc::new(sylink), state }))
    }

    /// Writes the cache. When it returns, the cache is on disk.
    ///
    /// # Errors
    ///
    /// When something cannot be written; then the previous cache is untouched.
    pub fn save(&mut self, cache: &Cache) -> Result<(), StoreError> {
        let next = self.generation + 1;
        let folder = self.folder.join(format!("{next:0DIGITS$}"));
        let state = serde_json::to_vec_pretty(&cache.state)
            .map_err(|source| StoreError::State { path: folder.join(STATE), source })?;
        if is_state(&folder) {
            let _ = fs::remove_dir_all(&folder); // left half written by a crash
        }
        fs::create_dir(&folder).map_err(failed("create the folder", &folder))?;
        write_durably(&folder.join(SYLINK), &cache.sylink.to_bytes())?;
        write_durably(&folder.join(STATE), &state)?;
        on_disk(&folder)?;
        on_disk(&self.folder)?; // otherwise the link may be there and the folder not
        let (link, fresh) = (self.folder.join(LINK), self.folder.join(FRESH));
        let _ = fs::remove_file(&fresh);
        symlink(folder.file_name().unwrap_or_default(), &fresh).map_err(failed("create the link", &fresh))?;
        fs::rename(&fresh, &link).map_err(failed("replace the link", &link))?;
        on_disk(&self.folder)?;
        self.generation = next;
        self.sweep();
        Ok(())
    }

    /// Whether a client makes entries of this name in the folder of its cache: the cache, and the log.
    pub fn is_own(name: &str) -> bool {
        [LINK, FRESH, PROBE, "syslog.log", "syslog.log.1"].contains(&name)
            || number(Path::new(name)).is_some()
    }

    /// Removes states that the link does not name: the previous one, and what a crash left. Each contains the secret.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if number(&entry.path()).is_some_and(|one| one != self.generation) && is_state(&entry.path()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// The number of a state by its folder; none for a folder with another name, such as `2026`.
fn number(target: &Path) -> Option<u64> {
    let name = target.file_name()?.to_str()?;
    let is_number = name.len() >= DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
    // No client has written as many states.
    name.parse().ok().filter(|number| is_number && *number < u64::MAX / 2)
}

/// Whether a folder contains a state of a client, whole or in part, and nothing else.
fn is_state(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| {
        entries.all(|entry| entry.is_ok_and(|one| one.file_name() == SYLINK || one.file_name() == STATE))
    })
}

/// Writes a file that only its owner may read, since the communications file contains the site's secret.
fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = open.map_err(failed("create", path))?;
    file.write_all(bytes).map_err(failed("write", path))?;
    on_disk(path)
}

fn on_disk(path: &Path) -> Result<(), StoreError> {
    sync(path).map_err(failed("write", path))
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { operation, path, source }
}

#[cfg(test)]
mod tests {
    use epm_fixtures::power_loss;

    use super::*;
    use crate::agent::AgentState;

    /// A cache with this number in both files.
    fn numbered(number: u64) -> Cache {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/sylink/exported.xml");
        let mut sylink = Sylink::parse_bytes(&fs::read(file).unwrap()).unwrap();
        sylink.set_preferred_group(&number.to_string());
        let state = AgentState { group: Some(number.to_string()), ..AgentState::default() };
        Cache { sylink: Arc::new(sylink), state }
    }

    #[test]
    fn after_a_power_loss_at_any_point_there_is_what_was_saved_or_what_was_being_saved() {
        let folder = tempfile::tempdir().unwrap();
        let recording = power_loss::record(folder.path(), |promise| {
            let mut disk = DiskCache::open(&folder.path().join("clients/1")).unwrap();
            for number in 1..=3 {
                disk.save(&numbered(number)).unwrap();
                promise(number);
            }
        });
        let (mut old, mut new) = (0, 0);
        for state in recording.states() {
            let folder = tempfile::tempdir().unwrap();
            state.lay_out(folder.path());
            let mut disk = DiskCache::open(&folder.path().join("clients/1")).unwrap();
            let found = disk.load().unwrap_or_else(|error| panic!("{}: {error}", state.what));
            let number = found.as_ref().map_or(0, |one| one.state.group.as_ref().unwrap().parse().unwrap());
            assert!(found.is_none_or(|found| found == numbered(number)), "half: {}", state.what);
            assert!(number >= state.promised, "{} was saved, {number} found: {}", state.promised, state.what);
            *(if number == state.promised { &mut old } else { &mut new }) += 1;
            disk.save(&numbered(9)).unwrap_or_else(|error| panic!("{}: {error}", state.what));
            assert_eq!(disk.load().unwrap(), Some(numbered(9)), "{}", state.what);
        }
        assert!(old > 50 && new >= 3, "{old} old, {new} new");
        println!("{old} states with what was saved, {new} with what was being saved");
    }

    #[test]
    fn of_the_folders_beside_the_cache_only_earlier_states_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["2026", "20260105", "photos"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("beach.jpg"), "").unwrap();
        }
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/sylink/exported.xml");
        let sylink = Sylink::parse_bytes(&fs::read(file).unwrap()).unwrap();
        let cache = Cache { sylink: Arc::new(sylink), state: AgentState::default() };
        let mut disk = DiskCache::open(folder.path()).unwrap();
        disk.save(&cache).unwrap();
        disk.save(&cache).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["00000002", "2026", "20260105", "current", "photos"]);
        assert!(DiskCache::read(folder.path()).unwrap().is_some());
    }
}
