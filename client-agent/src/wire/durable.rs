//! Files and folders that are still there after a power loss.
//!
//! A file that was written is on disk once it is synced, and its name once its folder is. Until then a power loss may leave
//! any of the names that were made, replaced or removed in a folder, and no other.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Writes to disk what was written to a file, or the names in a folder. Nothing happens to a folder on a file system that
/// syncs none.
///
/// # Errors
///
/// When it cannot be opened or written.
pub fn sync(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput && path.is_dir() => {}
        synced => synced?,
    }
    #[cfg(test)]
    epm_fixtures::power_loss::synced(path);
    Ok(())
}

/// Creates a folder and those above it that are missing, on disk.
///
/// # Errors
///
/// When one cannot be created or written.
pub fn create_folder(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|one| !one.as_os_str().is_empty() && !one.is_dir()).collect();
    fs::create_dir_all(path)?;
    for parent in missing.into_iter().filter_map(Path::parent) {
        sync(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
    }
    Ok(())
}
