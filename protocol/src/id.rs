//! Identifiers, in the product's form: 32 upper-case hexadecimal digits without dashes.
//!
//! Digits 9 to 16 of an identifier that a manager makes are its IPv4 address [I, decoded from published ids]. The lab's
//! are derived from the site's seed and the object's name, so a site that is replayed from its commands has the
//! same ones.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use aws_lc_rs::digest;
use data_encoding::{Encoding, HEXUPPER, HEXUPPER_PERMISSIVE};
use serde::{Deserialize, Serialize};

use crate::excerpt::excerpt;

/// An identifier of sixteen bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Guid([u8; 16]);

/// The error for a text that is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid identifier {found:?}: expected 32 hexadecimal digits")]
pub struct GuidError {
    /// The text that was read.
    pub found: String,
}

impl Guid {
    /// Makes an identifier of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the identifier.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Derives the identifier of the object called `name` of the given kind, made on the manager at `address`.
    pub fn derive(seed: u64, kind: &str, name: &str, address: Ipv4Addr) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&seed.to_be_bytes());
        context.update(kind.as_bytes());
        context.update(&[0]);
        context.update(name.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&context.finish().as_ref()[..16]);
        bytes[4..8].copy_from_slice(&address.octets());
        Self(bytes)
    }

    /// The first four digits, as in a policy serial.
    pub fn prefix(&self) -> String {
        HEXUPPER.encode(&self.0[..2])
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEXUPPER.encode_mut_str(&self.0, &mut [0; 32]))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Guid {
    type Err = GuidError;

    fn from_str(text: &str) -> Result<Self, GuidError> {
        parse_hex(text, &HEXUPPER_PERMISSIVE).map(Self).ok_or_else(|| GuidError { found: excerpt(text) })
    }
}

impl TryFrom<String> for Guid {
    type Error = GuidError;

    fn try_from(text: String) -> Result<Self, GuidError> {
        text.parse()
    }
}

impl From<Guid> for String {
    fn from(id: Guid) -> Self {
        id.to_string()
    }
}

/// Reads exactly `N` bytes from twice as many hexadecimal digits.
pub(crate) fn parse_hex<const N: usize>(text: &str, digits: &Encoding) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let read = (text.len() == 2 * N).then(|| digits.decode_mut(text.as_bytes(), &mut bytes));
    read?.ok().map(|_| bytes)
}

macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Guid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = GuidError;

            fn from_str(text: &str) -> Result<Self, GuidError> {
                text.parse().map(Self)
            }
        }
    )*};
}

identifiers! {
    /// The identifier of a site: managers that share one database, one secret and one set of groups.
    SiteId;
    /// The identifier of a domain of a site.
    DomainId;
    /// The identifier of a manager of a site.
    ManagerId;
    /// The identifier of a group of clients.
    GroupId;
    /// The identifier of a location of a group.
    LocationId;
    /// The identifier that a manager assigns to a registered client.
    AgentId;
    /// The hardware key by which a client identifies its machine.
    HardwareKey;
    /// The identifier of a command of the console to clients.
    CommandId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_thirty_two_upper_case_digits_and_is_read_in_either_case() {
        let id: Guid = "c582cf730a000116216d40eae348f18b".parse().unwrap();
        assert_eq!(id.to_string(), "C582CF730A000116216D40EAE348F18B");
        assert_eq!(id.prefix(), "C582");
        assert!("C582".parse::<Guid>().is_err());
        assert!("zz82CF730A000116216D40EAE348F18B".parse::<Guid>().is_err());
    }

    #[test]
    fn a_derived_identifier_bears_its_makers_address_and_is_the_same_again() {
        let make = |name| Guid::derive(7, "group", name, Ipv4Addr::new(192, 168, 9, 100));
        assert_eq!(&make("a").to_string()[8..16], "C0A80964");
        assert_eq!(make("a"), make("a"));
        assert_ne!(make("a"), make("b"));
    }
}
