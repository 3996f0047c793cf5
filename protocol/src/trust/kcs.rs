//! Layer c: does the peer know the secret of the site?
//!
//! Managers and clients of a site share sixteen bytes. How the real ones scramble their requests with them is
//! not imitated; this envelope is the lab's own, simple enough to make by hand:
//!
//! ```text
//! h=<HMAC-SHA256 of the rest, 64 lower-case digits>&l=<length of the fields in bytes>&<fields>
//! ```
//!
//! The fields stay readable: the envelope proves who wrote them, it does not hide them. By hand, with the secret in
//! `KCS` as 32 hexadecimal digits:
//!
//! ```sh
//! rest="l=9&action=26"
//! tag=$(printf '%s' "$rest" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$KCS -r | cut -d' ' -f1)
//! curl "http://127.0.0.1:8014/secars/secars.dll?h=$tag&$rest"
//! ```
//!
//! Both ends do this for every request, so nothing is allocated but the sealed text.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use data_encoding::{HEXLOWER, HEXUPPER, HEXUPPER_PERMISSIVE};
use serde::{Deserialize, Serialize};

use crate::id::parse_hex;

/// The shared secret of a site. Cloning is cheap.
///
/// Displayed and serialized it is 32 upper-case digits; in `Debug` texts, and so in logs, it never shows.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Kcs(Arc<Secret>);

struct Secret {
    bytes: [u8; 16],
    key: hmac::Key,
}

/// The error for a text that is not a secret. It does not repeat the text, which may be one with a typing error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid secret: expected 32 hexadecimal digits, found {found} bytes that are not")]
pub struct MalformedKcs {
    /// The length of the text in bytes.
    pub found: usize,
}

/// The reason why an envelope was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum KcsError {
    /// The query has no envelope.
    #[error("the request is not sealed: it does not begin with h=")]
    Missing,
    /// The envelope is malformed.
    #[error("the seal is malformed: expected {expected}, found {found:?}")]
    BadFormat {
        /// The form that was expected.
        expected: String,
        /// The text that was found, cut to a few characters.
        found: String,
    },
    /// Fields were cut off or added.
    #[error("the sealed fields are {found} bytes long, expected {expected}")]
    WrongLength {
        /// The length in bytes that the envelope states.
        expected: usize,
        /// The length of the fields in bytes.
        found: usize,
    },
    /// The fields were changed, or sealed with another secret.
    #[error("the request was sealed with another secret, or changed afterwards")]
    WrongSecret,
}

impl Kcs {
    /// Makes the secret of these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Arc::new(Secret { bytes, key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) }))
    }

    /// Derives the secret of the site with this seed.
    pub fn derive(seed: u64) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"epm-lab site secret\0");
        context.update(&seed.to_be_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&context.finish().as_ref()[..16]);
        Self::from_bytes(bytes)
    }

    /// Seals the fields of a request in an envelope.
    pub fn seal(&self, fields: &str) -> String {
        let mut tag = Tagger(hmac::Context::with_key(&self.0.key));
        write_rest(&mut tag, fields);
        let mut sealed = String::with_capacity("h=".len() + TAG_DIGITS + "&l=&".len() + 20 + fields.len());
        sealed.push_str("h=");
        HEXLOWER.encode_append(tag.0.sign().as_ref(), &mut sealed);
        sealed.push('&');
        write_rest(&mut sealed, fields);
        sealed
    }

    /// Opens an envelope and returns its fields.
    ///
    /// # Errors
    /// If there is none, or these fields were not sealed with this secret. The comparison of the seals takes constant
    /// time.
    pub fn open<'a>(&self, query: &'a str) -> Result<&'a str, KcsError> {
        let after_h = query.strip_prefix("h=").ok_or(KcsError::Missing)?;
        let (digits, rest) = after_h.split_once('&').ok_or_else(|| bad("& after the seal", after_h))?;
        // Only one spelling: otherwise two different requests would have the same seal.
        let tag: [u8; TAG_DIGITS / 2] =
            parse_hex(digits, &HEXLOWER).ok_or_else(|| bad("64 lower-case hexadecimal digits", digits))?;
        let after_l = rest.strip_prefix("l=").ok_or_else(|| bad("l=<length>", rest))?;
        let (length, fields) = after_l.split_once('&').ok_or_else(|| bad("& after the length", after_l))?;
        let expected = length.parse().map_err(|_| bad("a length in bytes", length))?;
        if fields.len() != expected {
            return Err(KcsError::WrongLength { expected, found: fields.len() });
        }
        hmac::verify(&self.0.key, rest.as_bytes(), &tag).map_err(|_| KcsError::WrongSecret)?;
        Ok(fields)
    }
}

impl PartialEq for Kcs {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for Kcs {}

impl fmt::Debug for Kcs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kcs(..)")
    }
}

impl fmt::Display for Kcs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEXUPPER.encode_mut_str(&self.0.bytes, &mut [0; 32]))
    }
}

impl FromStr for Kcs {
    type Err = MalformedKcs;

    fn from_str(text: &str) -> Result<Self, MalformedKcs> {
        parse_hex(text, &HEXUPPER_PERMISSIVE).map(Self::from_bytes).ok_or(MalformedKcs { found: text.len() })
    }
}

impl TryFrom<String> for Kcs {
    type Error = MalformedKcs;

    fn try_from(text: String) -> Result<Self, MalformedKcs> {
        text.parse()
    }
}

impl From<Kcs> for String {
    fn from(kcs: Kcs) -> Self {
        kcs.to_string()
    }
}

const TAG_DIGITS: usize = 64;

/// Writes what the seal covers: once into the seal and once into the text, so that neither is copied.
fn write_rest(to: &mut impl fmt::Write, fields: &str) {
    // Neither a String nor a Tagger ever fails.
    let _ = write!(to, "l={}&{fields}", fields.len());
}

struct Tagger(hmac::Context);

impl fmt::Write for Tagger {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

fn bad(expected: &str, found: &str) -> KcsError {
    KcsError::BadFormat { expected: expected.to_owned(), found: found.chars().take(80).collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kcs() -> Kcs {
        "000102030405060708090A0B0C0D0E0F".parse().unwrap()
    }

    /// Made with openssl, as in the module's example.
    const BY_HAND: &str = "h=c41769a517a724c7d0a078443e1b285f0cd87c3166de4b7b12d40ab9d9006ac8&l=9&action=26";

    #[test]
    fn a_seal_made_by_hand_is_the_one_that_is_made_here() {
        assert_eq!(kcs().seal("action=26"), BY_HAND);
        assert_eq!(kcs().open(BY_HAND), Ok("action=26"));
    }

    #[test]
    fn the_sealed_text_is_allocated_once() {
        let fields = "x".repeat(5000);
        let sealed = kcs().seal(&fields);
        assert_eq!(sealed.capacity(), 2 + 64 + 4 + 20 + 5000, "it has not grown since it was made");
    }

    #[test]
    fn another_site_cannot_open_it() {
        assert_eq!(Kcs::derive(1).open(BY_HAND), Err(KcsError::WrongSecret));
    }

    #[test]
    fn each_way_to_break_the_envelope_is_named() {
        assert_eq!(kcs().open("action=26"), Err(KcsError::Missing));
        assert_eq!(kcs().open(""), Err(KcsError::Missing));
        assert_eq!(
            kcs().open(&BY_HAND[..BY_HAND.len() - 1]),
            Err(KcsError::WrongLength { expected: 9, found: 8 })
        );
        let expected = |query: &str| match kcs().open(query) {
            Err(KcsError::BadFormat { expected, .. }) => expected,
            other => panic!("{query}: {other:?}"),
        };
        assert_eq!(expected("h=c417"), "& after the seal");
        assert_eq!(expected("h=c417&l=9&action=26"), "64 lower-case hexadecimal digits");
        assert_eq!(expected(&BY_HAND.replace("c41769", "C41769")), "64 lower-case hexadecimal digits");
        assert_eq!(expected(&BY_HAND.replace("l=", "k=")), "l=<length>");
        assert_eq!(expected(&BY_HAND.replace("&action", "action")), "& after the length");
        assert_eq!(expected(&BY_HAND.replace("l=9", "l=")), "a length in bytes");
    }

    #[test]
    fn findings_have_stable_codes() {
        let json = serde_json::to_value(KcsError::WrongLength { expected: 9, found: 8 }).unwrap();
        assert_eq!(json, serde_json::json!({ "code": "wrong-length", "expected": 9, "found": 8 }));
        assert_eq!(serde_json::to_value(KcsError::WrongSecret).unwrap()["code"], "wrong-secret");
    }

    #[test]
    fn the_secret_is_written_where_it_must_be_and_never_in_debug_texts() {
        assert_eq!(kcs().to_string(), "000102030405060708090A0B0C0D0E0F");
        assert_eq!(serde_json::from_str::<Kcs>(&serde_json::to_string(&kcs()).unwrap()).unwrap(), kcs());
        assert_eq!(format!("{:?}", kcs()), "Kcs(..)");
        assert_eq!("0001".parse::<Kcs>(), Err(MalformedKcs { found: 4 }));
    }

    #[test]
    fn a_seed_always_gives_the_same_secret_and_another_seed_another_one() {
        assert_eq!(Kcs::derive(7).to_string(), Kcs::derive(7).to_string());
        assert_ne!(Kcs::derive(7), Kcs::derive(8));
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_can_be_opened(bytes: [u8; 16], fields: String) {
            let kcs = Kcs::from_bytes(bytes);
            let sealed = kcs.seal(&fields);
            prop_assert_eq!(kcs.open(&sealed), Ok(fields.as_str()));
        }

        #[test]
        fn one_changed_character_is_always_noticed(
            fields in "[ -~]{0,60}",
            at: prop::sample::Index,
            to in b' '..127,
        ) {
            let sealed = kcs().seal(&fields);
            let mut changed = sealed.clone().into_bytes();
            let place = at.index(changed.len());
            changed[place] = to;
            let changed = String::from_utf8(changed).unwrap();
            prop_assume!(changed != sealed);
            prop_assert!(kcs().open(&changed).is_err());
        }

        #[test]
        fn nothing_makes_it_panic(query in "(h=)?[0-9a-f]{60,66}&?(l=)?[0-9+-]{0,25}&?.{0,20}") {
            prop_assert!(kcs().open(&query).is_err());
        }
    }
}
