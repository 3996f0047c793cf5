//! The recovery zip: `Server Private Key Backup/recovery_<timestamp>.zip` [C S7, S36].
//!
//! It holds the encryption password, the keystore and the identifier of the default domain [C S7], and the settings of the
//! server [R]. How the files in it are named is assumed [A].

use std::io::{Cursor, Read, Write};

use epm_client_agent::wire::IN_PACKAGE;
use epm_protocol::installation::{RecoverySettings, ServerXmlError, keystore_password};
use epm_protocol::sylink::Sylink;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{KeyStore, KeystoreError, ServerIdentity, StoreType, WizardRules};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{DateTime, ZipArchive, ZipWriter};

/// The most bytes that a file in it may have.
const MAX_BYTES: u64 = 1024 * 1024;
/// The most files that it may have.
const MAX_FILES: usize = 100;

/// What a recovery zip restores.
#[derive(Clone, Debug)]
pub struct RecoveryFile {
    /// The server certificate and its key.
    pub identity: ServerIdentity,
    /// The shared secret and the default domain.
    pub settings: RecoverySettings,
    /// The files in it.
    pub files: Vec<String>,
}

/// Why a recovery zip cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// It is no zip, or a broken one.
    #[error("{file} is no recovery file: {source}")]
    Zip {
        /// The file.
        file: String,
        /// What is wrong.
        source: ZipError,
    },
    /// A file is not in it.
    #[error("{file} is no recovery file: there is no {expected} in it; it holds: {found}")]
    Missing {
        /// The file.
        file: String,
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
    /// Something in it is too large, or there is too much of it.
    #[error("{file} is no recovery file: {what} is larger than any that a manager writes")]
    TooLarge {
        /// The file.
        file: String,
        /// What.
        what: String,
    },
    /// A setting is missing or broken.
    #[error("{file}: the setting {setting} in it is missing or broken")]
    Setting {
        /// The file.
        file: String,
        /// The setting.
        setting: &'static str,
    },
    /// The password of the keystore cannot be found.
    #[error("{file}: in its server.xml: {source}")]
    ServerXml {
        /// The file.
        file: String,
        /// What is wrong.
        source: ServerXmlError,
    },
    /// The keystore cannot be used.
    #[error("{file}: {source}")]
    Keystore {
        /// The file.
        file: String,
        /// What is wrong.
        source: Box<KeystoreError>,
    },
}

/// A moment, as the names of recovery zips bear it.
pub(super) fn stamp(now: Timestamp) -> String {
    now.civil().strftime("%Y-%m-%d-%H-%M-%S").to_string()
}

/// The zip with these files of an installation; the moment is in their names.
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
    // An archive has no dates before 1980.
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

/// A communication update package: an archive with nothing but the communications file [the form A].
pub(crate) fn pack_update_package(sylink: &Sylink) -> Result<Vec<u8>, ZipError> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(IN_PACKAGE, SimpleFileOptions::default().unix_permissions(0o600))?;
    zip.write_all(&sylink.to_bytes())?;
    Ok(zip.finish()?.into_inner())
}

/// Reads a recovery zip; `file` is its name, for messages.
///
/// # Errors
///
/// When it is none, or what it holds cannot be used.
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
            return Err(RecoveryError::Missing { file: name(), expected, found: files.join(", ") });
        };
        let entry = zip.by_name(found).map_err(broken)?;
        let mut content = zeroize::Zeroizing::new(Vec::new());
        entry.take(MAX_BYTES + 1).read_to_end(&mut content).map_err(|error| broken(ZipError::Io(error)))?;
        if content.len() as u64 > MAX_BYTES {
            return Err(RecoveryError::TooLarge { file: name(), what: found.clone() });
        }
        Ok((found.clone(), content))
    };
    let (keystore_name, keystore) = take("keystore", ".jks", "keystore_<timestamp>.jks")?;
    let (_, xml) = take("server", ".xml", "server_<timestamp>.xml")?;
    let (_, settings) = take("", ".properties", "settings_<timestamp>.properties")?;
    let password = keystore_password(&String::from_utf8_lossy(&xml))
        .map_err(|source| RecoveryError::ServerXml { file: name(), source })?;
    let settings = RecoverySettings::parse(&String::from_utf8_lossy(&settings))
        .map_err(|setting| RecoveryError::Setting { file: name(), setting })?;
    let identity = KeyStore::read(&keystore, &keystore_name, Some(StoreType::Jks), &password)
        .and_then(|store| store.identity(None, &password, &WizardRules::default()))
        .map_err(|source| RecoveryError::Keystore { file: name(), source: Box::new(source) })?;
    Ok(RecoveryFile { identity, settings, files })
}
