//! The communications file of a client, `sylink.xml`: where its managers are, and what it believes.
//!
//! A file is kept as it is written. [`Sylink`] reads from it what the lab understands and changes only that,
//! so files edited by hand, by scripts and by other versions survive. The elements are those of the published
//! sample [C S17]; those after its end, certificates among them, are recalled [R, where so marked].
//! How a certificate is judged, and how a list is signed, is not known here. The XML itself is in [`xml`].

mod attributes;
mod conf;
mod error;
mod file;
mod list;
mod published;
mod settings;
pub mod xml;

use std::fmt;

use crate::id::DomainId;

pub use conf::{CommConf, NamedCertificate};
pub use error::SylinkError;
pub use list::{ClientServer, ClientServerList};
pub use published::{LocationConf, PublishedList};
pub use settings::{AgentCommunication, CommunicationMode};

use xml::{Document, Element, Position};

/// Where the file names the group that a client wants to be in. [C S34]
const REGISTER: &str = "RegisterClient";
const PREFERRED_GROUP: &str = "PreferredGroup";

/// A communications file.
///
/// `Debug` does not show the secret. Two files are equal if they are written alike.
#[derive(Clone, PartialEq)]
pub struct Sylink {
    /// The truth.
    document: Document,
    /// What the document says, in types.
    domain_id: DomainId,
    conf: CommConf,
}

/// What a communications file says beside its [`CommConf`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SylinkHead {
    /// The domain.
    pub domain_id: DomainId,
    /// `rpc` in the published sample. [C S17]
    pub name_space: String,
    /// The group that the client registers with, like `My Company\Default Group`.
    pub preferred_group: String,
}

impl Sylink {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it is not XML, or where a part is missing, stands there twice, or says what it cannot say.
    pub fn parse(text: &str) -> Result<Self, SylinkError> {
        let document = Document::parse(text)?;
        let root = document.root();
        file::check_root(root)?;
        let domain_id = DomainId(attributes::identifier(root, file::DOMAIN_ID)?);
        let conf = CommConf::from_element(file::conf(root)?)?;
        Ok(Self { document, domain_id, conf })
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// As [`Sylink::parse`], and where the bytes are not UTF-8.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, SylinkError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let (text, rest) = bytes.split_at(error.valid_up_to());
            let Position { line, column } = xml::end_of(&String::from_utf8_lossy(text));
            SylinkError::NotUtf8 { line, column, found: rest.first().copied().unwrap_or_default() }
        })?;
        Self::parse(text)
    }

    /// A new file, as a manager exports it for a group.
    pub fn compose(head: &SylinkHead, conf: &CommConf) -> Self {
        let mut element = conf.to_element();
        // Of its many attributes the lab needs none. [R]
        element.push(Element::new("LogSetting").with("MaxLogRecords", "100").with("SendingLogAllowed", "1"));
        // 1 stands for computer mode. [R]
        element.push(
            Element::new(REGISTER).with(PREFERRED_GROUP, &head.preferred_group).with("PreferredMode", "1"),
        );
        let mut root = file::root(head.domain_id, &head.name_space);
        root.push(element);
        Self { document: Document::compose(root), domain_id: head.domain_id, conf: conf.clone() }
    }

    /// The file's text. What was read and not changed is byte for byte what it was.
    pub fn to_xml(&self) -> String {
        self.document.to_xml()
    }

    /// The file, to look at what is not understood here.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The domain that the client belongs to.
    pub fn domain_id(&self) -> DomainId {
        self.domain_id
    }

    /// The secret of the site, 32 hexadecimal digits.
    pub fn kcs_hex(&self) -> &str {
        &self.conf.settings.kcs_hex
    }

    /// A copy of what the file says about communication.
    pub fn conf(&self) -> CommConf {
        self.conf.clone()
    }

    /// The group that the client wants to be in, unless the file leaves it to the manager.
    pub fn preferred_group(&self) -> Option<String> {
        let group = self.document.root().descendants_named(REGISTER).first()?.attribute(PREFERRED_GROUP)?;
        (!group.is_empty()).then(|| group.to_owned())
    }

    /// Names the group that the client wants to be in.
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

    /// Takes over what a manager says, in place of what the file said. What is not understood here stays, and
    /// so does everything that already says the same.
    pub fn adopt(&mut self, conf: &CommConf) {
        if let Some(element) = self.document.root_mut().child_mut(CommConf::ELEMENT) {
            conf.write_into(element);
        }
        self.document.lay_out();
        self.conf = conf.clone();
    }

    /// Whether the client checks signatures, for every server of its list: what "secure communications" sets.
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
