//! The installation folder of a manager, laid out like the product's.
//!
//! | path | content | read when |
//! |---|---|---|
//! | `tomcat/conf/server.xml` | the connector, with the keystore, its password and the key's alias [C S38, R] | `semsrv` starts |
//! | `tomcat/etc/keystore.jks`, or what `server.xml` names | the console's store [C S4] | `semsrv` starts |
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
mod error;
mod files;
mod logs;
mod recovery;
pub(crate) mod sync;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use data_encoding::HEXLOWER;
use epm_client_agent::wire::read_regular;
use epm_protocol::assumption::Assumptions;
use epm_protocol::installation::{
    ApacheFile, CertificateSource, Connector, ConnectorKeystore, REST_PORT, RecoverySettings, ServerXmlError,
    conf_properties, connector, connector_after, read_apache, server_xml,
};
use epm_protocol::site::{Publication, Stores};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{
    Kcs, Password, Salts, ServerIdentity, StoreForm, StoreOptions, StoreType, WizardRules, read_certificates,
    read_identity_with,
};
use parking_lot::{Mutex, MutexGuard};

pub use error::InstallationError;
pub(crate) use error::StoreTrouble;
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
/// The entries of an installation folder itself.
pub(crate) const ROOTS: [&str; 4] = ["tomcat", "apache", "data", BACKUPS];
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
    known: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Connector that the lab serves as the REST API.
    rest: Mutex<RestConnector>,
    /// Locked until the site stops or the process ends.
    lock: Mutex<Option<File>>,
}

/// The connector that the lab serves as the REST API, when it was last read.
#[derive(Clone, Copy, Debug, Default)]
struct RestConnector {
    /// Port at which the lab listens; none without the REST API.
    listening: Option<u16>,
    /// Port in `server.xml`; none before it was read.
    named: Option<u16>,
    /// Place among the connectors for HTTPS.
    place: usize,
}

/// The keystore that an update writes for the console, and the `server.xml` that names it.
struct ConsoleStore {
    path: String,
    xml: String,
    keystore: ConnectorKeystore,
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

impl Installation {
    /// Opens the installation in this folder, and completes or undoes an interrupted write.
    pub(crate) fn open(root: &Path, assumptions: &Arc<Assumptions>) -> Result<Self, InstallationError> {
        let lock = files::lock(root)?;
        let installation = Self {
            lock: Mutex::new(Some(lock)),
            root: root.to_owned(),
            logs: Logs::new(root, assumptions),
            assumptions: Arc::clone(assumptions),
            known: Mutex::new(BTreeMap::new()),
            rest: Mutex::default(),
        };
        fs::create_dir_all(root)
            .and_then(|()| files::recover(root, &STORES))
            .and_then(|()| files::sweep(root, BACKUPS))
            .map_err(|e| installation.bad(e))?;
        Ok(installation)
    }

    /// Lets another lab take the folder.
    pub(crate) fn release(&self) {
        *self.lock.lock() = None;
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
        let store = self.console_store()?;
        let mut salts = Salts::from_seed(random()?);
        let (path, xml) = (&store.path, &store.xml);
        let keystore = self.keystore(kept.console, &store.keystore, &mut salts, now)?;
        let key = kept.client.key_pem(None, &mut salts)?;
        let console: [(&str, &[u8], bool); 2] = [(SERVER_XML, xml.as_bytes(), true), (path, &keystore, true)];
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
        let zip = self.write_zip(&keystore, xml, kept.settings, now)?;
        if let Err(error) = files::write_together(&self.root, &set) {
            zip.iter().for_each(|zip| files::take_back(zip));
            return Err(self.bad(error));
        }
        for (path, content, _) in meant {
            self.know(path, content);
        }
        if let Ok((place, connector)) = self.connector_in(xml) {
            let mut rest = self.rest.lock();
            (rest.place, rest.named) = (place, connector.port);
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
        let store = self.console_store()?;
        let keystore = self.keystore(kept.console, &store.keystore, &mut Salts::from_seed(random()?), now)?;
        self.write_zip(&keystore, &store.xml, kept.settings, now).map(|_| ())
    }

    /// The keystore that the connector names, if it is a file of the folder that the lab can write; else a new one, with a
    /// new `server.xml`. The current password is kept; a rotation tool may have changed it.
    fn console_store(&self) -> Result<ConsoleStore, InstallationError> {
        let current = || {
            let xml = String::from_utf8_lossy(&self.read(SERVER_XML).ok()?).into_owned();
            let CertificateSource::Keystore(keystore) = self.connector_in(&xml).ok()?.1.source else {
                return None;
            };
            let place = self.place(keystore.file.as_deref());
            let path = place.strip_prefix(&self.root).ok()?.to_str()?.to_owned();
            let is_outside = place.components().any(|part| part == Component::ParentDir);
            let is_writable = matches!(keystore.kind()?, StoreType::Jks | StoreType::Pkcs12);
            (is_writable && !is_outside).then_some(ConsoleStore { path, xml, keystore })
        };
        if let Some(store) = current() {
            return Ok(store);
        }
        let password = new_password()?;
        let port = self.rest.lock().listening.unwrap_or(REST_PORT);
        let (xml, path) = (server_xml(&password, port), KEYSTORE.to_owned());
        Ok(ConsoleStore { path, xml, keystore: default_keystore(password) })
    }

    /// The bytes of a keystore with this identity that Tomcat reads with these settings.
    fn keystore(
        &self,
        identity: &ServerIdentity,
        settings: &ConnectorKeystore,
        salts: &mut Salts,
        created: Timestamp,
    ) -> Result<Vec<u8>, InstallationError> {
        written_keystore(identity, settings, &self.assumptions.keystore_alias, salts, created)
    }

    /// Sets the port at which the lab serves the REST API: the connector of this port counts.
    pub(crate) fn serves_rest_at(&self, port: u16) {
        self.rest.lock().listening = Some(port);
    }

    fn connector_in(&self, xml: &str) -> Result<(usize, Connector), ServerXmlError> {
        let rest = *self.rest.lock();
        connector_after(xml, rest.listening, rest.place)
    }

    /// Notes the port of the connector that Tomcat serves from now on. Returns it if it was changed in the file since the
    /// service last started: then the port of the REST API moves there. A port that was there from the start stays mapped
    /// to the one that the operator of the lab chose.
    fn port_moves(&self, place: usize, port: Option<u16>) -> Result<Option<u16>, StoreTrouble> {
        let port =
            port.ok_or(StoreTrouble::Port { port: "-1".to_owned(), why: "port out of range:-1".to_owned() })?;
        let mut rest = self.rest.lock();
        let before = rest.named.replace(port);
        rest.place = place;
        let is_moved = before.is_some_and(|before| before != port) && port != 0;
        Ok(rest.listening.is_some_and(|listening| is_moved && listening != port).then_some(port))
    }

    /// The place of a file that a connector names: relative to the folder of Tomcat. Paths of the product's machine lead
    /// into this folder.
    fn place(&self, named: Option<&str>) -> PathBuf {
        let base = self.root.join("tomcat");
        let named = named.unwrap_or(".keystore").replace('\\', "/");
        let named = named.strip_prefix("file:").map_or(named.as_str(), |path| {
            let path = path.trim_start_matches('/');
            if is_of_windows(path) { path } else { &named["file:".len()..] }
        });
        let path = if is_of_windows(named) {
            let lower = named.to_ascii_lowercase();
            match lower.rfind("/tomcat/") {
                Some(place) => base.join(&named[place + "/tomcat/".len()..]),
                None => base.join(named),
            }
        } else {
            base.join(named)
        };
        path.components().filter(|part| *part != Component::CurDir).collect()
    }

    /// The path of a file for messages: below the folder, where it is.
    fn shown(&self, place: &Path) -> String {
        place.strip_prefix(&self.root).unwrap_or(place).display().to_string()
    }

    fn write_zip(
        &self,
        keystore: &[u8],
        xml: &str,
        settings: &RecoverySettings,
        now: Timestamp,
    ) -> Result<Option<PathBuf>, InstallationError> {
        let stamp = now.civil().strftime("%Y-%m-%d-%H-%M-%S").to_string();
        let zip = recovery::pack(now, keystore, xml, (&self.assumptions.recovery_settings_name, settings))?;
        let name = (0..1000)
            .map(|number| match number {
                0 => format!("{BACKUPS}/recovery_{stamp}.zip"),
                again => format!("{BACKUPS}/recovery_{stamp}_{again:03}.zip"),
            })
            .find(|name| !self.root.join(name).exists());
        match name {
            Some(name) => {
                files::write(&self.root, &name, &zip, true)
                    .and_then(|()| files::settle(&self.root, &[&name]))
                    .map_err(|error| self.bad(error))?;
                Ok(Some(self.root.join(name)))
            }
            None => Ok(None),
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
            let read = read_regular(path, MAX_BYTES)
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
        self.read_for_start(service).map(|(identity, _)| identity)
    }

    /// Reads what a service that starts reads: the contents of its store, and the port to which it moves, if it does.
    pub(crate) fn read_for_start(
        &self,
        service: Service,
    ) -> Result<(ServerIdentity, Option<u16>), StoreTrouble> {
        match service {
            Service::Semsrv => {
                let xml = self.read(SERVER_XML)?;
                self.know(SERVER_XML, &xml);
                let (place, connector) = self.connector_in(&String::from_utf8_lossy(&xml))?;
                let named = |file: Option<&str>| {
                    let path = self.shown(&self.place(file));
                    let content = self.read(&path)?;
                    self.know(&path, &content);
                    Ok::<_, StoreTrouble>((path, content))
                };
                let identity = match connector.source {
                    CertificateSource::Keystore(keystore) => {
                        let (path, content) = named(keystore.file.as_deref())?;
                        keystore.identity(&content, &path)?
                    }
                    CertificateSource::Pem { certificate, key, chain, password } => {
                        let ((path, certificate), (key_path, key)) =
                            (named(Some(&certificate))?, named(Some(&key))?);
                        let (password, rules) = (password.as_ref(), &WizardRules::ALL);
                        let identity =
                            read_identity_with(&certificate, &path, &key, &key_path, password, rules)?;
                        match chain {
                            None => identity,
                            Some(chain) => {
                                let (path, chain) = named(Some(&chain))?;
                                identity.with_chain(read_certificates(&chain, &path)?)
                            }
                        }
                    }
                };
                Ok((identity, self.port_moves(place, connector.port)?))
            }
            Service::Semwebsrv => {
                let [certificate, key] = [CERTIFICATE, KEY].map(|path| match self.read(path) {
                    Ok(content) => {
                        self.know(path, &content);
                        Ok(Some(content))
                    }
                    Err(StoreTrouble::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                        Ok(None)
                    }
                    Err(trouble) => Err(trouble),
                });
                let (certificate, key) = (certificate?, key?);
                let file = |path, content| ApacheFile { path, content };
                let certificate = file(CERTIFICATE, certificate.as_deref());
                let refuses_weak = self.assumptions.web_server_refuses_weak;
                Ok((read_apache(certificate, file(KEY, key.as_deref()), refuses_weak)?, None))
            }
        }
    }

    /// Writes the changed files for the clients of each group.
    pub(crate) fn write_outbox(&self, publication: &Publication) -> Result<(), InstallationError> {
        for (group, published) in publication.groups() {
            for (name, content) in published.outbox() {
                let path = format!("data/outbox/agent/{group}/{name}");
                let most = content.len() as u64;
                if read_regular(&self.root.join(&path), most).is_ok_and(|before| before == content) {
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
        let lines = |level: &str, text: &str| format!("[{moment}] [{level}] {text}");
        match (service, trouble) {
            // The level and the words "Unexpected server error" are the product's [C S22, S42b]; the rest is assumed
            // [A].
            (Service::Semsrv, Some(trouble)) => {
                let line = format!("{moment} SEVERE: Unexpected server error. {trouble}");
                self.logs.add(Log::Server, now, &line);
            }
            (Service::Semsrv, None) => {
                self.logs.add(Log::Server, now, &format!("{moment} INFO: semsrv has started"));
            }
            // Codes and texts are Apache's.
            (Service::Semwebsrv, Some(StoreTrouble::Apache(error))) => {
                for (level, text) in error.lines() {
                    self.logs.add(Log::WebError, now, &lines(&format!("ssl:{level}"), &text));
                }
            }
            (Service::Semwebsrv, Some(trouble @ StoreTrouble::WebPort { .. })) => {
                for text in [trouble.to_string(), "AH00015: Unable to open logs".to_owned()] {
                    self.logs.add(Log::WebError, now, &lines("core:crit", &text));
                }
            }
            (Service::Semwebsrv, Some(trouble)) => {
                self.logs.add(Log::WebError, now, &lines("ssl:emerg", &trouble.to_string()));
            }
            (Service::Semwebsrv, None) => {
                self.logs.add(Log::WebError, now, &lines("mpm:notice", "semwebsrv has started"));
            }
        }
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
    pub(crate) fn unread(&self) -> Vec<String> {
        let known: Vec<String> = self.known().keys().cloned().collect();
        known.into_iter().filter(|path| self.is_unread(path) || !self.root.join(path).exists()).collect()
    }

    /// Whether a file was replaced and neither read by a service nor written by an update since.
    fn is_unread(&self, path: &str) -> bool {
        let found = match read_regular(&self.root.join(path), MAX_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
            // What cannot be read is not what was there: the next start of the service will say so.
            Err(_) => None,
            Ok(content) => Some(digest(&SHA256, &content)),
        };
        let differs = |known: &Vec<u8>| found.as_ref().is_none_or(|found| found.as_ref() != known.as_slice());
        self.known().get(path).is_some_and(differs)
    }

    fn know(&self, path: &str, content: &[u8]) {
        self.known().insert(path.to_owned(), digest(&SHA256, content).as_ref().to_vec());
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.known.lock()
    }

    fn read(&self, file: &str) -> Result<Vec<u8>, StoreTrouble> {
        read_regular(&self.root.join(file), MAX_BYTES)
            .map_err(|source| StoreTrouble::File { file: file.to_owned(), source })
    }

    fn bad(&self, source: io::Error) -> InstallationError {
        InstallationError::Files { folder: self.root.clone(), source }
    }
}

fn moment(now: Timestamp) -> String {
    now.civil().strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()
}

/// The port of the REST API in the files of an earlier run, or of a copied installation.
pub(crate) fn connector_port(root: &Path) -> Option<u16> {
    let xml = read_regular(&root.join(SERVER_XML), MAX_BYTES).ok()?;
    connector(&String::from_utf8_lossy(&xml), None).ok()?.port.filter(|port| *port > 0)
}

/// A recovery file of a manager's current state with a new password, like the console's backup.
pub(crate) fn back_up(
    kept: &Stored<'_>,
    assumptions: &Assumptions,
    now: Timestamp,
) -> Result<Vec<u8>, InstallationError> {
    let password = new_password()?;
    let (xml, settings) = (server_xml(&password, REST_PORT), default_keystore(password));
    let mut salts = Salts::from_seed(random()?);
    let keystore = written_keystore(kept.console, &settings, &assumptions.keystore_alias, &mut salts, now)?;
    let settings = (assumptions.recovery_settings_name.as_str(), kept.settings);
    Ok(recovery::pack(now, &keystore, &xml, settings)?)
}

/// The keystore that the lab's `server.xml` names.
fn default_keystore(password: Password) -> ConnectorKeystore {
    ConnectorKeystore { file: None, store_type: "JKS".to_owned(), password, alias: None, key_password: None }
}

/// The bytes of a keystore that Tomcat reads with these settings; `alias` is meant if they name none.
fn written_keystore(
    identity: &ServerIdentity,
    settings: &ConnectorKeystore,
    alias: &str,
    salts: &mut Salts,
    created: Timestamp,
) -> Result<Vec<u8>, InstallationError> {
    let ConnectorKeystore { password, key_password, .. } = settings;
    let form = if settings.kind() == Some(StoreType::Pkcs12) { StoreForm::Pkcs12 } else { StoreForm::Jks };
    let alias = settings.alias.as_deref().unwrap_or(alias);
    let options = StoreOptions { form, alias, password, key_password: key_password.as_ref(), created };
    Ok(identity.to_keystore(&options, salts)?)
}

/// Whether a path begins with a drive of Windows.
fn is_of_windows(path: &str) -> bool {
    matches!(path.as_bytes(), [drive, b':', b'/', ..] if drive.is_ascii_alphabetic())
}

fn new_password() -> Result<Password, InstallationError> {
    Ok(Password::new(&HEXLOWER.encode(&random()?[..16])))
}

fn random() -> Result<[u8; 32], InstallationError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| InstallationError::NoRandom)?;
    Ok(bytes)
}
