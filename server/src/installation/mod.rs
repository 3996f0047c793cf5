//! The folder of a manager's installation, laid out as the product's.
//!
//! | place | what | read when |
//! |---|---|---|
//! | `tomcat/conf/server.xml` | the connector, with the keystore's password [C S38, R] | `semsrv` starts |
//! | `tomcat/etc/keystore.jks` | the console's store [C S4] | `semsrv` starts |
//! | `tomcat/etc/conf.properties` | settings [C S21] | never |
//! | `apache/conf/ssl/server.crt`, `server.key` | the clients' port's store [C S4] | `semwebsrv` starts |
//! | `Server Private Key Backup/recovery_<timestamp>.zip` | one for each change of certificate [C S7, S36] | the lab starts |
//! | `data/outbox/agent/<group>/` | what the clients of a group get [C S26, S34] | never |
//! | `data/inbox/log/ersecreg.log` | the secret [C S35], and whose secret does not fit [C S9] | never |
//! | `tomcat/logs/scm-server-0.log` [C S22], `apache/logs/error.log` [A] | why a service does not start | never |
//!
//! What must never be: a file that is there in part, a private key that others can read, a password or private key in a
//! log.

mod files;
mod living;
mod recovery;

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use epm_protocol::installation::{
    RecoverySettings, ServerXmlError, conf_properties, keystore_password, server_xml,
};
use epm_protocol::site::{Manager, Publication};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{
    ALIAS, Kcs, KeyStore, KeystoreError, Password, Salts, ServerIdentity, StoreError, StoreForm,
    StoreOptions, WizardRules, read_identity_with,
};

pub(crate) use living::Starting;
pub use recovery::{RecoveryError, RecoveryFile, read_recovery};

use crate::shared::Service;
use files::Written;

const SERVER_XML: &str = "tomcat/conf/server.xml";
const KEYSTORE: &str = "tomcat/etc/keystore.jks";
const CONF_PROPERTIES: &str = "tomcat/etc/conf.properties";
const CERTIFICATE: &str = "apache/conf/ssl/server.crt";
const KEY: &str = "apache/conf/ssl/server.key";
const BACKUPS: &str = "Server Private Key Backup";
const REGISTRATION_LOG: &str = "data/inbox/log/ersecreg.log";
const SERVER_LOG: &str = "tomcat/logs/scm-server-0.log";
const WEB_SERVER_LOG: &str = "apache/logs/error.log";
/// What is written together.
const STORES: [&str; 5] = [SERVER_XML, KEYSTORE, CONF_PROPERTIES, CERTIFICATE, KEY];
/// The most bytes that are read of a file.
const MAX_BYTES: u64 = 1024 * 1024;
/// When a log is so long, it becomes the one before, and the one before that goes [A].
const MAX_LOG_BYTES: u64 = 1024 * 1024;

/// The folder of a manager's installation.
#[derive(Debug)]
pub(crate) struct Installation {
    root: PathBuf,
}

/// Why an installation cannot be laid out or kept.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// The folder does not let itself be written or read.
    #[error("the installation in {folder} cannot be written or read: {source}")]
    Files {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The machine gives no random numbers.
    #[error("the machine gives no random numbers for a keystore")]
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
    /// There is no such manager.
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
    /// The installation in this folder; what an interruption has left half done is finished or taken back.
    pub(crate) fn open(root: &Path) -> Result<Self, InstallationError> {
        let installation = Self { root: root.to_owned() };
        fs::create_dir_all(root)
            .and_then(|()| files::recover(root, &STORES))
            .map_err(|e| installation.bad(e))?;
        Ok(installation)
    }

    /// Whether a manager was laid out here before.
    pub(crate) fn is_laid_out(&self) -> bool {
        [SERVER_XML, KEYSTORE, CERTIFICATE].iter().any(|path| self.root.join(path).exists())
    }

    /// Lays a manager out, or writes both its stores anew; then a recovery zip.
    pub(crate) fn write_stores(
        &self,
        manager: &Manager,
        settings: &RecoverySettings,
        now: Timestamp,
    ) -> Result<(), InstallationError> {
        // The password that is in use stays; who rotates may have changed it.
        let (xml, password) = match self.password() {
            Ok((xml, password)) => (xml, password),
            Err(_) => {
                let password = Password::new(&hex(&random()?[..16]));
                (server_xml(&password), password)
            }
        };
        let mut salts = Salts::from_seed(random()?);
        let options = StoreOptions {
            form: StoreForm::Jks,
            alias: ALIAS,
            password: &password,
            key_password: None,
            created: now,
        };
        let keystore = manager.console.to_keystore(&options, &mut salts)?;
        let key = manager.client.key_pem(None, &mut salts)?;
        let written =
            |path: &str, content: Vec<u8>, secret| Written { path: path.to_owned(), content, secret };
        let mut set = vec![
            written(SERVER_XML, xml.clone().into_bytes(), true),
            written(KEYSTORE, keystore.clone(), true),
            written(CERTIFICATE, manager.client.certificates_pem().into_bytes(), false),
            written(KEY, key.as_bytes().to_vec(), true),
        ];
        if !self.root.join(CONF_PROPERTIES).exists() {
            set.push(written(CONF_PROPERTIES, conf_properties().into(), false));
        }
        // The zip first: it is no use to anybody before the stores change, and no harm.
        let stamp = now.civil().strftime("%Y-%m-%d-%H-%M-%S").to_string();
        let zip = recovery::pack(&stamp, &keystore, &xml, settings)?;
        let name = (0..1000)
            .map(|number| match number {
                0 => format!("{BACKUPS}/recovery_{stamp}.zip"),
                again => format!("{BACKUPS}/recovery_{stamp}_{again:03}.zip"),
            })
            .find(|name| !self.root.join(name).exists());
        if let Some(name) = name {
            files::write(&self.root, &name, &zip, true).map_err(|error| self.bad(error))?;
        }
        files::write_together(&self.root, &set).map_err(|error| self.bad(error))
    }

    /// The newest recovery zip, if there is one.
    pub(crate) fn newest_recovery(&self) -> Result<Option<RecoveryFile>, InstallationError> {
        let Ok(found) = fs::read_dir(self.root.join(BACKUPS)) else { return Ok(None) };
        let newest = found
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "zip"))
            .max();
        let Some(path) = newest else { return Ok(None) };
        let bytes = read_bounded(&path).map_err(|error| self.bad(error))?;
        Ok(Some(read_recovery(&path.display().to_string(), &bytes).map_err(Box::new)?))
    }

    /// What the store of a service holds now.
    pub(crate) fn read_store(
        &self,
        service: Service,
        rules: &WizardRules,
    ) -> Result<ServerIdentity, StoreTrouble> {
        match service {
            Service::Semsrv => {
                let (_, password) = self.password()?;
                let store = KeyStore::read(&self.read(KEYSTORE)?, KEYSTORE, None, &password)?;
                // Tomcat takes the entry of that name, or else the only key [R].
                let named = store.entries().iter().any(|entry| entry.alias == ALIAS);
                Ok(store.identity(named.then_some(ALIAS), &password, rules)?)
            }
            Service::Semwebsrv => {
                let (certificate, key) = (self.read(CERTIFICATE)?, self.read(KEY)?);
                Ok(read_identity_with(&certificate, CERTIFICATE, &key, KEY, None, rules)?)
            }
        }
    }

    /// Writes what the clients of each group get, where it has changed.
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

    /// Says in the log of a service why it does not start, or that it has started.
    pub(crate) fn note(&self, service: Service, now: Timestamp, trouble: Option<&StoreTrouble>) {
        let moment = now.civil().strftime("%Y-%m-%d %H:%M:%S.%3f").to_string();
        let (path, line) = match (service, trouble) {
            // The level and the words "Unexpected server error" [C S22, S42b]; what follows [A].
            (Service::Semsrv, Some(trouble)) => {
                (SERVER_LOG, format!("{moment} SEVERE: Unexpected server error. {trouble}"))
            }
            (Service::Semsrv, None) => (SERVER_LOG, format!("{moment} INFO: semsrv has started")),
            (Service::Semwebsrv, Some(trouble)) => (
                WEB_SERVER_LOG,
                format!(
                    "[{moment}] [ssl:emerg] AH02311: Fatal error initialising mod_ssl, exiting: {trouble}"
                ),
            ),
            (Service::Semwebsrv, None) => {
                (WEB_SERVER_LOG, format!("[{moment}] [mpm:notice] semwebsrv has started"))
            }
        };
        self.append_or_say(path, &line);
    }

    /// A message whose secret does not fit: the product's two lines [C S9].
    pub(crate) fn bad_format(&self, peer: IpAddr) {
        for line in ["4 Bad format.".to_owned(), format!("<{peer}>--FAILED")] {
            self.append_or_say(REGISTRATION_LOG, &line);
        }
    }

    /// The secret is visible in that log [C S35]; in which words is assumed [A].
    pub(crate) fn note_secret(&self, secret: &Kcs) {
        self.append_or_say(REGISTRATION_LOG, &format!("KCS={secret}"));
    }

    fn append_or_say(&self, path: &str, line: &str) {
        if let Err(error) = self.append(path, line) {
            tracing::error!(%error, path, "a log cannot be written");
        }
    }

    fn append(&self, path: &str, line: &str) -> io::Result<()> {
        let place = self.root.join(path);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        if fs::metadata(&place).is_ok_and(|found| found.len() + line.len() as u64 > MAX_LOG_BYTES) {
            fs::rename(&place, place.with_extension("log.1"))?;
        }
        let line = line.replace(['\r', '\n'], " ");
        writeln!(OpenOptions::new().append(true).create(true).open(&place)?, "{line}")
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
