//! The client's system log on disk, in the real one's form, and bounded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::agent::LogLine;

/// The log is put aside as `syslog.log.1` when it has grown to this many bytes.
const FULL: u64 = 4 * 1024 * 1024;

/// `syslog.log` in a folder.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl LogFile {
    /// Opens the log of this folder, to write at its end.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join("syslog.log");
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let length = file.metadata()?.len();
        Ok(Self { path, file, length })
    }

    /// Writes an entry.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&mut self, line: &LogLine) -> io::Result<()> {
        if self.length >= FULL {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            self.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            self.length = 0;
        }
        let entry = line.to_entry();
        self.length += entry.len() as u64;
        self.file.write_all(entry.as_bytes())
    }
}
