//! The text files in an installation's folder: those that the product writes, and what is read from them.
//!
//! | | |
//! |---|---|
//! | here | `server.xml` and `conf.properties` as written, and the settings of a recovery file |
//! | `tomcat` | the connectors of a `server.xml`, and their keystores, as Tomcat reads them |
//! | `apache` | `server.crt` and `server.key`, as Apache reads them |
//! | `java_hashtable` | the order in which Java lists the aliases of a keystore |
//!
//! The driver decides on their paths and writes them; nothing here touches a file.

mod apache;
mod java_hashtable;
mod tomcat;

use crate::id::DomainId;
use crate::trust::{Kcs, Password};

pub use apache::{ApacheError, ApacheFile, KeyTrouble, read_apache};
pub use tomcat::{
    CertificateSource, Connector, ConnectorKeystore, REST_PORT, ServerXmlError, TomcatError, connector,
    connector_after, connectors,
};

/// Writes `tomcat/conf/server.xml`, with the connector of the REST API on this port [C S38; the attribute R; the rest A].
pub fn server_xml(password: &Password, port: u16) -> String {
    let password = quick_xml::escape::escape(password.reveal());
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Server port=\"8765\" shutdown=\"SHUTDOWN\">\n\
         \x20 <Service name=\"SCM\">\n\
         \x20   <Connector port=\"{port}\" protocol=\"HTTP/1.1\" SSLEnabled=\"true\" scheme=\"https\" secure=\"true\"\n\
         \x20     sslProtocol=\"TLS\" keystoreFile=\"etc/keystore.jks\" keystorePass=\"{password}\"/>\n\
         \x20 </Service>\n\
         </Server>\n"
    )
}

/// The content of `tomcat/etc/conf.properties`: present by default from 14.2 [C S21].
pub fn conf_properties() -> &'static str {
    "scm.duplicatedhwkey.fix.enabled=true\n\
     scm.duplicatedhwkey.fix.client.csnreset.count=3\n\
     scm.duplicatedhwkey.fix.client.csnreset.time.range=86400000\n"
}

/// The settings in a recovery zip: the encryption password, from which the shared secret derives, and the identifier of
/// the default domain [C S7; the form A].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverySettings {
    /// The shared secret of the site.
    pub secret: Kcs,
    /// The identifier of the default domain.
    pub domain: DomainId,
}

impl RecoverySettings {
    /// Writes the settings as in the zip.
    pub fn to_text(&self) -> String {
        format!("encryption.password={}\ndefault.domain.id={}\n", self.secret, self.domain)
    }

    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// The name of the first setting that is missing or malformed.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let value = |name: &'static str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
            line.ok_or(name)
        };
        let (secret, domain) = ("encryption.password", "default.domain.id");
        Ok(Self {
            secret: value(secret)?.parse().map_err(|_| secret)?,
            domain: value(domain)?.parse().map_err(|_| domain)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connector_that_is_written_is_the_one_that_is_read() {
        let password = Password::new("a<\"b&'>ü");
        let read = connector(&server_xml(&password, 9446), None).unwrap();
        let CertificateSource::Keystore(keystore) = read.source else { panic!("a keystore") };
        assert_eq!((read.port, keystore.file.as_deref()), (Some(9446), Some("etc/keystore.jks")));
        assert_eq!(keystore.password.reveal(), password.reveal());
        assert!(keystore.alias.is_none() && keystore.key_password.is_none());
    }

    #[test]
    fn settings_come_back_as_they_were_and_what_is_missing_is_named() {
        let settings = RecoverySettings {
            secret: Kcs::derive(7),
            domain: "0123456789ABCDEF0123456789ABCDEF".parse().unwrap(),
        };
        assert_eq!(RecoverySettings::parse(&settings.to_text()), Ok(settings));
        assert_eq!(RecoverySettings::parse("default.domain.id=x"), Err("encryption.password"));
    }
}
