//! The client's system log on disk, in the real one's form, with a size limit.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::own_file::open_own;
use crate::agent::LogLine;

/// The size in bytes at which the log is renamed to `syslog.log.1`, which is assumed.
const FULL: u64 = 4 * 1024 * 1024;
/// The days for which entries are kept, according to the header, which is assumed; nothing is removed for its age.
const DAYS: u32 = 14;
/// More entries than any client writes: a header with as many is damaged.
const MOST_EVER: u64 = u64::MAX / 2;
/// The length of the header in bytes.
const HEADER: u64 = 72;

/// `syslog.log` in a folder: a header, and the entries.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    length: u64,
    counts: Counts,
}

/// The counters of the header [C S31].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// The number of entries in the file.
    entries: u32,
    /// The number of entries that have ever been written.
    ever: u64,
}

impl Counts {
    /// Formats the header: the log's kind, its largest size, a number of unknown meaning, the entries, another such
    /// number, the entries ever, and the days, with tabs between [C S31].
    fn header(self) -> String {
        let Self { entries, ever } = self;
        format!("00000000\t{FULL:08X}\t00000000\t{entries:08X}\t00000000\t{ever:016X}\t{DAYS:08X}\r\n")
    }

    /// Reads the header of a log and counts the entries again, since a killed process has not counted its last one.
    fn read(log: &[u8]) -> Option<Self> {
        let (header, rest) = log.split_at_checked(usize::try_from(HEADER).ok()?)?;
        let fields: Vec<&str> = std::str::from_utf8(header).ok()?.trim_end().split('\t').collect();
        let [_, _, _, counted, _, ever, _] = fields[..] else { return None };
        let counted = u64::from_str_radix(counted, 16).ok()?;
        let entries = rest.iter().filter(|byte| **byte == b'\n').count();
        let ever = u64::from_str_radix(ever, 16).ok().filter(|ever| *ever < MOST_EVER)?;
        let missed = (entries as u64).saturating_sub(counted);
        Some(Self { entries: u32::try_from(entries).ok()?, ever: ever.saturating_add(missed) })
    }
}

impl LogFile {
    /// Opens the log of this folder for appending. A file that is not such a log is renamed; a link is refused.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join("syslog.log");
        let mut log = Self::begin(path, OpenOptions::new().create(true).truncate(false))?;
        let mut known = Vec::new();
        // The file has never grown far beyond its limit.
        (&log.file).take(FULL * 2).read_to_end(&mut known)?;
        match Counts::read(&known) {
            Some(counts) => {
                log.counts = counts;
                log.length = log.file.metadata()?.len();
                log.count()?;
            }
            None if known.is_empty() => log.count()?,
            None => log.turn()?,
        }
        Ok(log)
    }

    fn begin(path: PathBuf, how: &mut OpenOptions) -> io::Result<Self> {
        let file = open_own(how.read(true).write(true), &path)?;
        Ok(Self { path, file, length: HEADER, counts: Counts::default() })
    }

    /// Renames the log, and begins a new one.
    fn turn(&mut self) -> io::Result<()> {
        fs::rename(&self.path, self.path.with_extension("log.1"))?;
        let ever = self.counts.ever;
        *self = Self::begin(self.path.clone(), OpenOptions::new().create_new(true))?;
        self.counts.ever = ever;
        self.count()
    }

    /// Writes the header.
    fn count(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(self.counts.header().as_bytes())
    }

    /// Writes an entry.
    ///
    /// # Errors
    ///
    /// When the entry cannot be written.
    pub fn write(&mut self, line: &LogLine) -> io::Result<()> {
        if self.length >= FULL {
            self.turn()?;
        }
        let entry = line.to_entry();
        self.file.seek(SeekFrom::End(0))?;
        self.file.write_all(entry.as_bytes())?;
        self.length += entry.len() as u64;
        self.counts.entries += 1;
        self.counts.ever += 1;
        self.count()
    }
}

/// The file of a log with these entries.
pub fn log_text(lines: &[LogLine]) -> String {
    let entries = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    let counts = Counts { entries, ever: lines.len() as u64 };
    std::iter::once(counts.header()).chain(lines.iter().map(LogLine::to_entry)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Event;

    fn line(text: &str) -> LogLine {
        LogLine {
            at: "2018-10-01T00:00:00Z".parse().unwrap(),
            event: Event::HaveLatestPolicy,
            text: text.to_owned(),
        }
    }

    #[test]
    fn the_header_counts_the_entries_over_restarts_and_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("syslog.log");
        let header = || fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned();
        let mut log = LogFile::open(folder.path()).unwrap();
        assert_eq!(header().len() as u64, HEADER - 2);
        log.write(&line("one")).unwrap();
        drop(log);
        // A process wrote an entry and was killed before it counted it.
        let known = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{known}{}", line("two").to_entry())).unwrap();
        LogFile::open(folder.path()).unwrap().write(&line("three")).unwrap();
        assert_eq!(header(), "00000000\t00400000\t00000000\t00000003\t00000000\t0000000000000003\t0000000E");
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 4);
    }

    #[test]
    fn a_full_log_is_put_aside_and_the_count_of_all_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(folder.path()).unwrap();
        let long = line(&"x".repeat(1 << 20));
        for _ in 0..5 {
            log.write(&long).unwrap();
        }
        assert_eq!(log.counts, Counts { entries: 1, ever: 5 });
        let aside = fs::metadata(folder.path().join("syslog.log.1")).unwrap().len();
        assert!(aside > FULL && aside < 2 * FULL, "{aside}");
    }

    #[test]
    fn what_is_no_such_log_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("syslog.log"), "something else\n").unwrap();
        let log = LogFile::open(folder.path()).unwrap();
        assert_eq!((log.counts, log.length), (Counts::default(), HEADER));
        let aside = fs::read_to_string(folder.path().join("syslog.log.1")).unwrap();
        assert_eq!(aside, "something else\n");
    }
}
