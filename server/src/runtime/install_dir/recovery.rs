//! The recovery file: `Server Private Key Backup/recovery_<timestamp>.zip` [C S7, S36].
//!
//! It contains the encryption password, the keystore and the identifier of the default domain [C S7], and the
//! settings of the server [R]. The file names inside are assumed [A].

use std::io::{Cursor, Read, Write};

use epm_client_agent::wire::IN_PACKAGE;
use epm_protocol::excerpt::{excerpt, excerpts};
use epm_protocol::installation::{
    CertificateSource, RecoverySettings, ServerXmlError, TomcatError, connector,
};
use epm_protocol::sylink::Sylink;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::ServerIdentity;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{DateTime, ZipArchive, ZipWriter};

/// Maximum size of a file in the archive, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;
/// Maximum number of files in the archive.
const MAX_FILES: usize = 100;

/// Contents of a recovery file.
#[derive(Clone, Debug)]
pub struct RecoveryFile {
    /// Server certificate and private key.
    pub identity: ServerIdentity,
    /// Shared secret and default domain.
    pub settings: RecoverySettings,
    /// Names of the files in the archive.
    pub files: Vec<String>,
}

/// Why a recovery file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The file is not a valid ZIP archive.
    #[error("invalid recovery file {file}: {source}")]
    Zip {
        /// Name of the recovery file.
        file: String,
        /// Error of the ZIP reader.
        source: ZipError,
    },
    /// A required file is missing in the archive.
    #[error("invalid recovery file {file}: expected it to contain {expected}, found: {found}")]
    Missing {
        /// Name of the recovery file.
        file: String,
        /// Name of the missing file.
        expected: &'static str,
        /// Names of the files found.
        found: String,
    },
    /// The archive exceeds a limit.
    #[error("invalid recovery file {file}: {what} exceeds what a manager writes")]
    TooLarge {
        /// Name of the recovery file.
        file: String,
        /// What exceeds its limit.
        what: String,
    },
    /// A setting is missing or invalid.
    #[error("invalid recovery file {file}: the setting {setting} is missing or invalid")]
    Setting {
        /// Name of the recovery file.
        file: String,
        /// Name of the setting.
        setting: &'static str,
    },
    /// The keystore's password cannot be read.
    #[error("invalid recovery file {file}: server.xml: {source}")]
    ServerXml {
        /// Name of the recovery file.
        file: String,
        /// Error in server.xml.
        source: ServerXmlError,
    },
    /// The keystore cannot be used.
    #[error("{file}: {source}")]
    Keystore {
        /// Name of the recovery file.
        file: String,
        /// Error of the keystore.
        source: Box<TomcatError>,
    },
}

/// A time as used in the names of recovery files.
pub(super) fn stamp(now: Timestamp) -> String {
    now.civil().strftime("%Y-%m-%d-%H-%M-%S").to_string()
}

/// Packs these files of an installation into a recovery file; their names contain the time.
pub(super) fn pack(
    now: Timestamp,
    keystore: &[u8],
    server_xml: &str,
    (name, settings): (&str, &RecoverySettings),
) -> Result<Vec<u8>, ZipError> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let (at, stamp) = (now.civil(), stamp(now));
    let field = |number: i8| u8::try_from(number).unwrap_or_default();
    let date = (u16::try_from(at.year()).unwrap_or_default(), field(at.month()), field(at.day()));
    let time = (field(at.hour()), field(at.minute()), field(at.second()));
    let written = DateTime::from_date_and_time(date.0, date.1, date.2, time.0, time.1, time.2);
    // ZIP archives have no dates before 1980.
    let options = SimpleFileOptions::default().unix_permissions(0o600);
    let options = options.last_modified_time(written.unwrap_or_default());
    let settings = settings.to_text();
    let files = [
        (format!("keystore_{stamp}.jks"), keystore),
        (format!("server_{stamp}.xml"), server_xml.as_bytes()),
        (format!("{name}_{stamp}.properties"), settings.as_bytes()),
    ];
    for (name, content) in files {
        zip.start_file(name, options)?;
        zip.write_all(content)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// A communication update package: an archive with only the communications file [format A].
pub(crate) fn pack_update_package(sylink: &Sylink) -> Result<Vec<u8>, ZipError> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(IN_PACKAGE, SimpleFileOptions::default().unix_permissions(0o600))?;
    zip.write_all(&sylink.to_bytes())?;
    Ok(zip.finish()?.into_inner())
}

/// Reads a recovery file; `file` is its name for messages.
///
/// # Errors
///
/// When the archive is invalid, or its contents cannot be used.
pub fn read_recovery(file: &str, bytes: &[u8]) -> Result<RecoveryFile, RecoveryError> {
    let name = || file.to_owned();
    let broken = |source| RecoveryError::Zip { file: file.to_owned(), source };
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    if zip.len() > MAX_FILES {
        return Err(RecoveryError::TooLarge { file: name(), what: "the number of files in it".to_owned() });
    }
    let files: Vec<String> = zip
        .file_names()
        .map(|one| one.map(std::borrow::Cow::into_owned))
        .collect::<Result<_, _>>()
        .map_err(broken)?;
    let mut take = |start: &str, end: &str, expected: &'static str| {
        let found = files.iter().find(|one| {
            let last = one.rsplit('/').next().unwrap_or(one);
            last.starts_with(start) && last.ends_with(end)
        });
        let Some(found) = found else {
            let found = excerpts(files.iter().map(String::as_str), str::to_owned);
            return Err(RecoveryError::Missing { file: name(), expected, found });
        };
        let entry = zip.by_name(found).map_err(broken)?;
        let mut content = zeroize::Zeroizing::new(Vec::new());
        entry.take(MAX_BYTES + 1).read_to_end(&mut content).map_err(|error| broken(ZipError::Io(error)))?;
        if content.len() as u64 > MAX_BYTES {
            return Err(RecoveryError::TooLarge { file: name(), what: excerpt(found) });
        }
        Ok((found.clone(), content))
    };
    let (keystore_name, keystore) = take("keystore", ".jks", "keystore_<timestamp>.jks")?;
    let (_, xml) = take("server", ".xml", "server_<timestamp>.xml")?;
    let (_, settings) = take("", ".properties", "settings_<timestamp>.properties")?;
    let connector = connector(&String::from_utf8_lossy(&xml), None)
        .map_err(|source| RecoveryError::ServerXml { file: name(), source })?;
    let CertificateSource::Keystore(settings_of_keystore) = connector.source else {
        return Err(RecoveryError::Setting { file: name(), setting: "keystoreFile in server.xml" });
    };
    let settings = RecoverySettings::parse(&String::from_utf8_lossy(&settings))
        .map_err(|setting| RecoveryError::Setting { file: name(), setting })?;
    let identity = settings_of_keystore
        .identity(&keystore, &keystore_name)
        .map_err(|source| RecoveryError::Keystore { file: name(), source: Box::new(source) })?;
    Ok(RecoveryFile { identity, settings, files })
}
