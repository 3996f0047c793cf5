//! The number of steps that a store has written, in a file beside the database.
//!
//! A damaged write-ahead log looks like one that ends earlier: the database would be whole, and older. The file is written after
//! each step and not synced, so it never has a higher number than the database, unless that has lost something.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use epm_client_agent::wire::open_own;

use super::checksum::checksum;

/// The file with the number of steps.
#[derive(Debug)]
pub(super) struct Steps(File);

impl Steps {
    pub(super) fn open(file: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        open_own(options.create(true).truncate(false).read(true).write(true).mode(0o600), file).map(Self)
    }

    /// The number that was noted last; 0 in an empty file, none in one with something else.
    pub(super) fn noted(&self) -> io::Result<Option<u64>> {
        if self.0.metadata()?.len() == 0 {
            return Ok(Some(0));
        }
        let mut bytes = [0; 16];
        match self.0.read_exact_at(&mut bytes, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let (number, check) = bytes.split_at(8);
        let is_whole = check == checksum(&[number]).to_le_bytes();
        Ok(is_whole.then(|| u64::from_le_bytes(number.try_into().unwrap_or_default())))
    }

    /// Notes that this many steps are in the database.
    pub(super) fn note(&self, steps: u64) -> io::Result<()> {
        let number = steps.to_le_bytes();
        let check = checksum(&[&number]).to_le_bytes();
        self.0.write_all_at(&[number, check].concat(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_what_was_noted_says_no_number() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("steps");
        let steps = Steps::open(&file).unwrap();
        assert_eq!(steps.noted().unwrap(), Some(0));
        steps.note(7).unwrap();
        assert_eq!(steps.noted().unwrap(), Some(7));
        for other in [&b"0123456789abcdef"[..], b"short"] {
            std::fs::write(&file, other).unwrap();
            assert_eq!(steps.noted().unwrap(), None, "{other:?}");
        }
    }
}
