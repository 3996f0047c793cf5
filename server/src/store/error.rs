//! Why a store cannot be read or written.

use std::io;
use std::path::PathBuf;

/// Why the data folder of a lab cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be created or read.
    #[error("cannot use the data folder {}: {source}", folder.display())]
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
}
