//! Why an installation folder cannot be used, and why a service does not start with its files.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use epm_protocol::installation::{ApacheError, ServerXmlError, TomcatError};
use epm_protocol::trust::{KeystoreError, StoreError};

use super::recovery::RecoveryError;
use crate::runtime::service::Service;

/// Why an installation folder cannot be created, read or written.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// The folder cannot be written or read.
    #[error("cannot write or read the installation in {folder}: {source}")]
    Files {
        /// Folder of the installation, as it was given.
        folder: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Another lab has the folder.
    #[error(
        "the installation in {folder} is in use by another lab{by}; stop that one, or choose another folder"
    )]
    InUse {
        /// Folder of the installation, as it was given.
        folder: PathBuf,
        /// Process of the other lab, as ", process N", where it is known.
        by: String,
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
    File { file: String, source: io::Error },
    #[error("tomcat/conf/server.xml: {0}")]
    ServerXml(#[from] ServerXmlError),
    #[error("tomcat/conf/server.xml: Failed to initialize component [Connector[HTTP/1.1-{port}]]: {why}")]
    Port { port: String, why: String },
    #[error("({number}){why}: AH00072: make_sock: could not bind to address {address}")]
    WebPort { address: SocketAddr, number: i32, why: String },
    #[error(transparent)]
    Tomcat(#[from] TomcatError),
    #[error(transparent)]
    Apache(#[from] ApacheError),
    #[error("{0}")]
    Store(Box<KeystoreError>),
    #[error("the site refuses the files of its own manager: {0}")]
    Site(#[from] epm_protocol::site::CommandError),
}

impl StoreTrouble {
    /// The port of the console cannot be opened, in Java's words.
    pub(crate) fn port(port: u16, error: &io::Error) -> Self {
        let why = if error.kind() == io::ErrorKind::AddrInUse {
            "java.net.BindException: Address already in use".to_owned()
        } else {
            error.to_string()
        };
        Self::Port { port: port.to_string(), why }
    }
}

impl StoreTrouble {
    /// A port of a service cannot be opened: that of clients in Apache's words.
    pub(crate) fn port_of(service: Service, address: SocketAddr, error: &io::Error) -> Self {
        if service == Service::Semsrv {
            return Self::port(address.port(), error);
        }
        let number = error.raw_os_error().unwrap_or_default();
        let why = error.to_string();
        let why = why.strip_suffix(&format!(" (os error {number})")).unwrap_or(&why).to_owned();
        Self::WebPort { address, number, why }
    }
}

impl From<KeystoreError> for StoreTrouble {
    fn from(error: KeystoreError) -> Self {
        Self::Store(Box::new(error))
    }
}
