//! Why a store cannot be read or written.

use std::io;
use std::path::PathBuf;

/// Why the data folder of a lab cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be created or read.
    #[error("cannot use the data folder {}: {}", folder.display(), why(source))]
    Folder {
        /// The folder, as it was given.
        folder: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Another lab has the folder.
    #[error(
        "the data folder {} is in use by another lab{by}; stop that one, or choose another folder",
        folder.display()
    )]
    InUse {
        /// The folder, as it was given.
        folder: PathBuf,
        /// Process of the other lab, as ", process N", where it is known.
        by: String,
    },
    /// The file is the database of another program.
    #[error("{} is no database of epm-lab; choose another folder with `--data`", file.display())]
    Foreign {
        /// Database of the data folder.
        file: PathBuf,
    },
    /// A newer program has written the database.
    #[error(
        "{} has version {found} of the data, and this program (epm-lab {}) reads up to version {known}: use the program that \
         wrote it, or a newer one",
        file.display(), env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// Database of the data folder.
        file: PathBuf,
        /// Version of the file.
        found: i64,
        /// The newest version that this program reads.
        known: i64,
    },
    /// The database is damaged.
    #[error(
        "{} is damaged ({why}): put a copy of the folder back, or start a new lab with another `--data`",
        file.display()
    )]
    Damaged {
        /// Database of the data folder.
        file: PathBuf,
        /// What was found.
        why: String,
    },
    /// Something in the database cannot be understood.
    #[error("{}: {what} cannot be used: {why}", file.display())]
    Invalid {
        /// Database of the data folder.
        file: PathBuf,
        /// What cannot be used.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The database cannot be read or written.
    #[error("{}: {why}", file.display())]
    Failed {
        /// Database of the data folder.
        file: PathBuf,
        /// Error of the database.
        why: String,
    },
    /// The database of a site cannot be reached, or has refused something.
    #[error("{place}: {why}")]
    Database {
        /// The database, without its password.
        place: String,
        /// What went wrong.
        why: String,
    },
    /// The database has no site yet.
    #[error("{place} has no site yet: found one with `epm-lab site found`")]
    NotFounded {
        /// The database, without its password.
        place: String,
    },
    /// The tables in the database are of another version.
    #[error(
        "the tables in {place} have version {found}, and this program (epm-lab {}) has version {known}: use the same program for \
         all managers, or found the site anew in another database",
        env!("CARGO_PKG_VERSION")
    )]
    OtherVersion {
        /// The database, without its password.
        place: String,
        /// Version of the tables.
        found: i32,
        /// The version that this program reads and writes.
        known: i32,
    },
    /// Another process is the manager.
    #[error("the manager {name:?} runs already, {by}: stop that one, or start another manager")]
    NameInUse {
        /// Name of the manager.
        name: String,
        /// The other process.
        by: String,
    },
    /// The dates of this machine and of the database's differ.
    #[error(
        "the date of this machine is {apart} s {way} that of the database {place}, and at most {most} s are allowed, since \
         certificates and policies have dates: set the clocks right"
    )]
    ClockOff {
        /// The database, without its password.
        place: String,
        /// Seconds between the two.
        apart: i64,
        /// Whether this machine is "ahead of" or "behind" the database.
        way: &'static str,
        /// Seconds that are allowed.
        most: i64,
    },
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => "it is no folder".to_owned(),
        _ => error.to_string(),
    }
}
