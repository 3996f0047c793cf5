//! The answers of managers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::id::AgentId;
use crate::trust::Signature;

/// The status for a client whose record belongs to another machine of the same hardware id by now: it registers anew
/// [C S21; what it is for is inferred].
pub const IDENTITY_CONFLICT: u16 = 468;
/// The status for a client that has to make a new hardware id for itself [C S21].
pub const NEW_IDENTITY: u16 = 470;

/// One answer of a manager. It is made of parts that are ready since publication, so that it costs no copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerResponse {
    /// The HTTP status; where the product leaves it open, it is one of [`crate::assumption::Assumptions`].
    pub status: u16,
    /// The type of the body.
    pub content_type: ContentType,
    /// The detached signature of the body, where the product signs.
    pub signature: Option<SignatureHeader>,
    /// The body.
    pub body: Bytes,
}

/// The type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// Words for people.
    Text,
    /// Index, policy, list, registration.
    Xml,
    /// A package.
    Binary,
}

/// A signature in the form of its header: base64, made once for each publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureHeader(Bytes);

/// The answer to a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The identifier that the manager gives the client.
    pub agent: AgentId,
    /// The number of times that the record of the client has changed hands: 0, unless several machines share one
    /// hardware id.
    pub turn: u32,
}

impl ManagerResponse {
    /// A status and a line of words.
    pub fn text(status: u16, words: &str) -> Self {
        Self {
            status,
            content_type: ContentType::Text,
            signature: None,
            body: Bytes::copy_from_slice(words.as_bytes()),
        }
    }

    /// A status and nothing else.
    pub const fn empty(status: u16) -> Self {
        Self { status, content_type: ContentType::Text, signature: None, body: Bytes::new() }
    }

    /// An answer that is served, unsigned.
    pub const fn xml(body: Bytes) -> Self {
        Self { status: 200, content_type: ContentType::Xml, signature: None, body }
    }
}

impl ContentType {
    /// As in the header.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Xml => "text/xml; charset=utf-8",
            Self::Binary => "application/octet-stream",
        }
    }
}

impl SignatureHeader {
    /// The header of this signature.
    pub fn new(signature: &Signature) -> Self {
        Self(Bytes::from(signature.to_base64()))
    }

    /// From a header that was received; whether it is a signature is seen when it is verified.
    pub fn received(value: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(value))
    }

    /// The header's value.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The signature, if it is one.
    pub fn signature(&self) -> Option<Signature> {
        std::str::from_utf8(&self.0).ok().and_then(|text| Signature::from_base64(text).ok())
    }
}

impl Registered {
    /// The answer.
    pub fn response(self) -> ManagerResponse {
        ManagerResponse::xml(self.to_body())
    }

    /// The body of the answer.
    pub fn to_body(self) -> Bytes {
        Bytes::from(match self.turn {
            0 => format!("<Registration AgentId=\"{}\"/>\n", self.agent),
            turn => format!("<Registration AgentId=\"{}\" Turn=\"{turn}\"/>\n", self.agent),
        })
    }

    /// Reads the body of an answer.
    pub fn from_body(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let document = crate::sylink::xml::Document::parse(text).ok()?;
        let agent = document.root().attribute("AgentId")?.parse().ok()?;
        let turn = document.root().attribute("Turn").map_or(Some(0), |turn| turn.parse().ok())?;
        Some(Self { agent, turn })
    }
}
