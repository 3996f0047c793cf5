//! Opens files that a program keeps in a folder of its own and writes to again and again, such as logs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a file, and never what a symbolic link in its place leads to, a pipe or a device: another account may have put it
/// there.
///
/// # Errors
///
/// When the file cannot be opened, or is not a regular file.
pub fn open_own(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return Err(not_a_file(path)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(_) | Err(_) => {}
    }
    // A link or a pipe may have come in between.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options.custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_a_file(path)) }
}

/// Reads at most so many bytes of a regular file, to which a link may lead. A pipe, whose reader would wait without end, is refused.
///
/// # Errors
///
/// When the file cannot be read, is not regular, or is larger.
pub fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file =
        OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut content = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        let text = format!("it is larger than the {most} bytes that are read at most");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(content)
}

fn not_a_file(path: &Path) -> io::Error {
    let text = format!("{} is a link or not a regular file; it is not written to: remove it", path.display());
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_in_the_place_of_a_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "kept").unwrap();
        symlink(&target, &link).unwrap();
        let error = open_own(OpenOptions::new().write(true).create(true).truncate(true), &link).unwrap_err();
        assert!(error.to_string().contains("is a link"), "{error}");
        open_own(OpenOptions::new().append(true), &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"kept");
        assert!(open_own(OpenOptions::new().read(true).write(true), folder.path()).is_err());
    }
}
