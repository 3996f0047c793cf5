//! Reads the connectors of `server.xml` as Tomcat 9 does, and chooses the key in a keystore as its Java does.
//!
//! Attributes of the connector and the nested `SSLHostConfig` and `Certificate` are read. A test compares the choices
//! and the refusals with Tomcat itself.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::escape::{resolve_predefined_entity, unescape_with};
use quick_xml::events::{BytesStart, Event};

use super::java_hashtable;
use crate::trust::{KeyStore, KeystoreError, Password, ServerIdentity, StoreError, StoreType, WizardRules};

/// The product's port of the REST API.
pub const REST_PORT: u16 = 8446;
/// The largest number of elements within each other: the product's file has 7.
const MOST_LEVELS: usize = 64;
/// The largest number of bytes that entities may make of one attribute.
const MOST_EXPANDED: usize = 1024 * 1024;
/// The name of the host configuration for clients that name no host, unless the connector names another.
const DEFAULT_HOST: &str = "_default_";
/// The password of a keystore if none is given.
const DEFAULT_PASSWORD: &str = "changeit";

/// A connector that serves HTTPS.
#[derive(Clone, Debug)]
pub struct Connector {
    /// The port of the connector; none if it is missing or no number.
    pub port: Option<u16>,
    /// Where the connector has its certificate and key.
    pub source: CertificateSource,
}

/// Where a connector has its certificate and key.
#[derive(Clone, Debug)]
pub enum CertificateSource {
    /// In a keystore.
    Keystore(ConnectorKeystore),
    /// In PEM files.
    Pem {
        /// The path of the certificate.
        certificate: String,
        /// The path of the key.
        key: String,
        /// The path of the certificates of the issuers.
        chain: Option<String>,
        /// The password of the key.
        password: Option<Password>,
    },
}

/// The keystore of a connector, with the defaults of Tomcat.
#[derive(Clone, Debug)]
pub struct ConnectorKeystore {
    /// The path, as written; none where the user's `.keystore` is meant.
    pub file: Option<String>,
    /// The type, as written; JKS by default.
    pub store_type: String,
    /// The password of the keystore.
    pub password: Password,
    /// The alias of the key; the first key in Java's order if none.
    pub alias: Option<String>,
    /// The password of the key; that of the keystore if none.
    pub key_password: Option<Password>,
}

/// The reason why Tomcat does not load a `server.xml`, or does not serve HTTPS with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerXmlError {
    /// The file is not well-formed XML.
    #[error("not well-formed XML: {detail}")]
    Xml {
        /// The message of the XML parser.
        detail: String,
    },
    /// An element is refused.
    #[error("{detail}")]
    Refused {
        /// Tomcat's message.
        detail: String,
    },
    /// No connector serves HTTPS.
    #[error("no Connector with SSLEnabled=\"true\", so nothing would serve HTTPS")]
    NoConnector,
    /// A connector has no usable host configuration.
    #[error("the Connector on port {port}: {detail}")]
    NoCertificate {
        /// The port of the connector; -1 if it is missing or no number.
        port: i32,
        /// Tomcat's message.
        detail: String,
    },
}

/// The reason why Tomcat cannot use a keystore: its message, then the finding of the lab.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {message}{}", .finding.as_ref().map(|finding| format!(" ({finding})")).unwrap_or_default())]
pub struct TomcatError {
    /// The path of the keystore.
    pub file: String,
    /// Tomcat's message, or the lab's where Tomcat serves what the lab cannot.
    pub message: String,
    /// What the lab found in the file.
    pub finding: Option<Box<KeystoreError>>,
}

/// Reads the connectors for HTTPS, in the order of the file.
///
/// # Errors
///
/// When Tomcat would not load the file.
pub fn connectors(xml: &str) -> Result<Vec<Result<Connector, ServerXmlError>>, ServerXmlError> {
    let found = elements(xml)?;
    let mut connectors = Vec::new();
    for connector in &found {
        let protocol = connector.get("protocol").unwrap_or("HTTP/1.1").to_ascii_uppercase();
        if protocol.contains("AJP") || !connector.get("SSLEnabled").is_some_and(is_true) {
            continue;
        }
        connectors.push(connector.read()?);
    }
    Ok(connectors)
}

/// Chooses the connector that the lab serves as its REST API: the one of this port, else the one of the product's port,
/// else the first for HTTPS.
///
/// # Errors
///
/// When Tomcat would not load the file, or no connector serves HTTPS, or the chosen one cannot.
pub fn connector(xml: &str, port: Option<u16>) -> Result<Connector, ServerXmlError> {
    connector_after(xml, port, 0).map(|(_, connector)| connector)
}

/// Chooses as [`connector`] does, but the connector at this place instead of the first: its port was changed since it was
/// chosen. Returns its place too.
///
/// # Errors
///
/// As [`connector`].
pub fn connector_after(
    xml: &str,
    port: Option<u16>,
    before: usize,
) -> Result<(usize, Connector), ServerXmlError> {
    let mut found = connectors(xml)?;
    let port_of = |one: &Result<Connector, ServerXmlError>| match one {
        Ok(connector) => connector.port,
        Err(ServerXmlError::NoCertificate { port, .. }) => u16::try_from(*port).ok(),
        Err(_) => None,
    };
    let of = |wanted: u16| found.iter().position(|one| port_of(one) == Some(wanted));
    let place = port.and_then(of).or_else(|| of(REST_PORT)).unwrap_or(before);
    let place = if place < found.len() { place } else { 0 };
    if found.is_empty() {
        return Err(ServerXmlError::NoConnector);
    }
    Ok((place, found.swap_remove(place)?))
}

impl ConnectorKeystore {
    /// The type of keystore that the connector names; none if Java has none of that name.
    pub fn kind(&self) -> Option<StoreType> {
        match self.store_type.to_ascii_uppercase().as_str() {
            "JKS" => Some(StoreType::Jks),
            "JCEKS" => Some(StoreType::Jceks),
            "PKCS12" => Some(StoreType::Pkcs12),
            _ => None,
        }
    }

    /// Reads the key and certificates that Tomcat serves from this keystore; `path` is its name for messages.
    ///
    /// # Errors
    ///
    /// When Tomcat cannot use the keystore, or the lab cannot serve what is in it.
    pub fn identity(&self, content: &[u8], path: &str) -> Result<ServerIdentity, TomcatError> {
        let refused = |message: String, finding: Option<KeystoreError>| TomcatError {
            file: path.to_owned(),
            message,
            finding: finding.map(Box::new),
        };
        let Some(kind) = self.kind() else {
            let (kind, path) = (&self.store_type, self.file.as_deref().unwrap_or(path));
            let message =
                format!("Failed to load keystore type [{kind}] with path [{path}] due to [{kind} not found]");
            return Err(refused(message, None));
        };
        let store = KeyStore::read(content, path, None, &self.password).map_err(|finding| {
            let message = match &finding {
                KeystoreError::Store { reason, .. } if **reason == StoreError::Password => {
                    "Keystore was tampered with, or password was incorrect"
                }
                _ => "Invalid keystore format",
            };
            refused(message.to_owned(), Some(finding))
        })?;
        // Java reads PKCS#12 as JKS and the other way round, but JCEKS as itself alone.
        if (store.kind() == StoreType::Jceks) != (kind == StoreType::Jceks) {
            return Err(refused("Invalid keystore format".to_owned(), None));
        }
        let mut keys: Vec<String> = store
            .entries()
            .into_iter()
            .filter(|entry| entry.what.starts_with("a private key"))
            .map(|entry| entry.alias)
            .collect();
        if store.kind() != StoreType::Pkcs12 {
            let all: Vec<String> = store.entries().into_iter().map(|entry| entry.alias).collect();
            let order = java_hashtable::order(&all);
            keys.sort_by_key(|key| order.iter().position(|one| one == key));
        }
        let wanted = self.alias.as_ref().map(|alias| alias.to_lowercase());
        let chosen =
            keys.iter().find(|key| wanted.as_ref().is_none_or(|wanted| key.to_lowercase() == *wanted));
        let Some(alias) = chosen else {
            let alias = self.alias.as_deref().unwrap_or("null");
            return Err(refused(format!("Alias name [{alias}] does not identify a key entry"), None));
        };
        let password = self.key_password.as_ref().unwrap_or(&self.password);
        store.identity(Some(alias), password, &WizardRules::ALL).map_err(|finding| {
            let is_password = matches!(
                &finding,
                KeystoreError::Store { reason, .. } if matches!(**reason, StoreError::KeyPassword { .. })
            );
            let message = if is_password { "Cannot recover key" } else { "the lab cannot serve this key" };
            refused(message.to_owned(), Some(finding))
        })
    }
}

/// An element for TLS, with its attributes by their names with a small first letter, and the elements in it.
#[derive(Debug, Default)]
struct Element {
    attributes: BTreeMap<String, String>,
    children: Vec<Element>,
}

impl Element {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(&small(name)).map(String::as_str)
    }

    /// The connector of this element; an error in it is one of this connector alone.
    fn read(&self) -> Result<Result<Connector, ServerXmlError>, ServerXmlError> {
        let refused = |detail: String| ServerXmlError::Refused { detail };
        let port = self.get("port").and_then(|port| port.parse::<i32>().ok()).unwrap_or(-1);
        let name_of = |host: &Self| host.get("hostName").unwrap_or(DEFAULT_HOST).to_lowercase();
        // Attributes of the connector make a host configuration of their own.
        let own = OF_DEFAULT_HOST.iter().any(|name| self.get(name).is_some()).then_some(self);
        let mut hosts: BTreeMap<String, &Self> =
            own.map(|own| (DEFAULT_HOST.to_owned(), own)).into_iter().collect();
        for host in &self.children {
            let kinds = host.children.iter().map(|one| one.get("type").unwrap_or("UNDEFINED"));
            let kinds: Vec<&str> = kinds.collect();
            if let Some(unknown) = kinds.iter().find(|kind| !CERTIFICATE_TYPES.contains(kind)) {
                return Err(refused(format!(
                    "No enum constant org.apache.tomcat.util.net.SSLHostConfigCertificate.Type.{unknown}"
                )));
            }
            if kinds.len() > 1 && kinds.contains(&"UNDEFINED") {
                return Err(refused(
                    "Multiple certificates were specified and at least one is missing the required attribute type"
                        .to_owned(),
                ));
            }
            if hosts.insert(name_of(host), host).is_some() {
                return Err(refused(format!(
                    "Multiple SSLHostConfig elements were provided for the host name [{}]. Host names must be unique.",
                    name_of(host)
                )));
            }
        }
        let default = self.get("defaultSSLHostConfigName").unwrap_or(DEFAULT_HOST).to_lowercase();
        let none = |detail: String| Ok(Err(ServerXmlError::NoCertificate { port, detail }));
        let Some(host) = hosts.get(&default) else {
            return none(format!(
                "No SSLHostConfig element was found with the hostName [{default}] to match the \
                 defaultSSLHostConfigName for the connector"
            ));
        };
        // The lab serves RSA: of several certificates that one is meant.
        let certificate =
            host.children.iter().find(|one| one.get("type") == Some("RSA")).or(host.children.first());
        let source = match certificate {
            Some(certificate) => certificate.source("certificate"),
            None if std::ptr::eq(*host, self) => self.source("connector"),
            None => host.source("certificate"),
        };
        Ok(match source {
            Some(source) => Ok(Connector { port: u16::try_from(port).ok(), source }),
            None => {
                let detail =
                    "SSLHostConfig attribute certificateFile must be defined when using an SSL connector";
                Err(ServerXmlError::NoCertificate { port, detail: detail.to_owned() })
            }
        })
    }

    /// The certificate that the attributes of this element name; none if they name none.
    fn source(&self, of: &str) -> Option<CertificateSource> {
        let [file, kind, password, alias, key_password, certificate, key, chain] =
            if of == "connector" { OF_CONNECTOR } else { OF_CERTIFICATE };
        let text = |name: &str| self.get(name).map(str::to_owned);
        let secret = |name: &str| self.get(name).map(Password::new);
        let is_keystore = [file, kind, password, alias].iter().any(|name| self.get(name).is_some());
        if let Some(certificate) = text(certificate).filter(|_| self.get(file).is_none()) {
            let key = text(key).unwrap_or_else(|| certificate.clone());
            let password = secret(key_password);
            return Some(CertificateSource::Pem { certificate, key, chain: text(chain), password });
        }
        is_keystore.then(|| {
            CertificateSource::Keystore(ConnectorKeystore {
                file: text(file),
                store_type: text(kind).unwrap_or_else(|| "JKS".to_owned()),
                password: secret(password).unwrap_or_else(|| Password::new(DEFAULT_PASSWORD)),
                alias: text(alias),
                key_password: secret(key_password),
            })
        })
    }
}

/// Names of the attributes of a connector: file, type, password, alias and password of the key of a keystore; certificate,
/// key and chain in PEM.
const OF_CONNECTOR: [&str; 8] = [
    "keystoreFile",
    "keystoreType",
    "keystorePass",
    "keyAlias",
    "keyPass",
    "SSLCertificateFile",
    "SSLCertificateKeyFile",
    "SSLCertificateChainFile",
];
/// The same of a `Certificate`.
const OF_CERTIFICATE: [&str; 8] = [
    "certificateKeystoreFile",
    "certificateKeystoreType",
    "certificateKeystorePassword",
    "certificateKeyAlias",
    "certificateKeyPassword",
    "certificateFile",
    "certificateKeyFile",
    "certificateChainFile",
];
/// The values of the attribute `type` of a `Certificate`.
const CERTIFICATE_TYPES: [&str; 4] = ["UNDEFINED", "RSA", "DSA", "EC"];
/// The attributes of a connector that belong to the default host configuration.
const OF_DEFAULT_HOST: [&str; 34] = [
    "algorithm",
    "ciphers",
    "clientAuth",
    "crlFile",
    "keyAlias",
    "keyPass",
    "keystoreFile",
    "keystorePass",
    "keystoreProvider",
    "keystoreType",
    "sessionCacheSize",
    "sessionTimeout",
    "SSLCACertificateFile",
    "SSLCACertificatePath",
    "SSLCARevocationFile",
    "SSLCARevocationPath",
    "SSLCertificateChainFile",
    "SSLCertificateFile",
    "SSLCertificateKeyFile",
    "SSLCipherSuite",
    "SSLDisableCompression",
    "SSLDisableSessionTickets",
    "sslEnabledProtocols",
    "SSLHonorCipherOrder",
    "SSLPassword",
    "sslProtocol",
    "SSLProtocol",
    "SSLVerifyClient",
    "SSLVerifyDepth",
    "trustManagerClassName",
    "truststoreFile",
    "truststorePass",
    "truststoreType",
    "useServerCipherSuitesOrder",
];

/// The connectors of the services in a `server.xml`, whose properties `${catalina.base}` and `${catalina.home}` become
/// `.`.
fn elements(xml: &str) -> Result<Vec<Element>, ServerXmlError> {
    let broken = |detail: String| ServerXmlError::Xml { detail };
    let mut reader = Reader::from_str(xml.strip_prefix('\u{FEFF}').unwrap_or(xml));
    let (mut path, mut entities) = (Vec::<String>::new(), BTreeMap::new());
    let (mut connectors, mut has_root) = (Vec::<Element>::new(), false);
    loop {
        let event = reader.read_event().map_err(|error| broken(error.to_string()))?;
        let (element, is_empty) = match event {
            Event::Start(element) => (element, false),
            Event::Empty(element) => (element, true),
            Event::End(_) => {
                path.pop();
                continue;
            }
            Event::DocType(text) => {
                entities = declared(&text);
                continue;
            }
            Event::Eof if path.is_empty() && has_root => return Ok(connectors),
            Event::Eof => return Err(broken("it ends before the last element does".to_owned())),
            _ => continue,
        };
        has_root = true;
        path.push(String::from_utf8_lossy(element.name().as_ref().as_ref()).into_owned());
        if path.len() > MOST_LEVELS {
            return Err(broken(format!("its elements are more than {MOST_LEVELS} levels deep")));
        }
        let is_within =
            |names: &[&str]| path.iter().eq(["Server", "Service", "Connector"].iter().chain(names));
        let found = Element { attributes: attributes(&element, &entities)?, children: Vec::new() };
        if is_within(&[]) {
            connectors.push(found);
        } else if is_within(&["SSLHostConfig"]) {
            connectors.last_mut().into_iter().for_each(|one| one.children.push(Element::default()));
            if let Some(host) = connectors.last_mut().and_then(|one| one.children.last_mut()) {
                *host = found;
            }
        } else if is_within(&["SSLHostConfig", "Certificate"])
            && let Some(host) = connectors.last_mut().and_then(|one| one.children.last_mut())
        {
            host.children.push(found);
        }
        if is_empty {
            path.pop();
        }
    }
}

fn attributes(
    element: &BytesStart<'_>,
    entities: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ServerXmlError> {
    let broken = |detail: String| ServerXmlError::Xml { detail };
    let mut found = BTreeMap::new();
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| broken(error.to_string()))?;
        let resolve =
            |name: &str| resolve_predefined_entity(name).or_else(|| entities.get(name).map(String::as_str));
        // Of a few entities a file can make much more text than it has.
        let longest = entities.values().map(String::len).max().unwrap_or_default();
        if attribute.value.matches('&').count().saturating_mul(longest) > MOST_EXPANDED {
            return Err(broken(format!(
                "its entities make more than {MOST_EXPANDED} bytes of one attribute"
            )));
        }
        let value = unescape_with(&attribute.value, resolve).map_err(|error| broken(error.to_string()))?;
        let value = ["${catalina.base}", "${catalina.home}"]
            .iter()
            .fold(value.into_owned(), |value, property| value.replace(property, "."));
        found.insert(small(&String::from_utf8_lossy(attribute.key.as_ref().as_ref())), value);
    }
    Ok(found)
}

/// The entities that a document type declares with a text.
fn declared(doctype: &str) -> BTreeMap<String, String> {
    let mut entities = BTreeMap::new();
    for declaration in doctype.split("<!ENTITY").skip(1) {
        let mut words = declaration.trim_start().splitn(2, char::is_whitespace);
        let (Some(name), Some(rest)) = (words.next(), words.next()) else { continue };
        let rest = rest.trim_start();
        let Some(quote) = rest.chars().next().filter(|quote| matches!(quote, '"' | '\'')) else { continue };
        if let Some((value, _)) = rest[1..].split_once(quote) {
            let value =
                unescape_with(value, resolve_predefined_entity).map_or(value.into(), Into::<String>::into);
            entities.insert(name.to_owned(), value);
        }
    }
    entities
}

/// Java's name of a property: the first letter of an attribute may be large or small.
fn small(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests;
