//! The element `ServerList`: the managers that a client knows.

use std::str::FromStr;

use super::attributes::{self, Values, flag, port, required, written_flag};
use super::error::SylinkError;
use super::xml::Element;

const BLOCK: &str = "ServerPriorityBlock";
const SERVER: &str = "Server";

/// A management server list, as a client holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientServerList {
    /// The name of the list.
    pub name: String,
    /// The servers of each priority, highest first. The order of the blocks in the file counts; their
    /// names, `Priority1` and so on [C S17], are not read [I, their order].
    pub priorities: Vec<Vec<ClientServer>>,
}

/// A manager in a client's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientServer {
    /// The address or host name of the manager.
    pub address: String,
    /// The HTTP port; without either port the product's 8014 is meant. [C S1; the rule I]
    pub http_port: Option<u16>,
    /// The HTTPS port. If there is one, the list uses HTTPS. [R, the attribute]
    pub https_port: Option<u16>,
    /// Whether the client checks the certificate of the TLS connection; no by default. [C S17; meaning I]
    pub verify_ca: bool,
    /// Whether the client checks the signatures of downloads; yes by default. [C S17; meaning I]
    pub verify_signatures: bool,
}

impl ClientServerList {
    /// The name of the element. [C S17]
    pub(super) const ELEMENT: &str = "ServerList";

    /// The servers, highest priority first.
    pub fn servers(&self) -> impl Iterator<Item = &ClientServer> {
        self.priorities.iter().flatten()
    }

    pub(super) fn from_element(element: &Element) -> Result<Self, SylinkError> {
        let name = element.attribute("Name").unwrap_or_default().to_owned();
        let priorities = element
            .children_named(BLOCK)
            .map(|block| block.children_named(SERVER).map(ClientServer::from_element).collect())
            .collect::<Result<_, _>>()?;
        let list = Self { name, priorities };
        if list.servers().next().is_none() {
            return Err(SylinkError::no_server(element));
        }
        Ok(list)
    }

    /// Changes the element to these values. A server's element is recognised by its address, wherever it moves.
    pub(super) fn write_into(&self, element: &mut Element) {
        if element.attribute("Name").unwrap_or_default() != self.name {
            element.set_attribute("Name", &self.name);
        }
        let mut blocks: Vec<_> = element.children_named(BLOCK).cloned().collect();
        let mut known: Vec<_> =
            blocks.iter().flat_map(|block| block.children_named(SERVER)).cloned().collect();
        for number in blocks.len()..self.priorities.len() {
            blocks.push(Element::new(BLOCK).with("Name", &format!("Priority{}", number + 1)));
        }
        blocks.truncate(self.priorities.len());
        for (block, servers) in blocks.iter_mut().zip(&self.priorities) {
            let servers = servers.iter().map(|server| {
                let old = known.iter().position(|old| old.attribute("Address") == Some(&server.address));
                let mut element = old.map_or_else(|| Element::new(SERVER), |old| known.remove(old));
                server.write_into(&mut element);
                element
            });
            block.replace_children(SERVER, servers.collect());
        }
        element.replace_children(BLOCK, blocks);
    }
}

impl ClientServer {
    fn from_element(element: &Element) -> Result<Self, SylinkError> {
        const EXPECTED: &str = "an address or host name";
        let address = required(element, "Address", EXPECTED)?;
        if address.trim().is_empty() {
            return Err(SylinkError::bad_attribute(element, "Address", EXPECTED, "nothing"));
        }
        Ok(Self {
            address: address.to_owned(),
            http_port: port(element, "HttpPort")?,
            https_port: port(element, "HttpsPort")?,
            verify_ca: flag(element, "HttpsVerifyCA", false)?,
            verify_signatures: flag(element, "VerifySignatures", true)?,
        })
    }

    fn write_into(&self, element: &mut Element) {
        let old = Self::from_element(element).ok().map(|old| old.values());
        attributes::write(element, old.as_ref(), self.values());
    }

    fn values(&self) -> Values {
        let port = |port: Option<u16>| port.map(|port| port.to_string());
        vec![
            ("Address", Some(self.address.clone())),
            ("HttpPort", port(self.http_port)),
            ("HttpsPort", port(self.https_port)),
            ("HttpsVerifyCA", written_flag(self.verify_ca)),
            ("VerifySignatures", written_flag(self.verify_signatures)),
        ]
    }
}

/// The error for a text that does not name a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected http://HOST:PORT or https://HOST:PORT, found {0:?}")]
pub struct ServerUrlError(String);

/// Reads `http://HOST:PORT` or `https://HOST:PORT`; what the server verifies is as in a list that does not say.
impl FromStr for ClientServer {
    type Err = ServerUrlError;

    fn from_str(url: &str) -> Result<Self, ServerUrlError> {
        let wrong = || ServerUrlError(url.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(wrong());
        }
        let (http_port, https_port) = match scheme {
            "http" => (Some(port), None),
            "https" => (None, Some(port)),
            _ => return Err(wrong()),
        };
        Ok(Self {
            address: host.to_owned(),
            http_port,
            https_port,
            verify_ca: false,
            verify_signatures: true,
        })
    }
}
