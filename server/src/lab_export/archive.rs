//! The archive itself: its folder, the dates of its entries, and where a file is in it.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use epm_client_agent::wire::machine_date;
use epm_protocol::time::Timestamp;
use zip::write::SimpleFileOptions;
use zip::{DateTime, ZipArchive, ZipWriter};

/// The database in the file, and in a data folder.
pub(super) const DATABASE: &str = "lab.db";

/// Writes an archive of these parts, and of a database if there is one, all in one folder that is named after what the archive has,
/// the site and the time. Each entry has the date at which the archive is made, in UTC.
pub(crate) fn pack(
    (what, site): (&str, &str),
    parts: &[(String, Vec<u8>)],
    database: Option<&Path>,
    out: &mut (impl Write + Seek),
) -> io::Result<()> {
    let now = machine_date();
    let folder = format!("{what}-{}-{}", file_name(site), now.civil().strftime("%Y%m%dT%H%M%SZ"));
    let mut zip = ZipWriter::new(out);
    let options = SimpleFileOptions::default().unix_permissions(0o600).large_file(true);
    // ZIP archives have no dates before 1980.
    let options = options.last_modified_time(date(now).unwrap_or_default());
    for (name, bytes) in parts {
        zip.start_file(format!("{folder}/{name}"), options).map_err(io::Error::other)?;
        zip.write_all(bytes)?;
    }
    if let Some(database) = database {
        zip.start_file(format!("{folder}/{DATABASE}"), options).map_err(io::Error::other)?;
        io::copy(&mut File::open(database)?, &mut zip)?;
    }
    zip.finish().map_err(io::Error::other)?.flush()
}

/// The path of the folder that has this file, with its slash; empty if the file is not in one, as in archives of earlier versions.
pub(crate) fn folder_of<R: Read + Seek>(zip: &ZipArchive<R>, file: &str) -> Option<String> {
    if zip.index_for_name(file).is_some() {
        return Some(String::new());
    }
    let folder = |name: &str| {
        let folder = name.strip_suffix(file)?;
        (folder.find('/') == Some(folder.len().checked_sub(1)?)).then(|| folder.to_owned())
    };
    zip.file_names().filter_map(Result::ok).find_map(|name| folder(&name))
}

/// A name as a part of a path.
pub(crate) fn file_name(name: &str) -> String {
    let allowed = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.chars().map(allowed).collect();
    if name.starts_with('.') { format!("_{name}") } else { name }
}

/// A date in the form of archives, to two seconds; none before 1980.
fn date(now: Timestamp) -> Option<DateTime> {
    let at = now.civil();
    let field = |number: i8| u8::try_from(number).unwrap_or_default();
    let (year, month, day) = (u16::try_from(at.year()).ok()?, field(at.month()), field(at.day()));
    let (hour, minute, second) = (field(at.hour()), field(at.minute()), field(at.second()));
    DateTime::from_date_and_time(year, month, day, hour, minute, second).ok()
}
