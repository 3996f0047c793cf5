//! Why a lab cannot be exported or imported.

use std::io;
use std::path::PathBuf;

use epm_protocol::trust::StandInError;
use zip::result::ZipError;

use crate::store::StoreError;

/// Why a lab cannot be exported or imported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder has no lab whose first start was completed.
    #[error("{} has no lab that a start has completed; `epm-lab up --data FOLDER` makes one", folder.display())]
    NoLab {
        /// The folder, as it was given.
        folder: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// File that was read or written.
        file: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The archive is malformed.
    #[error("{}: not an archive of a lab: {source}", file.display())]
    Zip {
        /// File that was read or written.
        file: PathBuf,
        /// Error of the library.
        source: ZipError,
    },
    /// The archive is not one of a lab, or one that this version cannot read.
    #[error("{}: {why}", file.display())]
    Unusable {
        /// File that was read or written.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A foreign certificate for which there is no stand-in.
    #[error("nothing can stand in for the foreign certificate {certificate:?}: {source}")]
    StandIn {
        /// The common name of the certificate.
        certificate: String,
        /// What is wrong.
        source: StandInError,
    },
    /// Import into a folder that has something.
    #[error("{} is there and not empty; choose another folder", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
}
