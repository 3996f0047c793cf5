//! The installation folder of a manager, laid out like the product's.
//!
//! | path | content | read when |
//! |---|---|---|
//! | `tomcat/conf/server.xml` | the connector, with the keystore's password [C S38, R] | `semsrv` starts |
//! | `tomcat/etc/keystore.jks` | the console's store [C S4] | `semsrv` starts |
//! | `tomcat/etc/conf.properties` | settings [C S21] | never |
//! | `apache/conf/ssl/server.crt`, `server.key` | the clients' port's store [C S4] | `semwebsrv` starts |
//! | `Server Private Key Backup/recovery_<timestamp>.zip` | one for each change of certificate [C S7, S36] | the lab starts; restored from in an otherwise empty folder |
//! | `data/outbox/agent/<group>/` | files for the clients of a group [C S26, S34] | never |
//! | `data/inbox/log/ersecreg.log` | the secret [C S35], and peers with another secret [C S9] | never |
//! | `tomcat/logs/`, `apache/logs/` | why a service does not start, and access logs; see `logs` | never |
//!
//! An update writes the files of its stores. A file that was replaced since a service last read it is overwritten, as
//! the product's wizard is assumed to do, and the manager's log says so.
//!
//! Must never happen: a partially written file, a private key that others can read, a password or private key in a
//! log.

#[cfg(test)]
mod crash_tests;
mod files;
mod logs;
mod recovery;
pub(crate) mod sync;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use data_encoding::HEXLOWER;
use epm_protocol::assumption::Assumptions;
use epm_protocol::installation::{
    RecoverySettings, ServerXmlError, conf_properties, keystore_password, server_xml,
};
use epm_protocol::site::{Publication, Stores};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{
    Kcs, KeyStore, KeystoreError, Password, Salts, ServerIdentity, StoreError, StoreForm, StoreOptions,
    read_identity_with,
};
use parking_lot::{Mutex, MutexGuard};

pub(crate) use logs::Access;
pub(crate) use recovery::pack_update_package;
pub use recovery::{RecoveryError, RecoveryFile, read_recovery};

use crate::runtime::service::Service;
use files::Written;
use logs::{Log, Logs};

const SERVER_XML: &str = "tomcat/conf/server.xml";
const KEYSTORE: &str = "tomcat/etc/keystore.jks";
const CONF_PROPERTIES: &str = "tomcat/etc/conf.properties";
const CERTIFICATE: &str = "apache/conf/ssl/server.crt";
const KEY: &str = "apache/conf/ssl/server.key";
const BACKUPS: &str = "Server Private Key Backup";
/// Files that are written together.
const STORES: [&str; 5] = [SERVER_XML, KEYSTORE, CONF_PROPERTIES, CERTIFICATE, KEY];
/// Maximum number of bytes read from a file.
const MAX_BYTES: u64 = 1024 * 1024;
/// The installation folder of a manager.
#[derive(Debug)]
pub(crate) struct Installation {
    root: PathBuf,
    logs: Logs,
    assumptions: Arc<Assumptions>,
    /// Digest of each store file when a service last read it or an update last wrote it.
    known: Mutex<BTreeMap<&'static str, Vec<u8>>>,
}

/// The contents for a manager's files.
pub(crate) struct Stored<'a> {
    /// Identity in the console's store.
    pub(crate) console: &'a ServerIdentity,
    /// Identity in the store of the clients' port.
    pub(crate) client: &'a ServerIdentity,
    /// Other contents of a recovery file.
    pub(crate) settings: &'a RecoverySettings,
}

/// Why an installation folder cannot be created, read or written.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// The folder cannot be written or read.
    #[error("cannot write or read the installation in {folder}: {source}")]
    Files {
        /// The folder.
        folder: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The operating system's random generator failed.
    #[error("the operating system's random generator failed")]
    NoRandom,
    /// A keystore cannot be written.
    #[error("the keystore cannot be written: {0}")]
    Keystore(#[from] StoreError),
    /// A recovery zip cannot be written.
    #[error("the recovery file cannot be written: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// A recovery zip cannot be read.
    #[error(transparent)]
    Recovery(#[from] Box<RecoveryError>),
    /// The site refuses what the folder holds.
    #[error("the site refuses what the installation holds: {0}")]
    Site(#[from] epm_protocol::site::CommandError),
    /// The manager is unknown.
    #[error("there is no manager {0:?}")]
    NoManager(String),
}

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreTrouble {
    #[error("{file} cannot be read: {source}")]
    File { file: &'static str, source: io::Error },
    #[error("{file}: {source}")]
    ServerXml { file: &'static str, source: ServerXmlError },
    #[error("{0}")]
    Store(Box<KeystoreError>),
}

impl From<KeystoreError> for StoreTrouble {
    fn from(error: KeystoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl Installation {
    /// Opens the installation in this folder, and completes or undoes an interrupted write.
    pub(crate) fn open(root: &Path, assumptions: &Arc<Assumptions>) -> Result<Self, InstallationError> {
        let installation = Self {
            root: root.to_owned(),
            logs: Logs::new(root, assumptions),
            assumptions: Arc::clone(assumptions),
            known: Mutex::new(BTreeMap::new()),
        };
        fs::create_dir_all(root)
            .and_then(|()| files::recover(root, &STORES))
            .and_then(|()| files::sweep(&root.join(BACKUPS)))
            .map_err(|e| installation.bad(e))?;
        Ok(installation)
    }

    /// Whether the folder holds the files of a manager.
    pub(crate) fn is_laid_out(&self) -> bool {
        [SERVER_XML, KEYSTORE, CERTIFICATE].iter().any(|path| self.root.join(path).exists())
    }

    /// Writes these stores, then a recovery file; in an empty folder, everything.
    pub(crate) fn write_stores(
        &self,
        kept: &Stored<'_>,
        stores: Stores,
        now: Timestamp,
    ) -> Result<(), InstallationError> {
        // The current password is kept; a rotation tool may have changed it.
        let (xml, password) = match self.password() {
            Ok((xml, password)) => (xml, password),
            Err(_) => {
                let password = new_password()?;
                (server_xml(&password), password)
            }
        };
        let mut salts = Salts::from_seed(random()?);
        let keystore = jks(kept.console, &self.assumptions.keystore_alias, &password, &mut salts, now)?;
        let key = kept.client.key_pem(None, &mut salts)?;
        let console: [(&'static str, &[u8], bool); 2] =
            [(SERVER_XML, xml.as_bytes(), true), (KEYSTORE, &keystore, true)];
        let certificate = kept.client.certificates_pem();
        let client = [(CERTIFICATE, certificate.as_bytes(), false), (KEY, key.as_bytes(), true)];
        let meant: Vec<_> = match stores {
            Stores::Both => console.into_iter().chain(client).collect(),
            Stores::Console => console.into_iter().collect(),
            Stores::Client => client.into_iter().collect(),
        };
        for (path, ..) in &meant {
            if self.is_unread(path) {
                self.warn(now, &format!("{path} was replaced, and no service had read it: overwriting it"));
            }
        }
        let mut set: Vec<Written> = meant
            .iter()
            .map(|(path, content, secret)| Written {
                path: (*path).to_owned(),
                content: content.to_vec(),
                secret: *secret,
            })
            .collect();
        if !self.root.join(CONF_PROPERTIES).exists() {
            let content = conf_properties().into();
            set.push(Written { path: CONF_PROPERTIES.to_owned(), content, secret: false });
        }
        // The recovery file comes first: it is harmless until the stores change.
        self.write_zip(&keystore, &xml, kept.settings, now)?;
        files::write_together(&self.root, &set).map_err(|error| self.bad(error))?;
        for (path, content, _) in meant {
            self.know(path, content);
        }
        Ok(())
    }

    /// Writes a recovery file if the newest one differs, because a tool has replaced the files.
    pub(crate) fn write_recovery(&self, kept: &Stored<'_>, now: Timestamp) -> Result<(), InstallationError> {
        if !self.assumptions.recovery_after_files {
            return Ok(());
        }
        let (newest, _) = self.recoveries();
        if newest.is_some_and(|one| one.identity == *kept.console && one.settings == *kept.settings) {
            return Ok(());
        }
        let Ok((xml, password)) = self.password() else { return Ok(()) };
        let alias = &self.assumptions.keystore_alias;
        let keystore = jks(kept.console, alias, &password, &mut Salts::from_seed(random()?), now)?;
        self.write_zip(&keystore, &xml, kept.settings, now)
    }

    fn write_zip(
        &self,
        keystore: &[u8],
        xml: &str,
        settings: &RecoverySettings,
        now: Timestamp,
    ) -> Result<(), InstallationError> {
        let stamp = now.civil().strftime("%Y-%m-%d-%H-%M-%S").to_string();
        let zip = recovery::pack(now, keystore, xml, (&self.assumptions.recovery_settings_name, settings))?;
        let name = (0..1000)
            .map(|number| match number {
                0 => format!("{BACKUPS}/recovery_{stamp}.zip"),
                again => format!("{BACKUPS}/recovery_{stamp}_{again:03}.zip"),
            })
            .find(|name| !self.root.join(name).exists());
        match name {
            Some(name) => files::write(&self.root, &name, &zip, true).map_err(|error| self.bad(error)),
            None => Ok(()),
        }
    }

    /// The newest usable recovery file, and the errors of newer ones.
    pub(crate) fn recoveries(&self) -> (Option<RecoveryFile>, Vec<InstallationError>) {
        let found = fs::read_dir(self.root.join(BACKUPS)).into_iter().flatten();
        let mut paths: Vec<PathBuf> = found
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "zip"))
            .collect();
        paths.sort();
        let mut broken = Vec::new();
        for path in paths.iter().rev() {
            let read = read_bounded(path)
                .map_err(|error| self.bad(error))
                .and_then(|bytes| Ok(read_recovery(&path.display().to_string(), &bytes).map_err(Box::new)?));
            match read {
                Ok(file) => return (Some(file), broken),
                Err(error) => broken.push(error),
            }
        }
        (None, broken)
    }

    /// Reads the current contents of a service's store.
    pub(crate) fn read_store(&self, service: Service) -> Result<ServerIdentity, StoreTrouble> {
        let rules = &self.assumptions.wizard_rules();
        match service {
            Service::Semsrv => {
                let (xml, password) = self.password()?;
                self.know(SERVER_XML, xml.as_bytes());
                let content = self.read(KEYSTORE)?;
                self.know(KEYSTORE, &content);
                let store = KeyStore::read(&content, KEYSTORE, None, &password)?;
                // Tomcat takes the entry of that name, or else the only key [R].
                let alias = self.assumptions.keystore_alias.as_str();
                Ok(store.identity(store.has(alias).then_some(alias), &password, rules)?)
            }
            Service::Semwebsrv => {
                let (certificate, key) = (self.read(CERTIFICATE)?, self.read(KEY)?);
                self.know(CERTIFICATE, &certificate);
                self.know(KEY, &key);
                Ok(read_identity_with(&certificate, CERTIFICATE, &key, KEY, None, rules)?)
            }
        }
    }

    /// Writes the changed files for the clients of each group.
    pub(crate) fn write_outbox(&self, publication: &Publication) -> Result<(), InstallationError> {
        for (group, published) in publication.groups() {
            for (name, content) in published.outbox() {
                let path = format!("data/outbox/agent/{group}/{name}");
                if fs::read(self.root.join(&path)).is_ok_and(|before| before == content) {
                    continue;
                }
                files::write(&self.root, &path, &content, false).map_err(|error| self.bad(error))?;
            }
        }
        Ok(())
    }

    /// Logs why a service does not start, or that it has started.
    pub(crate) fn note(&self, service: Service, now: Timestamp, trouble: Option<&StoreTrouble>) {
        let moment = moment(now);
        let (log, line) = match (service, trouble) {
            // The level and the words "Unexpected server error" are the product's [C S22, S42b]; the rest is assumed
            // [A].
            (Service::Semsrv, Some(trouble)) => {
                (Log::Server, format!("{moment} SEVERE: Unexpected server error. {trouble}"))
            }
            (Service::Semsrv, None) => (Log::Server, format!("{moment} INFO: semsrv has started")),
            (Service::Semwebsrv, Some(trouble)) => (
                Log::WebError,
                format!(
                    "[{moment}] [ssl:emerg] AH02311: Fatal error initialising mod_ssl, exiting: {trouble}"
                ),
            ),
            (Service::Semwebsrv, None) => {
                (Log::WebError, format!("[{moment}] [mpm:notice] semwebsrv has started"))
            }
        };
        self.logs.add(log, now, &line);
    }

    /// Logs a warning in the manager's log.
    pub(crate) fn warn(&self, now: Timestamp, what: &str) {
        tracing::warn!(folder = %self.root.display(), "{what}");
        self.logs.add(Log::Server, now, &format!("{} WARNING: {what}", moment(now)));
    }

    /// Logs a request to one of the web servers.
    pub(crate) fn accessed(
        &self,
        service: Service,
        access: &Access,
        now: Timestamp,
        (status, bytes): (u16, u64),
    ) {
        let log = if service == Service::Semsrv { Log::ApiAccess } else { Log::WebAccess };
        self.logs.add(log, now, &access.line(now, status, bytes));
    }

    /// Logs a message with another secret, in the product's two lines [C S9].
    pub(crate) fn bad_format(&self, peer: IpAddr, now: Timestamp) {
        for line in ["4 Bad format.".to_owned(), format!("<{peer}>--FAILED")] {
            self.logs.add(Log::Registration, now, &line);
        }
    }

    /// Logs the secret, which is visible in that log [C S35]; the wording is assumed [A].
    pub(crate) fn note_secret(&self, secret: &Kcs, now: Timestamp) {
        self.logs.add(Log::Registration, now, &format!("KCS={secret}"));
    }

    /// Files that were replaced or removed, and neither read by a service nor written by an update since.
    pub(crate) fn unread(&self) -> Vec<&'static str> {
        let is_gone = |path: &str| self.known().contains_key(path) && !self.root.join(path).exists();
        STORES.into_iter().filter(|path| self.is_unread(path) || is_gone(path)).collect()
    }

    /// Whether a file was replaced and neither read by a service nor written by an update since.
    fn is_unread(&self, path: &'static str) -> bool {
        let Ok(content) = read_bounded(&self.root.join(path)) else { return false };
        self.known().get(path).is_some_and(|known| *known != digest(&SHA256, &content).as_ref())
    }

    fn know(&self, path: &'static str, content: &[u8]) {
        self.known().insert(path, digest(&SHA256, content).as_ref().to_vec());
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<&'static str, Vec<u8>>> {
        self.known.lock()
    }

    fn password(&self) -> Result<(String, Password), StoreTrouble> {
        let xml = String::from_utf8_lossy(&self.read(SERVER_XML)?).into_owned();
        let password =
            keystore_password(&xml).map_err(|source| StoreTrouble::ServerXml { file: SERVER_XML, source })?;
        Ok((xml, password))
    }

    fn read(&self, file: &'static str) -> Result<Vec<u8>, StoreTrouble> {
        read_bounded(&self.root.join(file)).map_err(|source| StoreTrouble::File { file, source })
    }

    fn bad(&self, source: io::Error) -> InstallationError {
        InstallationError::Files { folder: self.root.clone(), source }
    }
}

fn moment(now: Timestamp) -> String {
    now.civil().strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()
}

/// A recovery file of a manager's current state with a new password, like the console's backup.
pub(crate) fn back_up(
    kept: &Stored<'_>,
    assumptions: &Assumptions,
    now: Timestamp,
) -> Result<Vec<u8>, InstallationError> {
    let password = new_password()?;
    let alias = &assumptions.keystore_alias;
    let keystore = jks(kept.console, alias, &password, &mut Salts::from_seed(random()?), now)?;
    let settings = (assumptions.recovery_settings_name.as_str(), kept.settings);
    Ok(recovery::pack(now, &keystore, &server_xml(&password), settings)?)
}

/// The console's keystore, as the manager writes it.
fn jks(
    identity: &ServerIdentity,
    alias: &str,
    password: &Password,
    salts: &mut Salts,
    created: Timestamp,
) -> Result<Vec<u8>, InstallationError> {
    let options = StoreOptions { form: StoreForm::Jks, alias, password, key_password: None, created };
    Ok(identity.to_keystore(&options, salts)?)
}

fn new_password() -> Result<Password, InstallationError> {
    Ok(Password::new(&HEXLOWER.encode(&random()?[..16])))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    Ok(content)
}

fn random() -> Result<[u8; 32], InstallationError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| InstallationError::NoRandom)?;
    Ok(bytes)
}
