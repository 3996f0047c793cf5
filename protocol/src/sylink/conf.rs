//! The element `CommConf`: what a manager tells a client about communication.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::excerpt::excerpt;

use super::attributes;
use super::error::SylinkError;
use super::list::ClientServerList;
use super::settings::AgentCommunication;
use super::xml::{Element, Position};

const CERTIFICATES: &str = "ServerCertList";
const CERTIFICATE: &str = "Certificate";

/// The communication settings, the servers and their certificates.
///
/// Reading returns what was written, provided that there is a server, every server has an address, every certificate a
/// body, the secret 32 digits, port and heartbeat are above 0, and no text has a character that XML cannot hold.
/// Writing does not check this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommConf {
    /// The communication settings.
    pub settings: AgentCommunication,
    /// The management server list.
    pub list: ClientServerList,
    /// The certificates that the client trusts, in the order of the file. [R, the element]
    pub certificates: Vec<NamedCertificate>,
}

/// A certificate in a client's communications file. [R, the element and its form]
#[derive(Clone, PartialEq, Eq)]
pub struct NamedCertificate {
    /// The name of the certificate in the file; what it names is not known [U, its use]. Empty if absent.
    pub name: String,
    /// The certificate in DER, uninterpreted.
    pub der: Bytes,
}

impl CommConf {
    /// The name of the element. [C S17]
    pub(super) const ELEMENT: &str = "CommConf";

    /// Reads a `CommConf`. Its parts may stand anywhere below it, since where the product has them is
    /// partly recalled [R, all but `RegisterClient`]; each may appear once.
    ///
    /// # Errors
    /// When a part is missing, repeated or malformed.
    pub fn from_element(element: &Element) -> Result<Self, SylinkError> {
        let certificates = part(element, CERTIFICATES)?;
        Ok(Self {
            settings: AgentCommunication::from_element(required_part(element, AgentCommunication::ELEMENT)?)?,
            list: ClientServerList::from_element(required_part(element, ClientServerList::ELEMENT)?)?,
            certificates: certificates
                .into_iter()
                .flat_map(|list| list.children_named(CERTIFICATE))
                .map(NamedCertificate::from_element)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Makes a `CommConf` element of these values.
    pub fn to_element(&self) -> Element {
        let mut element = Element::new(Self::ELEMENT);
        self.write_into(&mut element);
        element
    }

    /// Changes a `CommConf` element to these values, and leaves everything unknown in it.
    pub(super) fn write_into(&self, element: &mut Element) {
        if element.descendant_mut(AgentCommunication::ELEMENT).is_none() {
            element.push(Element::new(AgentCommunication::ELEMENT));
        }
        if let Some(settings) = element.descendant_mut(AgentCommunication::ELEMENT) {
            let old = AgentCommunication::from_element(settings).ok().map(|old| old.values());
            attributes::write(settings, old.as_ref(), self.settings.values());
        }
        if element.descendant_mut(ClientServerList::ELEMENT).is_none() {
            element.insert_after(AgentCommunication::ELEMENT, Element::new(ClientServerList::ELEMENT));
        }
        if let Some(list) = element.descendant_mut(ClientServerList::ELEMENT) {
            self.list.write_into(list);
        }
        if element.descendant_mut(CERTIFICATES).is_none() && !self.certificates.is_empty() {
            element.insert_after(ClientServerList::ELEMENT, Element::new(CERTIFICATES));
        }
        if let Some(list) = element.descendant_mut(CERTIFICATES) {
            self.write_certificates(list);
        }
    }

    fn write_certificates(&self, list: &mut Element) {
        let mut known: Vec<_> = list.children_named(CERTIFICATE).cloned().collect();
        let certificates = self.certificates.iter().map(|certificate| {
            let name = |element: &Element| element.attribute("Name").unwrap_or_default() == certificate.name;
            let mut element = match known.iter().position(name) {
                Some(old) => known.remove(old),
                None => Element::new(CERTIFICATE).with("Name", &certificate.name),
            };
            if NamedCertificate::from_element(&element).as_ref() != Ok(certificate) {
                element.set_text(&STANDARD.encode(&certificate.der));
            }
            element
        });
        let certificates = certificates.collect();
        list.replace_children(CERTIFICATE, certificates);
    }
}

impl NamedCertificate {
    fn from_element(element: &Element) -> Result<Self, SylinkError> {
        let name = element.attribute("Name").unwrap_or_default().to_owned();
        // The body may have line breaks and indentation.
        let body: String = element.text().split_whitespace().collect();
        let found = match STANDARD.decode(&body) {
            Ok(der) if der.is_empty() => "nothing".to_owned(),
            Ok(der) => return Ok(Self { name, der: der.into() }),
            Err(error) => error.to_string(),
        };
        let Position { line, column } = element.position();
        Err(SylinkError::BadCertificate { name: excerpt(&name), line, column, found })
    }
}

impl fmt::Debug for NamedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({} bytes)", self.name, self.der.len())
    }
}

/// The only element of this name below a `CommConf`, if there is one.
fn part<'a>(conf: &'a Element, name: &'static str) -> Result<Option<&'a Element>, SylinkError> {
    match conf.descendants_named(name)[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        [_, second, ..] => Err(SylinkError::repeated_element(conf, name, second)),
    }
}

fn required_part<'a>(conf: &'a Element, name: &'static str) -> Result<&'a Element, SylinkError> {
    part(conf, name)?.ok_or_else(|| SylinkError::missing_element(conf, name))
}
