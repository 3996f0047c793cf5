//! The policy of a group, as its clients download it: the serial, the switch, and the policies themselves.
//!
//! The list is an artifact of its own, so that either can be adopted or rejected alone.

use crate::policy::{PolicySerial, SerialError};
use crate::sylink::xml::{Document, Element, XmlError};

/// A group's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyDocument {
    /// The full path of the group.
    pub group: String,
    /// The serial of the policy.
    pub serial: PolicySerial,
    /// Whether clients authenticate their manager: the secure communications switch.
    pub secure_communications: bool,
    /// The policies of the group by name, each with its content.
    pub policies: Vec<(String, String)>,
}

/// The reason why a policy could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The text is not well-formed XML.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// The bytes are not UTF-8.
    #[error("the policy is not UTF-8")]
    NotUtf8,
    /// An element or attribute is missing or malformed.
    #[error("the policy has no {expected}")]
    Missing {
        /// The part that was expected.
        expected: &'static str,
    },
    /// The serial is malformed.
    #[error(transparent)]
    Serial(#[from] SerialError),
}

impl PolicyDocument {
    /// Writes the policy as XML.
    pub fn to_xml(&self) -> String {
        let mut security = Element::new("SecuritySettings");
        security.set_attribute("SecureCommunications", if self.secure_communications { "1" } else { "0" });
        let mut root = Element::new("Profile");
        root.set_attribute("Group", &self.group);
        root.set_attribute("SerialNumber", &self.serial.to_string());
        root.push(security);
        for (name, content) in &self.policies {
            let mut policy = Element::new("Policy");
            policy.set_attribute("Name", name);
            policy.set_text(content);
            root.push(policy);
        }
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{root}\n")
    }

    /// Reads a policy.
    ///
    /// # Errors
    ///
    /// When the text is not well-formed XML, or lacks something.
    pub fn parse(body: &[u8]) -> Result<Self, PolicyError> {
        let text = std::str::from_utf8(body).map_err(|_| PolicyError::NotUtf8)?;
        let document = Document::parse(text)?;
        let root = document.root();
        let missing = |expected| PolicyError::Missing { expected };
        let switch = root
            .child("SecuritySettings")
            .and_then(|security| security.attribute("SecureCommunications"))
            .ok_or(missing("SecuritySettings/@SecureCommunications"))?;
        Ok(Self {
            group: root.attribute("Group").ok_or(missing("Profile/@Group"))?.to_owned(),
            serial: root.attribute("SerialNumber").ok_or(missing("Profile/@SerialNumber"))?.parse()?,
            secure_communications: match switch {
                "1" => true,
                "0" => false,
                _ => return Err(missing("SecureCommunications of 0 or 1")),
            },
            policies: root
                .children_named("Policy")
                .map(|policy| (policy.attribute("Name").unwrap_or_default().to_owned(), policy.text()))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Characters that XML can hold, including those that it treats specially.
    fn texts() -> impl Strategy<Value = String> {
        "[ -~\t\r\né€\u{10FFFF}]{0,20}"
    }

    #[test]
    fn what_is_no_policy_is_refused_with_what_it_lacks() {
        let switch = "<SecuritySettings SecureCommunications='1'/>";
        let serial = "SerialNumber='C582-07/19/2017 05:55:53 163'";
        for (text, expected) in [
            ("<Profile/>".to_owned(), "SecureCommunications"),
            (format!("<Profile {serial}>{switch}</Profile>"), "Profile/@Group"),
            (format!("<Profile Group='g'>{switch}</Profile>"), "Profile/@SerialNumber"),
            (format!("<Profile Group='g' SerialNumber='1'>{switch}</Profile>"), "invalid policy serial"),
            (format!("<Profile Group='g' {serial}>{}</Profile>", switch.replace('1', "2")), "0 or 1"),
        ] {
            let error = PolicyDocument::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert_eq!(PolicyDocument::parse(b"\xFF"), Err(PolicyError::NotUtf8));
        assert!(matches!(PolicyDocument::parse(b"<Profile"), Err(PolicyError::Xml(_))));
    }

    proptest! {
        #[test]
        fn a_policy_is_read_back_the_same(
            group in texts(),
            secure_communications: bool,
            policies in proptest::collection::vec((texts(), texts()), 0..4),
        ) {
            let serial = "C582-07/19/2017 05:55:53 163".parse().unwrap();
            let policy = PolicyDocument { group, serial, secure_communications, policies };
            prop_assert_eq!(PolicyDocument::parse(policy.to_xml().as_bytes()), Ok(policy));
        }
    }
}
