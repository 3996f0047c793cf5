//! The lock of a folder that one process may have at a time: a file with its number, locked until the process ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use epm_client_agent::wire::open_own;

/// Why a folder cannot be locked.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process has it; as ", process N" where that is known.
    InUse { by: String },
    /// The file cannot be made, locked or written.
    Io(io::Error),
}

/// Locks this file, which is made if there is none.
pub(crate) fn lock_file(path: &Path) -> Result<File, LockError> {
    let mut file = open_own(OpenOptions::new().create(true).truncate(false).read(true).write(true), path)
        .map_err(LockError::Io)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(LockError::Io)?;
            file.write_all(std::process::id().to_string().as_bytes()).map_err(LockError::Io)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => Err(LockError::InUse { by: process(path) }),
        Err(TryLockError::Error(source)) => Err(LockError::Io(source)),
    }
}

/// Which process has locked this file, as ", process N" where that is known; none if no process has. Makes no file.
pub(crate) fn holder(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(process(path))),
        Err(TryLockError::Error(source)) => Err(source),
    }
}

/// The process whose number is in the file, as ", process N"; nothing where there is none.
fn process(path: &Path) -> String {
    let holder = fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok());
    holder.map(|process| format!(", process {process}")).unwrap_or_default()
}
