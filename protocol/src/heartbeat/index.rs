//! The index: the state that a group's clients should have.
//!
//! Its first element is the product's: `<Profile Checksum SerialNumber LastModifiedTime/>` [C S26]. The others are the
//! lab's.

use std::fmt::Write;

use bytes::Bytes;

use super::ClientCommand;
use crate::policy::PolicySerial;
use crate::sylink::xml::{Document, Element, XmlError};

/// The state that a group's clients should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The name of the manager that answers.
    pub manager: String,
    /// The serial of the policy.
    pub serial: PolicySerial,
    /// The checksum of the policy.
    pub policy_checksum: String,
    /// The checksum of the list.
    pub list_checksum: String,
    /// The packages that clients of the group should have.
    pub packages: Vec<PackageEntry>,
    /// The commands for the client that asked.
    pub commands: Vec<ClientCommand>,
}

/// A package in an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageEntry {
    /// The name under which the package is downloaded.
    pub name: String,
    /// The checksum of the package's bytes.
    pub checksum: String,
}

/// The reason why an index could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The text is not well-formed XML.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// The bytes are not UTF-8.
    #[error("the index is not UTF-8")]
    NotUtf8,
    /// An element or attribute is missing or malformed.
    #[error("the index has no {expected}")]
    Missing {
        /// The part that was expected.
        expected: &'static str,
    },
}

impl Index {
    /// Writes the index as XML.
    pub fn to_xml(&self) -> String {
        let mut profile = Element::new("Profile");
        profile.set_attribute("Checksum", &self.policy_checksum);
        profile.set_attribute("SerialNumber", &self.serial.to_string());
        profile.set_attribute("LastModifiedTime", &self.serial.changed().as_millis().to_string());
        let mut list = Element::new("ServerList");
        list.set_attribute("Checksum", &self.list_checksum);
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let mut root = Element::new("Index");
        root.set_attribute("Manager", &self.manager);
        root.push(profile);
        root.push(list);
        for package in &self.packages {
            let mut element = Element::new("Package");
            element.set_attribute("Name", &package.name);
            element.set_attribute("Checksum", &package.checksum);
            root.push(element);
        }
        for command in &self.commands {
            root.push(element(command));
        }
        let _ = writeln!(text, "{root}");
        text
    }

    /// Adds commands to a written index: an index is rendered once for a group, and commands are for one
    /// client. A body that does not look as [`Index::to_xml`] writes it stays as it is.
    pub fn with_commands(body: &Bytes, commands: &[ClientCommand]) -> Bytes {
        const END: &[u8] = b"</Index>\n";
        let Some(begin) = body.strip_suffix(END) else { return body.clone() };
        let elements = commands.iter().map(|command| element(command).to_string()).collect::<String>();
        [begin, elements.as_bytes(), END].concat().into()
    }

    /// Reads an index.
    ///
    /// # Errors
    ///
    /// When the text is not well-formed XML, or lacks something.
    pub fn parse(body: &[u8]) -> Result<Self, IndexError> {
        let text = std::str::from_utf8(body).map_err(|_| IndexError::NotUtf8)?;
        let document = Document::parse(text)?;
        let root = document.root();
        let missing = |expected| IndexError::Missing { expected };
        let profile = root.child("Profile").ok_or(missing("Profile"))?;
        let list = root.child("ServerList").ok_or(missing("ServerList"))?;
        let serial = profile.attribute("SerialNumber").and_then(|text| text.parse().ok());
        let checksum = |element: &Element, expected| {
            element.attribute("Checksum").map(str::to_owned).ok_or(IndexError::Missing { expected })
        };
        let packages = root
            .children_named("Package")
            .map(|element| {
                let name = element.attribute("Name").ok_or(missing("Package/@Name"))?.to_owned();
                Ok(PackageEntry { name, checksum: checksum(element, "Package/@Checksum")? })
            })
            .collect::<Result<_, IndexError>>()?;
        let commands = root
            .children_named("Command")
            .map(|element| {
                let id = element.attribute("Id").and_then(|text| text.parse().ok());
                let kind = element.attribute("Kind").and_then(|text| text.parse().ok());
                Ok(ClientCommand {
                    id: id.ok_or(missing("Command/@Id"))?,
                    kind: kind.ok_or(missing("Command/@Kind"))?,
                })
            })
            .collect::<Result<_, IndexError>>()?;
        Ok(Self {
            manager: root.attribute("Manager").ok_or(missing("Index/@Manager"))?.to_owned(),
            serial: serial.ok_or(missing("Profile/@SerialNumber"))?,
            policy_checksum: checksum(profile, "Profile/@Checksum")?,
            list_checksum: checksum(list, "ServerList/@Checksum")?,
            packages,
            commands,
        })
    }
}

fn element(command: &ClientCommand) -> Element {
    let mut element = Element::new("Command");
    element.set_attribute("Id", &command.id.to_string());
    element.set_attribute("Kind", command.kind.name());
    element
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::heartbeat::CommandKind;
    use crate::id::{CommandId, Guid};

    fn index() -> Index {
        Index {
            manager: "A".into(),
            serial: "E0C4-01/09/2008 14:39:16 311".parse().unwrap(),
            policy_checksum: "p".into(),
            list_checksum: "l".into(),
            packages: vec![PackageEntry { name: "SEP & more".into(), checksum: "c".into() }],
            commands: Vec::new(),
        }
    }

    #[test]
    fn an_index_reads_as_the_products_recorded_one_does_and_adds_what_is_ours() {
        // The element is the product's [C S26]; its LastModifiedTime was not legible there.
        assert_eq!(
            index().to_xml(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Index Manager=\"A\">\
             <Profile Checksum=\"p\" SerialNumber=\"E0C4-01/09/2008 14:39:16 311\" \
             LastModifiedTime=\"1199889556311\"/><ServerList Checksum=\"l\"/>\
             <Package Name=\"SEP &amp; more\" Checksum=\"c\"/></Index>\n"
        );
    }

    fn command(byte: u8) -> ClientCommand {
        let kind = CommandKind::ALL[usize::from(byte) % CommandKind::ALL.len()];
        ClientCommand { id: CommandId(Guid::from_bytes([byte; 16])), kind }
    }

    #[test]
    fn commands_are_put_into_an_index_as_if_it_had_been_composed_with_them() {
        let commands = vec![command(0xAB), command(2)];
        let composed = Index { commands: commands.clone(), ..index() }.to_xml();
        assert!(composed.contains("<Command Id=\"ABABABABABABABABABABABABABABABAB\" Kind=\""), "{composed}");
        let body = Bytes::from(index().to_xml());
        assert_eq!(Index::with_commands(&body, &commands), composed.as_bytes());
        assert_eq!(Index::with_commands(&Bytes::from_static(b"<Index/>"), &commands), b"<Index/>".as_slice());
        let lame = composed.replace(" Id=\"AB", " Idea=\"AB");
        assert_eq!(Index::parse(lame.as_bytes()), Err(IndexError::Missing { expected: "Command/@Id" }));
    }

    #[test]
    fn what_is_no_index_is_refused_with_what_it_lacks() {
        let text = index().to_xml();
        for (from, expected) in [
            (" Manager=\"A\"", "Index/@Manager"),
            ("E0C4-", "Profile/@SerialNumber"),
            (" Checksum=\"p\"", "Profile/@Checksum"),
            (" Checksum=\"l\"", "ServerList/@Checksum"),
            (" Checksum=\"c\"", "Package/@Checksum"),
            (" Name=\"SEP &amp; more\"", "Package/@Name"),
            ("<ServerList Checksum=\"l\"/>", "ServerList"),
        ] {
            assert_eq!(
                Index::parse(text.replace(from, "").as_bytes()),
                Err(IndexError::Missing { expected })
            );
        }
        assert_eq!(Index::parse(b"\xFF"), Err(IndexError::NotUtf8));
    }

    proptest! {
        #[test]
        fn an_index_is_read_back_the_same(
            manager in "[ -~\té]{0,10}",
            names in proptest::collection::vec("[ -~\r\né]{0,10}", 0..4),
            bytes in proptest::collection::vec(0_u8.., 0..4),
        ) {
            let commands = bytes.into_iter().map(command).collect();
            let entry = |name: String| PackageEntry { checksum: name.clone(), name };
            let index = Index { manager, packages: names.into_iter().map(entry).collect(), commands, ..index() };
            prop_assert_eq!(Index::parse(index.to_xml().as_bytes()), Ok(index));
        }
    }
}
