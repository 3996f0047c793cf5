//! The text files in an installation's folder: those that the product writes, and what is read from them.
//!
//! The driver decides on their paths and writes them; nothing here touches a file.

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::id::DomainId;
use crate::trust::{Kcs, Password};

/// The attributes that hold a keystore's password: of Tomcat's connector, and of its certificate in newer
/// versions [R].
const PASSWORD_ATTRIBUTES: [&str; 2] = ["keystorePass", "certificateKeystorePassword"];

/// The reason why no password was found in a `server.xml`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerXmlError {
    /// The file is not well-formed XML.
    #[error("not well-formed XML: {detail}")]
    Xml {
        /// The message of the XML parser.
        detail: String,
    },
    /// No connector has a password.
    #[error("no Connector with a keystorePass")]
    NoPassword,
}

/// Writes `tomcat/conf/server.xml`, with the connector of the REST API [C S38; the attribute R; the rest A].
pub fn server_xml(password: &Password) -> String {
    let password = quick_xml::escape::escape(password.reveal());
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Server port=\"8765\" shutdown=\"SHUTDOWN\">\n\
         \x20 <Service name=\"SCM\">\n\
         \x20   <Connector port=\"8446\" protocol=\"HTTP/1.1\" SSLEnabled=\"true\" scheme=\"https\" secure=\"true\"\n\
         \x20     sslProtocol=\"TLS\" keystoreFile=\"etc/keystore.jks\" keystorePass=\"{password}\"/>\n\
         \x20 </Service>\n\
         </Server>\n"
    )
}

/// Reads the keystore's password from a `server.xml`: that of the first connector that has one.
///
/// # Errors
///
/// When there is none, or the file is not XML.
pub fn keystore_password(xml: &str) -> Result<Password, ServerXmlError> {
    let broken = |detail: String| ServerXmlError::Xml { detail };
    let mut reader = Reader::from_str(xml);
    loop {
        let event = reader.read_event().map_err(|error| broken(error.to_string()))?;
        let (Event::Start(element) | Event::Empty(element)) = event else {
            if matches!(event, Event::Eof) {
                return Err(ServerXmlError::NoPassword);
            }
            continue;
        };
        for name in PASSWORD_ATTRIBUTES {
            let found = element.try_get_attribute(name).map_err(|error| broken(error.to_string()))?;
            let Some(found) = found else { continue };
            let text =
                quick_xml::escape::unescape(&found.value).map_err(|error| broken(error.to_string()))?;
            return Ok(Password::new(&text));
        }
    }
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
    fn the_password_that_is_written_is_the_one_that_is_read() {
        let password = Password::new("a<\"b&'>ü");
        assert_eq!(keystore_password(&server_xml(&password)).unwrap().reveal(), password.reveal());
    }

    #[test]
    fn the_certificate_of_a_newer_tomcat_has_one_too_and_none_is_said_to_be_none() {
        let newer = "<Server><Connector><SSLHostConfig><Certificate certificateKeystorePassword='x'/>\
                     </SSLHostConfig></Connector></Server>";
        assert_eq!(keystore_password(newer).unwrap().reveal(), "x");
        assert_eq!(keystore_password("<Server/>").unwrap_err(), ServerXmlError::NoPassword);
        assert!(matches!(keystore_password("<Server"), Err(ServerXmlError::Xml { .. })));
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
