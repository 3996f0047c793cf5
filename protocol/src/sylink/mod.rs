//! The communications file of a client, `sylink.xml`: its managers and the certificates that it trusts.
//!
//! A file keeps the form in which it was written. [`Sylink`] reads from it what the lab understands and changes only
//! that, so files edited by hand, by scripts and by other versions survive. The elements are those of the published
//! sample [C S17]; those after its end, certificates among them, are recalled [R, where so marked]. The judging of
//! certificates and the signing of lists are elsewhere. The XML itself is in [`xml`].

mod attributes;
mod conf;
mod encoding;
mod error;
mod file;
mod list;
mod published;
mod settings;
pub mod xml;

use std::fmt;

use crate::id::DomainId;

pub use conf::{CommConf, NamedCertificate};
pub use encoding::Encoding;
pub use error::SylinkError;
pub use list::{ClientServer, ClientServerList, ServerUrlError};
pub use published::{DEFAULT_LOCATION, LocationConf, PublishedList};
pub use settings::{AgentCommunication, CommunicationMode};

use xml::{Document, Element};

/// The element that names the client's preferred group. [C S34]
const REGISTER: &str = "RegisterClient";
const PREFERRED_GROUP: &str = "PreferredGroup";

/// A communications file.
///
/// `Debug` does not show the secret. Two files are equal if their text is.
#[derive(Clone, PartialEq)]
pub struct Sylink {
    /// The file itself.
    document: Document,
    encoding: Encoding,
    /// The content of the document, in types.
    domain_id: DomainId,
    conf: CommConf,
}

/// The content of a communications file other than its [`CommConf`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SylinkHead {
    /// The identifier of the domain.
    pub domain_id: DomainId,
    /// The name space: `rpc` in the published sample. [C S17]
    pub name_space: String,
    /// The group that the client registers with, like `My Company\Default Group`.
    pub preferred_group: String,
}

impl Sylink {
    /// Reads a file.
    ///
    /// # Errors
    /// When the file is not XML, or a part is missing, repeated or malformed.
    pub fn parse(text: &str) -> Result<Self, SylinkError> {
        Self::of(Document::parse(text)?, Encoding::Utf8)
    }

    fn of(document: Document, encoding: Encoding) -> Result<Self, SylinkError> {
        let root = document.root();
        file::check_root(root)?;
        let domain_id = DomainId(attributes::identifier(root, file::DOMAIN_ID)?);
        let conf = CommConf::from_element(file::conf(root)?)?;
        Ok(Self { document, encoding, domain_id, conf })
    }

    /// Reads a file's bytes, in UTF-8 or UTF-16.
    ///
    /// # Errors
    /// As [`Sylink::parse`], and when the bytes are in neither encoding.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, SylinkError> {
        let encoding = Encoding::of(bytes);
        let text = encoding.decode(bytes)?;
        match encoding {
            Encoding::Utf8 => Self::parse(&text),
            Encoding::Utf16Le | Encoding::Utf16Be => Self::of(Document::parse_decoded(&text)?, encoding),
        }
    }

    /// Makes a new file, as a manager exports it for a group.
    pub fn compose(head: &SylinkHead, conf: &CommConf) -> Self {
        let mut element = conf.to_element();
        // The lab needs none of its many attributes. [R]
        element.push(Element::new("LogSetting").with("MaxLogRecords", "100").with("SendingLogAllowed", "1"));
        // 1 stands for computer mode. [R]
        element.push(
            Element::new(REGISTER).with(PREFERRED_GROUP, &head.preferred_group).with("PreferredMode", "1"),
        );
        let mut root = file::root(head.domain_id, &head.name_space);
        root.push(element);
        let document = Document::compose(root);
        Self { document, encoding: Encoding::Utf8, domain_id: head.domain_id, conf: conf.clone() }
    }

    /// The text of the file. Unchanged parts are kept byte for byte.
    pub fn to_xml(&self) -> String {
        self.document.to_xml()
    }

    /// The file's bytes, in the encoding in which it was read.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encoding.encode(&self.to_xml())
    }

    /// The encoding in which the file is written.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The XML document, including parts that are not interpreted here.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The domain that the client belongs to.
    pub fn domain_id(&self) -> DomainId {
        self.domain_id
    }

    /// The shared secret of the site, 32 hexadecimal digits.
    pub fn kcs_hex(&self) -> &str {
        &self.conf.settings.kcs_hex
    }

    /// The communication settings, servers and certificates of the file.
    pub fn conf(&self) -> CommConf {
        self.conf.clone()
    }

    /// The group that the client prefers; none if the file leaves it to the manager.
    pub fn preferred_group(&self) -> Option<String> {
        let group = self.document.root().descendants_named(REGISTER).first()?.attribute(PREFERRED_GROUP)?;
        (!group.is_empty()).then(|| group.to_owned())
    }

    /// Sets the group that the client prefers.
    pub fn set_preferred_group(&mut self, group: &str) {
        let root = self.document.root_mut();
        if root.descendant_mut(REGISTER).is_none()
            && let Some(conf) = root.child_mut(CommConf::ELEMENT)
        {
            conf.push(Element::new(REGISTER));
        }
        if let Some(register) = root.descendant_mut(REGISTER) {
            register.set_attribute(PREFERRED_GROUP, group);
        }
        self.document.lay_out();
    }

    /// Sets the domain that the client belongs to.
    pub fn set_domain_id(&mut self, domain: DomainId) {
        if domain != self.domain_id {
            self.document.root_mut().set_attribute(file::DOMAIN_ID, &domain.to_string());
            self.domain_id = domain;
        }
    }

    /// Replaces the communication settings, servers and certificates of the file. Parts that are not interpreted here
    /// stay, as do values that mean the same already.
    pub fn adopt(&mut self, conf: &CommConf) {
        if let Some(element) = self.document.root_mut().child_mut(CommConf::ELEMENT) {
            conf.write_into(element);
        }
        self.document.lay_out();
        self.conf = conf.clone();
    }

    /// Sets, for every server of the list, whether the client checks signatures, as "secure communications" does.
    /// [I, S1]
    pub fn set_verify_signatures(&mut self, on: bool) {
        let mut conf = self.conf();
        for server in conf.list.priorities.iter_mut().flatten() {
            server.verify_signatures = on;
        }
        self.adopt(&conf);
    }
}

impl fmt::Debug for Sylink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sylink")
            .field("domain_id", &self.domain_id)
            .field("conf", &self.conf)
            .field("preferred_group", &self.preferred_group())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
