//! The communication update package: the communications file in a folder or an archive, as the console exports it for
//! clients that have lost their manager [C S2; the form A].

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use epm_protocol::excerpt::excerpts;
use epm_protocol::sylink::xml::SIZE_LIMIT;
use epm_protocol::sylink::{Sylink, SylinkError};
use zip::ZipArchive;
use zip::result::ZipError;

/// The name of the communications file in a package.
pub const IN_PACKAGE: &str = "sylink.xml";
/// The largest number of files in an archive.
const MOST: usize = 1000;
/// The largest size of a communications file in bytes, in any encoding.
const LARGEST: u64 = 2 * SIZE_LIMIT as u64 + 1;

/// The reason why no communications file could be read.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The archive cannot be read.
    #[error("{}: this archive cannot be read: {source}", path.display())]
    Archive {
        /// The path of the archive.
        path: PathBuf,
        /// The error of the archive.
        source: ZipError,
    },
    /// The archive contains no communications file, or several.
    #[error("{}: expected one {IN_PACKAGE} in this archive, found {found}", path.display())]
    NotOne {
        /// The path of the archive.
        path: PathBuf,
        /// What the archive contains.
        found: String,
    },
    /// The communications file is invalid.
    #[error("{}: {source}", path.display())]
    Sylink {
        /// The path of the file.
        path: PathBuf,
        /// The error, with its position in the file.
        source: SylinkError,
    },
}

/// Reads the communications file of a package: in a folder, in an archive, or a file that is one itself. Its name is
/// matched without regard to case, as in Windows.
///
/// # Errors
///
/// When there is none, several, or an invalid one.
pub fn read_package(path: &Path) -> Result<Sylink, PackageError> {
    let failed = |source| PackageError::Io { path: path.to_owned(), source };
    let path = if path.is_dir() { in_folder(path).map_err(failed)? } else { path.to_owned() };
    let failed = |source| PackageError::Io { path: path.clone(), source };
    let mut file = File::open(&path).map_err(failed)?;
    let mut start = Vec::new();
    (&mut file).take(4).read_to_end(&mut start).map_err(failed)?;
    let bytes = if start.len() == 4 && start.starts_with(b"PK") {
        in_archive(&path, file)?
    } else {
        // Of a pipe, what was read does not come again.
        bounded(start.as_slice().chain(file)).map_err(failed)?
    };
    Sylink::parse_bytes(&bytes).map_err(|source| PackageError::Sylink { path, source })
}

/// The path of the communications file in a folder; the expected path if there is none.
fn in_folder(folder: &Path) -> io::Result<PathBuf> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().eq_ignore_ascii_case(IN_PACKAGE) {
            return Ok(entry.path());
        }
    }
    Ok(folder.join(IN_PACKAGE))
}

fn in_archive(path: &Path, file: File) -> Result<Vec<u8>, PackageError> {
    let broken = |source| PackageError::Archive { path: path.to_owned(), source };
    let mut archive = ZipArchive::new(file).map_err(broken)?;
    let not_one = |found| PackageError::NotOne { path: path.to_owned(), found };
    if archive.len() > MOST {
        return Err(not_one(format!("{} files", archive.len())));
    }
    let names: Vec<String> = archive
        .file_names()
        .map(|one| one.map(std::borrow::Cow::into_owned))
        .collect::<Result<_, _>>()
        .map_err(broken)?;
    let last = |name: &&String| {
        name.rsplit(['/', '\\']).next().is_some_and(|it| it.eq_ignore_ascii_case(IN_PACKAGE))
    };
    let found: Vec<&String> = names.iter().filter(last).collect();
    let [name] = found[..] else {
        let list: Vec<&String> = if found.is_empty() { names.iter().collect() } else { found };
        let found = excerpts(list.iter().map(|name| name.as_str()), str::to_owned);
        return Err(not_one(if list.is_empty() { "nothing".to_owned() } else { found }));
    };
    let entry = archive.by_name(name).map_err(broken)?;
    bounded(entry).map_err(|error| broken(ZipError::Io(error)))
}

/// Reads one byte more than is allowed, so that too large a file is noticed.
fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
