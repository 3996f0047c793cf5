//! The index: what a group's clients should hold now.
//!
//! Its first element is the product's: `<Profile Checksum SerialNumber LastModifiedTime/>` [C S26]. The others are ours.

use std::fmt::Write;

use crate::policy::PolicySerial;
use crate::sylink::xml::{Document, Element, XmlError};

/// What a group's clients should hold now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The name of the manager that says so.
    pub manager: String,
    /// The serial of the policy.
    pub serial: PolicySerial,
    /// The checksum of the policy.
    pub policy_checksum: String,
    /// The checksum of the list.
    pub list_checksum: String,
    /// The packages that clients of the group should have.
    pub packages: Vec<PackageEntry>,
}

/// A package in an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageEntry {
    /// Its name, by which it is fetched.
    pub name: String,
    /// The checksum of its bytes.
    pub checksum: String,
}

/// Why a text is no index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// It is no XML.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// It is no text.
    #[error("the index is not UTF-8")]
    NotUtf8,
    /// Something is missing, or is not what it should be.
    #[error("the index has no {expected}")]
    Missing {
        /// What was expected.
        expected: &'static str,
    },
}

impl Index {
    /// The text of this index.
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
        let _ = writeln!(text, "{root}");
        text
    }

    /// Reads an index.
    ///
    /// # Errors
    ///
    /// When it is no XML, or lacks something.
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
        Ok(Self {
            manager: root.attribute("Manager").ok_or(missing("Index/@Manager"))?.to_owned(),
            serial: serial.ok_or(missing("Profile/@SerialNumber"))?,
            policy_checksum: checksum(profile, "Profile/@Checksum")?,
            list_checksum: checksum(list, "ServerList/@Checksum")?,
            packages,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index() -> Index {
        Index {
            manager: "A".into(),
            serial: "E0C4-01/09/2008 14:39:16 311".parse().unwrap(),
            policy_checksum: "p".into(),
            list_checksum: "l".into(),
            packages: vec![PackageEntry { name: "SEP & more".into(), checksum: "c".into() }],
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
        ) {
            let entry = |name: String| PackageEntry { checksum: name.clone(), name };
            let index = Index { manager, packages: names.into_iter().map(entry).collect(), ..index() };
            prop_assert_eq!(Index::parse(index.to_xml().as_bytes()), Ok(index));
        }
    }
}
