//! The answers of managers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::id::AgentId;
use crate::trust::Signature;

/// The status for a client whose record now belongs to another machine with the same hardware id: the client registers
/// again [C S21; what it is for is inferred].
pub const IDENTITY_CONFLICT: u16 = 468;
/// The status for a client that must make a new hardware id [C S21].
pub const NEW_IDENTITY: u16 = 470;

/// An answer of a manager. Its parts are prepared at publication, so sending it copies nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerResponse {
    /// The HTTP status; where the product's is undocumented, a field of [`crate::assumption::Assumptions`].
    pub status: u16,
    /// The content type of the body.
    pub content_type: ContentType,
    /// The detached signature of the body, where the product signs.
    pub signature: Option<SignatureHeader>,
    /// The bytes of the body.
    pub body: Bytes,
}

/// The content type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// Text for people.
    Text,
    /// Index, policy, list and registration.
    Xml,
    /// The content of a client package.
    Binary,
}

/// A signature as the header carries it: base64, encoded once for each publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureHeader(Bytes);

/// The body of the answer to a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The identifier that the manager assigns to the client.
    pub agent: AgentId,
    /// The number of times that the record of the client has changed hands: 0, unless several machines share one
    /// hardware id.
    pub turn: u32,
    /// Whether the client asked only to examine the manager, and the site keeps no record of it.
    #[serde(default)]
    pub is_probe: bool,
}

impl ManagerResponse {
    /// Makes an answer of a status and a line of text.
    pub fn text(status: u16, words: &str) -> Self {
        Self {
            status,
            content_type: ContentType::Text,
            signature: None,
            body: Bytes::copy_from_slice(words.as_bytes()),
        }
    }

    /// Makes an answer of a status without a body.
    pub const fn empty(status: u16) -> Self {
        Self { status, content_type: ContentType::Text, signature: None, body: Bytes::new() }
    }

    /// Makes an unsigned XML answer with status 200.
    pub const fn xml(body: Bytes) -> Self {
        Self { status: 200, content_type: ContentType::Xml, signature: None, body }
    }
}

impl ContentType {
    /// The value of the header `Content-Type`.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Xml => "text/xml; charset=utf-8",
            Self::Binary => "application/octet-stream",
        }
    }
}

impl SignatureHeader {
    /// Encodes a signature.
    pub fn new(signature: &Signature) -> Self {
        Self(Bytes::from(signature.to_base64()))
    }

    /// Takes the value of a received header; verification shows whether it is a signature.
    pub fn received(value: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(value))
    }

    /// The bytes of the header's value.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Decodes the signature; none if it is malformed.
    pub fn signature(&self) -> Option<Signature> {
        std::str::from_utf8(&self.0).ok().and_then(|text| Signature::from_base64(text).ok())
    }
}

impl Registered {
    /// Makes the answer to the registration.
    pub fn response(self) -> ManagerResponse {
        ManagerResponse::xml(self.to_body())
    }

    /// Writes the body of the answer.
    pub fn to_body(self) -> Bytes {
        let turn = if self.turn == 0 { String::new() } else { format!(" Turn=\"{}\"", self.turn) };
        let probe = if self.is_probe { " Probe=\"yes\"" } else { "" };
        Bytes::from(format!("<Registration AgentId=\"{}\"{turn}{probe}/>\n", self.agent))
    }

    /// Reads the body of an answer; none if it is malformed.
    pub fn from_body(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let document = crate::sylink::xml::Document::parse(text).ok()?;
        let agent = document.root().attribute("AgentId")?.parse().ok()?;
        let is_probe = document.root().attribute("Probe").is_some();
        let turn = document.root().attribute("Turn").map_or(Some(0), |turn| turn.parse().ok())?;
        Some(Self { agent, turn, is_probe })
    }
}
